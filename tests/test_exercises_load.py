"""The checks of chapter 5.6: only the right answer passes, and a wrong one gets a hint that helps."""

import torch
from exercise_cases import shared_tests


def naive(past, season, horizon):
    return past[-season:].repeat(horizon // season + 1)[:horizon]


def naive_too_short(past, season, horizon):
    return past[-season:][:horizon]


def naive_in_place(past, season, horizon):
    forecast = naive(past, season, horizon)
    past += 1
    return forecast


def ratio(past, season, horizon, recent):
    return past[-season:][:horizon] * past[-recent:].sum() / past[-season - recent : -season].sum()


def ratio_upside_down(past, season, horizon, recent):
    return past[-season:][:horizon] / past[-recent:].sum() * past[-season - recent : -season].sum()


def ratio_of_each(past, season, horizon, recent):
    return past[-season:][:horizon] * (past[-recent:] / past[-season - recent : -season]).mean()


def smooth(x, level, day, week, alpha, delta, omega):
    new = alpha * (x - day - week) + (1 - alpha) * level
    new_week = omega * (x - new - day) + (1 - omega) * week
    return new, delta * (x - new - week) + (1 - delta) * day, new_week


def smooth_old_level(x, level, day, week, alpha, delta, omega):
    new = alpha * (x - day - week) + (1 - alpha) * level
    return new, delta * (x - level - week) + (1 - delta) * day, omega * (x - level - day) + (1 - omega) * week


def smooth_new_day(x, level, day, week, alpha, delta, omega):
    new = alpha * (x - day - week) + (1 - alpha) * level
    day = delta * (x - new - week) + (1 - delta) * day
    return new, day, omega * (x - new - day) + (1 - omega) * week


def recursive(step, past, horizon):
    window = past.clone()
    for _ in range(horizon):
        window = torch.cat([window[1:], step(window)[None]])
    return torch.cat([past, window])[-horizon:] if horizon <= len(past) else window


def recursive_stuck(step, past, horizon):
    return torch.stack([step(past) for _ in range(horizon)])


def recursive_growing(step, past, horizon):
    window = past.clone()
    for _ in range(horizon):
        window = torch.cat([window, step(window)[None]])
    return window[-horizon:]


RIGHT = {
    "5.6.1": [naive],
    "5.6.2": [ratio],
    "5.6.3": [smooth, lambda *a: torch.stack(smooth(*a))],
    "5.6.4": [recursive],
}
WRONG = [
    ("5.6.1", lambda past, season, horizon: past[-1].repeat(horizon), "With a season of 7"),
    ("5.6.1", naive_too_short, "expected shape (11,)"),
    ("5.6.1", naive_in_place, "Work on a copy"),
    ("5.6.2", ratio_upside_down, "upside down"),
    ("5.6.2", ratio_of_each, "ratio of the two sums"),
    ("5.6.2", lambda past, season, horizon, recent: past[-season:][:horizon], "values are not"),
    ("5.6.3", smooth_old_level, "the new level"),
    ("5.6.3", smooth_new_day, "the old value of the day"),
    ("5.6.3", lambda x, *rest: torch.stack([x, x, x]), "level, day, week"),
    ("5.6.3", lambda *a: (None, None, None), "level, day, week"),
    ("5.6.4", recursive_stuck, "the same window"),
    ("5.6.4", recursive_growing, "keep its length"),
    ("5.6.4", lambda step, past, horizon: past[-horizon:], "1 step(s) ahead"),
]

test_right, test_wrong, test_complete = shared_tests(RIGHT, WRONG)
