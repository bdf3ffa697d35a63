"""Texts for language models: the Python documentation, a classic by download, or any text file (chapter 5.1).

A paragraph that stands in a text twice is kept once, before anything is split: otherwise part of the held-out text
would be text the model was trained on.
"""

import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from utils.data.files import DataError, find

REMOTE = {"time_machine": "time_machine/timemachine.txt", "tiny_shakespeare": "tiny_shakespeare/input.txt"}
SHARES = {"train": 0.8, "val": 0.1, "test": 0.1}
BLOCKS = 50  # a text without documents is cut into about so many blocks of whole paragraphs
SMALLEST = 1_000  # characters of a part


@dataclass(frozen=True)
class Corpus:
    """A text in three parts that share no paragraph."""

    train: str
    val: str
    test: str


def paragraphs(text: str) -> list[str]:
    """What stands between blank lines, with its line breaks and indentation."""
    return [p for p in re.split(r"\n\s*\n", text.strip("\n")) if p.strip()]


def python_documentation() -> list[str]:
    """The reference topics that ship with this Python (``help("topics")``), one document per topic, in their order."""
    from pydoc_data.topics import topics

    return [topics[name] for name in sorted(topics)]


def load_corpus(source: str | Path = "pydoc") -> Corpus:
    """A text, each paragraph once, split into training, validation and test (80, 10 and 10 %).

    Two paragraphs are the same if they differ in white space only. Whole topics of the documentation, or whole blocks
    of a text, go to one part. A file with hardly any blank lines is taken line by line.

    Args:
        source: ``"pydoc"``, ``"time_machine"``, ``"tiny_shakespeare"`` (fetched by :mod:`utils.data.files`), or the
            path of a UTF-8 text file.

    Raises:
        DataError: a file that is missing, a folder or not in UTF-8, or a text with too little to be split.
    """
    if source == "pydoc":
        documents, glue = [paragraphs(topic) for topic in python_documentation()], "\n\n"
    else:
        text = _read(find(REMOTE[source]) if source in REMOTE else Path(source))
        found, glue = paragraphs(text), "\n\n"
        if len(found) < BLOCKS:
            found, glue = [line for line in text.split("\n") if line.strip()], "\n"
        documents = _blocks(found)
    texts = [glue.join([*document, ""]) for document in once(documents) if document]
    dealt = deal([len(text) for text in texts])
    parts = {part: "".join(texts[i] for i in numbers) for part, numbers in dealt.items()}
    if min(map(len, parts.values())) < SMALLEST:
        raise DataError(
            f"{source} is too short: {sum(map(len, texts)):,} characters in {len(texts)} blocks, each paragraph once, "
            f"cannot be split into three parts of {SMALLEST:,}; give a longer text, with line breaks"
        )
    return Corpus(**parts)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        bad = f"byte {error.object[error.start]:#x} at {error.start}"
        raise DataError(f"{path} is not UTF-8 ({bad}); save it in that encoding, and try again") from None
    except OSError as error:
        known = ", ".join(["pydoc", *REMOTE])
        raise DataError(f"{path} cannot be read ({error.strerror}); give {known} or the path of a text file") from None


def _blocks(found: list[str]) -> list[list[str]]:
    """Neighbouring paragraphs together, in blocks of about a fiftieth of the text."""
    size, blocks, filled = sum(map(len, found)) / BLOCKS, [], 0
    for paragraph in found:
        if filled >= size * len(blocks):
            blocks.append([])
        blocks[-1].append(paragraph)
        filled += len(paragraph)
    return blocks


def once(documents: Iterable[list[str]]) -> list[list[str]]:
    """The documents without the paragraphs that stood before, in the same document or in an earlier one."""
    seen, kept = set(), []
    for document in documents:
        kept.append([])
        for paragraph in document:
            if (key := " ".join(paragraph.split())) not in seen:
                seen.add(key)
                kept[-1].append(paragraph)
    return kept


def deal(lengths: list[int]) -> dict[str, list[int]]:
    """The numbers of the texts of each part, ascending.

    From long to short, each text goes to the part that lacks most of its share, and of which it is a quarter at most.
    """
    dealt, size = {part: [] for part in SHARES}, dict.fromkeys(SHARES, 0)
    for i in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        roomy = [part for part in SHARES if lengths[i] <= SHARES[part] * sum(lengths) / 4] or ["train"]
        part = min(roomy, key=lambda part: size[part] / SHARES[part])
        dealt[part].append(i)
        size[part] += lengths[i]
    return {part: sorted(numbers) for part, numbers in dealt.items()}


def ngram_bits(train: str, held_out: str, order: int = 6) -> float:
    """Bits per character of an n-gram model on ``held_out``, counted on ``train``: the last of :func:`ngram_ladder`."""
    return ngram_ladder(train, held_out, order)[-1]


def ngram_ladder(train: str, held_out: str, order: int = 6) -> list[float]:
    """Bits per character on ``held_out`` of the n-gram models of orders 0 to ``order``, counted once on ``train``.

    Interpolated as in Witten & Bell (1991): a context that was followed N times, by D different characters, trusts its
    own counts with weight N / (N + D) and leaves the rest to the context one character shorter; at the bottom, which
    order 0 is, every character of the alphabet and one that stands for all others are alike.
    """
    tables = [defaultdict(Counter) for _ in range(order)]  # contexts of 0 … order - 1 characters
    for k, table in enumerate(tables):
        for gram, count in Counter(train[i - k : i + 1] for i in range(k, len(train))).items():  # counted in C: fast
            table[gram[:-1]][gram[-1]] = count
    alphabet, bits = len(set(train)) + 1, [0.0] * (order + 1)
    for i, character in enumerate(held_out):
        bits[0] -= math.log2(p := 1 / alphabet)
        for k, table in enumerate(tables):
            if k <= i and (follow := table.get(held_out[i - k : i])):
                p = (follow[character] + len(follow) * p) / (follow.total() + len(follow))
            bits[k + 1] -= math.log2(p)
    return [total / len(held_out) for total in bits]
