"""The task that forecasts the next day of a stock price (chapter 5.4)."""

from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import nn

from utils.tasks import FILE, Job, Metrics, task
from utils.training import minibatches, warmup_cosine


@task("stock", FILE)
@task("stock", "goog")
def stock(device: torch.device, path: Path | None = None) -> Job:
    """Tomorrow's return, its sign and its variance: an LSTM, tested on the last quarter of the days.

    MAE is in per cent per day; a price that stays where it is (persistence) is a return of 0.
    """
    import pandas as pd

    from utils.data import stocks as data
    from utils.data.series import Standardizer, time_split
    from utils.metrics import mae, qlike
    from utils.models.classifier import SequenceClassifier
    from utils.models.forecaster import return_loss

    returns, length = data.log_returns(data.load_prices(path)[1]), 20
    fold = time_split(len(returns), length=length, horizon=1, validation=0.15, test=0.25)
    ewma = pd.Series(returns**2).ewm(alpha=0.06).mean().to_numpy()  # RiskMetrics: the variance of the next day
    known = returns[: fold.validation[0] + 1]  # at the first day that is not for training
    scale = Standardizer.fit(known)
    train, validation, test = (
        [part.to(device) for part in data.return_windows(returns, origins, length, scale)]
        for origins in (fold.train, fold.validation, fold.test)
    )

    def score(origins: np.ndarray, mean: np.ndarray, variance: np.ndarray, rise: np.ndarray) -> Metrics:
        r = returns[origins + 1]
        mean, variance = np.broadcast_to(mean, r.shape), np.broadcast_to(variance, r.shape)
        return {"mae": float(mae(mean, r)), "sign": np.mean(rise == (r > 0)), "qlike": qlike(variance, r).mean()}

    @torch.inference_mode()
    def measure(origins: np.ndarray, part: list, model: nn.Module) -> Metrics:
        mean, log_variance, log_odds = model(part[0]).double().cpu().numpy().T  # (days,) each
        return score(origins, scale.inverse(mean), scale.std**2 * np.exp(log_variance), log_odds > 0)

    return Job(
        model=SequenceClassifier(2, 8, 3, cell="lstm", dropout=0.2),
        batches=minibatches(*train, batch_size=64),
        val_batches=[validation],
        loss_fn=return_loss,
        validate=partial(measure, fold.validation, validation),
        test=partial(measure, fold.test, test),
        baselines={
            "persistence, always up, variance so far": score(fold.test, 0.0, known.var(), True),
            "drift, always up, EWMA variance": score(fold.test, known.mean(), ewma[fold.test], True),
        },
        fit_options={"lr": 1e-2, "schedule": warmup_cosine(0.1), "patience": 6},
        epochs=15,
    )
