"""Tests of utils.plots: the axes hold the data they were given, and lines can be told apart."""

import itertools

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import to_hex, to_rgb

from utils import plots
from utils.training import History


@pytest.fixture(autouse=True)
def own_style():
    """Changes of the style end with the test."""
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.use("Agg")
        yield


def edges(band):
    """Positions, lower and upper edge of a fill_between."""
    corners = band.get_paths()[0].vertices
    x = np.unique(corners[:, 0])
    return x, *(np.array([pick(corners[corners[:, 0] == at, 1]) for at in x]) for pick in (min, max))


def labels(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


# ---------------------------------------------------------------- style


def test_colours_markers_and_dashes_are_distinct():
    assert len({to_hex(c) for c in plots.COLOURS}) == len(plots.COLOURS) == 7
    assert len(set(plots.MARKERS)) == len(set(map(str, plots.DASHES))) == 7
    for a, b in itertools.combinations(plots.COLOURS, 2):
        assert np.abs(np.subtract(to_rgb(a), to_rgb(b))).max() > 0.15
    assert to_hex("white") not in {to_hex(c) for c in plots.COLOURS}


def test_figures_are_opaque_white_on_screen_and_on_disk(tmp_path):
    ax = plots.new_axes()
    assert ax.figure.get_facecolor() == ax.get_facecolor() == (1, 1, 1, 1)
    ax.figure.savefig(tmp_path / "figure.png")
    image = plt.imread(tmp_path / "figure.png")
    assert image[0, 0, :3].tolist() == [1, 1, 1]
    assert image.shape[2] == 3 or image[..., 3].min() == 1


def test_the_style_is_set_by_use_style():
    plots.use_style()
    assert plt.rcParams["figure.facecolor"] == "white"
    assert [entry["color"] for entry in plt.rcParams["axes.prop_cycle"]] == plots.COLOURS
    assert plt.rcParams["axes.spines.top"] is False


def test_new_axes_gives_one_or_many():
    assert isinstance(plots.new_axes((3, 2)), plt.Axes)
    assert plt.gcf().get_size_inches().tolist() == [3, 2]
    grid = plots.new_axes(rows=2, columns=3, sharex=True)
    assert grid.shape == (2, 3)
    assert len(set(grid.flat)) == 6


# ---------------------------------------------------------------- lines


@pytest.mark.parametrize("points", [5, 40, 41])
def test_single_runs_are_drawn_as_they_are(points):
    x, y = np.arange(points) * 2, {"a": np.arange(points) ** 2, "b": [-1.0] * points}
    ax = plots.lines(x, y, xlabel="step", ylabel="loss (nats)")
    for line, (name, values) in zip(ax.lines, y.items(), strict=True):
        np.testing.assert_array_equal(line.get_xdata(), x)
        np.testing.assert_array_equal(line.get_ydata(), values)
        assert line.get_label() == name
        assert (line.get_marker() in plots.MARKERS) is (points <= 40)  # many points would hide the line
    assert not ax.collections  # no band
    assert (ax.get_xlabel(), ax.get_ylabel(), ax.get_xscale()) == ("step", "loss (nats)", "linear")
    assert labels(ax) == ["a", "b"]


@pytest.mark.parametrize("seeds", [2, 5])
def test_several_seeds_are_drawn_as_mean_and_one_standard_deviation(seeds):
    x = np.arange(6)
    runs = {name: np.random.default_rng(i).normal(size=(seeds, 6)) for i, name in enumerate("ab")}
    ax = plots.lines(x, runs, xlabel="x", ylabel="y")
    assert len(ax.collections) == 2
    for line, band, values in zip(ax.lines, ax.collections, runs.values(), strict=True):
        mean, deviation = values.mean(axis=0), values.std(axis=0, ddof=1)
        np.testing.assert_allclose(line.get_ydata(), mean)
        positions, lower, upper = edges(band)
        np.testing.assert_array_equal(positions, x)
        np.testing.assert_allclose(lower, mean - deviation)
        np.testing.assert_allclose(upper, mean + deviation)
        assert to_hex(band.get_facecolor()[0][:3]) == to_hex(line.get_color())


def test_one_seed_has_no_band():
    ax = plots.lines([0, 1], {"a": np.array([[3.0, 4.0]])}, xlabel="x", ylabel="y")
    assert ax.lines[0].get_ydata().tolist() == [3, 4]
    assert not ax.collections


def test_lines_are_told_apart_without_colour():
    ax = plots.lines([0, 1], {str(i): [i, i] for i in range(7)}, xlabel="x", ylabel="y")
    assert [to_hex(line.get_color()) for line in ax.lines] == [to_hex(c) for c in plots.COLOURS]
    assert len({line.get_marker() for line in ax.lines}) == 7
    assert len({str(line._unscaled_dash_pattern) for line in ax.lines}) == 7


def test_level_scale_and_limits():
    ax = plots.lines(
        [1, 10], {"a": [0.2, 0.9]}, xlabel="x", ylabel="y", level=("chance", 0.5), xscale="log", ylim=(0, 1)
    )
    assert labels(ax) == ["a", "chance"]
    assert list(ax.lines[1].get_ydata()) == [0.5, 0.5]
    assert (ax.get_xscale(), ax.get_ylim()) == ("log", (0, 1))


def test_lines_of_another_length_are_named():
    with pytest.raises(ValueError, match="'b' has 3 points for 2 positions"):
        plots.lines([0, 1], {"a": [1, 2], "b": [1, 2, 3]}, xlabel="x", ylabel="y")


# ---------------------------------------------------------------- learning curves


@pytest.mark.parametrize("validated", [True, False])
def test_learning_curves_hold_the_history(validated):
    histories = {}
    for factor, name in enumerate(("rnn", "lstm"), start=1):
        rows = [{"epoch": e, "train_loss": factor / e} for e in (1, 2, 3)]
        if validated:
            rows = [row | {"val_loss": factor / row["epoch"] + 0.1} for row in rows]
        histories[name] = History(rows)
    ax = plots.learning_curves(histories, ylabel="nats per character")
    found = {line.get_label(): line for line in ax.lines}
    parts = ("training", "validation") if validated else ("training",)
    assert list(found) == labels(ax) == [f"{name}, {part}" for name in histories for part in parts]
    for name, history in histories.items():
        for part in parts:
            line = found[f"{name}, {part}"]
            assert list(line.get_xdata()) == [1, 2, 3]
            assert list(line.get_ydata()) == history.column({"training": "train_loss", "validation": "val_loss"}[part])
        if validated:
            training, validation = (found[f"{name}, {part}"] for part in parts)
            assert training.get_color() == validation.get_color()
            assert training.get_linestyle() != validation.get_linestyle()
            assert training.get_linewidth() < validation.get_linewidth()
    assert len({line.get_color() for line in ax.lines}) == 2
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("epoch", "nats per character")
    ax.figure.canvas.draw()
    assert all(float(tick).is_integer() for tick in ax.get_xticks())


# ---------------------------------------------------------------- forecasts

FAN = {q: np.array([10.0, 20.0, 30.0]) + 10 * (q - 0.5) for q in (0.05, 0.25, 0.5, 0.75, 0.95)}


def test_a_fan_holds_its_bands_median_and_truth():
    past, future, actual = [1.0, 2.0, 3.0, 4.0], [4, 5, 6], [11.0, 19.0, 33.0]
    ax = plots.forecast_fan([0, 1, 2, 3], past, future, FAN, actual=actual, xlabel="hour", ylabel="MW")
    observed, median, happened = ax.lines
    assert (list(observed.get_xdata()), list(observed.get_ydata())) == ([0, 1, 2, 3], past)
    assert (list(median.get_xdata()), list(median.get_ydata())) == (future, [10, 20, 30])
    assert (list(happened.get_xdata()), list(happened.get_ydata())) == ([3, *future], [4.0, *actual])
    for band, (low, high) in zip(ax.collections, [(0.05, 0.95), (0.25, 0.75)], strict=True):  # the widest behind
        positions, lower, upper = edges(band)
        assert positions.tolist() == future
        np.testing.assert_allclose(lower, FAN[low])
        np.testing.assert_allclose(upper, FAN[high])
    assert ax.collections[0].get_alpha() < ax.collections[1].get_alpha()
    assert labels(ax) == ["observed", "90 % interval", "50 % interval", "median forecast", "what happened"]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("hour", "MW")


def test_quantiles_may_be_rounded_or_few():
    ax = plots.forecast_fan([0], [1], [1], {0.1: [0], 1 - 0.1: [2]}, xlabel="x", ylabel="y")
    assert len(ax.collections) == 1
    assert len(ax.lines) == 1
    ax = plots.forecast_fan([0], [1], [1], {0.5: [2]}, xlabel="x", ylabel="y")
    assert (len(ax.collections), len(ax.lines)) == (0, 2)


@pytest.mark.parametrize(
    ("levels", "message"),
    [
        ((0.1, 0.5), "quantile 0.1 has no partner 0.9"),
        ((0.1, 0.5, 0.8), "quantile 0.1 has no partner 0.9"),
        ((0.5, 0.9), "quantile 0.9 has no partner 0.1"),
        ((0.05, 0.5, 0.9, 0.95), "quantile 0.9 has no partner 0.1"),
    ],
)
def test_a_quantile_without_a_partner_is_named(levels, message):
    with pytest.raises(ValueError, match=message):
        plots.forecast_fan([0], [1], [1], {q: [q] for q in levels}, xlabel="x", ylabel="y")


# ---------------------------------------------------------------- heat maps


@pytest.mark.parametrize("centred", [True, False])
def test_a_heat_map_holds_its_matrix(centred):
    values = np.array([[0.0, 1.0, 2.0], [-3.0, 0.5, 1.0]])
    ax = plots.heatmap(values, xlabel="to", ylabel="from", label="weight", centred=centred)
    (image,) = ax.images
    np.testing.assert_array_equal(image.get_array(), values)
    assert image.get_clim() == ((-3, 3) if centred else (-3, 2))
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("to", "from")
    assert [a.get_ylabel() for a in ax.figure.axes if a is not ax] == ["weight"]  # the colour bar
    assert image.origin == "upper"


def test_zero_has_the_middle_colour_of_a_centred_map():
    (image,) = plots.heatmap([[0.0, 5.0]], xlabel="x", ylabel="y", label="z", centred=True).images
    assert image.norm(0.0) == 0.5
    (image,) = plots.heatmap(np.zeros((2, 2)), xlabel="x", ylabel="y", label="z", centred=True).images
    assert image.norm(0.0) == 0.5


def test_ticks_carry_the_words():
    ax = plots.heatmap(np.eye(2), xlabel="x", ylabel="y", label="z", xticks=["ein", "Haus"], yticks=["a", "house"])
    assert [t.get_text() for t in ax.get_xticklabels()] == ["ein", "Haus"]
    assert [t.get_text() for t in ax.get_yticklabels()] == ["a", "house"]
    assert ax.get_xticks().tolist() == ax.get_yticks().tolist() == [0, 1]


def test_hidden_states_run_to_the_right():
    states = np.array([[0.1, 0.2, 0.3], [-0.4, 0.5, -0.6]])  # 2 steps, 3 units
    ax = plots.hidden_states(states, steps=list("ab"))
    np.testing.assert_array_equal(ax.images[0].get_array(), states.T)
    assert ax.images[0].get_clim() == (-0.6, 0.6)
    assert [t.get_text() for t in ax.get_xticklabels()] == ["a", "b"]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("time step", "hidden unit")


@pytest.mark.parametrize("shape", [(3,), (1, 3, 2)])
def test_hidden_states_need_time_and_units(shape):
    with pytest.raises(ValueError, match=r"expected states of shape \(time, units\), found"):
        plots.hidden_states(np.zeros(shape))


DRAWN = {
    "lines": lambda ax: plots.lines([0, 1], {"a": [1, 2]}, xlabel="x", ylabel="y", ax=ax),
    "curves": lambda ax: plots.learning_curves({"a": History([{"epoch": 1, "train_loss": 1.0}])}, ax=ax),
    "fan": lambda ax: plots.forecast_fan([0], [1], [1, 2, 3], FAN, xlabel="x", ylabel="y", ax=ax),
    "heatmap": lambda ax: plots.heatmap(np.eye(2), xlabel="x", ylabel="y", label="z", ax=ax),
    "states": lambda ax: plots.hidden_states(np.eye(2), ax=ax),
}


@pytest.mark.parametrize("name", DRAWN)
def test_given_axes_are_used_and_new_ones_are_the_books(name):
    left, right = plots.new_axes(columns=2)
    assert DRAWN[name](right) is right
    assert right.has_data()
    assert not left.has_data()
    assert len(plt.get_fignums()) == 1
    assert DRAWN[name](None).figure.get_facecolor() == (1, 1, 1, 1)
    assert len(plt.get_fignums()) == 2


def test_dates_stay_dates():
    days = np.array(["2013-01-01", "2013-06-01", "2013-12-01"], dtype="datetime64[D]")
    ax = plots.lines(days, {"a": [1, 2, 3]}, xlabel="month", ylabel="y")
    ax.figure.canvas.draw()
    assert any("2013" in tick.get_text() for tick in ax.get_xticklabels())
