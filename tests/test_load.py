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
