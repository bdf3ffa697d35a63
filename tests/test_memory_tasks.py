"""The memory tasks are what their papers define, in every sequence and in their statistics."""

import itertools
import math
import re

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from utils.data import memory_tasks as tasks
from utils.data.memory_tasks import ANBN, ANBNCN, DYCK1, DYCK2, EMBEDDED_REBER, REBER


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def near(found, expected, count, deviation):
    """A mean over ``count`` independent numbers lies within five standard errors."""
    assert abs(float(found) - expected) < 5 * deviation / math.sqrt(count)


# ---------------------------------------------------------------- definitions and statistics of the numeric tasks


@given(count=st.integers(1, 8), length=st.integers(2, 40), seed=st.integers(0, 99))
def test_adding_problem_marks_two_numbers_and_asks_for_their_sum(count, length, seed):
    x, y = tasks.adding_problem(count, length, seeded(seed))
    assert x.shape == (count, length, 2)
    assert y.shape == (count,)
    assert ((x[..., 0] >= 0) & (x[..., 0] < 1)).all()
    for sequence, total in zip(x, y, strict=True):
        marked = sequence[sequence[:, 1] == 1, 0]
        assert len(marked) == 2
        assert (sequence[:, 1] == 0).sum() == length - 2
        assert math.isclose(float(total), float(marked.sum()), rel_tol=1e-6)


def test_adding_problem_statistics():
    x, y = tasks.adding_problem(20_000, 10, seeded())
    near(y.mean(), 1, 20_000, math.sqrt(1 / 6))
    near((y - 1).square().mean(), 1 / 6, 20_000, math.sqrt(7 / 180))  # E z⁴ = 1/15 for a triangular z
    for t in range(10):
        near(x[:, t, 1].mean(), 0.2, 20_000, 0.4)  # any two places
    near((x[:, 0, 1] * x[:, 9, 1]).mean(), 1 / 45, 20_000, math.sqrt(1 / 45))
    near(x[:, 3, 0].mean(), 0.5, 20_000, math.sqrt(1 / 12))


@given(count=st.integers(1, 5), lag=st.integers(1, 30), seed=st.integers(0, 99))
def test_copying_is_laid_out_as_in_the_paper(count, lag, seed):
    tokens, targets = tasks.copying(count, lag, seeded(seed))
    assert tokens.shape == targets.shape == (count, lag + 20)
    items = tokens[:, :10]
    assert ((items >= 0) & (items < 8)).all()
    assert (tokens[:, 10 : 10 + lag - 1] == 8).all()
    assert (tokens[:, 10 + lag - 1] == 9).all()
    assert (tokens[:, 10 + lag :] == 8).all()
    assert tokens[:, 10 + lag :].shape[1] == 10
    assert (targets[:, : lag + 10] == 8).all()
    assert torch.equal(targets[:, lag + 10 :], items)


def test_copying_symbols_are_uniform():
    tokens, _ = tasks.copying(4_000, 1, seeded())
    for symbol in range(8):
        near((tokens[:, :10] == symbol).double().mean(), 1 / 8, 40_000, math.sqrt(7) / 8)


@pytest.mark.parametrize("lag", [1, 5, 100])
def test_copying_baseline_is_the_loss_of_who_remembers_nothing(lag):
    _, targets = tasks.copying(50, lag, seeded())
    logits = torch.full((*targets.shape, 10), -1e9)
    logits[:, :-10, 8] = 0  # surely blank
    logits[:, -10:, :8] = 0  # one of eight
    loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten())
    assert math.isclose(tasks.copying_baseline(lag), loss.item(), rel_tol=1e-5)
    assert math.isclose(tasks.copying_baseline(lag), 10 * math.log(8) / (lag + 20), rel_tol=1e-12)


@given(count=st.integers(1, 8), length=st.integers(10, 60), seed=st.integers(0, 99))
def test_temporal_order_has_one_mark_in_each_window(count, length, seed):
    tokens, classes = tasks.temporal_order(count, length, seeded(seed))
    assert tokens.shape == (count, length)
    assert ((tokens >= 0) & (tokens <= 5)).all()
    for sequence, wanted in zip(tokens.tolist(), classes.tolist(), strict=True):
        (first, a), (second, b) = [(t, s) for t, s in enumerate(sequence) if s in (0, 1)]
        assert length // 10 <= first < 2 * length // 10
        assert 4 * length // 10 <= second < 5 * length // 10
        assert wanted == {(0, 0): 0, (0, 1): 1, (1, 0): 2, (1, 1): 3}[a, b]


