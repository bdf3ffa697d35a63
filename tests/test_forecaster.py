"""The forecaster: shapes, where it starts, ordered quantiles, and the ridge against its closed form."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from utils.models.forecaster import QUANTILES, EncoderDecoderForecaster, QuantileForecaster, forecast, ridge_forecast


@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])
def test_shape_and_independence_of_the_batch(cell):
    torch.manual_seed(0)
    model = QuantileForecaster(4, 6, cell=cell).double().eval()
    x = torch.randn(5, 9, 4, dtype=torch.float64)
    together = model(x)
    assert together.shape == (5, 6, len(QUANTILES))
    alone = torch.cat([model(row[None]) for row in x])
    torch.testing.assert_close(together, alone, atol=1e-12, rtol=0)


def test_starts_near_the_base_forecast():
    torch.manual_seed(0)
    model = QuantileForecaster(4, 6).eval()
    assert model(torch.randn(50, 9, 4)).abs().max() < 0.3
    assert (model.out.bias == 0).all()


def test_noise_and_dropout_only_while_training():
    torch.manual_seed(0)
    model, x = QuantileForecaster(4, 6), torch.randn(3, 9, 4)
    assert not torch.equal(model(x), model(x))
    model.eval()
    assert torch.equal(model(x), model(x))


@pytest.mark.parametrize("shape", [(9, 4), (3, 0, 4), (3, 9, 5)])
def test_wrong_shape_names_the_expected_one(shape):
    with pytest.raises(ValueError, match=r"expected \(batch, time, 4\)"):
        QuantileForecaster(4, 6)(torch.zeros(shape))


def test_unknown_cell():
    with pytest.raises(ValueError, match="unknown cell 'transformer'"):
        QuantileForecaster(4, 6, cell="transformer")


def test_forecast_adds_the_base_and_sorts_the_quantiles():
    torch.manual_seed(0)
    model = QuantileForecaster(3, 2)
    inputs, base = torch.randn(2, 40, 3), np.random.default_rng(0).normal(size=(40, 2, 2))

    def batch(origins, stations):
        return inputs[stations[:, None], origins[:, None] + torch.arange(-4, 1)], None

    windows = SimpleNamespace(base=base, SCALE=3.0, batch=batch)
    origins = np.array([10, 20, 30])
    got = forecast(model, windows, origins)
    assert got.shape == (3, 2, 2, len(QUANTILES))
    assert (np.diff(got, axis=-1) >= 0).all()
    assert model.training, "the mode of the model is put back"
    with torch.no_grad():
        raw = model.eval()(batch(torch.tensor([20]), torch.tensor([1]))[0])[0].numpy()  # (horizon, levels)
    np.testing.assert_allclose(got[1, :, 1], np.sort(base[20, :, 1, None] + 3 * raw, axis=-1), rtol=1e-6)


def ridge_data(rows=80, inputs=5):
    generator = np.random.default_rng(1)
    x = generator.normal(size=(rows, inputs)) * [1, 2, 3, 4, 5] + 7
    y = (x @ generator.normal(size=(inputs, 6)) + generator.normal(size=(rows, 6))).reshape(rows, 3, 2)
    return x, y


def test_ridge_equals_the_normal_equations():
    x, y = ridge_data()
    train, alpha = np.arange(50), 3.0
    mean, std = x[train].mean(axis=0), x[train].std(axis=0) + 1e-3
    z, target = (x - mean) / std, y.reshape(80, -1)
    centred = z[train] - z[train].mean(axis=0)
    weights = np.linalg.solve(
        centred.T @ centred + alpha * np.eye(5), centred.T @ (target[train] - target[train].mean(axis=0))
    )
    expected = (z - z[train].mean(axis=0)) @ weights + target[train].mean(axis=0)
    np.testing.assert_allclose(ridge_forecast(x, y, train, alpha).reshape(80, -1), expected, rtol=1e-9)


def test_ridge_sees_training_rows_only_and_skips_missing_ones():
    x, y = ridge_data()
    train = np.arange(50)
    expected = ridge_forecast(x, y, np.delete(train, 7), 3.0)
    y_late, x_gap = y.copy(), x.copy()
    y_late[50:] += 100
    y_late[7, 1, 0] = np.nan
    x_gap[60, 2] = np.nan
    got = ridge_forecast(x_gap, y_late, train, 3.0)
    assert np.isnan(got[60]).all()
    np.testing.assert_allclose(np.delete(got, 60, axis=0), np.delete(expected, 60, axis=0), rtol=1e-9)


@pytest.mark.parametrize("group", [1, 2, 4])
def test_decoder_starts_where_the_encoder_ends_and_never_looks_ahead(group):
    torch.manual_seed(0)
    model = EncoderDecoderForecaster(3, 5, group=group, hidden_size=7).double().eval()
    past, known = torch.randn(2, 8, 3).double(), torch.randn(2, 12, 5).double()
    got = model(past, known)
    assert got.shape == (2, 12, len(QUANTILES))
    state = model.encoder(past.reshape(2, 8 // group, -1))[1]
    for step in range(12 // group):  # one step at a time
        now = known[:, step * group : (step + 1) * group].reshape(2, 1, -1)
        s, state = model.decoder(now, state)
        expected = model.out(s).view(2, group, -1)
        torch.testing.assert_close(got[:, step * group : (step + 1) * group], expected, atol=1e-12, rtol=0)
    later = known.clone()
    later[:, 8:] += 1
    torch.testing.assert_close(model(past, later)[:, :8], got[:, :8], atol=0, rtol=0)
    assert not torch.allclose(model(past + 1, known), got)


def test_encoder_decoder_starts_near_the_base_and_is_noisy_only_while_training():
    torch.manual_seed(0)
    model = EncoderDecoderForecaster(3, 5)
    past, known = torch.randn(40, 8, 3), torch.randn(40, 12, 5)
    assert not torch.equal(model(past, known), model(past, known))
    model.eval()
    assert model(past, known).abs().max() < 0.3
    assert torch.equal(model(past, known), model(past, known))


@pytest.mark.parametrize(("length", "horizon"), [(7, 12), (8, 11)])
def test_steps_that_cannot_be_grouped_are_refused(length, horizon):
    with pytest.raises(ValueError, match=f"{length} past and {horizon} future steps cannot be taken 2 at a time"):
        EncoderDecoderForecaster(3, 5)(torch.zeros(1, length, 3), torch.zeros(1, horizon, 5))


def test_ridge_of_a_single_target_keeps_its_shape():
    x, y = ridge_data()
    both = ridge_forecast(x, y.reshape(80, -1)[:, :2], np.arange(50), 3.0)
    one = ridge_forecast(x, y.reshape(80, -1)[:, :1], np.arange(50), 3.0)
    assert one.shape == (80, 1)
    np.testing.assert_allclose(one, both[:, :1], rtol=1e-9)
