"""Checks of the exercises of chapter 5.4, stock prices."""

import torch

from utils.exercises import Wrong, exercise, expect_callable, expect_number, expect_tensor, matches


def _generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@exercise("5.4.1")
def log_returns(answer) -> None:
    """Daily log returns in per cent."""
    expect_callable(answer, 1)
    for days in (2, 6, 30):
        steps = torch.randn(days, generator=_generator(days), dtype=torch.float64)
        price = 50 * (0.03 * steps.cumsum(0)).exp()
        found, log = answer(price), price.log()
        if matches(found, 100 * (price[1:] / price[:-1] - 1)):
            raise Wrong("These are simple returns. Those of the exercise add up over days: logarithms do that.")
        if matches(found, log[1:] - log[:-1]):
            raise Wrong("Almost: the exercise asks for per cent.")
        expect_tensor(found, 100 * (log[1:] - log[:-1]), f"With {days} prices")


@exercise("5.4.2")
def days_late(answer) -> None:
    """The lag at which the changes of a forecast agree best with those of the series."""
    expect_callable(answer, 3)
    for late, max_lag in ((1, 5), (0, 5), (3, 4), (4, 4)):
        walk = 100 + torch.randn(400, generator=_generator(late), dtype=torch.float64).cumsum(0)
        noise = 0.2 * torch.randn(390, generator=_generator(90 + late), dtype=torch.float64)
        forecast, actual = walk[10 - late : 400 - late] + noise, walk[10:]
        expect_number(
            answer(forecast, actual, max_lag), late, f"For a forecast that copies the series {late} day(s) late"
        )
    wave = 100 * (torch.arange(390, dtype=torch.float64) / 130).sin()  # large in the levels, small in the changes
    expect_number(
        answer(walk[8:398] + wave, walk[10:], 4), 2, "With a slow wave on top of the forecast (levels or changes?)"
    )
    mirrored = walk[9:399] - 2 * walk[7:397]
    expect_number(answer(mirrored, walk[10:], 4), 1, "When it runs against the changes of 3 days before as well")
    expect_number(answer(-(walk[10:]), walk[10:], 0), 0, "When no lag but 0 is asked for")


@exercise("5.4.3")
def variance_before(answer) -> None:
    """The EWMA variance of each day as known the evening before."""
    expect_callable(answer, 3)
    for decay in (0.94, 0.5):
        returns = torch.randn(12, generator=_generator(543), dtype=torch.float64)
        expected = [2.0]
        for r in returns[:-1].tolist():
            expected.append(decay * expected[-1] + (1 - decay) * r * r)
        given = returns.clone()
        found = answer(given, decay, 2.0)
        if not given.equal(returns):
            raise Wrong("Your function changed its input. Work on a copy.")
        if isinstance(found, torch.Tensor) and found.shape == returns.shape:
            other = returns.clone()
            other[6] += 5.0  # what day 6 brings is not known the evening before day 6
            if not matches(answer(other, decay, 2.0)[:7], found[:7]):
                raise Wrong("The variance of a day changes with the return of that very day: it looks ahead.")
        expect_tensor(found, torch.tensor(expected, dtype=torch.float64), f"With decay {decay}")


@exercise("5.4.4")
def net_returns(answer) -> None:
    """Returns of a strategy after the cost of every change of its position."""
    expect_callable(answer, 3)
    returns = torch.randn(9, generator=_generator(544), dtype=torch.float64)
    cases = {
        "a share held all the time (it must be bought first)": [1.0] * 9,
        "one that is never held": [0.0] * 9,
        "one bought on the third day and sold on the fifth": [0, 0, 1, 1, 0, 0, 0, 0, 0],
        "one that changes from held to sold short (how much is traded then?)": [1, 1, -1, -1, 1, -1, 0, 0, 0.5],
    }
    for case, holding in cases.items():
        position = torch.tensor(holding, dtype=torch.float64)
        traded = torch.diff(position, prepend=torch.zeros(1, dtype=torch.float64)).abs()
        expect_tensor(answer(position, returns, 0.1), position * returns - 0.1 * traded, f"With {case}")


@exercise("5.4.5")
def holm(answer) -> None:
    """Holm's adjusted p-values, in the order of the p-values given."""
    expect_callable(answer, 1)
    cases = {
        "one p-value": ([0.03], [0.03]),
        "two in order": ([0.01, 0.04], [0.02, 0.04]),
        "three out of order": ([0.04, 0.01, 0.02], [0.04, 0.03, 0.04]),
        "two close ones (no adjusted value lies below that of a smaller p)": (
            [0.02, 0.021, 0.5],
            [0.06, 0.06, 0.5],
        ),
        "large ones (a probability is at most 1)": ([0.9, 0.6, 0.7, 0.8], [1.0, 1.0, 1.0, 1.0]),
    }
    for case, (p, expected) in cases.items():
        found = answer(torch.tensor(p, dtype=torch.float64))
        expect_tensor(found, torch.tensor(expected, dtype=torch.float64), f"With {case}")
