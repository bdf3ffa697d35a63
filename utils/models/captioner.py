"""From an image to words: Show and Tell, and Show, Attend and Tell (chapter 5.8)."""

import itertools

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from utils.models.seq2seq import AdditiveAttention, State


class GridEncoder(nn.Sequential):
    """A small CNN: image (B, channels, H, W) of any size → 4 x 4 vectors of ``size`` numbers, (B, size, 4, 4)."""

    def __init__(self, channels: int = 1, size: int = 64):
        half, pool = size // 2, nn.MaxPool2d(2)
        blocks = (channels, size // 4, pool), (size // 4, half, pool), (half, size, nn.AdaptiveMaxPool2d(4))
        layers = ((nn.Conv2d(n, m, 3, padding=1, bias=False), p, nn.BatchNorm2d(m), nn.ReLU()) for n, m, p in blocks)
        super().__init__(*itertools.chain(*layers))


class Captioner(nn.Module):
    """An LSTM that describes an image; :mod:`utils.decoding` makes it write by ``start`` and ``step``.

    Args:
        encoder: images → features (B, size, H, W); ``nn.Identity()`` if the features themselves are given.
        vocab_size: words.
        size, hidden: width of the features and of the word vectors; units of the LSTM.
        attention: ``False``: the image is the first input, and then come words only (Vinyals et al. 2015); ``True``:
            having read a word, the model looks at the grid, and what it sees goes to the output alone (the soft
            attention of Xu et al. 2015, with the query of Lu et al. 2017 and without input to the LSTM).

    In training every second look, drawn by lot, tells what is in a cell and not what is around it, so that it does not
    pay to look beside a thing in place of at it (:attr:`blinkers` is the probability).
    """

    blinkers = 0.5

    def __init__(self, encoder: nn.Module, vocab_size: int, size: int = 64, hidden: int = 128, attention: bool = True):
        super().__init__()
        self.encoder, self.looks = encoder, attention
        self.own, seen = size + 2, 2 * size + 2  # numbers of a cell's own content; of its annotation
        self.norm, self.locate = nn.BatchNorm2d(size), nn.Conv2d(size + 2, size, 3, padding=1)
        self.embedding = nn.Embedding(vocab_size, size)
        if not attention:
            self.read = nn.Linear(seen, size)
        else:
            self.attention = AdditiveAttention(hidden, seen, hidden // 4)
            self.init_h, self.init_c = nn.Linear(seen, hidden), nn.Linear(seen, hidden)
            self.L_z = nn.Linear(seen, size, bias=False)
        self.rnn = nn.LSTM(size, hidden, batch_first=True)
        self.L_h, self.out = nn.Linear(hidden, size, bias=False), nn.Linear(size, vocab_size)

    def annotate(self, images: Tensor) -> Tensor:
        """The grid as (B, L, 2 size + 2): what is in a cell, where it is (Liu et al. 2018), what is around it."""
        what = self.norm(self.encoder(images))  # (B, size, H, W)
        rows, columns = (torch.linspace(-3, 3, n).to(what) for n in what.shape[2:])
        place = torch.stack(torch.meshgrid(rows, columns, indexing="ij")).expand(len(what), -1, -1, -1)
        here = torch.cat([what, place], dim=1)
        return torch.cat([here, torch.relu(self.locate(here))], dim=1).flatten(2).transpose(1, 2).contiguous()

    def forward(self, images: Tensor, y_in: Tensor) -> Tensor:
        """Teacher forcing: logits (N, T, V) of the word behind each of ``y_in`` (N, T), N / B captions per image."""
        return self._decode(y_in, self._start_each(images, y_in))[0]

    def attend(self, images: Tensor, y_in: Tensor) -> Tensor:
        """The weights (N, T, L) with which the grid was seen to say the word behind each of ``y_in``, row by row."""
        return self._decode(y_in, self._start_each(images, y_in))[2]

    def start(self, images: Tensor) -> tuple[State, State]:
        """The state before the first word: what is carried (h, c), and what is looked at."""
        values = self.annotate(images)  # (B, L, 2 size + 2)
        glance = values.sum(dim=1) / values.size(1) ** 0.5
        if not self.looks:
            return tuple(part[0] for part in self.rnn(self.read(glance).unsqueeze(1))[1]), ()
        carried = torch.tanh(self.init_h(glance)), torch.tanh(self.init_c(glance))
        return carried, (values, values.new_ones(values.shape[:2]).bool(), self.attention.keys(values))

    def step(self, tokens: Tensor, state: tuple[State, State]) -> tuple[Tensor, tuple[State, State]]:
        """Log-probabilities (N, V) of what follows ``tokens`` (N,), for :mod:`utils.decoding`."""
        logits, state, _ = self._decode(tokens.unsqueeze(1), state)
        return F.log_softmax(logits.squeeze(1), dim=1), state

    def _start_each(self, images: Tensor, y: Tensor) -> tuple[State, State]:
        """:meth:`start` for every caption: those of an image, one behind the other, share what was seen of it."""
        each = len(y) // len(images)
        return tuple(tuple(part.repeat_interleave(each, dim=0) for part in parts) for parts in self.start(images))

    def _decode(self, y: Tensor, state: tuple[State, State]) -> tuple[Tensor, tuple[State, State], Tensor | None]:
        (h, c), memory = state  # (N, n) both
        words, a = self.embedding(y), None  # (B, T, e)
        hs, (h, c) = self.rnn(words, (h.unsqueeze(0).contiguous(), c.unsqueeze(0).contiguous()))  # (B, T, n)
        mixed = words + self.L_h(hs)
        if self.looks:
            z, a = self.attention(hs, *memory)  # (B, T, 2 size + 2), (B, T, L)
            sure = F.dropout(torch.ones_like(z[:, :, :1]), self.blinkers, self.training)  # (B, T, 1)
            mixed = mixed + self.L_z(torch.cat([z[:, :, : self.own], sure * z[:, :, self.own :]], dim=2))
        return self.out(torch.tanh(mixed)), ((h[0], c[0]), memory), a
