"""Sampling follows the distribution, a beam as wide as possible is exhaustive search, nothing counts after the end."""

import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare
from torch import nn

from utils.decoding import beam_search, generate, greedy, keep, sampler, take

START, END, V = 0, 1, 4
LOGITS = st.lists(st.integers(-4, 4), min_size=1, max_size=9).map(lambda v: torch.tensor([v]).double())


# ---------------------------------------------------------------- one token


def slowly(logits, temperature, top_k, top_p):
    """The set that stays, by its definition: most probable first, of equals the first."""
    p = [math.exp(v / temperature) for v in logits]
    order = sorted(range(len(p)), key=lambda i: -p[i])[:top_k]
    whole, mass, kept = sum(p[i] for i in order), 0.0, []
    for i in order:
        if top_p is not None and mass / whole >= top_p - 1e-12:
            break
        kept, mass = [*kept, i], mass + p[i]
    return {i: p[i] / mass for i in kept}


@settings(deadline=None, max_examples=200)
@given(LOGITS, st.sampled_from([0.5, 1.0, 3.0]), st.sampled_from([None, 1, 2, 50]), st.sampled_from([None, 0.37, 0.9]))
def test_keep_is_its_definition(logits, temperature, top_k, top_p):
    before = logits.clone()
    p = keep(logits, temperature=temperature, top_k=top_k, top_p=top_p).softmax(1)[0].tolist()
    expected = slowly(logits[0].tolist(), temperature, top_k, top_p)
    assert {i for i, v in enumerate(p) if v > 0} == set(expected)
    assert all(abs(p[i] - v) < 1e-9 for i, v in expected.items())
    assert torch.equal(before, logits)


def test_without_limits_nothing_is_cut():
    logits = torch.randn(3, 7)
    assert torch.equal(keep(logits), logits)
    assert torch.equal(keep(logits, top_k=7, top_p=1.0), logits)
    assert keep(logits, top_p=1e-9).isfinite().sum(1).tolist() == [1, 1, 1]


@pytest.mark.parametrize(
    "limits", [{"temperature": 0}, {"temperature": math.nan}, {"top_k": 0}, {"top_p": 0.0}, {"top_p": 1.1}]
)
def test_limits_that_make_no_sense(limits):
    with pytest.raises(ValueError, match="expected temperature > 0"):
        keep(torch.zeros(1, 3), **limits)


@pytest.mark.parametrize("limits", [{}, {"temperature": 2.0}, {"top_k": 3}, {"top_p": 0.8}])
def test_samples_come_as_often_as_their_probability(limits):
    logits = torch.tensor([2.0, 1.0, 0.5, 0.0, -1.0])
    draws = sampler(torch.Generator().manual_seed(3), **limits)(logits.expand(20_000, -1))
    p = keep(logits, **limits).softmax(0)
    counts = torch.bincount(draws, minlength=5)
    assert counts[p == 0].sum() == 0
    expected = p[p > 0].double()
    assert chisquare(counts[p > 0].numpy(), (expected / expected.sum() * 20_000).numpy()).pvalue > 1e-3


def test_the_same_seed_draws_the_same():
    one, two = (sampler(torch.Generator().manual_seed(5))(torch.zeros(50, 9)) for _ in range(2))
    assert torch.equal(one, two)


# ---------------------------------------------------------------- whole texts


class Tiny(nn.Module):
    """A random recurrent model whose first state is its input; with a nested state."""

    def __init__(self, seed=0, vocab=V, sharp=2.0):
        super().__init__()
        torch.manual_seed(seed)
        self.E, self.cell, self.O = nn.Embedding(vocab, 5), nn.GRUCell(5, 6), nn.Linear(6, vocab)
        self.sharp = sharp
        self.double().requires_grad_(False)

    def start(self, n, seed=0):
        return (torch.randn(n, 6, generator=torch.Generator().manual_seed(seed)).double(), (torch.arange(n),))

    def step(self, tokens, state):
        h = self.cell(self.E(tokens), state[0])
        return (self.sharp * self.O(h)).log_softmax(1), (h, state[1])


def log_prob(model, state, tokens):
    total, last = 0.0, START
    for token in [*tokens, END]:
        log_p, state = model.step(torch.tensor([last]), state)
        total, last = total + float(log_p[0, token]), token
    return total


def exhaustive(model, state, max_length, power):
    """Every text of at most ``max_length`` tokens with its log-probability and score, best first."""
    others = [token for token in range(V) if token != END]
    texts = [t for n in range(max_length + 1) for t in itertools.product(others, repeat=n)]
    rows = [(list(t), log_prob(model, state, t)) for t in texts]
    scored = [(tokens, value, value / ((5 + len(tokens) + 1) / 6) ** power) for tokens, value in rows]
    return sorted(scored, key=lambda row: -row[2])


@pytest.mark.parametrize(("seed", "power"), itertools.product(range(3), (0.0, 0.6, 2.0)))
def test_a_beam_wide_enough_is_exhaustive_search(seed, power):
    model, items = Tiny(seed), 2
    state = model.start(items, seed)
    width = sum((V - 1) ** n for n in range(4))  # all texts of at most three tokens
    found = beam_search(model.step, state, items, start=START, end=END, max_length=3, width=width, length_penalty=power)
    for i in range(items):
        expected = exhaustive(model, take(state, torch.tensor([i])), 3, power)
        assert len(found[i]) == len(expected) == width
        for hypothesis, (tokens, value, score) in zip(found[i], expected, strict=True):
            assert hypothesis.tokens == tokens
            assert hypothesis.log_prob == pytest.approx(value, abs=1e-9)
            assert hypothesis.score == pytest.approx(score, abs=1e-9)


