"""Checks of notebook 4.3: text pipelines."""

import math
from collections import Counter, defaultdict
from itertools import pairwise

import torch
from torch import Tensor

from utils.exercises import Wrong, exercise, expect_callable, expect_number, expect_tensor, matches

COUNTS = [
    {"b": 2, "a": 2, "c": 5, "d": 1}, {"zebra": 3, "ape": 3, "Zebra": 3, "gnu": 1}, {"x": 1}, {},
    {"tie": 1, "knot": 1, "bow": 1}, {"é": 2, "e": 2, "z": 7},
]  # fmt: skip
WORDS = [
    ("lowest", {"low", "est", "l", "o", "w", "e", "s", "t", "lo"}),
    ("unable", {"un", "una", "able", "a", "b", "l", "e"}),
    ("aaaa", {"a", "aa", "aaa"}), ("xyz", {"y"}), ("naïve", {"na", "v", "ve"}), ("abc", {"abc", "a"}), ("q", set()),
    ("", {"a"}), ("abcd", {"ab", "abcd", "cd", "abc"}), ("abab", {"abab", "ab"}), ("xyab", {"abx", "ab"}),
]  # fmt: skip


@exercise("4.3.1")
def check_order(answer) -> None:
    """Tokens by frequency, then by the alphabet."""
    expect_callable(answer, 2)
    for counts in COUNTS:
        for min_freq in (1, 2, 3):
            given, case = Counter(counts), f"counts {counts}, min_freq {min_freq}"
            found = answer(given, min_freq)
            if given != Counter(counts):
                raise Wrong(f"{case}: your function has changed the Counter it was given.")
            if not isinstance(found, list | tuple):
                raise Wrong(f"{case}: expected a list of tokens, found {type(found).__name__}.")
            _compare_order(list(found), counts, min_freq, case)


def _compare_order(found: list, counts: dict[str, int], min_freq: int, case: str) -> None:
    if not all(isinstance(item, str) for item in found):
        raise Wrong(f"{case}: the list holds pairs or other things; only the tokens should be in it.")
    kept = {token for token, count in counts.items() if count >= min_freq}
    if set(found) == {token for token, count in counts.items() if count > min_freq} != kept:
        raise Wrong(f"{case}: a token that stands exactly {min_freq} time(s) should be kept.")
    if set(found) - kept:
        raise Wrong(f"{case}: {min(set(found) - kept)!r} should not be there.")
    if kept - set(found) or len(found) != len(kept):
        raise Wrong(f"{case}: {len(kept)} different token(s) are frequent enough, your list has {len(found)}.")
    frequencies = [counts[token] for token in found]
    if frequencies != sorted(frequencies, reverse=True):
        raise Wrong(f"{case}: the most frequent should come first; yours have the counts {frequencies}.")
    for a, b in pairwise(found):
        if counts[a] == counts[b] and a > b:
            raise Wrong(f"{case}: {a!r} and {b!r} are equally frequent; their order is not the alphabet's.")


@exercise("4.3.2")
def check_numbers(answer) -> None:
    """Token numbers from a dictionary that stays as it is."""
    expect_callable(answer, 3)
    for kind in ("dict", "defaultdict"):
        for tokens in (["a", "b", "a"], ["a", "new", "b", "newer"], ["new"], []):
            for unknown in (0, 3):
                pairs, case = {"<unk>": unknown, "a": 5, "b": 3 - unknown}, f"tokens {tokens}, a {kind}"
                stoi = dict(pairs) if kind == "dict" else defaultdict(lambda: 0, pairs)
                found = answer(list(tokens), stoi, unknown)
                if dict(stoi) != pairs:
                    raise Wrong(f"{case}: {sorted(set(stoi) - set(pairs))} went into the dictionary.")
                if isinstance(found, Tensor) and found.dtype != torch.long:
                    raise Wrong(f"{case}: the numbers should be torch.long, found {found.dtype}.")
                expect_tensor(found, torch.tensor([pairs.get(t, unknown) for t in tokens], dtype=torch.long), case)


