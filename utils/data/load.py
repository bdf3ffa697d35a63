"""Electricity demand at regular steps: England and Wales, summer 2000, or a file of the reader's own (chapter 5.6)."""

import os

import numpy as np

from utils.data.files import DataError, find
from utils.data.series import read_dated

FILE = "electricity_load_2000.csv"


def load_demand(path: str | os.PathLike | None = None, column: str | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Times (T,) at which a step begins, and the demand in it (T,), in MW for the book's own data.

    Default: 5 June – 27 August 2000, half-hourly (Taylor 2003). A file of the reader's own is a CSV with a date and
    time first; ``column`` names that of the demand (default: the second).

    Raises:
        DataError: what :func:`utils.data.series.read_dated` refuses, or a step that is left out: the times around it
            are named.
    """
    path = find(FILE) if path is None else path
    times, demand = read_dated(path, column)
    if len(times) < 3:
        raise DataError(f"{path} holds {len(times)} step(s): too few for a series")
    steps = np.diff(times)
    odd = np.flatnonzero(steps != np.median(steps.astype(int)).astype("timedelta64[s]"))
    if len(odd):
        raise DataError(
            f"{path}: from {times[odd[0]]} to {times[odd[0] + 1]} is another step than elsewhere; fill the gap"
        )
    return times, demand
