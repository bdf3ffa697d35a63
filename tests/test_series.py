"""Tests of utils.data.series: checks, scaling, windows against a naive loop, splits that never look ahead."""

import itertools

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from utils.data.files import DataError
from utils.data.series import (
    SeriesError,
    Standardizer,
    check_series,
    future,
    lagged,
    read_dated,
    time_split,
    walk_forward,
    windows,
)

# ---------------------------------------------------------------- check_series

DAYS = np.arange("2013-01-01", "2013-01-06", dtype="datetime64[D]")


@pytest.mark.parametrize("times", [range(5), DAYS, pd.Series(DAYS), pd.DatetimeIndex(DAYS), [0.5, 1, 2, 3, 9]])
@pytest.mark.parametrize("shape", [(5,), (5, 1), (5, 3)])
def test_a_good_series_passes(times, shape):
    check_series(times, np.ones(shape))
    check_series(times, np.ones(shape, dtype=int), ["a", "b", "c"][: shape[-1]])
    check_series(times, np.ones(shape), pd.Index(["a", "b", "c"]))


def test_no_rows_or_one_row_pass():
    check_series([], np.zeros(0))
    check_series([3], [[1.0, 2.0]])


@pytest.mark.parametrize(
    ("times", "message"),
    [
        ([0, 1, 1, 3, 4], r"row 2 \(1\) repeats the time of the row before it \(1\)"),
        ([0, 2, 1, 3, 3], r"row 2 \(1\) is earlier than the row before it \(2\)"),
        (DAYS[[0, 1, 2, 2, 4]], r"row 3 \(2013-01-03\) repeats the time"),
        (DAYS[::-1], r"row 1 \(2013-01-04\) is earlier than the row before it \(2013-01-05\)"),
        ([0, 1, 2, np.nan, 4], r"row 3 \(nan\)"),
        (np.where(np.arange(5) == 3, np.datetime64("NaT"), DAYS), r"row 3 \(NaT\)"),
    ],
)
def test_times_must_rise_and_the_first_row_that_does_not_is_named(times, message):
    with pytest.raises(SeriesError, match=message):
        check_series(times, np.ones(5))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize(
    ("columns", "where"),
    [
        (["temp", "wind"], r"column 'wind' is"),
        (pd.Index(["temp", "wind"]), r"column 'wind' is"),
        (None, r"column 1 is"),
    ],
)
def test_a_value_that_is_no_number_is_named_by_row_and_column(bad, columns, where):
    values = np.ones((5, 2))
    values[2, 1] = values[3, 0] = bad
    with pytest.raises(SeriesError, match=rf"row 2 \(2013-01-03\): {where} {bad}"):
        check_series(DAYS, values, columns)


def test_a_bad_value_of_a_single_series_is_named_by_row():
    with pytest.raises(SeriesError, match=r"row 4 \(40\): value is nan"):
        check_series([0, 10, 20, 30, 40], [1, 2, 3, 4, np.nan])


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.ones(4), r"shape \(5,\) or \(5, columns\), found \(4,\)"),
        (np.ones((5, 2, 2)), r"found \(5, 2, 2\)"),
        (np.ones((2, 5)), r"found \(2, 5\)"),
        (np.array(list("12345")), "expected numbers, found values of type <U1"),
        (np.array([1, 2, 3, 4, None]), "expected numbers, found values of type object"),
    ],
)
def test_wrong_shapes_and_types_are_named(values, message):
    with pytest.raises(SeriesError, match=message):
        check_series(range(5), values)


# ---------------------------------------------------------------- Standardizer


@given(
    hnp.arrays(
        float,
        hnp.array_shapes(min_dims=1, max_dims=2, max_side=20),
        elements=st.floats(-1e6, 1e6, allow_subnormal=False),
    )
)
def test_inverse_undoes_transform(values):
    scaler = Standardizer.fit(values)
    assert np.isfinite(scaler.transform(values)).all()
    np.testing.assert_allclose(scaler.inverse(scaler.transform(values)), values, rtol=1e-9, atol=1e-9)


