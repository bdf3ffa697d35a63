"""Checks of notebook 3.1: the recurrence."""

import math

import torch
from torch import Tensor, nn

from utils.exercises import Wrong, exercise, expect_callable, expect_number, expect_tensor, matches


def _random(seed: int, *shapes: tuple[int, ...]) -> list[Tensor]:
    """Normal float64 tensors, the same for the same ``seed``."""
    g = torch.Generator().manual_seed(seed)
    return [torch.randn(shape, generator=g, dtype=torch.float64) for shape in shapes]


def _relu_rnn(x: Tensor, W_xh: Tensor, W_hh: Tensor, b_h: Tensor, W_hy: Tensor, b_y: Tensor, V=None) -> Tensor:
    """Outputs (T, B, q) of a ReLU network for x (T, B, d), with a skip connection if V is given."""
    h, ys = x.new_zeros(x.shape[1], len(W_hh)), []
    for x_t in x:
        h = torch.relu(x_t @ W_xh.T + h @ W_hh.T + b_h)  # (B, n)
        ys.append(h @ W_hy.T + b_y + (0 if V is None else x_t @ V.T))  # (B, q)
    return torch.stack(ys)


def _network(answer: object, case: str, d: int, q: int) -> list[Tensor]:
    """The five tensors of a network without skip connection, of whatever number of units."""
    if not isinstance(answer, tuple | list) or len(answer) != 5 or not all(isinstance(p, Tensor) for p in answer):
        raise Wrong(f"{case}: expected a tuple of five tensors (W_xh, W_hh, b_h, W_hy, b_y).")
    n = answer[1].shape[0] if answer[1].dim() == 2 else -1
    shapes = {"W_xh": (n, d), "W_hh": (n, n), "b_h": (n,), "W_hy": (q, n), "b_y": (q,)}
    for p, (name, shape) in zip(answer, shapes.items(), strict=True):
        if tuple(p.shape) != shape:
            raise Wrong(
                f"{case}: {name} has shape {tuple(p.shape)}; with d = {d}, q = {q} and the n of your W_hh, "
                f"{tuple(answer[1].shape)}, it does not fit."
            )
    return [p.detach().double() for p in answer]


@exercise("3.1.1")
def check_step(answer) -> None:
    """One step of a batch, with the skip connection."""
    expect_callable(answer, 8)
    for seed, (B, d, n, q) in enumerate([(3, 2, 4, 5), (1, 5, 3, 1), (4, 3, 3, 3)]):
        shapes = (B, d), (B, n), (n, d), (n, n), (n,), (q, n), (q, d), (q,)
        x_t, h, W_xh, W_hh, b_h, W_hy, V, b_y = given = _random(seed, *shapes)
        case = f"batch {B}, {d} inputs, {n} units, {q} outputs"
        a_t = x_t @ W_xh.T + h @ W_hh.T + b_h  # (B, n)
        h_t = torch.tanh(a_t)
        y_t = h_t @ W_hy.T + x_t @ V.T + b_y  # (B, q)
        found = answer(*[p.clone() for p in given])
        if not isinstance(found, tuple | list) or len(found) != 2:
            raise Wrong(f"{case}: return the pair (h_t, y_t).")
        if matches(found[0], y_t) and matches(found[1], h_t):
            raise Wrong("The pair is the wrong way round: first h_t, then y_t.")
        if matches(found[0], a_t):
            raise Wrong("The sum is right; the activation tanh around it is missing.")
        if matches(found[0], torch.tanh(x_t @ W_xh.T + h @ W_hh + b_h)):
            raise Wrong("W_hh is multiplied the wrong way round: rows are sequences, so it is h @ W_hh.T.")
        if matches(found[1], h @ W_hy.T + x_t @ V.T + b_y):
            raise Wrong("The output reads the state before the step; it should read the new one.")
        if matches(found[1], h_t @ W_hy.T + b_y):
            raise Wrong("The way from the input straight to the output is missing.")
        if matches(found[1], torch.tanh(y_t)):
            raise Wrong("Here g is the identity: no activation on the output.")
        expect_tensor(found[0], h_t, f"{case}, h_t")
        expect_tensor(found[1], y_t, f"{case}, y_t")


