"""Draw the schematics of the book: ``python chapters/figures/make_figures.py`` writes PNGs beside this file.

The bytes are the same at every run with the same matplotlib: no date and no version is stored.
"""

from itertools import pairwise
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.patches import Circle, FancyArrowPatch, FancyBboxPatch

from utils.plots import COLOURS

HERE = Path(__file__).resolve().parent
BLUE, VERMILION, GREEN, PINK, ORANGE = COLOURS[:5]
INK = "black"
XH, HH, HY = r"$W_{xh}$", r"$W_{hh}$", r"$W_{hy}$"


def canvas(width: float, height: float) -> Axes:
    """White axes without frame, one unit to the inch."""
    figure = plt.figure(figsize=(width, height), facecolor="white")
    ax = figure.add_axes((0, 0, 1, 1))
    ax.set(xlim=(0, width), ylim=(0, height))
    ax.set_axis_off()
    return ax


def save(ax: Axes, name: str) -> Path:
    """Write the picture of ``ax`` as ``name`` beside this file, and close it."""
    path = HERE / name
    ax.figure.savefig(path, dpi=150, facecolor="white", metadata={"Software": None})
    plt.close(ax.figure)
    return path


def node(ax: Axes, x: float, y: float, text: str, colour: str, radius: float = 0.23) -> None:
    """A round node: a vector of the network."""
    ax.add_patch(Circle((x, y), radius, facecolor="white", edgecolor=colour, linewidth=1.8, zorder=3))
    ax.text(x, y, text, ha="center", va="center", fontsize=11, zorder=4)


def cell(ax: Axes, x: float, y: float, text: str, colour: str, size: float = 0.36) -> None:
    """A square node for the small shapes; an empty text still draws the square."""
    box = FancyBboxPatch(
        (x - size / 2, y - size / 2),
        size,
        size,
        boxstyle="round,pad=0,rounding_size=0.06",
        facecolor="white",
        edgecolor=colour,
        linewidth=1.8,
        zorder=3,
    )
    ax.add_patch(box)
    ax.text(x, y - 0.01, text, ha="center", va="center", fontsize=10, zorder=4)


def arrow(ax: Axes, start, end, colour: str = INK, bend: float = 0.0, style: str = "-") -> None:
    """An arrow from ``start`` to ``end``, bent by ``bend``."""
    ax.add_patch(
        FancyArrowPatch(
            start,
            end,
            arrowstyle="-|>",
            mutation_scale=11,
            color=colour,
            linewidth=1.6,
            linestyle=style,
            connectionstyle=f"arc3,rad={bend}",
            shrinkA=0,
            shrinkB=0,
            zorder=2,
        )
    )


def label(ax: Axes, x: float, y: float, text: str, colour: str = INK, size: float = 11, **kwargs) -> None:
    """Text centred at (x, y)."""
    ax.text(x, y, text, ha=kwargs.pop("ha", "center"), va="center", fontsize=size, color=colour, **kwargs)


def column(ax: Axes, x: float, index: str) -> None:
    """Input, hidden state and output of one time step, with the two vertical arrows."""
    node(ax, x, 0.62, f"$x_{index}$", BLUE)
    node(ax, x, 1.62, f"$h_{index}$", VERMILION)
    node(ax, x, 2.62, f"$y_{index}$", GREEN)
    arrow(ax, (x, 0.86), (x, 1.38), BLUE)
    arrow(ax, (x, 1.86), (x, 2.38), GREEN)
    label(ax, x + 0.09, 1.11, XH, BLUE, ha="left")
    label(ax, x + 0.09, 2.11, HY, GREEN, ha="left")


