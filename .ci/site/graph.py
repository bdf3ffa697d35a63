"""Draw which chapter builds on which, as an SVG whose boxes are links (layers as in Sugiyama, Tagawa & Toda 1981)."""

import textwrap
from collections.abc import Mapping, Sequence
from html import escape
from itertools import pairwise

BOX, STEP = (134, 50), 82  # width and height of a box, distance of two layers
LANE, GAP = 8, 12  # width of an arrow that passes by, room between neighbours
Node = str | tuple[str, str, int]  # a chapter, or the place where an arrow passes a layer


def svg(titles: Mapping[str, str], needs: Mapping[str, Sequence[str]], links: Mapping[str, str]) -> str:
    """The graph of all chapters that need one or are needed; each stands below all that it needs.

    Args:
        titles, links: name and address of every chapter, in the order of the book.
        needs: the chapters that each builds on directly, of those that stand before it.
    """
    used = [c for c in titles if needs[c] or any(c in others for others in needs.values())]
    depth: dict[str, int] = {}
    for c in used:
        depth[c] = max((depth[n] + 1 for n in needs[c]), default=0)
    layers: list[list[Node]] = [[c for c in used if depth[c] == level] for level in range(max(depth.values()) + 1)]
    chains = []  # an arrow from layer to layer
    for c in used:
        for n in needs[c]:
            between = [(n, c, level) for level in range(depth[n] + 1, depth[c])]
            chains.append([n, *between, c])
            for place in between:
                layers[place[2]].append(place)
    x = places(layers, [pair for chain in chains for pair in pairwise(chain)])
    width, height = max(x.values()) + BOX[0] / 2 + 2, STEP * (len(layers) - 1) + BOX[1] + 4
    arrows = "".join(f'<path d="{curve(chain, x, depth)}"/>' for chain in chains)
    boxes = "".join(box(c, titles[c], links[c], x[c], STEP * depth[c] + BOX[1] / 2 + 2) for c in used)
    return (
        f'<svg class="chapters" viewBox="0 0 {width:.0f} {height}" style="max-width: {width:.0f}px" role="img" '
        'aria-label="Arrows lead from each chapter to those that build on it; the table below says the same.">'
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        f'<path d="M0 0L8 4L0 8z"/></marker></defs><g class="arrows">{arrows}</g>{boxes}</svg>'
    )


def places(layers: list[list[Node]], edges: list[tuple[Node, Node]]) -> dict[Node, float]:
    """The middle of every node: a few sweeps put each where its neighbours are, then all move clear of each other."""
    x: dict[Node, float] = {node: 90.0 * i for layer in layers for i, node in enumerate(layer)}
    for _ in range(40):
        for layer in (*layers, *reversed(layers)):
            for node in layer:
                beside = [x[a if b == node else b] for a, b in edges if node in (a, b)]
                x[node] = 0.5 * x[node] + 0.5 * sum(beside) / len(beside)
            layer.sort(key=x.__getitem__)
            need = [0.0, *(GAP + (size(a) + size(b)) / 2 for a, b in pairwise(layer))]
            offsets = [sum(need[: i + 1]) for i in range(len(need))]
            wanted = [x[node] - offset for node, offset in zip(layer, offsets, strict=True)]
            for node, offset, start in zip(layer, offsets, rising(wanted), strict=True):
                x[node] = start + offset
    left = min(x[node] - size(node) / 2 for layer in layers for node in layer) - 2
    return {node: value - left for node, value in x.items()}


def size(node: Node) -> float:
    """The width that a node takes in its layer."""
    return BOX[0] if isinstance(node, str) else LANE


def rising(values: list[float]) -> list[float]:
    """The rising sequence nearest to ``values`` (least squares; pool adjacent violators)."""
    blocks: list[list[float]] = []
    for value in values:
        blocks.append([value])
        while len(blocks) > 1 and mean(blocks[-2]) > mean(blocks[-1]):
            last = blocks.pop()
            blocks[-1] += last
    return [mean(block) for block in blocks for _ in block]


def mean(values: list[float]) -> float:
    return sum(values) / len(values)


def curve(chain: list[Node], x: dict[Node, float], depth: dict[str, int]) -> str:
    """From the lower edge of the first box through its lanes to the upper edge of the last."""
    top = [STEP * (depth[chain[0]] + i) + 2 for i in range(len(chain))]
    path, before = f"M{x[chain[0]]:.0f} {top[0] + BOX[1]}", x[chain[0]]
    for node, y in zip(chain[1:], top[1:], strict=True):
        middle = y - (STEP - BOX[1]) / 2
        path += f"C{before:.0f} {middle:.0f} {x[node]:.0f} {middle:.0f} {x[node]:.0f} {y}"
        if node != chain[-1]:
            path += f"V{y + BOX[1]}"
        before = x[node]
    return path


def box(number: str, title: str, link: str, x: float, y: float) -> str:
    """A linked box with the number and the title of a chapter, on two lines if it is long."""
    left, top = x - BOX[0] / 2, y - BOX[1] / 2
    lines = textwrap.wrap(title, 19)
    text = "".join(f'<text x="{x:.0f}" y="{y + 5 + 13 * i:.0f}">{escape(line)}</text>' for i, line in enumerate(lines))
    return (
        f'<a href="{escape(link)}"><rect x="{left:.0f}" y="{top:.0f}" width="{BOX[0]}" height="{BOX[1]}" rx="6"/>'
        f'<text x="{x:.0f}" y="{y - 9:.0f}" class="number">{number}</text>{text}</a>'
    )
