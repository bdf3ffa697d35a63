"""Checks of notebook 4.3: text pipelines."""
