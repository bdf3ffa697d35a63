"""The checks of notebook 4.4 pass the right answer and nothing else, and their hints name what is wrong."""

import itertools
import math

import numpy as np
import pytest
import torch
from exercise_cases import shared_tests
from scipy import stats

from utils import exercises


@pytest.fixture(autouse=True)
def only_this_part(monkeypatch):
    """The other parts of the book are tested elsewhere."""
    monkeypatch.setattr(exercises, "PARTS", {"4.4": "practice.training"})


def variant(function, **arguments):
    """``function`` with some arguments fixed, and no others to be seen."""
    return lambda *given: function(*given, **arguments)


def floor(K):
    return math.log(1 + (K - 1) / math.e)


def floor_by_torch(K):
    perfect = torch.eye(K, dtype=torch.float64)[:1] if K < 1000 else torch.cat(
        [torch.ones(1, 1), torch.zeros(1, K - 1)], dim=1
    ).double()  # fmt: skip
    return torch.nn.functional.cross_entropy(perfect, torch.tensor([0]))


def locked(x, p, training, shape=lambda T, B, n: (1, B, n), scale=True, keep=lambda p: 1 - p, always=False):
    if not (training or always) or p == 0:
        return x
    mask = torch.bernoulli(torch.full(shape(*x.shape), keep(p)))
    return x * (mask / (1 - p) if scale else mask)


def locked_rand(x, p, training):
    keep = (torch.rand_like(x[:1]) >= p).float() / (1 - p) if training else 1.0
    return x * keep


def locked_in_place(x, p, training):
    return x.mul_(locked(torch.ones_like(x), p, training))


def locked_detached(x, p, training):
    return locked(x, p, training).detach().requires_grad_()


def locked_frozen(x, p, training):
    torch.manual_seed(1)
    return locked(x, p, training)


def clipped(gradients, limit, always=False):
    norm = torch.stack([v.norm() for v in gradients]).norm()
    factor = limit / norm if always or norm > limit else 1.0
    return [v * factor for v in gradients]


def clipped_flat(gradients, limit):
    norm = torch.cat([v.flatten() for v in gradients]).norm()
    return [v * (limit / (norm + 1e-12)).clamp(max=1.0) for v in gradients]


def clipped_in_place(gradients, limit):
    for v, new in zip(gradients, clipped(gradients, limit), strict=True):
        v.copy_(new)
    return gradients


def clipped_returning_given(gradients, limit):
    norm = torch.stack([v.norm() for v in gradients]).norm()
    return [v * limit / norm for v in gradients] if norm > limit else gradients


def paired(d, s, rho, m=2, sides=2, free=lambda m: m - 1, ratio=True):
    rho = rho if ratio else 0.0
    while True:
        t = stats.t.ppf(1 - 0.05 / sides, free(m)) + stats.t.ppf(0.8, free(m))
        if m >= t**2 * 2 * (1 - rho) * (s / d) ** 2:
            return m
        m += 1


def sound(pieces, inside=True, across=True):
    within = all(torch.equal(y[:-1], x[1:]) for x, y in pieces)
    between = all(torch.equal(a[1][-1], b[0][0]) for a, b in itertools.pairwise(pieces))
    return (within or not inside) and (between or not across)


def sound_joined(pieces):
    x, y = (torch.cat(parts) for parts in zip(*pieces, strict=True))
    return (x[1:] == y[:-1]).all()


RIGHT = {
    "4.4.1": [floor, floor_by_torch, lambda K: torch.tensor(floor(K))],
    "4.4.2": [locked, locked_rand],
    "4.4.3": [clipped, clipped_flat, lambda gradients, limit: tuple(clipped(gradients, limit))],
    "4.4.4": [paired, lambda d, s, rho: float(paired(d, s, rho))],
    "4.4.5": [sound, sound_joined, lambda pieces: np.bool_(sound(pieces)), lambda pieces: torch.tensor(sound(pieces))],
}
WRONG = [
    ("4.4.1", lambda K: -floor(K), "minus the logarithm"),
    ("4.4.1", math.log, "knows nothing"),
    ("4.4.1", lambda K: math.log(1 + K / math.e), "How many others"),
    ("4.4.1", lambda K: 0.0, "never gives a 1"),
    ("4.4.1", lambda K: 3.58, "is not it"),
    ("4.4.1", 3.58, "the function itself"),
    ("4.4.2", variant(locked, shape=lambda T, B, n: (T, B, n)), "step to step"),
    ("4.4.2", variant(locked, shape=lambda T, B, n: (1, 1, n)), "share one mask"),
    ("4.4.2", variant(locked, shape=lambda T, B, n: (1, B, 1)), "own fate"),
    ("4.4.2", variant(locked, scale=False), "the mean shrinks"),
    ("4.4.2", variant(locked, keep=lambda p: p if p != 0.5 else 1 - p), "the share that stays"),
    ("4.4.2", variant(locked, always=True), "nothing should be dropped"),
    ("4.4.2", lambda x, p, training: x + 0, "either dropped"),
    ("4.4.2", lambda x, p, training: x * (torch.rand_like(x[:1]) + 1), "either dropped"),
    ("4.4.2", lambda x, p, training: locked(x, p, training)[0], "expected a tensor of shape"),
    ("4.4.2", locked_in_place, "changed its input"),
    ("4.4.2", locked_detached, "gradient does not come through"),
    ("4.4.2", locked_frozen, "drawn anew"),
    ("4.4.3", lambda gradients, limit: [clipped([v], limit)[0] for v in gradients], "one norm for all"),
    ("4.4.3", lambda gradients, limit: [v.clamp(-limit, limit) for v in gradients], "single numbers"),
    ("4.4.3", variant(clipped, always=True), "made larger"),
    ("4.4.3", clipped_in_place, "changed its input"),
    ("4.4.3", clipped_returning_given, "not new ones"),
    ("4.4.3", lambda gradients, limit: clipped(gradients, limit)[0], "a list of"),
    ("4.4.3", lambda gradients, limit: [0 * v for v in gradients], "values are not"),
    ("4.4.4", variant(paired, ratio=False), "not used"),
    ("4.4.4", variant(paired, free=lambda m: 2 * m - 2), "degrees of freedom"),
    ("4.4.4", variant(paired, sides=1), "two sides"),
    ("4.4.4", lambda d, s, rho: paired(d, s, rho) + 1, "Does m satisfy"),
    ("4.4.4", lambda d, s, rho: math.inf, "whole number"),
    ("4.4.4", lambda d, s, rho: 15.7 * (1 - rho) * (s / d) ** 2, "whole number"),
    ("4.4.5", variant(sound, across=False), "pieces in another order"),
    ("4.4.5", variant(sound, inside=False), "one wrong target"),
    ("4.4.5", lambda pieces: True, "not shifted"),
    ("4.4.5", lambda pieces: False, "found fault"),
    ("4.4.5", lambda pieces: "yes", "True or False"),
    ("4.4.5", lambda pieces: torch.tensor([True, True]), "True or False"),
    ("4.4.5", lambda pieces: sound([(y, x) for x, y in pieces]), "found fault"),
]


test_right_answers_pass, test_wrong_answers_get_their_hint, test_every_exercise_is_tried = shared_tests(RIGHT, WRONG)
