"""Checks of notebook 4.2: sequences of unequal lengths."""
