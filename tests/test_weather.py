"""The weather loader: nothing lost, nothing from the future, impossible values out, units right."""

import gzip
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from scripts import load_script

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
    module = load_script("datasets/build_nyc_weather.py")
    with gzip.open(files.find(weather.FILE)) as stream:
        assert gzip.decompress(module.build()) == stream.read()


def test_grid_is_full_and_keeps_every_report(raw, data):
    assert len(raw) == 26_115
    assert data.values.shape == data.missing.shape == (8_730, 3, 9)
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
    np.testing.assert_allclose(table.iloc[0], [10, 0, 50, 4.4704, 0, 4.4704, 1000, 25.4, 16.09344], atol=1e-9)
    assert (table.loc[1, ["wind east", "wind north"]] == 0).all()
    assert table.loc[2, ["wind east", "wind north"]].isna().all()


def test_calendar_is_standard_time_and_days_begin_in_local_time(data):
    # noon in standard time is 17:00 UTC in January and in July; a day of the calendar begins at 04:00 UTC in July
    noons = [data.times.get_loc(pd.Timestamp(f"2013-{day} 17:00", tz="UTC")) for day in ("01-15", "07-01")]
    np.testing.assert_allclose(data.calendar[noons], [[0, -1, 0, 1]] * 2, atol=1e-12)
    assert list(data.hour[noons]) == [12, 12]
    assert data.times[data.index("2013-07-01")] == pd.Timestamp("2013-07-01 04:00", tz="UTC")
    with pytest.raises(ValueError, match="2014-01-01 is not within"):
        data.index("2014-01-01")


def test_normal_runs_from_the_january_to_the_july_normal(data):
    assert data.normal.min() == pytest.approx(0.3, abs=0.01)
    assert data.normal.max() == pytest.approx(24.7, abs=0.01)
    assert data.times[data.normal.argmin()].month == 1
    assert data.times[data.normal.argmax()].month == 7


def test_features_are_departures_roots_and_flags(data):
    step, station = 5_000, 1
    f, v = data.features[step, station], data.values[step, station]
    assert data.features.shape == (8_730, 3, 12)
    np.testing.assert_allclose(f[:2], v[:2] - data.normal[step], rtol=1e-6)
    np.testing.assert_allclose(data.features[:, :, 7] ** 2, data.values[:, :, 7], atol=1e-5)
    assert set(np.unique(data.features[:, :, 9:])) == {0.0, 1.0}
    np.testing.assert_array_equal(data.features[:, :, 9], np.isnan(data.temperature))


def test_linear_inputs_know_nothing_of_the_future(data):
    inputs = weather.linear_inputs(data, full=3, temperature=24, products=True)
    assert inputs.shape == (8_730, 3 * 36 + 21 * 3 + 24 + 36 * 4)
    assert np.isnan(inputs[:23]).any(axis=1).all()
    assert not np.isnan(inputs[23:]).any()
    assert inputs[100, 36] == data.features[99, 0, 0]  # the second block is one hour old
    changed = weather.Weather(data.times, data.values.copy(), data.missing)
    changed.values[1_000:] += 7
    later = weather.linear_inputs(changed, full=3, temperature=24, products=True)
    np.testing.assert_array_equal(later[:1_000], inputs[:1_000])
    assert (later[1_000:] != inputs[1_000:]).any()


@pytest.fixture(scope="module")
def samples(data) -> weather.StationWindows:
    base = np.repeat(data.values[:, None, :, 0].astype(float), 6, axis=1)
    return weather.StationWindows(data, base, length=24, scale_until=2_000)


def test_windows_put_the_own_station_first_and_end_at_the_origin(data, samples):
    origins, stations = torch.tensor([100, 200]), torch.tensor([2, 0])
    x, y = samples.batch(origins, stations)
    assert x.shape == (2, 24, 43)
    assert y.shape == (2, 6)
    mean, std = data.features[:2_000, :, 0].mean(), data.features[:2_000, :, 0].std()
    for row, (t, s) in enumerate([(100, 2), (200, 0)]):
        expected = (data.features[t - 23 : t + 1, s, 0] - mean) / std
        np.testing.assert_allclose(x[row, :, 0], expected, rtol=1e-4, atol=1e-5)
        change = data.temperature[t + 1 : t + 7, s] - data.values[t, s, 0]
        np.testing.assert_allclose(y[row] * samples.SCALE, change, atol=1e-4)
        assert x[row, 0, 40:].argmax() == s


def test_windows_are_scaled_by_training_hours_only(data, samples):
    changed = weather.Weather(data.times, data.values.copy(), data.missing)
    changed.values[2_000:] *= 3
    other = weather.StationWindows(changed, samples.base, length=24, scale_until=2_000)
    assert torch.equal(other.inputs[:, :2_000], samples.inputs[:, :2_000])
    assert not torch.equal(other.inputs[:, 2_000:], samples.inputs[:, 2_000:])


def test_recent_batches_prefer_the_last_weeks(samples):
    origins = np.arange(100, 100 + 24 * 60)
    batches = weather.RecentBatches(samples, origins, steps=30, batch_size=64, half_life=30.0)
    assert len(batches) == len(list(batches)) == 30
    assert batches.weights[-1] == 1
    assert batches.weights[-1 - 24 * 30] == pytest.approx(0.5)
    torch.manual_seed(0)
    first = [x for x, _ in batches]
    torch.manual_seed(0)
    assert all(torch.equal(a, b) for a, b in zip(first, (x for x, _ in batches), strict=True))


def test_repeated_hour_is_named(monkeypatch, raw):
    monkeypatch.setattr(weather, "read_raw", lambda: pd.concat([raw.iloc[:30], raw.iloc[27:28]]))
    with pytest.raises(SeriesError, match="sort and deduplicate"):
        weather.load_weather()
