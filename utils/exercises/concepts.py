"""Checks of part 2: the anatomy of an RNN."""

import random

import torch
from torch import Tensor, nn

from utils.exercises import Wrong, exercise, expect_callable, expect_number, expect_tensor, matches

SHAPE_CASES = {  # arguments of nn.RNN and the shape of its input, as notebook 2.1 asks for them
    "a": ({"input_size": 5, "hidden_size": 7, "batch_first": True}, (4, 9, 5)),
    "b": ({"input_size": 5, "hidden_size": 7, "batch_first": False}, (4, 9, 5)),
    "c": ({"input_size": 5, "hidden_size": 7, "num_layers": 2, "batch_first": True}, (4, 9, 5)),
    "d": ({"input_size": 5, "hidden_size": 7, "bidirectional": True, "batch_first": True}, (4, 9, 5)),
    "e": ({"input_size": 5, "hidden_size": 7, "num_layers": 3, "bidirectional": True}, (9, 5)),
}
SHAPE_HINTS = {
    "a": "h_n keeps its layer dimension in front, whatever batch_first says.",
    "b": "without batch_first the first dimension of the input is time.",
    "c": "only the states of the top layer are in the output; h_n has the last state of every layer.",
    "d": "two directions are put side by side in the output, but one after the other in h_n.",
    "e": "an input of two dimensions is one sequence without a batch.",
}


def random_rnn(seed: int, batch: int, time: int, d: int, n: int) -> tuple[Tensor, Tensor, nn.RNN]:
    """Inputs, a first state and an ``nn.RNN`` in float64, the same for the same ``seed``."""
    g = torch.Generator().manual_seed(seed)
    rnn = nn.RNN(d, n, batch_first=True, dtype=torch.float64)
    with torch.no_grad():
        for p in rnn.parameters():
            p.copy_(0.7 * torch.randn(p.shape, generator=g, dtype=torch.float64))
        rnn.bias_hh_l0.zero_()
    x = torch.randn(batch, time, d, generator=g, dtype=torch.float64)
    h_0 = torch.randn(batch, n, generator=g, dtype=torch.float64)
    return x, h_0, rnn


def weights(rnn: nn.RNN) -> tuple[Tensor, Tensor, Tensor]:
    """W_xh, W_hh and b_h of ``rnn``, free of its graph."""
    return rnn.weight_ih_l0.detach(), rnn.weight_hh_l0.detach(), rnn.bias_ih_l0.detach()


@exercise("2.1.1")
def check_one_step(answer) -> None:
    """One step of an RNN, in rows."""
    expect_callable(answer, 5)
    for seed, (batch, d, n) in enumerate([(3, 4, 2), (1, 2, 5), (4, 3, 3)]):
        x, h, rnn = random_rnn(seed, batch, 1, d, n)
        W_xh, W_hh, b_h = weights(rnn)
        expected = rnn(x, h[None])[0][:, 0].detach()
        found = answer(x[:, 0], h, W_xh, W_hh, b_h)
        if matches(found, x[:, 0] @ W_xh.T + h @ W_hh.T + b_h):
            raise Wrong("The sum is right; the activation tanh around it is missing.")
        if matches(found, torch.tanh(x[:, 0] @ W_xh.T + h @ W_hh.T)):
            raise Wrong("The bias b_h is missing.")
        if matches(found, torch.tanh(x[:, 0] @ W_xh.T + h @ W_hh + b_h)):
            raise Wrong("W_hh is multiplied the wrong way round: in rows the weights stand transposed behind.")
        expect_tensor(found, expected, f"batch {batch}, {d} inputs, {n} hidden units")


@exercise("2.1.2")
def check_parameters(answer) -> None:
    """The number of parameters of nn.RNN."""
    expect_callable(answer, 4)
    for case in [(3, 4, 1, False), (10, 20, 1, False), (3, 4, 2, False), (5, 6, 1, True), (5, 6, 3, True)]:
        d, n, layers, both = case
        rnn = nn.RNN(d, n, num_layers=layers, bidirectional=both)
        expected = sum(p.numel() for p in rnn.parameters())
        name = f"input_size={d}, hidden_size={n}, num_layers={layers}, bidirectional={both}"
        found = answer(d, n, layers, both)
        if layers == 1 and not both and found == expected - n:
            raise Wrong(f"{name}: one bias vector short; nn.RNN keeps two, b_ih and b_hh.")
        try:
            expect_number(found, expected, name, tolerance=0)
        except Wrong as wrong:
            hint = " What does a layer above the first read, and how wide is that?" if layers > 1 else ""
            hint = hint or (" A second direction has weights of its own." if both else "")
            raise Wrong(f"{wrong}{hint}") from None


@exercise("2.1.3")
def check_shapes(answer) -> None:
    """The shapes of output and h_n for five calls."""
    if not isinstance(answer, dict):
        raise Wrong(f"Give a dictionary from letter to a pair of shapes; found {type(answer).__name__}.")
    for letter, (arguments, shape) in SHAPE_CASES.items():
        if letter not in answer:
            raise Wrong(f"There is no answer for {letter!r}.")
        try:
            found = [tuple(int(size) for size in part) for part in answer[letter]]
        except (TypeError, ValueError):  # no pair, no shapes, or text where a size should be
            found = []
        if len(found) != 2:
            raise Wrong(f"({letter}) Give two shapes, ((…), (…)): that of output and that of h_n.")
        output, h_n = nn.RNN(**arguments)(torch.zeros(shape))
        for name, mine, right in (("output", found[0], output.shape), ("h_n", found[1], h_n.shape)):
            if mine != tuple(right):
                raise Wrong(f"({letter}) The shape {mine} of {name} is not right: {SHAPE_HINTS[letter]}")


