"""Checks of the exercises of chapter 5.1, text generation."""

import math

import torch

from utils.exercises import Wrong, exercise, expect_callable, expect_number, expect_tensor, matches


@exercise("5.1.1")
def bits_per_character(answer) -> None:
    """Bits per character from a perplexity per token."""
    expect_callable(answer, 3)
    for perplexity, tokens, characters in [(2.0, 50, 50), (8.0, 100, 300), (33.7, 12_913, 37_410), (1.0, 7, 20)]:
        case = f"Perplexity {perplexity}, {tokens} tokens, {characters} characters"
        found, bits = answer(perplexity, tokens, characters), math.log2(perplexity)
        if isinstance(found, int | float) and abs(found - math.log(perplexity) * tokens / characters) < 1e-6 < bits:
            raise Wrong(f"{case}: that is in nats.")
        if isinstance(found, int | float) and perplexity > 1 and tokens != characters:
            if abs(found - bits) < 1e-6:
                raise Wrong(f"{case}: those are the bits per token.")
            if abs(found - bits * characters / tokens) < 1e-6:
                raise Wrong(f"{case}: a text with fewer tokens than characters costs less per character, not more.")
        expect_number(found, bits * tokens / characters, case)


@exercise("5.1.2")
def min_p(answer) -> None:
    """Distributions of the tokens that have a share of the largest probability."""
    expect_callable(answer, 2)
    generator = torch.Generator().manual_seed(512)
    cases = [(2 * torch.randn(4, 9, generator=generator), share) for share in (0.05, 0.3, 0.9)]
    cases += [(torch.zeros(2, 5), 0.5), (torch.tensor([[0.0, -1.0, 3.0, 2.9]]), 0.5), (torch.randn(1, 7) * 0 + 1, 1.0)]
    for logits, share in cases:
        p, case = logits.softmax(dim=-1), f"share {share}, logits of shape {tuple(logits.shape)}"
        kept = torch.where(p >= share * p.amax(dim=-1, keepdim=True), p, 0.0)
        given = logits.clone()
        found = answer(given, share)
        if not given.equal(logits):
            raise Wrong(f"{case}: your function changed its input. Work on a copy.")
        expected = kept / kept.sum(dim=-1, keepdim=True)
        if matches(found, kept) and not matches(kept, expected):
            raise Wrong(f"{case}: the right tokens stay, but the rows do not add up to 1.")
        by_mass = torch.where(p >= share, p, 0.0)
        if matches(found, by_mass / by_mass.sum(dim=-1, keepdim=True)) and not matches(found, expected):
            raise Wrong(f"{case}: the share is one of the largest probability of the row, not of everything.")
        of_all = torch.where(p >= share * p.max(), p, 0.0)
        if matches(found, of_all / of_all.sum(dim=-1, keepdim=True)) and not matches(found, expected):
            raise Wrong(f"{case}: each row has a largest probability of its own.")
        expect_tensor(found, expected, case)


@exercise("5.1.3")
def loop_length(answer) -> None:
    """Length of the piece in whose repetition a text ends."""
    expect_callable(answer, 2)
    cases = [
        ("it is so so so", 3, 3, "the example"), ("abcabcabc", 3, 3, "nothing before the loop"),
        ("abcabcabc", 4, 0, "one time too few"), ("xaaaa", 2, 1, "the shortest piece counts"),
        ("abab abab abab end", 2, 0, "the loop is over before the end"), ("", 2, 0, "nothing written"),
        ("ab", 3, 0, "shorter than any loop"), ("the end of the the ", 2, 4, "a piece that ends in a space"),
        ("abaabaaba", 3, 3, "a piece with a repetition inside"), ("-- ab" + "ab\n" * 5, 3, 3, "line breaks count"),
        ("hello", 2, 0, "two equal letters, but not at the end"), ("aab" * 3 + "aa", 2, 1, "a short loop at the end"),
        ("no  ", 2, 1, "spaces are characters"),
    ]  # fmt: skip
    for written, times, expected, what in cases:
        expect_number(answer(written, times), expected, f"{written!r} with times = {times} ({what})")


@exercise("5.1.4")
def temperature_for(answer) -> None:
    """Temperature at which a distribution has a given entropy."""
    expect_callable(answer, 2)
    generator = torch.Generator().manual_seed(514)
    for scale, tokens, target in [(1.0, 10, 2.0), (3.0, 100, 1.0), (0.2, 5, 0.5), (1.0, 50, 5.5), (10.0, 30, 4.5)]:
        logits = scale * torch.randn(tokens, generator=generator)
        case = f"{tokens} logits of spread {scale}, target {target} bits"
        found = answer(logits.clone(), target)
        one = isinstance(found, int | float) or getattr(found, "shape", None) in ((), (1,))
        expect_number(found, float(found) if one else 1.0, case)  # a number at all; which one, the entropy tells
        tau = float(found)
        if not 0 < tau < float("inf"):
            raise Wrong(f"{case}: a temperature is a positive number; yours is {tau:g}.")
        bits, nats = _entropy(logits, tau), _entropy(logits, tau) * math.log(2)
        if abs(bits - target) > 5e-3 * target and abs(nats - target) < 2e-3 * target:
            raise Wrong(f"{case}: at your temperature the entropy has that many nats.")
        if abs(_entropy(logits, 1 / tau) - target) < 2e-3 * target < abs(bits - target):
            raise Wrong(f"{case}: your number multiplies the logits; a temperature divides them.")
        if abs(bits - target) > 2e-3 * target:
            raise Wrong(f"{case}: at your temperature {tau:.4g} the entropy is {bits:.4g} bits.")


def _entropy(logits: torch.Tensor, temperature: float) -> float:
    """In bits."""
    log_p = (logits.double() / temperature).log_softmax(dim=0)
    return float(-(log_p.exp() * log_p).nan_to_num(0.0).sum()) / math.log(2)
