"""Checks of notebook 3.4: the LSTM."""
