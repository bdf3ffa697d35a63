"""The checks of notebook 4.1 pass the right answer and nothing else, and their hints name what is wrong."""

import pytest
import torch
from exercise_cases import shared_tests
from torch import nn

from utils import exercises


@pytest.fixture(autouse=True)
def only_this_part(monkeypatch):
    """The other parts of the book are tested elsewhere."""
    monkeypatch.setattr(exercises, "PARTS", {"4.1": "practice.modules"})


def shapes(kind, B, T, n, layers, both, first, proj, turned=False, count=lambda layers, D: layers * D, wide_c=True):
    D, m = 1 + both, proj or n
    out = (B, T, D * m) if first else (T, B, D * m)
    states = (count(layers, D), B, m), (count(layers, D), B, n if wide_c else m)
    if turned and first:
        states = tuple((s[1], s[0], s[2]) for s in states)
    return (out, *states) if kind == "lstm" else (out, states[0])


def variant(function, **arguments):
    """``function`` with some arguments fixed, and no others to be seen."""
    return lambda *given: function(*given, **arguments)


def final_state(rnn, state):
    h_n = state[0] if isinstance(state, tuple) else state
    return torch.cat([h_n[-2], h_n[-1]], dim=1) if rnn.bidirectional else h_n[-1]


def final_by_view(rnn, state):
    h_n = state[0] if isinstance(rnn, nn.LSTM) else state
    D = 1 + rnn.bidirectional
    top = h_n.view(rnn.num_layers, D, -1, rnn.hidden_size)[-1]  # (D, B, n)
    return top.transpose(0, 1).reshape(-1, D * rnn.hidden_size)


def first_of(state):
    return state[0] if isinstance(state, tuple) else state


def pick(rnn, state, places):
    h_n = first_of(state)
    return torch.cat([h_n[i] for i in places], dim=1) if rnn.bidirectional else h_n[-1]


def lowest(rnn, state):
    h_n = first_of(state)
    return torch.cat([h_n[0], h_n[1]], dim=1) if rnn.bidirectional else h_n[0]


def last(out, lengths, shift=1):
    return out[torch.arange(len(out)), (lengths - shift).clamp(max=out.shape[1] - 1)]


def last_by_gather(out, lengths):
    return out.gather(1, (lengths - 1).view(-1, 1, 1).expand(-1, 1, out.shape[2])).squeeze(1)


def last_by_loop(out, lengths):
    return torch.stack([row[length - 1] for row, length in zip(out, lengths, strict=True)])


def largest(out, lengths, fill=-torch.inf):
    pads = torch.arange(out.shape[1]) >= lengths[:, None]
    return out.masked_fill(pads[..., None], fill).amax(dim=1)


def largest_by_loop(out, lengths):
    return torch.stack([row[:length].max(dim=0).values for row, length in zip(out, lengths, strict=True)])


def largest_in_place(out, lengths):
    out[torch.arange(out.shape[1]) >= lengths[:, None]] = -torch.inf
    return out.amax(dim=1)


def largest_by_product(out, lengths):
    true = (torch.arange(out.shape[1]) < lengths[:, None])[..., None].double()
    return (out * true + -torch.inf * (1 - true)).amax(dim=1)


def split(module, swap=False, dtype=torch.float64, weights=("weight", "bias")):
    pair = []
    for ending in ("_reverse", "") if swap else ("", "_reverse"):
        one = type(module)(module.input_size, module.hidden_size, batch_first=True, dtype=dtype)
        with torch.no_grad():
            for name, p in one.named_parameters():
                if name.startswith(weights):
                    p.copy_(getattr(module, name + ending))
        pair.append(one)
    return tuple(pair)


def both_ways(module):
    return module, module


RIGHT = {
    "4.1.1": [shapes, lambda *given: [list(shape) for shape in shapes(*given)]],
    "4.1.2": [final_state, final_by_view],
    "4.1.3": [last, last_by_gather, last_by_loop, lambda out, lengths: last(out, lengths).float()],
    "4.1.4": [largest, largest_by_loop, variant(largest, fill=-1e9)],
    "4.1.5": [split, lambda module: list(split(module))],
}
WRONG = [
    ("4.1.1", variant(shapes, turned=True), "turn the states round"),
    ("4.1.1", variant(shapes, count=lambda layers, D: layers), "every direction"),
    ("4.1.1", variant(shapes, count=lambda layers, D: D), "every layer"),
    ("4.1.1", variant(shapes, wide_c=False), "narrows h, not c"),
    ("4.1.1", lambda *given: shapes(*given)[:2], "three tensors"),
    ("4.1.1", lambda kind, B, T, n, layers, both, first, proj: shapes(kind, T, B, n, layers, both, first, proj), "bat"),
    ("4.1.1", lambda *given: 3, "tuple of shapes"),
    ("4.1.2", lambda rnn, state: pick(rnn, state[::-1] if isinstance(state, tuple) else state, (-2, -1)), "cell c_n"),
    ("4.1.2", lambda rnn, state: first_of(state)[-1], "backward direction alone"),
    ("4.1.2", lambda rnn, state: pick(rnn, state, (-1, -2)), "forward comes first"),
    ("4.1.2", lowest, "lowest layer"),
    ("4.1.2", lambda rnn, state: first_of(state), "expected shape"),
    ("4.1.3", lambda out, lengths: out[:, -1], "padding"),
    ("4.1.3", variant(last, shift=0), "one step too late"),
    ("4.1.3", variant(last, shift=2), "one step too early"),
    ("4.1.3", lambda out, lengths: out[:, lengths - 1], "each row needs its own"),
    ("4.1.3", lambda out, lengths: last_by_gather(out, lengths).unsqueeze(1), "still there"),
    ("4.1.4", lambda out, lengths: out.amax(dim=1), "takes part"),
    ("4.1.4", variant(largest, fill=0.0), "zero wins"),
    ("4.1.4", largest_in_place, "changed the outputs"),
    ("4.1.4", lambda out, lengths: largest(out, lengths).unsqueeze(0).max(dim=0), "places"),
    ("4.1.4", largest_by_product, "NaN"),
    ("4.1.5", variant(split, swap=True), "exchanged"),
    ("4.1.5", variant(split, weights=("weight",)), "values are not"),
    ("4.1.5", lambda module: [split(module)[0]] * 2, "the backward module"),
    ("4.1.5", variant(split, dtype=torch.float32), "dtype"),
    ("4.1.5", both_ways, "one way"),
    ("4.1.5", lambda module: split(module)[0], "two modules"),
]


test_right_answers_pass, test_wrong_answers_get_their_hint, test_every_exercise_is_tried = shared_tests(RIGHT, WRONG)
