"""The checks of chapter 5.1: only the right answer passes, and a usual mistake gets its hint."""

import math

import torch
from exercise_cases import shared_tests


def bits(perplexity, tokens, characters):
    return math.log2(perplexity) * tokens / characters


def min_p(logits, share):
    p = logits.softmax(dim=-1)
    kept = p * (p >= share * p.amax(dim=-1, keepdim=True))
    return kept / kept.sum(dim=-1, keepdim=True)


def min_p_in_place(logits, share):
    result = min_p(logits, share)
    logits[result == 0] = float("-inf")
    return result


def not_normalised(logits, share):
    p = logits.softmax(dim=-1)
    return p * (p >= share * p.amax(dim=-1, keepdim=True))


def by_mass(logits, share):
    p = logits.softmax(dim=-1)
    kept = p * (p >= share)
    return kept / kept.sum(dim=-1, keepdim=True)


def of_all(logits, share):
    p = logits.softmax(dim=-1)
    kept = p * (p >= share * p.max())
    return kept / kept.sum(dim=-1, keepdim=True)


def loop(written, times):
    for n in range(1, len(written) // times + 1):
        if written.endswith(written[-n:] * times):
            return n
    return 0


def longest_loop(written, times):
    return max((n for n in range(1, len(written) + 1) if written.endswith(written[-n:] * times)), default=0)


def loop_anywhere(written, times):
    for n in range(1, len(written) // times + 1):
        if any(written[i : i + n] * times in written for i in range(len(written))):
            return n
    return 0


def bisect(entropy_of, target):
    low, high = 1e-6, 1e6
    for _ in range(200):
        middle = math.sqrt(low * high)
        low, high = (middle, high) if entropy_of(middle) < target else (low, middle)
    return math.sqrt(low * high)


def nats(logits, tau):
    log_p = (logits.double() / tau).log_softmax(dim=0)
    return float(-(log_p.exp() * log_p).nan_to_num(0.0).sum())


def temperature(logits, target):
    return bisect(lambda tau: nats(logits, tau) / math.log(2), target)


RIGHT = {
    "5.1.1": [bits, lambda p, t, c: torch.tensor(math.log(p) / math.log(2) * t / c)],
    "5.1.2": [min_p],
    "5.1.3": [loop],
    "5.1.4": [temperature, lambda logits, target: torch.tensor(temperature(logits, target))],
}
WRONG = [
    ("5.1.1", lambda p, t, c: math.log2(p), "bits per token"),
    ("5.1.1", lambda p, t, c: math.log2(p) * c / t, "costs less per character"),
    ("5.1.1", lambda p, t, c: math.log(p) * t / c, "in nats"),
    ("5.1.1", lambda p, t, c: p * t / c, "is not it"),
    ("5.1.2", not_normalised, "do not add up to 1"),
    ("5.1.2", by_mass, "not of everything"),
    ("5.1.2", of_all, "of its own"),
    ("5.1.2", min_p_in_place, "Work on a copy"),
    ("5.1.2", lambda logits, share: logits.softmax(dim=-1), "values are not"),
    ("5.1.3", longest_loop, "the shortest piece counts"),
    ("5.1.3", loop_anywhere, "over before the end"),
    ("5.1.3", lambda written, times: loop(written.strip(), times), "spaces are characters"),
    ("5.1.3", lambda written, times: loop(written, 2), "one time too few"),
    ("5.1.4", lambda logits, target: bisect(lambda tau: nats(logits, tau), target * 0.999), "nats"),
    ("5.1.4", lambda logits, target: 1 / temperature(logits, target), "a temperature divides"),
    ("5.1.4", lambda logits, target: 1.0, "the entropy is"),
    ("5.1.4", lambda logits, target: -1.0, "a positive number"),
    ("5.1.4", lambda logits, target: [1.0], "expected a number, found list"),
    ("5.1.4", lambda logits, target: logits, "expected a number, found Tensor"),
]
test_right, test_wrong, test_every_exercise_is_tried = shared_tests(RIGHT, WRONG)
