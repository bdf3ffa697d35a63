"""Hourly weather of the three New York airports in 2013 (chapter 5.5): read, checked, put on a full hourly grid."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from utils.data import files
from utils.data.series import Standardizer, check_series, future, lagged

FILE = "nyc_weather_2013.csv.gz"
STATIONS = ["EWR", "JFK", "LGA"]
ZONE = "America/New_York"
STANDARD_TIME = "Etc/GMT+5"  # UTC-5 all year: the sun does not change its clock in summer
COLUMNS = {  # name in the book: unit
    "temperature": "°C",
    "dew point": "°C",
    "humidity": "%",
    "wind east": "m/s",
    "wind north": "m/s",
    "wind speed": "m/s",
    "pressure": "hPa",
    "rain": "mm",
    "visibility": "km",
}
MPH = 0.44704  # m/s
COLDEST, WARMEST = 0.3, 24.7  # °C, January and July normals 1981–2010 of Central Park (NOAA)
FASTEST_WIND = 120.0  # m/s; the strongest gust an anemometer recorded is 113 m/s (Barrow Island, 1996)
FARTHEST_APART = 15.0  # °C between one airport and the middle one of the three, at the same hour


def read_raw() -> pd.DataFrame:
    """The file as it is: one row per station and hour that was reported, in the units of datasets/README.md."""
    return pd.read_csv(files.find(FILE), parse_dates=["time_hour"])


def impossible(raw: pd.DataFrame) -> pd.DataFrame:
    """Which reported values cannot be true: True in ``wind`` or ``temperature``, one row per row of ``raw``.

    Both rules look at one hour only, so that they could have been applied when the value arrived.
    """
    celsius = (raw["temp"] - 32) / 1.8
    middle = celsius.groupby(raw["time_hour"]).transform("median")
    wind = raw["wind_speed"] * MPH > FASTEST_WIND
    return pd.DataFrame({"wind": wind, "temperature": (celsius - middle).abs() > FARTHEST_APART})


def to_metric(raw: pd.DataFrame) -> pd.DataFrame:
    """The book's columns in metric units; impossible values and directions of a changing wind become NaN."""
    wrong = impossible(raw)
    speed = (raw["wind_speed"] * MPH).mask(wrong["wind"])
    angle = np.deg2rad(raw["wind_dir"])  # where the wind comes from, clockwise from north
    calm = speed == 0
    table = {
        "temperature": ((raw["temp"] - 32) / 1.8).mask(wrong["temperature"]),
        "dew point": ((raw["dewp"] - 32) / 1.8).mask(wrong["temperature"]),
        "humidity": raw["humid"].mask(wrong["temperature"]),
        "wind east": (-speed * np.sin(angle)).mask(calm, 0.0),
        "wind north": (-speed * np.cos(angle)).mask(calm, 0.0),
        "wind speed": speed,
        "pressure": raw["pressure"],
        "rain": raw["precip"] * 25.4,
        "visibility": raw["visib"] * 1.609344,
    }
    return pd.DataFrame(table)


@dataclass(frozen=True)
class Weather:
    """Observations on a full hourly grid: ``hours`` steps, 3 stations, 9 columns.

    ``values`` is filled **from the past only**; ``missing`` says where it was filled. A temperature
    that was missing stays NaN in ``temperature``, because it must not count in a loss or a score.
    """

    times: pd.DatetimeIndex  # (hours,) UTC
    values: np.ndarray  # (hours, stations, columns)
    missing: np.ndarray  # (hours, stations, columns) bool

    @cached_property
    def temperature(self) -> np.ndarray:
        """(hours, stations) in °C, NaN where it was not reported."""
        return np.where(self.missing[:, :, 0], np.nan, self.values[:, :, 0])

    @cached_property
    def hour(self) -> np.ndarray:
        """(hours,) hour of day 0 … 23 in New York's standard time."""
        return np.asarray(self.times.tz_convert(STANDARD_TIME).hour)

    @cached_property
    def calendar(self) -> np.ndarray:
        """(hours, 4): sine and cosine of the hour of day, once and twice around per day."""
        angle = 2 * np.pi * self.hour[:, None] / 24  # (hours, 1)
        return np.concatenate([np.sin(angle), np.cos(angle), np.sin(2 * angle), np.cos(2 * angle)], axis=1)

    @cached_property
    def normal(self) -> np.ndarray:
        """(hours,) °C to be expected at this date: a cosine from the January to the July normal."""
        day = np.asarray(self.times.tz_convert(STANDARD_TIME).day_of_year) - 1
        middle, swing = (WARMEST + COLDEST) / 2, (WARMEST - COLDEST) / 2
        return middle - swing * np.cos(2 * np.pi * (day - 20) / 365.25)

    @cached_property
    def features(self) -> np.ndarray:
        """(hours, stations, 12) model inputs, not yet scaled.

        The nine columns, with temperature and dew point as departures from ``normal`` and rain as its
        square root (most hours are dry, a few are floods), then three flags of 0 or 1: temperature,
        wind direction and pressure were missing.
        """
        columns = list(COLUMNS)
        values = self.values.astype(float)
        values[:, :, :2] -= self.normal[:, None, None]
        rain = columns.index("rain")
        values[:, :, rain] = np.sqrt(values[:, :, rain])
        flags = [columns.index(name) for name in ("temperature", "wind east", "pressure")]
        return np.concatenate([values, self.missing[:, :, flags]], axis=2)

    def index(self, day: str) -> int:
        """Step at which a day begins in New York, e.g. ``weather.index("2013-04-01")``."""
        step = self.times.get_indexer([pd.Timestamp(day, tz=ZONE).tz_convert("UTC")])[0]
        if step < 0:
            raise ValueError(f"{day} is not within {self.times[0].date()} … {self.times[-1].date()}")
        return int(step)


