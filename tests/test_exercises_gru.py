"""The checks of notebook 3.5 pass the right answer and nothing else, and their hints name what is wrong."""

import math

import pytest
import torch
from torch import nn

from utils import exercises
from utils.exercises import check


@pytest.fixture(autouse=True)
def only_this_part(monkeypatch):
    """The other parts of the book are tested elsewhere."""
    monkeypatch.setattr(exercises, "PARTS", {"3.5": "mathematics.gru"})


def step_2014(x_t, h, W_ih, W_hh, b, order=(0, 1, 2), form="before", keep=True):
    parts = zip((x_t @ W_ih.T + b).chunk(3, -1), W_hh.chunk(3), strict=True)
    parts = list(parts)
    (a_r, W_r), (a_z, W_z), (a_n, W_n) = (parts[i] for i in order)
    r, z = torch.sigmoid(a_r + h @ W_r.T), torch.sigmoid(a_z + h @ W_z.T)
    past = {"before": (r * h) @ W_n.T, "after": r * (h @ W_n.T), "none": h @ W_n.T}[form]
    n_t = torch.tanh(a_n + past)
    return (1 - z) * n_t + z * h if keep else z * n_t + (1 - z) * h


def half_life(z):
    return math.log(2) / z.log().abs()


def convert(state, rows=lambda n: slice(n, 2 * n), only=""):
    state = {name: value.clone() for name, value in state.items()}
    for name, value in state.items():
        if only in name:
            value[rows(len(value) // 3)] *= -1
    return state


def convert_in_place(state):
    for value in state.values():
        value[len(value) // 3 : 2 * len(value) // 3] *= -1
    return state


def set_update_bias(gru, value, place=lambda n: slice(n, 2 * n), both=0.0, only=""):
    n = gru.hidden_size
    with torch.no_grad():
        for name, p in gru.named_parameters():
            if "bias" in name and name.endswith(only):
                p[place(n)] = value if "_ih" in name else both


def set_new_parameters(gru, value):
    set_update_bias(gru, value)
    gru.bias_ih_l0 = nn.Parameter(gru.bias_ih_l0.detach().clone())


def set_weights_too(gru, value):
    set_update_bias(gru, value)
    with torch.no_grad():
        gru.weight_hh_l0[0, 0] += 1


def mgu_step(x_t, h, W_ih, W_hh, b, form="before", keep=False):
    (a_f, a_n), (W_f, W_n) = (x_t @ W_ih.T + b).chunk(2, -1), W_hh.chunk(2)
    f = torch.sigmoid(a_f + h @ W_f.T)
    n_t = torch.tanh(a_n + {"before": (f * h) @ W_n.T, "after": f * (h @ W_n.T), "none": h @ W_n.T}[form])
    return f * h + (1 - f) * n_t if keep else (1 - f) * h + f * n_t


def closest(d, n, biases=2):
    wanted = 3 * n * (d + n + biases)
    return min(range(1, n + 1), key=lambda m: abs(4 * m * (d + m + biases) - wanted))


def latch(size=40.0, candidate=20.0, hidden=1, **arguments):
    """z is open (0) at a mark and shut (1) elsewhere; the candidate is the bit."""
    gru = nn.GRU(2, hidden, **arguments)
    with torch.no_grad():
        for p in gru.parameters():
            p.zero_()
        gru.weight_ih_l0[hidden, 1], gru.bias_ih_l0[hidden] = -size, size / 2
        gru.weight_ih_l0[2 * hidden, 0] = candidate
    return gru


RIGHT = {
    "3.5.1": step_2014,
    "3.5.2": half_life,
    "3.5.3": convert,
    "3.5.4": set_update_bias,
    "3.5.5": mgu_step,
    "3.5.6": closest,
    "3.5.7": latch(),
}

WRONG = [  # number, answer, words its hint must hold
    ("3.5.1", lambda *a: step_2014(*a, form="after"), "PyTorch's step"),
    ("3.5.1", lambda *a: step_2014(*a, form="none"), "reset gate is missing"),
    ("3.5.1", lambda *a: step_2014(*a, order=(1, 0, 2)), "two gates are exchanged"),
    ("3.5.1", lambda *a: step_2014(*a, keep=False), "two weights are exchanged"),
    ("3.5.1", lambda *a: step_2014(*a).T, "shape"),
    ("3.5.1", lambda x, h, W, U, b: step_2014(x, h, W, U, 0 * b), "index"),
    ("3.5.2", lambda z: z.log() / math.log(2), "index"),
    ("3.5.2", lambda z: math.log(2) / z.log(), "positive"),
    ("3.5.2", lambda z: 1 / (1 - z), "mean age"),
    ("3.5.2", lambda z: math.log(0.5) / z.log(), "never falls to one half"),
    ("3.5.2", lambda z: math.log(0.5) / z.clamp(0.01, 1 - 1e-9).log(), "z = 0"),
    ("3.5.2", lambda z: torch.where(z == 1, math.nan, half_life(z)), "NaN"),
    ("3.5.2", lambda z: half_life(z).float().max(), "shape"),
    ("3.5.3", lambda s: convert(s, only="weight"), "bias_ih_l0 is as before"),
    ("3.5.3", lambda s: convert(s, only="_ih"), "weight_hh_l0 is as before"),
    ("3.5.3", lambda s: convert(s, only="l0"), "3 layer(s), 1 direction(s): weight_ih_l1 is as before"),
    ("3.5.3", lambda s: convert(s, rows=lambda n: slice(None)), "all rows"),
    ("3.5.3", lambda s: convert(s, rows=lambda n: slice(n)), "the rows of r changed"),
    ("3.5.3", lambda s: convert(s, rows=lambda n: slice(2 * n, None)), "index"),
    ("3.5.3", lambda s: {k: 1 - v for k, v in s.items()}, "index"),
    ("3.5.3", lambda s: list(s.values()), "dictionary with the same names"),
    ("3.5.3", convert_in_place, "work on copies"),
    ("3.5.4", lambda g, v: set_update_bias(g, v, both=v), "twice the value"),
    ("3.5.4", lambda g, v: set_update_bias(g, v, place=lambda n: slice(n)), "outside the rows of z"),
    ("3.5.4", lambda g, v: set_update_bias(g, v, place=lambda n: slice(None)), "outside the rows of z"),
    ("3.5.4", lambda g, v: set_update_bias(g, v, only="l0"), "3 layer(s), 1 direction(s)"),
    ("3.5.4", lambda g, v: set_update_bias(g, -v), "not 2"),
    ("3.5.4", lambda g, v: None, "reach them all"),
    ("3.5.4", set_new_parameters, "another parameter"),
    ("3.5.4", set_weights_too, "weight_hh_l0 has changed"),
    ("3.5.5", lambda *a: mgu_step(*a, keep=True), "convention"),
    ("3.5.5", lambda *a: mgu_step(*a, form="after"), "before the product"),
    ("3.5.5", lambda *a: mgu_step(*a, form="none"), "not all of h"),
    ("3.5.5", lambda x, h, W, U, b: mgu_step(x, h, W, U, 0 * b), "index"),
    ("3.5.6", lambda d, n: n, "another size comes closer"),
    ("3.5.6", lambda d, n: round(3 * n / 4), "Three quarters"),
    ("3.5.6", lambda d, n: closest(d, n, biases=0), "Both biases count"),
    ("3.5.6", lambda d, n: math.sqrt(0.75) * n, "whole number"),
    ("3.5.6", lambda d, n: math.nan, "is not it"),
    ("3.5.6", lambda d, n: math.inf, "whole number"),
    ("3.5.7", latch(hidden=2), "nn.GRU(2, 1)"),
    ("3.5.7", nn.LSTM(2, 1), "found LSTM"),
    ("3.5.7", latch(size=-40.0), "taken up at once"),
    ("3.5.7", latch(candidate=-20.0), "taken up at once"),
    ("3.5.7", latch(candidate=1.0), "taken up at once"),
    ("3.5.7", latch(size=0.0), "taken up at once"),
    ("3.5.7", latch(size=10.0), "fades"),
]  # fmt: skip


def test_every_check_of_this_part_is_tested():
    assert [number for number in exercises.numbers() if number.startswith("3.5")] == sorted(RIGHT)


@pytest.mark.parametrize("number", RIGHT)
def test_right_answer_passes(number, capsys):
    state = torch.get_rng_state()
    assert check(number, RIGHT[number])
    assert "right" in capsys.readouterr().out
    assert torch.equal(state, torch.get_rng_state())


def test_a_latch_may_read_batch_first_or_use_float64():
    assert check("3.5.7", latch(batch_first=True))
    assert check("3.5.7", latch(dtype=torch.float64))


def test_a_latch_that_takes_every_bit_is_refused(capsys):
    gru = latch()
    with torch.no_grad():
        gru.weight_ih_l0[1, 1], gru.bias_ih_l0[1] = 0.0, -20.0  # z = 0 always
    assert not check("3.5.7", gru)
    assert "One step after the mark" in capsys.readouterr().out


@pytest.mark.parametrize(("number", "answer", "hint"), WRONG, ids=[f"{w[0]}-{w[2]}" for w in WRONG])
def test_wrong_answer_gets_its_hint(number, answer, hint, capsys):
    assert not check(number, answer)
    assert hint in capsys.readouterr().out
