"""The checks of notebook 4.3 pass the right answer and nothing else, and their hints name what is wrong."""

from collections import Counter

import pytest
import torch
from exercise_cases import shared_tests

from utils import exercises


@pytest.fixture(autouse=True)
def only_this_part(monkeypatch):
    """The other parts of the book are tested elsewhere."""
    monkeypatch.setattr(exercises, "PARTS", {"4.3": "practice.text"})


def order(counts, min_freq):
    return sorted((t for t in counts if counts[t] >= min_freq), key=lambda t: (-counts[t], t))


def order_in_two_steps(counts, min_freq):
    return [t for t, n in sorted(sorted(counts.items()), key=lambda pair: pair[1], reverse=True) if n >= min_freq]


def order_that_deletes(counts, min_freq):
    for token in [t for t, n in counts.items() if n < min_freq]:
        del counts[token]
    return order(counts, 1)


def numbers(tokens, stoi, unknown):
    return torch.tensor([stoi.get(t, unknown) for t in tokens], dtype=torch.long)


def numbers_with_in(tokens, stoi, unknown):
    found = torch.full((len(tokens),), unknown)
    for i, token in enumerate(tokens):
        if token in stoi:
            found[i] = stoi[token]
    return found


def numbers_by_index(tokens, stoi, unknown):
    try:
        return torch.tensor([stoi[t] for t in tokens], dtype=torch.long)
    except KeyError:
        return numbers(tokens, stoi, unknown)


def numbers_with_or(tokens, stoi, unknown):
    return torch.tensor([stoi.get(t) or unknown for t in tokens], dtype=torch.long)  # 0 is a number, too


def cells(lengths, batches):
    return [len(batch) * max(lengths[i] for i in batch) for batch in batches]


def tokens(lengths, batches):
    return [sum(lengths[i] for i in batch) for batch in batches]


def share(lengths, batches):
    return 1 - sum(tokens(lengths, batches)) / sum(cells(lengths, batches))


def share_tensor(lengths, batches):
    lengths = [torch.tensor([lengths[i] for i in batch]) for batch in batches]
    pads = sum((batch.max() - batch).sum() for batch in lengths)
    return pads / sum(batch.max() * len(batch) for batch in lengths)


def share_mean(lengths, batches):
    pairs = zip(tokens(lengths, batches), cells(lengths, batches), strict=True)
    return sum(1 - t / c for t, c in pairs) / len(batches)


def rows(batches):
    return torch.cat([batches[0][0][:, :1], *(y for _, y in batches)], dim=1)


def stream(batches):
    return rows(batches).flatten()


def stream_from_x(batches):
    return torch.cat([*(x for x, _ in batches), batches[-1][1][:, -1:]], dim=1).reshape(-1)


def longest_first(word, vocabulary, stop=False, unknown=("<unk>",), ends=lambda i, n: range(n, i, -1)):
    pieces, i = [], 0
    while i < len(word):
        j = next((j for j in ends(i, len(word)) if word[i:j] in vocabulary), None)
        if j is None and stop:
            return pieces
        pieces += unknown if j is None else [word[i:j]]
        i = i + 1 if j is None else j
    return pieces


def one_for_all_unknown(word, vocabulary):
    pieces = longest_first(word, vocabulary)
    return [p for p, before in zip(pieces, [None, *pieces], strict=False) if not p == before == "<unk>"]


def longest_recursive(word, vocabulary):
    if not word:
        return []
    for j in range(len(word), 0, -1):
        if word[:j] in vocabulary:
            return [word[:j], *longest_recursive(word[j:], vocabulary)]
    return ["<unk>", *longest_recursive(word[1:], vocabulary)]


