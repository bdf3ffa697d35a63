"""Pairs of texts in two languages, cut into subwords and laid into batches (chapter 5.3).

The phrases of ``datasets/phrases.tsv.xz`` (English, French, German, Chinese), the captions of Multi30k (English,
German, French, Czech), or a file of the reader's own.
"""

import gzip
import itertools
from array import array
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from utils.data.batches import BucketSampler, pad, torch_shuffled
from utils.data.files import DataError, find
from utils.decoding import beam_search, generate

FILE = "phrases.tsv.xz"
LANGUAGES = {"phrases": ("en", "fr", "de", "zh"), "multi30k": ("en", "de", "fr", "cs")}
SPLITS = {"train": "train", "validation": "val", "test": "test_2016_flickr"}  # ours, Multi30k's
MANY = (("en", "fr"), ("en", "de"), ("en", "zh"), ("de", "en"))  # the directions of phrases:all
SPECIAL = ["<pad>", "<unk>", "<start>", "<end>"]
PAD, UNKNOWN, START, END = range(4)
Pairs = list[tuple[str, str]]


# ---------------------------------------------------------------- pairs


def load_phrases() -> Any:
    """A DataFrame with a row per phrase: ``split``, ``kind``, ``style``, ``items`` (its parts), a text per language."""
    import pandas as pd

    return pd.read_csv(find(FILE), sep="\t", quoting=3, keep_default_na=False)


def load_pairs(name: str) -> dict[str, Pairs]:
    """The pairs of ``train``, ``validation`` and ``test`` (of the phrases also ``longer``).

    Args:
        name: ``"phrases:en-fr"``, ``"multi30k:de-en"`` …, from one language to another. ``"phrases:all"`` is all of
            ``MANY``, with the wanted language before each source: ``"<fr> April 4, 1957"``.

    Raises:
        DataError: unknown corpus or language, a file that is not there, or two files that do not belong together.
    """
    if name == "phrases:all":
        return {
            part: [(f"<{b}> {s}", t) for a, b in MANY for s, t in _columns(rows, [a, b])]
            for part, rows in load_phrases().groupby("split")
        }
    corpus, _, direction = name.partition(":")
    pair, known = direction.split("-"), LANGUAGES.get(corpus, ())
    if len(set(pair)) != 2 or len(pair) != 2 or not set(pair) <= set(known):
        raise DataError(f"unknown pairs {name!r}; there is phrases:all, and CORPUS:A-B with two of {LANGUAGES}")
    if corpus == "phrases":
        return {part: _columns(rows, pair) for part, rows in load_phrases().groupby("split")}
    return {part: _aligned([find(f"multi30k/{split}.{code}.gz") for code in pair]) for part, split in SPLITS.items()}


def _columns(rows: Any, pair: list[str]) -> Pairs:
    return [*map(tuple, rows[pair].to_numpy())]


def _aligned(paths: Sequence[Path]) -> Pairs:
    """Line n of the one file with line n of the other, without the pairs that lack a side."""
    texts = [gzip.decompress(path.read_bytes()).decode("utf-8").removesuffix("\n").split("\n") for path in paths]
    if len(texts[0]) != len(texts[1]):
        raise DataError(f"{paths[0]} has {len(texts[0])} lines, {paths[1]} {len(texts[1])}; they should pair up")
    return [(s.strip(), t.strip()) for s, t in zip(*texts, strict=True) if s.strip() and t.strip()]


def read_pairs(path: str | Path) -> Pairs:
    """A UTF-8 file of the reader's own, ``source<TAB>target`` on every line; ``DataError`` names the line at fault."""
    from utils.data.text import load_table, text_field

    whole = text_field(lambda text: [text.strip()] if text.strip() else [])
    return [(*pair.source, *pair.target) for pair in load_table(path, [("source", whole), ("target", whole)])]


# ---------------------------------------------------------------- subwords


class Subwords:
    """Texts as numbers of subwords (byte-pair encoding: Sennrich, Haddow & Birch 2016), learnt from training texts.

    Digits, punctuation and Chinese characters stand alone, a space belongs to what stands behind it, and a character
    that the training texts lack becomes ``<unk>``. What was cut is put together again to the same text.

    Args:
        texts: the training texts; ``size``: most tokens, the ``SPECIAL`` ones and the tags included.
        tags: words like ``"<fr>"`` that are one token when a text begins with them.
    """

    def __init__(self, texts: Iterable[str], size: int, tags: Sequence[str] = ()):
        from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

        alone = pre_tokenizers.Split(Regex(r"\s?(\p{N}|\p{P}|\p{Han})"), "isolated")
        words = pre_tokenizers.Metaspace(prepend_scheme="never")
        self.tokenizer = Tokenizer(models.BPE(unk_token=SPECIAL[UNKNOWN]))
        self.tokenizer.pre_tokenizer, self.tokenizer.decoder = pre_tokenizers.Sequence([alone, words]), decoders.Fuse()
        trainer = trainers.BpeTrainer(vocab_size=size, special_tokens=[*SPECIAL, *tags], show_progress=False)
        self.tags = {tag: i for i, tag in enumerate(tags, start=len(SPECIAL))}
        bare = (self._cut_tag(text)[1] for text in texts)  # as they are encoded: the first word has no space before it
        self.tokenizer.train_from_iterator(filter(None, bare), trainer)
        self.tokenizer.encode_special_tokens = True  # "<end>" in a text is six characters
        if len(self) == len(SPECIAL) + len(tags):
            raise ValueError("no text to learn the subwords from")

    def __len__(self) -> int:
        return self.tokenizer.get_vocab_size()

    def _cut_tag(self, text: str) -> tuple[list[int], str]:
        tag, _, rest = text.partition(" ")
        return ([self.tags[tag]], rest) if tag in self.tags else ([], text)

    def encode(self, text: str) -> Tensor:
        """(T,) numbers; an empty text is refused with a ValueError."""
        first, rest = self._cut_tag(text)
        if not rest.strip():
            raise ValueError("an empty text has no subwords")
        return torch.tensor(first + self.tokenizer.encode(rest).ids)

    def tokens(self, numbers: Iterable[int]) -> list[str]:
        """The subwords of these numbers, with spaces as they are written."""
        return [self.tokenizer.id_to_token(int(i)).replace("▁", " ") for i in numbers]

    def decode(self, numbers: Iterable[int]) -> str:
        """The text of these numbers, up to ``<end>`` if there is one."""
        return "".join(self.tokens(itertools.takewhile(lambda i: i != END, numbers)))


