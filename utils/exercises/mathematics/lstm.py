"""Checks of notebook 3.4: the LSTM."""

import math

import torch
from torch import Tensor, nn

from utils.exercises import Wrong, exercise, expect_callable, expect_number, expect_tensor, matches

LSTM_CASES = [(1, False), (3, False), (1, True), (2, True)]  # layers, two directions


def _random(seed: int, *shapes: tuple[int, ...]) -> list[Tensor]:
    """Normal float64 tensors, the same for the same ``seed``."""
    g = torch.Generator().manual_seed(seed)
    return [torch.randn(shape, generator=g, dtype=torch.float64) for shape in shapes]


def _pair(found: object, case: str) -> tuple:
    """The two states that a step should return."""
    if not isinstance(found, tuple | list) or len(found) != 2:
        raise Wrong(f"{case}: return the pair (h, c), the new hidden state and the new cell state.")
    return tuple(found)


@exercise("3.4.1")
def check_coupled_gates(answer) -> None:
    """One step with i = 1 - f."""
    expect_callable(answer, 6)
    for seed, (B, d, n) in enumerate([(3, 2, 4), (1, 5, 3), (4, 3, 3)]):
        shapes = (B, d), (B, n), (B, n), (3 * n, d), (3 * n, n), (3 * n,)
        x_t, h, c, W_ih, W_hh, b = inputs = _random(seed, *shapes)
        f, g, o = (x_t @ W_ih.T + h @ W_hh.T + b).chunk(3, dim=-1)  # (B, n) each
        f, g, o = f.sigmoid(), g.tanh(), o.sigmoid()
        new_c, case = f * c + (1 - f) * g, f"batch {B}, {d} inputs, {n} units"
        new_h = o * new_c.tanh()
        found_h, found_c = _pair(answer(*[v.clone() for v in inputs]), case)
        if matches(found_h, new_c) and matches(found_c, new_h):
            raise Wrong("The two states are exchanged: first h, then c.")
        if matches(found_c, (1 - f) * c + f * g):
            raise Wrong("f and 1 - f are exchanged: f says what is kept, and i = 1 - f what is written.")
        if matches(found_c, f * c + g):
            raise Wrong("The candidate comes in whole. Which gate multiplies it, and where does it come from here?")
        if matches(found_h, o * new_c):
            raise Wrong("The cell state is shown as it is; it passes a tanh before the output gate.")
        expect_tensor(found_c, new_c, f"{case}, c")
        expect_tensor(found_h, new_h, f"{case}, h")


@exercise("3.4.2")
def check_parameter_count(answer) -> None:
    """Parameters of an LSTM of any depth."""
    expect_callable(answer, 5)
    for d, n, layers, directions, bias in [
        (3, 5, 1, 1, True), (3, 5, 1, 1, False), (10, 20, 1, 2, True), (4, 7, 3, 1, True), (4, 7, 2, 2, True),
        (6, 3, 3, 2, False), (1, 1, 4, 2, True),
    ]:  # fmt: skip
        lstm = nn.LSTM(d, n, num_layers=layers, bidirectional=directions == 2, bias=bias, device="meta")
        expected = sum(p.numel() for p in lstm.parameters())
        case = f"d = {d}, n = {n}, {layers} layer(s), {directions} direction(s), bias {bias}"
        found = answer(d, n, layers, directions, bias)
        first = 4 * n * (d + n + 2 * bias)
        expect_number(found, 0.0, case, tolerance=math.inf)  # any number will do so far
        if expected != float(found):
            if bias and float(found) == expected - 4 * n * layers * directions:
                raise Wrong(f"{case}: PyTorch keeps two bias vectors per layer and direction.")
            if float(found) == first * layers * directions != expected:
                raise Wrong(f"{case}: every layer is counted as if it read the input. What does the second one read?")
            one_way = directions * (first + (layers - 1) * 4 * n * (n + n + 2 * bias))
            if float(found) == one_way != expected:
                raise Wrong(f"{case}: a layer above the first reads both directions of the one below.")
        expect_number(found, expected, case, tolerance=1e-12)


