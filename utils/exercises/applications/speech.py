"""Checks of the exercises of chapter 5.7, speech recognition."""

import itertools

import torch

from utils.exercises import Wrong, exercise, expect_callable, expect_number


def _collapse(path: list[int]) -> list[int]:
    return [label for label, _ in itertools.groupby(path) if label != 0]


def _expect_labels(found: object, expected: list[int], case: str) -> None:
    if isinstance(found, torch.Tensor):
        found = found.tolist()
    if not isinstance(found, list | tuple):
        raise Wrong(f"{case}: expected a list of labels, found {type(found).__name__}.")
    if list(found) != expected:
        raise Wrong(f"{case}: {list(found)} is not it.")


@exercise("5.7.1")
def collapse(answer) -> None:
    """What a path says."""
    expect_callable(answer, 1)
    generator = torch.Generator().manual_seed(571)
    paths = [[], [0, 0], [1, 1, 1], [1, 0, 1], [0, 2, 2, 0, 2, 3, 3, 0], [3, 0, 0, 3, 3, 1, 0, 1]]
    paths += [torch.randint(3, (12,), generator=generator).tolist() for _ in range(5)]
    for path in paths:
        given = list(path)
        found, expected = answer(given), _collapse(path)
        if given != path:
            raise Wrong(f"Path {path}: your function changed its input. Work on a copy.")
        blanks_first = [label for label, _ in itertools.groupby(label for label in path if label != 0)]
        if found == blanks_first != expected:
            raise Wrong(f"Path {path}: {found} lost a label that was said twice. Which goes first, blanks or repeats?")
        if found == [label for label in path if label != 0] != expected:
            raise Wrong(f"Path {path}: the blanks are gone, but a label held for several steps is still one label.")
        _expect_labels(found, expected, f"Path {path}")


@exercise("5.7.2")
def fewest_steps(answer) -> None:
    """Steps that a labelling needs at least."""
    expect_callable(answer, 1)
    for labels in ([], [4], [1, 2, 3], [1, 1], [5, 5, 5], [1, 2, 2, 1], [7, 7, 3, 7, 7]):
        expected = len(labels) + sum(a == b for a, b in itertools.pairwise(labels))
        found = answer(list(labels))
        if isinstance(found, int) and found == 2 * len(labels) + 1 != expected:
            raise Wrong(f"Labels {labels}: a blank may stand before, between and behind, but it need not.")
        if isinstance(found, int) and found == len(labels) != expected:
            raise Wrong(f"Labels {labels}: how would {found} steps collapse?")
        expect_number(found, expected, f"Labels {labels}")


@exercise("5.7.3")
def word_error_rate(answer) -> None:
    """Word errors over words said."""
    expect_callable(answer, 2)
    cases = [
        ("three five", "three five", 0, "all right"), ("three five", "three nine", 1, "one word is another"),
        ("three five nine two", "three nine two", 1, "one word is missing"),
        ("three", "three five seven", 2, "two words too many"),
        ("one two three", "", 3, "nothing heard"), ("one two three four", "two three four five", 2, "all are shifted"),
        ("nine nine nine", "nine", 2, "repeats are lost"), ("one two", "two one", 2, "two words changed places"),
        ("seven", "one two three four", 4, "more errors than words said"),
    ]  # fmt: skip
    for said, heard, errors, what in cases:
        found, case = answer(said, heard), f"Said {said!r}, heard {heard!r} ({what})"
        words = len(said.split())
        if isinstance(found, int | float) and errors:
            rate, by_heard = errors / words, errors / max(len(heard.split()), 1)
            if found == errors != rate and errors != by_heard:
                raise Wrong(f"{case}: that is the number of errors, not their rate.")
            if abs(found - by_heard) < 1e-9 < abs(rate - by_heard):
                raise Wrong(f"{case}: an error rate is per word that was said, not per word that was heard.")
            if found == 1 < rate:
                raise Wrong(f"{case}: the rate has no upper limit of one.")
        expect_number(found, errors / words, case)


@exercise("5.7.4")
def count_paths(answer) -> None:
    """Number of paths of T steps that say given labels."""
    expect_callable(answer, 2)
    for labels, T in [([], 3), ([1], 1), ([1], 4), ([1, 2], 4), ([1, 1], 3), ([1, 1], 5), ([2, 1, 1], 6), ([1, 2], 1)]:
        paths = itertools.product(range(max(labels, default=1) + 1), repeat=T)
        expected = sum(_collapse(list(path)) == labels for path in paths)
        expect_number(answer(list(labels), T), expected, f"Labels {labels}, {T} steps")
    # 2 labels: C(T + 2, 4) paths; equal labels: those with a blank between
    expect_number(answer([1, 2], 50), 270725, "Labels [1, 2], 50 steps (too many to list them)")