class Words:
    """Texts of few different words as the numbers of those words; any other word is ``<unk>`` (chapters 5.8, 7.1)."""

    def __init__(self, texts: Iterable[str]):
        self.words = [*SPECIAL, *sorted({word for text in texts for word in text.split()} - set(SPECIAL))]
        self.numbers = {word: i for i, word in enumerate(self.words)}

    def __len__(self) -> int:
        return len(self.words)

    def encode(self, text: str) -> Tensor:
        """(T,) numbers."""
        return torch.tensor([self.numbers.get(word, UNKNOWN) for word in text.split()], dtype=torch.long)

    def decode(self, numbers: Iterable[int]) -> str:
        """The text of these numbers, up to ``<end>`` if there is one."""
        return " ".join(self.words[int(i)] for i in itertools.takewhile(lambda i: i != END, numbers))


Coder = Subwords | Words


# ---------------------------------------------------------------- batches and translations


def pair_batches(
    pairs: Pairs, source: Coder, target: Coder, batch_size: int, shuffle: bool = True, pool: int = 1000
) -> DataLoader:
    """Batches of nearly equal source lengths, and of similar target lengths among those.

    Yields x (B, S), lengths (B,), y_in and y_out (B, T), one step apart: ``y_in`` begins with ``<start>``, ``y_out``
    ends with ``<end>``; behind the end stands ``<pad>``, which a loss leaves out by ``ignore_index=PAD``. With
    ``shuffle`` every epoch has another order, from the global random numbers.
    """
    x, y = _Texts(source.encode(s) for s, _ in pairs), _Texts(target.encode(t) for _, t in pairs)
    return encoded_batches(x, y, batch_size, shuffle, pool)


class _Texts(Sequence[Tensor]):
    """Many short texts in one tensor: a tensor each takes five times as much memory."""

    def __init__(self, encoded: Iterable[Tensor]):
        numbers, self.lengths = array("i"), []
        for text in encoded:
            numbers.extend(text.tolist())
            self.lengths.append(len(text))
        self.numbers, self.starts = torch.tensor(numbers, dtype=torch.long), [0, *itertools.accumulate(self.lengths)]

    def __len__(self) -> int:
        return len(self.lengths)

    def __getitem__(self, i: int) -> Tensor:
        return self.numbers[self.starts[i] : self.starts[i + 1]]


def one_step_apart(texts: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """y_in, which begins with ``<start>``, and y_out, which ends with ``<end>``, (B, T) each, then ``<pad>``."""
    first, last = torch.tensor([[START], [END]])
    whole = pad([torch.cat([first, t, last]) for t in texts], PAD)[0]  # (B, T + 1)
    return whole[:, :-1].where(whole[:, 1:] != PAD, PAD), whole[:, 1:].contiguous()  # what has no successor is not read


def encoded_batches(x: Sequence[Tensor], y: Sequence[Tensor], batch_size: int, shuffle: bool, pool: int) -> DataLoader:
    """:func:`pair_batches` of texts that are numbers already."""
    lengths = [1000 * len(s) + len(t) for s, t in zip(x, y, strict=True)]  # equal sources need no packing

    def collate(rows: list[int]) -> tuple[Tensor, ...]:
        return *pad([x[i] for i in rows], PAD), *one_step_apart([y[i] for i in rows])

    sampler = BucketSampler(lengths, batch_size, pool=pool, shuffled=torch_shuffled if shuffle else None)
    return DataLoader(range(len(x)), batch_sampler=sampler, collate_fn=collate)


def translate(
    model: Any, texts: Sequence[str], source: Coder, target: Coder, *, max_length: int = 100, **beam: Any
) -> list[str]:
    """The translations of ``texts``, in their order: greedy, or with ``width=5, length_penalty=1.0`` by a beam."""
    return write(
        model, [source.encode(text) for text in texts], lambda _, tokens: target.decode(tokens), max_length, beam
    )


@torch.inference_mode()
def write(
    model: Any, encoded: Sequence[Tensor], decode: Callable[[int, list[int]], str], max_length: int, beam: dict
) -> list[str]:
    """What ``model`` writes to each of these texts, ``decode(i, tokens)``: greedy, or with a ``beam``."""
    device, found = next(model.parameters()).device, [""] * len(encoded)
    order = sorted(range(len(encoded)), key=lambda i: len(encoded[i]))
    for rows in (order[i : i + 256] for i in range(0, len(order), 256)):
        x, lengths = pad([encoded[i] for i in rows], PAD)
        state, limits = model.start(x.to(device), lengths), {"end": END, "max_length": max_length}
        if beam:
            best = beam_search(model.step, state, len(rows), start=START, **limits, **beam)
            written = [hypotheses[0].tokens for hypotheses in best]
        else:
            written = generate(model.step, state, torch.full((len(rows),), START, device=device), **limits)[0].tolist()
        for i, tokens in zip(rows, written, strict=True):
            found[i] = decode(i, tokens)
    return found