@exercise("4.3.3")
def check_share(answer) -> None:
    """Padding of all batches together as a share of their cells."""
    expect_callable(answer, 2)
    for lengths, batches in [
        ([3, 3, 3], [[0, 1, 2]]), ([1, 4, 2, 3], [[1, 3], [2, 0]]), ([5, 1, 1, 1, 9, 2], [[0, 1, 2, 3], [4, 5]]),
        ([7], [[0]]), ([2, 8, 4, 4, 1], [[4, 1, 0], [3, 2]]),
    ]:  # fmt: skip
        case = f"lengths {lengths}, batches {batches}"
        found = answer(list(lengths), [list(batch) for batch in batches])
        expect_number(found, 0.0, case, tolerance=math.inf)  # any number will do so far
        tokens = [sum(lengths[i] for i in batch) for batch in batches]
        cells = [len(batch) * max(lengths[i] for i in batch) for batch in batches]
        expected = 1 - sum(tokens) / sum(cells)
        for value, hint in [
            (sum(1 - t / c for t, c in zip(tokens, cells, strict=True)) / len(cells),
             "this is the mean of the shares of the batches; a small batch should count less."),
            ((sum(cells) - sum(tokens)) / sum(tokens), "this is padding per token, not per cell."),
            (1 - sum(tokens) / (len(lengths) * max(lengths)), "each batch is as long as its own longest sequence."),
            (1 - expected, "this is the share of what is no padding."),
            (100 * expected, "this is in per cent; give the share itself."),
        ]:  # fmt: skip
            if abs(float(found) - value) < 1e-6 < abs(value - expected):
                raise Wrong(f"{case}: {hint}")
        expect_number(found, expected, case)


@exercise("4.3.4")
def check_stream(answer) -> None:
    """The stream from which truncated-BPTT batches were cut."""
    expect_callable(answer, 1)
    for B, N, k in [(2, 7, 3), (3, 5, 2), (1, 6, 4), (4, 9, 20), (2, 2, 1)]:
        rows = torch.randperm(B * N, generator=torch.Generator().manual_seed(N)).view(B, N)  # (B, N)
        spans = [(t, min(t + k, N - 1)) for t in range(0, N - 1, k)]
        batches = [(rows[:, a:b].clone(), rows[:, a + 1 : b + 1].clone()) for a, b in spans]
        found, case = answer([(x.clone(), y.clone()) for x, y in batches]), f"{B} row(s) of {N}, k = {k}"
        if matches(found, rows):
            raise Wrong(f"{case}: these are the rows; the stream has one dimension.")
        if matches(found, rows[:, :-1].flatten()):
            raise Wrong(f"{case}: the last token of each row is missing. In which tensor does it stand?")
        if matches(found, rows[:, 1:].flatten()):
            raise Wrong(f"{case}: the first token of each row is missing; no y holds it.")
        if B > 1 and matches(found, rows.T.flatten()):
            raise Wrong(f"{case}: read row after row, not step after step.")
        if B > 1 and matches(found, torch.cat([x.flatten() for x, _ in batches])):
            raise Wrong(f"{case}: the pieces are strung together; first join each row with its continuation.")
        expect_tensor(found, rows.flatten(), case)


@exercise("4.3.5")
def check_longest_first(answer) -> None:
    """Greedy cutting of a word from the left."""
    expect_callable(answer, 2)
    for word, pieces in WORDS:
        given, case = set(pieces), f"{word!r} with {sorted(pieces)}"
        found = answer(word, given)
        if given != pieces:
            raise Wrong(f"{case}: your function has changed the vocabulary.")
        if not isinstance(found, list | tuple) or not all(isinstance(piece, str) for piece in found):
            raise Wrong(f"{case}: expected a list of strings, found {found!r}.")
        expected, i = [], 0
        while i < len(word):
            ends = [j for j in range(len(word), i, -1) if word[i:j] in pieces]
            expected.append(word[i : ends[0]] if ends else "<unk>")
            i = ends[0] if ends else i + 1
        _compare_pieces(list(found), expected, word, pieces, case)


def _compare_pieces(found: list, expected: list, word: str, pieces: set[str], case: str) -> None:
    if found == expected:
        return
    if word and found == ["<unk>"]:
        raise Wrong(f"{case}: one unknown character does not spoil the whole word; go on behind it.")
    if "<unk>" in expected and found == expected[: expected.index("<unk>")]:
        raise Wrong(f"{case}: you stop at the first unknown character; it gives <unk>, and the cutting goes on.")
    if [piece for piece in found if piece != "<unk>"] == [piece for piece in expected if piece != "<unk>"]:
        raise Wrong(f"{case}: each character at which no piece begins should give one <unk>.")
    if set(found) - pieces - {"<unk>"}:
        raise Wrong(f"{case}: {min(set(found) - pieces - {'<unk>'})!r} is not in the vocabulary.")
    if found and word.startswith(found[0]) and len(found[0]) < len(expected[0]):
        raise Wrong(f"{case}: you begin with {found[0]!r}; a longer piece begins there, too.")
    raise Wrong(f"{case}: {found} is not it.")
