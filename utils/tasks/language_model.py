"""The task language_model."""
