"""Checks of the exercises of chapter 5.5, weather."""

import torch

from utils.exercises import Wrong, exercise, expect_callable, expect_number, expect_tensor


@exercise("5.5.1")
def pinball(answer) -> None:
    """Pinball loss of every entry."""
    expect_callable(answer, 3)
    generator = torch.Generator().manual_seed(551)
    for q in (0.5, 0.1, 0.9):
        y, y_hat = torch.randn(2, 4, 7, generator=generator)
        error = y - y_hat
        expected = torch.where(error >= 0, q * error, (q - 1) * error)
        hint = "half the absolute error" if q == 0.5 else "which side must cost more at this level?"
        expect_tensor(answer(y, y_hat, q), expected, f"At q = {q} ({hint})")


@exercise("5.5.2")
def fill_from_past(answer) -> None:
    """Every NaN takes the last value before it."""
    expect_callable(answer, 1)
    nan = float("nan")
    cases = {
        "one gap": ([1.0, nan, 3.0], [1.0, 1.0, 3.0]),
        "a long gap": ([2.0, nan, nan, nan, 5.0, nan], [2.0, 2.0, 2.0, 2.0, 5.0, 5.0]),
        "no gap": ([1.0, 2.0], [1.0, 2.0]),
    }
    for case, (values, expected) in cases.items():
        given = torch.tensor(values)
        expect_tensor(answer(given), torch.tensor(expected), f"With {case} (only values before a gap may fill it)")
        if not given.isnan().equal(torch.tensor(values).isnan()):
            raise Wrong("Your function changed its input. Work on a copy.")
    start = answer(torch.tensor([nan, nan, 4.0, nan]))
    known = start[2:] if isinstance(start, torch.Tensor) and start.shape == (4,) else start
    expect_tensor(known, torch.tensor([4.0, 4.0]), "With a gap at the start, behind the gap")
    if not start[:2].isnan().all():
        raise Wrong("A gap at the very start has no past: its values stay NaN.")


@exercise("5.5.3")
def count_leaks(answer) -> None:
    """Training origins with a target after the first test origin."""
    expect_callable(answer, 3)
    generator = torch.Generator().manual_seed(553)
    for horizon in (1, 24, 7):
        start = int(torch.randint(60, 90, (1,), generator=generator))
        train = torch.randperm(start + 3, generator=generator)[:50]
        test = start + torch.randperm(20, generator=generator)
        test = torch.cat([test, torch.tensor([start])])
        expected = int((train + horizon > start).sum())
        case = f"With horizon {horizon} and the first test origin at {start} (origins come in any order)"
        expect_number(answer(train, test, horizon), expected, case)
    exact = answer(torch.tensor([0, 10, 11]), torch.tensor([20, 21]), 10)
    expect_number(exact, 1, "When a last target falls on the first test origin itself (which is known)")


@exercise("5.5.4")
def hours_ahead(answer) -> None:
    """Number of leading horizons with enough skill."""
    expect_callable(answer, 3)
    climate = torch.full((6,), 4.0)
    cases = {
        "the skill falls steadily": ([1.0, 1.5, 2.5, 3.0, 3.5, 4.0], 0.3, 3),
        "the skill comes back later (a break ends it)": ([1.0, 3.9, 1.0, 1.0, 1.0, 1.0], 0.5, 1),
        "there is no skill at all": ([4.0, 4.1, 4.2, 4.0, 4.0, 4.0], 0.1, 0),
        "the skill never ends": ([0.5] * 6, 0.5, 6),
        "the share is met exactly": ([2.0, 2.0, 3.0, 3.0, 3.0, 3.0], 0.5, 2),
    }
    for case, (model, share, expected) in cases.items():
        expect_number(answer(torch.tensor(model), climate, share), expected, f"When {case}")
