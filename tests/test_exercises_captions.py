"""The checks of chapter 5.8: only the right answers pass, and likely mistakes get a hint that helps."""

import torch
from exercise_cases import shared_tests


def points(weights, corner):
    centre = 4 * torch.stack([weights.argmax() // 8, weights.argmax() % 8]) + 2
    return bool(((centre >= corner) & (centre < corner + 8)).all())


def points_transposed(weights, corner):
    centre = 4 * torch.stack([weights.argmax() % 8, weights.argmax() // 8]) + 2
    return bool(((centre >= corner) & (centre < corner + 8)).all())


def points_with_corners(weights, corner):  # the cell's first pixel in place of its centre
    first = 4 * torch.stack([weights.argmax() // 8, weights.argmax() % 8])
    return bool(((first >= corner) & (first < corner + 8)).all())


def above(a, b):
    return bool(a[:, 0].max() + 8 <= b[:, 0].min())


def share(corners, size):
    centre = 4 * torch.arange(8) + 2
    cells = torch.zeros(8, 8)
    for row, column in corners.tolist():
        inside = [(centre >= first) & (centre < first + size) for first in (row, column)]
        cells[inside[0][:, None] & inside[1]] = 1
    return float(cells.mean())


def share_added(corners, size):
    return sum(share(corner[None], size) for corner in corners)


def penalty(weights, lengths):
    real = torch.arange(weights.shape[1]) < lengths[:, None]
    return (1 - (weights * real[:, :, None]).sum(1)).square().sum(1).mean()


def penalty_in_place(weights, lengths):
    weights *= (torch.arange(weights.shape[1]) < lengths[:, None])[:, :, None] * 1.000001
    return (1 - weights.sum(1)).square().sum(1).mean()


RIGHT = {"5.8.1": [points], "5.8.2": [above], "5.8.3": [share], "5.8.4": [penalty]}
WRONG = [
    ("5.8.1", points_transposed, "box at"),
    ("5.8.1", points_with_corners, "Cell"),
    ("5.8.1", lambda weights, corner: int(weights.argmax()), "expected True or False, found int"),
    ("5.8.1", lambda weights, corner: True, "a cell to the right of the box"),
    ("5.8.2", lambda a, b: bool(a[:, 0].max() < b[:, 0].min()), "one row too few"),
    ("5.8.2", lambda a, b: bool(a[:, 1].max() + 8 <= b[:, 1].min()), "Groups at"),
    ("5.8.2", lambda a, b: bool(a[:, 0].min() + 8 <= b[:, 0].min()), "only one of the two"),
    ("5.8.2", lambda a, b: bool(a[:, 0].max() + 8 <= b[:, 0].max()), "only one of the two"),
    ("5.8.2", lambda a, b: bool((a[:, 0] + 8 <= b[:, 0]).all()), "only one of the two"),  # in pairs
    ("5.8.2", lambda a, b: a[:, 0] + 8 <= b[:, 0].min(), "expected True or False"),
    ("5.8.3", lambda corners, size: len(corners) * size**2 / 1024, "share of the pixels"),
    ("5.8.3", share_added, "one cell"),
    ("5.8.3", lambda corners, size: 1 / 64, "box(es) of size"),
    ("5.8.4", lambda w, n: (1 - w.sum(1)).square().sum(1).mean(), "counts the padding"),
    ("5.8.4", lambda w, n: penalty(w, n) * len(n), "the mean is wanted"),
    ("5.8.4", penalty_in_place, "Work on a copy"),
    ("5.8.4", lambda w, n: (1 - w.sum(2)).square().sum(1).mean(), "values are not"),
]
(
    test_right_answers_pass,
    test_wrong_answers_get_their_hint,
    test_every_exercise_is_tried,
) = shared_tests(RIGHT, WRONG)
