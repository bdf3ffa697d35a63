"""Show and Tell, with and without a gaze: as the papers write it, teacher forcing = step by step, beams."""

import itertools

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from utils.decoding import beam_search, generate
from utils.models.captioner import Captioner, GridEncoder

KINDS = (False, True)
Y = torch.tensor([[1, 5, 6, 2], [1, 3, 2, 0], [1, 2, 0, 0]])  # (3, 4)


def model(kind):
    torch.manual_seed(1)
    made = Captioner(nn.Identity(), 8, size=6, hidden=8, attention=kind).double()
    made.norm(torch.randn(9, 6, 2, 3).double() * 3 + 1)  # statistics that are not 0 and 1
    return made.eval()


def features():
    torch.manual_seed(2)
    return torch.randn(3, 6, 2, 3).double().requires_grad_()


@pytest.mark.parametrize("shape", [(40, 40), (64, 64), (32, 24)])
def test_the_grid_has_sixteen_cells_whose_place_is_that_of_the_pixels(shape):
    torch.manual_seed(0)
    encoder = GridEncoder(3, 8).eval()
    x = torch.randn(2, 3, *shape)
    grid = encoder(x)
    assert grid.shape == (2, 8, 4, 4)
    changed = x.clone()
    changed[:, :, -2:, :2] += 1  # below on the left
    moved = (encoder(changed) != grid).flatten(0, 1).any(dim=0)
    assert moved[3, 0]
    assert not moved[:2].any()
    assert not moved[:, 2:].any()


def annotations(m, f):
    """(B, L, 2 size + 2), cell by cell: what, where, and what the convolution says of the nine cells around."""
    n = m.norm
    what = (f - n.running_mean[:, None, None]) / (n.running_var + n.eps)[:, None, None].sqrt()
    what = what * n.weight[:, None, None] + n.bias[:, None, None]
    place = [[[-3.0] * 3, [3.0] * 3], [[-3.0, 0.0, 3.0]] * 2]
    here = torch.cat([what, torch.tensor(place).double().expand(3, 2, 2, 3)], 1)  # (B, size + 2, 2, 3)
    wide, cells = F.pad(here, (1, 1, 1, 1)), []
    for row, column in itertools.product(range(2), range(3)):
        around = wide[:, :, row : row + 3, column : column + 3].flatten(1)
        both = (around @ m.locate.weight.flatten(1).T + m.locate.bias).relu()
        cells.append(torch.cat([here[:, :, row, column], both], 1))
    return torch.stack(cells, 1)


def lstm(m, x, h, c):
    """One step, gate by gate."""
    i, f, g, o = (x @ m.weight_ih_l0.T + m.bias_ih_l0 + h @ m.weight_hh_l0.T + m.bias_hh_l0).chunk(4, 1)
    c = f.sigmoid() * c + i.sigmoid() * g.tanh()
    return o.sigmoid() * c.tanh(), c


def by_hand(m, f, y):
    values = annotations(m, f)
    glance = values.sum(1) / 6**0.5
    if m.looks:
        h, c = torch.tanh(m.init_h(glance)), torch.tanh(m.init_c(glance))
    else:
        h, c = lstm(m.rnn, m.read(glance), *torch.zeros(2, 3, 8).double())
    logits, gaze = [], []
    for token in y.T:
        e = m.embedding(token)
        h, c = lstm(m.rnn, e, h, c)
        mixed = e + m.L_h(h)
        if m.looks:
            att = m.attention
            a = att.v(torch.tanh(att.W(h).unsqueeze(1) + att.U(values))).squeeze(2).softmax(1)  # (B, L)
            mixed = mixed + m.L_z((a.unsqueeze(2) * values).sum(1))
            gaze.append(a)
        logits.append(m.out(torch.tanh(mixed)))
    return torch.stack(logits, 1), gaze


@pytest.mark.parametrize("kind", KINDS)
def test_equals_the_equations_in_values_and_gradients(kind):
    m, f = model(kind), features()
    wanted, results = [f, *m.parameters()], []
    for logits in (m(f, Y), by_hand(m, f, Y)[0]):
        loss = (logits.sin() * torch.linspace(1, 2, 8)).sum()
        results.append((logits, torch.autograd.grad(loss, wanted)))
    for found, expected in zip(*results, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-11)


