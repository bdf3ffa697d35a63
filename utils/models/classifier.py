"""Sequence classifiers: the source article's model as printed, and its length-aware successor."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

CELLS = {"rnn": nn.RNN, "gru": nn.GRU, "lstm": nn.LSTM}


class RNNModel(nn.Module):
    """The classifier of the article this book grows out of, kept as it was printed.

    It has three flaws, which chapter 4.1 shows and mends: ``h0`` is always float32 on the CPU, the
    last step of a padded batch is padding, and there is no way to pass lengths. Use
    :class:`SequenceClassifier` instead.
    """

    def __init__(self, input_size: int, hidden_size: int, output_size: int):
        super().__init__()
        self.hidden_size = hidden_size
        self.rnn = nn.RNN(input_size, hidden_size, batch_first=True)
        self.fc = nn.Linear(hidden_size, output_size)

    def forward(self, x: Tensor) -> Tensor:
        """Scores (batch, output_size) of sequences (batch, time, input_size)."""
        h0 = torch.zeros(1, x.size(0), self.hidden_size)  # (1, batch, hidden)
        out, hn = self.rnn(x, h0)  # (batch, time, hidden), (1, batch, hidden)
        return self.fc(out[:, -1, :])  # (batch, output)


def recurrent_layer(cell: str, input_size: int, hidden_size: int, **kwargs) -> nn.RNNBase:
    """``nn.RNN``, ``nn.GRU`` or ``nn.LSTM`` by name, batch first."""
    if cell not in CELLS:
        raise ValueError(f"unknown cell {cell!r}; choose one of {', '.join(CELLS)}")
    return CELLS[cell](input_size, hidden_size, batch_first=True, **kwargs)


def run_padded(
    rnn: nn.RNNBase, steps: Tensor, lengths: Tensor | None = None, state: Any = None, value: float = 0.0
) -> tuple[Tensor, Any]:
    """``rnn(steps, state)`` of padded steps (B, T, …): ``value`` behind each end, and the last state of true steps."""
    if lengths is None or bool((lengths == steps.size(1)).all()):  # a plain batch is read two to three times faster
        return rnn(steps, state)
    packed = pack_padded_sequence(steps, lengths.cpu(), batch_first=True, enforce_sorted=False)
    out, state = rnn(packed, state)
    out, _ = pad_packed_sequence(out, batch_first=True, padding_value=value, total_length=steps.size(1))  # (B, T, d)
    return out, state


class SequenceClassifier(nn.Module):
    """Reads a sequence to its true end and scores it: vectors or tokens, any cell, padded or not.

    Args:
        input_size: features per step; with ``vocab_size``, the width of the embedding.
        hidden_size, output_size: units of the recurrent layer, number of scores.
        cell: ``"rnn"``, ``"gru"`` or ``"lstm"``.
        num_layers, bidirectional, dropout: as in ``torch.nn.RNN``; dropout also before the output.
        vocab_size: if given, the input is token numbers, embedded first.
        tokens: token numbers per step; the embeddings of one step are added up.
        pooling: what the scores are made from: ``"last"``, the final state of each direction, or ``"max"``,
            the largest value of each unit over the true steps.
        input_dropout: dropout on the embedded or given steps.
        token_dropout: share of token numbers replaced by 1 (unknown) while training.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        output_size: int,
        *,
        cell: str = "gru",
        num_layers: int = 1,
        bidirectional: bool = False,
        dropout: float = 0.0,
        vocab_size: int | None = None,
        tokens: int = 1,
        pooling: str = "last",
        input_dropout: float = 0.0,
        token_dropout: float = 0.0,
    ):
        super().__init__()
        if pooling not in ("last", "max"):
            raise ValueError(f"unknown pooling {pooling!r}; choose last or max")
        self.embedding = nn.Embedding(vocab_size, input_size) if vocab_size is not None else None
        self.tokens, self.pooling, self.token_dropout = tokens, pooling, token_dropout
        self.input_dropout = nn.Dropout(input_dropout)
        self.rnn = recurrent_layer(
            cell,
            input_size,
            hidden_size,
            num_layers=num_layers,
            bidirectional=bidirectional,
            dropout=dropout if num_layers > 1 else 0.0,
        )
        self.dropout = nn.Dropout(dropout)
        self.out = nn.Linear(hidden_size * (2 if bidirectional else 1), output_size)

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Score sequences.

        Args:
            x: (batch, time, input_size), or token numbers (batch, time) with ``vocab_size``, (batch, time, tokens)
                if there are several per step.
            lengths: (batch,) true lengths of padded sequences, in any order; ``None`` if all are full.

        Returns:
            (batch, output_size) scores. They do not depend on the padding.
        """
        self._check(x, lengths)
        steps = self.input_dropout(x if self.embedding is None else self._embed(x))  # (batch, time, input)
        out, state = run_padded(self.rnn, steps, lengths, value=float("-inf"))  # no pad is the largest
        if self.pooling == "max":
            return self.out(self.dropout(out.amax(dim=1)))  # (batch, output)
        h_n = state[0] if isinstance(state, tuple) else state  # (layers * directions, batch, hidden)
        last = torch.cat([h_n[-2], h_n[-1]], dim=1) if self.rnn.bidirectional else h_n[-1]
        return self.out(self.dropout(last))  # (batch, output)

    def _check(self, x: Tensor, lengths: Tensor | None) -> None:
        several = self.embedding is not None and self.tokens > 1
        wanted = 3 if self.embedding is None or several else 2
        if x.dim() != wanted or x.size(1) == 0 or (several and x.size(2) != self.tokens):
            shape = "(batch, time) token numbers" if wanted == 2 else "(batch, time, features)"
            shape = f"(batch, time, {self.tokens}) token numbers" if several else shape
            raise ValueError(f"expected {shape} with at least one step, found shape {tuple(x.shape)}")
        if lengths is not None and (
            lengths.shape != x.shape[:1] or not ((lengths >= 1) & (lengths <= x.size(1))).all()
        ):
            raise ValueError(f"expected {x.size(0)} lengths from 1 to {x.size(1)}, found {lengths.tolist()}")

    def _embed(self, x: Tensor) -> Tensor:
        if self.training and self.token_dropout > 0:
            x = torch.where(torch.rand(x.shape, device=x.device) < self.token_dropout, 1, x)
        steps = self.embedding(x)
        return steps.sum(dim=2) if self.tokens > 1 else steps  # (batch, time, input)
