"""Tests of utils.data.batches: pads and masks by definition, buckets that lose nothing and pad little."""

import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from utils import repro
from utils.data.batches import BucketSampler, mask, pad, padded_batches, torch_shuffled
from utils.data.names import Characters, load_names, split_names

lengths_of = st.lists(st.integers(1, 30), min_size=1, max_size=60)


def numbered(lengths, width=()):
    """Sequences whose numbers are all different and never 0."""
    parts = torch.arange(1, sum(lengths) + 1).split(lengths)
    return [part.view(-1, *[1 for _ in width]).expand(-1, *width) for part in parts]


def padding(batches):
    steps = sum(x.size(0) * x.size(1) for x, *_ in batches)
    return 1 - sum(int(lengths.sum()) for _, lengths, *_ in batches) / steps


# ---------------------------------------------------------------- pad and mask


@given(lengths_of, st.sampled_from([(), (2,), (2, 3)]), st.sampled_from([0, -7]))
def test_pad_keeps_every_step_and_fills_the_rest(lengths, width, value):
    sequences = numbered(lengths, width)
    x, found = pad(sequences, value)
    assert found.tolist() == lengths
    assert x.shape == (len(lengths), max(lengths), *width)
    assert x.dtype == torch.int64
    for row, sequence in zip(x, sequences, strict=True):
        assert torch.equal(row[: len(sequence)], sequence)
        assert row[len(sequence) :].eq(value).all()


@pytest.mark.parametrize("value", [0.0, 1e3, float("nan"), float("-inf")])
def test_pad_takes_any_filling_and_keeps_the_type(value):
    x, _ = pad([torch.ones(1, dtype=torch.float64), torch.ones(2, dtype=torch.float64)], value)
    torch.testing.assert_close(x, torch.tensor([[1, value], [1, 1]], dtype=torch.float64), equal_nan=True)


def test_pad_passes_gradients_to_each_sequence():
    sequences = [torch.randn(n, 2, requires_grad=True) for n in (3, 1)]
    pad(sequences)[0].mul(2).sum().backward()
    assert all(s.grad.eq(2).all() for s in sequences)


@given(lengths_of, st.integers(0, 40))
def test_mask_by_definition(lengths, time):
    found = mask(torch.tensor(lengths), time)
    assert found.tolist() == [[t < length for t in range(time)] for length in lengths]
    assert mask(torch.tensor(lengths)).shape == (len(lengths), max(lengths))
    assert mask(torch.tensor(lengths)).sum(dim=1).tolist() == lengths


@pytest.mark.parametrize("sequences", [[], [torch.ones(2), torch.ones(0)]])
def test_pad_refuses_nothing_and_empty_sequences(sequences):
    with pytest.raises(ValueError, match="none empty"):
        pad(sequences)


@pytest.mark.parametrize("lengths", [torch.tensor([]), torch.tensor(3), torch.ones(2, 2)])
def test_mask_refuses_what_is_no_vector_of_lengths(lengths):
    with pytest.raises(ValueError, match="shape"):
        mask(lengths)


# ---------------------------------------------------------------- the sampler


@given(lengths_of, st.integers(1, 9), st.integers(1, 5), st.booleans())
def test_every_item_once_per_epoch_in_batches_of_the_size(lengths, batch_size, pool, shuffle):
    sampler = BucketSampler(lengths, batch_size, pool=pool, shuffled=torch_shuffled if shuffle else None)
    for _ in range(2):
        batches = list(sampler)
        assert len(batches) == len(sampler)
        assert sorted(itertools.chain(*batches)) == list(range(len(lengths)))
        assert sum(len(batch) < batch_size for batch in batches) <= 1
        assert max(map(len, batches)) <= batch_size


