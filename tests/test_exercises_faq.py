"""The checks of chapter 8.1: right answers pass, wrong ones get their hint."""

import torch
from exercise_cases import shared_tests


def top_state(h_n, layers, bidirectional):
    directions = 2 if bidirectional else 1
    top = h_n.view(layers, directions, *h_n.shape[1:])[-1]  # (directions, B, n)
    return torch.cat(list(top), dim=1)


def detached(state):
    if isinstance(state, tuple | list):
        return type(state)(detached(part) for part in state)
    return None if state is None else state.detach()


def detached_in_place(state):
    if isinstance(state, tuple | list):
        return type(state)(detached_in_place(part) for part in state)
    return None if state is None else state.detach_()


def flattened(state):
    if isinstance(state, list):
        return [part for piece in state for part in (piece if isinstance(piece, tuple) else [piece])]
    return detached(state)


def skill(series, guess):
    return 1 - (guess - series[1:]).square().sum() / (series[1:] - series[:-1]).square().sum()


def by_gradient(model, x):
    x = x.clone().requires_grad_()
    y = model(x)
    return any(
        bool(torch.autograd.grad(y[0, t].square().sum(), x, retain_graph=True)[0][0, t + 1 :].any())
        for t in range(x.size(1) - 1)
    )


def by_change(model, x):
    y = model(x)
    for t in range(1, x.size(1)):
        other = x.clone()
        other[:, t:] += torch.randn(other[:, t:].shape)
        if not torch.allclose(model(other)[:, :t], y[:, :t]):
            return True
    return False


def by_sums(model, x):  # a sum of outputs may be blind
    x = x.clone().requires_grad_()
    y = model(x)
    return any(
        bool(torch.autograd.grad(y[0, t].sum(), x, retain_graph=True)[0][0, t + 1 :].abs().max() > 1e-6)
        for t in range(x.size(1) - 1)
    )


def last_input_only(model, x):
    other = x.clone()
    other[:, -1] += 1
    return not torch.allclose(model(other)[:, -2], model(x)[:, -2])


def all_but_the_last(model, x):
    other = x.clone()
    other[:, -1] += 1
    return not torch.allclose(model(other)[:, :-1], model(x)[:, :-1])


def unweighted(p, w):
    return p / w / (p / w + 1 - p)


RIGHT = {
    "8.1.1": [top_state, lambda h_n, layers, two: torch.cat(list(h_n[-2:] if two else h_n[-1:]), dim=1)],
    "8.1.2": [detached],
    "8.1.3": [skill],
    "8.1.4": [by_gradient, by_change, lambda model, x: torch.tensor(by_change(model, x))],
    "8.1.5": [unweighted],
}
WRONG = [
    ("8.1.1", lambda h_n, layers, two: h_n[-1], "expected shape (4, 10), found (4, 5)"),
    ("8.1.1", lambda h_n, layers, two: h_n[0], "3 layer(s)"),
    ("8.1.1", lambda h_n, layers, two: torch.cat([h_n[-1], h_n[-2]], dim=1) if two else h_n[-1], "2 direction(s)"),
    ("8.1.2", lambda state: state, "still knows how it was computed"),
    ("8.1.2", lambda state: state.detach(), "NoneType"),
    ("8.1.2", lambda state: torch.zeros(1) if state is None else detached(state), "None should stay None"),
    ("8.1.2", lambda state: list(detached(state)) if isinstance(state, tuple) else detached(state), "a tuple of 2"),
    ("8.1.2", flattened, "a list of 3"),
    ("8.1.2", detached_in_place, "changed the state it was given"),
    ("8.1.3", lambda series, guess: 1 - (guess - series[1:]).abs().mean() / series.diff().abs().mean(), "the mean"),
    (
        "8.1.3",
        lambda series, guess: 1 - (guess - series[:-1]).square().mean() / series.diff().square().mean(),
        "perfect",
    ),
    ("8.1.3", lambda series, guess: 1 - (guess - series[1:]).square().mean() / series.var(), "persistence itself"),
    ("8.1.4", lambda model, x: False, "a bidirectional GRU"),
    ("8.1.4", lambda model, x: True, "a GRU"),
    ("8.1.4", by_sums, "add up to 1"),
    ("8.1.4", last_input_only, "first step alone"),
    ("8.1.4", all_but_the_last, "sees the second"),
    ("8.1.4", lambda model, x: 1, "True or False"),
    ("8.1.5", lambda p, w: p / w, "what does a weight do to the odds?"),
    ("8.1.5", lambda p, w: p * w / (p * w + 1 - p), "odds"),
    ("8.1.5", lambda p, w: 1 / (1 + w * (1 - p) / p.clamp(min=0.005)), "certain"),
]

test_right_answers_pass, test_wrong_answers_get_their_hint, test_every_exercise_is_tried = shared_tests(RIGHT, WRONG)
