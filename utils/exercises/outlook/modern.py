"""Checks of the exercises of chapter 7.2, modern recurrence."""

import torch

from utils.exercises import Wrong, exercise, expect_callable, expect_tensor


@exercise("7.2.1")
def two_steps(answer) -> None:
    """Two steps of h -> a h + b as one."""
    expect_callable(answer, 4)
    generator = torch.Generator().manual_seed(721)
    for sizes in ((3,), (2, 4)):
        a_1, b_1, a_2, b_2, h = (torch.randn(sizes, generator=generator) for _ in range(5))
        found = answer(a_1, b_1, a_2, b_2)
        if not isinstance(found, tuple | list) or len(found) != 2:
            raise Wrong("Return a pair: the a and the b of the one step that does the work of both.")
        case = f"With tensors of shape {sizes}"
        expect_tensor(found[0], a_1 * a_2, f"{case}, the first of the pair")
        expect_tensor(found[1], a_2 * b_1 + b_2, f"{case}, the second of the pair (which of the steps comes later?)")
        expect_tensor(found[0] * h + found[1], a_2 * (a_1 * h + b_1) + b_2, f"{case}, the state after both", 1e-5)


@exercise("7.2.2")
def resets(answer) -> None:
    """States of a recurrence that starts afresh wherever ``reset`` is true."""
    expect_callable(answer, 3)
    generator = torch.Generator().manual_seed(722)
    for B, T, n in ((1, 6, 2), (3, 11, 4)):
        a, b = torch.randn(2, B, T, n, generator=generator)
        reset = torch.rand(B, T, generator=generator) < 0.3
        reset[:, 3], reset[:, 1] = True, False
        kept, h, states = (a.clone(), b.clone()), torch.zeros(B, n), []
        for t in range(T):
            h = torch.where(reset[:, t, None], 0.0, h)
            h = a[:, t] * h + b[:, t]
            states.append(h)
        found = answer(a, b, reset)
        expect_tensor(found, torch.stack(states, dim=1), f"With B = {B}, T = {T}, n = {n}", 1e-5)
        if not (torch.equal(a, kept[0]) and torch.equal(b, kept[1])):
            raise Wrong("Your function changed its inputs. Work on new tensors.")


@exercise("7.2.3")
def kernel(answer) -> None:
    """Response of a diagonal recurrence to a single impulse."""
    expect_callable(answer, 4)
    generator = torch.Generator().manual_seed(723)
    for n, T in ((1, 5), (4, 9)):
        lam = torch.rand(n, generator=generator)
        B, C = torch.randn(2, n, generator=generator)
        h, expected = torch.zeros(n), []
        for t in range(T):
            h = lam * h + B * float(t == 0)
            expected.append((C * h).sum())
        case = f"With n = {n} and T = {T} (the impulse is already seen at its own step)"
        expect_tensor(answer(lam, B, C, T), torch.stack(expected), case, 1e-5)


@exercise("7.2.4")
def delta(answer) -> None:
    """One step of the delta rule."""
    expect_callable(answer, 4)
    generator = torch.Generator().manual_seed(724)
    for e in (2, 5):
        S = torch.randn(e, e, generator=generator)
        k, v = torch.randn(2, e, generator=generator)
        k, kept = k / k.norm(), S.clone()
        for beta in (1.0, 0.0, 0.3):
            expected = S + beta * torch.outer(v - S @ k, k)
            hint = "now the memory must answer v when it is asked for k" if beta == 1 else "how far should it go?"
            expect_tensor(answer(S, k, v, beta), expected, f"With e = {e} and beta = {beta} ({hint})", 1e-5)
        if not torch.equal(S, kept):
            raise Wrong("Your function changed the memory it was given. Return a new one.")
