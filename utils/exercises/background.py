"""Checks for part 1, background."""

import math
from collections import Counter

import torch

from utils.exercises import Wrong, exercise, expect_callable, expect_number, expect_tensor


@exercise("1.1.1")
def parameters(answer) -> None:
    """Numbers of parameters of a window network and of an RNN, by formula."""
    expect_callable(answer, 4)
    for T, d, n, K in ((8, 8, 32, 4), (100, 3, 5, 2), (1, 1, 1, 1), (12, 26, 64, 7)):
        case = f"T={T}, d={d}, n={n}, K={K}"
        found = answer(T, d, n, K)
        if not isinstance(found, (tuple, list)) or len(found) != 2:
            raise Wrong(f"{case}: return two numbers (window, rnn); found {found!r}.")
        window, rnn = T * d * n + n + K * n + K, d * n + n * n + 2 * n + K * n + K
        if found[1] == rnn - n:
            raise Wrong(f"{case}: for the RNN you are n short; `nn.RNN` keeps two bias vectors.")
        for name, value, due in (("window", found[0], window), ("RNN", found[1], rnn)):
            expect_number(value, due, f"{case}, {name} (weights and biases of both layers)", tolerance=0)


@exercise("1.1.2")
def memory(answer) -> None:
    """All states of h_t = a h_{t-1} + x_t."""
    expect_callable(answer, 2)
    generator = torch.Generator().manual_seed(112)
    for batch, time, a in ((1, 1, 0.5), (1, 6, 0.5), (3, 7, 1.0), (2, 20, -0.9), (4, 9, 1.1)):
        x = torch.randn(batch, time, generator=generator, dtype=torch.float64)
        given, h_t, states = x.clone(), torch.zeros(batch, dtype=torch.float64), []
        for x_t in x.unbind(1):
            h_t = a * h_t + x_t
            states.append(h_t)
        found = answer(x, a)
        if not torch.equal(x, given):
            raise Wrong("Your function changes its input x; collect the h_t in a new tensor.")
        case = f"x of shape ({batch}, {time}) = (batch, time), a = {a}"
        try:
            expect_tensor(found, torch.stack(states, 1), case)
        except Wrong as wrong:
            raise Wrong(f"{wrong} Each h_t needs the h of the step before, and the first step has h_0 = 0.") from None


@exercise("1.1.3")
def twins(answer) -> None:
    """Two strings with the same letters and the same neighbouring pairs."""
    if not isinstance(answer, (tuple, list)) or len(answer) != 2 or not all(isinstance(s, str) for s in answer):
        raise Wrong(f"Give two strings in a tuple; found {answer!r}.")
    one, other = answer
    if one == other:
        raise Wrong("The two strings are the same sequence; they should differ in order.")
    if Counter(one) != Counter(other):
        odd = sorted((Counter(one) - Counter(other)) + (Counter(other) - Counter(one)))
        raise Wrong(f"A bag of letters tells them apart already: look at how often {odd[0]!r} occurs.")
    pairs = [Counter(s[i : i + 2] for i in range(len(s) - 1)) for s in (one, other)]
    if pairs[0] != pairs[1]:
        odd = sorted((pairs[0] - pairs[1]) + (pairs[1] - pairs[0]))
        raise Wrong(
            f"The letters agree, the pairs do not: {odd[0]!r} occurs {pairs[0][odd[0]]} and {pairs[1][odd[0]]} times."
        )


@exercise("1.1.4")
def ceiling(answer) -> None:
    """The highest accuracy a window can expect, given the distances that occur."""
    expect_callable(answer, 3)
    for W, distances, K in (
        (8, [7], 4),
        (8, [8], 4),
        (8, list(range(23)), 4),
        (1, [0, 0, 1, 5], 2),
        (30, [3, 29, 4], 5),
        (3, [9, 10], 10),
    ):
        seen = sum(D < W for D in distances) / len(distances)
        case = f"W = {W}, D among {distances}, K = {K}"
        if len(set(distances)) == 1:
            case += " (is the cue in the window? A window of 1 sees D = 0 only; what is the best guess without it?)"
        expect_number(answer(W, distances, K), seen + (1 - seen) / K, case)


@exercise("1.1.5")
def parity(answer) -> None:
    """Weights of a step-activation loop that keeps the parity of a stream of bits."""
    names = ("W_xh", "W_hh", "b_h", "W_hy", "b_y")
    if not isinstance(answer, (tuple, list)) or len(answer) != 5:
        raise Wrong("Give five tensors in a tuple: (W_xh, W_hh, b_h, W_hy, b_y).")
    if not all(isinstance(w, torch.Tensor) for w in answer):
        raise Wrong("All five must be torch tensors.")
    n = answer[0].shape[0] if answer[0].dim() else 0
    for name, w, shape in zip(names, answer, ((n, 1), (n, n), (n,), (1, n), (1,)), strict=True):
        if tuple(w.shape) != shape:
            raise Wrong(f"{name}: expected shape {shape} (n = {n} by W_xh), found {tuple(w.shape)}.")
    W_xh, W_hh, b_h, W_hy, b_y = (w.detach().double() for w in answer)
    bits = torch.randint(2, (64, 40), generator=torch.Generator().manual_seed(115)).double()
    bits[0], bits[1] = 0, 1
    h_t = torch.zeros(64, n, dtype=torch.float64)
    for t in range(40):
        h_t = (bits[:, t, None] @ W_xh.T + h_t @ W_hh.T + b_h > 0).double()
        y_t, due = (h_t @ W_hy.T + b_y)[:, 0], bits[:, : t + 1].sum(1) % 2
        wrong = ~((y_t - due).abs() < 1e-6)
        if wrong.any():
            row = int(wrong.nonzero()[0])
            read = "".join(str(int(bit)) for bit in bits[row, : t + 1])
            raise Wrong(f"After reading {read} (time step {t + 1}) the output is {float(y_t[row]):g}, not the parity.")


@exercise("1.1.6")
def blended_bits(answer) -> None:
    """Bits per character of the Witten-Bell blend of orders 0 … k."""
    expect_callable(answer, 3)
    for train, test, k in (
        ("abab", "ab", 0),
        ("a rose is a rose", "is a rose", 1),
        ("a rose is a rose", "his rose", 2),
        ("the loop and the state", "the state of the loop", 3),
    ):
        case = f"train {train!r}, test {test!r}, k = {k}"
        expect_number(
            answer(train, test, k), _witten_bell(train, test, k), f"{case} (bits: log to base 2, mean over test[k:])"
        )


def _witten_bell(train: str, test: str, k: int) -> float:
    """The answer of 1.1.6, slow and plain: the counts are taken anew for every character."""
    total = 0.0
    for i in range(k, len(test)):
        p = 1 / 27
        for order in range(k + 1):
            u = test[i - order : i]
            followers = Counter(train[j + order] for j in range(len(train) - order) if train[j : j + order] == u)
            if followers:
                p = (followers[test[i]] + len(followers) * p) / (followers.total() + len(followers))
        total -= math.log2(p)
    return total / (len(test) - k)
