"""Models, data loaders and helpers shared by the chapters of the book.

Importing this package imports nothing else: each chapter names what it uses
(``from utils import repro, training``), and torchtext, matplotlib and pandas are loaded
only by the modules that need them.
"""

__version__ = "0.1.0"
