"""Train an application at full size from the command line: ``python -m utils.train TASK``.

Shows a progress bar, keeps checkpoints in ``--out``, prints the test results beside the baselines,
and writes them to ``metrics.json``. A bad task, data name or value ends with one line and exit status 2.
"""

import argparse
import difflib
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from utils import repro
from utils.checkpoints import CheckpointError, write_json
from utils.data.files import DataError
from utils.training import LossFn, TrainingDiverged, count_parameters, fit, warmup_cosine

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


# Each builder imports its data and model itself, so that `--help` stays quick.
TASKS: dict[str, dict[str, Callable]] = {}  # task -> data name -> builder(device)


def task(name: str, data: str) -> Callable[[Callable], Callable]:
    """Register a function ``builder(device) -> Job`` as task ``name`` on ``data`` (the first is the default)."""

    def register(builder: Callable) -> Callable:
        TASKS.setdefault(name, {})[data] = builder
        return builder

    return register


class UsageError(Exception):
    """The command line asks for something that does not exist or makes no sense."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> None:
        raise UsageError(message)


def _positive(kind: type) -> Callable[[str], float]:
    def convert(text: str) -> float:
        try:
            value = kind(text)
        except ValueError:
            value = 0
        if not 0 < value < float("inf"):
            raise argparse.ArgumentTypeError(f"{text!r} is not a positive {'whole ' if kind is int else ''}number")
        return value

    return convert


def parse(arguments: list[str]) -> argparse.Namespace:
    """Read the command line; raises UsageError with one line that says what is off."""
    parser = _Parser(prog="python -m utils.train", description="Train an application of the book at full size.")
    parser.add_argument("task", help=f"one of: {', '.join(TASKS)}")
    parser.add_argument("--data", help="data name; default: the task's own")
    parser.add_argument("--seed", type=int, default=0)
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--epochs", type=_positive(int), help="passes over the training data")
    length.add_argument("--seconds", type=_positive(float), help="train for this long instead")
    parser.add_argument("--out", type=Path, help="folder for checkpoints and metrics.json; default: runs/TASK")
    parser.add_argument("--resume", action="store_true", help="continue from the checkpoint in --out")
    parser.add_argument("--threads", type=_positive(int), help="torch threads (default: RNN_BOOK_THREADS, else 1)")
    parser.add_argument("--device", default="auto", help="cpu, cuda, mps, … (default: auto)")
    options = parser.parse_args(arguments)
    _choose("task", options.task, TASKS)
    options.data = options.data or next(iter(TASKS[options.task]))
    _choose("data", options.data, TASKS[options.task])
    options.out = options.out or Path("runs") / options.task
    return options


def _choose(what: str, name: str, known: dict) -> None:
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"there is {', '.join(known)}"
        raise UsageError(f"unknown {what} {name!r}; {hint}")


def run(options: argparse.Namespace) -> dict:
    """Train and measure as the options say; return what goes into ``metrics.json``."""
    try:
        repro.seed_everything(options.seed, options.threads)
        device = repro.pick_device(options.device)
    except ValueError as error:
        raise UsageError(str(error)) from None
    job = TASKS[options.task][options.data](device)
    job.model.to(device)
    epochs = options.epochs or (10**6 if options.seconds else job.epochs)
    history = fit(
        job.model,
        job.batches,
        job.loss_fn,
        val_batches=job.val_batches,
        epochs=epochs,
        seconds=options.seconds,
        checkpoint=options.out,
        resume=options.resume,
        progress=options.task,
        **job.fit_options,
    )
    last = history.rows[-1]
    return {
        "task": options.task,
        "data": options.data,
        "seed": options.seed,
        "parameters": count_parameters(job.model),
        "seconds": round(last["seconds"], 2),
        "steps": int(last["step"]),
        "stopped": history.stopped,
        "validation": {"loss": history.best_value, **job.validate(job.model)},
        "test": job.test(job.model),
        "baselines": job.baselines,
        "peak_resident_mb": round(peak_resident_mb()),
    }


def peak_resident_mb() -> float:
    """Largest resident memory of this process so far, in megabytes."""
    if sys.platform == "win32":
        import psutil

        return psutil.Process().memory_info().peak_wset / 2**20
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)  # bytes on macOS, kilobytes on Linux


def table(metrics: dict) -> str:
    """The test metrics of the model and of its baselines, as lines of text."""
    rows = {**metrics["baselines"], "this model": metrics["test"]}
    names = list(metrics["test"])
    width = max(map(len, rows))
    lines = [" " * width + "".join(f"  {name:>12}" for name in names)]
    for method, row in rows.items():
        cells = "".join(f"  {row[name]:12.3f}" if name in row else " " * 13 + "–" for name in names)
        lines.append(f"{method:<{width}}{cells}")
    return "\n".join(lines)


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


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    try:
        options = parse(sys.argv[1:] if arguments is None else arguments)
        metrics = run(options)
    except (UsageError, DataError, CheckpointError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"interrupted; --resume continues from the last checkpoint in {options.out}", file=sys.stderr)
        return 130
    except TrainingDiverged as error:
        print(f"error: {error} The last checkpoint is in {options.out}.", file=sys.stderr)
        return 1
    write_json(options.out / "metrics.json", metrics)
    print(table(metrics))
    print(f"{metrics['parameters']:,} parameters, {metrics['steps']:,} steps in {metrics['seconds']:.0f} s")
    print(f"written: {options.out / 'metrics.json'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
