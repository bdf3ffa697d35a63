"""The checks of notebook 3.1 pass the right answer and nothing else, and their hints name what is wrong."""

import pytest
import torch
from exercise_cases import shared_tests
from torch.nn import functional as F

from utils import exercises


@pytest.fixture(autouse=True)
def only_this_part(monkeypatch):
    """The other parts of the book are tested elsewhere."""
    monkeypatch.setattr(exercises, "PARTS", {"3.1": "mathematics.recurrence"})


def step(x, h, W_xh, W_hh, b_h, W_hy, V, b_y, turned=False, old=False, skip=True, g=lambda a: a):
    h_t = torch.tanh(x @ W_xh.T + h @ (W_hh if turned else W_hh.T) + b_h)
    return h_t, g((h if old else h_t) @ W_hy.T + (x @ V.T if skip else 0) + b_y)


def variant(function, **arguments):
    """``function`` with some arguments fixed, and no others to be seen."""
    return lambda *given: function(*given, **arguments)


def turn(rnn, x, data=True, out=True, state=True):
    y, h = rnn(x.transpose(0, 1) if data else x)
    return (y.transpose(0, 1) if out else y), (h.transpose(0, 1) if state else h)


def turn_module(rnn, x):
    rnn.batch_first = True
    y, h = rnn(x)
    return y, h.transpose(0, 1)


def regroup(rnn, x):
    y, h = rnn(x.transpose(0, 1))
    return y.reshape(*x.shape[:2], -1), h.transpose(0, 1)


def delay_line(signs=(1.0, -1.0), keep=0.0, weights=(1.0, 1.0, 1.0), shift=1.0):
    """Three units per sign: now, one step ago, two steps ago."""
    n = 3 * len(signs)
    W_xh, W_hh, W_hy = torch.zeros(n, 1), torch.zeros(n, n), torch.zeros(1, n)
    for k, sign in enumerate(signs):
        W_xh[3 * k, 0], W_hy[0, 3 * k : 3 * k + 3] = sign, sign * torch.tensor(weights)
        W_hh[3 * k + 1, 3 * k] = W_hh[3 * k + 2, 3 * k + 1] = shift
        W_hh[3 * k + 2, 3 * k + 2] = keep
    return W_xh, W_hh, torch.zeros(n), W_hy, torch.zeros(1)


def without_skip(W_xh, W_hh, b_h, W_hy, V, b_y, signs=(1.0, -1.0)):
    d, m = V.shape[1], len(signs) * V.shape[1]
    eye = torch.eye(d, dtype=V.dtype)
    return (
        torch.cat([W_xh, *(s * eye for s in signs)]),
        F.pad(W_hh, (0, m, 0, m)),
        F.pad(b_h, (0, m)),
        torch.cat([W_hy, *(s * V for s in signs)], dim=1),
        b_y,
    )


def multiplications(T, B, d, n, q, layers, both, every=True, above=None, seen=None, out=True):
    reads = [d] + [both * n if above is None else d] * (layers - 1)
    readout = out * q * (both if seen is None else 1) * n * (T if every else 1)
    return T * B * sum(both * n * (width + n) for width in reads) + B * readout


RIGHT = {
    "3.1.1": [step, lambda *p: list(step(*p))],
    "3.1.2": [turn],
    "3.1.3": [delay_line(), list(delay_line()), tuple(p.double() for p in delay_line())],
    "3.1.4": [without_skip],
    "3.1.5": [multiplications],
}
WRONG = [
    ("3.1.1", variant(step, turned=True), "wrong way round"),
    ("3.1.1", variant(step, old=True), "state before"),
    ("3.1.1", variant(step, skip=False), "straight to the output"),
    ("3.1.1", variant(step, g=torch.tanh), "identity"),
    ("3.1.1", lambda *p: step(*p)[0], "the pair"),
    ("3.1.1", lambda *p: step(*p)[::-1], "first h_t"),
    ("3.1.1", lambda x, h, W, U, b, *p: (x @ W.T + h @ U.T + b, 0), "tanh around it"),
    ("3.1.1", lambda *p: tuple(s + 1 for s in step(*p)), "values are not"),
    ("3.1.2", variant(turn, data=False, out=False), "ran through the batch"),
    ("3.1.2", variant(turn, out=False), "time axis first"),
    ("3.1.2", variant(turn, state=False), "layers · directions first"),
    ("3.1.2", turn_module, "was changed"),
    ("3.1.2", regroup, "reshape"),
    ("3.1.2", lambda rnn, x: turn(rnn, x)[0], "the pair"),
    ("3.1.2", lambda rnn, x: tuple(2 * s for s in turn(rnn, x)), "values are not"),
    ("3.1.3", delay_line(signs=(1.0,)), "positive inputs only"),
    ("3.1.3", delay_line(keep=1.0), "all inputs so far"),
    ("3.1.3", delay_line(keep=0.5), "first output is right"),
    ("3.1.3", delay_line(shift=0.0), "first output is right"),
    ("3.1.3", delay_line(weights=(0.0, 1.0, 1.0)), "Even the first"),
    ("3.1.3", (*[torch.tensor(v) for v in ([[1.0], [-1.0]], [[1.0, -1.0], [-1.0, 1.0]])], torch.zeros(2),
               torch.tensor([[1.0, -1.0]]), torch.zeros(1)), "all inputs so far"),
    ("3.1.3", delay_line()[:4], "five tensors"),
    ("3.1.3", (*delay_line()[:4], torch.zeros(2)), "b_y"),
    ("3.1.4", lambda *p: p[:4] + p[5:], "what it did as well"),
    ("3.1.4", variant(without_skip, signs=(1.0,)), "negative ones"),
    ("3.1.4", lambda *p: p, "five tensors"),
    ("3.1.4", lambda *p: (p[0], p[1], p[2], p[3].T, p[5]), "W_hy"),
    ("3.1.4", lambda *p: without_skip(*p[:5], p[5] + 1), "values are not"),
    ("3.1.5", variant(multiplications, out=False), "is missing"),
    ("3.1.5", variant(multiplications, every=False), "not only at the last"),
    ("3.1.5", variant(multiplications, above="d"), "above the first"),
    ("3.1.5", variant(multiplications, seen=1), "both directions"),
    ("3.1.5", lambda *p: 2 * multiplications(*p), "additions"),
    ("3.1.5", lambda T, B, *p: multiplications(T, 1, *p), "Every sequence"),
    ("3.1.5", lambda *p: 17, "is not it"),
    ("3.1.5", lambda *p: None, "is empty"),
]  # fmt: skip


test_right_answers_pass, test_wrong_answers_get_their_hint, test_every_exercise_is_tried = shared_tests(RIGHT, WRONG)
