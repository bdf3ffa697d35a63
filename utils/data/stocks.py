"""Daily prices: Google 2004–2008, or a file of the reader's own; and what a network reads of them (chapter 5.4)."""

import os

import numpy as np
import torch
from torch import Tensor

from utils.data.files import DataError
from utils.data.series import Standardizer, read_dated, windows


def load_prices(path: str | os.PathLike | None = None, column: str | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Dates (T,) and prices (T,), one per trading day, the oldest first.

    Default: Google's closing prices, 19 August 2004 – 14 October 2008, from matplotlib's sample data. A file of the
    reader's own is a CSV with a date first; ``column`` names that of the price (default: the second). Prices should be
    adjusted for splits and dividends, or each of these is a jump.

    Raises:
        DataError: what :func:`utils.data.series.read_dated` refuses, a price not above zero, or one that never changes.
    """
    if path is not None:
        dates, prices = read_dated(path, column)
    else:
        from matplotlib.cbook import get_sample_data  # here, because it takes half a second to import

        table = get_sample_data("goog.npz")["price_data"]
        dates, prices = table["date"].astype("datetime64[s]"), table["adj_close"].astype(float)
    low = np.flatnonzero(prices <= 0)
    if len(low):
        raise DataError(f"{path}: the price of {dates[low[0]]} is {prices[low[0]]}; a return needs prices above zero")
    if len(prices) < 2 or np.ptp(prices) == 0:
        raise DataError(f"{path}: {len(prices)} price(s) that never change: there is no return to forecast")
    return dates, prices


def log_returns(prices: np.ndarray) -> np.ndarray:
    """Daily returns (T - 1,) in per cent: 100 times the change of the logarithm of the prices (T,)."""
    return 100 * np.diff(np.log(prices))


def return_windows(
    returns: np.ndarray, origins: np.ndarray, length: int, scale: Standardizer
) -> tuple[Tensor, Tensor, Tensor]:
    """What a network reads and what it is asked for, one sample per origin (the last day it knows).

    Returns:
        inputs (N, length, 2): the return in standard units, cut at ±4, and the logarithm of its square, which says how
        large it was; then the next day's return (N,) in standard units, and 1 where that day rose, else 0 (N,).
    """
    z = scale.transform(returns)  # (T,)
    x, _ = windows(np.stack([z.clip(-4, 4), np.log(z**2 + 0.1)], axis=1), length, 1, origins)
    rose = returns[np.asarray(origins) + 1] > 0
    return tuple(torch.as_tensor(part, dtype=torch.float32) for part in (x, z[np.asarray(origins) + 1], rose))
