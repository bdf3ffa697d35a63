"""The applications that ``python -m utils.train`` trains at full size, each made ready as a :class:`Job`.

A builder imports its data and model itself, so that ``--help`` stays quick.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from utils.training import LossFn, warmup_cosine

Metrics = dict[str, float]


@dataclass
class Job:
    """One task made ready: model, batches, and how to measure the result.

    ``validate`` and ``test`` map the trained model to metrics by name; ``baselines`` holds the same
    test metrics of the methods a practitioner would try first, under their names.
    """

    model: nn.Module
    batches: Iterable
    val_batches: Iterable
    loss_fn: LossFn
    validate: Callable[[nn.Module], Metrics]
    test: Callable[[nn.Module], Metrics]
    baselines: dict[str, Metrics]
    fit_options: dict = field(default_factory=dict)  # lr, schedule, patience, … of this task
    epochs: int = 10
    unshardable: str = ""  # why several processes cannot share the rows of a batch; empty if they can


TASKS: dict[str, dict[str, Callable]] = {}  # task -> data name -> builder(device)


def task(name: str, data: str) -> Callable[[Callable], Callable]:
    """Register a function ``builder(device) -> Job`` as task ``name`` on ``data`` (the first is the default)."""

    def register(builder: Callable) -> Callable:
        TASKS.setdefault(name, {})[data] = builder
        return builder

    return register


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


@task("names", "cldr")
def names(device: torch.device) -> Job:
    """Which of 15 languages is this name written in? A GRU over the pieces of a name (chapter 4.1)."""
    from utils.data import names as data
    from utils.data.batches import padded_batches
    from utils.models.classifier import SequenceClassifier

    parts = data.split_names(data.load_names())
    characters = data.Characters((name.text for name in parts[0]), n=4, min_count=2)
    codes = list(data.LANGUAGES)
    x = [[characters.encode(name.text) for name in part] for part in parts]  # numbers (T, 4) per name
    y = [torch.tensor([codes.index(name.language) for name in part]) for part in parts]  # (N,)
    validation, test = (padded_batches(x[i], y[i], batch_size=512, shuffle=False) for i in (1, 2))
    reading = {"cell": "gru", "bidirectional": True, "tokens": 4, "pooling": "max"}
    drop = {"dropout": 0.3, "input_dropout": 0.5, "token_dropout": 0.25}
    model = SequenceClassifier(32, 64, len(codes), vocab_size=len(characters), **reading, **drop)
    with torch.no_grad():
        model.embedding.weight.mul_(0.14)  # four of them are added up

    def loss_fn(model: nn.Module, batch: tuple[Tensor, Tensor, Tensor]) -> tuple[Tensor, int]:
        tokens, lengths, language = batch
        scores, smooth = model(tokens.to(device), lengths), 0.1 if model.training else 0.0  # (batch, languages)
        return F.cross_entropy(scores, language.to(device), reduction="sum", label_smoothing=smooth), len(language)

    @torch.inference_mode()
    def measure(batches: Iterable, model: nn.Module) -> Metrics:
        right = [model(tokens.to(device), lengths).argmax(dim=1).cpu() == y for tokens, lengths, y in batches]
        return {"accuracy": float(torch.cat(right).float().mean())}

    texts = [[name.text for name in part] for part in parts]
    return Job(
        model=model,
        batches=padded_batches(x[0], y[0], batch_size=128),
        val_batches=validation,
        loss_fn=loss_fn,
        validate=partial(measure, validation),
        test=partial(measure, test),
        baselines=_ngram_baselines(texts[0], y[0].numpy(), texts[2], y[2].numpy()),
        fit_options={"lr": 0.01, "schedule": warmup_cosine(0.1)},
        epochs=10,
    )


def _ngram_baselines(train: list[str], y_train: np.ndarray, test: list[str], y_test: np.ndarray) -> dict[str, Metrics]:
    """Test accuracy of the most frequent class, and of linear models of the letters that follow each other."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.svm import LinearSVC

    accuracy = {"most frequent language": float((y_test == np.bincount(y_train).argmax()).mean())}
    models = {
        "n-grams, logistic regression": (4, LogisticRegression(C=10.0, tol=1e-3, max_iter=300)),
        "n-grams, support vectors": (5, LinearSVC(C=1.0)),
    }
    for name, (longest, classifier) in models.items():
        grams = TfidfVectorizer(analyzer="char_wb", ngram_range=(1, longest), lowercase=False, sublinear_tf=True)
        accuracy[name] = classifier.fit(grams.fit_transform(train), y_train).score(grams.transform(test), y_test)
    return {name: {"accuracy": float(value)} for name, value in accuracy.items()}
