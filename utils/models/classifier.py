"""Sequence classifiers: the source article's model as printed, and its length-aware successor."""

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence

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
        out = self.fc(out[:, -1, :])  # (batch, output)
        return out


def recurrent_layer(cell: str, input_size: int, hidden_size: int, **kwargs) -> nn.RNNBase:
    """``nn.RNN``, ``nn.GRU`` or ``nn.LSTM`` by name, batch first."""
    if cell not in CELLS:
        raise ValueError(f"unknown cell {cell!r}; choose one of {', '.join(CELLS)}")
    return CELLS[cell](input_size, hidden_size, batch_first=True, **kwargs)


class SequenceClassifier(nn.Module):
    """Reads a sequence to its true end and scores it: vectors or tokens, any cell, padded or not.

    Args:
        input_size: features per step; with ``vocab_size``, the width of the embedding.
        hidden_size, output_size: units of the recurrent layer, number of scores.
        cell: ``"rnn"``, ``"gru"`` or ``"lstm"``.
        num_layers, bidirectional, dropout: as in ``torch.nn.RNN``; dropout also before the output.
        vocab_size: if given, the input is token numbers, embedded first.
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
    ):
        super().__init__()
        self.embedding = nn.Embedding(vocab_size, input_size) if vocab_size is not None else None
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
            x: (batch, time, input_size), or token numbers (batch, time) with ``vocab_size``.
            lengths: (batch,) true lengths of padded sequences, in any order; ``None`` if all are full.

        Returns:
            (batch, output_size) scores. They do not depend on the padding.
        """
        wanted = 3 if self.embedding is None else 2
        if x.dim() != wanted or x.size(1) == 0:
            shape = "(batch, time, features)" if wanted == 3 else "(batch, time) token numbers"
            raise ValueError(f"expected {shape} with at least one step, found shape {tuple(x.shape)}")
        steps = x if self.embedding is None else self.embedding(x)  # (batch, time, input)
        if lengths is not None:
            lengths = lengths.cpu()
            if lengths.shape != x.shape[:1] or not ((lengths >= 1) & (lengths <= x.size(1))).all():
                raise ValueError(f"expected {x.size(0)} lengths from 1 to {x.size(1)}, found {lengths.tolist()}")
            steps = pack_padded_sequence(steps, lengths, batch_first=True, enforce_sorted=False)
        _, state = self.rnn(steps)
        h_n = state[0] if isinstance(state, tuple) else state  # (layers * directions, batch, hidden)
        last = torch.cat([h_n[-2], h_n[-1]], dim=1) if self.rnn.bidirectional else h_n[-1]
        return self.out(self.dropout(last))  # (batch, output)
