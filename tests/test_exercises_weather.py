"""The checks of part 5: only the right answer passes, and a wrong one gets a hint that helps."""

import pytest
import torch

from utils.exercises import check


def pinball(y, y_hat, q):
    return torch.maximum(q * (y - y_hat), (q - 1) * (y - y_hat))


def fill(values):
    filled = values.clone()
    for t in range(1, len(filled)):
        filled[t] = filled[t - 1] if filled[t].isnan() else filled[t]
    return filled


def fill_in_place(values):
    values[:] = fill(values)
    return values


def fill_by_line(values):  # looks ahead: the mean of the neighbours
    known = [i for i, v in enumerate(values) if not v.isnan()]
    return torch.stack([values[known].mean() if v.isnan() else v for v in values])


def fill_start_too(values):
    return fill(values).nan_to_num(0.0)


def leaks(train, test, horizon):
    return int((train + horizon > test.min()).sum())


def ahead(model, climate, share):
    return int((1 - model / climate >= share).long().cumprod(0).sum())


RIGHT = {"5.5.1": pinball, "5.5.2": fill, "5.5.3": leaks, "5.5.4": ahead}
WRONG = {
    "5.5.1": [
        (lambda y, y_hat, q: (y - y_hat).abs(), "At q = 0.5"),
        (lambda y, y_hat, q: pinball(y_hat, y, q), "which side must cost more"),
        (lambda y, y_hat, q: pinball(y, y_hat, q).mean(), "expected shape (4, 7), found ()"),
    ],
    "5.5.2": [
        (fill_by_line, "only values before a gap may fill it"),
        (fill_in_place, "Work on a copy"),
        (fill_start_too, "has no past"),
        (lambda values: None if values[0].isnan() else fill(values), "returned nothing"),
        (lambda values: values.clone(), "With one gap"),
    ],
    "5.5.3": [
        (lambda train, test, horizon: int((train + horizon >= test.min()).sum()), ""),
        (lambda train, test, horizon: int((train > test.min()).sum()), "With horizon"),
        (lambda train, test, horizon: int((train + horizon > test[0]).sum()), "origins come in any order"),
    ],
    "5.5.4": [
        (lambda model, climate, share: int((1 - model / climate >= share).sum()), "a break ends it"),
        (lambda model, climate, share: int((model / climate >= share).long().cumprod(0).sum()), "When"),
        (lambda model, climate, share: int((1 - model / climate > share).long().cumprod(0).sum()), "exactly"),
    ],
}


@pytest.mark.parametrize("number", RIGHT)
def test_right_answer_passes(number):
    assert check(number, RIGHT[number])


@pytest.mark.parametrize(("number", "answer", "hint"), [(n, a, h) for n, pairs in WRONG.items() for a, h in pairs])
def test_likely_mistake_gets_its_hint(number, answer, hint, capsys):
    assert not check(number, answer)
    assert hint in capsys.readouterr().out
