"""Checks of the exercises of chapter 5.3, machine translation."""

from collections import Counter

import torch

from utils.exercises import Wrong, exercise, expect_callable, expect_number, expect_tensor, matches


@exercise("5.3.1")
def normalised(answer) -> None:
    """Score of a hypothesis: log p over ((5 + length) / 6) ** alpha, the length counting the end."""
    expect_callable(answer, 3)
    for log_p, tokens, alpha in [(-4.0, 7, 1.0), (-2.5, 1, 0.6), (-9.0, 20, 0.0), (-0.3, 0, 2.0)]:
        case = f"log p {log_p}, {tokens} tokens and the end, alpha {alpha}"
        found = answer(log_p, tokens, alpha)
        is_number = isinstance(found, int | float) and tokens and alpha
        if is_number and abs(found - log_p / ((5 + tokens) / 6) ** alpha) < 1e-9:
            raise Wrong(f"{case}: the token that ends the translation counts, too.")
        if is_number and abs(found - log_p * ((6 + tokens) / 6) ** alpha) < 1e-9:
            raise Wrong(f"{case}: so a long translation is punished twice. Divide.")
        expect_number(found, log_p / ((6 + tokens) / 6) ** alpha, case)


@exercise("5.3.2")
def masked_weights(answer) -> None:
    """Attention weights (B, T, S) from scores (B, T, S) and a mask (B, S)."""
    expect_callable(answer, 2)
    generator = torch.Generator().manual_seed(532)
    for lengths, steps in [([3, 1, 2], 2), ([4], 1), ([1, 5, 5, 2], 3)]:
        size = max(lengths)
        scores = 2 * torch.randn(len(lengths), steps, size, generator=generator) - 1
        mask = torch.arange(size) < torch.tensor(lengths).unsqueeze(1)  # (B, S)
        case, given = f"lengths {lengths}, {steps} step(s)", scores.clone()
        found = answer(given, mask)
        if not given.equal(scores):
            raise Wrong(f"{case}: your function changed the scores it was given. Work on a copy.")
        expected = scores.masked_fill(~mask.unsqueeze(1), float("-inf")).softmax(dim=2)
        if not matches(found, expected):
            shares = scores.softmax(dim=2) * mask.unsqueeze(1)
            if matches(found, shares):
                raise Wrong(f"{case}: the pads weigh nothing, but the rest does not add up to 1.")
            if matches(found, (scores * mask.unsqueeze(1)).softmax(dim=2)):
                raise Wrong(f"{case}: a score of 0 is not a weight of 0: the pads still get a share.")
            by_steps = scores.masked_fill(~mask.unsqueeze(1), float("-inf")).softmax(dim=1).nan_to_num()
            if isinstance(found, torch.Tensor) and matches(found.nan_to_num(), by_steps):
                raise Wrong(f"{case}: the weights of one step should add up to 1 over the source, not over the steps.")
        expect_tensor(found, expected, case)


def precision(hypothesis: list[str], reference: list[str], n: int) -> tuple[float, float]:
    """Clipped and unclipped share of the n-grams of ``hypothesis`` that ``reference`` has."""
    ours, theirs = (Counter(zip(*(text[i:] for i in range(n)), strict=False)) for text in (hypothesis, reference))
    total = max(sum(ours.values()), 1)
    clipped = sum(min(count, theirs[gram]) for gram, count in ours.items())
    return clipped / total, sum(count for gram, count in ours.items() if gram in theirs) / total


@exercise("5.3.3")
def clipped_precision(answer) -> None:
    """Share of the n-grams of a hypothesis that the reference confirms, each as often as it has them."""
    expect_callable(answer, 3)
    cases = [
        ("the the the the", "the cat sat", 1), ("le 4 avril 1957", "le 4 avril 1957", 2), ("a b a b c", "a b c a b", 2),
        ("a b c d", "d c b a", 2), ("a", "a b", 2), ("x y z x y z", "x y z", 3), ("4 avril", "le 4 avril 1957", 1),
    ]  # fmt: skip
    for hypothesis, reference, n in cases:
        case = f"{hypothesis!r} against {reference!r}, n = {n}"
        sides = hypothesis.split(), reference.split()
        found, (clipped, unclipped), recall = answer(*sides, n), precision(*sides, n), precision(*sides[::-1], n)[0]
        if isinstance(found, int | float) and clipped != unclipped and abs(found - unclipped) < 1e-9:
            raise Wrong(f"{case}: an n-gram counts at most as often as the reference has it.")
        if isinstance(found, int | float) and clipped != recall and abs(found - recall) < 1e-9:
            raise Wrong(f"{case}: divide by the number of n-grams of the hypothesis; this is the recall.")
        expect_number(found, clipped, case)
