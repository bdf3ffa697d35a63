"""Checks of the exercises of part 5, one module per chapter."""
