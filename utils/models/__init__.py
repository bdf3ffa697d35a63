"""The models of the application chapters, one module per family. None of them knows about data."""