def _random_lstm(seed: int, layers: int, both: bool, n: int) -> nn.LSTM:
    lstm = nn.LSTM(2, n, num_layers=layers, bidirectional=both, dtype=torch.float64)
    with torch.no_grad():
        for p, values in zip(lstm.parameters(), _random(seed, *[p.shape for p in lstm.parameters()]), strict=True):
            p.copy_(values)
    return lstm


@exercise("3.4.3")
def check_forget_bias(answer) -> None:
    """The sum of both forget biases, in place, everywhere."""
    expect_callable(answer, 2)
    for seed, (layers, both) in enumerate(LSTM_CASES):
        n, value, case = 2 + seed, (2.0, -1.0, 0.5, 1.0)[seed], f"{layers} layer(s), {1 + both} direction(s)"
        lstm = _random_lstm(seed, layers, both, n)
        parameters, before = dict(lstm.named_parameters()), {k: v.clone() for k, v in lstm.state_dict().items()}
        answer(lstm, value)
        for name, p in lstm.named_parameters():
            if p is not parameters[name] or not p.requires_grad:
                raise Wrong(f"{case}: {name} is another parameter now, or no longer trained; write into the old one.")
            if "weight" in name and not torch.equal(p, before[name]):
                raise Wrong(f"{case}: {name} has changed; only biases should.")
            rest = torch.cat([p[:n], p[2 * n :]]) - torch.cat([before[name][:n], before[name][2 * n :]])
            if rest.abs().max() > 0:
                raise Wrong(f"{case}: {name} has changed outside the rows of the forget gate; the order is i, f, g, o.")
        for name, p in parameters.items():
            if name.startswith("bias_ih"):
                total = (p + parameters[name.replace("_ih", "_hh")])[n : 2 * n].detach()  # (n,)
                _expect_total(total, value, f"{case}, {name} + {name.replace('_ih', '_hh')}")


def _expect_total(found: Tensor, value: float, case: str) -> None:
    if matches(found, torch.full_like(found, 2 * value)):
        raise Wrong(f"{case}: the sum is twice the value; PyTorch adds both biases.")
    if not matches(found, torch.full_like(found, value)):
        raise Wrong(f"{case}: in the forget rows the sum begins with {float(found[0]):.3g}. Did you reach them all?")


def _peephole_step(x_t, h, c, W_ih, W_hh, b, p_i, p_f, p_o, old_for_o=False) -> tuple[Tensor, Tensor]:
    i, f, g, o = (x_t @ W_ih.T + h @ W_hh.T + b).chunk(4, dim=-1)  # (B, n) each
    i, f = torch.sigmoid(i + p_i * c), torch.sigmoid(f + p_f * c)
    new_c = f * c + i * g.tanh()
    return torch.sigmoid(o + p_o * (c if old_for_o else new_c)) * new_c.tanh(), new_c


@exercise("3.4.4")
def check_peepholes(answer) -> None:
    """One step in which the gates see the cell."""
    expect_callable(answer, 9)
    for seed, (B, d, n) in enumerate([(3, 2, 4), (1, 5, 3), (4, 3, 3)]):
        shapes = (B, d), (B, n), (B, n), (4 * n, d), (4 * n, n), (4 * n,), (n,), (n,), (n,)
        inputs, case = _random(30 + seed, *shapes), f"batch {B}, {d} inputs, {n} units"
        new_h, new_c = _peephole_step(*inputs)
        found_h, found_c = _pair(answer(*[v.clone() for v in inputs]), case)
        zeros = [torch.zeros(n, dtype=torch.float64)] * 3
        if matches(found_c, new_h) and matches(found_h, new_c):
            raise Wrong("The two states are exchanged: first h, then c.")
        if matches(found_c, _peephole_step(*inputs[:6], *zeros)[1]):
            raise Wrong("This is the cell without peepholes: the gates i and f do not see the state yet.")
        if matches(found_c, _peephole_step(*inputs[:6], inputs[7], inputs[6], inputs[8])[1]):
            raise Wrong("p_i and p_f are exchanged; the blocks come in the order i, f, g, o.")
        if matches(found_h, _peephole_step(*inputs, old_for_o=True)[0]):
            raise Wrong("The output gate looks at the state before the update; it should see the new one.")
        expect_tensor(found_c, new_c, f"{case}, c")
        expect_tensor(found_h, new_h, f"{case}, h")


