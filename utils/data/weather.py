"""Hourly weather of the three New York airports in 2013 (chapter 5.5): read, checked, put on a full hourly grid."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from utils.data import files
from utils.data.series import check_series

FILE = "nyc_weather_2013.csv.gz"
STATIONS = ["EWR", "JFK", "LGA"]
ZONE = "America/New_York"
COLUMNS = {  # name in the book: unit
    "temperature": "°C",
    "dew point": "°C",
    "humidity": "%",
    "wind east": "m/s",
    "wind north": "m/s",
    "pressure": "hPa",
    "rain": "mm",
    "visibility": "km",
}
MPH = 0.44704  # m/s
FASTEST_WIND = 120.0  # m/s; the strongest gust ever measured is 113 m/s (Barrow Island, 1996)
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
        "pressure": raw["pressure"],
        "rain": raw["precip"] * 25.4,
        "visibility": raw["visib"] * 1.609344,
    }
    return pd.DataFrame(table)


@dataclass(frozen=True)
class Weather:
    """Observations on a full hourly grid: ``hours`` steps, 3 stations, 8 columns.

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
    def calendar(self) -> np.ndarray:
        """(hours, 4): sine and cosine of the local hour of day, once and twice around per day."""
        local = self.times.tz_convert(ZONE)
        angle = 2 * np.pi * np.asarray(local.hour + local.minute / 60)[:, None] / 24  # (hours, 1)
        return np.concatenate([np.sin(angle), np.cos(angle), np.sin(2 * angle), np.cos(2 * angle)], axis=1)

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
