"""Checks of notebook 3.2: backpropagation through time."""

import math

import torch
from torch import Tensor

from utils.exercises import Wrong, exercise, expect_callable, expect_number, expect_tensor, matches


def _random(seed: int, *shapes: tuple[int, ...]) -> list[Tensor]:
    """Normal float64 tensors, the same for the same ``seed``."""
    g = torch.Generator().manual_seed(seed)
    return [torch.randn(shape, generator=g, dtype=torch.float64) for shape in shapes]


@exercise("3.2.1")
def check_relu_step(answer) -> None:
    """One step back through a ReLU."""
    expect_callable(answer, 3)
    for seed, (B, n) in enumerate([(3, 4), (1, 2), (5, 5)]):
        delta, h, W_hh = _random(seed, (B, n), (B, n), (n, n))
        h = h.relu()  # about half of the units are at 0
        alpha, case = delta * (h > 0), f"batch {B}, {n} units"
        found = answer(delta.clone(), h.clone(), W_hh.clone())
        if not isinstance(found, tuple | list) or len(found) != 2:
            raise Wrong(f"{case}: return the pair (alpha, what the state before receives).")
        if matches(found[0], alpha) and matches(found[1], alpha @ W_hh):
            continue
        if matches(found[0], delta * (1 - h**2)):
            raise Wrong("This is the derivative of tanh. What is the slope of ReLU where h is 0, and where it is not?")
        if matches(found[0], delta * h):
            raise Wrong("delta is multiplied by h itself, not by the slope of ReLU there.")
        if matches(found[0], delta):
            raise Wrong("Nothing may pass through a unit that ReLU has set to 0.")
        if matches(found[1], alpha @ W_hh.T):
            raise Wrong("Forwards the rows are multiplied by W_hh.T; backwards by its transpose.")
        if matches(found[1], delta @ W_hh):
            raise Wrong("The state before receives alpha through W_hh, not delta.")
        expect_tensor(found[0], alpha, f"{case}, alpha")
        expect_tensor(found[1], alpha @ W_hh, f"{case}, what the state before receives")


@exercise("3.2.2")
def check_detach(answer) -> None:
    """Detach a state of any structure."""
    expect_callable(answer, 1)
    if answer(None) is not None:
        raise Wrong("Before the first piece the state is None, and it should stay None.")
    leaf = torch.ones(2, 3, dtype=torch.float64, requires_grad=True)
    a, b, c = (leaf * k for k in (2, 3, 4))
    for state in (a, (a, b), [a, (b, c)], [[a], None, (b,)], ()):
        _same(answer(state), state, type(state).__name__)
    if a.grad_fn is None:
        raise Wrong("The state that was given has lost its history; return new tensors, and leave the old as they are.")


def _same(found: object, state: object, case: str) -> None:
    """The same structure and storage, without history."""
    if state is None and found is None:
        return
    if type(found) is not type(state):
        raise Wrong(f"{case}: a {type(state).__name__} should stay one, found {type(found).__name__}.")
    if isinstance(state, Tensor):
        if found.grad_fn is not None or found.requires_grad:
            raise Wrong(f"{case}: a tensor in it still has a history.")
        if found.shape != state.shape or found.data_ptr() != state.data_ptr():
            raise Wrong(f"{case}: the numbers were copied or changed; detach shares them.")
        return
    if len(found) != len(state):
        raise Wrong(f"{case}: {len(state)} entries went in, {len(found)} came out.")
    for inner, outer in zip(found, state, strict=True):
        _same(inner, outer, case)


