"""Tests of utils.metrics against scikit-learn, by hand, and by what the losses are for."""

import numpy as np
import pytest
import torch
from sklearn.metrics import mean_absolute_error, mean_pinball_loss

from utils.metrics import coverage, mae, pinball_loss

LEVELS = torch.tensor([0.1, 0.5, 0.9], dtype=torch.float64)


@pytest.fixture
def numbers():
    return np.random.default_rng(0).normal(size=(3, 50, 4))


def test_mae_is_scikit_learns(numbers):
    forecast, actual, _ = numbers
    assert mae(forecast, actual) == pytest.approx(mean_absolute_error(actual.ravel(), forecast.ravel()), rel=1e-12)
    per_column = mean_absolute_error(actual, forecast, multioutput="raw_values")
    np.testing.assert_allclose(mae(forecast, actual, axis=0), per_column, rtol=1e-12)
    assert mae(forecast, actual, axis=(0, 1)) == pytest.approx(per_column.mean())


def test_missing_values_do_not_count_in_mae(numbers):
    forecast, actual, _ = numbers
    gone = np.random.default_rng(1).random(actual.shape) < 0.3
    actual[gone] = np.nan
    forecast[gone & (np.arange(4) == 0)] = np.nan  # nothing was due there
    assert mae(forecast, actual) == pytest.approx(np.abs(forecast - actual)[~gone].mean())
    for column, value in enumerate(mae(forecast, actual, axis=0)):
        kept = ~gone[:, column]
        assert value == pytest.approx(mean_absolute_error(actual[kept, column], forecast[kept, column]))


def test_lists_and_whole_numbers_are_measured():
    assert mae([1, 2, 3], [2, 2, 5]) == 1
    assert coverage([0, 0, 0], [2, 2, 2], [1, 2, 5]) == pytest.approx(2 / 3)


def test_coverage_by_hand():
    actual = np.array([0.0, 1.0, 2.0, 3.0, np.nan, 5.0])
    lower = np.array([0.0, 1.1, 1.0, 2.0, 9.0, 6.0])  # in (at the edge), below, in, in, missing, below
    upper = np.array([0.0, 2.0, 2.0, 9.0, 9.9, 7.0])
    assert coverage(lower, upper, actual) == pytest.approx(3 / 5)
    assert coverage(lower - 99, upper + 99, actual) == 1
    assert coverage(lower + 99, upper + 99, actual) == 0


def test_coverage_of_the_right_quantiles_is_their_distance():
    actual = np.arange(1000.0)
    assert coverage(np.full(1000, 99.5), np.full(1000, 899.5), actual) == pytest.approx(0.8)


MEASURES = [mae, lambda forecast, actual: coverage(forecast, forecast, actual)]


@pytest.mark.parametrize("measure", MEASURES)
def test_arguments_that_cannot_be_measured_are_refused(measure):
    with pytest.raises(ValueError, match=r"forecast \(3,\) and actual \(4,\) differ in shape"):
        measure(np.zeros(3), np.zeros(4))
    with pytest.raises(ValueError, match=r"forecast \(3, 1\) and actual \(3,\) differ"):  # would broadcast
        measure(np.zeros((3, 1)), np.zeros(3))
    with pytest.raises(ValueError, match="nothing to measure"):
        measure(np.zeros(3), np.full(3, np.nan))
    with pytest.raises(ValueError, match="nothing to measure"):
        measure([], [])
    with pytest.raises(ValueError, match="forecast holds NaN"):
        measure(np.array([1.0, np.nan]), np.array([1.0, 2.0]))


def test_either_bound_of_an_interval_may_not_be_missing():
    whole, holed = np.zeros(2), np.array([0.0, np.nan])
    for bounds in ((whole, holed), (holed, whole)):
        with pytest.raises(ValueError, match="forecast holds NaN"):
            coverage(*bounds, whole)
    with pytest.raises(ValueError, match="differ in shape"):
        coverage(whole, np.zeros(3), whole)


def test_pinball_loss_is_scikit_learns(numbers):
    forecast, actual = torch.tensor(numbers[0, :, :3]), torch.tensor(numbers[1, :, 0])
    total, count = pinball_loss(forecast, actual, LEVELS)
    by_level = [mean_pinball_loss(actual, forecast[:, i], alpha=float(q)) for i, q in enumerate(LEVELS)]
    assert float(total / count) == pytest.approx(np.mean(by_level), rel=1e-12)
    assert int(count) == 150
    alone = pinball_loss(forecast[:, 1:2], actual, LEVELS[1:2])
    assert float(alone[0] / alone[1]) == pytest.approx(mae(forecast[:, 1].numpy(), actual.numpy()) / 2, rel=1e-12)


def test_pinball_loss_by_hand():
    # too low by 2 at level 0.9: 1.8; too high by 2: 0.2; exact: 0
    total, count = pinball_loss(torch.tensor([[1.0], [5.0], [3.0]]), torch.full((3,), 3.0), torch.tensor([0.9]))
    assert float(total) == pytest.approx(2.0)
    assert int(count) == 3


def test_missing_values_count_neither_in_the_pinball_loss_nor_in_its_gradient(numbers):
    forecast = torch.tensor(numbers[0, :, :3], requires_grad=True)
    actual = torch.tensor(numbers[1, :, 0])
    actual[::4] = torch.nan
    kept = ~actual.isnan()
    total, count = pinball_loss(forecast, actual, LEVELS)
    expected, expected_count = pinball_loss(forecast[kept], actual[kept], LEVELS)
    assert float(total.detach()) == pytest.approx(float(expected.detach()))
    assert int(count) == int(expected_count) == 3 * int(kept.sum())
    total.backward()
    assert torch.equal(forecast.grad[~kept], torch.zeros_like(forecast.grad[~kept]))
    assert forecast.grad[kept].ne(0).all()


def test_any_number_of_leading_dimensions():
    forecast, actual = torch.zeros(2, 5, 7, 3, dtype=torch.float64), torch.ones(2, 5, 7, dtype=torch.float64)
    total, count = pinball_loss(forecast, actual, LEVELS)
    assert float(total) == pytest.approx(2 * 5 * 7 * 1.5)
    assert int(count) == 2 * 5 * 7 * 3


@pytest.mark.parametrize("shape", [(50,), (50, 2), (3, 50), (50, 1), (1, 3)])
def test_pinball_loss_refuses_shapes_that_would_broadcast(shape):
    with pytest.raises(ValueError, match=r"expected forecasts \(50, 3\), found"):
        pinball_loss(torch.zeros(shape), torch.zeros(50), LEVELS)


@pytest.mark.parametrize("level", [0.1, 0.5, 0.9])
def test_the_minimum_of_the_pinball_loss_is_the_quantile(level):
    sample = torch.tensor(np.random.default_rng(3).gamma(2.0, size=999))
    levels = torch.tensor([level], dtype=torch.float64)
    losses = [float(pinball_loss(guess.expand(999, 1), sample, levels)[0]) for guess in sample]
    best = sample[int(np.argmin(losses))].item()
    assert best == np.quantile(sample.numpy(), level, method="inverted_cdf")
    slopes = []  # the gradient leads there from either side
    for start in (best - 0.5, best + 0.5):
        guess = torch.tensor([start], dtype=torch.float64, requires_grad=True)
        pinball_loss(guess.expand(999, 1), sample, levels)[0].backward()
        slopes.append(guess.grad.item())
    assert slopes[0] < 0 < slopes[1]
