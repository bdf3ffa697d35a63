"""The checks of notebook 3.6 pass the right answer and nothing else, and their hints name what is wrong."""

import math

import pytest
import torch

from utils import exercises
from utils.exercises import check


@pytest.fixture(autouse=True)
def only_this_part(monkeypatch):
    """The other parts of the book are tested elsewhere."""
    monkeypatch.setattr(exercises, "PARTS", {"3.6": "mathematics.memory"})


def forgetful_mse(k, low, high):
    return k * (high - low) ** 2 / 12


def toggle(hidden=((1.0, -2.0), (1.0, -2.0)), bias=(0.0, -1.0), readout=(1.0, -2.0), threshold=-0.5):
    """new parity = relu(p + x) - 2 relu(p + x - 1), with p = h_1 - 2 h_2"""
    return (
        torch.ones(2, 1),
        torch.tensor(hidden),
        torch.tensor(bias),
        torch.tensor([readout]),
        torch.tensor([threshold]),
    )


def stack_bits(kinds, depth):
    return math.log2(sum(kinds**level for level in range(depth + 1)))


def last_count(f, gap):
    if gap > 1:
        return 0
    return math.inf if f == 1 else math.floor(math.log(gap) / math.log(f)) + 1


def make_counter(lstm, forget=100.0, take=100.0, g=100.0, hidden=0.0, letters=(1.0, -1.0)):
    with torch.no_grad():
        for p in lstm.parameters():
            p.zero_()
        lstm.weight_ih_l0[2] = g * torch.tensor(letters)  # rows i, f, g, o
        lstm.bias_ih_l0[0], lstm.bias_ih_l0[1] = take, forget
        lstm.weight_hh_l0[2] = hidden


RIGHT = {"3.6.1": forgetful_mse, "3.6.2": toggle, "3.6.3": stack_bits, "3.6.4": last_count, "3.6.5": make_counter}

WRONG = [  # number, answer, words its hint must hold
    ("3.6.1", lambda k, a, b: k / 12, "wider interval"),
    ("3.6.1", lambda k, a, b: k * (b - a) / 12, "stretches its variance"),
    ("3.6.1", lambda k, a, b: k**2 * (b - a) ** 2 / 12, "partly cancel"),
    ("3.6.1", lambda k, a, b: math.sqrt(k * (b - a) ** 2 / 12), "standard deviation"),
    ("3.6.1", lambda k, a, b: k * (a * a + a * b + b * b) / 3, "another number than 0"),
    ("3.6.1", lambda k, a, b: float("nan"), "is not it"),
    ("3.6.1", lambda k, a: 1, "3 argument"),
    ("3.6.2", lambda: None, "empty"),
    ("3.6.2", lambda: toggle()[:4], "five tensors"),
    ("3.6.2", lambda: (*toggle()[:4], -0.5), "b_y: expected a tensor of shape (1,), found float"),
    ("3.6.2", lambda: (toggle()[0].T, *toggle()[1:]), "W_xh: expected a tensor of shape (2, 1), found (1, 2)"),
    ("3.6.2", lambda: toggle(readout=(-1.0, 2.0), threshold=0.5), "turn the readout round"),
    ("3.6.2", lambda: toggle(hidden=((0.0, 0.0), (0.0, 0.0))), "old parity enter"),
    ("3.6.2", lambda: toggle(threshold=0.5), "Wrong after the bits"),
    ("3.6.2", lambda: toggle(hidden=((0.97, -1.94), (0.97, -1.94))), "small errors add up"),
    ("3.6.3", lambda k, d: sum(k**i for i in range(d + 1)), "number of stacks"),
    ("3.6.3", lambda k, d: math.log(sum(k**i for i in range(d + 1))), "base 2"),
    ("3.6.3", lambda k, d: d * math.log2(k), "deepest stacks alone"),
    ("3.6.3", lambda k, d: math.log2(sum(k**i for i in range(1, d + 1))), "nothing open"),
    ("3.6.3", lambda k, d: math.ceil(stack_bits(k, d)), "do not round"),
    ("3.6.3", lambda k, d: math.log2((k ** (d + 1) - 1) / (k - 1)), "raised ZeroDivisionError"),
    ("3.6.4", lambda f, gap: last_count(f, gap) - 1, "one too few"),
    ("3.6.4", lambda f, gap: last_count(f, gap) + 1, "one too many"),
    ("3.6.4", lambda f, gap: math.log(gap) / math.log(f) + 1, "whole number"),
    ("3.6.4", lambda f, gap: math.inf, "smaller and smaller"),
    ("3.6.4", lambda f, gap: max(1, last_count(f, gap)), "one too many"),
    ("3.6.4", lambda f, gap: last_count(f, gap) if gap <= 1 else 7, "even the first letter"),
    ("3.6.4", lambda f, gap: last_count(min(f, 0.999), gap), "without a leak"),
    ("3.6.4", lambda f, gap: math.inf if f == 1 else last_count(f, gap), "leak or no leak"),
    ("3.6.5", torch.nn.LSTM(2, 1), "the function that changes a module"),
    ("3.6.5", lambda lstm: None, "as it was"),
    ("3.6.5", lambda lstm: make_counter(lstm, letters=(-1.0, 1.0)), "other way round"),
    ("3.6.5", lambda lstm: make_counter(lstm, g=float("nan")), "finite"),
    ("3.6.5", lambda lstm: make_counter(lstm, take=-100.0), "still 0"),
    ("3.6.5", lambda lstm: make_counter(lstm, take=0.0), "After one letter"),
    ("3.6.5", lambda lstm: make_counter(lstm, g=1.0), "After one letter"),
    ("3.6.5", lambda lstm: make_counter(lstm, letters=(1.0, 0.0)), "After one letter"),
    ("3.6.5", lambda lstm: make_counter(lstm, forget=-100.0), "forget gate must be open"),
    ("3.6.5", lambda lstm: make_counter(lstm, forget=5.0), "leaks"),
    ("3.6.5", lambda lstm: make_counter(lstm, g=10.0, hidden=20.0), "mixed words"),
]


def test_every_check_of_this_notebook_is_tested():
    assert [n for n in exercises.numbers() if n.startswith("3.6.")] == sorted(RIGHT)


@pytest.mark.parametrize("number", RIGHT)
def test_right_answer_passes(number, capsys):
    state = torch.get_rng_state()
    assert check(number, RIGHT[number])
    assert "right" in capsys.readouterr().out
    assert torch.equal(state, torch.get_rng_state())


def test_other_ways_to_the_right_answer_pass():
    assert check("3.6.2", toggle())
    assert check("3.6.2", lambda: [w.double() for w in toggle()])
    assert check("3.6.3", lambda kinds, depth: torch.tensor(float(sum(kinds**i for i in range(depth + 1)))).log2())
    assert check("3.6.5", lambda lstm: make_counter(lstm, forget=20.0, take=20.0, g=20.0))


@pytest.mark.parametrize(("number", "answer", "hint"), WRONG, ids=[f"{w[0]}-{w[2]}" for w in WRONG])
def test_wrong_answer_gets_its_hint(number, answer, hint, capsys):
    assert not check(number, answer)
    assert hint in capsys.readouterr().out
