"""Encoder and decoder: attention as the papers write it, teacher forcing = step by step, pads without weight."""

import itertools

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from utils.models.seq2seq import AdditiveAttention, Encoder, MultiplicativeAttention, Seq2Seq

KINDS = (None, "additive", "multiplicative")
CELLS = ("rnn", "gru", "lstm")
X = torch.tensor([[3, 4, 5, 6, 7], [8, 9, 3, 0, 0], [4, 0, 0, 0, 0]])  # (3, 5)
LENGTHS = torch.tensor([5, 3, 1])
Y = torch.tensor([[1, 5, 6, 2], [1, 3, 2, 0], [1, 2, 0, 0]])  # (3, 4)


def attention(kind):
    torch.manual_seed(0)
    made = AdditiveAttention(6, 4, units=5) if kind == "additive" else MultiplicativeAttention(6, 4)
    return made.double()


def by_hand(module, query, values, lengths):
    """Row by row, step by step, over the real positions only."""
    contexts, weights = torch.zeros(*query.shape[:2], 4).double(), torch.zeros(*query.shape[:2], values.shape[1])
    weights = weights.double()
    for b, t in itertools.product(range(len(query)), range(query.shape[1])):
        scores = []
        for j in range(lengths[b]):
            q, k = query[b, t], values[b, j]
            if isinstance(module, AdditiveAttention):
                scores.append(
                    module.v.weight[0] @ torch.tanh(module.W.weight @ q + module.U.weight @ k + module.U.bias)
                )
            else:
                scores.append(q @ module.W.weight @ k)
        a = torch.stack(scores).softmax(0)
        weights[b, t, : lengths[b]] = a
        contexts[b, t] = a @ values[b, : lengths[b]]
    return contexts, weights


@pytest.mark.parametrize("kind", KINDS[1:])
def test_attention_equals_the_equation_in_values_and_gradients(kind):
    module = attention(kind)
    query, values = torch.randn(3, 2, 6).double().requires_grad_(), torch.randn(3, 5, 4).double().requires_grad_()
    mask = torch.arange(5) < LENGTHS.unsqueeze(1)
    inputs, results = [query, values, *module.parameters()], []
    for context, weights in (module(query, values, mask), by_hand(module, query, values, LENGTHS)):
        loss = (context.sin() * 3).sum() + (weights * torch.linspace(1, 2, 5)).sum()
        results.append((context, weights, torch.autograd.grad(loss, inputs)))
    for found, expected in zip(*results, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-12)
    weights = results[0][1]
    assert (weights.sum(2) - 1).abs().max() < 1e-12
    assert weights[~mask.unsqueeze(1).expand_as(weights)].eq(0).all()


@pytest.mark.parametrize("kind", KINDS[1:])
def test_keys_made_beforehand_change_nothing(kind):
    module, query, values = attention(kind), torch.randn(3, 2, 6).double(), torch.randn(3, 5, 4).double()
    mask = torch.ones(3, 5, dtype=torch.bool)
    for once, again in zip(module(query, values, mask), module(query, values, mask, module.keys(values)), strict=True):
        assert torch.equal(once, again)


def model(kind, cell="lstm", **more):
    torch.manual_seed(1)
    return Seq2Seq(10, 8, embedding=6, hidden=4, cell=cell, attention=kind, **more).double()


@pytest.mark.parametrize(("kind", "cell", "both"), itertools.product(KINDS, CELLS, (False, True)))
def test_teacher_forcing_is_one_step_after_the_other(kind, cell, both):
    net = model(kind, cell, bidirectional=both)
    logits = net(X, LENGTHS, Y)  # (3, 4, 8)
    assert logits.shape == (3, 4, 8)
    state, steps = net.start(X, LENGTHS), []
    for token in Y.T:
        log_p, state = net.step(token, state)
        steps.append(log_p)
    torch.testing.assert_close(torch.stack(steps, 1), F.log_softmax(logits, 2), rtol=1e-10, atol=1e-12)


def test_without_attention_the_decoder_sees_the_last_state_only():
    net = model(None, bidirectional=False)
    packed = [net.encoder.rnn(net.encoder.embedding(x[:n]).unsqueeze(0))[1] for x, n in zip(X, LENGTHS, strict=True)]
    first = tuple(torch.cat([p[i] for p in packed], dim=1) for i in range(2))  # each (1, 3, 4)
    expected = net.out(net.rnn(net.embedding(Y), first)[0])
    torch.testing.assert_close(net(X, LENGTHS, Y), expected, rtol=1e-10, atol=1e-12)
    with pytest.raises(ValueError, match="no attention to look at"):
        net.attend(X, LENGTHS, Y)


