"""Words with numbers for those the vocabulary lacks, batches of texts with summaries, and summaries (chapter 5.2)."""

import itertools
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from utils.data.docstrings import join, words
from utils.data.translation import END, PAD, SPECIAL, START, UNKNOWN, encoded_batches, write

CUT = 48  # words of a text that are read
Pair = tuple[str, str]  # text, summary


class Words:
    """The ``size`` most frequent words of the training texts (specials included), and numbers beyond for all others.

    A word that is not in the vocabulary has the number ``len(self) + k`` if it is the k-th such word of the source at
    hand, so that it can be copied, and that of ``<unk>`` if it does not stand there.
    """

    def __init__(self, texts: Iterable[str], size: int):
        counts = Counter(word for text in texts for word in words(text))
        self.itos = SPECIAL + [word for word, _ in counts.most_common(max(0, size - len(SPECIAL)))]
        self.stoi = {word: i for i, word in enumerate(self.itos)}
        if len(self) == len(SPECIAL):
            raise ValueError("no text to learn the words from")

    def __len__(self) -> int:
        return len(self.itos)

    def unknown(self, source: Sequence[str]) -> list[str]:
        """The different words of a source that the vocabulary lacks, in their order."""
        return [word for word in dict.fromkeys(source) if word not in self.stoi]

    def encode(self, tokens: Sequence[str], source: Sequence[str]) -> Tensor:
        """(T,) numbers of these words, given the source."""
        others = {word: len(self) + k for k, word in enumerate(self.unknown(source))}
        return torch.tensor([self.stoi.get(word, others.get(word, UNKNOWN)) for word in tokens])

    def decode(self, numbers: Iterable[int], source: Sequence[str]) -> list[str]:
        """The words of these numbers, up to ``<end>`` if there is one."""
        both = self.itos + self.unknown(source)
        return [both[i] for i in itertools.takewhile(lambda i: i != END, map(int, numbers))]


def nearest(known: Sequence[Pair], texts: Sequence[str], family: Sequence[int] | None = None) -> list[str]:
    """For each text the summary of the text in ``known`` that is most like it (cosine of TF-IDF vectors).

    With ``family``, the number of each known text's family, ``texts`` are those of ``known``, and each gets its answer
    from another family.
    """
    import numpy as np
    from sklearn.feature_extraction.text import TfidfVectorizer

    vectors = TfidfVectorizer(analyzer=words, sublinear_tf=True, dtype=np.float32)
    there, found = vectors.fit_transform([text for text, _ in known]), []
    here, family = vectors.transform(texts), None if family is None else np.asarray(family)
    for i in range(0, len(texts), 250):  # a whole matrix would be hundreds of megabytes
        alike = (here[i : i + 250] @ there.T).toarray()
        if family is not None:
            alike[family[i : i + 250, None] == family] = -1.0
        found += [known[j][1] for j in alike.argmax(axis=1)]
    return found


def hinted(pairs: Sequence[Pair], known: Sequence[Pair], family: Sequence[int] | None = None) -> list[Pair]:
    """The pairs with the summary of the :func:`nearest` text of ``known`` in front of each text."""
    hints = nearest(known, [text for text, _ in pairs], family)
    return [(f"{hint} | {text}", summary) for hint, (text, summary) in zip(hints, pairs, strict=True)]


def summary_batches(
    pairs: Sequence[Pair], vocab: Words, batch_size: int, *, shuffle: bool = True, cut: int = CUT
) -> DataLoader:
    """Batches of texts of nearly equal lengths, and of similar summaries among those.

    Yields x (B, S), lengths (B,), y_in and y_out (B, T), one step apart.
    Words outside the vocabulary keep their numbers in all three. Order and padding are those of ``pair_batches``.
    """
    sources = [words(text)[:cut] for text, _ in pairs]
    x = [vocab.encode(s, s) for s in sources]
    y = [vocab.encode(words(summary), s) for s, (_, summary) in zip(sources, pairs, strict=True)]
    return encoded_batches(x, y, batch_size, shuffle, pool=100)


def summarize(
    model: Any, texts: list[str], vocab: Words, *, cut: int = CUT, max_length: int = 30, once: bool = True, **beam: Any
) -> list[str]:
    """The summaries of ``texts``, in their order: greedy, or with ``width=4, length_penalty=1.0`` by a beam.

    ``<unk>`` is never written: the next best word is. With ``once``, nor is a word of more than three letters twice.
    """
    sources = [words(text)[:cut] for text in texts]
    encoded = [vocab.encode(source, source) for source in sources]
    again = torch.tensor([not once or len(word) <= 3 for word in vocab.itos] + [not once])  # may it be repeated?
    return write(_Forbidding(model, again), encoded, lambda i, t: join(vocab.decode(t, sources[i])), max_length, beam)


class _Forbidding:
    """A model that writes no ``<unk>``, and no word a second time but those that may come again."""

    def __init__(self, model: Any, again: Tensor):
        self.model, self.again, self.parameters = model, again.to(next(model.parameters()).device), model.parameters

    def start(self, x: Tensor, lengths: Tensor) -> tuple:
        never = torch.tensor([PAD, UNKNOWN, START], device=x.device)
        return self.model.start(x, lengths), never.repeat(len(x), 1)

    def step(self, tokens: Tensor, state: tuple[tuple, Tensor]) -> tuple[Tensor, tuple]:
        used = torch.where(self.again[tokens.clamp(max=len(self.again) - 1)], PAD, tokens)
        never = torch.cat([state[1], used.unsqueeze(1)], dim=1)  # (N, 3 + t)
        log_p, after = self.model.step(tokens, state[0])
        return log_p.scatter(1, never, float("-inf")), (after, never)
