"""Checks of notebook 3.3: vanishing and exploding gradients."""