@given(lengths_of, st.integers(1, 9), st.integers(1, 5))
def test_a_batch_is_a_run_of_its_sorted_pool_longest_first(lengths, batch_size, pool):
    size = batch_size * pool
    batches = list(BucketSampler(lengths, batch_size, pool=pool, shuffled=None))
    for k in range(0, len(lengths), size):
        mine = batches[k // batch_size : k // batch_size + pool]
        expected = sorted(range(k, min(k + size, len(lengths))), key=lengths.__getitem__)
        assert [i for batch in mine for i in sorted(batch)] == [
            i for at in range(0, len(expected), batch_size) for i in sorted(expected[at : at + batch_size])
        ]
    for batch in batches:
        drawn = [lengths[i] for i in batch]
        assert drawn == sorted(drawn, reverse=True)


def test_order_is_new_every_epoch_and_fixed_by_the_seed():
    sampler = BucketSampler(list(range(1, 101)) * 3, 8, pool=5)
    repro.seed_everything(3)
    first, second = list(sampler), list(sampler)
    assert first != second
    repro.seed_everything(3)
    assert [list(sampler), list(sampler)] == [first, second]
    repro.seed_everything(4)
    assert list(sampler) != first


def test_items_of_equal_length_meet_new_neighbours():
    sampler = BucketSampler([5] * 40, 4, pool=100)
    assert {frozenset(b) for b in sampler} != {frozenset(b) for b in sampler}


def test_shuffling_is_the_callers_choice():
    backwards = BucketSampler([1, 1, 1, 1], 2, shuffled=lambda items: list(items)[::-1])
    assert list(backwards) == [[1, 0], [3, 2]]
    assert list(BucketSampler(torch.tensor([1, 2, 3, 4]), 2, shuffled=None)) == [[1, 0], [3, 2]]


def test_torch_shuffled_is_a_permutation_drawn_from_torch():
    torch.manual_seed(0)
    first = torch_shuffled(range(50))
    assert sorted(first) == list(range(50)) != first
    torch.manual_seed(0)
    assert torch_shuffled(range(50)) == first


@pytest.mark.parametrize(
    ("lengths", "batch_size", "pool"), [([], 4, 2), ([3], 0, 2), ([3], 4, 0), ([3], 2.0, 1), ([3], True, 1)]
)
def test_the_sampler_refuses_sizes_that_make_no_sense(lengths, batch_size, pool):
    with pytest.raises(ValueError, match="at least"):
        BucketSampler(lengths, batch_size, pool=pool)


# ---------------------------------------------------------------- the loader


@given(lengths_of, st.integers(1, 9), st.booleans())
def test_batches_hold_the_sequences_with_their_targets(lengths, batch_size, shuffle):
    sequences, targets = numbered(lengths), torch.arange(len(lengths)) * 10
    loader = padded_batches(sequences, targets, batch_size=batch_size, shuffle=shuffle, pool=2, value=-1)
    seen = []
    for x, sizes, y in loader:
        for row, size, target in zip(x, sizes.tolist(), y.tolist(), strict=True):
            assert torch.equal(row[:size], sequences[target // 10])
            assert row[size:].eq(-1).all()
            seen.append(target // 10)
    assert sorted(seen) == list(range(len(lengths)))
    assert len(loader) == -(-len(lengths) // batch_size)


def test_without_targets_there_are_pairs_and_an_epoch_is_fixed_by_the_seed():
    loader = padded_batches(numbered([3, 1, 2, 5, 4, 4]), batch_size=2)
    repro.seed_everything(1)
    first = list(loader)
    assert all(len(batch) == 2 for batch in first)
    repro.seed_everything(1)
    for a, b in zip(first, loader, strict=True):
        torch.testing.assert_close(a, b)


def test_the_batch_sampler_tells_where_each_item_went():
    sequences, targets = numbered([4, 1, 3, 2, 6]), torch.arange(5)
    loader = padded_batches(sequences, targets, batch_size=2, shuffle=False)
    visited = torch.tensor(list(itertools.chain(*loader.batch_sampler)))
    y = torch.cat([y for *_, y in loader])
    assert torch.equal(y, visited)
    assert not torch.equal(y, targets)  # without shuffling the order is still not that of the file


def test_buckets_take_most_of_the_padding_from_the_names():
    train, *_ = split_names(load_names())
    characters = Characters(name.text for name in train)
    sequences = [characters.encode(name.text) for name in train]
    repro.seed_everything(0)
    plain, buckets = (padding(list(padded_batches(sequences, batch_size=64, pool=pool))) for pool in (1, 100))
    assert 0.55 < plain < 0.68
    assert buckets < 0.06
    assert padding(list(padded_batches(sequences, batch_size=1))) == 0


def test_the_loader_refuses_what_does_not_fit():
    with pytest.raises(ValueError, match="2 sequences, but 3 targets"):
        padded_batches(numbered([1, 2]), torch.zeros(3), batch_size=2)
    with pytest.raises(ValueError, match="the first at index 1"):
        padded_batches([torch.ones(2), torch.ones(0)], batch_size=2)
    with pytest.raises(ValueError, match="at least one item"):
        padded_batches([], batch_size=2)
    with pytest.raises(ValueError, match="batch_size"):
        padded_batches(numbered([1, 2]), batch_size=0)
