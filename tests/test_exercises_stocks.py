"""The checks of chapter 5.4: only the right answer passes, and a likely mistake gets a hint that helps."""

import torch
from exercise_cases import shared_tests


def returns(p):
    return 100 * p.log().diff()


def late(forecast, actual, max_lag, difference=torch.diff):
    f, a = difference(forecast), difference(actual)
    pairs = [torch.stack([f[max_lag:], a[max_lag - k : len(a) - k]]) for k in range(max_lag + 1)]
    return max(range(max_lag + 1), key=lambda k: float(torch.corrcoef(pairs[k])[0, 1]))


def strongest(f, a, max_lag):  # the largest size of a correlation, whatever its sign
    f, a = f.diff(), a.diff()
    pairs = [torch.stack([f[max_lag:], a[max_lag - k : len(a) - k]]) for k in range(max_lag + 1)]
    return max(range(max_lag + 1), key=lambda k: float(torch.corrcoef(pairs[k])[0, 1].abs()))


def variance(r, decay, start):
    h = [torch.tensor(start, dtype=r.dtype)]
    for r_t in r[:-1]:
        h.append(decay * h[-1] + (1 - decay) * r_t**2)
    return torch.stack(h)


def variance_same_day(r, decay, start):
    return variance(torch.cat([r, r[-1:]]), decay, start)[1:]


def variance_in_place(r, decay, start):
    h = variance(r, decay, start)
    r.zero_()
    return h


def net(position, r, cost):
    return position * r - cost * torch.diff(position, prepend=position.new_zeros(1)).abs()


def net_of_trades(position, r, cost):  # counts trades, not how much is traded
    return position * r - cost * (torch.diff(position, prepend=position.new_zeros(1)) != 0)


def net_without_entry(position, r, cost):
    return position * r - cost * torch.diff(position, prepend=position[:1]).abs()


def holm(p):
    order = p.argsort()
    steps = p[order] * torch.arange(len(p), 0, -1)
    adjusted = torch.empty_like(p)
    adjusted[order] = steps.cummax(0).values.clamp(max=1)
    return adjusted


def holm_not_rising(p):
    return (p * (len(p) - p.argsort().argsort())).clamp(max=1)


RIGHT = {
    "5.4.1": [returns, lambda p: 100 * (p[1:] / p[:-1]).log()],
    "5.4.2": [late],
    "5.4.3": [variance],
    "5.4.4": [net],
    "5.4.5": [holm],
}
WRONG = [
    ("5.4.1", lambda p: 100 * (p[1:] / p[:-1] - 1), "simple returns"),
    ("5.4.1", lambda p: p.log().diff(), "per cent"),
    ("5.4.1", lambda p: -returns(p), "values are not"),
    ("5.4.2", lambda f, a, k: late(f, a, k, difference=lambda s: s), "levels or changes"),
    ("5.4.2", lambda f, a, k: late(a, f, k), "day(s) late"),
    ("5.4.2", strongest, "runs against"),
    ("5.4.2", lambda f, a, k: 1, "0 day(s) late"),
    ("5.4.3", variance_same_day, "looks ahead"),
    ("5.4.3", variance_in_place, "Work on a copy"),
    ("5.4.3", lambda r, decay, start: variance(r, 1 - decay, start), "With decay 0.94"),
    ("5.4.3", lambda r, decay, start: variance(r, decay, start).sqrt(), "values are not"),
    ("5.4.4", lambda position, r, cost: position * r, "must be bought first"),
    ("5.4.4", net_without_entry, "must be bought first"),
    ("5.4.4", net_of_trades, "how much is traded"),
    ("5.4.5", lambda p: (p * len(p)).clamp(max=1), "two in order"),
    ("5.4.5", holm_not_rising, "lies below"),
    ("5.4.5", lambda p: holm(p).sort().values, "out of order"),
    ("5.4.5", lambda p: holm(p / 2) * 2, "at most 1"),
]
test_right, test_wrong, test_all_tried = shared_tests(RIGHT, WRONG)
