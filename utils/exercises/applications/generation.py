"""Checks of the exercises of chapter 5.1, text generation."""
