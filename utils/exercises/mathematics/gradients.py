"""Checks of notebook 3.3: vanishing and exploding gradients."""

import math

import torch
from torch import Tensor, nn

from utils.exercises import Wrong, exercise, expect_bool, expect_callable, expect_number, expect_tensor, matches

GAMMA = {"tanh": 1.0, "relu": 1.0, "sigmoid": 0.25}


def random_matrix(seed: int, *shape: int) -> Tensor:
    """A matrix of normal numbers in float64, the same for the same ``seed``."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def is_number(found: object, expected: float) -> bool:
    """Whether ``found`` is the number ``expected``: to recognise a known mistake."""
    try:
        return math.isclose(float(found), expected, rel_tol=1e-6, abs_tol=1e-9)
    except (TypeError, ValueError, RuntimeError):
        return False


@exercise("3.3.1")
def check_largest_lag(answer) -> None:
    """The largest lag at which the bound allows a share of the gradient."""
    expect_callable(answer, 3)
    cases = [(0.9, 1.0, 1e-6), (0.5, 1.0, 0.3), (2.0, 0.25, 1e-3), (0.99, 1.0, 0.5), (3.9, 0.25, 1e-6), (0.5, 1.0, 0.9)]
    for sigma_max, gamma, share in cases:
        expected = math.floor(math.log(share) / math.log(sigma_max * gamma))
        case = f"sigma_max={sigma_max}, gamma={gamma}, share={share}"
        found = answer(sigma_max, gamma, share)
        if is_number(found, expected + 1):
            raise Wrong(f"{case}: one lag too far; at your lag the bound is already below the share.")
        if is_number(found, math.log(share) / math.log(sigma_max * gamma)):
            raise Wrong(f"{case}: a lag is a whole number of steps.")
        if gamma != 1 and is_number(found, math.inf):
            raise Wrong(f"{case}: the slope of the activation enters the bound as well.")
        expect_number(found, expected, case, tolerance=0)
    for sigma_max, gamma in [(1.0, 1.0), (1.2, 1.0), (4.0, 0.25), (5.0, 0.25)]:
        if not is_number(answer(sigma_max, gamma, 1e-6), math.inf):
            raise Wrong(f"sigma_max={sigma_max}, gamma={gamma}: does this bound ever fall below the share?")
    if not is_number(answer(0.0, 1.0, 1e-6), 0):
        raise Wrong("sigma_max=0: the gradient is gone after one step, but at lag 0 it is whole.")


@exercise("3.3.2")
def check_surely_vanishes(answer) -> None:
    """Does the spectral norm prove that the gradient vanishes?"""
    expect_callable(answer, 2)
    nilpotent = torch.tensor([[2.0, 2.0], [-2.0, -2.0]], dtype=torch.float64)
    Q = torch.linalg.qr(random_matrix(0, 5, 5))[0]
    cases = [(0.9 * Q, "tanh"), (1.1 * Q, "tanh"), (0.9 * Q, "relu"), (3.6 * Q, "sigmoid"), (4.4 * Q, "sigmoid")]
    cases += [(nilpotent, "relu"), (Q, "relu"), (0.3 * nilpotent, "tanh"), (0.2 * nilpotent, "tanh")]
    cases += [(torch.diag(torch.tensor([0.9, -0.9, 0.9], dtype=torch.float64)), "tanh"), (-1.5 * Q, "tanh")]
    for W_hh, activation in cases:
        sigma = torch.linalg.matrix_norm(W_hh, 2).item()
        expected = GAMMA[activation] * sigma < 1 - 1e-9
        found = answer(W_hh.clone(), activation)
        case = f"{activation}, a matrix with largest singular value {sigma:.2f}"
        expect_bool(found, case)
        if found == expected:
            continue
        if activation == "sigmoid":
            raise Wrong(f"{case}: how steep is the sigmoid at most?")
        if found and torch.linalg.eigvals(W_hh).abs().max() < 1 - 1e-9:
            raise Wrong(f"{case}: small eigenvalues prove nothing for a nonlinear network; the norm does.")
        raise Wrong(f"{case}: {found} is not what (3) says.")


@exercise("3.3.3")
def check_relu_jacobian(answer) -> None:
    """The Jacobian of one step of a ReLU network."""
    expect_callable(answer, 5)
    for seed, (d, n) in enumerate([(2, 3), (1, 6), (4, 4), (3, 1)]):
        W_xh, W_hh, b_h = (random_matrix(10 * seed + i, *shape) for i, shape in enumerate([(n, d), (n, n), (n,)]))
        x_t, h = random_matrix(10 * seed + 3, d), random_matrix(10 * seed + 4, n).abs()
        a_t = W_xh @ x_t + W_hh @ h + b_h
        expected = (a_t > 0).double()[:, None] * W_hh
        found = answer(h.clone(), x_t, W_xh, W_hh.clone(), b_h)
        case = f"{d} input(s), {n} unit(s)"
        if matches(found, expected):
            continue
        if matches(found, W_hh):
            raise Wrong(f"{case}: this is W_hh alone; which units are switched on?")
        if n > 1 and matches(found, expected.T):
            raise Wrong(f"{case}: this is the transpose; row i belongs to unit i of the state after the step.")
        if n > 1 and matches(found, W_hh * (a_t > 0).double()):
            raise Wrong(f"{case}: a unit that is off has a row of zeros, not a column.")
        if n > 1 and matches(found, (h > 0).double()[:, None] * W_hh):
            raise Wrong(f"{case}: the slope is taken at the sum before the activation, not at the old state.")
        expect_tensor(found, expected, case)


@exercise("3.3.4")
def check_clip(answer) -> None:
    """Clipping by the norm of a whole list of gradients."""
    expect_callable(answer, 2)
    lists = [[random_matrix(1, 3, 2), random_matrix(2, 4)], [random_matrix(3, 5), None, random_matrix(4, 2, 2, 3)]]
    lists += [[random_matrix(5, 1)], [torch.zeros(3, dtype=torch.float64)], [None, 0.01 * random_matrix(6, 2, 2)]]
    for gradients in lists:
        present = [g for g in gradients if g is not None]
        norm = math.sqrt(sum(g.square().sum().item() for g in present))
        for c in (0.1, 1.0, 100.0):
            factor = min(1.0, c / norm) if norm > 0 else 1.0
            given = [None if g is None else g.clone() for g in gradients]
            found = answer(given, c)
            case = f"{len(gradients)} entries of total norm {norm:.3g}, c={c}"
            if any(g is not None and not torch.equal(g, old) for g, old in zip(given, gradients, strict=True)):
                raise Wrong(f"{case}: you changed the tensors that were given; return new ones.")
            if not isinstance(found, (list, tuple)) or len(found) != len(gradients):
                raise Wrong(f"{case}: return a list as long as the one given.")
            if any((g is None) != (f is None) for g, f in zip(gradients, found, strict=True)):
                raise Wrong(f"{case}: None stays None, and a tensor stays a tensor.")
            kept = [f for f in found if f is not None]
            _recognise_clipping(kept, present, norm, c, case)
            for i, (f, g) in enumerate(zip(kept, present, strict=True)):
                expect_tensor(f, factor * g, f"{case}, tensor {i}")


def _recognise_clipping(found, gradients, norm: float, c: float, case: str) -> None:
    """Raise with a hint if ``found`` is one of the usual mistakes."""

    def same(expected) -> bool:
        return all(matches(f, e) for f, e in zip(found, expected, strict=True))

    if same([g * min(1.0, c / max(norm, 1e-300)) for g in gradients]):
        return
    if norm < c and same([g * c / max(norm, 1e-300) for g in gradients]):
        raise Wrong(f"{case}: a gradient that is short enough stays as it is; yours was made longer.")
    if same([g.clamp(-c, c) for g in gradients]):
        raise Wrong(f"{case}: this is clipping by value, entry by entry; it changes the direction.")
    if same([g * min(1.0, c / max(g.norm().item(), 1e-300)) for g in gradients]):
        raise Wrong(f"{case}: there is one norm for all tensors together, not one for each.")
    total = sum(g.norm().item() for g in gradients)
    if same([g * min(1.0, c / max(total, 1e-300)) for g in gradients]):
        raise Wrong(f"{case}: norms do not add up; their squares do.")


@exercise("3.3.5")
def check_with_radius(answer) -> None:
    """Rescaling a matrix to a spectral radius."""
    expect_callable(answer, 2)
    rotation = torch.tensor([[0.0, -2.0], [2.0, 0.0]], dtype=torch.float64)
    matrices = [random_matrix(1, 6, 6), rotation, torch.diag(torch.tensor([0.5, -3.0], dtype=torch.float64))]
    matrices += [random_matrix(2, 3, 3), torch.tensor([[-0.2]], dtype=torch.float64)]
    for W in matrices:
        for radius in (0.9, 1.0, 0.1):
            eigenvalues = torch.linalg.eigvals(W)
            found = answer(W.clone(), radius)
            case = f"a matrix of {len(W)} rows, radius={radius}"
            expected = W * radius / eigenvalues.abs().max()
            if not matches(found, expected):
                if matches(found, W * radius / torch.linalg.matrix_norm(W, 2)):
                    raise Wrong(f"{case}: this sets the largest singular value; the radius is about eigenvalues.")
                if matches(found, W * radius):
                    raise Wrong(f"{case}: the matrix has a spectral radius of its own already.")
                if matches(found, W * radius / eigenvalues.real.max()):
                    raise Wrong(f"{case}: eigenvalues may be negative or complex; what counts is their modulus.")
                if matches(found, W * radius / W.norm()):
                    raise Wrong(f"{case}: this sets the Frobenius norm; the radius is about eigenvalues.")
            expect_tensor(found, expected, case)


@exercise("3.3.6")
def check_start_irnn(answer) -> None:
    """The start of Le, Jaitly and Hinton in nn.RNN."""
    expect_callable(answer, 2)
    for d, n, scale in [(2, 5, 1.0), (3, 4, 0.5)]:
        with torch.random.fork_rng():
            torch.manual_seed(n)
            rnn = nn.RNN(d, n, nonlinearity="relu", dtype=torch.float64)
        inputs = rnn.weight_ih_l0.detach().clone()
        answer(rnn, scale)
        case = f"{n} units, scale={scale}"
        for name in ("bias_ih_l0", "bias_hh_l0"):
            if getattr(rnn, name).any():  # NaN counts, too
                raise Wrong(f"{case}: {name} is not zero. nn.RNN has two bias vectors.")
        if matches(rnn.weight_hh_l0.detach(), torch.full((n, n), scale, dtype=torch.float64)):
            raise Wrong(f"{case}: all entries of W_hh are {scale}; the identity has zeros beside its diagonal.")
        if scale != 1 and matches(rnn.weight_hh_l0.detach(), torch.eye(n, dtype=torch.float64)):
            raise Wrong(f"{case}: you did not use the scale.")
        expect_tensor(rnn.weight_hh_l0.detach(), scale * torch.eye(n, dtype=torch.float64), f"{case}, W_hh")
        if not torch.equal(rnn.weight_ih_l0.detach(), inputs):
            raise Wrong(f"{case}: the input weights should stay as they were.")
        if len(list(rnn.parameters())) != 4 or not all(p.requires_grad and p.is_leaf for p in rnn.parameters()):
            raise Wrong(
                f"{case}: all four parameters should still be trainable; change their values, not the parameters."
            )


@exercise("3.3.7")
def check_forget_bias(answer) -> None:
    """The bias that gives a forget gate a half-life."""
    expect_callable(answer, 1)
    for half_life in (2.0, 10.0, 100.0, 3.7, 1.0, 0.5):
        f = 0.5 ** (1 / half_life)
        expected = math.log(f / (1 - f))
        found = answer(half_life)
        case = f"half_life={half_life}"
        if is_number(found, f) and half_life > 1:
            raise Wrong(f"{case}: this is the gate itself; the bias stands inside the sigmoid.")
        if is_number(found, -expected) and half_life > 1:
            raise Wrong(f"{case}: the sign is turned round; a longer memory needs a larger bias.")
        decay = math.exp(-1 / half_life)
        if is_number(found, math.log(decay / (1 - decay))):
            raise Wrong(f"{case}: with your bias 1/e is left at that lag; a half is wanted.")
        if half_life > 1 and is_number(found, math.log(half_life - 1)):
            raise Wrong(f"{case}: this makes f = 1 - 1/half_life, which leaves about 1/e at that lag.")
        expect_number(found, expected, case)
