"""The weather loader: nothing lost, nothing from the future, impossible values out, units right."""

import gzip
import importlib.util
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from utils.data import files, weather
from utils.data.series import SeriesError

ROOT = Path(__file__).resolve().parents[1]
NAMES = list(weather.COLUMNS)


@pytest.fixture(scope="module")
def raw() -> pd.DataFrame:
    return weather.read_raw()


@pytest.fixture(scope="module")
def data() -> weather.Weather:
    return weather.load_weather()


def test_file_is_what_its_script_builds():
    spec = importlib.util.spec_from_file_location("build", ROOT / "datasets" / "build_nyc_weather.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    with gzip.open(files.find(weather.FILE)) as stream:
        assert gzip.decompress(module.build()) == stream.read()


def test_grid_is_full_and_keeps_every_report(raw, data):
    assert len(raw) == 26_115
    assert data.values.shape == data.missing.shape == (8_730, 3, 8)
    assert (np.diff(data.times) == np.timedelta64(1, "h")).all()
    assert not np.isnan(data.values).any()
    for i, station in enumerate(weather.STATIONS):
        rows = raw[(raw["origin"] == station) & raw["temp"].notna()]
        reported = (~data.missing[:, i, 0]).sum() + weather.impossible(raw)["temperature"][rows.index].sum()
        assert reported == len(rows)


def test_exactly_two_impossible_values(raw):
    wrong = weather.impossible(raw)
    found = {
        (row.origin, str(row.time_hour), tuple(wrong.loc[row.Index])) for row in raw[wrong.any(axis=1)].itertuples()
    }
    assert found == {
        ("EWR", "2013-02-12 08:00:00+00:00", (True, False)),
        ("JFK", "2013-05-09 02:00:00+00:00", (False, True)),
    }


def test_missing_temperature_is_nan_and_filled_from_the_hour_before(data):
    step = int(data.times.get_indexer([pd.Timestamp("2013-05-09 02:00", tz="UTC")])[0])
    jfk = weather.STATIONS.index("JFK")
    assert np.isnan(data.temperature[step, jfk])
    assert data.values[step, jfk, 0] == data.values[step - 1, jfk, 0]
    assert np.isnan(data.temperature).sum() == data.missing[:, :, 0].sum()


@pytest.mark.parametrize("hours", [1_000, 4_321])
def test_filling_never_looks_ahead(monkeypatch, raw, data, hours):
    known = raw[raw["time_hour"] <= data.times[hours - 1]]
    monkeypatch.setattr(weather, "read_raw", lambda: known)
    past = weather.load_weather()
    n = len(past.times)
    np.testing.assert_array_equal(past.values, data.values[:n])
    np.testing.assert_array_equal(past.missing, data.missing[:n])


def test_units_by_hand():
    row = {
        "time_hour": pd.Timestamp("2013-01-01", tz="UTC"),
        "origin": "JFK",
        "temp": 50.0,
        "dewp": 32.0,
        "humid": 50.0,
    }
    row |= {"wind_dir": 270.0, "wind_speed": 10.0, "precip": 1.0, "pressure": 1000.0, "visib": 10.0}
    table = weather.to_metric(
        pd.DataFrame([row, row | {"wind_dir": 0.0, "wind_speed": 0.0}, row | {"wind_dir": np.nan}])
    )
    assert list(table) == NAMES
    # a west wind blows towards the east: +4.4704 m/s east, 0 north
    np.testing.assert_allclose(table.iloc[0], [10, 0, 50, 4.4704, 0, 1000, 25.4, 16.09344], atol=1e-9)
    assert (table.loc[1, ["wind east", "wind north"]] == 0).all()
    assert table.loc[2, ["wind east", "wind north"]].isna().all()


def test_calendar_is_local_time(data):
    # 1 July: New York is four hours behind UTC, in January five
    noon_july = data.times.get_loc(pd.Timestamp("2013-07-01 16:00", tz="UTC"))
    noon_january = data.times.get_loc(pd.Timestamp("2013-01-15 17:00", tz="UTC"))
    np.testing.assert_allclose(data.calendar[[noon_july, noon_january]], [[0, -1, 0, 1]] * 2, atol=1e-12)
    assert data.times[data.index("2013-07-01")] == pd.Timestamp("2013-07-01 04:00", tz="UTC")
    with pytest.raises(ValueError, match="2014-01-01 is not within"):
        data.index("2014-01-01")


def test_repeated_hour_is_named(monkeypatch, raw):
    monkeypatch.setattr(weather, "read_raw", lambda: pd.concat([raw.iloc[:30], raw.iloc[27:28]]))
    with pytest.raises(SeriesError, match="sort and deduplicate"):
        weather.load_weather()
