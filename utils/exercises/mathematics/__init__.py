"""Checks of part 3, one module per notebook."""
