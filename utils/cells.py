"""The recurrent cells of part 3, written out: one step of each, and the loop over time, directions and layers.

:class:`RNN`, :class:`LSTM` and :class:`GRU` take the arguments of ``torch.nn``'s modules of the same
names, keep their parameter names and layout, and draw the same first weights from the same seed, so that
``ours.load_state_dict(theirs.state_dict())`` works and both then give the same outputs and gradients. They are
there to be read and changed; ``torch.nn``'s are several times faster.

Letters: B sequences in a batch, T time steps, d inputs, n hidden units, G blocks of n rows in the weights
(1 for the RNN, 4 for the LSTM, 3 for the GRU). The functions of one step also step S networks side by side: a state
(S, B, n), weights (S, Gn, n) and biases (S, 1, Gn).
"""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pad_packed_sequence

State = tuple[Tensor, ...]  # (h,) for RNN and GRU, (h, c) for the LSTM

# ---------------------------------------------------------------- one step


def rnn_step(a_t: Tensor, h: Tensor, W_hh: Tensor, b_hh: Tensor, activation: Callable = torch.tanh) -> Tensor:
    """One step of the simple recurrent network (Elman 1990): h_t = f(a_t + W_hh h_{t-1} + b_hh).

    Args:
        a_t: (…, n) what the input says, W_ih x_t + b_ih.
        h: (…, n) the state before.
        W_hh, b_hh: (n, n) and (n,).

    Returns:
        (…, n) the state after.
    """
    return activation(a_t + h @ W_hh.mT + b_hh)


