"""The checks of notebook 3.3 pass the right answer and nothing else, and their hints name what is wrong."""

import math

import numpy as np
import pytest
import torch

from utils import exercises
from utils.exercises import check

NAN = float("nan")
GAMMA = {"tanh": 1.0, "relu": 1.0, "sigmoid": 0.25}


@pytest.fixture(autouse=True)
def only_this_part(monkeypatch):
    """The other parts of the book are tested elsewhere."""
    monkeypatch.setattr(exercises, "PARTS", {"3.3": "mathematics.gradients"})


def largest_lag(sigma_max, gamma, share):
    shrink = sigma_max * gamma
    if shrink >= 1:
        return math.inf
    return math.floor(math.log(share) / math.log(shrink)) if shrink > 0 else 0


def counted_lag(sigma_max, gamma, share):
    k, bound = 0, sigma_max * gamma
    while bound >= share and k < 10_000:
        k, bound = k + 1, bound * sigma_max * gamma
    return k if k < 10_000 else math.inf


def surely_vanishes(W_hh, activation):
    return GAMMA[activation] * torch.linalg.matrix_norm(W_hh, 2).item() < 1 - 1e-12


def relu_jacobian(h, x_t, W_xh, W_hh, b_h):
    return (W_xh @ x_t + W_hh @ h + b_h > 0).double()[:, None] * W_hh


def clip(gradients, c):
    norm = math.sqrt(sum(g.square().sum().item() for g in gradients if g is not None))
    return [None if g is None else g * min(1.0, c / norm) if norm > 0 else g.clone() for g in gradients]


def factors(gradients, factor):
    return [None if g is None else g * factor(g) for g in gradients]


def total(gradients):
    return math.sqrt(sum(g.square().sum().item() for g in gradients if g is not None)) or 1e-300


def clip_in_place(gradients, c):
    clipped = clip(gradients, c)
    for g, new in zip(gradients, clipped, strict=True):
        if g is not None:
            g.copy_(new)
    return gradients


def with_radius(W, radius):
    return W * radius / torch.linalg.eigvals(W).abs().max()


def start_irnn(rnn, scale):
    with torch.no_grad():
        rnn.weight_hh_l0.copy_(scale * torch.eye(rnn.hidden_size))
        rnn.bias_ih_l0.zero_()
        rnn.bias_hh_l0.zero_()


def then(change):
    """The right start, and then one change too many (or one taken back)."""

    def start(rnn, scale):
        start_irnn(rnn, scale)
        with torch.no_grad():
            change(rnn)

    return start


def logit(f):
    return math.log(f / (1 - f))


def forget_bias(half_life):
    return logit(0.5 ** (1 / half_life))


RIGHT = {
    "3.3.1": largest_lag,
    "3.3.2": surely_vanishes,
    "3.3.3": relu_jacobian,
    "3.3.4": clip,
    "3.3.5": with_radius,
    "3.3.6": start_irnn,
    "3.3.7": forget_bias,
}

