"""The checks of notebook 3.4 pass the right answer and nothing else, and their hints name what is wrong."""

import math

import pytest
import torch
from exercise_cases import shared_tests
from torch import nn

from utils import exercises


@pytest.fixture(autouse=True)
def only_this_part(monkeypatch):
    """The other parts of the book are tested elsewhere."""
    monkeypatch.setattr(exercises, "PARTS", {"3.4": "mathematics.lstm"})


def cifg(x, h, c, W_ih, W_hh, b, write=lambda f: 1 - f, keep=lambda f: f, shown=torch.tanh, order=(0, 1)):
    f, g, o = (x @ W_ih.T + h @ W_hh.T + b).chunk(3, -1)
    f, g, o = f.sigmoid(), g.tanh(), o.sigmoid()
    c = keep(f) * c + write(f) * g
    states = o * shown(c), c
    return states[order[0]], states[order[1]]


def variant(function, **arguments):
    """``function`` with some arguments fixed, and no others to be seen."""
    return lambda *given: function(*given, **arguments)


def parameters(d, n, layers, directions, bias, biases=2, above=None):
    above = n * directions if above is None else above(d, n)
    reads = [d] + [above] * (layers - 1)
    return sum(directions * 4 * n * (r + n + biases * bias) for r in reads)


def open_gates(lstm, value, place=lambda n: slice(n, 2 * n), other=0.0, only=""):
    with torch.no_grad():
        for name, p in lstm.named_parameters():
            if "bias" in name and only in name:
                p[place(lstm.hidden_size)] = value if "_ih" in name else other


def open_new(lstm, value):
    open_gates(lstm, value)
    lstm.bias_ih_l0 = nn.Parameter(lstm.bias_ih_l0.detach().clone())


def open_frozen(lstm, value):
    open_gates(lstm, value)
    lstm.bias_hh_l0.requires_grad_(False)


def open_and_scale(lstm, value):
    open_gates(lstm, value)
    with torch.no_grad():
        lstm.weight_hh_l0.mul_(0.5)


def peepholes(x, h, c, W_ih, W_hh, b, p_i, p_f, p_o, new=True, strength=1.0, swapped=False, exchanged=False):
    i, f, g, o = (x @ W_ih.T + h @ W_hh.T + b).chunk(4, -1)
    p_i, p_f = (p_f, p_i) if swapped else (p_i, p_f)
    i, f = torch.sigmoid(i + strength * p_i * c), torch.sigmoid(f + strength * p_f * c)
    later = f * c + i * g.tanh()
    h = torch.sigmoid(o + p_o * (later if new else c)) * later.tanh()
    return (later, h) if exchanged else (h, later)


def half_life(f):
    return math.log(2) / f.log().mean(dim=0).abs()


def counter(forget=40.0, write=40.0, candidate=40.0, b_letter=-1.0):
    W_ih = torch.zeros(4, 2, dtype=torch.float64)
    W_ih[2] = torch.tensor([candidate, b_letter * candidate])
    return W_ih, torch.zeros(4, 1, dtype=torch.float64), torch.tensor([write, forget, 0, 0], dtype=torch.float64)


RIGHT = {
    "3.4.1": [cifg],
    "3.4.2": [parameters],
    "3.4.3": [open_gates, lambda lstm, value: open_gates(lstm, value / 2, other=value / 2)],
    "3.4.4": [peepholes],
    "3.4.5": [half_life],
    "3.4.6": [counter(), list(counter()), tuple(p.float() for p in counter())],
}
WRONG = [
    ("3.4.1", variant(cifg, order=(1, 0)), "exchanged: first h"),
    ("3.4.1", variant(cifg, write=lambda f: f, keep=lambda f: 1 - f), "f says what is kept"),
    ("3.4.1", variant(cifg, write=lambda f: 1.0), "comes in whole"),
    ("3.4.1", variant(cifg, shown=lambda c: c), "passes a tanh"),
    ("3.4.1", lambda *given: cifg(*given)[0], "the pair"),
    ("3.4.1", lambda *given: tuple(0 * s for s in cifg(*given)), "values are not"),
    ("3.4.2", variant(parameters, biases=1), "two bias vectors"),
    ("3.4.2", variant(parameters, above=lambda d, n: d), "second one read"),
    ("3.4.2", variant(parameters, above=lambda d, n: n), "both directions"),
    ("3.4.2", lambda d, n, layers, directions, bias: 7, "is not it"),
    ("3.4.2", lambda *given: "many", "expected a number"),
    ("3.4.3", variant(open_gates, other=1.0), "begins with"),
    ("3.4.3", lambda lstm, value: open_gates(lstm, value, other=value), "twice"),
    ("3.4.3", variant(open_gates, place=lambda n: slice(0, n)), "outside the rows"),
    ("3.4.3", variant(open_gates, place=lambda n: slice(0, None)), "outside the rows"),
    ("3.4.3", variant(open_gates, only="l0"), "reach them all"),
    ("3.4.3", open_new, "another parameter"),
    ("3.4.3", open_frozen, "no longer trained"),
    ("3.4.3", open_and_scale, "only biases"),
    ("3.4.3", lambda lstm, value: None, "reach them all"),
    ("3.4.4", variant(peepholes, strength=0.0), "without peepholes"),
    ("3.4.4", variant(peepholes, new=False), "should see the new one"),
    ("3.4.4", variant(peepholes, swapped=True), "p_i and p_f"),
    ("3.4.4", variant(peepholes, exchanged=True), "first h, then c"),
    ("3.4.4", lambda *given: peepholes(*given)[1], "the pair"),
    ("3.4.4", lambda *given: tuple(s + 1 for s in peepholes(*given)), "values are not"),
    ("3.4.5", lambda f: -half_life(f), "sign"),
    ("3.4.5", lambda f: math.log(0.5) / f.mean(dim=0).log(), "multiplied, not added"),
    ("3.4.5", lambda f: (math.log(0.5) / f.log()).mean(dim=0), "mean of the half-lives"),
    ("3.4.5", lambda f: math.log(0.5) / f.log().sum(dim=0), "as one"),
    ("3.4.5", lambda f: math.log(0.5) / f.log().mean(dim=0), "keeps everything"),
    ("3.4.5", lambda f: half_life(f.clamp(min=1e-3)), "empties the cell"),
    ("3.4.5", lambda f: half_life(f.clamp(max=1 - 1e-9)), "keeps everything"),
    ("3.4.5", lambda f: math.log(2) / (f.prod(dim=0).log() / len(f)).abs(), "2,000 gates"),
    ("3.4.6", counter()[:2], "three tensors"),
    ("3.4.6", (torch.zeros(4, 1), *counter()[1:]), "shapes"),
    ("3.4.6", counter(b_letter=0.0), "at a b"),
    ("3.4.6", counter(write=0.0), "at an a"),
    ("3.4.6", counter(forget=4.0), "near enough"),
    ("3.4.6", tuple(p * math.nan for p in counter()), "After 1 letter"),
]


test_right_answers_pass, test_wrong_answers_get_their_hint, test_every_exercise_is_tried = shared_tests(RIGHT, WRONG)
