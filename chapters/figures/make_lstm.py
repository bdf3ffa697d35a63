"""Draw the schematic of notebook 3.4: ``python chapters/figures/make_lstm.py`` writes ``lstm_cell.png`` beside it."""

from pathlib import Path

from make_figures import BLUE, GREEN, INK, ORANGE, PINK, VERMILION, arrow, canvas, cell, label, node, save
from matplotlib.axes import Axes

BUS, GATES, PRODUCT, CAROUSEL = 0.55, 1.3, 2.1, 2.95  # heights: inputs, gates, i times g, cell state


def line(ax: Axes, xs, ys, colour: str = INK) -> None:
    """A line without an arrow head."""
    ax.plot(xs, ys, color=colour, linewidth=1.6, solid_capstyle="round", zorder=1)


def lstm_cell() -> Path:
    """The carousel on top, the three gates and the candidate below it, one input for all four."""
    ax = canvas(7.0, 3.5)
    gates = {"f": (1.9, VERMILION), "i": (2.95, GREEN), "g": (3.85, PINK), "o": (5.15, ORANGE)}
    line(ax, (0.95, 5.15), (BUS, BUS), BLUE)
    label(ax, 0.55, BUS, "$x_t,\\ h_{t-1}$", BLUE)
    for name, (x, colour) in gates.items():
        arrow(ax, (x, BUS), (x, GATES - 0.2), BLUE)
        cell(ax, x, GATES, f"${name}_t$", colour, size=0.38)
        label(ax, x + 0.08, GATES - 0.34, "tanh" if name == "g" else r"$\sigma$", size=9, ha="left")
    arrow(ax, (0.95, CAROUSEL), (1.67, CAROUSEL))
    label(ax, 0.6, CAROUSEL, "$c_{t-1}$")
    node(ax, 1.9, CAROUSEL, r"$\times$", INK, radius=0.2)
    arrow(ax, (1.9, GATES + 0.2), (1.9, CAROUSEL - 0.21), VERMILION)
    arrow(ax, (2.11, CAROUSEL), (3.19, CAROUSEL))
    node(ax, 3.4, PRODUCT, r"$\times$", INK, radius=0.2)
    line(ax, (2.95, 2.95), (GATES + 0.2, PRODUCT), GREEN)
    arrow(ax, (2.95, PRODUCT), (3.19, PRODUCT), GREEN)
    line(ax, (3.85, 3.85), (GATES + 0.2, PRODUCT), PINK)
    arrow(ax, (3.85, PRODUCT), (3.61, PRODUCT), PINK)
    arrow(ax, (3.4, PRODUCT + 0.21), (3.4, CAROUSEL - 0.21))
    node(ax, 3.4, CAROUSEL, "$+$", INK, radius=0.2)
    arrow(ax, (3.61, CAROUSEL), (6.2, CAROUSEL))
    label(ax, 6.45, CAROUSEL, "$c_t$")
    arrow(ax, (5.6, CAROUSEL), (5.6, PRODUCT + 0.21))
    label(ax, 5.7, 2.55, "tanh", size=9, ha="left")
    node(ax, 5.6, PRODUCT, r"$\times$", INK, radius=0.2)
    line(ax, (5.15, 5.15), (GATES + 0.2, PRODUCT), ORANGE)
    arrow(ax, (5.15, PRODUCT), (5.39, PRODUCT), ORANGE)
    arrow(ax, (5.81, PRODUCT), (6.2, PRODUCT))
    label(ax, 6.45, PRODUCT, "$h_t$")
    names = {1.9: "forget", 2.95: "input", 3.85: "candidate", 5.15: "output"}
    for x, text in names.items():
        label(ax, x, BUS - 0.25, text, size=9)
    return save(ax, "lstm_cell.png")


if __name__ == "__main__":
    print(lstm_cell().name)