@exercise("3.2.3")
def check_taught(answer) -> None:
    """The share of steps with the asked input inside their piece."""
    expect_callable(answer, 2)
    for k, D in [(6, 5), (8, 5), (5, 5), (1, 5), (32, 5), (10, 0), (1, 1), (100, 99)]:
        found, expected, case = answer(k, D), max(0, k - D) / k, f"k = {k}, D = {D}"
        expect_number(found, 0.0, case, tolerance=math.inf)  # any number will do so far
        if k < D and float(found) < 0:
            raise Wrong(f"{case}: a share is never negative; no step at all is left.")
        if abs(float(found) - max(0, k - D)) < 1e-9 and k > 1 and k > D:
            raise Wrong(f"{case}: that is the number of steps per piece; asked is their share.")
        if abs(float(found) - max(0, k - D + 1) / k) < 1e-9 and k >= D > 0:
            raise Wrong(f"{case}: one step too many. How far back does the last step of a piece reach?")
        expect_number(found, expected, case)


def _states(x: Tensor, h_0: Tensor, W_xh: Tensor, W_hh: Tensor) -> Tensor:
    hs = [h_0]
    for x_t in x:
        hs.append(torch.tanh(x_t @ W_xh.T + hs[-1] @ W_hh.T))
    return torch.stack(hs)  # (T + 1, B, n)


@exercise("3.2.4")
def check_last_step(answer) -> None:
    """The gradient of W_hh when only the last step has a loss."""
    expect_callable(answer, 4)
    for seed, (T, B, d, n) in enumerate([(1, 2, 3, 4), (5, 3, 2, 3), (8, 1, 1, 2)]):
        x, h_0, W_xh, W_hh, delta = _random(seed, (T, B, d), (B, n), (n, d), (n, n), (B, n))
        leaf = W_hh.clone().requires_grad_()
        hs = _states(x, h_0, W_xh, leaf)
        (expected,) = torch.autograd.grad(hs[-1], leaf, delta)
        hs, case = hs.detach(), f"T = {T}, batch {B}, {n} units"
        found = answer(x.clone(), hs.clone(), W_hh.clone(), delta.clone())
        if matches(found, expected.T) and n > 1 and not matches(expected, expected.T):
            raise Wrong(f"{case}: transposed. Row i of W_hh belongs to unit i after the step.")
        last_only = (delta * (1 - hs[-1] ** 2)).T @ hs[-2]
        if T > 1 and matches(found, last_only):
            raise Wrong(f"{case}: only the last use of W_hh is counted; it acts at every step.")
        if T > 1 and matches(found, _wrong_gradient(hs, W_hh.T, delta, lag=1)):
            raise Wrong(f"{case}: right up to the last step; further back delta passes W_hh the wrong way round.")
        if matches(found, _wrong_gradient(hs, W_hh, delta, lag=0)):
            raise Wrong(f"{case}: alpha of step t is multiplied by the state of step t; W_hh acted on the one before.")
        expect_tensor(found, expected, case)


def _wrong_gradient(hs: Tensor, back: Tensor, delta: Tensor, lag: int) -> Tensor:
    """The gradient with ``back`` in the place of W_hh, alpha meeting the state of ``lag`` steps before (right: 1)."""
    total = torch.zeros_like(back)
    for t in range(len(hs) - 1, 0, -1):
        alpha = delta * (1 - hs[t] ** 2)
        total, delta = total + alpha.T @ hs[t - lag], alpha @ back
    return total


@exercise("3.2.5")
def check_best_segment(answer) -> None:
    """The segment length that needs the fewest states."""
    expect_callable(answer, 1)
    for T in (1, 2, 3, 10, 16, 99, 100, 400, 1000, 5000):
        counts = {s: math.ceil(T / s) + s for s in range(1, T + 1)}
        best, found = min(counts, key=counts.get), answer(T)
        expect_number(found, 0.0, f"T = {T}", tolerance=math.inf)  # any number will do so far
        if float(found) != best and counts.get(float(found)) == counts[best]:
            raise Wrong(f"T = {T}: {int(found)} needs as few states, but a shorter segment does too.")
        if not float(found).is_integer():
            raise Wrong(f"T = {T}: a segment has a whole number of steps, not {float(found):g}.")
        expect_number(found, best, f"T = {T}", tolerance=1e-12)
