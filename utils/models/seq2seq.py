"""Encoder and decoder, with a fixed vector between them or with attention (chapters 5.2, 5.3 and 7.1)."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from utils.models.classifier import recurrent_layer, run_padded

State = tuple[Tensor, ...]  # what the decoder carries: (h,) or (h, c), each (B, n)


class Encoder(nn.Module):
    """Reads a padded batch of token numbers: a vector per token, and the state a decoder of ``state_size`` starts from.

    Args:
        vocab_size, embedding, hidden: tokens, width of their vectors, units per direction.
        state_size: units of the decoder; where they are not those of the encoder, a layer tanh(W s) maps the last
            state (Bahdanau, Cho & Bengio 2015, A.2.2, from both directions here).
        cell: ``"rnn"``, ``"gru"`` or ``"lstm"``.
    """

    def __init__(
        self,
        vocab_size: int,
        embedding: int,
        hidden: int,
        *,
        state_size: int | None = None,
        cell: str = "lstm",
        bidirectional: bool = True,
        dropout: float = 0.0,
    ):
        super().__init__()
        self.size = hidden * (2 if bidirectional else 1)
        self.embedding, self.dropout = nn.Embedding(vocab_size, embedding), nn.Dropout(dropout)
        self.rnn = recurrent_layer(cell, embedding, hidden, bidirectional=bidirectional)
        states, to = 2 if cell == "lstm" else 1, hidden if state_size is None else state_size
        self.bridge = nn.ModuleList(nn.Linear(self.size, to) for _ in range(states) if to != self.size)

    def forward(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor, State]:
        """Read (B, S) tokens of true ``lengths`` (B,), in any order.

        Returns:
            values (B, S, d), zero in the padding; mask (B, S), true where a token is; the first state of the decoder.
        """
        if x.dim() != 2 or lengths.shape != x.shape[:1] or not ((lengths >= 1) & (lengths <= x.size(1))).all():
            found = f"{tuple(x.shape)} and lengths {lengths.tolist()}"
            raise ValueError(f"expected tokens (B, S) and B lengths from 1 to S, found {found}")
        steps = self.dropout(self.embedding(x))  # (B, S, e)
        values, last = run_padded(self.rnn, steps, lengths)  # (B, S, d)
        last = last if isinstance(last, tuple) else (last,)  # each (directions, B, n)
        state = tuple(torch.cat([*s], dim=1) for s in last)  # each (B, d)
        if self.bridge:
            state = tuple(torch.tanh(W(s)) for W, s in zip(self.bridge, state, strict=True))
        return values, torch.arange(x.size(1), device=x.device) < lengths.to(x.device).unsqueeze(1), state


class Attention(nn.Module):
    """Weights over the encoder's values, and their weighted mean; a subclass says how a query and a key score."""

    def keys(self, values: Tensor) -> Tensor:
        """What the queries are compared with (B, S, ·): computed once, used at every step of the decoder."""
        raise NotImplementedError

    def score(self, query: Tensor, keys: Tensor) -> Tensor:
        """(B, T, S) scores of queries (B, T, n)."""
        raise NotImplementedError

    def forward(self, query: Tensor, values: Tensor, mask: Tensor, keys: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Context (B, T, d) and weights (B, T, S) for queries (B, T, n); a masked position weighs exactly zero."""
        scores = self.score(query, self.keys(values) if keys is None else keys)  # (B, T, S)
        weights = scores.masked_fill(~mask.unsqueeze(1), float("-inf")).softmax(dim=2)  # (B, T, S)
        return weights @ values, weights


class AdditiveAttention(Attention):
    """v · tanh(W q + U k): Bahdanau, Cho & Bengio (2015), *Jointly learning to align and translate*, A.1.2."""

    def __init__(self, query_size: int, value_size: int, units: int):
        super().__init__()
        self.W, self.U = nn.Linear(query_size, units, bias=False), nn.Linear(value_size, units)
        self.v = nn.Linear(units, 1, bias=False)

    def keys(self, values: Tensor) -> Tensor:
        """U k, (B, S, units)."""
        return self.U(values)

    def score(self, query: Tensor, keys: Tensor) -> Tensor:
        """See the class."""
        return self.v(torch.tanh(self.W(query).unsqueeze(2) + keys.unsqueeze(1))).squeeze(3)  # (B, T, S)


class MultiplicativeAttention(Attention):
    """q · W k: Luong, Pham & Manning (2015), *Effective approaches*, equation 8, "general"."""

    def __init__(self, query_size: int, value_size: int):
        super().__init__()
        self.W = nn.Linear(value_size, query_size, bias=False)

    def keys(self, values: Tensor) -> Tensor:
        """W k, (B, S, n)."""
        return self.W(values)

    def score(self, query: Tensor, keys: Tensor) -> Tensor:
        """See the class."""
        return query @ keys.transpose(1, 2)  # (B, T, S)


class Seq2Seq(nn.Module):
    """Encoder–decoder over token numbers.

    Args:
        source_size, target_size: sizes of the two vocabularies.
        embedding, hidden: width of the token vectors; units of the decoder, and of the encoder in all.
        cell: ``"rnn"``, ``"gru"`` or ``"lstm"``.
        attention: ``None``: all that the decoder knows is its first state (Sutskever, Vinyals & Le 2014);
            ``"additive"``: the state before a step asks, and the context enters the cell (Bahdanau 2015);
            ``"multiplicative"``: the state after a step asks (Luong 2015, without input feeding), so that in training
            the whole target goes through the recurrent layer in one call.
        bidirectional: whether the encoder reads both ways, with half the units each.
        dropout: on the token vectors and before the output layer.
        tie_weights: the output layer scores by the token vectors themselves, to which the mixture of state and context
            is then narrowed (Press & Wolf 2017).
    """

    def __init__(
        self,
        source_size: int,
        target_size: int,
        *,
        embedding: int = 64,
        hidden: int = 128,
        cell: str = "lstm",
        attention: str | None = "multiplicative",
        bidirectional: bool = True,
        dropout: float = 0.0,
        tie_weights: bool = False,
    ):
        super().__init__()
        if attention not in (None, "additive", "multiplicative"):
            raise ValueError(f"unknown attention {attention!r}; choose None, 'additive' or 'multiplicative'")
        if bidirectional and hidden % 2:
            raise ValueError(f"hidden = {hidden} cannot be shared between two directions; choose an even number")
        reading = {"cell": cell, "bidirectional": bidirectional, "dropout": dropout, "state_size": hidden}
        self.encoder = Encoder(source_size, embedding, hidden // (2 if bidirectional else 1), **reading)
        self.embedding, self.dropout = nn.Embedding(target_size, embedding), nn.Dropout(dropout)
        size, self.feeds = self.encoder.size, attention == "additive"
        self.attention, self.combine, width = None, None, embedding if tie_weights else hidden
        if attention is not None:
            kinds = {"additive": (AdditiveAttention, hidden), "multiplicative": (MultiplicativeAttention,)}
            self.attention = kinds[attention][0](hidden, size, *kinds[attention][1:])
        if attention is not None or width != hidden:
            self.combine = nn.Linear(hidden + (0 if attention is None else size), width, bias=False)
        self.rnn = recurrent_layer(cell, embedding + (size if self.feeds else 0), hidden)
        self.out = nn.Linear(width, target_size)
        if tie_weights:
            nn.init.normal_(self.embedding.weight, std=embedding**-0.5)  # those of an embedding alone are too large
            self.out.weight = self.embedding.weight

    def forward(self, x: Tensor, lengths: Tensor, y_in: Tensor) -> Tensor:
        """Teacher forcing: logits (B, T, V) of the token that follows each token of ``y_in`` (B, T)."""
        return self._decode(y_in, self.start(x, lengths))[0]

    def attend(self, x: Tensor, lengths: Tensor, y_in: Tensor) -> Tensor:
        """The attention weights (B, T, S) under teacher forcing."""
        if self.attention is None:
            raise ValueError("this model has no attention to look at")
        return self._decode(y_in, self.start(x, lengths))[2]

    def start(self, x: Tensor, lengths: Tensor) -> tuple[State, State]:
        """The state before the first token: what the decoder carries, and what it looks at (values, mask, keys)."""
        values, mask, state = self.encoder(x, lengths)
        return state, () if self.attention is None else (values, mask, self.attention.keys(values))

    def step(self, tokens: Tensor, state: tuple[State, State]) -> tuple[Tensor, tuple[State, State]]:
        """Log-probabilities (N, V) of what follows ``tokens`` (N,), for :mod:`utils.decoding`."""
        logits, state, _ = self._decode(tokens.unsqueeze(1), state)
        return F.log_softmax(logits.squeeze(1), dim=1), state

    def _decode(self, y: Tensor, state: tuple[State, State]) -> tuple[Tensor, tuple[State, State], Tensor | None]:
        carried, memory = state
        steps, weights = self.dropout(self.embedding(y)), None  # (B, T, e)
        if self.feeds:
            parts = []
            for e_t in steps.split(1, dim=1):  # (B, 1, e)
                c_t, a_t = self.attention(carried[0].unsqueeze(1), *memory)  # (B, 1, d), (B, 1, S)
                s_t, carried = self._run(torch.cat([e_t, c_t], dim=2), carried)  # (B, 1, n)
                parts.append((s_t, c_t, a_t))
            s, c, weights = (torch.cat(part, dim=1) for part in zip(*parts, strict=True))
        else:
            s, carried = self._run(steps, carried)  # (B, T, n)
            if self.attention is not None:
                c, weights = self.attention(s, *memory)  # (B, T, d), (B, T, S)
        if self.combine is not None:
            s = torch.tanh(self.combine(s if self.attention is None else torch.cat([s, c], dim=2)))  # (B, T, n), or e
        return self.out(self.dropout(s)), (carried, memory), weights

    def _run(self, steps: Tensor, carried: State) -> tuple[Tensor, State]:
        first = tuple(s.unsqueeze(0).contiguous() for s in carried)  # each (1, B, n)
        out, last = self.rnn(steps, first if len(first) > 1 else first[0])
        return out, tuple(s.squeeze(0) for s in (last if isinstance(last, tuple) else (last,)))
