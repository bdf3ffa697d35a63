"""torchtext 0.6.0 with its traps closed; the only module of the book that imports it (chapter 4.3).

What torchtext does well is here under its own name (``text.Field``, ``text.BucketIterator`` …), and beside it what the
book calls: vocabularies that no lookup changes, files checked when they are read, batches in an order a seed fixes.
"""

import json
import os
import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from torch import Tensor
from torchtext import data
from torchtext.data.utils import RandomShuffler
from torchtext.vocab import Vocab

from utils.checkpoints import write_json
from utils.data.files import DataError

Dataset, Example, TabularDataset = data.Dataset, data.Example, data.TabularDataset
Field, LabelField, get_tokenizer = data.Field, data.LabelField, data.get_tokenizer
BucketIterator, BPTTIterator = data.BucketIterator, data.BPTTIterator


# ---------------------------------------------------------------- vocabularies


class _Numbers(dict):
    """Token to number. A missing token gets the number of ``<unk>``, if there is one, and is never inserted."""

    def __init__(self, pairs: Mapping[str, int], unknown: int | None):
        super().__init__(pairs)
        self.unknown = unknown

    def __missing__(self, token: str) -> int:
        if self.unknown is None:
            raise KeyError(f"{token!r} is not in the vocabulary, and there is no {Vocab.UNK} to stand for it")
        return self.unknown


class Vocabulary(Vocab):
    """torchtext's ``Vocab``, closed: looking up never inserts a token and never returns ``None``."""

    def __init__(self, counter: Counter, **kwargs):
        super().__init__(counter, **kwargs)
        self.stoi = _Numbers(self.stoi, self.unk_index)

    def __getitem__(self, token: str) -> int:
        return self.stoi[token]

    def __setstate__(self, state: dict) -> None:  # copy.deepcopy comes through here
        self.__dict__.update(state)
        self.stoi = _Numbers(state["stoi"], state["unk_index"])


def text_field(
    tokenize: Callable[[str], list[str]] | str | None = None,
    *,
    lower: bool = False,
    init_token: str | None = None,
    eos_token: str | None = None,
) -> Field:
    """A column of texts: batch first, with lengths, with ``<unk>`` and ``<pad>``.

    ``tokenize`` is a function from a string to its tokens (``list`` gives characters), ``"basic_english"``, or ``None``
    to split at white space; ``init_token`` and ``eos_token`` are put before and behind every text.
    """
    padded = {"batch_first": True, "include_lengths": True}
    return Field(tokenize=tokenize, lower=lower, init_token=init_token, eos_token=eos_token, **padded)


def build_vocabulary(field: Field, training: Dataset, *, min_freq: int = 1, max_size: int | None = None) -> Vocabulary:
    """Give ``field`` its vocabulary from the training data, and return it: specials first, then by frequency.

    A label that is not in it is a ``KeyError`` when the batch is made, not a ``None``.

    Raises:
        ValueError: not a ``Dataset``, one without this field, or no token that is frequent enough.
    """
    if not isinstance(training, Dataset) or not any(column is field for column in training.fields.values()):
        raise ValueError("a vocabulary is built from one Dataset, the training data, which has this field as a column")
    field.vocab_cls = Vocabulary
    field.build_vocab(training, min_freq=min_freq, max_size=max_size)
    if set(field.vocab.itos) <= {field.unk_token, field.pad_token, field.init_token, field.eos_token}:
        raise ValueError(f"no token stands {min_freq} times or more in these {len(training)} examples")
    return field.vocab


def save_vocabulary(vocab: Vocab, path: str | os.PathLike) -> None:
    """Write the tokens in order, and their counts, as JSON: the whole file or nothing."""
    if not all(isinstance(token, str) for token in [*vocab.itos, *vocab.freqs]):
        raise ValueError("only a vocabulary of strings can be saved")
    write_json(Path(path), {"tokens": vocab.itos, "counts": vocab.freqs})


def load_vocabulary(path: str | os.PathLike) -> Vocabulary:
    """Read what :func:`save_vocabulary` wrote; nothing is unpickled. ``DataError`` if it is something else."""
    text = _whole(path)
    try:
        record = json.loads(text)
        tokens, counts = list(record["tokens"]), dict(record["counts"])
        if len(set(tokens)) < len(tokens) or {type(token) for token in tokens} != {str}:
            raise ValueError
    except (ValueError, KeyError, TypeError):
        raise DataError(f"{path} is not a vocabulary that save_vocabulary wrote") from None
    vocab = Vocabulary(Counter(), specials=tokens)
    vocab.freqs = Counter(counts)
    return vocab


