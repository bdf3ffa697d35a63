"""Train an application at full size from the command line: ``python -m utils.train TASK``.

Shows a progress bar, keeps checkpoints in ``--out``, prints the test results beside the baselines,
and writes them to ``metrics.json``. A bad task, data name or value ends with one line and exit status 2.
``torchrun --nproc-per-node N -m utils.train TASK`` trains in N processes (chapter 4.5).
"""

import argparse
import contextlib
import difflib
import sys
from collections.abc import Callable
from pathlib import Path

from utils import distributed, repro
from utils.checkpoints import RECORD, CheckpointError, write_json
from utils.data.files import DataError
from utils.data.series import SeriesError
from utils.distributed import LaunchError, ShareError
from utils.tasks import FILE, TASKS, Job
from utils.training import History, TrainingDiverged, count_parameters, fit

__all__ = ["TASKS", "Job", "main", "parse", "peak_resident_mb", "run", "table"]


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
    parser.add_argument("--data", help="data name, or for some tasks a file of your own; default: the task's own")
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
    if FILE not in TASKS[options.task] or not Path(options.data).is_file():
        _choose("data", options.data, TASKS[options.task])
    options.out = options.out or Path("runs") / options.task
    return options


def _choose(what: str, name: str, known: dict) -> None:
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"there is {', '.join(known)}"
        raise UsageError(f"unknown {what} {name!r}; {hint}")


def run(options: argparse.Namespace) -> dict:
    """Train and measure as the options say; return what goes into ``metrics.json`` (in process 0, else nothing)."""
    job = distributed.everywhere(lambda: prepare(options))
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
    main_process = distributed.rank() == 0
    distributed.stop()  # the others need not wait for the test
    return measure(options, job, history) if main_process else {}


def prepare(options: argparse.Namespace) -> Job:
    """The task's model, on its device, and its data."""
    try:
        repro.seed_everything(options.seed, options.threads)
        device = distributed.own(repro.pick_device(options.device))
    except ValueError as error:
        raise UsageError(str(error)) from None
    builders = TASKS[options.task]
    known = options.data in builders and options.data != FILE
    job = builders[options.data](device) if known else builders[FILE](device, Path(options.data))
    if job.unshardable and distributed.world() > 1:
        raise UsageError(f"{options.task} trains in one process only: {job.unshardable}; start it without torchrun")
    job.model.to(device)
    return job


def measure(options: argparse.Namespace, job: Job, history: History) -> dict:
    """The metrics of a trained job, and how it was trained."""
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


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    options = None
    try:
        distributed.start()
        options = parse(sys.argv[1:] if arguments is None else arguments)
        metrics = run(options)
    except (UsageError, DataError, SeriesError, CheckpointError, LaunchError, ShareError) as error:
        return _give_up(f"error: {error}", 2)
    except TrainingDiverged as error:
        return _give_up(f"error: {error} {_checkpoint(options)}", 1)
    except KeyboardInterrupt:
        return _give_up(f"interrupted. {_checkpoint(options)}", 130, alone=True)
    except distributed.Ended:
        why = "was told to end (torchrun does that when another process has failed)"
        return _give_up(f"error: this process {why}. {_checkpoint(options)}", 143, alone=True)
    except RuntimeError as error:
        if not distributed.lost(error):
            raise
        return _give_up(f"error: another process has ended or does not answer. {_checkpoint(options)}", 1, alone=True)
    if metrics:
        write_json(options.out / "metrics.json", metrics)
        print(table(metrics))
        print(f"{metrics['parameters']:,} parameters, {metrics['steps']:,} steps in {metrics['seconds']:.0f} s")
        print(f"written: {options.out / 'metrics.json'}")
    return 0


def _give_up(text: str, status: int, alone: bool = False) -> int:
    """Say why, once; unless the others may be gone (``alone``), nobody leaves before it is said."""
    distributed.give_up()
    if alone or distributed.rank() == 0:
        print(text, file=sys.stderr, flush=True)
    if not alone:
        with contextlib.suppress(RuntimeError):  # one of the others may have died meanwhile
            distributed.stop()
    return status


def _checkpoint(options: argparse.Namespace | None) -> str:
    if options is None or not (options.out / RECORD).exists():
        return "There is no checkpoint yet."
    return f"The last checkpoint is in {options.out}; --resume continues from it."


if __name__ == "__main__":
    sys.exit(main())