def test_the_additive_context_enters_the_cell_and_the_multiplicative_one_does_not():
    for kind, enters in (("additive", True), ("multiplicative", False)):
        net = model(kind)
        before = net.start(X, LENGTHS)
        values, mask, keys = before[1]
        _, (after, _) = net.step(Y[:, 0], before)
        _, (changed, _) = net.step(Y[:, 0], (before[0], (values + 1, mask, keys)))
        assert torch.equal(after[0], changed[0]) != enters


@pytest.mark.parametrize("kind", KINDS[1:])
def test_the_weights_shown_are_those_used(kind):
    net = model(kind)
    weights = net.attend(X, LENGTHS, Y)  # (3, 4, 5)
    assert weights.shape == (3, 4, 5)
    state = net.start(X, LENGTHS)
    values, mask, keys = state[1]
    query = state[0][0] if kind == "additive" else net.step(Y[:, 0], state)[1][0][0]
    _, first = net.attention(query.unsqueeze(1), values, mask, keys)
    torch.testing.assert_close(weights[:, :1], first, rtol=1e-10, atol=1e-12)


def test_the_bridge_fits_the_encoder_to_the_decoder():
    assert len(Encoder(10, 6, 4, bidirectional=False).bridge) == 0
    assert len(Encoder(10, 6, 4, cell="gru", state_size=8).bridge) == 0
    encoder = Encoder(10, 6, 4, state_size=5)
    values, mask, state = encoder(X, LENGTHS)
    assert values.shape == (3, 5, 8)
    assert mask.sum(1).tolist() == LENGTHS.tolist()
    assert [s.shape for s in state] == [(3, 5), (3, 5)]
    assert max(float(s.detach().abs().max()) for s in state) < 1


@pytest.mark.parametrize("kind", KINDS)
def test_tied_weights_are_one_parameter_whose_gradient_is_the_sum(kind):
    tied, free = model(kind, tie_weights=True), model(kind, tie_weights=True)
    free.out.weight = nn.Parameter(free.embedding.weight.detach().clone())
    free.load_state_dict(tied.state_dict())
    assert tied.out.weight is tied.embedding.weight
    assert sum(p.numel() for p in free.parameters()) - sum(p.numel() for p in tied.parameters()) == 8 * 6
    for net in (tied, free):
        net(X, LENGTHS, Y).sin().sum().backward()
    torch.testing.assert_close(tied.embedding.weight.grad, free.embedding.weight.grad + free.out.weight.grad)


def test_every_parameter_learns():
    for kind, cell in itertools.product(KINDS, CELLS):
        net = model(kind, cell, bidirectional=cell != "rnn")
        net(X, LENGTHS, Y).square().sum().backward()
        assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in net.parameters())


def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match="unknown attention 'luong'"):
        Seq2Seq(9, 9, attention="luong")
    with pytest.raises(ValueError, match="choose an even number"):
        Seq2Seq(9, 9, hidden=5)
    with pytest.raises(ValueError, match="unknown cell 'elman'"):
        Seq2Seq(9, 9, cell="elman")
    net = model("additive")
    for x, lengths in ((X[0], LENGTHS), (X, LENGTHS[:2]), (X, LENGTHS - 1), (X, LENGTHS + 1)):
        with pytest.raises(ValueError, match="expected tokens"):
            net(x, lengths, Y)


def test_it_learns_to_reverse():
    torch.manual_seed(0)
    x = torch.randint(2, 8, (64, 4))
    y = torch.cat([torch.ones(64, 1).long(), x.flip(1)], dim=1)
    net = Seq2Seq(8, 8, embedding=16, hidden=32, attention="multiplicative")
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-2)
    for _ in range(150):
        optimizer.zero_grad()
        logits = net(x, torch.full((64,), 4), y[:, :-1])
        nn.functional.cross_entropy(logits.flatten(0, 1), y[:, 1:].flatten()).backward()
        optimizer.step()
    assert (net(x, torch.full((64,), 4), y[:, :-1]).argmax(2) == y[:, 1:]).float().mean() > 0.99
