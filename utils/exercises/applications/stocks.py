"""Checks of the exercises of chapter 5.4, stock prices."""
