"""Checks of notebook 4.4: the training recipe."""
