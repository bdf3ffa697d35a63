"""Checks of notebook 4.1: nn.RNN, nn.LSTM, nn.GRU."""
