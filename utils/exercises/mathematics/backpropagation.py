"""Checks of notebook 3.2: backpropagation through time."""
