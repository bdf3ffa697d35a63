"""Measures of forecasts. An actual value that is missing (NaN) never counts."""

import numpy as np
import torch
from torch import Tensor


def _counted(forecast: np.ndarray, actual: np.ndarray) -> np.ndarray:
    forecast, actual = np.asarray(forecast), np.asarray(actual)
    if forecast.shape != actual.shape:
        raise ValueError(f"forecast {forecast.shape} and actual {actual.shape} differ in shape")
    counted = ~np.isnan(actual)
    if not counted.any():
        raise ValueError("every actual value is missing: there is nothing to measure")
    if np.isnan(forecast[counted]).any():
        raise ValueError("the forecast holds NaN where an actual value is known")
    return counted


def mae(forecast: np.ndarray, actual: np.ndarray, axis: int | tuple[int, ...] | None = None) -> np.ndarray:
    """Mean absolute error, in the units of the data; ``axis`` as in ``numpy.mean``."""
    _counted(forecast, actual)
    return np.nanmean(np.abs(np.asarray(forecast) - np.asarray(actual)), axis=axis)


def coverage(lower: np.ndarray, upper: np.ndarray, actual: np.ndarray) -> float:
    """Share of actual values that lie in [lower, upper]."""
    counted = _counted(lower, actual) & _counted(upper, actual)
    inside = (np.asarray(lower) <= actual) & (actual <= np.asarray(upper))
    return float(inside[counted].mean())


def pinball_loss(forecast: Tensor, actual: Tensor, quantiles: Tensor) -> tuple[Tensor, Tensor]:
    """Summed pinball (quantile) loss and the number of values counted (Koenker & Bassett 1978).

    For an error e = actual - forecast the loss at level q is max(q e, (q - 1) e); its minimum in
    expectation is the q-quantile. At q = 0.5 it is half the absolute error.

    Args:
        forecast: (..., Q) one forecast per level.
        actual: (...) NaN where missing.
        quantiles: (Q,) levels in (0, 1).
    """
    if forecast.shape != (*actual.shape, len(quantiles)):
        raise ValueError(f"expected forecasts {(*actual.shape, len(quantiles))}, found {tuple(forecast.shape)}")
    known = ~torch.isnan(actual)
    error = torch.where(known, actual, 0.0).unsqueeze(-1) - forecast  # (..., Q)
    loss = torch.maximum(quantiles * error, (quantiles - 1) * error) * known.unsqueeze(-1)
    return loss.sum(), known.sum() * len(quantiles)
