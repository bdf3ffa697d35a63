"""Checks of the exercises of chapter 5.6, electricity load."""
