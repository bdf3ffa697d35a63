"""Checks of the exercises of chapter 5.2, summarization."""

import torch

from utils.exercises import Wrong, exercise, expect_callable, expect_number, expect_tensor, matches


@exercise("5.2.1")
def novelty(answer) -> None:
    """Share of the words of a summary that do not stand in the source."""
    expect_callable(answer, 2)
    cases = [
        ("return the sorted array", "sort an array and return it", 0.5), ("a a a b", "b", 0.75),
        ("mean of x", "the mean of x", 0.0), ("no word here", "", 1.0), ("the end", "then the rest", 0.5),
        ("one two", "two two two one", 0.0), ("sum it", "a summary of items", 1.0),
    ]  # fmt: skip
    for summary, source, expected in cases:
        case = f"Summary {summary!r}, source {source!r}"
        found = answer(summary.split(), source.split())
        if isinstance(found, int | float):
            once = set(summary.split())
            if expected != found == len(once - set(source.split())) / len(once):
                raise Wrong(f"{case}: a word that is written three times counts three times.")
            if expected != found and abs(found - (1 - expected)) < 1e-9:
                raise Wrong(f"{case}: that is the share of the words that do stand there.")
        expect_number(found, expected, case)


@exercise("5.2.2")
def rouge_l(answer) -> None:
    """F-score of ROUGE-L from the longest common subsequence."""
    expect_callable(answer, 2)
    cases = [
        ("a b c", "a b c"), ("a b c d", "a c"), ("a b c d e", "e d c b a"), ("x y", "a b"), ("a b a b", "b a b a b c"),
        ("return the mean of an array", "the weighted mean of each array is returned"), ("", "a b"), ("the the", "the"),
        ("a x b y c", "a b c"), ("d a b c", "a b c d"),
    ]  # fmt: skip
    for written, expected in cases:
        w, e = written.split(), expected.split()
        common, case = _subsequence(w, e), f"{written!r} against {expected!r}"
        right = 2 * common / (len(w) + len(e))
        found = answer(list(w), list(e))
        overlap = sum(min(w.count(word), e.count(word)) for word in set(w))
        if isinstance(found, int | float) and abs(found - right) > 1e-9:
            if abs(found - 2 * overlap / (len(w) + len(e))) < 1e-9:
                raise Wrong(f"{case}: that is ROUGE-1; here the order of the words counts.")
            if w and any(abs(found - common / n) < 1e-9 for n in (len(w), len(e))):
                raise Wrong(f"{case}: that is precision or recall alone; the F-score takes both.")
        expect_number(found, right, case)


def _subsequence(a: list[str], b: list[str]) -> int:
    """Length of the longest common subsequence."""
    row = [0] * (len(b) + 1)
    for word in a:
        before, row = row, [0]
        for j, other in enumerate(b):
            row.append(before[j] + 1 if word == other else max(before[j + 1], row[-1]))
    return row[-1]


@exercise("5.2.3")
def coverage(answer) -> None:
    """Coverage loss of a batch of attention weights."""
    expect_callable(answer, 1)
    generator = torch.Generator().manual_seed(523)
    made = [torch.randn(2, 5, 4, generator=generator), 3 * torch.randn(1, 7, 3, generator=generator)]
    cases = [(a.softmax(dim=2), "weights of shape " + str(tuple(a.shape))) for a in made]
    cases += [(torch.eye(3).unsqueeze(0), "a place of its own at every step"), (torch.ones(1, 4, 1), "one place only")]
    for a, case in cases:
        before = a.cumsum(dim=1) - a
        right, given = torch.minimum(a, before).sum(dim=2), a.clone()
        found = answer(given)
        if not given.equal(a):
            raise Wrong(f"{case}: your function changed its input. Work on a copy.")
        if not matches(found, right):
            if matches(found, torch.minimum(a, a.cumsum(dim=1)).sum(dim=2)):
                raise Wrong(f"{case}: the coverage of a step does not count the step itself.")
            if isinstance(found, torch.Tensor) and found.dim() == 0:
                raise Wrong(f"{case}: one number per item and step is asked for, of shape {tuple(right.shape)}.")
        expect_tensor(found, right, case)


@exercise("5.2.4")
def blocked(answer) -> None:
    """Words that would repeat three words in a row."""
    expect_callable(answer, 1)
    cases = [
        ("the mean of the mean", {"of"}, "the example"), ("a b c a b d a b", {"c", "d"}, "two to block"),
        ("a a a", {"a"}, "the run overlaps itself"), ("a b", set(), "nothing yet"), ("", set(), "no word"),
        ("a b c d", set(), "nothing repeats"), ("a b c b", set(), "one word in common is not enough"),
        ("a", set(), "one word"), ("x a b y b a", set(), "order counts"),
    ]  # fmt: skip
    for written, expected, what in cases:
        found = answer(written.split())
        if not isinstance(found, set | frozenset):
            raise Wrong(f"{written!r}: expected a set of words, found {type(found).__name__}.")
        if found - expected:
            raise Wrong(f"{written!r} ({what}): you block {sorted(map(str, found - expected))}, which repeats nothing.")
        if expected - found:
            raise Wrong(f"{written!r} ({what}): {len(expected - found)} word(s) more would repeat three in a row.")
