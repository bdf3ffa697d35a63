"""Checks of the exercises of chapter 5.3, machine translation."""
