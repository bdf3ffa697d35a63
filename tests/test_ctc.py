"""CTC: the loss against every alignment, the search against every labelling, and errors that say what to do."""

import itertools
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from utils.models import ctc


def random_log_probs(T, labels, seed, scale=1.5):
    generator = torch.Generator().manual_seed(seed)
    return (scale * torch.randn(T, labels, generator=generator, dtype=torch.float64)).log_softmax(dim=-1)


def by_enumeration(log_probs):
    """log p of every labelling, from all paths."""
    T, V = log_probs.shape
    found = {}
    for path in itertools.product(range(V), repeat=T):
        said = tuple(ctc.collapse(path))
        log_p = float(log_probs[torch.arange(T), torch.tensor(path)].sum())
        found.setdefault(said, []).append(log_p)
    return {said: float(torch.logsumexp(torch.tensor(terms, dtype=torch.float64), 0)) for said, terms in found.items()}


def padded(rows):
    width = max([len(row) for row in rows] + [1])
    return torch.tensor([list(row) + [0] * (width - len(row)) for row in rows])


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ([], []),
        ([0, 0, 0], []),
        ([1, 1, 0, 2], [1, 2]),
        ([1, 0, 1], [1, 1]),
        ([1, 1, 1], [1]),
        ([0, 3, 3, 0, 0, 3, 2, 2, 0], [3, 3, 2]),
    ],
)
def test_collapse(path, said):
    assert ctc.collapse(path) == said


@given(st.lists(st.integers(0, 3), max_size=8))
def test_no_path_says_more_than_its_steps_allow(path):
    said = ctc.collapse(path)
    assert ctc.steps_needed(padded([said])).item() <= len(path)
    spelled = [
        label for i, label in enumerate(said) for label in ([0, label] if i and said[i - 1] == label else [label])
    ]
    assert ctc.collapse(spelled) == said
    assert ctc.steps_needed(padded([said])).item() == len(spelled)


@pytest.mark.parametrize("seed", range(3))
def test_loss_is_the_sum_over_all_paths(seed):
    log_probs = random_log_probs(5, 3, seed)
    every = by_enumeration(log_probs)
    assert math.isclose(sum(map(math.exp, every.values())), 1.0, rel_tol=1e-12)  # the labellings share all probability
    for said, log_p in every.items():
        found = ctc.ctc_loss(log_probs.unsqueeze(0), torch.tensor([5]), padded([said]))
        assert math.isclose(float(found), -log_p, rel_tol=1e-10)


@given(st.data())
def test_loss_of_a_batch_is_the_sum_of_its_items(data):
    lengths = data.draw(st.lists(st.integers(1, 7), min_size=1, max_size=4))
    rows = [data.draw(st.lists(st.integers(1, 3), max_size=n)) for n in lengths]
    rows = [r if ctc.steps_needed(padded([r])).item() <= n else [] for r, n in zip(rows, lengths, strict=True)]
    log_probs = torch.stack([random_log_probs(7, 4, seed) for seed in range(len(lengths))]).requires_grad_()
    total = ctc.ctc_loss(log_probs, torch.tensor(lengths), padded(rows))
    (grad,) = torch.autograd.grad(total, log_probs)
    alone = 0.0
    for i, (n, row) in enumerate(zip(lengths, rows, strict=True)):
        one = log_probs[i : i + 1, :n].detach().requires_grad_()
        loss = ctc.ctc_loss(one, torch.tensor([n]), padded([row]))
        alone += loss.item()
        torch.testing.assert_close(grad[i, :n], torch.autograd.grad(loss, one)[0][0], rtol=0, atol=1e-10)
        assert grad[i, n:].eq(0).all()
    assert math.isclose(total.item(), alone, rel_tol=1e-10, abs_tol=1e-10)


@pytest.mark.parametrize(
    ("row", "steps", "message"),
    [
        ([1, 2, 3], 2, "need 3 steps"),
        ([1, 1], 2, "need 3 steps"),
        ([2, 2, 2], 4, "need 5 steps"),
        ([1, 0, 2], 3, "only behind"),
    ],
)
def test_what_cannot_be_said_is_refused(row, steps, message):
    log_probs = torch.zeros(2, steps, 4).log_softmax(dim=-1)
    targets = padded([[1], row])
    with pytest.raises(ValueError, match=r"item 1: .*" + message):
        ctc.ctc_loss(log_probs, torch.tensor([steps, steps]), targets)
    if "need" in message:  # torch alone gives an infinite loss and lets training go on
        raw = F.ctc_loss(log_probs[1:].transpose(0, 1), targets[1:], torch.tensor([steps]), torch.tensor([len(row)]))
        assert raw.isinf()


