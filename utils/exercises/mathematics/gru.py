"""Checks of notebook 3.5: the GRU."""

import math

import torch
from torch import Tensor, nn

from utils.exercises import Wrong, exercise, expect_callable, expect_number, expect_tensor, matches

GRU_CASES = [(1, False), (3, False), (1, True), (2, True)]  # layers, two directions


def _random(seed: int, *shapes: tuple[int, ...]) -> list[Tensor]:
    """Normal float64 tensors, the same for the same ``seed``."""
    g = torch.Generator().manual_seed(seed)
    return [torch.randn(shape, generator=g, dtype=torch.float64) for shape in shapes]


def _gru_step_2014(x_t: Tensor, h: Tensor, W_ih: Tensor, W_hh: Tensor, b: Tensor) -> Tensor:
    n = h.shape[-1]
    a_r, a_z, a_n = (x_t @ W_ih.T + b).chunk(3, dim=-1)  # (B, n) each
    r, z = torch.sigmoid(a_r + h @ W_hh[:n].T), torch.sigmoid(a_z + h @ W_hh[n : 2 * n].T)
    return (1 - z) * torch.tanh(a_n + (r * h) @ W_hh[2 * n :].T) + z * h


@exercise("3.5.1")
def check_step_of_2014(answer) -> None:
    """One step with the reset gate before the product."""
    expect_callable(answer, 5)
    for seed, (B, d, n) in enumerate([(3, 2, 4), (1, 5, 3), (4, 3, 3)]):
        x_t, h, W_ih, W_hh, b = inputs = _random(seed, (B, d), (B, n), (3 * n, d), (3 * n, n), (3 * n,))
        expected, found = _gru_step_2014(*inputs), answer(*[v.clone() for v in inputs])
        a, c = (x_t @ W_ih.T + b).chunk(3, dim=-1), (h @ W_hh.T).chunk(3, dim=-1)
        r, z = torch.sigmoid(a[0] + c[0]), torch.sigmoid(a[1] + c[1])
        if matches(found, (1 - z) * torch.tanh(a[2] + r * c[2]) + z * h):
            raise Wrong("This is PyTorch's step: here r multiplies h before the product with W_hn, not its result.")
        swapped = torch.cat([torch.arange(n, 2 * n), torch.arange(n), torch.arange(2 * n, 3 * n)])
        if matches(found, _gru_step_2014(x_t, h, W_ih[swapped], W_hh[swapped], b[swapped])):
            raise Wrong("The two gates are exchanged: the rows come in the order r, z, n.")
        candidate = torch.tanh(a[2] + (r * h) @ W_hh[2 * n :].T)
        if matches(found, (1 - z) * h + z * candidate):
            raise Wrong("The two weights are exchanged: z multiplies the state before, 1 - z the candidate.")
        if matches(found, (1 - z) * torch.tanh(a[2] + c[2]) + z * h):
            raise Wrong("The reset gate is missing: the candidate sees r * h.")
        expect_tensor(found, expected, f"batch {B}, {d} inputs, {n} units")


@exercise("3.5.2")
def check_half_life(answer) -> None:
    """Steps until z to that power is one half, with both ends."""
    expect_callable(answer, 1)
    for z in ([0.5, 0.9, 0.25], [[0.99, 0.1], [0.7, 0.999]], 0.8):
        z = torch.tensor(z, dtype=torch.float64)
        expected = math.log(2) / -z.log()
        found = answer(z.clone())
        if matches(found, -expected):
            raise Wrong("The sign is wrong: a half-life is positive, and the logarithm of z is negative.")
        if matches(found, 1 / (1 - z)):
            raise Wrong(
                "1 / (1 - z) is the mean age of what is kept (the time constant); asked is the time to one half."
            )
        expect_tensor(found, expected, f"z = {z.tolist()}")
    found = answer(torch.tensor([0.0, 0.5, 1.0], dtype=torch.float64))
    if not isinstance(found, Tensor) or found.shape != (3,) or found.isnan().any():
        raise Wrong("z = 0, 0.5 and 1 in one tensor: expected three values, none of them NaN.")
    if abs(float(found[0])) > 1e-9:
        raise Wrong("z = 0: nothing is kept, not even for one step; which number of steps says that?")
    if float(found[2]) != math.inf:
        raise Wrong(f"z = 1: the value never falls to one half; {float(found[2]):g} does not say that.")
    expect_number(found[1], 1.0, "z = 0.5 between the two ends")


