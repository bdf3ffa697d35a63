"""The pointer-generator: an encoder–decoder that can also copy words of its source (chapter 5.2)."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from utils.models.seq2seq import Seq2Seq

UNKNOWN = 1  # the number of <unk> in every vocabulary


class PointerGenerator(Seq2Seq):
    """Seq2Seq with Luong's attention, that writes a word of its vocabulary or copies one of the source.

    See, Liu & Manning (2017), *Get to the point*, sections 2.2 and 2.3, with two differences: source, target and output
    layer share one table of word vectors, and coverage has a loss, but no part in the attention. Numbers from
    ``vocab_size`` on are words of a source that the vocabulary lacks: the network reads them as ``<unk>``, and can
    copy them, but not generate them.

    Args:
        vocab_size: words of the vocabulary, ``<unk>`` being number 1.
        copy: without it every word is generated; the network is otherwise the same.
        blind: share of the source's words that are read as ``<unk>`` in training, so that copying has to be learnt.
    """

    def __init__(
        self, vocab_size: int, *, embedding: int, hidden: int, dropout: float = 0, copy: bool = True, blind: float = 0
    ):
        super().__init__(vocab_size, 1, embedding=embedding, hidden=hidden, dropout=dropout)
        self.vocab_size, self.copy, self.blind, size = vocab_size, copy, blind, self.encoder.size
        self.embedding = self.encoder.embedding
        nn.init.normal_(self.embedding.weight, std=0.1)  # it is the output layer as well
        self.combine, self.out = nn.Linear(hidden + size, embedding), nn.Linear(embedding, vocab_size)
        self.out.weight = self.embedding.weight
        self.gate = nn.Linear(hidden + size + embedding, 1) if copy else None

    def forward(self, x: Tensor, lengths: Tensor, y_in: Tensor) -> Tensor:
        """Teacher forcing: log-probabilities (B, T, V + n) of the next word, n the unknown words of the batch."""
        return self._log_p(*self._decode(y_in, self.start(x, lengths))[:3], x)

    def log_prob(self, x: Tensor, lengths: Tensor, y_in: Tensor, y_out: Tensor) -> tuple[Tensor, Tensor]:
        """What training needs of :meth:`forward`, without the whole distribution.

        Returns:
            log-probabilities (B, T) of ``y_out``, and the coverage loss (B, T): how much of the attention goes where
            attention has been, the sum over i of min(a_ti, c_ti).
        """
        logits, gate, a, _ = self._decode(y_in, self.start(x, lengths))
        log_p = -F.cross_entropy(logits.flatten(0, 1), self._known(y_out).flatten(), reduction="none").view_as(y_out)
        if self.copy:
            log_p = log_p.masked_fill(y_out >= self.vocab_size, float("-inf")) + F.logsigmoid(gate)
            copied = (a * (x.unsqueeze(1) == y_out.unsqueeze(2))).sum(dim=2)  # (B, T)
            log_p = torch.logaddexp(log_p, _log(copied) + F.logsigmoid(-gate))
        return log_p, torch.minimum(a, a.cumsum(dim=1) - a).sum(dim=2)

    def attend(self, x: Tensor, lengths: Tensor, y_in: Tensor) -> tuple[Tensor, Tensor]:
        """The attention weights (B, T, S) and p_gen (B, T), which is 1 without copying, under teacher forcing."""
        _, gate, a, _ = self._decode(y_in, self.start(x, lengths))
        return a, torch.ones_like(a[:, :, 0]) if gate is None else gate.sigmoid()

    def start(self, x: Tensor, lengths: Tensor) -> tuple:
        """See Seq2Seq; the decoder looks at ``x`` as well."""
        read = self._known(x)
        if self.training and self.blind:
            read = torch.where(torch.rand(x.shape, device=x.device) < self.blind, UNKNOWN, read)
        carried, memory = super().start(read, lengths)
        return carried, (*memory, x)

    def step(self, tokens: Tensor, state: tuple) -> tuple[Tensor, tuple]:
        """Log-probabilities (N, V + n) of what follows ``tokens`` (N,), for :mod:`utils.decoding`."""
        *parts, after = self._decode(tokens.unsqueeze(1), state)
        return self._log_p(*parts, state[1][-1]).squeeze(1), after

    def _known(self, tokens: Tensor) -> Tensor:
        return torch.where(tokens < self.vocab_size, tokens, UNKNOWN)

    def _decode(self, y: Tensor, state: tuple) -> tuple[Tensor, Tensor | None, Tensor, tuple]:
        carried, memory = state
        e = self.dropout(self.embedding(self._known(y)))  # (B, T, e)
        s, carried = self._run(e, carried)  # (B, T, n)
        c, a = self.attention(s, *memory[:3])  # (B, T, d), (B, T, S)
        logits = self.out(self.dropout(torch.tanh(self.combine(torch.cat([s, c], dim=2)))))  # (B, T, V)
        gate = self.gate(torch.cat([s, c, e], dim=2)).squeeze(2) if self.copy else None  # (B, T)
        return logits, gate, a, (carried, memory)

    def _log_p(self, logits: Tensor, gate: Tensor | None, a: Tensor, x: Tensor) -> Tensor:
        """p_gen times the distribution over the vocabulary, and 1 - p_gen times the attention, at its words."""
        if not self.copy:
            return F.log_softmax(logits, dim=2)
        p_gen, more = gate.sigmoid().unsqueeze(2), max(0, int(x.max()) + 1 - self.vocab_size)
        p = F.pad(p_gen * logits.softmax(dim=2), (0, more))  # (B, T, V + n)
        return _log(p.scatter_add(2, x.unsqueeze(1).expand_as(a), (1 - p_gen) * a))


def _log(p: Tensor) -> Tensor:
    return p.clamp_min(torch.finfo(p.dtype).tiny).log()
