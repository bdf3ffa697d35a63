"""What all tests share: no display, no progress bars, one torch thread, no figure left open."""

import os

# before matplotlib and tqdm are imported: both read these once
os.environ["MPLBACKEND"] = "Agg"
os.environ["TQDM_DISABLE"] = "1"

import sys

import pytest
import torch
from hypothesis import settings

# the same examples on every machine, and no limit on their time
settings.register_profile("book", deadline=None, derandomize=True, database=None)
settings.load_profile("book")


@pytest.fixture(autouse=True)
def tidy_process():
    """Start every test on one thread; close the figures that it leaves open."""
    torch.set_num_threads(1)
    yield
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")
