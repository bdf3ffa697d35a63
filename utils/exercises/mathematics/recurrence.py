"""Checks of notebook 3.1: the recurrence."""
