"""Checks of notebook 4.4: the training recipe."""

import math

import torch
from scipy import stats
from torch import Tensor

from utils.exercises import Wrong, exercise, expect_bool, expect_callable, expect_number, expect_tensor


@exercise("4.4.1")
def check_floor(answer) -> None:
    """The smallest loss that softmax before cross-entropy can reach."""
    expect_callable(answer, 1)
    for K in (2, 3, 10, 96, 50_000):
        expected, case, found = math.log(1 + (K - 1) / math.e), f"K = {K}", answer(K)
        expect_number(found, 0.0, case, tolerance=math.inf)  # any number will do so far
        value = float(found)
        if math.isclose(value, -expected, rel_tol=1e-6):
            raise Wrong(f"{case}: a loss is minus the logarithm; yours is negative.")
        if math.isclose(value, math.log(K), rel_tol=1e-6):
            raise Wrong(f"{case}: this is the loss of someone who knows nothing. What if the right class gets it all?")
        if math.isclose(value, math.log(1 + K / math.e), rel_tol=1e-6):
            raise Wrong(f"{case}: the right class is among the K. How many others are there?")
        if value == 0:
            raise Wrong(f"{case}: the probabilities are taken for scores; the second softmax never gives a 1.")
        expect_number(found, expected, case)


@exercise("4.4.2")
def check_locked(answer) -> None:
    """Dropout with one mask for all steps of a sequence."""
    expect_callable(answer, 3)
    torch.manual_seed(0)
    for T, B, n, p in [(7, 40, 50, 0.5), (1, 60, 40, 0.2), (20, 30, 60, 0.8)]:
        x, case = torch.rand(T, B, n) + 0.5, f"T = {T}, B = {B}, n = {n}, p = {p}"
        given = x.clone()
        found = answer(given, p, True)
        if not torch.equal(given, x):
            raise Wrong(f"{case}: your function has changed its input.")
        _expect_shape(found, x, case)
        _expect_mask(found.detach() / x, p, case)
        if torch.equal(answer(x.clone(), p, True), found):
            raise Wrong(f"{case}: two calls gave the same mask; it has to be drawn anew each time.")
        for rate, training in ((p, False), (0.0, True)):
            found = answer(x.clone(), rate, training)
            expect_tensor(found, x, f"p = {rate}, training = {training}: nothing should be dropped")
    x = torch.ones(5, 30, 20, requires_grad=True)
    found = answer(x, 0.5, True)
    found.sum().backward()
    if x.grad is None or not torch.allclose(x.grad, found.detach()):
        raise Wrong("The gradient does not come through: multiply by the mask, and write into no tensor.")


def _expect_shape(found: object, x: Tensor, case: str) -> None:
    if not isinstance(found, Tensor) or found.shape != x.shape:
        shape = f"shape {tuple(found.shape)}" if isinstance(found, Tensor) else type(found).__name__
        raise Wrong(f"{case}: expected a tensor of shape {tuple(x.shape)}, found {shape}.")


def _expect_mask(mask: Tensor, p: float, case: str) -> None:
    """A mask (T, B, n) of zeros and 1 / (1 - p), locked in time and free otherwise."""
    kept = mask != 0
    if not torch.allclose(mask[kept], mask[kept][:1]) or kept.all() or not kept.any():
        raise Wrong(f"{case}: every number should be either dropped or multiplied by one and the same factor.")
    if not torch.equal(kept, kept[:1].expand_as(kept)):
        raise Wrong(f"{case}: the mask changes from step to step; locked means that it does not.")
    if kept.shape[1] > 1 and torch.equal(kept, kept[:, :1].expand_as(kept)):
        raise Wrong(f"{case}: all sequences of the batch share one mask; each should have its own.")
    if torch.equal(kept, kept[..., :1].expand_as(kept)):
        raise Wrong(f"{case}: whole vectors are dropped; each unit should have its own fate.")
    share, factor = 1 - kept[0].float().mean().item(), mask[kept][0].item()
    if abs(share - p) > 0.06:
        hint = " Is p the share that stays?" if abs(share - (1 - p)) < 0.06 else ""
        raise Wrong(f"{case}: a share of {share:.2f} is dropped.{hint}")
    if abs(factor - 1) < 1e-6:
        raise Wrong(f"{case}: what stays is as large as before, so the mean shrinks; make up for it.")
    expect_number(factor, 1 / (1 - p), f"{case}, factor of what stays", tolerance=1e-4)


@exercise("4.4.3")
def check_clipped(answer) -> None:
    """Clipping by the norm of all tensors together."""
    expect_callable(answer, 2)
    g = torch.Generator().manual_seed(0)
    for shapes, limit, scale in [
        ([(3, 4), (5,)], 1.0, 1.0), ([(2,), (2,), (2,)], 0.25, 1.0), ([(3, 4), (5,)], 100.0, 1.0),
        ([(4, 4), (1,)], 0.5, 0.05), ([(2, 2)], 2.0, 50.0), ([(3,), (2,)], 1.0, 0.0),
    ]:  # fmt: skip
        given = [scale * torch.randn(shape, generator=g, dtype=torch.float64) for shape in shapes]
        _check_one_clipping(answer, given, limit, f"{len(given)} tensor(s), limit {limit:g}")


