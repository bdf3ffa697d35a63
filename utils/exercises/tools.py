"""Checks of the exercises of chapter 6.1, tools and resources."""

import torch
from torch import nn

from utils.exercises import Wrong, exercise, expect_callable, expect_tensor


@exercise("6.1.1")
def year_of(answer) -> None:
    """The first year behind an opening bracket, or None."""
    expect_callable(answer, 1)
    cases = {
        "Elman, J. L. (1990). Finding structure in time. *Cognitive Science* 14(2), 179–211.": 1990,
        "Keras (2015–). GRU layer, argument `reset_after`.": 2015,
        "Hochreiter, S. (1991). Untersuchungen zu dynamischen neuronalen Netzen. Read again in (2001).": 1991,
        "Example, A. B. Report 1987, pages 1901–1950.": None,
        "Example, A. B. (the one of 1950). A title (20190 copies).": None,
        "Gauss, C. F. (1809). Theoria motus.": 1809,
    }
    for entry, expected in cases.items():
        found = answer(entry)
        if expected is None and found is not None:
            raise Wrong(f"For {entry!r}: no year stands directly behind a bracket, so None is due; found {found!r}.")
        if expected is not None and (type(found) is not int or found != expected):
            raise Wrong(f"For {entry!r}: {found!r} is not it. Is it a whole number, and the first that fits?")


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
    for case, (text, expected) in cases.items():
        found = answer(text)
        if not isinstance(found, list):
            raise Wrong(f"A text with {case}: expected a list, found {type(found).__name__}.")
        if found != expected:
            raise Wrong(f"A text with {case}, {text!r}: {found} is not it.")


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
