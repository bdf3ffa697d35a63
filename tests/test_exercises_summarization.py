"""The checks of chapter 5.2: right answers pass, likely mistakes get their hint."""

from itertools import pairwise

import torch
from exercise_cases import shared_tests


def novelty(summary, source):
    return sum(word not in source for word in summary) / len(summary)


def novel_types(summary, source):
    return len(set(summary) - set(source)) / len(set(summary))


def common(a, b):
    if not a or not b:
        return 0
    return 1 + common(a[:-1], b[:-1]) if a[-1] == b[-1] else max(common(a[:-1], b), common(a, b[:-1]))


def rouge_l(written, expected):
    return 2 * common(written, expected) / (len(written) + len(expected))


def rouge_1(written, expected):
    overlap = sum(min(written.count(w), expected.count(w)) for w in set(written))
    return 2 * overlap / (len(written) + len(expected))


def coverage(a):
    return torch.minimum(a, a.cumsum(1) - a).sum(2)


def coverage_in_place(a):
    return torch.minimum(a.clone(), a.cumsum_(1) - a).sum(2)


def coverage_by_steps(a):
    c, loss = torch.zeros_like(a[:, 0]), []
    for a_t in a.unbind(1):
        loss.append(torch.minimum(a_t, c).sum(1))
        c = c + a_t
    return torch.stack(loss, 1)


def blocked(tokens):
    return {c for a, b, c in zip(tokens, tokens[1:], tokens[2:]) if [a, b] == tokens[-2:]}  # noqa: B905


RIGHT = {
    "5.2.1": [novelty],
    "5.2.2": [rouge_l],
    "5.2.3": [coverage, coverage_by_steps],
    "5.2.4": [blocked],
}
WRONG = [
    ("5.2.1", novel_types, "counts three times"),
    ("5.2.1", lambda a, b: 1 - novelty(a, b), "do stand there"),
    ("5.2.1", lambda a, b: sum(w not in " ".join(b) for w in a) / len(a), ""),
    ("5.2.1", 0.5, "Give the function itself"),
    ("5.2.2", rouge_1, "the order of the words counts"),
    ("5.2.2", lambda w, e: common(w, e) / len(e), "the F-score takes both"),
    ("5.2.2", lambda w, e: None, "your answer is empty"),
    ("5.2.3", lambda a: torch.minimum(a, a.cumsum(1)).sum(2), "does not count the step itself"),
    ("5.2.3", lambda a: coverage(a).sum(), "one number per item and step"),
    ("5.2.3", coverage_in_place, "changed its input"),
    ("5.2.3", lambda a: torch.minimum(a, a.cumsum(2) - a).sum(2), "values are not"),
    ("5.2.4", lambda t: sorted(blocked(t)), "expected a set"),
    ("5.2.4", lambda t: {c for b, c in pairwise(t) if [b] == t[-1:]}, "repeats nothing"),
    ("5.2.4", lambda t: set(list(blocked(t))[:1]), "more would repeat"),
]
test_right_answers_pass, test_wrong_answers_get_their_hint, test_every_exercise_is_tried = shared_tests(RIGHT, WRONG)