@pytest.mark.parametrize("kind", KINDS)
def test_teacher_forcing_is_one_step_after_the_other(kind):
    m, f = model(kind), features()
    state, steps = m.start(f), []
    for token in Y.T:
        log_p, state = m.step(token, state)
        steps.append(log_p)
    torch.testing.assert_close(torch.stack(steps, 1), F.log_softmax(m(f, Y), 2), rtol=1e-10, atol=1e-12)


def test_the_weights_shown_are_those_used():
    m, f = model(True), features()
    weights = m.attend(f, Y)
    assert weights.shape == (3, 4, 6)
    torch.testing.assert_close(weights, torch.stack(by_hand(m, f, Y)[1], 1), rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(weights.sum(2), torch.ones(3, 4).double())


def test_the_gaze_knows_the_word_just_read():
    other = Y.clone()
    other[:, 3] = 7
    m, f = model(True), features()
    before, after = m.attend(f, Y), m.attend(f, other)
    torch.testing.assert_close(before[:, :3], after[:, :3], rtol=1e-12, atol=1e-12)
    assert (before[:, 3] - after[:, 3]).abs().sum(1).min() > 1e-6


@pytest.mark.parametrize("kind", KINDS)
def test_what_follows_a_word_does_not_reach_back(kind):
    m, f = model(kind), features()
    shorter = m(f, Y[:, :2])
    torch.testing.assert_close(m(f, Y)[:, :2], shorter, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_a_full_beam_finds_the_most_probable_caption(kind):
    m, f = model(kind), features().detach()
    found = beam_search(m.step, m.start(f), 3, start=1, end=2, max_length=2, width=64)
    for i in range(3):
        best = (-float("inf"), None)
        for length in range(3):
            for caption in itertools.product([t for t in range(8) if t != 2], repeat=length):
                tokens = torch.tensor([[1, *caption, 2]])
                log_p = m(f[i : i + 1], tokens[:, :-1]).log_softmax(2).gather(2, tokens[:, 1:, None]).sum()
                best = max(best, (float(log_p.detach()), list(caption)), key=lambda pair: pair[0])
        assert found[i][0].tokens == best[1]
        assert found[i][0].log_prob == pytest.approx(best[0], abs=1e-9)
    tokens, lengths = generate(m.step, m.start(f), torch.ones(3).long(), max_length=5, end=2)
    assert tokens.shape[0] == len(lengths) == 3


@pytest.mark.parametrize("kind", KINDS)
def test_every_parameter_learns(kind):
    m = model(kind).train()
    m(features(), Y).square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in m.parameters())


def test_with_blinkers_a_look_tells_only_what_is_in_the_cell():
    """All surroundings hidden: in training the weights of L_z for them do not matter; in use they do."""
    m, changed = model(True), model(True)
    m.blinkers = changed.blinkers = 1.0
    with torch.no_grad():
        changed.L_z.weight[:, 8:] += 1
    assert not torch.allclose(m(features(), Y), changed(features(), Y))
    torch.testing.assert_close(m.train()(features(), Y), changed.train()(features(), Y), rtol=1e-12, atol=1e-12)


def test_it_learns_to_name_what_it_sees():
    """One bright cell in a grid of six: its channel and its row are the two words."""
    torch.manual_seed(0)
    kind, cell = torch.randint(3, (128,)), torch.randint(6, (128,))
    x = torch.zeros(128, 3, 6)
    x[torch.arange(128), kind, cell] = 1
    x, y = x.view(128, 3, 2, 3), torch.stack([torch.full((128,), 1), 2 + kind, 5 + cell // 3], dim=1)
    m = Captioner(nn.Identity(), 7, size=3, hidden=16)
    optimizer = torch.optim.AdamW(m.parameters(), lr=2e-2)
    for _ in range(150):
        optimizer.zero_grad()
        F.cross_entropy(m(x, y[:, :-1]).flatten(0, 1), y[:, 1:].flatten()).backward()
        optimizer.step()
    assert (m.eval()(x, y[:, :-1]).argmax(2) == y[:, 1:]).float().mean() > 0.99


@pytest.mark.parametrize("kind", KINDS)
def test_captions_of_the_same_image_share_its_annotations(kind):
    m, f = model(kind), features()
    y = torch.stack([Y, Y.flip(0)], dim=1).flatten(0, 1)  # (6, 4): two captions of each image in turn
    assert torch.allclose(m(f, y), m(f.repeat_interleave(2, dim=0), y), atol=1e-12)
    if kind:
        assert torch.allclose(m.attend(f, y), m.attend(f.repeat_interleave(2, dim=0), y), atol=1e-12)
