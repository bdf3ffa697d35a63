"""The checks of chapter 5.3: only the right answer passes, and a usual mistake gets its hint."""

from collections import Counter

import torch
from exercise_cases import shared_tests


def normalised(log_p, tokens, alpha):
    return log_p / ((6 + tokens) / 6) ** alpha


def masked(scores, mask):
    return torch.where(mask.unsqueeze(1), scores, -torch.inf).softmax(dim=-1)


def masked_in_place(scores, mask):
    scores += torch.where(mask.unsqueeze(1), 0.0, -torch.inf)
    return scores.softmax(dim=-1)


def ngrams(text, n):
    return Counter(tuple(text[i : i + n]) for i in range(len(text) - n + 1))


def clipped(hypothesis, reference, n):
    ours = ngrams(hypothesis, n)
    return (ours & ngrams(reference, n)).total() / max(ours.total(), 1)


def unclipped(hypothesis, reference, n):
    known = ngrams(reference, n)
    grams = [tuple(hypothesis[i : i + n]) for i in range(len(hypothesis) - n + 1)]
    return sum(gram in known for gram in grams) / max(len(grams), 1)


RIGHT = {"5.3.1": [normalised], "5.3.2": [masked], "5.3.3": [clipped]}
WRONG = [
    ("5.3.1", lambda log_p, tokens, alpha: log_p / ((5 + tokens) / 6) ** alpha, "ends the translation counts"),
    ("5.3.1", lambda log_p, tokens, alpha: log_p * ((6 + tokens) / 6) ** alpha, "punished twice"),
    ("5.3.1", lambda log_p, tokens, alpha: log_p / (tokens + 1) ** alpha, "is not it"),
    ("5.3.2", lambda scores, mask: scores.softmax(2) * mask.unsqueeze(1), "does not add up to 1"),
    ("5.3.2", lambda scores, mask: (scores * mask.unsqueeze(1)).softmax(2), "not a weight of 0"),
    ("5.3.2", lambda scores, mask: torch.where(mask.unsqueeze(1), scores, -torch.inf).softmax(1), "over the source"),
    ("5.3.2", lambda scores, mask: scores.softmax(2), "the shape is right"),
    ("5.3.2", masked_in_place, "changed the scores"),
    ("5.3.3", unclipped, "at most as often"),
    ("5.3.3", lambda hypothesis, reference, n: clipped(reference, hypothesis, n), "this is the recall"),
    ("5.3.3", lambda hypothesis, reference, n: clipped(hypothesis, reference, 1), "is not it"),
]

test_right, test_wrong, test_every_exercise_is_tried = shared_tests(RIGHT, WRONG)
