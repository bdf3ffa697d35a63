"""The checks of chapter 7.1."""

import math
import re

import numpy as np
import torch
from exercise_cases import shared_tests


def phrases(command):
    return re.split(" and | after ", command)


def known(command, parts):
    return all(phrase in parts for phrase in phrases(command))


def held(accuracy, k, V):
    return k * (accuracy * V - 1) / (V - 1)


def difference(written, wanted):
    a, b = written.split(), wanted.split()
    return next((i for i in range(max(len(a), len(b))) if a[i : i + 1] != b[i : i + 1]), None)


def lag(bias, share):
    f, step, left = 1 / (1 + math.exp(-bias)), 0, 1.0
    while left > share * (1 + 1e-9):
        left, step = left * f, step + 1
    return step


def by_zip(written, wanted):
    return next((i for i, (a, b) in enumerate(zip(written.split(), wanted.split())) if a != b), None)  # noqa: B905


def lag_in_float32(bias, share):
    return torch.ceil(torch.tensor(share).log() / torch.tensor(bias).sigmoid().log())


RIGHT = {
    "7.1.1": [known, lambda command, parts: np.all([p in parts for p in phrases(command)])],
    "7.1.2": [held],
    "7.1.3": [difference],
    "7.1.4": [lag, lag_in_float32],
}
WRONG = [
    ("7.1.1", lambda command, parts: command in parts, "walk twice and turn left"),
    ("7.1.1", lambda command, parts: any(p in parts for p in phrases(command)), "walk and walk thrice"),
    ("7.1.1", lambda command, parts: all(p in parts for p in command.split(" and ")), "turn left after run"),
    ("7.1.1", lambda command, parts: [p in parts for p in phrases(command)], "expected True or False"),
    ("7.1.2", lambda accuracy, k, V: k * accuracy, "what does a guess add"),
    ("7.1.2", lambda accuracy, k, V: (accuracy * V - 1) / (V - 1), "Right everything"),
    ("7.1.3", by_zip, "one that stops early"),
    (
        "7.1.3",
        lambda a, b: next((i for i in range(len(b)) if a[i : i + 1] != b[i : i + 1]), None),
        "wrong first action",
    ),
    ("7.1.3", lambda a, b: -1 if a == b else difference(a, b), "expected None"),
    ("7.1.4", lambda bias, share: math.log(share) / math.log(1 / (1 + math.exp(-bias))), "smallest whole lag"),
    ("7.1.4", lambda bias, share: lag(bias, share) - 1, "smallest whole lag"),
    ("7.1.4", lambda bias, share: lag(-bias, share), "With the bias 1"),
]

test_right_answers_pass, test_wrong_answers_get_their_hint, test_every_exercise_is_tried = shared_tests(RIGHT, WRONG)
