"""Time series: checks, windows, scaling that sees training data only, and splits in time.

The book's words: an *origin* t is the moment a forecast is made. The inputs of origin t are the
steps t - length + 1 … t, its targets the steps t + 1 … t + horizon.
"""

import csv
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np

from utils.data.files import DataError


class SeriesError(ValueError):
    """A series that cannot be used as it is; the message names the first offending row."""


def check_series(times: Sequence, values: np.ndarray, columns: Sequence[str] | None = None) -> None:
    """Raise SeriesError unless times rise strictly and every value is a finite number.

    Args:
        times: (steps,) numbers or datetimes.
        values: (steps,) or (steps, columns) numbers.
        columns: names of the columns, for the messages.
    """
    times, values = np.asarray(times), np.asarray(values)
    if values.ndim not in (1, 2) or len(values) != len(times):
        raise SeriesError(f"expected values of shape ({len(times)},) or ({len(times)}, columns), found {values.shape}")
    if not np.issubdtype(values.dtype, np.number):
        raise SeriesError(f"expected numbers, found values of type {values.dtype}")
    order = np.flatnonzero(~(times[1:] > times[:-1]))
    if len(order):
        row = int(order[0]) + 1
        kind = "repeats the time of" if times[row] == times[row - 1] else "is earlier than"
        raise SeriesError(f"row {row} ({times[row]}) {kind} the row before it ({times[row - 1]}); sort and deduplicate")
    bad = np.argwhere(~np.isfinite(values))
    if len(bad):
        row, rest = int(bad[0][0]), bad[0][1:]
        where = "value" if not len(rest) else f"column {rest[0]}" if columns is None else f"column {columns[rest[0]]!r}"
        raise SeriesError(f"row {row} ({times[row]}): {where} is {values[tuple(bad[0])]}; fill or drop it first")


