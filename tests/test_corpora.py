"""Texts for language models: no paragraph in two parts, whole topics, clear errors, and the n-gram by hand."""

import math
import urllib.error
from itertools import pairwise

import pytest

from utils.data import corpora, files
from utils.data.corpora import load_corpus, ngram_bits, ngram_ladder, once, paragraphs
from utils.data.files import DataError

PARTS = ("train", "val", "test")


def keys(text, split):
    return [" ".join(piece.split()) for piece in split(text)]


def disjoint(corpus, split=paragraphs):
    sets = [set(keys(getattr(corpus, part), split)) for part in PARTS]
    return not (sets[0] & sets[1] or sets[0] & sets[2] or sets[1] & sets[2])


def prose(count, word="word"):
    return "\n\n".join(f"{word} {i}: " + " ".join(f"{word}{i}{k}" for k in range(30)) for i in range(count))


# ---------------------------------------------------------------- the Python documentation


def test_documentation_is_dealt_by_whole_topics():
    corpus = load_corpus()
    assert corpus == load_corpus("pydoc")
    assert disjoint(corpus)
    sizes = [len(getattr(corpus, part)) for part in PARTS]
    assert sum(sizes) > 300_000
    assert all(0.06 < size / sum(sizes) < 0.14 for size in sizes[1:])
    owner = {part: set(keys(getattr(corpus, part), paragraphs)) for part in PARTS}
    for topic in once(paragraphs(topic) for topic in corpora.python_documentation()):
        homes = {part for part in PARTS for p in topic if " ".join(p.split()) in owner[part]}
        assert len(homes) == min(len(topic), 1)
        assert sum(map(len, topic)) < sizes[1] or homes <= {"train"}


def test_a_paragraph_is_kept_once_where_it_stands_first():
    documents = [["a", "b  c", "a"], ["b\nc", "d"], ["a"], []]
    assert once(documents) == [["a", "b  c"], ["d"], [], []]
    assert documents[0] == ["a", "b  c", "a"]


def test_paragraphs_keep_their_layout():
    assert paragraphs("\n\nTitle\n=====\n \n   indented\n   code\n\n\n\nend\n") == [
        "Title\n=====",
        "   indented\n   code",
        "end",
    ]
    assert paragraphs(" \n\n ") == []


# ---------------------------------------------------------------- files


@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_a_file_is_cut_into_blocks_of_neighbours(tmp_path, line_end, mark):
    path = tmp_path / "mine.txt"
    repeated = prose(200) + "\n\n" + prose(20)  # the first twenty once more
    path.write_bytes((mark + repeated).replace("\n", line_end).encode())
    corpus = load_corpus(path)
    assert corpus == load_corpus(str(path))
    assert disjoint(corpus)
    found = [p for part in PARTS for p in paragraphs(getattr(corpus, part))]
    assert sorted(found) == sorted(paragraphs(prose(200)))
    neighbours = [int(p.split()[1][:-1]) for p in paragraphs(corpus.val)]
    assert sum(b == a + 1 for a, b in pairwise(neighbours)) > len(neighbours) / 2


def test_a_file_without_blank_lines_is_taken_by_lines(tmp_path):
    path = tmp_path / "lines.txt"
    path.write_text(prose(300).replace("\n\n", "\n"), encoding="utf-8")
    assert disjoint(load_corpus(path), str.splitlines)


def test_other_scripts_come_through(tmp_path):
    path = tmp_path / "日本.txt"
    path.write_text("\n\n".join(f"{i}。" + "日本語の文章。" * 20 for i in range(100)), encoding="utf-8")
    corpus = load_corpus(path)
    assert "日本語" in corpus.train
    assert "日本語" in corpus.test


BAD = {
    "empty": (b"", "is too short"),
    "blank": (b" \n\n \n", "is too short"),
    "one word": (b"word", "is too short"),
    "the same word": (b"word\n\n" * 10_000, "each paragraph once"),
    "one long line": (b"word " * 10_000, "with line breaks"),
    "short": (prose(10).encode(), "three parts of 1,000"),
    "latin-1": ("déjà vu ".encode("latin-1") * 1000, "is not UTF-8 (byte 0xe9 at 1)"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_files_get_one_clear_line(tmp_path, case):
    path, (content, reason) = tmp_path / "bad.txt", BAD[case]
    path.write_bytes(content)
    with pytest.raises(DataError) as error:
        load_corpus(path)
    assert reason in str(error.value)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_a_missing_file_and_a_folder(tmp_path):
    with pytest.raises(DataError, match=r"No such file.*give pydoc, time_machine, tiny_shakespeare or the path"):
        load_corpus(tmp_path / "none.txt")
    with pytest.raises(DataError, match="cannot be read"):
        load_corpus(tmp_path)


# ---------------------------------------------------------------- by download


def test_remote_texts_come_through_the_one_door(tmp_path, monkeypatch):
    path = tmp_path / "found.txt"
    path.write_text(prose(120), encoding="utf-8")
    asked = []
    monkeypatch.setattr(corpora, "find", lambda name: asked.append(name) or path)
    assert load_corpus("tiny_shakespeare") == load_corpus("time_machine") == load_corpus(path)
    assert asked == ["tiny_shakespeare/input.txt", "time_machine/timemachine.txt"]
    assert set(asked) <= set(files.names())


def test_an_absent_text_without_network_says_where_to_lay_it(tmp_path, monkeypatch):
    def no_network(url):
        raise urllib.error.URLError("no network")

    monkeypatch.setenv(files.CACHE_VARIABLE, str(tmp_path))
    monkeypatch.setattr(files, "_open", no_network)
    with pytest.raises(DataError, match="by hand: lay the file from"):
        load_corpus("time_machine")


# ---------------------------------------------------------------- counting


def test_ngram_by_hand():
    assert ngram_bits("aabb", "xyz", order=0) == pytest.approx(math.log2(3))
    assert ngram_ladder("aaba", "aab", 2) == pytest.approx([ngram_bits("aaba", "aab", n) for n in range(3)])
    p = (3 + 2 / 3) / (4 + 2)  # a: 3 of 4 characters, 2 different ones, a third of what is left
    assert ngram_bits("aaba", "aa", order=1) == pytest.approx(-math.log2(p))
    after = (1 + 2 * p) / (2 + 2)  # "a" was followed by a and by b
    assert ngram_bits("aaba", "aa", order=2) == pytest.approx(-(math.log2(p) + math.log2(after)) / 2)


def test_ngram_probabilities_add_up_to_one():
    train = "the cat sat on the mat and the rat ran"
    for order in (0, 1, 3, 6):
        context = "on the "
        base = ngram_bits(train, context, order) * len(context)
        total = [ngram_bits(train, context + c, order) * (len(context) + 1) - base for c in [*sorted(set(train)), "Z"]]
        assert sum(2**-bits for bits in total) == pytest.approx(1)
