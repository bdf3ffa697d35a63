"""Checks of the exercises of part 7, one module per chapter."""
