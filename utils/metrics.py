"""Measures of forecasts, in which a missing value (NaN) never counts, and of summaries."""

from collections.abc import Sequence
from dataclasses import dataclass

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


def mape(forecast: np.ndarray, actual: np.ndarray, axis: int | tuple[int, ...] | None = None) -> np.ndarray:
    """Mean absolute percentage error, in percent of the actual value.

    Only for quantities far from zero: near zero it explodes, at zero it is undefined, and it charges a forecast that
    is too high more than one that is too low by the same factor (Hyndman & Koehler 2006).

    Raises:
        ValueError: an actual value of zero.
    """
    counted = _counted(forecast, actual)
    actual = np.asarray(actual, dtype=float)
    if (actual[counted] == 0).any():
        raise ValueError("an actual value is zero: a percentage error is undefined there; use mae or mase")
    return 100 * np.nanmean(np.abs((np.asarray(forecast) - actual) / actual), axis=axis)


def mase(
    forecast: np.ndarray,
    actual: np.ndarray,
    training: np.ndarray,
    season: int = 1,
    axis: int | tuple[int, ...] | None = None,
) -> np.ndarray:
    """Mean absolute scaled error: MAE over that of "same as ``season`` steps before" within ``training`` (T,).

    Below 1 is better than the naive forecast was in training, one step ahead (Hyndman & Koehler 2006, section 3).

    Raises:
        ValueError: a training series that is too short, or that never changes: the scale is undefined.
    """
    training = np.asarray(training, dtype=float)
    if training.ndim != 1 or not 1 <= season < len(training):
        raise ValueError(f"a season of {season} steps needs a training series longer than that, found {training.shape}")
    scale = np.nanmean(np.abs(training[season:] - training[:-season]))
    if not scale > 0:
        raise ValueError("the training series never changes: MASE has no scale; use mae")
    return mae(forecast, actual, axis) / scale


@dataclass(frozen=True)
class DieboldMariano:
    """Mean difference of two losses (negative: the first is smaller), its statistic, and the two-sided p-value."""

    difference: float
    statistic: float
    p_value: float


def diebold_mariano(loss_1: np.ndarray, loss_2: np.ndarray, horizon: int = 1) -> DieboldMariano:
    """Do two forecasts differ in their mean loss? Diebold & Mariano (1995), for small samples.

    The variance counts the autocovariances of the difference up to lag ``horizon - 1``, since errors of overlapping
    forecasts go together; the correction and the t distribution are those of Harvey, Leybourne & Newbold (1997).

    Args:
        loss_1, loss_2: (T,) loss of every forecast, in the order of time.
        horizon: steps ahead of the forecasts.

    Raises:
        ValueError: shapes, NaN, a series too short for the horizon, or a variance that is not positive.
    """
    from scipy import stats  # here, because it takes a second to import

    d = np.asarray(loss_1, dtype=float) - np.asarray(loss_2, dtype=float)  # (T,)
    T, h = len(d), horizon
    if d.ndim != 1 or np.isnan(d).any() or not 1 <= h < T / 2:
        raise ValueError(f"expected two series of losses without NaN, longer than 2 * horizon; found {d.shape}, {h}")
    e = d - d.mean()
    variance = (e @ e + 2 * sum(e[k:] @ e[:-k] for k in range(1, h))) / T**2
    if not variance > 0:
        raise ValueError("the variance of the difference is not positive: equal losses, or too few for this horizon")
    correction = np.sqrt((T + 1 - 2 * h + h * (h - 1) / T) / T)
    statistic = float(correction * d.mean() / np.sqrt(variance))
    return DieboldMariano(float(d.mean()), statistic, float(2 * stats.t.sf(abs(statistic), T - 1)))


def coverage(lower: np.ndarray, upper: np.ndarray, actual: np.ndarray) -> float:
    """Share of actual values that lie in [lower, upper]."""
    counted = _counted(lower, actual) & _counted(upper, actual)
    inside = (np.asarray(lower) <= actual) & (actual <= np.asarray(upper))
    return float(inside[counted].mean())


def qlike(variance: np.ndarray, returns: np.ndarray) -> np.ndarray:
    """Loss of every forecast variance h of a return r: log h + r² / h (``variance`` and ``returns`` of one shape).

    Like the squared error it ranks forecasts of variance correctly though r² is only a noisy stand-in for the
    variance (Patton 2011), and it minds a wrong factor, whatever the level.

    Raises:
        ValueError: shapes that differ, a missing value, or a variance that is not positive.
    """
    variance, returns = np.asarray(variance, dtype=float), np.asarray(returns, dtype=float)
    if variance.shape != returns.shape or np.isnan(returns).any() or not (variance > 0).all():
        raise ValueError(f"expected positive variances {returns.shape} and returns without NaN, found {variance.shape}")
    return np.log(variance) + returns**2 / variance


def rouge(written: Sequence[str], expected: Sequence[str]) -> dict[str, np.ndarray]:
    """F-scores (N,) of ROUGE-1, ROUGE-2 and ROUGE-L for each of N texts (Lin 2004), by the package rouge-score.

    It compares lower-case letters and digits, drops all other signs, and here does not cut words to their stems.
    """
    from rouge_score.rouge_scorer import RougeScorer

    names = ["rouge1", "rouge2", "rougeL"]
    scorer = RougeScorer(names)
    scores = [scorer.score(e, w) for w, e in zip(written, expected, strict=True)]
    return {name: np.array([score[name].fmeasure for score in scores]) for name in names}


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


def crps(forecast: np.ndarray, actual: np.ndarray, quantiles: Sequence[float]) -> float:
    """Continuous ranked probability score of quantile forecasts (..., Q), in the units of the data; smaller is better.

    The score is twice the integral of the pinball loss over all levels (Gneiting & Ranjan 2011); here each level stands
    for the levels nearest to it. A point forecast, repeated for every level, scores about its mean absolute error.
    """
    levels = np.asarray(quantiles, dtype=float)
    edges = np.concatenate([[0.0], (levels[1:] + levels[:-1]) / 2, [1.0]])
    error = np.asarray(actual, dtype=float)[..., None] - forecast  # (..., Q)
    loss = np.maximum(levels * error, (levels - 1) * error) @ np.diff(edges)
    return float(2 * np.nanmean(loss))


def widening(forecast: np.ndarray, actual: np.ndarray, level: float = 0.8, floor: float = 0.0) -> float:
    """Factor by which intervals must widen about their median for a share ``level`` of ``actual`` to lie within.

    To be measured on the past and applied to the future: scaling in the spirit of conformal prediction (Romano,
    Patterson & Candès 2019), without its guarantee.

    Args:
        forecast: (..., Q) quantiles in rising order, the median in the middle; the first and last bound the interval.
        actual: (...) NaN where missing. ``floor``: a half-width below it counts as that much.
    """
    middle = forecast[..., forecast.shape[-1] // 2]
    above = (actual - middle) / np.maximum(forecast[..., -1] - middle, floor)
    below = (middle - actual) / np.maximum(middle - forecast[..., 0], floor)
    return float(np.nanquantile(np.maximum(above, below), level))
