"""The figures of the book: one style, and functions that return the axes so that tests can read them.

Colours are those of Okabe & Ito (2008), told apart by colour-blind readers; every line also has a
marker or a dash of its own. The background is opaque white, so that a figure reads the same on a
white and on a dark page.
"""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from cycler import cycler
from matplotlib.axes import Axes

COLOURS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000"]
MARKERS = ["o", "s", "^", "D", "v", "P", "X"]
DASHES = ["-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (3, 1)), (0, (1, 1))]
STYLE = {
    "axes.prop_cycle": cycler(color=COLOURS) + cycler(linestyle=DASHES),
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.3,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "figure.figsize": (7.0, 3.6),
    "figure.dpi": 110,
    "figure.constrained_layout.use": True,
    "font.size": 10,
    "legend.frameon": False,
    "legend.handlelength": 3.0,
    "lines.linewidth": 1.8,
    "lines.markersize": 5,
}


def use_style() -> None:
    """Set the book's style for all figures of this process (every notebook calls it once)."""
    plt.rcParams.update(STYLE)


def new_axes(size: tuple[float, float] | None = None, rows: int = 1, columns: int = 1, **kwargs):
    """A new figure's axes (one, or an array of them), in the book's style."""
    use_style()
    return plt.subplots(rows, columns, figsize=size, **kwargs)[1]


def lines(
    x: Sequence[float],
    series: Mapping[str, np.ndarray],
    *,
    xlabel: str,
    ylabel: str,
    level: tuple[str, float] | None = None,
    xscale: str = "linear",
    ylim: tuple[float, float] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw one line per entry of ``series`` against ``x``.

    An entry of shape ``(len(x),)`` is drawn as it is; one of shape ``(seeds, len(x))`` as its mean
    with a band of one standard deviation to either side. ``level`` is a named horizontal line, such
    as ``("chance", 0.5)``.
    """
    ax = new_axes() if ax is None else ax
    for i, (name, values) in enumerate(series.items()):
        values = np.atleast_2d(np.asarray(values, dtype=float))  # (seeds, points)
        if values.shape[1] != len(x):
            raise ValueError(f"{name!r} has {values.shape[1]} points for {len(x)} positions on the x axis")
        mean = values.mean(axis=0)
        marker = MARKERS[i % len(MARKERS)] if len(x) <= 40 else None
        (line,) = ax.plot(x, mean, marker=marker, label=name)
        if len(values) > 1:
            spread = values.std(axis=0, ddof=1)
            ax.fill_between(x, mean - spread, mean + spread, color=line.get_color(), alpha=0.2, linewidth=0)
    if level is not None:
        ax.axhline(level[1], color="0.35", linewidth=1, linestyle=":", label=level[0])
    ax.set(xlabel=xlabel, ylabel=ylabel)
    if xscale != "linear":  # setting a scale takes the dates off an axis of dates
        ax.set_xscale(xscale)
    if ylim is not None:
        ax.set_ylim(*ylim)
    ax.legend()
    return ax


def learning_curves(histories: Mapping[str, object], *, ylabel: str = "loss", ax: Axes | None = None) -> Axes:
    """Training (thin) and validation (thick) loss against epochs for named ``History`` objects."""
    ax = new_axes() if ax is None else ax
    for i, (name, history) in enumerate(histories.items()):
        colour, epochs = COLOURS[i % len(COLOURS)], history.column("epoch")
        ax.plot(epochs, history.column("train_loss"), color=colour, ls=":", lw=1.2, label=f"{name}, training")
        if "val_loss" in history.rows[0]:
            ax.plot(epochs, history.column("val_loss"), color=colour, ls="-", label=f"{name}, validation")
    ax.set(xlabel="epoch", ylabel=ylabel)
    ax.xaxis.get_major_locator().set_params(integer=True)
    ax.legend()
    return ax


def forecast_fan(
    past_time: Sequence,
    past: Sequence[float],
    future_time: Sequence,
    quantiles: Mapping[float, Sequence[float]],
    *,
    actual: Sequence[float] | None = None,
    xlabel: str,
    ylabel: str,
    ax: Axes | None = None,
) -> Axes:
    """A forecast with its uncertainty: the past, one band per pair of quantiles, the median, the truth.

    ``quantiles`` maps a probability to its forecast over ``future_time``; probabilities come in
    pairs ``q, 1 - q`` (drawn as bands, the widest lightest) and 0.5 (drawn as a line).
    """
    ax = new_axes() if ax is None else ax
    colour = COLOURS[0]
    ax.plot(past_time, past, color="0.2", ls="-", label="observed")
    strength = 0.2  # the widest band is the lightest, in the legend too
    for q in sorted(quantiles):
        upper = min(quantiles, key=lambda p: abs(p - (1 - q)))
        if abs(upper - (1 - q)) > 1e-6:
            raise ValueError(f"quantile {q} has no partner {1 - q:g} among {sorted(quantiles)}")
        if upper <= q:  # the median, or a pair already drawn
            continue
        label = f"{100 * (upper - q):.0f} % interval"
        ax.fill_between(future_time, quantiles[q], quantiles[upper], color=colour, alpha=strength, lw=0, label=label)
        strength += 0.2
    if 0.5 in quantiles:
        ax.plot(future_time, quantiles[0.5], color=colour, ls="-", label="median forecast")
    if actual is not None:
        times, values = [past_time[-1], *future_time], [past[-1], *actual]  # joined to the past
        ax.plot(times, values, color=COLOURS[1], ls="--", label="what happened")
    ax.set(xlabel=xlabel, ylabel=ylabel)
    ax.legend()
    return ax


def heatmap(
    values: np.ndarray,
    *,
    xlabel: str,
    ylabel: str,
    label: str,
    xticks: Sequence[str] | None = None,
    yticks: Sequence[str] | None = None,
    centred: bool = False,
    ax: Axes | None = None,
) -> Axes:
    """A matrix as colours, with a colour bar called ``label``.

    ``centred`` puts zero at the middle of a two-sided colour scale (hidden states, gradients,
    weights); otherwise a one-sided scale is used (probabilities, counts).
    """
    ax = new_axes() if ax is None else ax
    values = np.asarray(values, dtype=float)
    bound = np.abs(values).max() or 1.0
    scale = {"cmap": "PuOr_r", "vmin": -bound, "vmax": bound} if centred else {"cmap": "cividis"}
    image = ax.imshow(values, aspect="auto", interpolation="nearest", **scale)
    ax.figure.colorbar(image, ax=ax, label=label)
    ax.grid(False)
    ax.set(xlabel=xlabel, ylabel=ylabel)
    if xticks is not None:
        ax.set_xticks(range(len(xticks)), xticks)
    if yticks is not None:
        ax.set_yticks(range(len(yticks)), yticks)
    return ax


def hidden_states(states: np.ndarray, *, steps: Sequence[str] | None = None, ax: Axes | None = None) -> Axes:
    """Hidden states ``(time, units)`` as a heat map: time to the right, one row per unit.

    ``steps`` are the labels of the time steps (the characters read, say).
    """
    states = np.asarray(states)
    if states.ndim != 2:
        raise ValueError(f"expected states of shape (time, units), found {states.shape}")
    return heatmap(
        states.T, xlabel="time step", ylabel="hidden unit", label="activation", xticks=steps, centred=True, ax=ax
    )
