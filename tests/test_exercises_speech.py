"""The checks of chapter 5.7: only the right answer passes, and a usual mistake gets its hint."""

from itertools import groupby, pairwise

import torch
from exercise_cases import shared_tests


def collapse(path):
    return [label for label, _ in groupby(path) if label != 0]


def blanks_first(path):
    return [label for label, _ in groupby(label for label in path if label != 0)]


def in_place(path):
    result = collapse(path)
    path.clear()
    return result


def fewest(labels):
    return len(labels) + sum(a == b for a, b in pairwise(labels))


def errors(said, heard):
    said, heard = said.split(), heard.split()
    row = list(range(len(heard) + 1))
    for i, a in enumerate(said, start=1):
        above, row[0] = row[0], i
        for j, b in enumerate(heard, start=1):
            above, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, above + (a != b))
    return row[-1]


def wer(said, heard):
    return errors(said, heard) / len(said.split())


def positions(said, heard):
    pairs = zip(said.split(), heard.split(), strict=False)
    return sum(a != b for a, b in pairs) / len(said.split())


def count(labels, T):
    z = [0]
    for label in labels:
        z += [label, 0]
    ways = [1, 1] + [0] * (len(z) - 2) if len(z) > 1 else [1]
    for _ in range(T - 1):
        ways = [
            w + (ways[s - 1] if s else 0) + (ways[s - 2] if s > 1 and z[s] not in (0, z[s - 2]) else 0)
            for s, w in enumerate(ways)
        ]
    return sum(ways[-2:])


def count_jumping(labels, T):
    """Also jumps over the blank between two equal labels."""
    return count(list(range(1, len(labels) + 1)), T)


RIGHT = {
    "5.7.1": [collapse, lambda path: torch.tensor(collapse(path), dtype=torch.long)],
    "5.7.2": [fewest],
    "5.7.3": [wer, lambda said, heard: torch.tensor(wer(said, heard), dtype=torch.float64)],
    "5.7.4": [count],
}
WRONG = [
    ("5.7.1", blanks_first, "lost a label that was said twice"),
    ("5.7.1", lambda path: [label for label in path if label != 0], "still one label"),
    ("5.7.1", lambda path: [label for label, _ in groupby(path)], "is not it"),
    ("5.7.1", in_place, "Work on a copy"),
    ("5.7.1", lambda path: "abc", "expected a list of labels"),
    ("5.7.2", len, "collapse?"),
    ("5.7.2", lambda labels: 2 * len(labels) + 1, "it need not"),
    ("5.7.2", lambda labels: fewest(labels) + 2, "is not it"),
    ("5.7.3", errors, "not their rate"),
    ("5.7.3", lambda s, h: errors(s, h) / max(len(h.split()), 1), "per word that was said"),
    ("5.7.3", lambda s, h: min(wer(s, h), 1.0), "no upper limit"),
    ("5.7.3", positions, "one word is missing"),
    ("5.7.4", count_jumping, "Labels [1, 1]"),
    ("5.7.4", lambda labels, T: 1, "is not it"),
]
test_right, test_wrong, test_every_exercise_is_tried = shared_tests(RIGHT, WRONG)
