"""Checks of notebook 4.1: nn.RNN, nn.LSTM, nn.GRU."""

import itertools

import torch
from torch import Tensor, nn

from utils.exercises import Wrong, exercise, expect_callable, expect_tensor, matches

KINDS = {"rnn": nn.RNN, "gru": nn.GRU, "lstm": nn.LSTM}


def _random(seed: int, *shapes: tuple[int, ...]) -> list[Tensor]:
    """Normal float64 tensors, the same for the same ``seed``."""
    g = torch.Generator().manual_seed(seed)
    return [torch.randn(shape, generator=g, dtype=torch.float64) for shape in shapes]


def _module(kind: str, seed: int, d: int, n: int, **arguments) -> nn.RNNBase:
    module = KINDS[kind](d, n, dtype=torch.float64, **arguments)
    with torch.no_grad():
        for p, values in zip(module.parameters(), _random(seed, *[p.shape for p in module.parameters()]), strict=True):
            p.copy_(values)
    return module


def _hint_on_shapes(found: tuple, expected: tuple, B: int, n: int, proj: int) -> str:
    """What the usual wrong shapes mean."""
    if len(found) != len(expected):
        return "An LSTM has three tensors (output, h_n, c_n), the others two; count yours."
    if found[0] != expected[0]:
        return "The output comes first: where do batch and time stand, and how wide is one step of all directions?"
    if len(found[1]) == 3 and found[1][0] == B and expected[1][0] != B:
        return "Does batch_first also turn the states round? Run a module and look."
    if found[1][:2] != expected[1][:2]:
        return "A state has one entry for every layer *and* every direction, then the batch."
    if len(expected) == 3 and proj and found[2][-1] == proj != n:
        return "A projection narrows h, not c."
    return "The states are not right yet: how many numbers does one direction of one layer hand on?"


@exercise("4.1.1")
def check_shapes(answer) -> None:
    """Shapes of output, h_n and c_n."""
    expect_callable(answer, 8)
    cases = list(itertools.product(KINDS, [1, 3], [False, True], [False, True], [0, 2]))
    for kind, layers, both, first, proj in cases:
        if proj and kind != "lstm":
            continue
        B, T, n = 5, 7, 4
        more = {"proj_size": proj} if proj else {}
        module = _module(kind, 0, 6, n, num_layers=layers, bidirectional=both, batch_first=first, **more)
        out, state = module(torch.zeros((B, T, 6) if first else (T, B, 6), dtype=torch.float64))
        tensors = (out, *state) if kind == "lstm" else (out, state)
        expected = tuple(tuple(t.shape) for t in tensors)
        found = answer(kind, B, T, n, layers, both, first, proj)
        case = f"{kind}, {layers} layer(s), bidirectional={both}, batch_first={first}, proj_size={proj}"
        try:
            found = tuple(tuple(int(size) for size in shape) for shape in found)
        except (TypeError, ValueError):
            raise Wrong(f"{case}: return a tuple of shapes, each a tuple of whole numbers.") from None
        if found != expected:
            raise Wrong(f"{case}: {_hint_on_shapes(found, expected, B, n, proj)}")


@exercise("4.1.2")
def check_final_state(answer) -> None:
    """The last layer's final state of every direction, side by side."""
    expect_callable(answer, 2)
    for seed, (kind, layers, both) in enumerate(itertools.product(KINDS, [1, 2, 3], [False, True])):
        module = _module(kind, seed, 3, 4, num_layers=layers, bidirectional=both, batch_first=True)
        out, state = module(_random(100 + seed, (5, 6, 3))[0])
        h_n = state[0] if kind == "lstm" else state
        expected = torch.cat([h_n[-2], h_n[-1]], dim=1) if both else h_n[-1]
        case = f"{kind}, {layers} layer(s), {1 + both} direction(s)"
        found = answer(module, tuple(s.clone() for s in state) if kind == "lstm" else state.clone())
        if kind == "lstm":
            c_n = state[1]
            if matches(found, torch.cat([c_n[-2], c_n[-1]], dim=1) if both else c_n[-1]):
                raise Wrong(f"{case}: this is the cell c_n; the state that is shown to the outside is h_n.")
        if both and matches(found, out[:, -1]):
            raise Wrong(f"{case}: at the last step the backward direction has read one step only.")
        if both and matches(found, h_n[-1]):
            raise Wrong(f"{case}: this is the backward direction alone.")
        if both and matches(found, torch.cat([h_n[-1], h_n[-2]], dim=1)):
            raise Wrong(f"{case}: forward comes first, then backward.")
        if layers > 1 and matches(found, torch.cat([h_n[0], h_n[1]], dim=1) if both else h_n[0]):
            raise Wrong(f"{case}: this is the lowest layer; the last layer stands at the end of h_n.")
        expect_tensor(found, expected, case)


