"""The parallel scan is the loop: values and gradients, real and complex, in logarithms, and in the minGRU."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from utils.parallel import MinGRU, scan, scan_log

DTYPES = [torch.float64, torch.complex128]
shapes = st.tuples(st.integers(1, 3), st.integers(1, 40), st.integers(1, 3))


def loop(a, b, h=0.0):
    states = []
    for t in range(b.shape[1]):
        h = a[:, t] * h + b[:, t]
        states.append(h)
    return torch.stack(states, dim=1)


def draw(seed, *sizes, dtype=torch.float64):
    return torch.randn(*sizes, dtype=dtype, generator=torch.Generator().manual_seed(seed))


@settings(deadline=None, max_examples=60)
@given(shape=shapes, dtype=st.sampled_from(DTYPES), seed=st.integers(0, 10**6), started=st.booleans())
def test_scan_is_the_loop_in_values_and_gradients(shape, dtype, seed, started):
    B, _, n = shape
    a, b, weight = (draw(seed + k, *shape, dtype=dtype) for k in range(3))
    h_0 = draw(seed + 3, B, n, dtype=dtype) if started else None
    inputs = [v.requires_grad_() for v in (a, b, h_0) if v is not None]
    both = scan(*inputs), loop(*inputs)
    size = float(both[1].detach().abs().max()) + 1
    assert torch.allclose(*both, atol=1e-12 * size)
    slopes = [torch.autograd.grad((h * weight).sum().abs(), inputs) for h in both]
    for mine, due in zip(*slopes, strict=True):
        assert torch.allclose(mine, due, rtol=1e-6, atol=1e-10 * (float(due.abs().max()) + 1))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("T", [1, 2, 7])
def test_gradients_of_first_and_second_order(dtype, T):
    inputs = [draw(k, 2, T, 2, dtype=dtype).requires_grad_() for k in range(2)]
    inputs.append(draw(3, 2, 2, dtype=dtype).requires_grad_())
    assert torch.autograd.gradcheck(scan, inputs)
    assert torch.autograd.gradgradcheck(scan, inputs)


def test_scan_broadcasts_and_mixes_real_with_complex():
    a, b = draw(1, 1, 1, 4, dtype=torch.complex128), draw(2, 3, 9, 4)
    assert torch.allclose(scan(a, b), loop(a.expand(3, 9, 4), b))
    deep = draw(3, 2, 5, 3, 4), draw(4, 2, 5, 3, 4)
    assert torch.allclose(scan(*deep), loop(*deep))


def test_scan_leaves_its_inputs_alone():
    a, b = draw(1, 2, 6, 3), draw(2, 2, 6, 3)
    kept = a.clone(), b.clone()
    scan(a, b, draw(3, 2, 3))
    assert torch.equal(a, kept[0])
    assert torch.equal(b, kept[1])


@pytest.mark.parametrize("shape", [(3,), (2, 0, 3)])
def test_scan_says_what_it_wants(shape):
    with pytest.raises(ValueError, match="T >= 1"):
        scan(torch.ones(shape), torch.ones(shape))


@settings(deadline=None, max_examples=40)
@given(shape=shapes, seed=st.integers(0, 10**6))
def test_scan_of_logarithms_is_the_loop(shape, seed):
    log_a, log_b = (draw(seed + k, *shape).requires_grad_() for k in range(2))
    both = scan_log(log_a, log_b), loop(log_a.exp(), log_b.exp()).log()
    assert torch.allclose(*both, atol=1e-10)
    slopes = [torch.autograd.grad(h.sum(), (log_a, log_b)) for h in both]
    for mine, due in zip(*slopes, strict=True):
        assert torch.allclose(mine, due, rtol=1e-6, atol=1e-8)


def test_scan_of_logarithms_reaches_where_numbers_end():
    log_a, log_b = torch.full((1, 400, 1), -5.0), torch.zeros(1, 400, 1)
    assert torch.isinf((-log_a.cumsum(1)).exp()).any()  # what the form without logarithms would need
    assert torch.allclose(scan_log(log_a, log_b)[0, -1], -torch.log1p(-torch.tensor([-5.0]).exp()), atol=1e-3)
    nothing = torch.full((1, 3, 1), -torch.inf)
    assert torch.equal(scan_log(log_a[:, :3], nothing), nothing)


@settings(deadline=None, max_examples=20)
@given(B=st.integers(1, 3), T=st.integers(1, 20), d=st.integers(1, 4), n=st.integers(1, 5), started=st.booleans())
def test_mingru_step_by_step_is_mingru_at_once(B, T, d, n, started):
    torch.manual_seed(B + 10 * T)
    model, x = MinGRU(d, n).double(), draw(T, B, T, d).requires_grad_()
    h_0 = draw(5, B, n) if started else None
    h, steps = h_0 if started else 0.0, []
    for x_t in x.unbind(1):
        h = model.step(x_t, h)
        steps.append(h)
    both = model(x, h_0), torch.stack(steps, dim=1)
    assert both[0].shape == (B, T, n)
    assert torch.allclose(*both, atol=1e-12)
    slopes = [torch.autograd.grad(h.square().sum(), [x, *model.parameters()]) for h in both]
    for mine, due in zip(*slopes, strict=True):
        assert torch.allclose(mine, due, atol=1e-9)


def test_mingru_cannot_look_ahead():
    torch.manual_seed(0)
    model, x = MinGRU(3, 4).double(), draw(1, 1, 12, 3)
    changed = x.clone()
    changed[:, 7:] += 1
    difference = (model(x) - model(changed)).abs().amax(dim=(0, 2))
    assert (difference[:7] == 0).all()
    assert (difference[7:] > 0).all()