# ---------------------------------------------------------------- files


def _whole(path: str | os.PathLike) -> str:
    try:
        return Path(path).read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise DataError(f"{path} does not exist; nothing is downloaded here, lay the file there yourself") from None
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8: byte {error.object[error.start]:#x} at {error.start}") from None


def load_table(path: str | os.PathLike, fields: Sequence[tuple[str, Field | None]]) -> Dataset:
    """Read a UTF-8 file of tab-separated columns, one example a line; quotes are letters like any other.

    ``fields`` are the name and field of every column, in order; the field ``None`` leaves a column out.

    Raises:
        DataError: no file, another encoding, an empty file, a line with too few or too many columns, or one whose text
            has no token (it could not be packed). The message names the line.
    """
    text, examples = _whole(path), []
    if not text.strip():
        raise DataError(f"{path} is empty")
    for number, line in enumerate(text.removesuffix("\n").split("\n"), start=1):
        cells = line.split("\t")
        if len(cells) != len(fields):
            raise DataError(f"{path}, line {number}: {len(cells)} column(s), not {len(fields)}: {line[:60]!r}")
        examples.append(Example.fromlist(cells, fields))
        for name, field in fields:
            if field is not None and len(getattr(examples[-1], name)) == 0:
                raise DataError(f"{path}, line {number}: nothing in column {name!r}")
    return Dataset(examples, fields)


# ---------------------------------------------------------------- batches


def shuffler(seed: int) -> RandomShuffler:
    """torchtext's source of random orders, from a seed and not from whatever state ``random`` is in."""
    return RandomShuffler(random.Random(seed).getstate())


class _Batches:
    def __init__(self, iterator: data.Iterator, columns: Sequence[str]):
        self.iterator, self.columns = iterator, columns

    def __len__(self) -> int:
        return len(self.iterator)

    def __iter__(self) -> Iterator[tuple[Tensor, ...]]:
        for batch in self.iterator:
            values = [getattr(batch, name) for name in self.columns]
            yield tuple(tensor for v in values for tensor in (v if isinstance(v, tuple) else (v,)))


def bucket_batches(dataset: Dataset, batch_size: int, *, text: str = "text", train: bool = True, seed: int = 0):
    """Batches of similar lengths, the longest text first: (x, lengths) of the column ``text``, then the other columns.

    A sized iterable. In training the order is another one every epoch, and the same for the same ``seed``; for
    evaluation (``train=False``) it is always the same. ``utils.data.batches.BucketSampler`` gives the same batches.
    """
    if len(dataset) == 0 or batch_size < 1 or text not in dataset.fields:
        found = f"{len(dataset)} examples of {', '.join(dataset.fields)}, batch_size = {batch_size}"
        raise ValueError(f"expected an example, a column {text!r} and batch_size >= 1; found {found}")
    order = {"train": train, "shuffle": train, "sort": False, "sort_within_batch": True}
    iterator = BucketIterator(dataset, batch_size, sort_key=lambda example: len(getattr(example, text)), **order)
    iterator.random_shuffler = shuffler(seed)
    others = [name for name, field in dataset.fields.items() if field is not None and name != text]
    return _Batches(iterator, [text, *others])


def bptt_batches(tokens: Sequence[str], vocab: Vocab, batch_size: int, bptt_len: int):
    """Truncated-BPTT batches (x, y), both (B, T <= bptt_len), y one step ahead; row b goes on where it stopped.

    A sized iterable. The stream is cut into ``batch_size`` rows of equal length; up to ``batch_size - 1`` tokens at its
    end are left out, so that no batch holds padding.
    """
    length = len(tokens) // batch_size if batch_size >= 1 else 0  # of a row
    if length < 2 or bptt_len < 1:
        found = f"{len(tokens)} tokens, batch_size = {batch_size}, bptt_len = {bptt_len}"
        raise ValueError(f"expected at least two tokens per row and bptt_len >= 1; found {found}")
    field = Field(batch_first=True)  # of its own, since BPTTIterator writes into the field it is given
    field.vocab, stream = vocab, Example()
    stream.text = list(tokens[: length * batch_size])
    return _Batches(BPTTIterator(Dataset([stream], [("text", field)]), batch_size, bptt_len), ["text", "target"])
