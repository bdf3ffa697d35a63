"""The tasks that forecast a series (part 5: weather, electricity load)."""

from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from utils.tasks import FILE, Job, Metrics, task
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


@task("load", FILE)
@task("load", "england_wales")
def load(device: torch.device, path: Path | None = None) -> Job:
    """Demand of the next day: an encoder–decoder GRU corrects last week's at the level of the last day (chapter 5.6).

    The last three weeks are for the test, the week before them for validation. A file of one's own holds at least eight
    weeks of positive numbers, at steps that divide a day.
    """
    from utils.data import load as data
    from utils.data.series import future, lagged, walk_forward
    from utils.metrics import coverage, mape, pinball_loss
    from utils.models.forecaster import EncoderDecoderForecaster
    from utils.training import minibatches

    times, demand = data.load_demand(path)
    day, rest = divmod(np.timedelta64(1, "D"), times[1] - times[0])
    if rest or day % 2 or len(demand) < 56 * day or not (demand > 0).all():
        raise data.DataError("expected eight weeks or more of positive numbers, in steps of a day's half, quarter, …")
    sizes = {"test_size": 20 * day + 1, "validation_size": 7 * day, "length": 15 * day, "horizon": day}
    fold = next(walk_forward([len(demand) - 21 * day - 1], steps=len(demand), **sizes))
    actual, base = future(demand, day), data.last_week(demand, day, recent=day)
    past, known, target = data.samples(times, demand, base, day)

    def cut(origins: np.ndarray) -> tuple[Tensor, ...]:
        return past[origins[:, None] + np.arange(1 - day, 1)], known[origins], target[origins]

    def loss_fn(model: nn.Module, batch: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
        x, k, y = (part.to(device) for part in batch)
        return pinball_loss(model(x, k), y, model.quantiles)

    @torch.inference_mode()
    def measure(origins: np.ndarray, model: nn.Module) -> Metrics:
        quantiles = model.eval()(*(part.to(device) for part in cut(origins)[:2])).sort().values
        f = base[origins][..., None] * np.exp(data.SCALE * quantiles.cpu().double().numpy())
        return {
            "mape": float(mape(f[..., 2], actual[origins])),
            "coverage_80": coverage(f[..., 0], f[..., -1], actual[origins]),
        }

    same = {"last week": future(lagged(demand, 7 * day), day), "last week, level of the last day": base}
    return Job(
        model=EncoderDecoderForecaster(past.shape[1], known.shape[2]),
        batches=minibatches(*cut(fold.train), batch_size=64),
        val_batches=minibatches(*cut(fold.validation), batch_size=64, shuffle=False),
        loss_fn=loss_fn,
        validate=partial(measure, fold.validation),
        test=partial(measure, fold.test),
        baselines={name: {"mape": float(mape(f[fold.test], actual[fold.test]))} for name, f in same.items()},
        fit_options={"lr": 5e-3, "schedule": warmup_cosine(0.1)},
        epochs=3,
    )
