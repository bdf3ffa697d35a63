"""Checks of the exercises of chapter 8.1, questions and answers."""

import torch
from torch import nn

from utils.exercises import Wrong, exercise, expect_bool, expect_callable, expect_number, expect_tensor


@exercise("8.1.1")
def top_state(answer) -> None:
    """The final state of the last layer, both directions side by side."""
    expect_callable(answer, 3)
    generator = torch.Generator().manual_seed(811)
    for layers, bidirectional in ((1, False), (3, False), (1, True), (2, True)):
        h_n = torch.randn(layers * (1 + bidirectional), 4, 5, generator=generator)  # (layers · directions, B, n)
        expected = torch.cat([h_n[-2], h_n[-1]], dim=1) if bidirectional else h_n[-1]
        case = f"With {layers} layer(s) and {2 if bidirectional else 1} direction(s)"
        expect_tensor(answer(h_n.clone(), layers, bidirectional), expected, case)


@exercise("8.1.2")
def detached(answer) -> None:
    """The same structure and values, without a history."""
    expect_callable(answer, 1)
    w = torch.randn(1, 4, 5, generator=torch.Generator().manual_seed(812), requires_grad=True)
    h, c = w * 2, w.tanh()
    cases = {
        "no state yet (None)": None,
        "the state of a GRU": h,
        "the state of an LSTM": (h, c),
        "a list of three layers' states": [(h, c), None, c],
    }
    for case, state in cases.items():
        _same(answer(state), state, case)
        if not h.requires_grad or not c.requires_grad:
            raise Wrong(
                "Your function changed the state it was given. Return detached tensors, leave the old ones alone."
            )


def _same(found: object, state: object, case: str) -> None:
    """``found`` has the structure and the values of ``state`` and no history."""
    if state is None:
        if found is not None:
            raise Wrong(f"For {case}: None should stay None; found {type(found).__name__}.")
    elif isinstance(state, torch.Tensor):
        expect_tensor(found, state, f"For {case}")
        if found.requires_grad:
            raise Wrong(f"For {case}: a tensor still knows how it was computed.")
    else:
        if type(found) is not type(state) or len(found) != len(state):
            kind = type(state).__name__
            raise Wrong(f"For {case}: expected a {kind} of {len(state)}, found {type(found).__name__}.")
        for part, original in zip(found, state, strict=True):
            _same(part, original, case)


@exercise("8.1.3")
def skill(answer) -> None:
    """One minus the ratio of two mean squared errors."""
    expect_callable(answer, 2)
    generator = torch.Generator().manual_seed(813)
    series = torch.randn(30, generator=generator).cumsum(0)  # (30,)
    guesses = {
        "a perfect forecast": series[1:],
        "persistence itself": series[:-1],
        "the mean of the series": series.mean().expand(29),
        "a forecast half way between now and the truth": (series[1:] + series[:-1]) / 2,
    }
    for case, guess in guesses.items():
        worse, base = (guess - series[1:]).square().mean(), series.diff().square().mean()
        expect_number(answer(series.clone(), guess.clone()), float(1 - worse / base), f"For {case}", tolerance=1e-5)


class _Steps(nn.Module):
    """A model made of a function of (1, T, d)."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


@exercise("8.1.4")
def looks_ahead(answer) -> None:
    """Whether an output depends on a later input."""
    expect_callable(answer, 2)
    with torch.random.fork_rng():
        torch.manual_seed(814)
        gru = nn.GRU(3, 4, batch_first=True)
        both = nn.GRU(3, 4, batch_first=True, bidirectional=True)
        x = torch.randn(1, 6, 3)
    models = {
        "a GRU": (lambda x: gru(x)[0], False),
        "a bidirectional GRU": (lambda x: both(x)[0], True),
        "a model that repeats its input": (lambda x: x, False),
        "a model that is one step late": (lambda x: torch.cat([x[:, :1], x[:, :-1]], dim=1), False),
        "a model that sees one step ahead": (lambda x: torch.cat([x[:, 1:], x[:, -1:]], dim=1), True),
        "a model that takes the mean of the whole sequence away": (lambda x: x - x.mean(dim=1, keepdim=True), True),
        "a model whose first step alone sees the last": (lambda x: torch.cat([x[:, -1:], x[:, 1:]], dim=1), True),
        "a model whose first step alone sees the second": (lambda x: torch.cat([x[:, 1:2], x[:, 1:]], dim=1), True),
        "a model that sees ahead and whose outputs always add up to 1": (lambda x: x.flip(1).softmax(dim=2), True),
    }
    for case, (function, expected) in models.items():
        found = answer(_Steps(function), x.clone())
        expect_bool(found, f"For {case}")
        if found != expected:
            raise Wrong(f"For {case}: your function says {found}.")


@exercise("8.1.5")
def unweighted(answer) -> None:
    """The odds divided by the weight, as a probability."""
    expect_callable(answer, 2)
    p = torch.tensor([0.01, 0.2, 0.5, 0.9, 0.999], dtype=torch.float64)
    for w in (1.0, 19.0, 0.25):
        expect_tensor(
            answer(p.clone(), w), p / (p + w * (1 - p)), f"With w = {w:g} (what does a weight do to the odds?)"
        )
    edge = torch.tensor([0.0, 1.0], dtype=torch.float64)
    expect_tensor(answer(edge.clone(), 19.0), edge, "Where the network is certain (odds of 0 and of infinity)")
