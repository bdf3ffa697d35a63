"""Checks of notebook 3.6: what memory can hold."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from utils.data import memory_tasks
from utils.exercises import Wrong, exercise, expect_callable, expect_number
from utils.exercises.mathematics.gradients import is_number


@exercise("3.6.1")
def check_forgetful_mse(answer) -> None:
    """The variance of a sum of k uniform numbers."""
    expect_callable(answer, 3)
    for k, low, high in [(2, 0.0, 1.0), (3, 0.0, 1.0), (2, -1.0, 1.0), (5, 2.0, 4.5), (1, -3.0, -2.0)]:
        expected = k * (high - low) ** 2 / 12
        case = f"k={k}, numbers from [{low:g}, {high:g}]"
        found = answer(k, low, high)
        if is_number(found, expected):
            continue
        if is_number(found, k / 12):
            raise Wrong(f"{case}: 1/12 is the variance on [0, 1]; what does a wider interval do?")
        if is_number(found, k * (high - low) / 12):
            raise Wrong(f"{case}: stretching a number stretches its variance by more than that.")
        if is_number(found, k**2 * (high - low) ** 2 / 12):
            raise Wrong(f"{case}: this is one number taken k times; independent numbers partly cancel.")
        if is_number(found, math.sqrt(expected)):
            raise Wrong(f"{case}: this is the standard deviation; the error is squared.")
        if is_number(found, k * (low**2 + low * high + high**2) / 3):
            raise Wrong(f"{case}: who ignores the input may still answer another number than 0.")
        expect_number(found, expected, case)


def all_words(length: int) -> Tensor:
    """Every sequence of ``length`` bits, (2**length, length) in float64."""
    return (torch.arange(2**length)[:, None] >> torch.arange(length) & 1).double()


def run_toggle(weights: Sequence[Tensor], bits: Tensor) -> Tensor:
    """Readout (N, T) of a ReLU network at every step of ``bits`` (N, T)."""
    W_xh, W_hh, b_h, W_hy, b_y = weights
    h, out = bits.new_zeros(len(bits), 2), []
    for x_t in bits.T:
        h = torch.relu(x_t[:, None] @ W_xh.T + h @ W_hh.T + b_h)  # (N, 2)
        out.append((h @ W_hy.T + b_y)[:, 0])
    return torch.stack(out, dim=1)


@exercise("3.6.2")
def check_toggle(answer) -> None:
    """Hand-made weights that compute parity at any length."""
    weights = answer() if callable(answer) else answer
    shapes = [("W_xh", (2, 1)), ("W_hh", (2, 2)), ("b_h", (2,)), ("W_hy", (1, 2)), ("b_y", (1,))]
    if weights is None or weights is Ellipsis:
        raise Wrong("Your answer is empty. If it is a function, does it end in `return`?")
    if not isinstance(weights, tuple | list) or len(weights) != len(shapes):
        raise Wrong("Return five tensors: W_xh, W_hh, b_h, W_hy, b_y.")
    for (name, shape), value in zip(shapes, weights, strict=True):
        if not isinstance(value, Tensor) or tuple(value.shape) != shape:
            found = tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__
            raise Wrong(f"{name}: expected a tensor of shape {shape}, found {found}.")
    weights = [value.detach().double() for value in weights]
    bits = all_words(8)  # (256, 8)
    odd, said = bits.cumsum(dim=1) % 2 == 1, run_toggle(weights, bits) > 0
    if (said == ~odd).all():
        raise Wrong("It says *even*: turn the readout round.")
    if not (said == odd).all():
        step = int((said != odd).any(dim=0).nonzero()[0])
        word = bits[(said != odd)[:, step].nonzero()[0, 0], : step + 1]
        hint = " Where does the old parity enter the sum?" if step == 1 else ""
        raise Wrong(f"Wrong after the bits {''.join(str(int(bit)) for bit in word)}.{hint}")
    long, wanted = memory_tasks.parity(20, 2000, torch.Generator().manual_seed(0))
    if not ((run_toggle(weights, long.double()) > 0) == (wanted == 1)).all():
        raise Wrong("Right up to 8 bits, but not for 2,000: small errors add up. Take whole numbers.")


@exercise("3.6.3")
def check_stack_bits(answer) -> None:
    """The logarithm of the number of stacks."""
    expect_callable(answer, 2)
    for kinds, depth in [(2, 3), (3, 4), (2, 1), (1, 7), (2, 20), (1, 0), (4, 0)]:
        stacks = sum(kinds**level for level in range(depth + 1))
        expected = math.log2(stacks)
        case = f"kinds={kinds}, depth={depth}"
        found = answer(kinds, depth)
        if is_number(found, expected):
            continue
        if is_number(found, stacks):
            raise Wrong(f"{case}: this is the number of stacks; how many bits tell so many apart?")
        if is_number(found, math.log(stacks)):
            raise Wrong(f"{case}: bits are counted with the logarithm to base 2.")
        if is_number(found, depth * math.log2(kinds)):
            raise Wrong(f"{case}: these are the deepest stacks alone.")
        if stacks > 1 and is_number(found, math.log2(stacks - 1)):
            raise Wrong(f"{case}: nothing open is a stack too.")
        if is_number(found, math.ceil(expected)):
            raise Wrong(f"{case}: do not round up; we count bits as in the figure of the first section.")
        expect_number(found, expected, case)


@exercise("3.6.4")
def check_last_count(answer) -> None:
    """How far a leaky counter counts."""
    expect_callable(answer, 2)
    for f, gap in [(0.9, 0.5), (0.5, 0.3), (0.99, 0.1), (0.9, 0.95), (0.8, 1.5), (0.95, 0.01)]:
        expected = 0 if gap > 1 else math.floor(math.log(gap) / math.log(f)) + 1
        case = f"f={f}, gap={gap}"
        found = answer(f, gap)
        if is_number(found, expected):
            continue
        if is_number(found, expected - 1):
            raise Wrong(f"{case}: one too few; after n letters c has just grown by f to the power of n - 1.")
        if is_number(found, expected + 1):
            raise Wrong(f"{case}: one too many; your n is not told from n - 1.")
        if gap <= 1 and f < 1 and is_number(found, math.log(gap) / math.log(f) + 1):
            raise Wrong(f"{case}: n is a whole number.")
        if gap > 1:
            raise Wrong(f"{case}: even the first letter moves c by 1 only; it cannot tell 1 from 0.")
        if is_number(found, math.inf):
            raise Wrong(f"{case}: the steps of c become smaller and smaller.")
        expect_number(found, expected, case)
    if not is_number(answer(1.0, 0.5), math.inf):
        raise Wrong("f=1, gap=0.5: without a leak every step is as long as the first.")
    if not is_number(answer(1.0, 1.5), 0):
        raise Wrong("f=1, gap=1.5: steps of 1 are too short for this gap, leak or no leak.")


@exercise("3.6.5")
def check_make_counter(answer) -> None:
    """An LSTM of one unit that counts a up and b down in its cell state."""
    if isinstance(answer, nn.Module):
        raise Wrong("Give the function that changes a module, not the module.")
    expect_callable(answer, 1)
    lstm = nn.LSTM(2, 1, dtype=torch.float64)
    with torch.no_grad():
        for p, seed in zip(lstm.parameters(), range(4), strict=True):
            p.copy_(torch.randn(p.shape, generator=torch.Generator().manual_seed(seed)))
        before = [p.clone() for p in lstm.parameters()]
        answer(lstm)
        if all(torch.equal(p, q) for p, q in zip(lstm.parameters(), before, strict=True)):
            raise Wrong("The module is as it was: change its weights in place.")
        words = torch.randint(2, (40, 1000), generator=torch.Generator().manual_seed(9))  # 0 is a, 1 is b
        words[0], words[1] = 0, 1
        wanted = (1 - 2 * words).cumsum(dim=1).double()  # (N, T)
        x = torch.nn.functional.one_hot(words.T, 2).double()  # (T, N, 2)
        counted, state = [], None
        for x_t in x:
            _, state = lstm(x_t[None], state)
            counted.append(state[1][0, :, 0])
        counted = torch.stack(counted, dim=1)  # (N, T)
    if (counted - wanted).abs().max() <= 0.01:
        return
    _explain_counter(counted, wanted)


def _explain_counter(counted: Tensor, wanted: Tensor) -> None:
    """Say which gate or candidate keeps ``counted`` (N, T) from being ``wanted``; rows 0 and 1 are all a and all b."""
    up, down = counted[0], counted[1]
    if (counted + wanted).abs().max() <= 0.01:
        raise Wrong("It counts the other way round: which input is a?")
    if not counted.isfinite().all():
        raise Wrong("The cell state is not a finite number: weights of 10 to 100 saturate a gate well enough.")
    if abs(up[0]) < 0.01 and abs(down[0]) < 0.01:
        raise Wrong("After one letter c is still 0: the candidate or the input gate (rows g and i) is closed.")
    if abs(up[0] - 1) > 0.01 or abs(down[0] + 1) > 0.01:
        raise Wrong("After one letter c should be 1 (a) or -1 (b): i must be 1, and g = tanh(...) 1 or -1.")
    if (up[1] - up[0]).abs() < 0.5:
        raise Wrong("c does not grow beyond its first step: the forget gate must be open.")
    if abs(up[-1] - 1000) > 0.01 or abs(down[-1] + 1000) > 0.01:
        raise Wrong("It counts, but leaks: after 1,000 letters a gate that is nearly 1 is not near enough.")
    raise Wrong("It counts words of a single letter; in mixed words what the unit said before disturbs it.")
