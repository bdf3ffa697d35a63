"""The checks of part 2 pass the right answer and nothing else, and their hints name what is wrong."""

import pytest
import torch

from utils import exercises
from utils.exercises import check

NAN = float("nan")


@pytest.fixture(autouse=True)
def only_this_part(monkeypatch):
    """The other parts of the book are tested elsewhere."""
    monkeypatch.setattr(exercises, "PARTS", {"2": "concepts"})


def step(x_t, h, W_xh, W_hh, b_h):
    return torch.tanh(x_t @ W_xh.T + h @ W_hh.T + b_h)


def parameters(d, n, layers, both):
    k = 2 if both else 1
    return sum(k * (n * (d if layer == 0 else k * n) + n * n + 2 * n) for layer in range(layers))


SHAPES = {
    "a": ((4, 9, 7), (1, 4, 7)),
    "b": ((4, 9, 7), (1, 9, 7)),
    "c": ((4, 9, 7), (2, 4, 7)),
    "d": ((4, 9, 14), (2, 4, 7)),
    "e": ((9, 14), (6, 7)),
}


def unroll(x, h, *weights):
    states = []
    for x_t in x.unbind(1):
        h = step(x_t, h, *weights)
        states.append(h)
    return torch.stack(states, dim=1)


def contributions(x, W_xh, W_hh, b_h):
    copies = [W_hh.clone().requires_grad_() for _ in range(x.shape[1])]
    h = x.new_zeros(1, len(W_hh))
    for x_t, copy in zip(x.unbind(1), copies, strict=True):
        h = step(x_t, h, W_xh, copy, b_h)
    return torch.stack(torch.autograd.grad(h.sum(), copies))


def capitalised(text):
    first, result = " ", []
    for c in text:
        first = " " if c.isspace() else c if first == " " else first
        result.append(first.isupper())
    return result


RIGHT = {
    "2.1.1": step,
    "2.1.2": parameters,
    "2.1.3": SHAPES,
    "2.1.4": unroll,
    "2.1.5": contributions,
    "2.1.6": lambda k, dilations: 1 + (k - 1) * sum(dilations),
    "2.1.7": capitalised,
}

WRONG = [  # number, answer, words its hint must hold
    ("2.1.1", lambda x, h, W, U, b: x @ W.T + h @ U.T + b, "activation"),
    ("2.1.1", lambda x, h, W, U, b: torch.tanh(x @ W.T + h @ U.T), "bias"),
    ("2.1.1", lambda x, h, W, U, b: torch.tanh(x @ W.T + h @ U + b), "W_hh is multiplied"),
    ("2.1.1", lambda x, h, W, U, b: torch.tanh(x @ W + h @ U + b), "raised RuntimeError"),
    ("2.1.1", lambda x, h, W, U, b: torch.relu(x @ W.T + h @ U.T + b), "index"),
    ("2.1.1", lambda x, h, W, U, b: step(x, h, W, U, b).T, "shape"),
    ("2.1.1", lambda x, h, W, U, b: NAN * step(x, h, W, U, b), "index (0, 0)"),
    ("2.1.2", lambda d, n, layers, both: n * d + n * n + n, "two, b_ih and b_hh"),
    ("2.1.2", lambda d, n, layers, both: layers * parameters(d, n, 1, both), "layer above the first"),
    ("2.1.2", lambda d, n, layers, both: parameters(d, n, layers, False), "direction"),
    ("2.1.2", lambda d, n, layers, both: (1 + both) * parameters(d, n, layers, False), "layer above the first"),
    ("2.1.3", {k: v for k, v in SHAPES.items() if k != "d"}, "'d'"),
    ("2.1.3", SHAPES | {"a": ((4, 9, 7), (4, 1, 7))}, "(4, 1, 7) of h_n"),
    ("2.1.3", SHAPES | {"b": ((4, 9, 7), (1, 4, 7))}, "first dimension of the input is time"),
    ("2.1.3", SHAPES | {"c": ((4, 9, 14), (2, 4, 7))}, "top layer"),
    ("2.1.3", SHAPES | {"d": ((4, 9, 14), (1, 4, 14))}, "two directions"),
    ("2.1.3", SHAPES | {"e": ((1, 9, 14), (6, 1, 7))}, "without a batch"),
    ("2.1.3", SHAPES | {"a": (4, 9, 7)}, "two shapes"),
    ("2.1.3", SHAPES | {"a": ("(4, 9, 7)", "(1, 4, 7)")}, "two shapes"),
    ("2.1.4", lambda *a: unroll(*a)[:, -1], "last state alone"),
    ("2.1.4", lambda x, h, *w: unroll(x, 0 * h, *w), "h_0"),
    ("2.1.4", lambda *a: unroll(*a).transpose(0, 1), "time comes first"),
    ("2.1.4", lambda x, h, *w: torch.cat([h[:, None], unroll(x, h, *w)], dim=1), "h_0 is the state before"),
    ("2.1.4", lambda x, h, *w: unroll(x[:, :3], h, *w), "expected shape (3, 12, 2)"),
    ("2.1.5", lambda *a: contributions(*a).sum(0), "keep the 1 contributions apart"),
    ("2.1.5", lambda *a: contributions(*a).flip(0), "reverse"),
    ("2.1.5", lambda *a: contributions(*a).transpose(1, 2), "index"),
    ("2.1.5", lambda x, *w: contributions(x, *w)[-1:], "expected shape (4, 3, 3)"),
    ("2.1.6", lambda k, dilations: k * sum(dilations), "gaps"),
    ("2.1.6", lambda k, dilations: 1 + (k - 1) * len(dilations), "dilations=[1, 2, 4, 8]"),
    ("2.1.6", lambda k, dilations: (k - 1) * sum(dilations), "widen the view"),
    ("2.1.6", lambda k, dilations: torch.ones(3), "found Tensor"),
    ("2.1.7", lambda text: [c.isupper() for c in text], "index"),
    ("2.1.7", lambda text: torch.ones(len(text), 2), "one truth value"),
    ("2.1.7", lambda text: torch.tensor(True), "one truth value"),
    ("2.1.7", lambda text: capitalised(text.lstrip()), "length"),
    ("2.1.7", lambda text: capitalised(text)[:-1], "length"),
    ("2.1.7", lambda text: [word[0].isupper() for word in text.split()], "length"),
]  # fmt: skip


def test_every_check_of_this_part_is_tested():
    assert [number for number in exercises.numbers() if number.startswith("2.")] == sorted(RIGHT)


@pytest.mark.parametrize("number", RIGHT)
def test_right_answer_passes(number, capsys):
    state = torch.get_rng_state()
    assert check(number, RIGHT[number])
    assert "right" in capsys.readouterr().out
    assert torch.equal(state, torch.get_rng_state())


@pytest.mark.parametrize(("number", "answer", "hint"), WRONG, ids=[f"{w[0]}-{w[2]}" for w in WRONG])
def test_wrong_answer_gets_its_hint(number, answer, hint, capsys):
    assert not check(number, answer)
    assert hint in capsys.readouterr().out
