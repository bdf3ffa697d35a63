"""The task stock."""
