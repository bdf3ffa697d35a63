"""The checks of notebook 4.5 pass the right answer and nothing else, and their hints name what is wrong."""

import pytest
import torch
from exercise_cases import shared_tests

from utils import exercises


@pytest.fixture(autouse=True)
def only_this_part(monkeypatch):
    """The other parts of the book are tested elsewhere."""
    monkeypatch.setattr(exercises, "PARTS", {"4.5": "practice.speed"})


def variant(function, **arguments):
    """``function`` with some arguments fixed, and no others to be seen."""
    return lambda *given: function(*given, **arguments)


def flops(B, T, d, n, q, times=3, directions=2, blocks=3, each=2, steps=1, reads=2):
    return times * each * B * (directions * T * blocks * n * (d + n) + steps * reads * n * q)


def local_loss(total, count, counts):
    if not sum(counts):
        raise ValueError("nothing counted")
    return total * len(counts) / sum(counts)


def guarded(make):
    """``make(total, count, counts)`` where somebody has counted something."""

    def answer(total, count, counts):
        if not sum(counts):
            raise ValueError("nothing counted")
        return make(total, count, counts)

    return answer


def quantise(W, per_row=True, turn=torch.round, levels=127, size=torch.abs, kind=torch.int8):
    largest = size(W).amax(dim=1) if per_row else size(W).amax()
    s = largest.clamp(min=1e-30) / levels
    return turn(W / (s[:, None] if per_row else s)).to(kind), s


def by_loop(W):
    rows, scales = [], []
    for row in W:
        s = max(float(row.abs().max()) / 127, 1e-30)
        rows.append([round(float(w) / s) for w in row])
        scales.append(s)
    return torch.tensor(rows, dtype=torch.int8), torch.tensor(scales, dtype=W.dtype)


def quantise_in_place(W):
    q, s = quantise(W)
    W.div_(2)
    return q, s


def in_pieces(rnn, x, k, carry=True, whole=True, graph=False):
    state, out = None, []
    with torch.set_grad_enabled(graph):
        for piece in x.split(k):
            if whole or len(piece) == k:
                y, state = rnn(piece, state if carry else None)
                out.append(y)
    return torch.cat(out), state


@torch.inference_mode()
def in_steps(rnn, x, k):
    state, out = None, []
    for x_t in x:
        y, state = rnn(x_t[None], state)
        out.append(y[0])
    return torch.stack(out), state


def least_time(B, n, peak, bandwidth, bytes_per_number=4, blocks=4, each=2, states=True, join=max):
    numbers = blocks * n * n + (B * n + blocks * B * n) * states
    return join(each * blocks * B * n * n / peak, bytes_per_number * numbers / bandwidth)


RIGHT = {
    "4.5.1": [flops, lambda *sizes: float(flops(*sizes))],
    "4.5.2": [local_loss, guarded(lambda total, count, counts: total / (torch.tensor(counts).double().mean()))],
    "4.5.3": [quantise, by_loop, lambda W: list(quantise(W))],
    "4.5.4": [in_pieces, in_steps],
    "4.5.5": [least_time, lambda *given: torch.tensor(least_time(*given), dtype=torch.float64)],
}
WRONG = [
    ("4.5.1", variant(flops, each=1), "are two flops"),
    ("4.5.1", variant(flops, times=1), "forward pass alone"),
    ("4.5.1", variant(flops, times=2), "two in the backward pass"),
    ("4.5.1", variant(flops, directions=1), "two directions"),
    ("4.5.1", variant(flops, reads=1), "both directions"),
    ("4.5.1", lambda B, T, d, n, q: flops(B, T, d, n, q, steps=T), "once per sequence"),
    ("4.5.1", variant(flops, blocks=4), "four has the LSTM"),
    ("4.5.1", variant(flops, blocks=1), "products of its own"),
    ("4.5.1", variant(flops, steps=0), "linear layer is missing"),
    ("4.5.1", lambda *_: 7, "is not it"),
    ("4.5.2", guarded(lambda total, count, counts: total / max(count, 1)), "mean of means"),
    ("4.5.2", guarded(lambda total, count, counts: total / torch.tensor(float(count))), "counts=[4, 1]"),
    ("4.5.2", guarded(lambda total, count, counts: total / sum(counts)), "comes out too small"),
    ("4.5.2", guarded(lambda total, count, counts: total), "not their mean"),
    ("4.5.2", guarded(lambda total, count, counts: total.item()), "still has its graph"),
    ("4.5.2", guarded(lambda total, count, counts: 3 * local_loss(total, count, counts)), "3 times"),
    ("4.5.2", lambda total, count, counts: total * len(counts) / max(sum(counts), 1), "raise a ValueError"),
    ("4.5.2", lambda total, count, counts: total * (len(counts) / sum(counts)), "say with a ValueError"),
    ("4.5.3", variant(quantise, per_row=False), "One scale per row"),
    ("4.5.3", variant(quantise, turn=torch.trunc), "Cut off"),
    ("4.5.3", variant(quantise, turn=torch.floor), "Cut off"),
    ("4.5.3", variant(quantise, levels=64), "should become 127"),
    ("4.5.3", variant(quantise, levels=128), "other sign"),
    ("4.5.3", variant(quantise, levels=255), "other sign"),
    ("4.5.3", variant(quantise, size=lambda W: W), "a random matrix"),
    ("4.5.3", variant(quantise, kind=torch.int32), "torch.int8"),
    ("4.5.3", quantise_in_place, "changes W itself"),
    ("4.5.3", lambda W: quantise(W)[0], "the pair"),
    ("4.5.4", variant(in_pieces, carry=False), "carry it on"),
    ("4.5.4", variant(in_pieces, whole=False), "shorter piece"),
    ("4.5.4", variant(in_pieces, graph=True), "a graph hangs on"),
    ("4.5.4", lambda *given: in_pieces(*given)[0], "the pair"),
    ("4.5.4", lambda rnn, x, k: in_pieces(rnn, x, len(x)), "read at once"),
    ("4.5.4", lambda rnn, x, k: (in_pieces(rnn, x, k)[0], in_pieces(rnn, x, k)[1][0]), "last state"),
    ("4.5.4", lambda rnn, x, k: (in_pieces(rnn, x, k)[0], [in_pieces(rnn, x, k)[1]]), "the state should look as"),
    ("4.5.4", lambda rnn, x, k: (in_pieces(rnn, x, k)[0] + 1, in_pieces(rnn, x, k)[1]), "values are not"),
    ("4.5.5", variant(least_time, join=min), "slower of the two"),
    ("4.5.5", variant(least_time, join=lambda a, b: a + b), "at the same time"),
    ("4.5.5", variant(least_time, each=1), "are two flops"),
    ("4.5.5", variant(least_time, states=False), "states are read"),
    ("4.5.5", variant(least_time, blocks=1), "four blocks"),
    ("4.5.5", lambda B, n, p, b, size=4: least_time(B, n, p, b, 1), "is in bytes"),
    ("4.5.5", lambda B, n, p, b, size=4: least_time(B, n, p, b), "how many bytes"),
    ("4.5.5", lambda *_: 1.0, "is not it"),
    ("4.5.5", lambda *_: "soon", "expected a number"),
]


test_right_answers_pass, test_wrong_answers_get_their_hint, test_every_exercise_is_tried = shared_tests(RIGHT, WRONG)