def unrolled_rnn() -> Path:
    """The folded graph with its loop, and the same graph unrolled over three steps."""
    ax = canvas(7.0, 3.05)
    column(ax, 1.3, "t")
    loop = FancyArrowPatch(
        (1.09, 1.74),
        (1.09, 1.50),
        arrowstyle="-|>",
        mutation_scale=11,
        color=VERMILION,
        linewidth=1.6,
        connectionstyle="arc,angleA=160,angleB=200,armA=42,armB=42,rad=20",
        shrinkA=0,
        shrinkB=0,
        zorder=2,
    )
    ax.add_patch(loop)
    label(ax, 0.56, 1.62, HH, VERMILION)
    label(ax, 2.2, 1.62, "=", size=18)
    node(ax, 2.95, 1.62, "$h_0$", VERMILION)
    for index, x in enumerate((4.05, 5.2, 6.35), start=1):
        column(ax, x, str(index))
        start = 3.19 if index == 1 else x - 1.15 + 0.24
        arrow(ax, (start, 1.62), (x - 0.24, 1.62), VERMILION)
        label(ax, (start + x - 0.24) / 2 - 0.03, 1.8, HH, VERMILION)
    label(ax, 1.3, 0.17, "folded", size=10)
    label(ax, 5.2, 0.17, "unrolled: three time steps, one set of weights", size=10)
    return save(ax, "unrolled_rnn.png")


def steps(ax: Axes, left: float, bottom: float, count: int, inputs=(), outputs=(), first: int = 0) -> list[float]:
    """``count`` hidden states in a row, with inputs below and outputs above those that have them."""
    places = [left + 0.62 * i for i in range(count)]
    for i, x in enumerate(places):
        cell(ax, x, bottom + 0.62, "", VERMILION)
        if i:
            arrow(ax, (x - 0.43, bottom + 0.62), (x - 0.19, bottom + 0.62), VERMILION)
        if i in inputs:
            cell(ax, x, bottom, f"$x_{i - first + 1}$", BLUE)
            arrow(ax, (x, bottom + 0.19), (x, bottom + 0.43), BLUE)
        if i in outputs:
            cell(ax, x, bottom + 1.24, f"$y_{i - first + 1}$", GREEN)
            arrow(ax, (x, bottom + 0.81), (x, bottom + 1.05), GREEN)
    return places


def feed_back(ax: Axes, places: list[float], bottom: float) -> None:
    """Dashed arrows: each output is the next step's input."""
    for x, following in pairwise(places):
        arrow(ax, (x + 0.13, bottom + 1.05), (following - 0.11, bottom + 0.82), PINK, style=(0, (2.5, 1.5)))


def four_shapes() -> Path:
    """Many-to-one, one-to-many, many-to-many (aligned), encoder–decoder."""
    ax = canvas(7.0, 4.35)
    top, low = 2.6, 0.35
    label(ax, 1.5, 4.15, "many-to-one", size=11, weight="bold")
    steps(ax, 0.57, top, 4, inputs=range(4), outputs=())
    cell(ax, 0.57 + 3 * 0.62, top + 1.24, "$y$", GREEN)
    arrow(ax, (0.57 + 3 * 0.62, top + 0.81), (0.57 + 3 * 0.62, top + 1.05), GREEN)
    label(ax, 5.3, 4.15, "one-to-many", size=11, weight="bold")
    places = steps(ax, 4.37, top, 4, outputs=range(4))
    cell(ax, 3.75, top + 0.62, "$x$", BLUE)
    arrow(ax, (3.94, top + 0.62), (4.18, top + 0.62), BLUE)
    feed_back(ax, places, top)
    label(ax, 1.5, 1.9, "many-to-many, aligned", size=11, weight="bold")
    steps(ax, 0.57, low, 4, inputs=range(4), outputs=range(4))
    label(ax, 5.0, 1.9, "many-to-many, encoder–decoder", size=11, weight="bold")
    encoder = steps(ax, 3.4, low, 3, inputs=range(3))
    decoder = steps(ax, 5.4, low, 3, outputs=range(3))
    arrow(ax, (encoder[-1] + 0.19, low + 0.62), (decoder[0] - 0.19, low + 0.62), VERMILION)
    feed_back(ax, decoder, low)
    label(ax, decoder[1], low + 0.1, "dashed: fed back as input", PINK, size=9)
    label(ax, 5.3, top + 0.1, "dashed: fed back as input", PINK, size=9)
    return save(ax, "four_shapes.png")


def main() -> None:
    for draw in (unrolled_rnn, four_shapes):
        print(draw().name)


if __name__ == "__main__":
    main()
