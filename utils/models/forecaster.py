"""Forecasters that correct a base forecast, with quantiles for every hour ahead (chapter 5.5)."""

from collections.abc import Sequence

import numpy as np
import torch
from sklearn.linear_model import Ridge
from torch import Tensor, nn

from utils.models.classifier import recurrent_layer

QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9)


class QuantileForecaster(nn.Module):
    """Reads the past with a recurrent layer and writes quantiles for every step ahead at once (direct).

    It forecasts a *correction* of some base forecast, and starts close to none: the output layer begins
    ten times smaller than PyTorch's, with zero bias.

    Args:
        input_size: channels per time step.
        horizon: steps ahead.
        quantiles: levels of the forecast.
        cell, hidden_size: the recurrent layer.
        dropout: on its last state. ``noise``: standard deviation of noise added to the inputs while training.
    """

    def __init__(
        self,
        input_size: int,
        horizon: int,
        *,
        hidden_size: int = 48,
        quantiles: Sequence[float] = QUANTILES,
        cell: str = "gru",
        dropout: float = 0.5,
        noise: float = 0.4,
    ):
        super().__init__()
        self.rnn = recurrent_layer(cell, input_size, hidden_size)
        self.dropout = nn.Dropout(dropout)
        self.out = nn.Linear(hidden_size + input_size, horizon * len(quantiles))
        self.noise = noise
        self.shape = (horizon, len(quantiles))
        self.register_buffer("quantiles", torch.tensor(quantiles), persistent=False)
        with torch.no_grad():
            self.out.weight.mul_(0.1)
            self.out.bias.zero_()

    def forward(self, x: Tensor) -> Tensor:
        """Quantiles (batch, horizon, levels) from inputs (batch, time, input_size)."""
        if x.dim() != 3 or x.size(1) == 0 or x.size(2) != self.rnn.input_size:
            wanted = f"(batch, time, {self.rnn.input_size}) with at least one step"
            raise ValueError(f"expected {wanted}, found shape {tuple(x.shape)}")
        if self.training:
            x = x + self.noise * torch.randn_like(x)
        h_T = self.rnn(x)[0][:, -1]  # (batch, hidden)
        seen = torch.cat([self.dropout(h_T), x[:, -1]], dim=1)  # (batch, hidden + input)
        return self.out(seen).view(-1, *self.shape)  # (batch, horizon, levels)


@torch.inference_mode()
def forecast(model: nn.Module, windows, origins: np.ndarray) -> np.ndarray:
    """Quantile forecasts (origins, horizon, stations, levels) in the units of the data.

    ``windows`` is the object that made the training samples (``batch``, ``base``, ``SCALE``). Quantiles that
    cross are put in order, which never makes them worse (Chernozhukov, Fernández-Val & Galichon 2010).
    """
    was_training = model.training
    model.eval()
    device = next(model.parameters()).device
    steps = torch.as_tensor(origins)
    stations = [torch.full_like(steps, s) for s in range(windows.base.shape[2])]
    corrections = [model(windows.batch(steps, s)[0].to(device)) for s in stations]
    model.train(was_training)
    correction = torch.stack(corrections, dim=2).cpu().numpy() * windows.SCALE  # (origins, horizon, stations, levels)
    return np.sort(windows.base[origins][..., None] + correction, axis=-1)


def ridge_forecast(inputs: np.ndarray, targets: np.ndarray, train: np.ndarray, alpha: float) -> np.ndarray:
    """Ridge regression fitted on the rows ``train``, applied to every row whose inputs are known.

    Args:
        inputs: (rows, inputs), standardised here with the training rows; NaN rows give NaN.
        targets: (rows, ...) NaN where missing; a training row with a missing target is left out.
        train: numbers of the training rows.
        alpha: penalty on the squared weights.

    Returns:
        forecasts of the shape of ``targets``.
    """
    flat = targets.reshape(len(targets), -1)
    fit_rows = train[~np.isnan(flat[train]).any(axis=1)]
    mean, std = inputs[fit_rows].mean(axis=0), inputs[fit_rows].std(axis=0) + 1e-3
    known = ~np.isnan(inputs).any(axis=1)
    scaled = (inputs - mean) / std
    model = Ridge(alpha=alpha, copy_X=False).fit(scaled[fit_rows], flat[fit_rows])
    forecasts = np.full_like(flat, np.nan)
    forecasts[known] = model.predict(scaled[known])
    return forecasts.reshape(targets.shape)
