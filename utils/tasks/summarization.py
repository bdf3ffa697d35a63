"""The task summarization."""