def _padded(seed: int, B: int, T: int, n: int) -> tuple[Tensor, Tensor]:
    """Outputs (B, T, n) whose padding holds large numbers, and lengths (B,)."""
    (out,) = _random(seed, (B, T, n))
    lengths = torch.randint(1, T, (B,), generator=torch.Generator().manual_seed(seed))
    lengths[0], lengths[-1] = 1, T
    pads = torch.arange(T) >= lengths[:, None]  # (B, T)
    return out + 50.0 * pads[..., None], lengths


@exercise("4.1.3")
def check_last_true_step(answer) -> None:
    """out[b, lengths[b] - 1] for every row."""
    expect_callable(answer, 2)
    for seed, (B, T, n) in enumerate([(4, 6, 3), (2, 5, 1), (7, 4, 4), (5, 9, 2)]):
        out, lengths = _padded(seed, B, T, n)
        rows, case = torch.arange(B), f"{B} sequences of lengths {lengths.tolist()}"
        found = answer(out.clone(), lengths.clone())
        if matches(found, out[:, -1]):
            raise Wrong(f"{case}: this is the last step of the batch; for a short sequence it is padding.")
        if matches(found, out[rows, lengths.clamp(max=T - 1)]):
            raise Wrong(f"{case}: one step too late; the first step has number 0.")
        if matches(found, out[rows, lengths - 2]):
            raise Wrong(f"{case}: one step too early.")
        if isinstance(found, Tensor) and found.shape == (B, B, n):
            raise Wrong(f"{case}: `out[:, lengths - 1]` takes all those steps from every row; each row needs its own.")
        if isinstance(found, Tensor) and found.shape == (B, 1, n):
            raise Wrong(f"{case}: the time axis of length 1 is still there.")
        expect_tensor(found, out[rows, lengths - 1], case)


@exercise("4.1.4")
def check_max_over_time(answer) -> None:
    """The largest value of each unit over the true steps."""
    expect_callable(answer, 2)
    for seed, (B, T, n) in enumerate([(4, 6, 3), (2, 5, 1), (7, 4, 4), (5, 9, 2)]):
        out, lengths = _padded(10 + seed, B, T, n)
        if seed % 2:
            out = out - 60.0  # pads at -10 below everything, true values far below zero
        pads = (torch.arange(T) >= lengths[:, None])[..., None]  # (B, T, 1)
        expected, case = out.masked_fill(pads, -torch.inf).amax(dim=1), f"lengths {lengths.tolist()}"
        given = out.clone()
        found = answer(given, lengths.clone())
        if not torch.equal(given, out):
            raise Wrong("Your function changed the outputs it was given; `masked_fill` makes a new tensor.")
        if matches(found, out.amax(dim=1)):
            raise Wrong(f"{case}: the padding takes part in the maximum.")
        if matches(found, out.masked_fill(pads, 0.0).amax(dim=1)):
            raise Wrong(f"{case}: with zeros in the padding, zero wins where all true values are negative.")
        if isinstance(found, tuple):
            raise Wrong(f"{case}: `max(dim=…)` returns values and places; only the values are asked for.")
        if isinstance(found, Tensor) and found.isnan().any():
            raise Wrong(f"{case}: there is a NaN; infinity times zero is one.")
        expect_tensor(found, expected, case)


@exercise("4.1.5")
def check_split_directions(answer) -> None:
    """Two one-way modules out of one that reads both ways."""
    expect_callable(answer, 1)
    for seed, kind in enumerate([*KINDS, "gru", "lstm"]):
        module = _module(kind, 50 + seed, 3, 4, bidirectional=True, batch_first=True)
        (x,) = _random(60 + seed, (2, 5, 3))
        before = {k: v.clone() for k, v in module.state_dict().items()}
        pair = answer(module)
        if not isinstance(pair, tuple | list) or len(pair) != 2 or not all(type(m) is KINDS[kind] for m in pair):
            raise Wrong(f"{kind}: return two modules of the same kind as the one given.")
        if any(m.bidirectional or not m.batch_first for m in pair):
            raise Wrong(f"{kind}: the two should read one way, and take the batch first as the given one does.")
        if any(p.dtype != torch.float64 for m in pair for p in m.parameters()):
            raise Wrong(f"{kind}: the weights have changed their dtype.")
        out = module(x)[0]
        forward, backward = (m(given)[0] for m, given in zip(pair, (x, x.flip(1)), strict=True))
        if matches(pair[1](x)[0], out[..., :4]) and not matches(forward, out[..., :4]):
            raise Wrong(f"{kind}: the directions are exchanged; the names of the backward one end in _reverse.")
        expect_tensor(forward, out[..., :4], f"{kind}, the forward module on x")
        expect_tensor(backward.flip(1), out[..., 4:], f"{kind}, the backward module on x turned round")
        if any(not torch.equal(v, before[k]) for k, v in module.state_dict().items()):
            raise Wrong(f"{kind}: the module given was changed.")
