"""The electricity demand: the file is what its script builds, and a gap in a file of one's own is named."""

from importlib.metadata import PackageNotFoundError, distribution

import numpy as np
import pytest
from scripts import load_script

from utils.data import files, load
from utils.data.files import DataError


def test_file_is_what_its_script_builds():
    try:
        distribution("pmdarima")
    except PackageNotFoundError:
        pytest.skip("the package pmdarima, which has the figures, is not installed")
    module = load_script("datasets/build_electricity_load.py")
    assert module.build() == files.find(load.FILE).read_bytes()


def test_twelve_weeks_of_half_hours():
    times, demand = load.load_demand()
    assert len(times) == len(demand) == 12 * 7 * 48
    assert (str(times[0]), str(times[-1])) == ("2000-06-05T00:00:00", "2000-08-27T23:30:00")
    assert (np.diff(times) == np.timedelta64(30, "m")).all()
    assert 15_000 < demand.min() < demand.max() < 45_000
    days = demand.reshape(-1, 48).mean(axis=1)
    assert days[5::7].max() < days[0::7].min()  # a Saturday needs less than any Monday: the dates are right


def test_the_known_weakness_of_yesterday_and_last_week():
    """Two seasons, a day and a week, and the figures that chapter 5.6 starts from."""
    _, demand = load.load_demand()
    test = np.arange(63 * 48, 84 * 48)
    yesterday, last_week = (100 * np.abs(demand[test - lag] / demand[test] - 1).mean() for lag in (48, 336))
    assert 5.5 < yesterday < 7
    assert 2.0 < last_week < 2.7


BAD = {
    "a gap": ("t,mw\n2000-01-01 00:00,1\n2000-01-01 00:30,2\n2000-01-01 01:00,3\n2000-01-01 02:00,4\n", "fill the gap"),
    "too short": ("t,mw\n2000-01-01 00:00,1\n2000-01-01 00:30,2\n", "too few"),
    "text": ("t,mw\n2000-01-01 00:00,1\n2000-01-01 00:30,n/a\n", "line 3, column 'mw'"),
}


@pytest.mark.parametrize(("text", "message"), BAD.values(), ids=BAD)
def test_a_bad_file_is_named(text, message, tmp_path):
    path = tmp_path / "own.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=message):
        load.load_demand(path)
    assert load.load_demand(files.find(load.FILE), "demand_mw")[1].shape == (4032,)


def test_last_week_at_todays_level_by_hand():
    _, demand = load.load_demand()
    f = load.last_week(demand, 48, recent=4)
    t, h = 2000, 30
    level = np.exp(np.mean(np.log(demand[t - 3 : t + 1] / demand[t - 339 : t - 335])))
    assert f[t, h] == pytest.approx(demand[t + 1 + h - 336] * level)
    assert np.isnan(f[300]).all()
    doubled = np.where(np.arange(len(demand)) >= 1680, 2 * demand, demand)  # a new level is taken over at once
    np.testing.assert_allclose(load.last_week(doubled, 48, 4)[1700, :200], 2 * f[1700, :200])


def test_samples_hold_what_they_say_and_nothing_of_the_future():
    times, demand = load.load_demand()
    base = load.last_week(demand, 48, 48)
    past, known, target = load.samples(times, demand, base, 48)
    assert past.shape == (4032, 4)
    assert known.shape == (4032, 48, 12)
    assert target.shape == (4032, 48)
    t, h = 2500, 20
    np.testing.assert_allclose(target[t, h], np.log(demand[t + 1 + h] / base[t, h]) / load.SCALE, rtol=1e-5)
    step = t + 1 + h
    for channel, lag in ((0, 48), (1, 336)):
        expected = np.log(demand[step - lag] / base[step - lag - 48, 47]) / load.SCALE
        np.testing.assert_allclose(known[t, h, channel], expected, rtol=1e-5)
    np.testing.assert_allclose(known[t, :, 3], 0, atol=1e-5)  # the base itself, against the base
    moment = times[step].astype("datetime64[m]").item()
    angle = 2 * np.pi * (moment.hour + moment.minute / 60) / 24
    np.testing.assert_allclose(known[t, h, 7:9], [np.sin(angle), np.cos(angle)], atol=1e-5)
    weekend = [times[t + 1 + k].astype("datetime64[s]").item().weekday() >= 5 for k in range(48)]
    np.testing.assert_array_equal(known[t, :, 11], weekend)
    later = demand.copy()
    later[t + 1 :] *= 1.5
    again = load.samples(times, later, load.last_week(later, 48, 48), 48)
    np.testing.assert_array_equal(again[0][: t + 1], past[: t + 1])
    np.testing.assert_array_equal(again[1][: t + 1], known[: t + 1])
    assert not np.allclose(again[2][t], target[t])