@exercise("3.1.2")
def check_batch_first(answer) -> None:
    """A time-first module, batch-first data."""
    expect_callable(answer, 2)
    for seed, (layers, both, B, T) in enumerate([(2, False, 3, 5), (1, False, 4, 4), (1, True, 1, 6), (3, True, 2, 2)]):
        rnn = nn.RNN(3, 2, num_layers=layers, bidirectional=both, dtype=torch.float64)
        with torch.no_grad():
            for p, values in zip(rnn.parameters(), _random(seed, *[p.shape for p in rnn.parameters()]), strict=True):
                p.copy_(values)
        (x,) = _random(50 + seed, (B, T, 3))
        before, case = {k: v.clone() for k, v in rnn.state_dict().items()}, f"batch {B}, {T} steps, {layers} layer(s)"
        with torch.no_grad():
            out, h_n = rnn(x.transpose(0, 1))
            found, wrong_out = answer(rnn, x.clone()), rnn(x)[0]
        if rnn.batch_first or any(not torch.equal(v, before[k]) for k, v in rnn.state_dict().items()):
            raise Wrong(f"{case}: the module was changed; turn the data round, not the module.")
        if not isinstance(found, tuple | list) or len(found) != 2:
            raise Wrong(f"{case}: return the pair (outputs, last states).")
        wanted_out, wanted_h = out.transpose(0, 1), h_n.transpose(0, 1)
        if matches(found[0], wrong_out) and not matches(wrong_out, wanted_out):
            raise Wrong(f"{case}: the loop ran through the batch. Which axis does this module take for time?")
        if matches(found[0], out) and not matches(out, wanted_out):
            raise Wrong(f"{case}: the outputs still have the time axis first.")
        if matches(found[1], h_n) and not matches(h_n, wanted_h):
            raise Wrong(f"{case}: the last states still have layers · directions first.")
        if matches(found[0], out.reshape(B, T, -1)) and not matches(found[0], wanted_out):
            raise Wrong(f"{case}: `reshape` does not exchange axes; it reads the same numbers in another grouping.")
        expect_tensor(found[0], wanted_out, f"{case}, outputs")
        expect_tensor(found[1], wanted_h, f"{case}, last states")


@exercise("3.1.3")
def check_delay_line(answer) -> None:
    """A hand-set ReLU network that adds the last three inputs."""
    parameters = _network(answer, "Your network", 1, 1)
    (x,) = _random(7, (12, 6, 1))
    x[:, 0], x[:, 1] = x[:, 0].abs(), -x[:, 1].abs()  # one sequence without negative, one without positive numbers
    past = torch.cat([torch.zeros(2, 6, 1, dtype=torch.float64), x])  # (T + 2, B, 1)
    expected, found = past[2:] + past[1:-1] + past[:-2], _relu_rnn(x, *parameters)  # (T, B, 1)
    right = torch.isclose(found, expected, atol=1e-6).all(dim=0).flatten()  # (B,)
    if right.all():
        return
    if right[0]:
        raise Wrong("Right for positive inputs only: a ReLU unit forgets a negative number. What could carry its size?")
    if matches(found, x.cumsum(dim=0)):
        raise Wrong("This adds all inputs so far; the one of three steps ago should be gone.")
    if matches(found[0], expected[0]):
        raise Wrong("The first output is right, a later one is not: how does an input get from one step to the next?")
    raise Wrong("Even the first output, y = x, is not right yet.")


@exercise("3.1.4")
def check_without_skip(answer) -> None:
    """The same function without V."""
    expect_callable(answer, 6)
    for seed, (d, n, q) in enumerate([(2, 3, 4), (3, 1, 1), (1, 5, 2)]):
        W_xh, W_hh, b_h, W_hy, V, b_y = given = _random(seed, (n, d), (n, n), (n,), (q, n), (q, d), (q,))
        W_hh *= 0.5
        (x,), case = _random(20 + seed, (6, 5, d)), f"{d} inputs, {n} units, {q} outputs"
        found = _relu_rnn(x, *_network(answer(*[p.clone() for p in given]), case, d, q))
        if matches(found, _relu_rnn(x, W_xh, W_hh, b_h, W_hy, b_y)):
            raise Wrong(f"{case}: V is gone, and what it did as well. Which units could carry x to the output?")
        if matches(found, _relu_rnn(x, W_xh, W_hh, b_h, W_hy, b_y) + torch.relu(x) @ V.T):
            raise Wrong(f"{case}: right for positive inputs; the negative ones are lost in the ReLU.")
        expect_tensor(found, _relu_rnn(x, W_xh, W_hh, b_h, W_hy, b_y, V), f"{case}, outputs")


@exercise("3.1.5")
def check_multiplications(answer) -> None:
    """Multiplications in the matrix products of a deep RNN."""
    expect_callable(answer, 7)
    for T, B, d, n, q, layers, both in [(1, 1, 2, 3, 5, 1, 1), (7, 4, 3, 5, 2, 1, 2), (5, 2, 4, 6, 1, 3, 1),
                                        (9, 3, 10, 4, 7, 2, 2), (2, 8, 1, 1, 1, 4, 2)]:  # fmt: skip
        reads = [d] + [both * n] * (layers - 1)
        hidden = [both * n * (width + n) for width in reads]
        expected, case = (
            T * B * (sum(hidden) + q * both * n),
            f"T, B, d, n, q = {T, B, d, n, q}, {layers} layers, {both} dir.",
        )
        found = answer(T, B, d, n, q, layers, both)
        expect_number(found, 0.0, case, tolerance=math.inf)  # any number will do so far
        mistakes = {
            T * B * sum(hidden): "The output layer is missing; it multiplies at every step too.",
            T * B * sum(hidden) + B * q * both * n: "The output layer works at every step, not only at the last.",
            T * B * (layers * hidden[0] + q * both * n): "What does a layer above the first read?",
            T * B * (sum(hidden) + q * n): "The output layer reads both directions.",
            2 * expected: "Multiplications only: additions are not asked for.",
            expected // B: "Every sequence of the batch costs the same.",
        }
        if float(found) != expected and float(found) in mistakes:
            raise Wrong(f"{case}: {mistakes[float(found)]}")
        expect_number(found, expected, case, tolerance=1e-12)
