"""The pointer-generator: a distribution over vocabulary and source, the plain model, steps, pads, coverage."""

import itertools

import pytest
import torch
from torch.nn import functional as F

from utils.models.pointer import UNKNOWN, PointerGenerator

V = 8
X = torch.tensor([[3, 9, 4, 8, 9], [5, 8, 5, 0, 0], [8, 0, 0, 0, 0]])  # two unknown words, one unknown, one alone
LENGTHS = torch.tensor([5, 3, 1])
Y_IN = torch.tensor([[2, 9, 3, 8], [2, 8, 1, 5], [2, 5, 8, 0]])
Y_OUT = torch.tensor([[9, 3, 8, 3], [8, 1, 5, 3], [5, 8, 3, 0]])
each_kind = pytest.mark.parametrize("copy", [True, False])


def model(copy=True, **more):
    torch.manual_seed(0)
    return PointerGenerator(V, embedding=5, hidden=6, copy=copy, **more).double()


def by_hand(net):
    """Row by row and word by word, over the real positions of the source only."""
    a, p_gen = net.attend(X, LENGTHS, Y_IN)
    logits = net._decode(Y_IN, net.start(X, LENGTHS))[0]
    p = torch.zeros(3, 4, 10, dtype=torch.float64)
    for b, t in itertools.product(range(3), range(4)):
        p[b, t, :V] = p_gen[b, t] * logits[b, t].softmax(0)
        for j in range(LENGTHS[b]):
            p[b, t, X[b, j]] = p[b, t, X[b, j]] + (1 - p_gen[b, t]) * a[b, t, j]
    return p


def test_the_mixture_is_that_of_the_paper_and_sums_to_one():
    net = model()
    found = net(X, LENGTHS, Y_IN).exp()
    assert found.shape == (3, 4, 10)
    torch.testing.assert_close(found, by_hand(net), rtol=0, atol=1e-12)
    assert (found.sum(2) - 1).abs().max() < 1e-12
    assert found[1, :, 9].max() < 1e-12  # that word does not stand in the second source
    assert found[2, :, 8].min() > 1e-3


@each_kind
def test_the_short_way_gives_the_same_loss_and_gradients(copy):
    net, results = model(copy), []
    target = Y_OUT if copy else Y_OUT.where(Y_OUT < V, UNKNOWN)
    for log_p in (
        net.log_prob(X, LENGTHS, Y_IN, Y_OUT)[0],
        net(X, LENGTHS, Y_IN).gather(2, target.unsqueeze(2)).squeeze(2),
    ):
        assert log_p.isfinite().all()
        results.append((log_p, *torch.autograd.grad(log_p[Y_OUT > 0].sum(), list(net.parameters()), allow_unused=True)))
    for found, expected in zip(*results, strict=True):
        assert (found is None) == (expected is None)
        if found is not None:
            torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12)


@each_kind
def test_teacher_forcing_is_one_step_after_the_other(copy):
    net, steps = model(copy), []
    state = net.start(X, LENGTHS)
    for token in Y_IN.T:
        log_p, state = net.step(token, state)
        steps.append(log_p)
    torch.testing.assert_close(torch.stack(steps, 1), net(X, LENGTHS, Y_IN), rtol=1e-10, atol=1e-12)


def test_with_p_gen_at_one_it_is_the_model_without_copying():
    with_copy, plain = model(copy=True), model(copy=False)
    plain.load_state_dict({k: v for k, v in with_copy.state_dict().items() if not k.startswith("gate")})
    with_copy.gate.weight.data.zero_()
    with_copy.gate.bias.data.fill_(800.0)
    expected = plain(X, LENGTHS, Y_IN)
    assert expected.shape == (3, 4, V)
    torch.testing.assert_close(with_copy(X, LENGTHS, Y_IN)[:, :, :V], expected, rtol=1e-10, atol=1e-12)
    assert plain.attend(X, LENGTHS, Y_IN)[1].eq(1).all()


def test_pads_get_no_attention_and_no_copies():
    net = model()
    net.gate.weight.data.zero_()
    net.gate.bias.data.fill_(-800.0)  # copies only
    a, p_gen = net.attend(X, LENGTHS, Y_IN)
    assert a[1, :, 3:].eq(0).all()
    assert p_gen.eq(0).all()
    p = net(X, LENGTHS, Y_IN).exp()
    assert p[:, :, 0].max() < 1e-12  # the number in the padding
    assert (p[2, :, 8] - 1).abs().max() < 1e-12  # the only word there is


def test_coverage_loss_is_that_of_the_paper():
    net = model()
    a, _ = net.attend(X, LENGTHS, Y_IN)
    expected = torch.stack([torch.minimum(a[:, t], a[:, :t].sum(1)).sum(1) for t in range(4)], dim=1)
    found = net.log_prob(X, LENGTHS, Y_IN, Y_OUT)[1]
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)
    assert found[:, 0].eq(0).all()
    assert (found[2, 1:] - 1).abs().max() < 1e-12  # a source of one word is covered after one step


def test_unknown_words_are_read_alike_and_blindness_is_for_training_only():
    net = model(blind=1.0)
    net.eval()
    other = torch.where(X == 9, 8, X)
    assert torch.equal(net.attend(X, LENGTHS, Y_IN)[0], net.attend(other, LENGTHS, Y_IN)[0])
    known = torch.where(X == 3, 4, X)
    assert not torch.equal(net.attend(X, LENGTHS, Y_IN)[0], net.attend(known, LENGTHS, Y_IN)[0])
    net.train()
    assert torch.equal(net.attend(X, LENGTHS, Y_IN)[0], net.attend(known, LENGTHS, Y_IN)[0])
    assert not torch.equal(net(X, LENGTHS, Y_IN), net(known, LENGTHS, Y_IN))  # what it cannot read it can still copy


def test_it_learns_to_copy_what_it_cannot_know():
    """The target is the third word of five, all of them outside the vocabulary."""
    net = model().train()
    optimizer = torch.optim.Adam(net.parameters(), lr=0.03)
    x = torch.tensor([[8, 9, 10, 11, 12], [4, 4, 8, 9, 10], [9, 8, 3, 8, 11], [3, 8, 9, 3, 8]])
    lengths, y_in = torch.full((4,), 5), torch.full((4, 1), 2)
    for _ in range(60):
        loss = -net.log_prob(x, lengths, y_in, x[:, 2:3])[0].mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert float(loss.detach()) < 0.3
    fresh = torch.tensor([[12, 10, 8, 9, 11]])
    assert F.one_hot(net(fresh, lengths[:1], y_in[:1])[0, 0].argmax(), 13)[8] == 1