def test_training_data_get_mean_0_and_deviation_1_per_column():
    train = np.random.default_rng(0).normal([3, -50], [0.1, 20], size=(200, 2))
    scaled = Standardizer.fit(train).transform(train)
    np.testing.assert_allclose(scaled.mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(scaled.std(axis=0), 1, atol=1e-12)


def test_only_the_training_rows_are_seen():
    series = np.r_[np.arange(10.0), 1e6 * np.arange(10.0)]
    scaler = Standardizer.fit(series[:10])
    assert scaler.mean == pytest.approx(4.5)
    assert scaler.std == pytest.approx(np.arange(10).std())
    before = scaler.transform(series[:10])
    scaler.transform(series[10:])  # does not refit
    np.testing.assert_array_equal(scaler.transform(series[:10]), before)
    assert scaler.transform(series[-1]) > 1e6


@given(st.floats(-1e9, 1e9, allow_subnormal=False), st.integers(1, 40))
def test_a_column_that_never_changes_becomes_0(value, rows):
    train = np.column_stack([np.full(rows, value), np.arange(rows)])
    scaler = Standardizer.fit(train)
    assert scaler.std[0] == 1
    np.testing.assert_array_equal(scaler.transform(train)[:, 0], 0)


def test_missing_training_values_do_not_count():
    train = np.array([[1.0, np.nan], [3.0, 10.0], [np.nan, 10.0]])
    scaler = Standardizer.fit(train)
    np.testing.assert_array_equal(scaler.mean, [2, 10])
    np.testing.assert_array_equal(scaler.std, [1, 1])
    assert np.isnan(scaler.transform(train)[0, 1])


@pytest.mark.parametrize("train", [np.zeros((0, 2)), [], np.full(3, np.nan), [[1.0, np.nan], [2.0, np.nan]]])
def test_a_column_without_numbers_is_refused(train):
    with pytest.raises(SeriesError, match="holds no number"):
        Standardizer.fit(train)


# ---------------------------------------------------------------- windows


def naive_windows(values, length, horizon):
    inputs, targets = [], []
    for origin in range(len(values)):
        past = [values[t] for t in range(origin - length + 1, origin + 1) if t >= 0]
        future = [values[t] for t in range(origin + 1, origin + horizon + 1) if t < len(values)]
        if len(past) == length and len(future) == horizon:
            inputs.append(past)
            targets.append(future)
    return np.array(inputs), np.array(targets)


@given(st.integers(1, 30), st.integers(1, 8), st.integers(1, 8), st.integers(0, 3))
def test_windows_are_those_of_a_naive_loop(steps, length, horizon, columns):
    values = np.arange(steps) if columns == 0 else np.arange(steps * columns).reshape(steps, columns)
    if length + horizon > steps:
        with pytest.raises(SeriesError, match=rf"{length} \+ {horizon} steps does not fit in a series of {steps}"):
            windows(values, length, horizon)
        return
    inputs, targets = windows(values, length, horizon)
    for found, expected in zip((inputs, targets), naive_windows(values, length, horizon), strict=True):
        np.testing.assert_array_equal(found, expected)
        assert found.shape == expected.shape
        assert found.dtype == values.dtype


@given(st.data(), st.integers(2, 30), st.integers(1, 8), st.integers(1, 8))
def test_chosen_origins_select_and_order_the_windows(data, steps, length, horizon):
    assume(length + horizon <= steps)
    origins = data.draw(st.lists(st.integers(length - 1, steps - horizon - 1), min_size=1, max_size=10))
    inputs, targets = windows(np.arange(steps), length, horizon, np.array(origins))
    assert inputs[:, -1].tolist() == origins
    assert inputs[:, 0].tolist() == [t - length + 1 for t in origins]
    assert targets[:, 0].tolist() == [t + 1 for t in origins]
    assert targets[:, -1].tolist() == [t + horizon for t in origins]


@pytest.mark.parametrize(("origin", "fits"), [(1, False), (2, True), (7, True), (8, False), (-1, False), (99, False)])
def test_an_origin_without_a_full_window_is_named(origin, fits):
    if fits:
        inputs, targets = windows(np.arange(10), 3, 2, np.array([4, origin]))
        assert inputs[1].tolist() == [origin - 2, origin - 1, origin]
    else:
        with pytest.raises(SeriesError, match=f"origin {origin} has no full window; origins run from 2 to 7"):
            windows(np.arange(10), 3, 2, np.array([4, origin]))


def test_no_origins_give_no_windows():
    inputs, targets = windows(np.zeros((10, 2)), 3, 2, [])
    assert inputs.shape == (0, 3, 2)
    assert targets.shape == (0, 2, 2)


@pytest.mark.parametrize(("length", "horizon"), [(0, 1), (1, 0), (-2, 3), (3, -1)])
def test_windows_need_at_least_one_step(length, horizon):
    with pytest.raises(SeriesError, match="at least 1"):
        windows(np.arange(10), length, horizon)


def test_windows_are_copies():
    values = np.arange(10)
    windows(values, 3, 2)[0][:] = -1
    assert values.tolist() == list(range(10))


# ---------------------------------------------------------------- splits


def assert_nothing_from_the_future(fold, length, horizon, gap, steps):
    ranges = [fold.train, fold.validation, fold.test]
    for origins in ranges:
        assert len(origins) > 0
        np.testing.assert_array_equal(origins, np.arange(origins[0], origins[-1] + 1))
    assert fold.train[0] == length - 1  # the first origin with a full window: all the past is used
    assert fold.test[-1] + horizon <= steps - 1
    for earlier, later in itertools.pairwise(ranges):
        # the last target is known, `gap` steps ago, when the later range makes its first forecast ...
        assert earlier[-1] + horizon == later[0] - gap
        targets = earlier[:, None] + np.arange(1, horizon + 1)
        later_targets = later[:, None] + np.arange(1, horizon + 1)
        assert not np.isin(targets, later_targets).any()  # ... so no target is trained on and tested


sizes = st.integers(1, 6)


@given(st.lists(st.integers(0, 60), min_size=1, max_size=4), sizes, sizes, sizes, sizes, st.integers(0, 5))
def test_walk_forward_never_looks_ahead(starts, test_size, validation_size, length, horizon, gap):
    steps = 60
    arguments = {"test_size": test_size, "validation_size": validation_size, "length": length, "horizon": horizon}
    folds = walk_forward(sorted(starts), **arguments, steps=steps, gap=gap)
    trained = 0
    for start in sorted(starts):
        first_possible = length - 1 + gap + horizon + validation_size - 1 + gap + horizon
        if start + test_size - 1 + horizon >= steps:
            with pytest.raises(SeriesError, match=f"from step {start} reaches past the end of the series"):
                next(folds)
            return
        if start < first_possible:
            with pytest.raises(SeriesError, match=f"from step {start} leaves no training data"):
                next(folds)
            return
        fold = next(folds)
        assert_nothing_from_the_future(fold, length, horizon, gap, steps)
        assert (fold.test[0], len(fold.test), len(fold.validation)) == (start, test_size, validation_size)
        windows(np.zeros(steps), length, horizon, np.concatenate([fold.train, fold.validation, fold.test]))
        assert len(fold.train) >= trained  # training data only grow
        trained = len(fold.train)
    with pytest.raises(StopIteration):
        next(folds)


def test_later_blocks_train_on_more():
    folds = list(walk_forward([40, 60, 80], test_size=10, validation_size=8, length=5, horizon=3, steps=100))
    assert [len(fold.train) for fold in folds] == [24, 44, 64]
    assert [fold.test[0] for fold in folds] == [40, 60, 80]


@pytest.mark.parametrize(
    "change", [{"test_size": 0}, {"validation_size": 0}, {"length": 0}, {"horizon": 0}, {"gap": -1}, {"gap": -3}]
)
def test_walk_forward_refuses_sizes_that_make_no_sense(change):
    sizes = {"test_size": 5, "validation_size": 5, "length": 3, "horizon": 2, "steps": 100, "gap": 0}
    with pytest.raises(SeriesError, match="at least 1"):
        list(walk_forward([50], **(sizes | change)))


@given(st.integers(1, 300), sizes, sizes, st.floats(0.02, 0.6), st.floats(0.02, 0.6), st.integers(0, 5))
@settings(max_examples=200)
def test_time_split_never_looks_ahead(steps, length, horizon, validation, test, gap):
    shares = {"validation": validation, "test": test}
    try:
        fold = time_split(steps, length=length, horizon=horizon, gap=gap, **shares)
    except SeriesError:
        count = steps - length - horizon + 1
        kept = count - int(count * validation) - int(count * test) - 2 * (horizon - 1 + gap)
        assert validation + test >= 1 or count * validation < 1 or count * test < 1 or kept < 1
        return
    assert_nothing_from_the_future(fold, length, horizon, gap, steps)
    count = steps - length - horizon + 1
    assert fold.test[-1] == steps - horizon - 1  # the last origin with a full window
    assert len(fold.test) == int(count * test)
    assert len(fold.validation) == int(count * validation)


@pytest.mark.parametrize(
    ("validation", "test"), [(0, 0.1), (0.1, 0), (0.5, 0.5), (-0.1, 0.2), (0.2, 1.0), (1.2, 0.1), (float("nan"), 0.1)]
)
def test_time_split_refuses_shares_that_leave_nothing(validation, test):
    with pytest.raises(SeriesError, match="shares must be positive"):
        time_split(100, length=3, horizon=2, validation=validation, test=test)


def test_time_split_refuses_a_short_series():
    with pytest.raises(SeriesError, match=r"a series of 12 steps is too short to split for windows of 3 \+ 2 steps"):
        time_split(12, length=3, horizon=2)


def test_future_by_hand():
    got = future(np.array([10.0, 20.0, 30.0]), 2)
    np.testing.assert_array_equal(got, [[20, 30], [30, np.nan], [np.nan, np.nan]])


def test_lagged_by_hand():
    np.testing.assert_array_equal(lagged(np.array([1.0, 2.0, 3.0]), 1), [np.nan, 1, 2])
    np.testing.assert_array_equal(lagged(np.array([1.0, 2.0, 3.0]), 0), [1, 2, 3])


# ---------------------------------------------------------------- files


GOOD = "day, price ,volume\n2024-01-01,1.5,9\n2024-01-02,2,8\n\n2024-01-05,1e1,7\n"


def written(tmp_path, text):
    path = tmp_path / "series.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_dated_file_is_read(tmp_path):
    times, values = read_dated(written(tmp_path, GOOD))
    assert times.astype("datetime64[D]").tolist() == [
        np.datetime64(d).item() for d in ("2024-01-01", "2024-01-02", "2024-01-05")
    ]
    assert values.tolist() == [1.5, 2.0, 10.0]
    assert read_dated(written(tmp_path, GOOD), "volume")[1].tolist() == [9.0, 8.0, 7.0]
    half_hours = "t,MW\n2000-06-05 00:00,1\n2000-06-05T00:30:00,2\n"
    assert str(read_dated(written(tmp_path, "\ufeff" + half_hours))[0][1]) == "2000-06-05T00:30:00"


BAD_FILES = {
    "empty": ("", "expected a header"),
    "one column": ("day\n2024-01-01\n", "expected a header"),
    "text": (GOOD.replace("2,8", "two,8"), "line 3, column 'price': 'two' is not a number"),
    "nothing": (GOOD.replace("2,8", ",8"), "line 3, column 'price': '' is not a number"),
    "another date": (GOOD.replace("2024-01-02", "2/1/2024"), "line 3, column 'day': '2/1/2024' is not an ISO date"),
    "after an empty line": (GOOD.replace("1e1", "?"), "line 5, column 'price'"),
    "a column too many": (GOOD.replace("2,8", "2,8,1"), "line 3: 4 columns, the header has 3"),
    "NaN": (GOOD.replace("2,8", "nan,8"), r"row 1 .*is nan"),
    "twice": (GOOD.replace("01-02", "01-01"), "repeats the time"),
    "unsorted": (GOOD.replace("01-02", "01-09"), "is earlier than"),
}


@pytest.mark.parametrize(("text", "message"), BAD_FILES.values(), ids=BAD_FILES)
def test_a_bad_file_is_named_with_its_line(tmp_path, text, message):
    path = written(tmp_path, text)
    with pytest.raises(DataError, match=message) as error:
        read_dated(path)
    assert "series.csv" in str(error.value)


def test_a_missing_file_column_or_encoding(tmp_path):
    with pytest.raises(DataError, match="cannot read"):
        read_dated(tmp_path / "none.csv")
    with pytest.raises(DataError, match="a column 'close'"):
        read_dated(written(tmp_path, GOOD), "close")
    (tmp_path / "latin.csv").write_bytes("day,prix\n2024-01-01,é".encode("latin-1"))
    with pytest.raises(DataError, match="cannot read"):
        read_dated(tmp_path / "latin.csv")
