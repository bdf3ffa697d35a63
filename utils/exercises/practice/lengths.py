"""Checks of notebook 4.2: sequences of unequal lengths."""

import math
import random

import torch
from torch import Tensor
from torch.nn.utils.rnn import pack_sequence

from utils.exercises import Wrong, exercise, expect_callable, expect_number, expect_tensor, matches

LENGTHS = [[1], [3, 3, 3], [4, 1, 2], [2, 5, 1, 3], [1, 6, 2, 5, 4]]


def _random(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def _real(lengths: list[int], T: int) -> Tensor:
    return torch.arange(T) < torch.tensor(lengths).unsqueeze(1)  # (B, T)


@exercise("4.2.1")
def check_padding_share(answer) -> None:
    """The share of steps that are padding."""
    expect_callable(answer, 2)
    pick = random.Random(0)
    cases = [([5], 3), ([2, 2, 2, 2], 2), ([1, 9], 2), ([4, 1, 7, 2, 3], 2), ([3, 8, 1], 100)]
    cases += [([pick.randint(1, 60) for _ in range(pick.randint(5, 90))], pick.randint(2, 20)) for _ in range(10)]
    for lengths, B in cases:
        cut = [lengths[i : i + B] for i in range(0, len(lengths), B)]
        steps = sum(len(batch) * max(batch) for batch in cut)
        expected = 1 - sum(lengths) / steps
        case = f"{len(lengths)} lengths in batches of {B}"
        found = answer(list(lengths), B)
        expect_number(found, 0.0, case, tolerance=math.inf)  # any number will do so far
        wrong = {
            1 - expected: "This is the share of real steps; the share of padding is wanted.",
            100 * expected: "This is in per cent; give the share itself, from 0 to below 1.",
            sum(1 - sum(b) / (len(b) * max(b)) for b in cut) / len(cut): "This is the mean of the batches' shares. "
            "A large batch counts more than a small one: add up steps first, and divide once.",
            1 - sum(lengths) / (len(lengths) * max(lengths)): "Here everything is as long as the longest of all; each "
            "batch is only as long as its own longest.",
            1 - sum(lengths) / sum(B * max(b) for b in cut): "The last batch may be smaller than batch_size; count "
            "the sequences it has.",
        }
        for value, hint in wrong.items():
            if abs(float(found) - value) < 1e-6 < abs(value - expected):
                raise Wrong(f"{case}: {hint}")
        expect_number(found, expected, case)


@exercise("4.2.2")
def check_reverse(answer) -> None:
    """Each sequence reversed within its length."""
    expect_callable(answer, 2)
    for seed, lengths in enumerate(LENGTHS):
        x = _random(seed, len(lengths), max(lengths) + seed % 3, 2)  # spare columns in some cases
        expected = x.clone()
        for row, length in zip(expected, lengths, strict=True):
            row[:length] = row[:length].flip(0)
        case, given = f"lengths {lengths}, {x.size(1)} columns", x.clone()
        found = answer(given, torch.tensor(lengths))
        if not torch.equal(given, x):
            raise Wrong(f"{case}: your function changed the batch it was given; write into a new tensor.")
        if matches(found, x.flip(1)) and not torch.equal(expected, x.flip(1)):
            raise Wrong(f"{case}: the whole rectangle is turned around, and now the padding comes first.")
        real = _real(lengths, x.size(1)).unsqueeze(2)
        if matches(found, expected * real) and not torch.equal(expected, expected * real):
            raise Wrong(f"{case}: the sequences are right, but the padding was overwritten; leave it what it is.")
        if matches(found, expected.transpose(0, 1)) and x.size(0) != x.size(1):
            raise Wrong(f"{case}: the axes are exchanged; the batch comes first.")
        expect_tensor(found, expected, case)


@exercise("4.2.3")
def check_pack(answer) -> None:
    """Data and batch sizes of a packed sequence."""
    expect_callable(answer, 1)
    for seed, lengths in enumerate([*LENGTHS, [2, 4, 4, 1, 2]]):
        sequences = [_random(10 * seed + k, length, 2) for k, length in enumerate(lengths)]
        by_length = sorted(sequences, key=len, reverse=True)  # equal lengths in the order they came
        packed, case = pack_sequence(by_length), f"lengths {lengths}"
        found = answer([s.clone() for s in sequences])
        if not isinstance(found, tuple | list) or len(found) != 2:
            raise Wrong(f"{case}: return the pair (data, batch_sizes).")
        data, sizes = found
        sizes = sizes.tolist() if isinstance(sizes, Tensor) else sizes
        if not isinstance(sizes, list):
            raise Wrong(f"{case}: batch_sizes should be a list of whole numbers, found {type(sizes).__name__}.")
        if sizes in (lengths, sorted(lengths, reverse=True)) and sizes != packed.batch_sizes.tolist():
            raise Wrong(f"{case}: these are the lengths. batch_sizes says for each step how many sequences have it.")
        if sizes != packed.batch_sizes.tolist():
            raise Wrong(f"{case}: batch_sizes {sizes} is not it. How many sequences are still running at each step?")
        for wrong in (torch.cat(by_length), torch.cat(sequences)):
            if matches(data, wrong) and not torch.equal(wrong, packed.data):
                raise Wrong(f"{case}: the data go sequence by sequence; they should go step by step.")
        unsorted = [s[t] for t in range(max(lengths)) for s in sequences if len(s) > t]
        if matches(data, torch.stack(unsorted)) and not torch.equal(torch.stack(unsorted), packed.data):
            raise Wrong(f"{case}: within a step the longest sequence comes first; yours are in the order they came.")
        expect_tensor(data, packed.data, f"{case}, data")


@exercise("4.2.4")
def check_attend(answer) -> None:
    """Attention over real steps only."""
    expect_callable(answer, 3)
    for seed, lengths in enumerate(LENGTHS):
        B, T = len(lengths), max(lengths) + seed % 3
        scores, h, real = 3 * _random(seed, B, T), _random(50 + seed, B, T, 4), _real(lengths, T)
        weights = scores.masked_fill(~real, -math.inf).softmax(dim=1)
        expected = (weights.unsqueeze(2) * h).sum(dim=1)
        for garbage in (2.0, 0.0, 1e3, math.nan):
            scores, h = scores.masked_fill(~real, garbage), h.masked_fill(~real.unsqueeze(2), garbage)
            case = f"lengths {lengths}, {T} columns, padding {garbage:g}"
            found = answer(scores.clone(), h.clone(), torch.tensor(lengths))
            bare, zero = scores.softmax(dim=1), scores.masked_fill(~real, 0.0).softmax(dim=1)
            for wrong, hint in [
                (bare, "the padding takes part; there is no mask in your softmax."),
                (bare * real, "the mask comes after the softmax, so the weights left do not add up to 1."),
                (zero * real, "a score of 0 does not take a step out: its weight is e to the 0, which is 1."),
            ]:
                if not real.all() and matches(found, (wrong.unsqueeze(2) * h).sum(dim=1)):
                    raise Wrong(f"{case}: {hint}")
            if isinstance(found, Tensor) and found.isnan().any():
                if garbage == garbage:  # no NaN was given
                    raise Wrong(f"{case}: your answer holds a NaN. Along which axis does your softmax run?")
                raise Wrong(f"{case}: NaN has come through. A weight of zero does not stop it: 0 · NaN is NaN.")
            expect_tensor(found, expected, case)
    large = torch.tensor([[1000.0, 999.0, 0.0]], dtype=torch.float64)
    found = answer(large, torch.eye(3, dtype=torch.float64).unsqueeze(0), torch.tensor([2]))
    weights = torch.tensor([[1.0, -1.0]], dtype=torch.float64).mul(0.5).softmax(dim=1)
    expect_tensor(found, torch.nn.functional.pad(weights, (0, 1)), "scores of a thousand, which overflow in exp")


@exercise("4.2.5")
def check_perplexity(answer) -> None:
    """Perplexity per real step over batches of unequal sizes."""
    expect_callable(answer, 1)
    for seed, groups in enumerate([[[3]], [[2, 2], [4, 1]], [[1, 6, 2], [3], [9, 8, 7, 9]]]):
        batches = [(_random(seed + k, len(g), max(g)).abs() * (k + 1), torch.tensor(g)) for k, g in enumerate(groups)]
        real = [_real(g, max(g)) for g in groups]
        sums = [float(losses[m].sum()) for (losses, _), m in zip(batches, real, strict=True)]
        counts = [sum(g) for g in groups]
        expected, case = math.exp(sum(sums) / sum(counts)), f"batches with lengths {groups}"
        zeros = [(losses.masked_fill(~m, 0.0), lens) for (losses, lens), m in zip(batches, real, strict=True)]
        found = answer([(losses.clone(), lens.clone()) for losses, lens in zeros])
        expect_number(found, 0.0, case, tolerance=math.inf)
        means = [s / c for s, c in zip(sums, counts, strict=True)]
        wrong = {
            sum(sums) / sum(counts): "This is the mean loss; the perplexity is a function of it.",
            2 ** (sum(sums) / sum(counts)): "The losses are in nats, so the base is e.",
            math.exp(sum(means) / len(means)): "This gives every batch the same weight; give it to every step.",
            sum(map(math.exp, means)) / len(means): "This is a mean of perplexities; take one mean of the losses.",
            math.exp(sum(sums) / sum(m.numel() for m in real)): "The count holds the padding.",
        }
        for value, hint in wrong.items():
            if abs(float(found) - value) < 1e-9 < abs(value - expected):
                raise Wrong(f"{case}: {hint}")
        expect_number(found, expected, f"{case}, padding 0", tolerance=1e-9)
        for garbage in (1e3, math.nan):
            dirty = [(losses.masked_fill(~m, garbage), lens) for (losses, lens), m in zip(batches, real, strict=True)]
            try:
                expect_number(answer(dirty), expected, f"{case}, padding {garbage:g}", tolerance=1e-9)
            except Wrong as wrong:
                raise Wrong(f"{wrong} It was right with zeros there; the padding must not matter.") from None


@exercise("4.2.6")
def check_by_steps(answer) -> None:
    """Batches that compute at most so many steps."""
    expect_callable(answer, 2)
    pick = random.Random(0)
    cases = [([3], 3), ([2, 2, 2], 4), ([5, 1, 1, 1, 1, 1], 5), ([1, 2, 3, 4], 8)]
    cases += [([pick.randint(1, 40) for _ in range(pick.randint(5, 80))], pick.randint(40, 300)) for _ in range(12)]
    for lengths, most in cases:
        batches, case = answer(list(lengths), most), f"{len(lengths)} lengths, most = {most}"
        try:
            batches = [[int(i) for i in batch] for batch in batches]
        except (TypeError, ValueError):
            raise Wrong(f"{case}: return a list of lists of indices.") from None
        if any(not batch for batch in batches):
            raise Wrong(f"{case}: one of your batches is empty.")
        if sorted(i for batch in batches for i in batch) != list(range(len(lengths))):
            raise Wrong(f"{case}: every index from 0 to {len(lengths) - 1} should occur once. Is the last batch there?")
        for batch in batches:
            steps = len(batch) * max(lengths[i] for i in batch)
            if steps > most:
                raise Wrong(f"{case}: a batch of {len(batch)} computes {steps} steps; the padding counts too.")
        due, longest = [[]], 0
        for length in sorted(lengths, reverse=True):
            if due[-1] and (len(due[-1]) + 1) * longest > most:
                due.append([])
            longest = longest if due[-1] else length
            due[-1].append(length)
        found = sorted((sorted((lengths[i] for i in batch), reverse=True) for batch in batches), reverse=True)
        if found != sorted(due, reverse=True):
            what = f"{len(batches)} batches" if len(batches) != len(due) else "the batches"
            raise Wrong(f"{case}: {what} are allowed but not those of the rule: longest first, each as full as can be.")
