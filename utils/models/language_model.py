"""A recurrent language model: what comes next, given everything before (chapter 5.1)."""

from collections.abc import Callable

from torch import Tensor, nn
from torch.nn import functional as F

from utils.models.classifier import recurrent_layer

State = tuple[Tensor, ...]  # (h,), for the LSTM (h, c), each (B, layers, n)


class LanguageModel(nn.Module):
    """Embedding, recurrent layers, and a score for every token that may come next.

    Args:
        vocab_size, embedding, hidden: tokens V, width e of their vectors, units n of a layer.
        cell: ``"rnn"``, ``"gru"`` or ``"lstm"``.
        num_layers: recurrent layers on top of each other.
        dropout: on the token vectors, between the layers and before the output.
        tie_weights: the output layer scores by the token vectors themselves (Press & Wolf 2017; Inan, Khosravi &
            Socher 2017); where n is not e, a linear map comes in between.
    """

    def __init__(
        self,
        vocab_size: int,
        *,
        embedding: int = 64,
        hidden: int = 128,
        cell: str = "lstm",
        num_layers: int = 1,
        dropout: float = 0.0,
        tie_weights: bool = False,
    ):
        super().__init__()
        self.embedding, self.dropout = nn.Embedding(vocab_size, embedding), nn.Dropout(dropout)
        between = dropout if num_layers > 1 else 0.0
        self.rnn = recurrent_layer(cell, embedding, hidden, num_layers=num_layers, dropout=between)
        narrow = tie_weights and hidden != embedding
        self.project = nn.Linear(hidden, embedding, bias=False) if narrow else nn.Identity()
        self.out = nn.Linear(embedding if narrow else hidden, vocab_size)
        if tie_weights:
            nn.init.normal_(self.embedding.weight, std=embedding**-0.5)  # those of an embedding alone are too large
            self.out.weight = self.embedding.weight

    def forward(self, x: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Logits (B, T, V) of what follows each token of ``x`` (B, T), and the state after the last.

        ``state``: what the model carried so far; zeros if not given.
        """
        if x.dim() != 2 or 0 in x.shape:
            raise ValueError(f"expected token numbers of shape (B, T), at least one, found {tuple(x.shape)}")
        if state is not None:
            state = tuple(s.transpose(0, 1).contiguous() for s in state)  # each (layers, B, n)
            state = state if isinstance(self.rnn, nn.LSTM) else state[0]
        h, last = self.rnn(self.dropout(self.embedding(x)), state)  # (B, T, n)
        last = last if isinstance(last, tuple) else (last,)
        return self.out(self.dropout(self.project(h))), tuple(s.transpose(0, 1) for s in last)

    def step(self, tokens: Tensor, state: State | None) -> tuple[Tensor, State]:
        """Log-probabilities (N, V) of what follows ``tokens`` (N,), for :mod:`utils.decoding`."""
        logits, state = self(tokens.unsqueeze(1), state)
        return F.log_softmax(logits.squeeze(1), dim=1), state


def carrying_loss() -> Callable[[nn.Module, tuple], tuple[Tensor, int]]:
    """A loss for :func:`utils.training.fit` that carries the state from batch to batch, without its history.

    A batch is (x, y, first): tokens (B, T), what follows each, and whether the rows begin here; then so does the state.
    """
    carried = [None]

    def loss_fn(model: nn.Module, batch: tuple[Tensor, Tensor, bool]) -> tuple[Tensor, int]:
        x, y, first = batch
        logits, state = model(x, None if first else carried[0])  # (B, T, V)
        carried[0] = tuple(s.detach() for s in state)
        return F.cross_entropy(logits.flatten(0, 1), y.flatten(), reduction="sum"), y.numel()

    return loss_fn
