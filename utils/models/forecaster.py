"""Forecasters that correct a base forecast, with quantiles for every step (5.5, 5.6); a loss for returns (5.4)."""

from collections.abc import Sequence

import numpy as np
import torch
from sklearn.linear_model import Ridge
from torch import Tensor, nn
from torch.nn import functional as F

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


class EncoderDecoderForecaster(nn.Module):
    """One GRU reads the past, a second one, started from its last state, walks through the steps to be forecast.

    At every step the decoder reads what is known of that step beforehand (the clock, last week's value), and
    writes its quantiles; nothing it has forecast comes back as an input. Like :class:`QuantileForecaster`, it
    forecasts a correction and starts close to none.

    Args:
        past_size, known_size: channels per step of the past, and of what is known about a step ahead.
        group: steps that one step of the GRUs takes together (two half-hours, say): shorter sequences.
        hidden_size: of both GRUs. ``dropout`` on the states, ``noise`` on all inputs, while training.
    """

    def __init__(
        self,
        past_size: int,
        known_size: int,
        *,
        group: int = 2,
        hidden_size: int = 24,
        quantiles: Sequence[float] = QUANTILES,
        dropout: float = 0.5,
        noise: float = 0.5,
    ):
        super().__init__()
        self.encoder = nn.GRU(group * past_size, hidden_size, batch_first=True)
        self.decoder = nn.GRU(group * known_size, hidden_size, batch_first=True)
        self.dropout, self.noise, self.group = nn.Dropout(dropout), noise, group
        self.out = nn.Linear(hidden_size, group * len(quantiles))
        self.register_buffer("quantiles", torch.tensor(quantiles), persistent=False)
        with torch.no_grad():
            self.out.weight.mul_(0.1)
            self.out.bias.zero_()

    def forward(self, past: Tensor, known: Tensor) -> Tensor:
        """Quantiles (batch, horizon, levels) from past (batch, length, past_size), known (batch, horizon, known_size).

        Raises:
            ValueError: ``length`` or ``horizon`` is no multiple of ``group``.
        """
        (batch, length, _), horizon = past.shape, known.size(1)
        if length % self.group or horizon % self.group:
            raise ValueError(f"{length} past and {horizon} future steps cannot be taken {self.group} at a time")
        if self.training:
            past, known = (x + self.noise * torch.randn_like(x) for x in (past, known))
        _, h_T = self.encoder(past.reshape(batch, length // self.group, -1))  # (1, batch, hidden)
        s, _ = self.decoder(known.reshape(batch, horizon // self.group, -1), self.dropout(h_T))
        return self.out(self.dropout(s)).view(batch, horizon, -1)  # (batch, horizon, levels)


def return_loss(model: nn.Module, batch: tuple[Tensor, Tensor, Tensor]) -> tuple[Tensor, int]:
    """Summed loss of a forecast of a return, of its variance and of its sign at once, and the number of days.

    Args:
        model: maps inputs x to (batch, 3): mean, log variance, and log odds of a rise.
        batch: x, the return (batch,) in standard units, and 1.0 where it rose, else 0.0 (batch,).
    """
    x, z, rose = batch
    mean, log_variance, log_odds = model(x).unbind(dim=1)
    likelihood = F.gaussian_nll_loss(mean, z, log_variance.exp(), reduction="sum")
    return likelihood + F.binary_cross_entropy_with_logits(log_odds, rose, reduction="sum"), len(z)


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
    forecasts[known] = model.predict(scaled[known]).reshape(-1, flat.shape[1])  # one column comes back as none
    return forecasts.reshape(targets.shape)
