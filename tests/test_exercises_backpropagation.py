"""The checks of notebook 3.2 pass the right answer and nothing else, and their hints name what is wrong."""

import math

import pytest
import torch
from exercise_cases import shared_tests

from utils import exercises


@pytest.fixture(autouse=True)
def only_this_part(monkeypatch):
    """The other parts of the book are tested elsewhere."""
    monkeypatch.setattr(exercises, "PARTS", {"3.2": "mathematics.backpropagation"})


def step_back(delta, h, W_hh, slope=lambda h: h > 0, turned=False, through=True):
    alpha = delta * slope(h)
    return alpha, (alpha if through else delta) @ (W_hh.T if turned else W_hh)


def variant(function, **arguments):
    """``function`` with some arguments fixed, and no others to be seen."""
    return lambda *given: function(*given, **arguments)


def detach(state, leaf=lambda tensor: tensor.detach(), tuples=tuple, nested=True):
    if state is None:
        return None
    if isinstance(state, torch.Tensor):
        return leaf(state)
    inner = (lambda s: detach(s, leaf, tuples)) if nested else (lambda s: s.detach())
    return (tuples if isinstance(state, tuple) else list)(inner(s) for s in state)


def last_step(x, hs, W_hh, delta, state=-1, turned=False, steps=None):
    total = torch.zeros_like(W_hh)
    for t in list(range(len(hs) - 1, 0, -1))[:steps]:
        alpha = delta * (1 - hs[t] ** 2)
        total += alpha.T @ hs[t + state]
        delta = alpha @ W_hh
    return total.T if turned else total


def best_segment(T, sign=1):
    return min(range(1, T + 1), key=lambda s: (math.ceil(T / s) + s, sign * s))


RIGHT = {
    "3.2.1": [step_back, lambda *p: list(step_back(*p))],
    "3.2.2": [detach],
    "3.2.3": [lambda k, D: max(0, k - D) / k, lambda k, D: 1 - min(k, D) / k],
    "3.2.4": [last_step],
    "3.2.5": [best_segment],
}
WRONG = [
    ("3.2.1", variant(step_back, slope=lambda h: 1 - h**2), "derivative of tanh"),
    ("3.2.1", variant(step_back, slope=lambda h: h), "h itself"),
    ("3.2.1", variant(step_back, slope=lambda h: 1), "set to 0"),
    ("3.2.1", variant(step_back, turned=True), "backwards by its transpose"),
    ("3.2.1", variant(step_back, through=False), "not delta"),
    ("3.2.1", lambda *p: step_back(*p)[0], "the pair"),
    ("3.2.1", lambda *p: tuple(2 * v for v in step_back(*p)), "values are not"),
    ("3.2.2", lambda state: state.detach(), "AttributeError"),
    ("3.2.2", lambda state: torch.zeros(1) if state is None else detach(state), "stay None"),
    ("3.2.2", variant(detach, leaf=lambda t: t), "history"),
    ("3.2.2", variant(detach, leaf=lambda t: t.detach().clone()), "copied or changed"),
    ("3.2.2", variant(detach, tuples=list), "should stay one"),
    ("3.2.2", variant(detach, leaf=lambda t: t.detach_()), "lost its history"),
    ("3.2.2", lambda s: detach(s)[:1] if isinstance(s, tuple) else detach(s), "came out"),
    ("3.2.3", lambda k, D: (k - D) / k, "never negative"),
    ("3.2.3", lambda k, D: max(0, k - D), "their share"),
    ("3.2.3", lambda k, D: max(0, k - D + 1) / k, "one step too many"),
    ("3.2.3", lambda k, D: 0.5, "is not it"),
    ("3.2.4", variant(last_step, turned=True), "transposed"),
    ("3.2.4", variant(last_step, steps=1), "only the last use"),
    ("3.2.4", variant(last_step, state=0), "the one before"),
    ("3.2.4", lambda x, hs, W, delta: last_step(x, hs, W.T, delta), "the wrong way round"),
    ("3.2.4", lambda *p: 2 * last_step(*p), "values are not"),
    ("3.2.5", variant(best_segment, sign=-1), "a shorter segment"),
    ("3.2.5", lambda T: math.sqrt(T), "whole number"),
    ("3.2.5", lambda T: T, "a shorter segment"),
    ("3.2.5", lambda T: 1 if T < 4 else 2, "is not it"),
    ("3.2.5", lambda T: None, "is empty"),
    ("3.2.5", lambda T: math.inf, "whole number"),
]


test_right_answers_pass, test_wrong_answers_get_their_hint, test_every_exercise_is_tried = shared_tests(RIGHT, WRONG)
