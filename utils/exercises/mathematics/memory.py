"""Checks of notebook 3.6: what memory can hold."""
