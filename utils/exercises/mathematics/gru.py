"""Checks of notebook 3.5: the GRU."""