@exercise("2.1.4")
def check_unroll(answer) -> None:
    """All hidden states for any number of steps."""
    expect_callable(answer, 5)
    for seed, (batch, time, d, n) in enumerate([(2, 3, 2, 4), (1, 1, 3, 2), (3, 12, 2, 2)]):
        x, h_0, rnn = random_rnn(10 + seed, batch, time, d, n)
        expected = rnn(x, h_0[None])[0].detach()  # (batch, time, hidden)
        found = answer(x, h_0, *weights(rnn))
        case = f"batch {batch}, {time} step(s), {n} hidden units"
        if matches(found, expected.transpose(0, 1)) and batch != time:
            raise Wrong(f"{case}: the states are right, but time comes first; stack along dim=1.")
        if matches(found, expected[:, -1]):
            raise Wrong(f"{case}: this is the last state alone; return the states of all time steps.")
        if matches(found, rnn(x)[0].detach()):
            raise Wrong(f"{case}: you start from zero; start from the h_0 that is given.")
        if matches(found, torch.cat([h_0[:, None], expected], dim=1)):
            raise Wrong(f"{case}: h_0 is the state before the first time step and is not one of the results.")
        expect_tensor(found, expected, case)


@exercise("2.1.5")
def check_contributions(answer) -> None:
    """What each time step adds to the gradient of the shared W_hh."""
    expect_callable(answer, 4)
    for seed, (time, d, n) in enumerate([(1, 2, 3), (4, 2, 3), (6, 3, 2)]):
        x, _, rnn = random_rnn(20 + seed, 1, time, d, n)
        W_xh, W_hh, b_h = weights(rnn)
        copies = [W_hh.clone().requires_grad_() for _ in range(time)]
        h = torch.zeros(1, n, dtype=torch.float64)
        for x_t, copy in zip(x.unbind(1), copies, strict=True):
            h = torch.tanh(x_t @ W_xh.T + h @ copy.T + b_h)
        expected = torch.stack(torch.autograd.grad(h.sum(), copies))  # (time, hidden, hidden)
        found = answer(x, W_xh, W_hh.clone(), b_h)
        case = f"{time} time step(s), {n} hidden units"
        if matches(found, expected.sum(dim=0)):
            raise Wrong(f"{case}: this is the sum over the steps; keep the {time} contributions apart, stacked.")
        if time > 1 and matches(found, expected.flip(0)):
            raise Wrong(f"{case}: the contributions are in reverse; the first row belongs to the first step.")
        expect_tensor(found, expected, case)


@exercise("2.1.6")
def check_receptive_field(answer) -> None:
    """How many inputs a stack of dilated convolutions sees."""
    expect_callable(answer, 2)
    pick = random.Random(0)
    cases = [(3, [1]), (2, [1, 2, 4, 8]), (1, [1, 5])]
    cases += [(pick.randint(2, 7), [2 ** pick.randint(0, 6) for _ in range(pick.randint(1, 9))]) for _ in range(20)]
    for kernel_size, dilations in cases:
        expected = 1 + (kernel_size - 1) * sum(dilations)
        case = f"kernel_size={kernel_size}, dilations={dilations}"
        found = answer(kernel_size, list(dilations))
        try:
            expect_number(found, expected, case, tolerance=0)
        except Wrong as wrong:
            gaps = isinstance(found, int) and found == kernel_size * sum(dilations)
            hint = "A kernel of size k spans k - 1 gaps; the last position itself is counted once." if gaps else ""
            raise Wrong(f"{wrong} {hint or 'By how much does one more layer widen the view?'}") from None


@exercise("2.1.7")
def check_label(answer) -> None:
    """A label for a probe: does the current word begin with a capital letter?"""
    expect_callable(answer, 1)
    pick = random.Random(0)
    texts = ["A", "", " The Python\nlanguage", "camelCase or CamelCase", "a  B\n\nC d", '"Quoted" X']
    texts += ["".join(pick.choices("ABcd  \n(1", k=40)) for _ in range(20)]
    for text in texts:
        expected, first = [], " "
        for character in text:
            first = " " if character.isspace() else character if first == " " else first
            expected.append(first.isupper())
        found = answer(text)
        try:
            found = [bool(label) for label in found]
        except (TypeError, ValueError, RuntimeError):  # nothing to go through, or several numbers for a character
            raise Wrong(f"{text!r}: return a list with one truth value for each character.") from None
        if len(found) != len(text):
            raise Wrong(f"{text!r}: one label for each of the {len(text)} characters is wanted; check the length.")
        wrong = [i for i, (a, b) in enumerate(zip(found, expected, strict=True)) if a != b]
        if wrong:
            raise Wrong(
                f"{text!r}: the label at index {wrong[0]} (of {text[wrong[0]]!r}) is wrong. White space belongs to no "
                "word, and only the first character of a word counts."
            )
