"""The checks of part 1: only the right answer passes, and a wrong one gets a hint that helps."""

import math
from collections import Counter

import pytest
import torch

from utils.exercises import check


def parameters(T, d, n, K):
    return T * d * n + n + K * n + K, d * n + n * n + 2 * n + K * n + K


def memory(x, a, start=0.0, order=1):
    h_t, states = torch.full_like(x[:, 0], start), []
    for x_t in x.unbind(1)[::order]:
        h_t = a * h_t + x_t
        states.append(h_t)
    return torch.stack(states, 1)


def memory_in_place(x, a):
    for t in range(1, x.shape[1]):
        x[:, t] += a * x[:, t - 1]
    return x


def ceiling(W, distances, K):
    return sum(1 if D < W else 1 / K for D in distances) / len(distances)


def blended_bits(train, test, k, log=math.log2, base=1 / 27, weight=1.0):
    total = 0.0
    for i in range(k, len(test)):
        p = base
        for order in range(k + 1):
            u = test[i - order : i]
            found = Counter(train[j + order] for j in range(len(train) - order) if train[j : j + order] == u)
            m = weight * len(found)
            p = (found[test[i]] + m * p) / (found.total() + m) if found else p
        total -= log(p)
    return total / (len(test) - k)


W_XH, W_HH, B_H = torch.ones(2, 1), torch.tensor([[1.0, -1.0], [1.0, -1.0]]), torch.tensor([-0.5, -1.5])
W_HY, B_Y = torch.tensor([[1.0, -1.0]]), torch.zeros(1)

RIGHT = {
    "1.1.1": [parameters],
    "1.1.2": [memory],
    "1.1.3": [("abaca", "acaba"), ["xabacax", "xacabax"]],
    "1.1.4": [ceiling],
    "1.1.5": [
        (W_XH, W_HH, B_H, W_HY, B_Y),
        (W_XH.flip(0).double(), W_HH.flip(0, 1).double(), B_H.flip(0).double(), W_HY.flip(1).double(), B_Y.double()),
    ],
    "1.1.6": [blended_bits],
}
# number -> (wrong answer, what its hint must mention)
WRONG = [
    ("1.1.1", lambda T, d, n, K: (parameters(T, d, n, K)[0], parameters(T, d, n, K)[1] - n), "two bias vectors"),
    ("1.1.1", lambda T, d, n, K: parameters(T, d, n, K)[::-1], "window"),
    ("1.1.1", lambda T, d, n, K: (T * d * n + K * n, d * n + n * n + K * n), "biases"),
    ("1.1.1", lambda T, d, n, K: (parameters(T, d, n, K)[0], T * parameters(T, d, n, K)[1]), "RNN"),
    ("1.1.1", lambda T, d, n, K: sum(parameters(T, d, n, K)), "two numbers"),
    ("1.1.2", lambda x, a: memory(x, a)[:, -1], "shape"),
    ("1.1.2", lambda x, a: a * x + x, "h of the step before"),
    ("1.1.2", lambda x, a: memory(x, a, start=1.0), "index (0, 0)"),
    ("1.1.2", lambda x, a: memory(x, a, order=-1), "index"),
    ("1.1.2", memory_in_place, "changes its input"),
    ("1.1.2", lambda x, a: None, "return"),
    ("1.1.3", ("abaca", "abaca"), "same sequence"),
    ("1.1.3", ("abac", "acaa"), "'a'"),
    ("1.1.3", ("stream", "master"), "'am'"),
    ("1.1.3", ("ab", "ba", "ab"), "two strings"),
    ("1.1.4", lambda W, distances, K: ceiling(W + 1, distances, K), "window"),
    ("1.1.4", lambda W, distances, K: sum(D < W for D in distances) / len(distances), "best guess"),
    ("1.1.4", lambda W, distances, K: 1 / K, "is the cue in the window"),
    ("1.1.5", (W_XH, W_HH, B_H, torch.ones(1, 2), B_Y), "After reading"),
    ("1.1.5", (W_XH, -W_HH, B_H, W_HY, B_Y), "After reading"),
    ("1.1.5", (W_XH, W_HH, torch.zeros(2), W_HY, B_Y), "parity"),
    ("1.1.5", (W_XH.T, W_HH, B_H, W_HY, B_Y), "expected shape"),
    ("1.1.5", (W_XH, W_HH[:1], B_H, W_HY, B_Y), "W_hh"),
    ("1.1.5", (W_XH, W_HH * float("nan"), B_H, W_HY, B_Y * float("nan")), "time step 1"),
    ("1.1.5", (1, -1, 0.5, 1, 0), "tensors"),
    ("1.1.6", lambda train, test, k: blended_bits(train, test, k, log=math.log), "base 2"),
    ("1.1.6", lambda train, test, k: blended_bits(train, test, k, base=1 / 26), "k = 0"),
    ("1.1.6", lambda train, test, k: blended_bits(train, test, k, weight=2.0), "test"),
    ("1.1.6", lambda train, test, k: blended_bits(train, test, k) * (len(test) - k), "mean"),
]


@pytest.mark.parametrize(("number", "answer"), [(n, a) for n, answers in RIGHT.items() for a in answers])
def test_right_answers_pass(number, answer, capsys):
    assert check(number, answer)
    assert "right" in capsys.readouterr().out


@pytest.mark.parametrize(("number", "answer", "hint"), WRONG)
def test_wrong_answers_get_a_hint(number, answer, hint, capsys):
    assert not check(number, answer)
    assert hint in capsys.readouterr().out