@exercise("3.4.5")
def check_half_life(answer) -> None:
    """The half-life of each cell from its forget gates."""
    expect_callable(answer, 1)
    for seed, (T, n) in enumerate([(1, 3), (6, 4), (40, 2)]):
        f = torch.rand(T, n, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * 0.9 + 0.05
        expected, case = math.log(0.5) / f.log().mean(dim=0), f"{T} step(s), {n} cell(s)"  # (n,)
        found = answer(f.clone())
        if matches(found, -expected):
            raise Wrong("The sign is wrong: a half-life is positive, and the logarithm of a gate is negative.")
        if T > 1 and matches(found, math.log(0.5) / f.mean(dim=0).log()):
            raise Wrong("The gates are multiplied, not added: their arithmetic mean keeps another amount over T steps.")
        if T > 1 and matches(found, (math.log(0.5) / f.log()).mean(dim=0)):
            raise Wrong("The mean of the half-lives of the steps is another number: what do the T gates keep together?")
        if T > 1 and matches(found, math.log(0.5) / f.log().sum(dim=0)):
            raise Wrong("This counts the T steps as one: what would a constant gate keep per step?")
        expect_tensor(found, expected, case)
    found = answer(torch.tensor([[0.5, 0.0, 1.0], [0.5, 0.9, 1.0]], dtype=torch.float64))
    if not isinstance(found, Tensor) or found.shape != (3,) or found.isnan().any():
        raise Wrong("A gate that was 0 once, or 1 always: expected three values, none of them NaN.")
    expect_number(found[0], 1.0, "two gates of one half")
    if abs(float(found[1])) > 1e-9:
        raise Wrong("A gate of 0 empties the cell: nothing is left after T steps; which half-life says that?")
    if float(found[2]) != math.inf:
        raise Wrong(f"A gate that is always 1 keeps everything for ever; {float(found[2]):g} does not say that.")
    long = answer(torch.full((2000, 1), 0.5, dtype=torch.float64))  # the product itself would be 0 in float64
    expect_number(long[0], 1.0, "2,000 gates of one half (their product is too small for a float64)")


@exercise("3.4.6")
def check_counter(answer) -> None:
    """A hand-set LSTM cell that counts."""
    if not isinstance(answer, tuple | list) or len(answer) != 3 or not all(isinstance(p, Tensor) for p in answer):
        raise Wrong("Give a tuple of three tensors (W_ih, W_hh, b).")
    shapes = [tuple(p.shape) for p in answer]
    if shapes != [(4, 2), (4, 1), (4,)]:
        raise Wrong(f"Expected the shapes (4, 2), (4, 1) and (4,), found {', '.join(map(str, shapes))}.")
    W_ih, W_hh, b = (p.detach().double() for p in answer)
    g = torch.Generator().manual_seed(0)
    is_a = torch.rand(300, 6, generator=g) < torch.tensor([0.5, 0.5, 0.9, 0.1, 1.0, 0.0])  # (T, B)
    is_a[:150, 1], is_a[150:, 1] = True, False  # a¹⁵⁰ b¹⁵⁰
    x = torch.stack([is_a, ~is_a], dim=2).double()  # (T, B, 2)
    count = (2.0 * is_a - 1).cumsum(dim=0)  # (T, B)
    h = c = torch.zeros(6, 1, dtype=torch.float64)
    for t, x_t in enumerate(x):
        i, f, g_t, o = (x_t @ W_ih.T + h @ W_hh.T + b).chunk(4, dim=-1)  # (B, 1) each
        c = f.sigmoid() * c + i.sigmoid() * g_t.tanh()
        h = o.sigmoid() * c.tanh()
        off = (c[:, 0] - count[t]).abs()
        if not (off < 0.1).all():  # NaN counts as wrong
            worst = int(off.nan_to_num(math.inf).argmax())
            hint = "What must i and g be at an a, and at a b?" if t < 2 else "Is f near enough to 1 for so long?"
            raise Wrong(
                f"After {t + 1} letter(s) the state is {float(c[worst, 0]):.2f} where the count is "
                f"{int(count[t, worst])}. {hint}"
            )