def _check_one_clipping(answer, given: list[Tensor], limit: float, case: str) -> None:
    copies = [v.clone() for v in given]
    norm = math.sqrt(sum(v.square().sum().item() for v in given))
    found, case = answer(copies, limit), f"{case}, global norm {norm:.3g}"
    if any(not torch.equal(a, b) for a, b in zip(copies, given, strict=True)):
        raise Wrong(f"{case}: your function has changed its input; return new tensors.")
    if not isinstance(found, list | tuple) or len(found) != len(given):
        raise Wrong(f"{case}: expected a list of {len(given)} tensor(s), found {type(found).__name__}.")
    if any(a is b for a, b in zip(found, copies, strict=True)):
        raise Wrong(f"{case}: these are the tensors that were given, not new ones.")
    if norm <= limit and all(
        isinstance(v, Tensor) and v.norm() > 1.01 * u.norm() for v, u in zip(found, given, strict=True)
    ):
        raise Wrong(f"{case}: the gradient is smaller than the limit and was made larger; leave it alone.")
    each = [v * min(1.0, limit / max(v.norm().item(), 1e-300)) for v in given]
    if len(given) > 1 and norm > limit and _all_close(found, each):
        raise Wrong(f"{case}: each tensor is clipped for itself, which turns the gradient; take one norm for all.")
    if norm > limit and _all_close(found, [v.clamp(-limit, limit) for v in given]):
        raise Wrong(f"{case}: this clips single numbers, which turns the gradient; scale all by one factor.")
    factor = min(1.0, limit / norm) if norm > 0 else 1.0
    for i, (a, b) in enumerate(zip(found, given, strict=True)):
        expect_tensor(a, factor * b, f"{case}, tensor {i}", tolerance=1e-5)


def _all_close(found, expected: list[Tensor]) -> bool:
    return all(
        isinstance(a, Tensor) and a.shape == b.shape and torch.allclose(a.double(), b)
        for a, b in zip(found, expected, strict=True)
    )


def _paired(d: float, s: float, rho: float, sides: int = 2, spare: int = 1, per: int = 1) -> int:
    """Smallest m of the paired test; ``sides``, ``spare`` and ``per`` make the usual mistakes."""
    m = 2
    while True:
        free = per * (m - spare)
        t = stats.t.ppf(1 - 0.05 / sides, free) + stats.t.ppf(0.8, free)
        if m >= t**2 * 2 * (1 - rho) * s**2 / d**2:
            return m
        m += 1


@exercise("4.4.4")
def check_paired_seeds(answer) -> None:
    """The number of pairs that a paired test needs."""
    expect_callable(answer, 3)
    for d, s, rho in [(1, 1, 0.0), (0.5, 1, 0.5), (0.02, 0.03, 0.3), (2.0, 1, 0.9), (-0.05, 0.03, 0.6), (1, 1, -0.5)]:
        expected, case, found = _paired(d, s, rho), f"d = {d:g}, s = {s:g}, rho = {rho:g}", answer(d, s, rho)
        expect_number(found, 0.0, case, tolerance=math.inf)  # any number will do so far
        if float(found) != expected:
            if not float(found).is_integer() or float(found) < 2:
                raise Wrong(f"{case}: a number of seeds is a whole number, and at least 2; {float(found):g} is not.")
            if float(found) == _paired(d, s, 0.0):
                raise Wrong(f"{case}: the correlation is not used.")
            if float(found) == _paired(d, s, rho, per=2):
                raise Wrong(f"{case}: m pairs give m differences: how many degrees of freedom has their mean?")
            if float(found) == _paired(d, s, rho, sides=1):
                raise Wrong(f"{case}: the test has two sides, with 2.5 % on each.")
            raise Wrong(f"{case}: {float(found):g} is not it. Does m satisfy the inequality, and m - 1 not?")


def _stream(T: int, B: int, length: int, seed: int) -> list[tuple[Tensor, Tensor]]:
    rows = torch.randint(1000, (B, length + 1), generator=torch.Generator().manual_seed(seed))
    x, y = rows[:, :-1].T.contiguous(), rows[:, 1:].T.contiguous()  # (length, B)
    return list(zip(x.split(T), y.split(T), strict=True))


def _unsound(good: list[tuple[Tensor, Tensor]]) -> dict[str, list[tuple[Tensor, Tensor]]]:
    """The same stream, broken in several ways; what a hint may say of each."""
    one = [(x, y.clone()) for x, y in good]
    one[1][1][2, 1] += 1
    late = [(x, torch.cat([y[:-1], y[-1:] + (i == 1)])) for i, (x, y) in enumerate(good)]
    turned = [(x.roll(1, dims=1), y.roll(1, dims=1)) if i == 1 else (x, y) for i, (x, y) in enumerate(good)]
    return {
        "targets that are the inputs, not shifted": [(x, x) for x, _ in good],
        "pieces in another order": [good[1], good[0], *good[2:]],
        "one wrong target in the middle of a piece": one,
        "a last target that is not the first input of the next piece": late,
        "rows that change places from one piece to the next": turned,
        "targets that come before the inputs": [(y, x) for x, y in good],
    }


@exercise("4.4.5")
def check_is_sound(answer) -> None:
    """Whether the targets of a stream of pieces are the next inputs."""
    expect_callable(answer, 1)
    for T, B, length in [(5, 3, 20), (5, 3, 18), (4, 2, 13), (8, 4, 8), (6, 3, 7)]:
        case = f"a sound stream of {-(-length // T)} piece(s), B = {B}, the last of {(length - 1) % T + 1} step(s)"
        found = answer(_stream(T, B, length, length))
        expect_bool(found, case)
        if not found:
            raise Wrong(f"{case}: you found fault with it.")
    for seed in range(3):
        for what, broken in _unsound(_stream(5, 3, 23, seed)).items():
            found = answer(broken)
            expect_bool(found, what)
            if found:
                raise Wrong(f"You did not notice: {what}.")