# ---------------------------------------------------------------- search


@pytest.mark.parametrize("seed", range(4))
def test_a_wide_beam_is_exhaustive(seed):
    log_probs = random_log_probs(5, 3, seed)
    every = by_enumeration(log_probs)
    found = ctc.prefix_beam_search(log_probs, width=len(every))
    assert [said for said, _ in found] == sorted(every, key=every.get, reverse=True)
    assert all(math.isclose(score, every[said], rel_tol=1e-10) for said, score in found)


@pytest.mark.parametrize("seed", range(4))
def test_a_wide_beam_is_exhaustive_with_a_language_too(seed):
    log_probs = random_log_probs(5, 3, seed)
    language = lambda said: 0.7 * len(said) - 2.0 * sum(label == 1 for label in said)  # noqa: E731
    every = {said: log_p + language(said) for said, log_p in by_enumeration(log_probs).items()}
    best, score = ctc.prefix_beam_search(log_probs, width=len(every), language=language)[0]
    assert best == max(every, key=every.get)
    assert math.isclose(score, every[best], rel_tol=1e-10)


def test_a_narrow_beam_beats_the_best_path():
    """The best path says nothing, but more probability lies on the paths that say 1."""
    log_probs = torch.tensor([[0.6, 0.4], [0.6, 0.4]]).log()
    assert ctc.collapse(log_probs.argmax(dim=-1).tolist()) == []
    (said, score), *_ = ctc.prefix_beam_search(log_probs, width=2)
    assert said == (1,)
    assert math.isclose(math.exp(score), 1 - 0.36, rel_tol=1e-6)


def test_the_beam_is_at_most_as_wide_as_asked_and_at_least_one():
    assert len(ctc.prefix_beam_search(random_log_probs(9, 4, 0), width=3)) == 3
    assert ctc.prefix_beam_search(torch.empty(0, 3), width=3) == [((), 0.0)]
    with pytest.raises(ValueError, match="width >= 1"):
        ctc.prefix_beam_search(random_log_probs(3, 3, 0), width=0)


def test_a_language_can_forbid():
    forbid = lambda said: ctc.NEVER if 1 in said else 0.0  # noqa: E731
    found = ctc.prefix_beam_search(random_log_probs(5, 3, 0), width=50, language=forbid)
    assert {label for said, _ in found for label in said} == {2}


def test_impossible_steps_are_no_trouble():
    log_probs = torch.tensor([[0.0, 1.0], [1.0, 0.0], [0.0, 1.0]]).log()  # with minus infinities
    assert ctc.prefix_beam_search(log_probs, width=4)[0] == ((1, 1), 0.0)


# ---------------------------------------------------------------- the model


def model(**options):
    torch.manual_seed(0)
    return ctc.AcousticModel(3, 5, 4, **options).double().eval()


@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])
def test_chunks_with_a_carried_state_give_what_the_whole_gives(cell):
    streaming, x = model(cell=cell, num_layers=2), torch.randn(2, 11, 3, dtype=torch.float64)
    whole, _ = streaming(x)
    state, parts = None, []
    for chunk in x.split([1, 4, 2, 4], dim=1):
        log_probs, state = streaming(chunk, state=state)
        parts.append(log_probs)
    torch.testing.assert_close(torch.cat(parts, dim=1), whole, rtol=0, atol=1e-12)


def test_both_directions_cannot_stream():
    both, x = model(bidirectional=True), torch.randn(1, 6, 3, dtype=torch.float64)
    _, state = both(x)
    with pytest.raises(ValueError, match="cannot go on"):
        both(x, state=state)


def test_inputs_are_standardised_by_the_training_frames():
    frames = torch.randn(500, 3) * torch.tensor([1.0, 5.0, 0.0]) + 7
    with_frames, without = model(frames=frames), model()
    x = frames[None, :20].double()
    expected = without((x - with_frames.mean) / with_frames.spread)[0]
    torch.testing.assert_close(with_frames(x)[0], expected, rtol=0, atol=1e-12)
    assert {"mean", "spread"} <= set(with_frames.state_dict())  # a checkpoint knows them
    assert with_frames.spread[2] > 0  # a band that never changes divides by no zero


def test_recognise_keeps_the_order_and_the_lengths():
    both = model(bidirectional=True)
    with torch.no_grad():
        both.out.weight.mul_(20)
    items = [torch.randn(n, 3, dtype=torch.float64) * 3 for n in (4, 9, 1, 12, 6)]
    found = ctc.recognise(both, items, batch_size=2)
    assert found == [ctc.collapse(both(x[None])[0][0].argmax(dim=-1).tolist()) for x in items]
    assert any(found)