def load_weather() -> Weather:
    """Read the file, drop impossible values, lay it on the hourly grid and fill gaps from the past.

    The first hours of a column that starts with a gap take its first known value; they lie in
    January, which every split of the book trains on.
    """
    raw = read_raw()
    metric = to_metric(raw)
    grid = pd.date_range(raw["time_hour"].min(), raw["time_hour"].max(), freq="h")
    values, missing = [], []
    for station in STATIONS:
        rows = raw["origin"] == station
        table = metric[rows].set_index(raw.loc[rows, "time_hour"])
        check_series(table.index, np.zeros(len(table)))  # times rise strictly, or the row is named
        table = table.reindex(grid)
        missing.append(table.isna().to_numpy())
        values.append(table.ffill().bfill().to_numpy(dtype=np.float32))
    return Weather(grid, np.stack(values, axis=1), np.stack(missing, axis=1))


def linear_inputs(weather: Weather, *, full: int, temperature: int, products: bool) -> np.ndarray:
    """(hours, inputs) what a linear forecaster sees at each hour; NaN in the first hours.

    The last ``full`` hours of all features of all stations, the last ``temperature`` hours of their
    temperatures, the hour of day as 24 indicators and, with ``products``, the current features times
    the calendar, so that their effect may differ by hour.
    """
    features = weather.features  # (hours, stations, 12)
    now = features.reshape(len(features), -1)  # (hours, stations * 12)
    lags = [lagged(now, lag) for lag in range(full)]
    lags += [lagged(features[:, :, 0], lag) for lag in range(full, temperature)]
    blocks = [*lags, np.eye(24)[weather.hour]]
    if products:
        blocks.append((now[:, :, None] * weather.calendar[:, None, :]).reshape(len(now), -1))
    return np.concatenate(blocks, axis=1)


class StationWindows:
    """Samples for a network: one station at one origin, with its neighbours, against a base forecast.

    A sample's ``x`` (length, 43) holds, per hour: the 12 scaled features of the station itself, those of
    its two neighbours (24), the calendar (4), and which station it is (3). Its ``y`` (horizon,) is the temperature
    of the next hours minus the base forecast, in units of ``SCALE`` degrees, NaN where it is missing.

    Args:
        base: (hours, horizon, stations) base forecast made at each hour, °C.
        length: hours in ``x``.
        scale_until: scaling sees hours before this one only (the end of the training data).
    """

    SCALE = 3.0  # °C

    def __init__(self, weather: Weather, base: np.ndarray, length: int, scale_until: int):
        hours, stations, _ = weather.features.shape
        scaled = weather.features.copy()
        measured = scaled[:, :, : len(COLUMNS)]  # a view: the flags behind it stay 0 or 1
        rows = measured.reshape(-1, len(COLUMNS))
        measured[:] = Standardizer.fit(rows[: scale_until * stations]).transform(measured)
        blocks = []
        for own in range(stations):
            order = [own, *(other for other in range(stations) if other != own)]
            which = np.tile(np.eye(stations)[own], (hours, 1))
            blocks.append(np.concatenate([scaled[:, order].reshape(hours, -1), weather.calendar, which], axis=1))
        self.inputs = torch.tensor(np.stack(blocks), dtype=torch.float32)  # (stations, hours, channels)
        ahead = future(weather.temperature, base.shape[1])  # (hours, horizon, stations)
        self.targets = torch.tensor((ahead - base) / self.SCALE, dtype=torch.float32)  # (hours, horizon, stations)
        self.base, self.length = base, length

    def batch(self, origins: Tensor, stations: Tensor) -> tuple[Tensor, Tensor]:
        """x (N, length, channels) and y (N, horizon) of the given origins (N,) and stations (N,)."""
        steps = origins[:, None] + torch.arange(1 - self.length, 1)  # (N, length)
        return self.inputs[stations[:, None], steps], self.targets[origins, :, stations]


class RecentBatches:
    """Random batches of ``windows``, recent origins more often than old ones.

    An origin's weight halves with every ``half_life`` days of age: last month's weather says more about
    tomorrow than last season's. Gone through once, it yields ``steps`` batches.
    """

    def __init__(
        self,
        windows: StationWindows,
        origins: np.ndarray,
        *,
        steps: int,
        batch_size: int = 128,
        half_life: float = 30.0,
    ):
        self.windows, self.steps, self.batch_size = windows, steps, batch_size
        self.origins = torch.as_tensor(origins)
        self.weights = 0.5 ** ((self.origins[-1] - self.origins) / (24 * half_life))

    def __len__(self) -> int:
        return self.steps

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        for _ in range(self.steps):
            drawn = torch.multinomial(self.weights, self.batch_size, replacement=True)
            stations = torch.randint(len(STATIONS), (self.batch_size,))
            yield self.windows.batch(self.origins[drawn], stations)
