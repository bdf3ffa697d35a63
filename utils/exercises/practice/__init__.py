"""Checks for part 4, practice: one module per notebook."""