def _random_gru(seed: int, layers: int, both: bool, n: int = 3) -> nn.GRU:
    gru = nn.GRU(2, n, num_layers=layers, bidirectional=both, dtype=torch.float64)
    with torch.no_grad():
        for p, values in zip(gru.parameters(), _random(seed, *[p.shape for p in gru.parameters()]), strict=True):
            p.copy_(values)
    return gru


@exercise("3.5.3")
def check_conversion(answer) -> None:
    """The z rows of everything change their sign."""
    expect_callable(answer, 1)
    for seed, (layers, both) in enumerate(GRU_CASES):
        n, case = 2 + seed, f"{layers} layer(s), {1 + both} direction(s)"
        given = {k: v.clone() for k, v in _random_gru(seed, layers, both, n).state_dict().items()}
        before = {k: v.clone() for k, v in given.items()}
        found = answer(given)
        if not isinstance(found, dict) or set(found) != set(before):
            raise Wrong(f"{case}: return a dictionary with the same names as the one given.")
        if any(not torch.equal(given[k], before[k]) for k in before):
            raise Wrong(f"{case}: the dictionary given was changed; work on copies (`clone`).")
        for name, value in before.items():
            expected = value.clone()
            expected[n : 2 * n] *= -1
            if matches(found[name], value):
                raise Wrong(f"{case}: {name} is as before. What enters the sigmoid of z, in every layer and direction?")
            if matches(found[name], -value):
                raise Wrong(
                    f"{case}: all rows of {name} changed their sign; r and the candidate mean the same in both."
                )
            if matches(found[name], torch.cat([-value[:n], value[n:]])):
                raise Wrong(f"{case}: in {name} the rows of r changed; the order is r, z, n.")
            expect_tensor(found[name], expected, f"{case}, {name}")


@exercise("3.5.4")
def check_update_bias(answer) -> None:
    """The sum of both z biases, in place, everywhere."""
    expect_callable(answer, 2)
    for seed, (layers, both) in enumerate(GRU_CASES):
        n, value, case = 2 + seed, (2.0, -1.0, 0.5, 1.0)[seed], f"{layers} layer(s), {1 + both} direction(s)"
        gru = _random_gru(10 + seed, layers, both, n)
        parameters, before = dict(gru.named_parameters()), {k: v.clone() for k, v in gru.state_dict().items()}
        answer(gru, value)
        for name, p in gru.named_parameters():
            if p is not parameters[name] or not p.requires_grad:
                raise Wrong(f"{case}: {name} is another parameter now, or no longer trained; write into the old one.")
            rest = torch.cat([p[:n], p[2 * n :]]) - torch.cat([before[name][:n], before[name][2 * n :]])
            if "weight" in name and not torch.equal(p, before[name]):
                raise Wrong(f"{case}: {name} has changed; only biases should.")
            if rest.abs().max() > 0:
                raise Wrong(f"{case}: {name} has changed outside the rows of z; the order is r, z, n.")
        for name in parameters:
            if name.startswith("bias_ih"):
                found = (parameters[name] + parameters[name.replace("_ih", "_hh")])[n : 2 * n]  # (n,)
                _expect_sum(found.detach(), value, f"{case}, {name} + {name.replace('_ih', '_hh')}")


def _expect_sum(found: Tensor, value: float, case: str) -> None:
    if matches(found, torch.full_like(found, 2 * value)):
        raise Wrong(f"{case}: the sum is twice the value; PyTorch adds both biases.")
    if not matches(found, torch.full_like(found, value)):
        raise Wrong(
            f"{case}: in the rows of z the sum is {found.tolist()[0]:.3g}, not {value:g}. Did you reach them all?"
        )


