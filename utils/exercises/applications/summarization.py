"""Checks of the exercises of chapter 5.2, summarization."""
