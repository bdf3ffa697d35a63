"""Checks of the exercises of chapter 6.1, tools and resources."""

import torch
from torch import nn

from utils.exercises import Wrong, exercise, expect_callable, expect_tensor


def _expect_lists(answer, what: str, cases: dict[str, tuple[str, list]]) -> None:
    """``cases``: what is special about a ``what`` (a program, a text), the thing itself, and the list that is right."""
    for case, (given, expected) in cases.items():
        found = answer(given)
        if not isinstance(found, list):
            raise Wrong(f"A {what} with {case}: expected a list, found {type(found).__name__}.")
        if found != expected:
            raise Wrong(f"A {what} with {case}, {given!r}: {found} is not it.")


@exercise("6.1.1")
def data_lines(answer) -> None:
    """Lines on which an attribute ``.data`` is read, but not the module ``utils.data``."""
    expect_callable(answer, 1)
    cases = {
        "one old line": ("h = h.data\n", [1]),
        "no old line": ("h = h.detach()\n", []),
        "a comment and a string": ("# h.data\ntext = 'h.data'\n", []),
        "other names that begin alike": ("h.database\nh.data_ptr()\ndata = 1\n", []),
        "the modules": ("import torch\ntorch.utils.data.DataLoader([1])\nutils.data.names\n", []),
        "an old line below a module": ("from torch.utils.data import DataLoader\n\nprint(loss.data[0])\n", [3]),
        "two on one line": ("p.data.add_(p.grad.data)\n", [1]),
        "old lines inside a function": ("def f(h):\n    c = h.c.data\n    return g(h).data, c\n", [2, 3]),
    }
    _expect_lists(answer, "program", cases)


@exercise("6.1.2")
def targets(answer) -> None:
    """Targets of Markdown links, in order, once each, without those inside the page."""
    expect_callable(answer, 1)
    cases = {
        "one link": ("see [the page](https://a.example/x) now", ["https://a.example/x"]),
        "no link": ("brackets [alone] and (alone)", []),
        "two in one line, in order": ("[b](b.md) then [a](a.md)", ["b.md", "a.md"]),
        "a repeated one": ("[b](b.md), [a](a.md), [again](b.md)", ["b.md", "a.md"]),
        "one inside the page": ("[top](#top) and [other](x.md#top)", ["x.md#top"]),
        "several lines": ("[one](1)\n\n[two](2)\n", ["1", "2"]),
    }
    _expect_lists(answer, "text", cases)


@exercise("6.1.3")
def final_states(answer) -> None:
    """Final state of each sequence, as if it were read alone, in the order given."""
    expect_callable(answer, 2)
    with torch.random.fork_rng():
        torch.manual_seed(613)
        gru = nn.GRU(3, 4, batch_first=True)
        cases = {
            "in falling order of length": (6, 4, 4, 1),
            "in any order of length": (2, 6, 1, 5),
            "of equal lengths": (3, 3),
            "of a single sequence": (4,),
        }
        for case, lengths in cases.items():
            sequences = [torch.randn(t, 3) for t in lengths]
            expected = torch.cat([gru(s[None])[1][0] for s in sequences])  # (B, n)
            expect_tensor(answer(gru, list(sequences)), expected, f"For a batch {case}", tolerance=1e-5)