def test_temporal_order_statistics():
    tokens, classes = tasks.temporal_order(8_000, 50, seeded())
    for wanted in range(4):
        near((classes == wanted).double().mean(), 1 / 4, 8_000, math.sqrt(3) / 4)
    for distractor in range(2, 6):
        near((tokens[:, 30] == distractor).double().mean(), 1 / 4, 8_000, math.sqrt(3) / 4)
    for t in (*range(5, 10), *range(20, 25)):
        near((tokens[:, t] < 2).double().mean(), 1 / 5, 8_000, 0.4)


@given(count=st.integers(1, 5), length=st.integers(1, 40), seed=st.integers(0, 99))
def test_parity_is_the_exclusive_or_so_far(count, length, seed):
    bits, parity = tasks.parity(count, length, seeded(seed))
    assert bits.shape == parity.shape == (count, length)
    for row, wanted in zip(bits.tolist(), parity.tolist(), strict=True):
        assert set(row) <= {0, 1}
        assert list(itertools.accumulate(row, lambda a, b: a ^ b)) == wanted


def test_parity_flips_fair_coins():
    bits, parity = tasks.parity(4_000, 20, seeded())
    near(bits.double().mean(), 0.5, 80_000, 0.5)
    near(parity[:, -1].double().mean(), 0.5, 4_000, 0.5)


DRAWS = {
    "adding": lambda g: tasks.adding_problem(4, 12, g),
    "copying": lambda g: tasks.copying(4, 3, g),
    "order": lambda g: tasks.temporal_order(4, 30, g),
    "parity": lambda g: tasks.parity(4, 30, g),
    "reber": lambda g: tasks.reber_words(20, g),
    "dyck": lambda g: tasks.dyck_words(20, generator=g),
}


def same(a, b):
    return a == b if isinstance(a, list) else all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


@pytest.mark.parametrize("name", DRAWS)
def test_same_seed_same_data_and_the_global_state_is_left_alone(name):
    before = torch.get_rng_state()
    assert same(DRAWS[name](seeded(1)), DRAWS[name](seeded(1)))
    assert not same(DRAWS[name](seeded(1)), DRAWS[name](seeded(2)))
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("name", DRAWS)
def test_without_a_generator_the_global_seed_decides(name):
    torch.manual_seed(1)
    first, second = DRAWS[name](None), DRAWS[name](None)
    torch.manual_seed(1)
    assert same(first, DRAWS[name](None))
    assert not same(first, second)


# ---------------------------------------------------------------- languages, against brute force


def closes(word):
    """What is left of a word of brackets after striking out neighbours again and again."""
    while (shorter := re.sub(r"\(\)|\[\]", "", word)) != word:
        word = shorter
    return word


def reber_language(longest):
    """All words of the Reber grammar, by walking the drawing of Hochreiter & Schmidhuber (1997, figure 3)."""
    arcs = [
        "0B1", "1T2", "1P3", "2S2", "2X4", "3T3", "3V5", "4X3", "4S6", "5P4", "5V6", "6E7",
    ]  # fmt: skip
    words, edge = set(), {("0", "")}
    while edge:
        edge = {(a[2], w + a[1]) for s, w in edge for a in arcs if a[0] == s and len(w) < longest}
        words |= {w for s, w in edge if s == "7"}
    return words


LANGUAGES = {  # language: all its words up to some length
    "reber": (REBER, sorted(reber_language(11))),
    "embedded": (EMBEDDED_REBER, sorted(f"B{s}{w}{s}E" for w in reber_language(9) for s in "TP")),
    "anbn": (ANBN, ["S" + n * "a" + n * "b" + "T" for n in range(1, 8)]),
    "anbncn": (ANBNCN, ["S" + n * "a" + n * "b" + n * "c" + "T" for n in range(1, 8)]),
}


def beginnings(words, shorter_than):
    return sorted({word[:t] for word in words for t in range(1, len(word) + 1) if t <= shorter_than})


