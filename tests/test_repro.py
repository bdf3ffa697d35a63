"""Tests of utils.repro: seeds repeat every generator, thread numbers and device names are checked."""

import random

import numpy as np
import pytest
import torch

from utils import repro


def draw():
    """One number from each generator that the book seeds."""
    return random.random(), float(np.random.rand()), float(torch.rand(1, dtype=torch.float64))


def test_a_seed_repeats_python_numpy_and_torch():
    repro.seed_everything(7)
    first = draw()
    second = draw()
    repro.seed_everything(7)
    assert draw() == first
    assert all(a != b for a, b in zip(first, second, strict=True))
    repro.seed_everything(8)
    assert all(a != b for a, b in zip(draw(), first, strict=True))


@pytest.mark.parametrize("seed", [0, 2**32 - 1])
def test_the_smallest_and_largest_seed_work(seed):
    repro.seed_everything(seed)
    assert torch.initial_seed() == seed


@pytest.mark.parametrize("seed", [-1, 2**32, 1.0, "1", None, True])
def test_a_seed_that_some_generator_refuses_is_refused(seed):
    with pytest.raises(ValueError, match=r"seed must be a whole number from 0 to 4294967295"):
        repro.seed_everything(seed)


@pytest.mark.parametrize(
    ("argument", "variable", "expected"), [(None, None, 1), (None, "2", 2), (2, None, 2), (2, "1", 2), (1, "2", 1)]
)
def test_threads_come_from_the_argument_then_the_variable_then_one(monkeypatch, argument, variable, expected):
    monkeypatch.delenv(repro.THREADS_VARIABLE, raising=False)
    if variable is not None:
        monkeypatch.setenv(repro.THREADS_VARIABLE, variable)
    torch.set_num_threads(2 if expected == 1 else 1)  # so that doing nothing would show
    repro.seed_everything(0, threads=argument)
    assert torch.get_num_threads() == expected
    assert repro.set_threads(argument) == expected


@pytest.mark.parametrize(
    ("argument", "variable"), [(0, None), (-1, None), (None, "many"), (None, "0"), (None, ""), (None, "1.5")]
)
def test_a_bad_number_of_threads_names_the_variable(monkeypatch, argument, variable):
    monkeypatch.delenv(repro.THREADS_VARIABLE, raising=False)
    if variable is not None:
        monkeypatch.setenv(repro.THREADS_VARIABLE, variable)
    with pytest.raises(ValueError, match=repro.THREADS_VARIABLE):
        repro.set_threads(argument)
    assert torch.get_num_threads() == 1


@pytest.mark.parametrize(("cuda", "expected"), [(True, "cuda"), (False, "cpu")])
def test_auto_takes_cuda_if_there_is_one(monkeypatch, cuda, expected):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    assert repro.pick_device() == torch.device(expected)


def test_a_device_by_name():
    assert repro.pick_device("cpu") == torch.device("cpu")


@pytest.mark.parametrize("name", ["nonsense", "cuda:99", ""])
def test_a_device_that_is_not_here_says_what_to_try(name):
    with pytest.raises(ValueError, match=rf"device '{name}' cannot be used here \(.+\); try 'cpu' or 'auto'"):
        repro.pick_device(name)
