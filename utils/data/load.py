"""Electricity demand at regular steps: England and Wales, summer 2000, or a file of the reader's own (chapter 5.6)."""

import os

import numpy as np
import torch
from torch import Tensor

from utils.data.files import DataError, find
from utils.data.series import future, lagged, read_dated

FILE = "electricity_load_2000.csv"
SCALE = 0.02  # the unit of inputs and targets: 2 %, about the size of an error a day ahead


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


def last_week(demand: np.ndarray, day: int, recent: int) -> np.ndarray:
    """(T, day) at [t, h] last week's demand at step t + 1 + h, times a ratio; NaN in the first week.

    The ratio is that of the last ``recent`` steps to the same steps a week before (geometric means).
    """
    change = np.log(demand) - lagged(np.log(demand), 7 * day)
    level = np.mean([lagged(change, i) for i in range(recent)], axis=0)  # (T,)
    return future(lagged(demand, 7 * day), day) * np.exp(level)[:, None]


def samples(times: np.ndarray, demand: np.ndarray, base: np.ndarray, day: int) -> tuple[Tensor, Tensor, Tensor]:
    """What a network gets at every origin t to correct a base forecast of the next ``day`` steps.

    Everything is relative: logarithms of ratios, in units of ``SCALE``.

    Args:
        times, demand: (T,) of :func:`load_demand`; demand is positive.
        base: (T, day) the base forecast, at [t, h] that of step t + 1 + h made at t; NaN where there is none.
        day: steps in a day.

    Returns:
        past (T, 4): change to last week, the base's error a day ahead, sine and cosine of the time of day.
        known (T, day, 12), for each step ahead: the base's error a day and a week before it; last week's curve at the
            level of the last two hours and of the last day, against the base; the two levels; the position; four
            waves of the time of day; Saturday or Sunday.
        target (T, day): the demand against the base, NaN beyond the end.

        NaN among the inputs, where there is no past yet, is 0.
    """
    log, log_base = np.log(demand), np.log(base)
    change = log - lagged(log, 7 * day)
    error = log - lagged(log_base[:, -1], day)  # made a day ago for this step
    angle = 2 * np.pi * ((times - times.astype("datetime64[D]")) / np.timedelta64(1, "D"))
    weekend = (times.astype("datetime64[D]").astype(int) + 3) % 7 > 4  # 1 January 1970 was a Thursday
    clock = np.stack([np.sin(angle), np.cos(angle), np.sin(2 * angle), np.cos(2 * angle), weekend], axis=1)
    past = np.concatenate([np.stack([change, error], axis=1) / SCALE, clock[:, :2]], axis=1)
    crafts = [np.log(last_week(demand, day, recent)) for recent in (day // 12, day)]
    known = [future(lagged(error, lag), day) for lag in (day, 7 * day)] + [craft - log_base for craft in crafts]
    known += [craft - future(lagged(log, 7 * day), day) for craft in crafts]
    position = np.broadcast_to(np.arange(day) / day - 0.5, base.shape)
    known = np.concatenate([np.stack(known, 2) / SCALE, position[..., None], future(clock, day)], axis=2)
    target = (future(log, day) - log_base) / SCALE
    past, known = (torch.tensor(np.nan_to_num(x), dtype=torch.float32) for x in (past, known))
    return past, known, torch.tensor(target, dtype=torch.float32)