@pytest.mark.parametrize("name", LANGUAGES)
def test_what_may_follow_is_what_follows_in_some_word(name):
    language, words = LANGUAGES[name]
    longest = {"reber": 5, "embedded": 5, "anbn": 6, "anbncn": 6}[name]  # no word is too long to be known
    for start in beginnings(words, longest):
        expected = {word[len(start)] for word in words if word.startswith(start) and word != start}
        assert set(language.follow(start)[-1]) == expected, start
    for word in words:
        follow = language.follow(word)
        assert len(follow) == len(word)
        assert follow[-1] == ""
        assert all(after in legal for after, legal in zip(word[1:], follow, strict=False))


@pytest.mark.parametrize("name", LANGUAGES)
def test_every_other_string_is_refused(name):
    language, words = LANGUAGES[name]
    starts = set(beginnings(words, 6))
    for start in [start for start in starts if len(start) < 6]:
        for symbol in set(language.alphabet) - {w[len(start)] for w in starts if w[:-1] == start}:
            with pytest.raises(ValueError, match=f"symbol {len(start)} is '{symbol}', expected"):
                language.follow(start + symbol)
    for word in words[:20]:
        with pytest.raises(ValueError, match="expected the end"):
            language.follow(word + language.alphabet[0])


@pytest.mark.parametrize("language", [DYCK1, DYCK2], ids=lambda language: language.name)
def test_brackets_against_striking_out(language):
    openings, closings = language.alphabet[::2], language.alphabet[1::2]
    for length in range(1, 7):
        for symbols in itertools.product(language.alphabet, repeat=length):
            word = "".join(symbols)
            legal = all(not set(closes(word[:t])) & set(closings) for t in range(1, length + 1))
            if not legal:
                with pytest.raises(ValueError, match="is not in the language"):
                    language.follow(word)
                continue
            still_open = closes(word)
            due = closings[openings.index(still_open[-1])] if still_open else ""
            assert set(language.follow(word)[-1]) == set(openings + due)


@pytest.mark.parametrize("language", [REBER, EMBEDDED_REBER, ANBN, ANBNCN, DYCK1, DYCK2], ids=lambda lang: lang.name)
def test_no_text_is_refused(language):
    for nonsense in (7, None, ["B", "T"]):
        with pytest.raises(ValueError, match="expected a word"):
            language.follow(nonsense)


# ---------------------------------------------------------------- drawn words


@pytest.mark.parametrize("embedded", [False, True])
def test_reber_words_are_in_the_language_and_both_sides_come(embedded):
    words = tasks.reber_words(2_000, seeded(), embedded=embedded)
    language = EMBEDDED_REBER if embedded else REBER
    assert all(language.follow(word)[-1] == "" for word in words)
    near(sum(word[1] == "T" for word in words) / 2_000, 0.5, 2_000, 0.5)
    if embedded:
        assert all(word[1] == word[-2] for word in words)
        assert all(word[2:-2] in reber_language(12) for word in words if len(word) < 16)
    inner = [word[2:-2] if embedded else word for word in words]
    loops = [len(word) - len(word[2:].lstrip("S")) - 2 for word in inner if word[1] == "T"]
    near(sum(loops) / len(loops), 1, len(loops), math.sqrt(2))  # S or X with equal chance: geometric, mean 1


def test_shortest_embedded_words_have_nine_symbols():
    words = tasks.reber_words(2_000, seeded())
    assert min(map(len, words)) == 9
    assert {word for word in words if len(word) == 9} == {
        f"B{side}{inner}{side}E" for side in "TP" for inner in ("BTXSE", "BPVVE")
    }


@given(n=st.integers(1, 30))
def test_counting_words(n):
    assert tasks.counting_word(n) == "S" + "a" * n + "b" * n + "T"
    assert tasks.counting_word(n, "abc") == "S" + "a" * n + "b" * n + "c" * n + "T"
    assert ANBN.follow(tasks.counting_word(n))[-1] == ""
    assert ANBNCN.follow(tasks.counting_word(n, "abc"))[-1] == ""


@settings(max_examples=20)
@given(kinds=st.sampled_from([1, 2]), shortest=st.integers(2, 12), more=st.integers(1, 12), seed=st.integers(0, 9))
def test_dyck_words_are_balanced_and_of_the_wanted_length(kinds, shortest, more, seed):
    for word in tasks.dyck_words(5, kinds, shortest, shortest + more, seeded(seed)):
        assert closes(word) == ""
        assert shortest <= len(word) <= shortest + more
        assert set(word) <= set("()[]"[: 2 * kinds])


