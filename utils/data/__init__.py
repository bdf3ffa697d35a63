"""Loaders: from files on disk to arrays and batches. None of them knows about models."""
