"""Checks of notebook 4.5: speed and scale."""

import torch
from torch import Tensor, nn

from utils.exercises import Wrong, exercise, expect_callable, expect_number, expect_tensor, matches
from utils.exercises.mathematics.gradients import is_number


@exercise("4.5.1")
def check_training_flops(answer) -> None:
    """Products of a bidirectional GRU with a linear layer on top, three times."""
    expect_callable(answer, 5)
    for B, T, d, n, q in [(2, 5, 3, 4, 6), (1, 1, 1, 1, 1), (32, 50, 64, 128, 15), (7, 20, 300, 8, 2)]:
        case = f"B={B}, T={T}, d={d}, n={n}, q={q}"
        gates, scores = 2 * B * T * 3 * n * (d + n), 2 * B * 2 * n * q  # one direction, the linear layer
        expected = 3 * (2 * gates + scores)
        found = answer(B, T, d, n, q)
        if is_number(found, expected):
            continue
        hints = {
            3 * (2 * gates // 2 + scores // 2): "a multiplication and an addition are two flops.",
            2 * gates + scores: "this is the forward pass alone.",
            2 * (2 * gates + scores): "each product has two in the backward pass, one for either factor.",
            3 * (gates + scores): "there are two directions.",
            3 * (2 * gates + scores // 2): "the linear layer reads the last states of both directions.",
            3 * (2 * gates + T * scores): "the scores are made once per sequence, not at every step.",
            3 * (2 * gates * 4 // 3 + scores): "a GRU has three blocks of rows; four has the LSTM.",
            3 * (2 * gates // 3 + scores): "every gate has products of its own.",
            3 * 2 * gates: "the linear layer is missing.",
        }
        for value, hint in hints.items():
            if is_number(found, value):
                raise Wrong(f"{case}: {hint}")
        expect_number(found, expected, case)


@exercise("4.5.2")
def check_local_loss(answer) -> None:
    """The gradients of the processes, averaged, must be that of the mean over all items."""
    expect_callable(answer, 3)
    for counts in [[4, 1], [3, 3], [5], [2, 0, 7], [0, 1], [1, 2, 3, 4]]:
        case = f"counts={counts}"
        w = torch.tensor(0.7, dtype=torch.float64, requires_grad=True)
        parts = [w**2 * sum(range(1, count + 1)) + 0 * w for count in counts]  # totals with a graph
        losses = [answer(part, count, list(counts)) for part, count in zip(parts, counts, strict=True)]
        for loss in losses:
            if not isinstance(loss, Tensor) or loss.numel() != 1 or not loss.requires_grad:
                raise Wrong(f"{case}: return a scalar tensor that still has its graph (no `.item()`, no `.detach()`).")
        (found,) = torch.autograd.grad(sum(loss.sum() for loss in losses) / len(counts), w, retain_graph=True)
        (expected,) = torch.autograd.grad(sum(parts) / sum(counts), w, retain_graph=True)
        if torch.allclose(found, expected, rtol=1e-9):
            continue
        if not found.isfinite():
            raise Wrong(f"{case}: the loss of one process is not finite; the process with no item must add nothing.")
        if torch.allclose(found * len(counts), expected):
            raise Wrong(f"{case}: the gradients are averaged afterwards, so yours comes out too small.")
        means = [part / count for part, count in zip(parts, counts, strict=True) if count]
        if torch.allclose(found, torch.autograd.grad(sum(means) / len(counts), w, retain_graph=True)[0]):
            raise Wrong(f"{case}: a mean of means: the items of a small share weigh more than the others.")
        if torch.allclose(found, expected * sum(counts)) or torch.allclose(found * len(counts), expected * sum(counts)):
            raise Wrong(f"{case}: a sum over the items, not their mean.")
        raise Wrong(f"{case}: the averaged gradient is {float(found / expected):.3g} times what it should be.")
    nothing = torch.tensor(0.0, requires_grad=True)
    try:
        answer(nothing * 1.0, 0, [0, 0])
    except ValueError:
        return
    except ZeroDivisionError:
        raise Wrong("counts=[0, 0]: say with a ValueError that nobody has counted anything.") from None
    raise Wrong("counts=[0, 0]: there is nothing to take a mean of; raise a ValueError.")


@exercise("4.5.3")
def check_quantise(answer) -> None:
    """Rows as whole numbers from -127 to 127 and a scale."""
    expect_callable(answer, 1)
    g = torch.Generator().manual_seed(0)
    spread = torch.tensor([[1e-3], [1.0], [50.0], [0.0], [2.0]], dtype=torch.float64)
    for name, W in {
        "a random matrix": torch.randn(4, 6, generator=g),
        "rows of very different sizes, one of them zero": torch.randn(5, 7, generator=g, dtype=torch.float64) * spread,
        "negative numbers only": -torch.rand(3, 5, generator=g) - 0.5,
        "one row": torch.tensor([[0.25, -1.0, 0.5]]),
    }.items():
        before = W.clone()
        result = answer(W)
        if not torch.equal(W, before):
            raise Wrong(f"{name}: your function changes W itself; work on new tensors.")
        if not isinstance(result, tuple | list) or len(result) != 2 or not all(isinstance(r, Tensor) for r in result):
            raise Wrong(f"{name}: return the pair of tensors q, s.")
        _judge_rows(name, W, *result)


def _judge_rows(name: str, W: Tensor, q: Tensor, s: Tensor) -> None:
    size = W.abs().amax(dim=1)
    if q.dtype != torch.int8 or q.shape != W.shape:
        raise Wrong(f"{name}: expected q of torch.int8 and shape {tuple(W.shape)}, found {q.dtype}, {tuple(q.shape)}.")
    if s.dtype != W.dtype or s.shape != size.shape:
        hint = " One scale per row." if s.numel() == 1 else ""
        raise Wrong(f"{name}: expected s of {W.dtype}, {tuple(size.shape)}, found {s.dtype}, {tuple(s.shape)}.{hint}")
    back = s.unsqueeze(1) * q.to(W.dtype)
    if not back.isfinite().all():
        raise Wrong(f"{name}: what comes back is not finite. What is the scale of a row of zeros?")
    if ((back * W) < 0).any():
        raise Wrong(f"{name}: some numbers come back with the other sign: int8 ends at -128 and 127, and wraps around.")
    used = q.to(torch.int).abs().amax(dim=1)[size > 0]  # per row that is not zero
    error, allowed = (W - back).abs(), size.unsqueeze(1) / 254 * (1 + 1e-4)
    if (error <= allowed).all():
        return
    if (used >= 126).all() and (error <= 2 * allowed).all():
        raise Wrong(f"{name}: some numbers are off by nearly a whole step. Cut off, or rounded?")
    if (used != 127).any():
        raise Wrong(f"{name}: the largest number of each row should become 127 or -127, whatever its sign.")
    raise Wrong(f"{name}: some numbers are off by more than half a step.")


@exercise("4.5.4")
def check_in_pieces(answer) -> None:
    """A recurrent module in pieces gives what it gives at once."""
    expect_callable(answer, 3)
    for make, T, k in [(nn.GRU, 12, 4), (nn.LSTM, 11, 4), (nn.RNN, 5, 9), (nn.LSTM, 6, 1), (nn.GRU, 7, 7)]:
        case = f"nn.{make.__name__}, T={T}, k={k}"
        g = torch.Generator().manual_seed(T)
        rnn, x = make(3, 4, num_layers=2).double(), torch.randn(T, 2, 3, generator=g, dtype=torch.float64)
        with torch.no_grad():
            expected, last = rnn(x)
            alone = torch.cat([rnn(piece)[0] for piece in x.split(k)])
        read = []
        rnn.register_forward_pre_hook(lambda _, given, read=read: read.extend(len(x) for x in given[:1]))
        result = answer(rnn, x.clone(), k)
        if max(read, default=0) > k:
            raise Wrong(f"{case}: {max(read)} steps were read at once; the point is to read {k} at a time.")
        if not isinstance(result, tuple | list) or len(result) != 2:
            raise Wrong(f"{case}: return the pair of outputs and last state.")
        out, state = result
        if isinstance(out, Tensor) and out.shape != expected.shape and len(out) < T:
            raise Wrong(f"{case}: {len(out)} of {T} steps came back; is the last, shorter piece there?")
        if not torch.equal(alone, expected) and matches(out, alone):
            raise Wrong(f"{case}: every piece begins with an empty state; carry it on.")
        expect_tensor(out, expected, f"{case}, outputs", 1e-9)
        wanted = last if isinstance(last, tuple) else (last,)
        found = state if isinstance(state, tuple | list) else (state,)
        if len(found) != len(wanted) or isinstance(state, tuple | list) is not isinstance(last, tuple):
            raise Wrong(f"{case}: the state should look as that of the module: a tensor, or a tuple (h, c) of an LSTM.")
        for ours, theirs in zip(found, wanted, strict=True):
            expect_tensor(ours, theirs, f"{case}, last state", 1e-9)
        if out.requires_grad or any(part.requires_grad for part in found):
            raise Wrong(f"{case}: right, but a graph hangs on the result, and grows with the recording.")


@exercise("4.5.5")
def check_least_time(answer) -> None:
    """The roofline for one recurrent product of an LSTM."""
    expect_callable(answer, 4)
    for B, n, peak, bandwidth, size in [
        (1, 512, 1e11, 1e10, 4), (256, 512, 1e11, 1e10, 4), (64, 64, 5e10, 2e10, 4), (1, 2048, 3e14, 1e12, 2),
        (32, 1024, 3e14, 1e12, 2),
    ]:  # fmt: skip
        case = f"B={B}, n={n}, peak={peak:g}, bandwidth={bandwidth:g}, {size} bytes"
        found = answer(B, n, peak, bandwidth) if size == 4 else answer(B, n, peak, bandwidth, size)
        work, traffic = 8e9 * B * n**2 / peak, 1e9 * size * (4 * n**2 + 5 * B * n) / bandwidth  # in nanoseconds
        if not is_real(found):
            raise Wrong(f"{case}: expected a number, found {type(found).__name__}.")
        if is_number(1e9 * float(found), max(work, traffic)):
            continue
        hints = {
            min(work, traffic): "both have to be done; the slower of the two decides.",
            work + traffic: "arithmetic and fetching go on at the same time.",
            max(work / 2, traffic): "a multiplication and an addition are two flops.",
            max(work, 4e9 * size * n**2 / bandwidth): "the states are read and the results written, too.",
            max(work, traffic / size): "the bandwidth is in bytes.",
            max(work, 4 * traffic / size): "how many bytes has a number here?",
            max(work / 4, 1e9 * size * (n**2 + 2 * B * n) / bandwidth): "an LSTM has four blocks of n rows.",
        }
        for value, hint in hints.items():
            if is_number(1e9 * float(found), value):
                raise Wrong(f"{case}: {hint}")
        raise Wrong(f"{case}: {float(found):g} s is not it.")


def is_real(found: object) -> bool:
    """Whether this is a number, or a tensor of one."""
    return isinstance(found, int | float) or (isinstance(found, Tensor) and found.numel() == 1)
