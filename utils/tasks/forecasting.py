"""The tasks that forecast a series (part 5: weather)."""

from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

from utils.tasks import Job, Metrics, task
from utils.training import warmup_cosine


@task("weather", "nyc_2013")
def weather(device: torch.device) -> Job:
    """Temperature at the New York airports 1–24 hours ahead: an LSTM that corrects a ridge (chapter 5.5).

    Tested on November and December 2013. Of every twelve days before, three are for validation, seven for
    training, and a day before and after the three for neither, so that no target hour is in both.
    """
    from utils.data import weather as data
    from utils.data.series import future, lagged
    from utils.metrics import coverage, mae, pinball_loss
    from utils.models.forecaster import QuantileForecaster, forecast, ridge_forecast

    horizon, observed = 24, data.load_weather()
    hours, temperature = len(observed.times), observed.values[:, None, :, 0].astype(float)
    start = observed.index("2013-11-01")
    past, test = np.arange(47, start - 2 * horizon), np.arange(start, hours - horizon)
    day = past // 24 % 12
    train, validation = past[day < 7], past[(day >= 8) & (day < 11)]
    actual, last = future(observed.temperature, horizon), np.repeat(temperature, horizon, axis=1)
    inputs = data.linear_inputs(observed, full=3, temperature=24, products=True)
    ridge = last + ridge_forecast(inputs, actual - last, train, alpha=300.0)
    yesterday = np.stack([lagged(last[:, 0], horizon - h) for h in range(1, horizon + 1)], axis=1)
    windows = data.StationWindows(observed, ridge, 24, scale_until=train[-1] + 1)

    def loss_fn(model: nn.Module, batch: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        x, y = (part.to(device) for part in batch)  # (batch, 24, channels), (batch, horizon)
        return pinball_loss(model(x), y, model.quantiles)

    def measure(origins: np.ndarray, model: nn.Module) -> Metrics:
        f, y = forecast(model, windows, origins), actual[origins]
        return {"mae": float(mae(f[..., 2], y)), "coverage_80": coverage(f[..., 0], f[..., -1], y)}

    pairs = [torch.as_tensor(validation).repeat(3), torch.arange(3).repeat_interleave(len(validation))]
    named = {"persistence": last, "same hour yesterday": yesterday, "ridge": ridge}
    return Job(
        model=QuantileForecaster(windows.inputs.shape[2], horizon, cell="lstm"),
        batches=data.RecentBatches(windows, train, steps=50),
        val_batches=[windows.batch(*pairs)],
        loss_fn=loss_fn,
        validate=partial(measure, validation),
        test=partial(measure, test),
        baselines={name: {"mae": float(mae(f[test], actual[test]))} for name, f in named.items()},
        fit_options={"lr": 5e-3, "schedule": warmup_cosine(0.2), "patience": 20},
        epochs=4,
    )
