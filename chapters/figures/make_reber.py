"""Draw the grammar of 3.6: ``python chapters/figures/make_reber.py`` writes ``reber_grammar.png`` beside it."""

from math import hypot
from pathlib import Path

from make_figures import BLUE, GREEN, INK, VERMILION, arrow, canvas, label, node, save
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from utils.data.memory_tasks import REBER_ARCS

RADIUS, TOP = 0.2, 2.15  # of a node; height of the upper drawing's axis
PLACES = {0: (0.6, 0.0), 1: (1.6, 0.0), 2: (2.7, 0.75), 3: (2.7, -0.75), 4: (4.1, 0.75), 5: (4.1, -0.75)}
PLACES |= {6: (5.2, 0.0), 7: (6.2, 0.0)}


def arc(ax: Axes, start, end, symbol: str, colour: str = INK, gap: float = RADIUS) -> None:
    """A straight arrow from edge to edge of two nodes, with its symbol beside the middle."""
    (x0, y0), (x1, y1) = start, end
    dx, dy = (x1 - x0) / hypot(x1 - x0, y1 - y0), (y1 - y0) / hypot(x1 - x0, y1 - y0)
    arrow(ax, (x0 + gap * dx, y0 + gap * dy), (x1 - gap * dx, y1 - gap * dy), colour)
    side = 1 if dx > 0 or dy > 0 else -1  # above a line, left of one that goes up
    label(ax, (x0 + x1) / 2 - 0.15 * side * dy, (y0 + y1) / 2 + 0.15 * side * dx, symbol, colour)


def loop(ax: Axes, place, symbol: str, up: bool) -> None:
    """An arrow from a node back to itself, above or below it."""
    x, y = place
    sign = 1 if up else -1
    arrow(ax, (x - sign * 0.12, y + sign * RADIUS), (x + sign * 0.12, y + sign * RADIUS), bend=-2.2)
    label(ax, x, y + sign * 0.62, symbol)


def reber_grammar() -> Path:
    """Above, Reber's grammar with its states 0 to 7; below, the embedded grammar with two copies of it."""
    ax = canvas(6.8, 4.8)
    places = {state: (x, TOP + 1.05 + y) for state, (x, y) in PLACES.items()}
    for state, arcs in REBER_ARCS.items():
        node(ax, *places[state], str(state), BLUE, radius=RADIUS)
        for symbol, after in arcs.items():
            if after == state:
                loop(ax, places[state], symbol, up=state == 2)
            else:
                arc(ax, places[state], places[after], symbol)
    begin, fork, join, end = (0.6, 0.85), (1.6, 0.85), (5.2, 0.85), (6.2, 0.85)
    for place in (begin, fork, join, end):
        node(ax, *place, "", INK, radius=RADIUS)
    arc(ax, begin, fork, "B")
    arc(ax, join, end, "E")
    for side, y, colour in (("T", 1.35, GREEN), ("P", 0.35, VERMILION)):
        ax.add_patch(Rectangle((2.78, y - 0.22), 1.24, 0.44, facecolor="white", edgecolor=colour, linewidth=1.8))
        label(ax, 3.4, y, "Reber", colour)
        arc(ax, fork, (2.95, y), side, colour, gap=RADIUS)
        arc(ax, (3.85, y), join, side, colour, gap=RADIUS)
    return save(ax, "reber_grammar.png")


if __name__ == "__main__":
    print(reber_grammar().name)
