"""Checks of notebook 4.5: speed and scale."""