def lstm_gates(a_t: Tensor, h: Tensor, W_hh: Tensor, b_hh: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Input gate i, forget gate f, candidate g and output gate o, each (…, n), in PyTorch's order of rows."""
    i, f, g, o = (a_t + h @ W_hh.mT + b_hh).chunk(4, dim=-1)  # 4 x (…, n)
    return i.sigmoid(), f.sigmoid(), g.tanh(), o.sigmoid()


def lstm_step(a_t: Tensor, h: Tensor, c: Tensor, W_hh: Tensor, b_hh: Tensor) -> tuple[Tensor, Tensor]:
    """One step of the LSTM (Hochreiter & Schmidhuber 1997; forget gate: Gers, Schmidhuber & Cummins 2000).

    Args:
        a_t: (…, 4n) W_ih x_t + b_ih, rows in the order i, f, g, o.
        h, c: (…, n) hidden state and cell state before.
        W_hh, b_hh: (4n, n) and (4n,).

    Returns:
        (h, c) after, each (…, n): c_t = f * c_{t-1} + i * g and h_t = o * tanh(c_t).
    """
    i, f, g, o = lstm_gates(a_t, h, W_hh, b_hh)
    c = f * c + i * g  # (…, n)
    return o * c.tanh(), c


def gru_gates(
    a_t: Tensor, h: Tensor, W_hh: Tensor, b_hh: Tensor, reset_after: bool = True
) -> tuple[Tensor, Tensor, Tensor]:
    """Reset gate r, update gate z and candidate n, each (…, n), in PyTorch's order of rows.

    ``reset_after`` says where the reset gate acts: on W_hn h + b_hn (PyTorch and cuDNN), or, if false, on h
    before the product (Cho et al. 2014).
    """
    n = h.shape[-1]
    a_rz, a_n = a_t.split((2 * n, n), dim=-1)  # (…, 2n), (…, n)
    (W_rz, W_n), (b_rz, b_n) = W_hh.split((2 * n, n), dim=-2), b_hh.split((2 * n, n), dim=-1)
    r, z = (a_rz + h @ W_rz.mT + b_rz).sigmoid().chunk(2, dim=-1)  # (…, n) each
    recalled = r * (h @ W_n.mT + b_n) if reset_after else (r * h) @ W_n.mT + b_n  # (…, n)
    return r, z, torch.tanh(a_n + recalled)


def gru_step(a_t: Tensor, h: Tensor, W_hh: Tensor, b_hh: Tensor, reset_after: bool = True) -> Tensor:
    """One step of the gated recurrent unit (Cho et al. 2014): h_t = (1 - z) * n_t + z * h_{t-1}.

    Args:
        a_t: (…, 3n) W_ih x_t + b_ih, rows in the order r, z, n.
        h: (…, n) the state before.
        W_hh, b_hh: (3n, n) and (3n,).
        reset_after: see :func:`gru_gates`.

    Returns:
        (…, n) the state after.
    """
    _, z, candidate = gru_gates(a_t, h, W_hh, b_hh, reset_after)
    return (1 - z) * candidate + z * h


# ---------------------------------------------------------------- the loop over time, directions and layers


class Recurrent(nn.Module):
    """Runs a step over time, in one or both directions, in one or more layers; a subclass gives the step.

    Args:
        input_size, hidden_size, num_layers: d, n and the number of layers.
        batch_first: inputs and outputs are (B, T, …) instead of (T, B, …).
        dropout: share of outputs set to zero between layers, in training mode only.
        bidirectional: a second direction reads from the end; outputs stand side by side.
        device, dtype: of the parameters.

    Raises:
        ValueError: a size that is no whole number of at least 1, or a dropout that is no number in [0, 1].
    """

    blocks = 1  # G, blocks of n rows in the weights
    states = 1  # tensors in the state

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        *,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device=None,
        dtype=None,
    ):
        super().__init__()
        sizes_fit = all(type(size) is int and size >= 1 for size in (input_size, hidden_size, num_layers))
        is_number = isinstance(dropout, int | float) and not isinstance(dropout, bool)
        if not (sizes_fit and is_number and 0 <= dropout <= 1):
            raise ValueError(
                f"input_size = {input_size!r}, hidden_size = {hidden_size!r} and num_layers = {num_layers!r} must be "
                f"whole numbers of at least 1, and dropout = {dropout!r} a number in [0, 1]"
            )
        self.input_size, self.hidden_size, self.num_layers = input_size, hidden_size, num_layers
        self.batch_first, self.dropout, self.bidirectional = batch_first, dropout, bidirectional
        self.directions = 2 if bidirectional else 1
        for layer in range(num_layers):
            width = input_size if layer == 0 else hidden_size * self.directions
            for direction in range(self.directions):
                shapes = {"weight_ih": (width,), "weight_hh": (hidden_size,), "bias_ih": (), "bias_hh": ()}
                for name, rest in shapes.items():
                    values = torch.empty(self.blocks * hidden_size, *rest, device=device, dtype=dtype)
                    self.register_parameter(name + self._suffix(layer, direction), nn.Parameter(values))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Every number uniform in ±1/√n, in the order of ``torch.nn``."""
        for p in self.parameters():
            nn.init.uniform_(p, -1 / math.sqrt(self.hidden_size), 1 / math.sqrt(self.hidden_size))

    def step(self, a_t: Tensor, state: State, W_hh: Tensor, b_hh: Tensor) -> State:
        """The state after one step: ``a_t`` is (B, Gn), each tensor of the state (B, n)."""
        raise NotImplementedError

    def forward(self, x: Tensor | PackedSequence, state: Tensor | State | None = None):
        """Read a batch of sequences.

        Args:
            x: (T, B, d), or (B, T, d) with ``batch_first``, or a packed batch of sequences of unequal lengths.
            state: the first state, (layers · directions, B, n); for the LSTM a pair (h_0, c_0) of these.
                Zeros if not given.

        Returns:
            The states of the top layer at every step, (T, B, n · directions) in the layout of ``x``, and the last
            state of every layer and direction, in the layout of ``state``.

        Raises:
            ValueError: a wrong rank, feature size, state or dtype, or no time step; the message says what was expected.
        """
        packed, lengths = x if isinstance(x, PackedSequence) else None, None
        if packed is not None:
            x, lengths = pad_packed_sequence(packed)  # (T, B, d), (B,)
            lengths = lengths.to(x.device)
        elif self.batch_first and x.dim() == 3:
            x = x.transpose(0, 1)  # (T, B, d)
        self._check_input(x)
        first = self._first_state(x, state)
        out, last = x, []
        for layer in range(self.num_layers):
            if layer > 0:
                out = F.dropout(out, self.dropout, self.training)
            outs = []
            for direction in range(self.directions):
                k = layer * self.directions + direction
                states, end = self._run(out, tuple(s[k] for s in first), self._suffix(layer, direction), lengths)
                outs.append(states)
                last.append(end)
            out = torch.cat(outs, dim=-1)  # (T, B, n · directions)
        last = tuple(torch.stack(parts) for parts in zip(*last, strict=True))  # each (layers · directions, B, n)
        if packed is not None:
            out = _pack_like(out, packed)
        elif self.batch_first:
            out = out.transpose(0, 1)  # (B, T, n · directions)
        return out, last if self.states > 1 else last[0]

    def _run(self, x: Tensor, state: State, suffix: str, lengths: Tensor | None) -> tuple[Tensor, State]:
        """The states (T, B, n) of one layer in one direction, and the last; past its end a sequence keeps its state."""
        W_ih, W_hh, b_ih, b_hh = (getattr(self, name + suffix) for name in _NAMES)
        a = x @ W_ih.mT + b_ih  # (T, B, Gn): one product for all steps
        outs: list[Tensor] = [None] * len(x)
        for t in reversed(range(len(x))) if suffix.endswith("_reverse") else range(len(x)):
            new = self.step(a[t], state, W_hh, b_hh)
            if lengths is not None:
                alive = (t < lengths).unsqueeze(1)  # (B, 1)
                new = tuple(torch.where(alive, after, before) for after, before in zip(new, state, strict=True))
            state, outs[t] = new, new[0]
        return torch.stack(outs), state

    def _check_input(self, x: Tensor) -> None:
        if x.dim() != 3 or x.shape[-1] != self.input_size or 0 in x.shape[:2] or not self._fits(x):
            order = "batch, time" if self.batch_first else "time, batch"
            found = tuple(x.transpose(0, 1).shape if self.batch_first and x.dim() == 3 else x.shape)
            raise ValueError(
                f"expected an input of shape ({order}, input_size = {self.input_size}) with at least one time step and "
                f"one sequence, of {self.weight_ih_l0.dtype}, found {found} of {x.dtype}"
            )

    def _first_state(self, x: Tensor, state: Tensor | State | None) -> State:
        shape = (self.num_layers * self.directions, x.shape[1], self.hidden_size)
        if state is None:
            return tuple(x.new_zeros(shape) for _ in range(self.states))
        state = tuple(state) if isinstance(state, tuple | list) else (state,)
        fits = all(isinstance(s, Tensor) and s.shape == shape and self._fits(s) for s in state)
        if len(state) != self.states or not fits:
            parts = "a tensor" if self.states == 1 else f"a tuple of {self.states} tensors"
            found = [f"{tuple(s.shape)} of {s.dtype}" if isinstance(s, Tensor) else type(s).__name__ for s in state]
            raise ValueError(
                f"expected as first state {parts} of shape (layers · directions, batch, hidden_size) = {shape} and of "
                f"{self.weight_ih_l0.dtype}, found {', '.join(found) or 'nothing'}"
            )
        return state

    def _fits(self, x: Tensor) -> bool:
        """Whether ``x`` has the dtype of the weights; autocast may mix dtypes."""
        autocast = torch.amp.is_autocast_available(x.device.type) and torch.is_autocast_enabled(x.device.type)
        return autocast or x.dtype == self.weight_ih_l0.dtype

    @staticmethod
    def _suffix(layer: int, direction: int) -> str:
        return f"_l{layer}" + ("_reverse" if direction else "")


_NAMES = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")


def _pack_like(out: Tensor, packed: PackedSequence) -> PackedSequence:
    """Pack (T, B, …) in the very order of rows of ``packed``: step by step, the longest sequences first."""
    if packed.sorted_indices is not None:
        out = out.index_select(1, packed.sorted_indices)
    data = torch.cat([step[:size] for step, size in zip(out, packed.batch_sizes.tolist(), strict=True)])
    return packed._replace(data=data)


class RNN(Recurrent):
    """``torch.nn.RNN`` written out; ``nonlinearity`` is ``"tanh"`` or ``"relu"``."""

    def __init__(self, *args, nonlinearity: str = "tanh", **kwargs):
        if nonlinearity not in ("tanh", "relu"):
            raise ValueError(f"unknown nonlinearity {nonlinearity!r}; choose tanh or relu")
        super().__init__(*args, **kwargs)
        self.activation = {"tanh": torch.tanh, "relu": torch.relu}[nonlinearity]

    def step(self, a_t: Tensor, state: State, W_hh: Tensor, b_hh: Tensor) -> State:
        """See :func:`rnn_step`."""
        return (rnn_step(a_t, state[0], W_hh, b_hh, self.activation),)


class LSTM(Recurrent):
    """``torch.nn.LSTM`` written out; its state is the pair (h, c)."""

    blocks, states = 4, 2

    def step(self, a_t: Tensor, state: State, W_hh: Tensor, b_hh: Tensor) -> State:
        """See :func:`lstm_step`."""
        return lstm_step(a_t, *state, W_hh, b_hh)


class GRU(Recurrent):
    """``torch.nn.GRU`` written out; ``reset_after=False`` is the cell of the 2014 paper instead."""

    blocks = 3

    def __init__(self, *args, reset_after: bool = True, **kwargs):
        super().__init__(*args, **kwargs)
        self.reset_after = reset_after

    def step(self, a_t: Tensor, state: State, W_hh: Tensor, b_hh: Tensor) -> State:
        """See :func:`gru_step`."""
        return (gru_step(a_t, state[0], W_hh, b_hh, self.reset_after),)
