"""Tests of utils.metrics against scikit-learn, by hand, and by what the losses are for."""

import numpy as np
import pytest
import torch
from sklearn.metrics import mean_absolute_error, mean_absolute_percentage_error, mean_pinball_loss

from utils.metrics import coverage, crps, diebold_mariano, mae, mape, mase, pinball_loss, widening

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


# ---------------------------------------------------------------- relative measures


def test_mape_is_scikit_learns_in_percent(numbers):
    forecast, actual, _ = numbers
    actual = actual + 10
    assert mape(forecast, actual) == pytest.approx(
        100 * mean_absolute_percentage_error(actual.ravel(), forecast.ravel()), rel=1e-12
    )
    per_column = mean_absolute_percentage_error(actual, forecast, multioutput="raw_values")  # weights its rows alike
    np.testing.assert_allclose(mape(forecast, actual, axis=0).mean(), 100 * per_column.mean(), rtol=1e-12)
    actual[0, 0] = np.nan
    assert np.isfinite(mape(forecast, actual))


def test_mape_charges_too_high_more_than_too_low_and_refuses_zero():
    assert mape([200.0], [100.0]) == 100
    assert mape([50.0], [100.0]) == 50
    with pytest.raises(ValueError, match="undefined there; use mae or mase"):
        mape([1.0, 2.0], [1.0, 0.0])


def test_mase_of_the_naive_forecast_on_its_own_training_data_is_one():
    y = np.random.default_rng(2).normal(size=60).cumsum()
    assert mase(y[:-1], y[1:], y) == pytest.approx(1)
    assert mase(y[:-7], y[7:], y, season=7) == pytest.approx(1)
    assert mase([1.0, 2.0], [2.0, 4.0], [0.0, 1.0, 3.0]) == pytest.approx(1.5 / 1.5)


@pytest.mark.parametrize(
    ("training", "season", "message"),
    [([2.0] * 9, 1, "never changes"), ([1.0, 2.0] * 4, 2, "never changes"), ([1.0, 2.0], 2, "longer than that")],
)
def test_mase_without_a_scale(training, season, message):
    with pytest.raises(ValueError, match=message):
        mase([1.0], [2.0], training, season=season)


# ---------------------------------------------------------------- Diebold and Mariano


def test_diebold_mariano_by_hand():
    d = np.array([2.0, 3.0, 1.0, 0.0, -1.0, 1.0])  # mean 1; squares of the rest add up to 10, neighbours to 4
    one, two = diebold_mariano(d + 5, np.full(6, 5.0)), diebold_mariano(d, np.zeros(6), horizon=2)
    assert one.difference == two.difference == pytest.approx(1)
    assert one.statistic == pytest.approx(np.sqrt(5 / 6) / np.sqrt(10 / 36))
    assert two.statistic == pytest.approx(np.sqrt((7 - 4 + 2 / 6) / 6) / np.sqrt(18 / 36))


def test_diebold_mariano_with_horizon_one_is_the_paired_t_test():
    from scipy import stats

    one, two = np.random.default_rng(3).normal(size=(2, 25)) ** 2
    found, reference = diebold_mariano(one, two), stats.ttest_rel(one, two)
    assert found.statistic == pytest.approx(reference.statistic)
    assert found.p_value == pytest.approx(reference.pvalue)
    back = diebold_mariano(two, one)
    assert (back.statistic, back.difference) == pytest.approx((-found.statistic, -found.difference))


def test_diebold_mariano_rejects_about_as_often_as_it_says():
    """Equal forecasts whose losses overlap over three steps: the test that ignores it rejects far too often."""
    rng, rejected = np.random.default_rng(4), {1: 0, 3: 0}
    for _ in range(600):
        d = np.convolve(rng.normal(size=82), np.ones(3), "valid")
        for horizon in rejected:
            rejected[horizon] += diebold_mariano(d, np.zeros(80), horizon).p_value < 0.05
    assert 0.02 < rejected[3] / 600 < 0.11
    assert rejected[1] / 600 > 0.18


@pytest.mark.parametrize(
    ("one", "two", "horizon", "message"),
    [
        (np.ones(9), np.ones(9), 1, "not positive"),
        (np.arange(9.0), np.full(9, np.nan), 1, "without NaN"),
        (np.arange(6.0), np.zeros(6), 3, "longer than 2"),
        (np.zeros((3, 3)), np.ones((3, 3)), 1, "expected two series"),
    ],
)
def test_diebold_mariano_refuses(one, two, horizon, message):
    with pytest.raises(ValueError, match=message):
        diebold_mariano(one, two, horizon)


def test_crps_of_many_levels_is_that_of_the_normal_distribution():
    from scipy.stats import norm

    levels = (np.arange(2000) + 0.5) / 2000
    actual = np.array([-1.0, 0.3, 2.0, np.nan])
    forecast = np.tile(norm.ppf(levels), (4, 1))
    z = actual[:3]
    closed = z * (2 * norm.cdf(z) - 1) + 2 * norm.pdf(z) - 1 / np.sqrt(np.pi)  # Gneiting & Raftery (2007), equation 21
    assert crps(forecast, actual, levels) == pytest.approx(closed.mean(), abs=1e-3)


def test_crps_of_a_single_forecast_is_its_mae_and_levels_have_their_weight():
    levels = (0.1, 0.25, 0.5, 0.75, 0.9)
    actual = np.array([[1.0, -2.0], [0.5, 3.0]])
    assert crps(np.zeros((2, 2, 5)), actual, levels) == pytest.approx(np.abs(actual).mean(), rel=0.02)
    forecast, actual = np.array([-2.0, 0.0]), np.array(1.0)  # both too low, by 3 and by 1
    assert crps(forecast, actual, (0.2, 0.8)) == pytest.approx(2 * (0.5 * 0.2 * 3 + 0.5 * 0.8 * 1))
    assert crps(forecast, actual, (0.2, 0.4)) == pytest.approx(2 * (0.3 * 0.2 * 3 + 0.7 * 0.4 * 1))


def test_widening_makes_the_interval_hold_its_share():
    generator = np.random.default_rng(3)
    actual = generator.normal(size=(4000, 2))
    actual[::7] = np.nan
    forecast = np.broadcast_to([-0.3, -0.1, 0.0, 0.1, 0.3], (4000, 2, 5))
    factor = widening(forecast, actual, 0.8)
    assert factor == pytest.approx(1.2816 / 0.3, rel=0.05)
    assert coverage(factor * forecast[..., 0], factor * forecast[..., -1], actual) == pytest.approx(0.8, abs=1e-3)
    assert widening(np.zeros((4000, 2, 5)), actual, 0.8, floor=1.0) == pytest.approx(1.2816, rel=0.05)