@pytest.mark.parametrize("width", [1, 2, 5])
def test_any_beam_tells_the_truth_best_first_and_is_no_worse_than_greedy(width):
    for seed in range(5):
        model = Tiny(seed)
        state = model.start(3, seed)
        beams = beam_search(model.step, state, 3, start=START, end=END, max_length=6, width=width)
        tokens, lengths = generate(model.step, state, torch.full((3,), START), end=END, max_length=6)
        for i, hypotheses in enumerate(beams):
            own = take(state, torch.tensor([i]))
            assert 1 <= len(hypotheses) <= width
            assert [h.log_prob for h in hypotheses] == sorted((h.log_prob for h in hypotheses), reverse=True)
            assert len({tuple(h.tokens) for h in hypotheses}) == len(hypotheses)
            for h in hypotheses:
                assert END not in h.tokens
                assert h.log_prob == pytest.approx(log_prob(model, own, h.tokens), abs=1e-9)
            best = exhaustive(model, own, 4, 0.0)[0]
            assert hypotheses[0].log_prob >= log_prob(model, own, tokens[i, : lengths[i]].tolist()) - 1e-9
            assert width < 5 or len(best[0]) == 4 or hypotheses[0].tokens == best[0]


def test_beams_of_a_batch_do_not_know_of_each_other():
    model = Tiny(4, sharp=4.0)
    state = model.start(6, 4)
    settings = {"start": START, "end": END, "max_length": 7, "width": 3, "length_penalty": 0.7}
    together = beam_search(model.step, state, 6, **settings)
    for i in range(6):
        (alone,) = beam_search(model.step, take(state, torch.tensor([i])), 1, **settings)
        assert [h.tokens for h in alone] == [h.tokens for h in together[i]]
        assert [h.score for h in alone] == pytest.approx([h.score for h in together[i]], abs=1e-9)


def test_a_length_penalty_favours_long_texts():
    def written(power, seed):
        model = Tiny(seed, sharp=1.0)
        beams = beam_search(
            model.step, model.start(8), 8, start=START, end=END, max_length=8, width=4, length_penalty=power
        )
        return sum(len(b[0].tokens) for b in beams)

    lengths = [sum(written(power, seed) for seed in range(4)) for power in (0.0, 3.0)]
    assert lengths[0] < lengths[1]


def counting(tokens, state):
    """Writes 2, 2, … and ends after as many tokens as the state says."""
    n = state - 1
    logits = torch.full((len(tokens), V), -50.0)
    logits[:, 2] = 0.0
    logits[n <= 0, END] = 50.0
    return logits.log_softmax(1), n


def test_nothing_counts_after_the_end():
    tokens, lengths = generate(counting, torch.tensor([1, 3, 2]), torch.zeros(3).long(), end=END, max_length=9)
    assert lengths.tolist() == [0, 2, 1]
    assert tokens.tolist() == [[1, 1, 1], [2, 2, 1], [2, 1, 1]]
    tokens, lengths = generate(counting, torch.tensor([9]), torch.zeros(1).long(), end=END, max_length=4)
    assert (tokens.tolist(), lengths.tolist()) == ([[2, 2, 2, 2]], [4])
    tokens, lengths = generate(counting, torch.tensor([1, 3]), torch.zeros(2).long(), max_length=4)
    assert lengths.tolist() == [4, 4]


def test_greedy_does_not_depend_on_the_batch():
    model = Tiny(1)
    state, first = model.start(5), torch.full((5,), START)
    together, lengths = generate(model.step, state, first, end=END, max_length=10)
    for i in range(5):
        alone, n = generate(model.step, take(state, torch.tensor([i])), first[:1], end=END, max_length=10)
        assert alone[0, : n[0]].tolist() == together[i, : lengths[i]].tolist()


def test_sampled_texts_come_as_often_as_their_probability():
    model, n = Tiny(0), 4000
    state = take(model.start(1), torch.zeros(n).long())
    choose = sampler(torch.Generator().manual_seed(0))
    tokens, lengths = generate(model.step, state, torch.full((n,), START), end=END, max_length=2, choose=choose)
    texts = [tuple(row[:k]) for row, k in zip(tokens.tolist(), lengths.tolist(), strict=True)]
    for text in {(), (2,), (3,), (0,)}:
        p = math.exp(log_prob(model, model.start(1), text))
        assert abs(texts.count(text) / n - p) < 4 * math.sqrt(p * (1 - p) / n) + 1e-9


def test_bad_arguments_are_named():
    state, first = torch.tensor([1]), torch.zeros(1).long()
    with pytest.raises(ValueError, match="max_length >= 1, found 0"):
        generate(counting, state, first, max_length=0)
    for bad in ({"width": 0}, {"max_length": 0}, {"length_penalty": -1.0}):
        with pytest.raises(ValueError, match="expected sizes of at least 1"):
            beam_search(counting, state, 1, **{"start": 0, "end": 1, "max_length": 3} | bad)
    with pytest.raises(ValueError, match="NaN"):
        beam_search(lambda t, s: (torch.full((len(t), V), math.nan), s), state, 1, start=0, end=1, max_length=3)


def test_greedy_takes_the_most_probable():
    assert greedy(torch.tensor([[0.0, 2.0, 1.0], [3.0, 2.0, 1.0]])).tolist() == [1, 0]