@pytest.mark.parametrize("kinds", [1, 2])
def test_dyck_words_follow_the_grammar(kinds):
    words = tasks.dyck_words(3_000, kinds, longest=10, generator=seeded())
    share = sum(word in ("()", "[]") for word in words) / 3_000
    # P(empty) = e solves e = 1/4 + e²/4; P("()") = p solves p = e/2 + 2 e p/4; P(length ≤ 10) by the same recursion
    e = 2 - math.sqrt(3)
    chance = [e]  # of a word with 2k symbols
    for k in range(1, 6):
        wrapped = chance[k - 1] / 2
        split = sum(chance[i] * chance[k - i] for i in range(1, k)) / 4
        chance.append((wrapped + split) / (1 - e / 2))
    expected = chance[1] / sum(chance[1:])
    near(share, expected, 3_000, math.sqrt(expected * (1 - expected)))
    lengths = [sum(len(word) == 2 * k for word in words) / 3_000 for k in (2, 3, 4, 5)]
    for found, p in zip(lengths, chance[2:], strict=True):
        p /= sum(chance[1:])
        near(found, p, 3_000, math.sqrt(p * (1 - p)))
    if kinds == 2:
        brackets = "".join(words)
        near(brackets.count("[") / (len(brackets) / 2), 0.5, len(brackets) / 2, 0.5)


def test_encode_pads_with_token_zero_and_nothing_legal():
    words = ["()", "([])", "[]"]
    tokens, legal, lengths = DYCK2.encode(words)
    assert lengths.tolist() == [2, 4, 2]
    assert tokens.tolist() == [[0, 1, 0, 0], [0, 2, 3, 1], [2, 3, 0, 0]]
    assert legal.shape == (3, 4, 4)
    for n, word in enumerate(words):
        for t, symbols in enumerate(DYCK2.follow(word)):
            assert {s for s, on in zip("()[]", legal[n, t].tolist(), strict=True) if on == 1} == set(symbols)
    assert not legal[0, 2:].any()
    assert tokens.dtype == torch.long
    assert legal.dtype == torch.float32


# ---------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: tasks.adding_problem(0, 5), "count must be a whole number of at least 1, found 0"),
        (lambda: tasks.adding_problem(2, 1), "length must be a whole number of at least 2, found 1"),
        (lambda: tasks.adding_problem(2, -3), "found -3"),
        (lambda: tasks.adding_problem(2, 5.0), "found 5.0"),
        (lambda: tasks.adding_problem(True, 5), "found True"),
        (lambda: tasks.copying(2, 0), "lag must be a whole number of at least 1, found 0"),
        (lambda: tasks.copying(-1, 5), "count"),
        (lambda: tasks.copying_baseline(0), "lag"),
        (lambda: tasks.temporal_order(2, 9), "length must be a whole number of at least 10, found 9"),
        (lambda: tasks.temporal_order(0, 10), "count"),
        (lambda: tasks.parity(2, 0), "length"),
        (lambda: tasks.parity(0, 2), "count"),
        (lambda: tasks.parity("2", 2), "found '2'"),
        (lambda: tasks.reber_words(0), "count"),
        (lambda: tasks.counting_word(0), "n must be"),
        (lambda: tasks.counting_word(3, ""), "letters must be different"),
        (lambda: tasks.counting_word(3, "aa"), "letters must be different"),
        (lambda: tasks.counting_word(3, "aS"), "letters must be different"),
        (lambda: tasks.dyck_words(0), "count"),
        (lambda: tasks.dyck_words(1, 3), "kinds must be 1 or 2, found 3"),
        (lambda: tasks.dyck_words(1, True), "kinds must be 1 or 2"),
        (lambda: tasks.dyck_words(1, 2, 0), "shortest"),
        (lambda: tasks.dyck_words(1, 2, 8, 6), "longest must be a whole number of at least 8, found 6"),
        (lambda: tasks.dyck_words(1, 2, 7, 7), "even length"),
        (lambda: DYCK1.encode([]), "at least one"),
        (lambda: DYCK1.encode(["()", ""]), "no empty word"),
        (lambda: DYCK1.encode("()"), "a list of words"),
        (lambda: DYCK1.encode(["()", "[]"]), r"'\[\]' is not in the language: symbol 0"),
        (lambda: ANBN.encode(["SaabT"]), "symbol 4 is 'T', expected b"),
        (lambda: REBER.encode([7]), "expected a word"),
    ],
)
def test_bad_input_gets_a_clear_error(call, words):
    with pytest.raises(ValueError, match=words):
        call()