@exercise("3.5.5")
def check_minimal_gated_unit(answer) -> None:
    """One step of the unit with one gate."""
    expect_callable(answer, 5)
    for seed, (B, d, n) in enumerate([(3, 2, 4), (1, 5, 3), (4, 3, 3)]):
        x_t, h, W_ih, W_hh, b = inputs = _random(20 + seed, (B, d), (B, n), (2 * n, d), (2 * n, n), (2 * n,))
        (a_f, a_n), W_n = (x_t @ W_ih.T + b).chunk(2, dim=-1), W_hh[n:]
        f = torch.sigmoid(a_f + h @ W_hh[:n].T)  # (B, n)
        candidate = torch.tanh(a_n + (f * h) @ W_n.T)
        found = answer(*[v.clone() for v in inputs])
        if matches(found, f * h + (1 - f) * candidate):
            raise Wrong("The convention is the other one: here f multiplies the candidate and 1 - f the state before.")
        after, ungated = torch.tanh(a_n + f * (h @ W_n.T)), torch.tanh(a_n + h @ W_n.T)
        if matches(found, (1 - f) * h + f * after):
            raise Wrong("Here f acts on h before the product with W_hn, not on its result.")
        if matches(found, (1 - f) * h + f * ungated):
            raise Wrong("The candidate should see f * h, not all of h: the one gate does both jobs.")
        expect_tensor(found, (1 - f) * h + f * candidate, f"batch {B}, {d} inputs, {n} units")


@exercise("3.5.6")
def check_lstm_size(answer) -> None:
    """The LSTM with about as many parameters as a GRU."""
    expect_callable(answer, 2)
    for d, n in [(2, 16), (10, 20), (1, 1), (300, 8), (64, 512), (3, 17), (7, 100)]:
        target = 3 * (n * d + n * n + 2 * n)
        found, case = answer(d, n), f"d = {d}, n = {n}"
        expect_number(found, 0.0, case, tolerance=math.inf)  # any number will do so far
        m = float(found)
        if m % 1 != 0 or m < 1:
            raise Wrong(f"{case}: a number of units is a whole number of at least 1, not {m:g}.")
        gaps = [abs(4 * (k * d + k * k + 2 * k) - target) for k in range(1, n + 1)]
        gap = abs(4 * (m * d + m * m + 2 * m) - target)
        if gap > min(gaps):
            without_biases = [abs(4 * (k * d + k * k) - 3 * (n * d + n * n)) for k in range(1, n + 1)]
            hint = " Both biases count, too." if without_biases.index(min(without_biases)) + 1 == m else ""
            hint = hint or (" Three quarters of the units is too few: n² counts." if m == round(3 * n / 4) else "")
            raise Wrong(f"{case}: with {m:g} units the counts are {gap:.0f} apart; another size comes closer.{hint}")


@exercise("3.5.7")
def check_latch(answer) -> None:
    """A hand-set GRU that holds the last marked bit."""
    if not isinstance(answer, nn.GRU):
        raise Wrong(f"Give an nn.GRU module with its weights set; found {type(answer).__name__}.")
    sizes = answer.input_size, answer.hidden_size, answer.num_layers, answer.bidirectional
    if sizes != (2, 1, 1, False):
        raise Wrong("The module should be an nn.GRU(2, 1): two inputs, one unit, one layer, one direction.")
    T, B, g = 1200, 8, torch.Generator().manual_seed(0)
    bit = 2.0 * torch.randint(2, (T, B), generator=g) - 1  # (T, B)
    mark = (torch.rand(T, B, generator=g) < torch.tensor([0.5, 0.1, 0.01, 0, 0, 0, 1.0, 0.3])).float()
    mark[3, 3:6] = 1.0  # in these, one mark alone, and then a long wait
    mark[0, 0] = 1.0
    x = torch.stack([bit, mark], dim=2).to(answer.weight_ih_l0.dtype)  # (T, B, 2)
    with torch.no_grad():
        states = answer(x.transpose(0, 1) if answer.batch_first else x)[0]
    h = (states.transpose(0, 1) if answer.batch_first else states)[..., 0]  # (T, B)
    last = torch.where(mark > 0, torch.arange(T)[:, None], -1).cummax(dim=0).values  # (T, B) place of the last mark
    wanted = bit.gather(0, last.clamp(min=0))
    known, at_mark = last >= 0, mark > 0
    wrong = known & ((h.sign() != wanted) | (h.abs() <= 0.9))
    if (wrong & at_mark).any():
        raise Wrong("At a marked step the new bit should be taken up at once. What must z be there, and the candidate?")
    if (wrong & (last == torch.arange(T)[:, None] - 1)).any():
        raise Wrong("One step after the mark the bit is lost or spoilt. What must z be where there is no mark?")
    if wrong.any():
        raise Wrong(
            "The bit fades while it waits: over hundreds of steps even 1 - z = 0.01 is too much. Use larger weights."
        )
