"""Checks of the exercises of chapter 5.6, electricity load."""

import torch

from utils.exercises import Wrong, exercise, expect_callable, expect_tensor, matches


def _demand(seed: int, steps: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return 20 + 10 * torch.rand(steps, generator=generator, dtype=torch.float64)


@exercise("5.6.1")
def seasonal_naive(answer) -> None:
    """The last known value of the same place in the season."""
    expect_callable(answer, 3)
    for steps, season, horizon in ((30, 7, 5), (30, 7, 7), (20, 4, 11)):
        past = _demand(561 + horizon, steps)
        expected = torch.stack([past[steps - season + h % season] for h in range(horizon)])
        case = f"With a season of {season} steps and {horizon} steps ahead"
        hint = "" if horizon <= season else " (further than one season ahead, the last known season is repeated)"
        given = past.clone()
        expect_tensor(answer(given, season, horizon), expected, case + hint)
        if not torch.equal(given, past):
            raise Wrong("Your function changed its input. Work on a copy.")


@exercise("5.6.2")
def ratio(answer) -> None:
    """Last season's curve, scaled by the ratio of recent sums."""
    expect_callable(answer, 4)
    for season, horizon, recent in ((7, 5, 2), (7, 7, 1), (12, 6, 5)):
        past = _demand(562 + horizon, 40)
        now, then = past[-recent:], past[-season - recent : -season]
        curve = past[len(past) - season :][:horizon]
        found, expected = answer(past, season, horizon, recent), curve * now.sum() / then.sum()
        case = f"With a season of {season}, {horizon} steps ahead and the last {recent} step(s) compared"
        if matches(found, curve * then.sum() / now.sum()):
            raise Wrong(f"{case}: your ratio is upside down. If demand is higher than a season ago, scale up.")
        if recent > 1 and matches(found, curve * (now / then).mean()):
            raise Wrong(f"{case}: take the ratio of the two sums, not the mean of the ratios.")
        expect_tensor(found, expected, case)


@exercise("5.6.3")
def smoothing_step(answer) -> None:
    """One update of the level and two seasonal indices."""
    expect_callable(answer, 7)
    generator = torch.Generator().manual_seed(563)
    for _ in range(3):
        x, level, day, week = torch.randn(4, generator=generator, dtype=torch.float64)
        alpha, delta, omega = torch.rand(3, generator=generator, dtype=torch.float64)
        found = answer(x, level, day, week, alpha, delta, omega)
        new_level = alpha * (x - day - week) + (1 - alpha) * level
        new_day = delta * (x - new_level - week) + (1 - delta) * day
        expected = torch.stack([new_level, new_day, omega * (x - new_level - day) + (1 - omega) * week])
        if isinstance(found, tuple | list) and len(found) == 3 and None not in found:
            found = torch.stack([torch.as_tensor(part, dtype=torch.float64) for part in found])
        old = torch.stack(
            [new_level, delta * (x - level - week) + (1 - delta) * day, omega * (x - level - day) + (1 - omega) * week]
        )
        if matches(found, old):
            raise Wrong("The two seasons should see the new level, not the old one.")
        fresh = expected.clone()
        fresh[2] = omega * (x - new_level - new_day) + (1 - omega) * week
        if matches(found, fresh):
            raise Wrong("The season of the week should see the old value of the day's season.")
        expect_tensor(found, expected, "One step (level, day, week in this order)")


@exercise("5.6.4")
def recursive(answer) -> None:
    """A one-step forecaster applied to its own forecasts."""
    expect_callable(answer, 3)
    weights = torch.tensor([0.5, -0.3, 0.9], dtype=torch.float64)
    past = _demand(564, 9)
    for horizon in (1, 2, 6):
        lengths: list[int] = []

        def step(window: torch.Tensor, lengths: list[int] = lengths) -> torch.Tensor:
            lengths.append(len(window))
            return window[-3:] @ weights

        window, expected = past.clone(), []
        for _ in range(horizon):
            expected.append(window[-3:] @ weights)
            window = torch.cat([window[1:], expected[-1][None]])
        given = past.clone()
        found = answer(step, given, horizon)
        case = f"{horizon} step(s) ahead"
        if horizon > 1 and matches(found, expected[0].repeat(horizon)):
            raise Wrong(f"{case}: every step got the same window. Put the forecast at its end before the next step.")
        expect_tensor(found, torch.stack(expected), case)
        if set(lengths) != {len(past)}:
            raise Wrong(f"{case}: the window should keep its length: one value comes in, the oldest leaves.")
        if not torch.equal(given, past):
            raise Wrong("Your function changed its input. Work on a copy.")