def read_dated(path: str | os.PathLike, column: str | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Times (T,) and values (T,) of a CSV file with a header, whose first column is an ISO date or date and time.

    ``column`` names the column of the values; default: the second one.

    Raises:
        DataError: no file, no such column, a line of another width, a date or number that cannot be read (the line and
            the column are named), a missing value, times that do not rise.
    """
    try:
        reader = csv.reader(Path(path).read_text(encoding="utf-8-sig").splitlines())
        rows = [(reader.line_num, row) for row in reader if row]
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"cannot read {path}: {error}") from None
    header = [name.strip() for name in rows[0][1]] if rows else []
    if len(header) < 2 or (column is not None and column not in header[1:]):
        wanted = "a column of dates and one of numbers" if column is None else f"a column {column!r}"
        raise DataError(f"{path}: expected a header with {wanted}, found {header}")
    k, times, values = 1 if column is None else header.index(column), [], []
    for number, row in rows[1:]:
        if len(row) != len(header):
            raise DataError(f"{path}, line {number}: {len(row)} columns, the header has {len(header)}")
        for name, text, read, into in ((header[0], row[0], _moment, times), (header[k], row[k], float, values)):
            try:
                into.append(read(text.strip()))
            except ValueError:
                what = "a number" if read is float else "an ISO date such as 2024-12-31 or 2024-12-31 23:30"
                raise DataError(f"{path}, line {number}, column {name!r}: {text!r} is not {what}") from None
    series = np.array(times, dtype="datetime64[s]"), np.array(values)
    try:
        check_series(*series)
    except SeriesError as error:
        raise DataError(f"{path}: {error} (row 0 is the line after the header)") from None
    return series


def _moment(text: str) -> np.datetime64:
    return np.datetime64(datetime.fromisoformat(text).replace(tzinfo=None), "s")


@dataclass(frozen=True)
class Standardizer:
    """Shifts and scales each column to mean 0 and standard deviation 1 **of the data it was fitted on**."""

    mean: np.ndarray  # (columns,)
    std: np.ndarray  # (columns,)

    @classmethod
    def fit(cls, train: np.ndarray) -> "Standardizer":
        """Statistics of the training rows ``(steps, columns)`` or ``(steps,)``; NaN rows do not count.

        A column that never changes gets the scale 1, so that it becomes 0 and not NaN.
        """
        train = np.asarray(train, dtype=float)
        if train.size == 0 or np.isnan(train).all(axis=0).any():
            raise SeriesError("a column of the training data holds no number to take a mean of")
        mean, std, low = np.nanmean(train, axis=0), np.nanstd(train, axis=0), np.nanmin(train, axis=0)
        constant = low == np.nanmax(train, axis=0)  # rounding may leave it a mean beside its value, and a tiny std
        return cls(np.where(constant, low, mean), np.where(constant | (std == 0), 1.0, std))

    def transform(self, values: np.ndarray) -> np.ndarray:
        """From the data's units to standard units."""
        return (values - self.mean) / self.std

    def inverse(self, values: np.ndarray) -> np.ndarray:
        """From standard units back to the data's units."""
        return values * self.std + self.mean


def windows(
    values: np.ndarray, length: int, horizon: int, origins: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Cut a series into inputs and targets.

    Args:
        values: (steps,) or (steps, columns).
        length, horizon: steps in an input window, steps forecast.
        origins: last observed step of each window; default: every possible one.

    Returns:
        inputs (N, length[, columns]) and targets (N, horizon[, columns]).

    Raises:
        SeriesError: the series is shorter than one window, or an origin has no full window.
    """
    values = np.asarray(values)
    if length < 1 or horizon < 1:
        raise SeriesError(f"length and horizon must be at least 1, found {length} and {horizon}")
    first, last = length - 1, len(values) - horizon - 1
    if last < first:
        raise SeriesError(f"a window of {length} + {horizon} steps does not fit in a series of {len(values)} steps")
    origins = np.arange(first, last + 1) if origins is None else np.asarray(origins)
    origins = origins.astype(int) if origins.size == 0 else origins
    outside = origins[(origins < first) | (origins > last)]
    if len(outside):
        raise SeriesError(f"origin {outside[0]} has no full window; origins run from {first} to {last}")
    inputs = values[origins[:, None] + np.arange(1 - length, 1)]  # (N, length, ...)
    targets = values[origins[:, None] + np.arange(1, horizon + 1)]  # (N, horizon, ...)
    return inputs, targets


def future(series: np.ndarray, horizon: int) -> np.ndarray:
    """(steps, horizon, …): at [t, h] the value of step t + 1 + h, NaN beyond the end."""
    padded = np.concatenate([series, np.full((horizon, *series.shape[1:]), np.nan)])
    return padded[np.arange(len(series))[:, None] + np.arange(1, horizon + 1)]


def lagged(values: np.ndarray, lag: int) -> np.ndarray:
    """The same rows, ``lag`` steps later, NaN where there was nothing yet."""
    return values if lag == 0 else np.concatenate([np.full_like(values[:lag], np.nan), values[:-lag]])


@dataclass(frozen=True)
class Fold:
    """Origins of one round of training, choosing and testing, each range strictly before the next."""

    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray


def walk_forward(
    test_starts: Sequence[int],
    *,
    test_size: int,
    validation_size: int,
    length: int,
    horizon: int,
    steps: int,
    gap: int = 0,
) -> Iterator[Fold]:
    """Yield one :class:`Fold` per test block; each trains on all the past of its block.

    The last target of a range lies at least ``gap`` steps before the first origin of the next
    range, so that at the moment of a forecast nothing from its future has been used.

    Args:
        test_starts: first test origin of each block.
        test_size, validation_size: number of origins in a test block and in a validation block.
        length, horizon: of the windows.
        steps: length of the series.

    Raises:
        SeriesError: a size that makes no sense, or a block that reaches past the end of the series or
            leaves no training data.
    """
    if min(test_size, validation_size, length, horizon) < 1 or gap < 0:
        raise SeriesError(
            f"test_size = {test_size}, validation_size = {validation_size}, length = {length} and horizon = {horizon} "
            f"must be at least 1, gap = {gap} at least 0"
        )
    for start in test_starts:
        test = np.arange(start, start + test_size)
        if test[-1] + horizon > steps - 1:
            raise SeriesError(f"the test block from step {start} reaches past the end of the series ({steps} steps)")
        validation_end = start - gap - horizon  # its targets are known by the first test origin
        validation = np.arange(validation_end - validation_size + 1, validation_end + 1)
        train = np.arange(length - 1, validation[0] - gap - horizon + 1)
        if len(train) == 0:
            raise SeriesError(f"the test block from step {start} leaves no training data before it")
        yield Fold(train, validation, test)


def time_split(
    steps: int, *, length: int, horizon: int, validation: float = 0.1, test: float = 0.1, gap: int = 0
) -> Fold:
    """One split in time order: the last share of origins for test, the share before it for validation."""
    if not 0 < validation < 1 or not 0 < test < 1 or validation + test >= 1:
        raise SeriesError(f"shares must be positive and leave some training data; found {validation} and {test}")
    count = steps - length - horizon + 1
    test_size, validation_size = int(count * test), int(count * validation)
    if test_size < 1 or validation_size < 1:
        raise SeriesError(f"a series of {steps} steps is too short to split for windows of {length} + {horizon} steps")
    start = steps - horizon - test_size
    sizes = {"test_size": test_size, "validation_size": validation_size, "length": length, "horizon": horizon}
    return next(walk_forward([start], steps=steps, gap=gap, **sizes))