RIGHT = {
    "4.3.1": [order, order_in_two_steps, lambda counts, m: tuple(order(counts, m))],
    "4.3.2": [numbers, numbers_with_in],
    "4.3.3": [share, share_tensor],
    "4.3.4": [stream, stream_from_x],
    "4.3.5": [longest_first, longest_recursive],
}
WRONG = [
    ("4.3.1", lambda counts, m: [t for t, n in counts.most_common() if n >= m], "not the alphabet's"),
    ("4.3.1", lambda counts, m: sorted(order(counts, m), key=lambda t: (counts[t], t), reverse=True), "alphabet's"),
    ("4.3.1", lambda counts, m: order(counts, m + 1), "exactly 1 time(s) should be kept"),
    ("4.3.1", lambda counts, m: order(counts, 1), "should not be there"),
    ("4.3.1", lambda counts, m: order(counts, m)[::-1], "most frequent should come first"),
    ("4.3.1", lambda counts, m: order(counts, m)[:2], "your list has 2"),
    ("4.3.1", lambda counts, m: ["<unk>", *order(counts, m)], "'<unk>' should not be there"),
    ("4.3.1", lambda counts, m: [(t, counts[t]) for t in order(counts, m)], "pairs"),
    ("4.3.1", lambda counts, m: [[t] for t in order(counts, m)], "only the tokens"),
    ("4.3.1", lambda counts, m: set(order(counts, m)), "found set"),
    ("4.3.1", order_that_deletes, "changed the Counter"),
    ("4.3.2", numbers_by_index, "went into the dictionary"),
    ("4.3.2", lambda tokens, stoi, unknown: [stoi.get(t, unknown) for t in tokens], "found list"),
    ("4.3.2", lambda tokens, stoi, unknown: torch.tensor([stoi.get(t, unknown) for t in tokens]), "torch.long"),
    ("4.3.2", lambda tokens, stoi, unknown: numbers(tokens, stoi, 0), "values are not"),
    ("4.3.2", numbers_with_or, "values are not"),
    ("4.3.2", lambda tokens, stoi, unknown: numbers([t for t in tokens if t in stoi], stoi, unknown), "shape"),
    ("4.3.3", share_mean, "mean of the shares"),
    ("4.3.3", lambda n, b: 1 / (1 - share(n, b)) - 1, "per token"),
    ("4.3.3", lambda n, b: 1 - sum(n) / (len(n) * max(n)), "its own longest"),
    ("4.3.3", lambda n, b: 1 - share_tensor(n, b), "what is no padding"),
    ("4.3.3", lambda n, b: 100 * share(n, b), "per cent"),
    ("4.3.3", lambda n, b: 0.123, "is not it"),
    ("4.3.4", rows, "one dimension"),
    ("4.3.4", lambda b: torch.cat([x for x, _ in b], dim=1).flatten(), "last token of each row"),
    ("4.3.4", lambda b: torch.cat([y for _, y in b], dim=1).flatten(), "first token of each row"),
    ("4.3.4", lambda b: rows(b).T.flatten(), "step after step"),
    ("4.3.4", lambda b: torch.cat([x.flatten() for x, _ in b]), "strung together"),
    ("4.3.4", lambda b: stream(b) + 1, "values are not"),
    ("4.3.5", lambda w, v: longest_first(w, v, ends=lambda i, n: range(i + 1, n + 1)), "longer piece"),
    ("4.3.5", lambda w, v: longest_first(w, v, stop=True), "stop at the first"),
    ("4.3.5", lambda w, v: longest_first(w, v, unknown=()), "one <unk>"),
    ("4.3.5", lambda w, v: longest_first(w, v) if "<unk>" not in longest_first(w, v) else ["<unk>"], "spoil"),
    ("4.3.5", lambda w, v: [*longest_first(w, v), "zz"], "not in the vocabulary"),
    ("4.3.5", one_for_all_unknown, "one <unk>"),
    ("4.3.5", lambda w, v: longest_first(w, v) or ["<unk>"], "one <unk>"),
    ("4.3.5", lambda w, v: [[piece] for piece in longest_first(w, v)], "list of strings"),
    ("4.3.5", lambda w, v: "".join(longest_first(w, v)), "list of strings"),
    ("4.3.5", lambda w, v: longest_first(w, v)[::-1], "is not it"),
    ("4.3.5", lambda w, v: v.add("<unk>") or longest_first(w, v), "changed the vocabulary"),
]


def test_the_model_answer_is_what_two_lines_of_python_say():
    counts = Counter("abracadabra")
    assert order(counts, 2) == ["a", "b", "r"]
    assert longest_first("abracadabra", {"abra", "ra", "c", "a"}) == ["abra", "c", "a", "<unk>", "abra"]


test_right_answers_pass, test_wrong_answers_get_their_hint, test_every_exercise_is_tried = shared_tests(RIGHT, WRONG)
