"""The checks of chapter 7.2: only the right answer passes, and a wrong one gets a hint that helps."""

import torch
from exercise_cases import shared_tests

from utils.parallel import scan


def afresh(a, b, reset):
    return scan(a * ~reset.unsqueeze(-1), b)


def afresh_in_place(a, b, reset):
    a *= ~reset.unsqueeze(-1)
    return scan(a, b)


def kernel(lam, B, C, T):
    return (C * B * lam ** torch.arange(T).unsqueeze(1)).sum(dim=1)


def delta(S, k, v, beta):
    return S + beta * torch.outer(v - S @ k, k)


def delta_in_place(S, k, v, beta):
    S += beta * torch.outer(v - S @ k, k)
    return S


RIGHT = {
    "7.2.1": [lambda a_1, b_1, a_2, b_2: (a_2 * a_1, a_2 * b_1 + b_2)],
    "7.2.2": [afresh],
    "7.2.3": [kernel],
    "7.2.4": [
        delta,
        lambda S, k, v, beta: S @ (torch.eye(len(k)) - beta * torch.outer(k, k)) + beta * torch.outer(v, k),
    ],
}
WRONG = [
    ("7.2.1", lambda a_1, b_1, a_2, b_2: (a_2 * a_1, a_1 * b_2 + b_1), "which of the steps comes later?"),
    ("7.2.1", lambda a_1, b_1, a_2, b_2: (a_2 + a_1, a_2 * b_1 + b_2), "the first of the pair"),
    ("7.2.1", lambda a_1, b_1, a_2, b_2: a_2 * b_1 + b_2, "Return a pair"),
    ("7.2.2", lambda a, b, reset: scan(a, b), "With B = 1"),
    ("7.2.2", lambda a, b, reset: scan(a, b * ~reset.unsqueeze(-1)), "With B = 1"),
    ("7.2.2", afresh_in_place, "changed its inputs"),
    ("7.2.3", lambda lam, B, C, T: kernel(lam, B, C, T + 1)[1:], "at its own step"),
    ("7.2.3", lambda lam, B, C, T: kernel(lam, B, C, T).cumsum(0), "With n = 1"),
    ("7.2.4", lambda S, k, v, beta: S + beta * torch.outer(v, k), "must answer v"),
    ("7.2.4", lambda S, k, v, beta: S + torch.outer(v - S @ k, k), "how far should it go?"),
    ("7.2.4", lambda S, k, v, beta: S + beta * torch.outer(k, v - S @ k), "must answer v"),
    ("7.2.4", delta_in_place, "Return a new one"),
]

test_right_answers_pass, test_wrong_answers_get_their_hint, test_every_exercise_is_tried = shared_tests(RIGHT, WRONG)