WRONG = [  # number, answer, words its hint must hold
    ("3.3.1", lambda s, g, p: largest_lag(s, g, p) + 1, "one lag too far"),
    ("3.3.1", lambda s, g, p: math.log(p) / math.log(s * g), "whole number"),
    ("3.3.1", lambda s, g, p: largest_lag(s, 1.0, p), "slope"),
    ("3.3.1", lambda s, g, p: max(0, math.floor(math.log(p) / math.log(s * g))), "raised ZeroDivisionError"),
    ("3.3.1", lambda s, g, p: largest_lag(min(s * g, 0.999), 1.0, p), "ever fall below"),
    ("3.3.1", lambda s, g, p: largest_lag(s, g, p) if s > 0 else 1, "lag 0"),
    ("3.3.1", lambda s, g, p: NAN, "is not it"),
    ("3.3.2", lambda W, f: bool(GAMMA[f] * torch.linalg.eigvals(W).abs().max() < 1 - 1e-9), "eigenvalues prove"),
    ("3.3.2", lambda W, f: surely_vanishes(W, "tanh"), "how steep is the sigmoid"),
    ("3.3.2", lambda W, f: not surely_vanishes(W, f), "not what (3) says"),
    ("3.3.2", lambda W, f: torch.linalg.matrix_norm(W, math.inf).item() * GAMMA[f] < 1, "not what (3) says"),
    ("3.3.2", lambda W, f: torch.linalg.matrix_norm(W, 2).item(), "True or False"),
    ("3.3.3", lambda h, x, W, U, b: U, "switched on"),
    ("3.3.3", lambda *a: relu_jacobian(*a).T, "transpose"),
    ("3.3.3", lambda h, x, W, U, b: U * (W @ x + U @ h + b > 0), "row of zeros"),
    ("3.3.3", lambda h, x, W, U, b: (1 - torch.tanh(W @ x + U @ h + b) ** 2)[:, None] * U, "index"),
    ("3.3.3", lambda *a: relu_jacobian(*a)[0], "expected shape"),
    ("3.3.4", lambda gs, c: factors(gs, lambda g: c / total(gs)), "made longer"),
    ("3.3.4", lambda gs, c: [None if g is None else g.clamp(-c, c) for g in gs], "by value"),
    ("3.3.4", lambda gs, c: factors(gs, lambda g: min(1.0, c / max(g.norm().item(), 1e-9))), "not one for each"),
    ("3.3.4", lambda gs, c: factors(gs, lambda g: min(1.0, c / sum(t.norm().item() for t in gs if t is not None))
                                    if total(gs) > 1e-9 else 1.0), "norms do not add up"),
    ("3.3.4", lambda gs, c: [g for g in clip(gs, c) if g is not None], "as long as"),
    ("3.3.4", lambda gs, c: [torch.zeros(1) if g is None else g for g in clip(gs, c)], "None stays None"),
    ("3.3.4", clip_in_place, "you changed the tensors"),
    ("3.3.4", lambda gs, c: factors(gs, lambda g: 0.5 * min(1.0, c / total(gs))), "index"),
    ("3.3.4", lambda gs, c: [g * min(1.0, c / torch.cat([t.flatten() for t in gs]).norm()) for g in gs], "raised"),
    ("3.3.5", lambda W, r: W * r / torch.linalg.matrix_norm(W, 2), "singular value"),
    ("3.3.5", lambda W, r: W * r, "of its own already"),
    ("3.3.5", lambda W, r: W * r / torch.linalg.eigvals(W).real.max(), "modulus"),
    ("3.3.5", lambda W, r: W * r / W.norm(), "Frobenius"),
    ("3.3.5", lambda W, r: W / torch.linalg.eigvals(W).abs().max(), "index"),
    ("3.3.5", lambda W, r: W * r / torch.linalg.eigvals(W)[0], "real numbers"),
    ("3.3.6", lambda rnn, s: None, "two bias vectors"),
    ("3.3.6", then(lambda rnn: rnn.bias_hh_l0.fill_(0.1)), "bias_hh_l0 is not zero"),
    ("3.3.6", then(lambda rnn: rnn.weight_hh_l0.fill_(1.0)), "beside its diagonal"),
    ("3.3.6", lambda rnn, s: start_irnn(rnn, 1.0), "did not use the scale"),
    ("3.3.6", then(lambda rnn: rnn.weight_hh_l0.mul_(2)), "index"),
    ("3.3.6", then(lambda rnn: rnn.weight_ih_l0.zero_()), "input weights"),
    ("3.3.6", then(lambda rnn: rnn.weight_hh_l0.requires_grad_(False)), "trainable"),
    ("3.3.6", then(lambda rnn: rnn.bias_ih_l0.fill_(NAN)), "bias_ih_l0 is not zero"),
    ("3.3.6", lambda rnn, s: setattr(rnn, "weight_hh_l0", torch.eye(rnn.hidden_size)), "raised TypeError"),
    ("3.3.7", lambda k: 0.5 ** (1 / k), "gate itself"),
    ("3.3.7", lambda k: -forget_bias(k), "turned round"),
    ("3.3.7", lambda k: logit(math.exp(-1 / k)), "1/e"),
    ("3.3.7", lambda k: math.log(k - 1) if k > 1 else forget_bias(k), "f = 1 - 1/half_life"),
    ("3.3.7", lambda k: 1.0, "is not it"),
]  # fmt: skip


def test_every_check_of_this_notebook_is_tested():
    assert [n for n in exercises.numbers() if n.startswith("3.3.")] == sorted(RIGHT)


@pytest.mark.parametrize("number", RIGHT)
def test_right_answer_passes(number, capsys):
    state = torch.get_rng_state()
    assert check(number, RIGHT[number])
    assert "right" in capsys.readouterr().out
    assert torch.equal(state, torch.get_rng_state())


def test_other_ways_to_the_right_answer_pass():
    assert check("3.3.1", counted_lag)
    assert check("3.3.2", lambda W, f: torch.tensor(surely_vanishes(W, f)))
    assert check("3.3.2", lambda W, f: np.float64(surely_vanishes(W, f)) > 0)
    assert check("3.3.3", lambda *a: relu_jacobian(*a).float())
    assert check("3.3.4", lambda gradients, c: tuple(clip(gradients, c)))
    assert check("3.3.7", lambda k: torch.logit(torch.tensor(0.5, dtype=torch.float64) ** (1 / k)))


@pytest.mark.parametrize(("number", "answer", "hint"), WRONG, ids=[f"{w[0]}-{w[2]}" for w in WRONG])
def test_wrong_answer_gets_its_hint(number, answer, hint, capsys):
    assert not check(number, answer)
    assert hint in capsys.readouterr().out
