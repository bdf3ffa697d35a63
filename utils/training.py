"""One training loop for every chapter, with checkpoints that continue to the same bit.

A task says how to score a batch by a *loss function* ``loss_fn(model, batch)`` that returns
``(total, count)``: the **summed** loss of the items that count, and how many they are. Pads are
simply left out of both, and a mean over batches of unequal size comes out right.
"""

import copy
import math
import os
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import BatchSampler, DataLoader, RandomSampler, SequentialSampler, TensorDataset
from tqdm import tqdm

from utils import checkpoints
from utils.checkpoints import RECORD, CheckpointError

LossFn = Callable[[nn.Module, Any], tuple[Tensor, int | Tensor]]


class TrainingDiverged(RuntimeError):
    """The loss or the gradient is no longer a finite number."""


@dataclass
class History:
    """What a training run leaves behind: one row per epoch, and why it stopped.

    A row holds ``epoch``, ``step``, ``seconds`` (since the start), ``lr``, ``train_loss`` (mean over
    the epoch, measured while the weights move), ``grad_norm`` (mean norm before clipping) and,
    with validation data, ``val_loss`` (mean at the end of the epoch).
    """

    rows: list[dict[str, float]] = field(default_factory=list)
    best_epoch: int = 0  # counted from 1; 0 while nothing has been validated
    stopped: str = ""  # "epochs", "patience" or "seconds"

    def column(self, name: str) -> list[float]:
        """One quantity over the epochs, e.g. ``history.column("val_loss")``."""
        return [row[name] for row in self.rows]

    @property
    def best_value(self) -> float:
        """The lowest validation loss (infinite while nothing has been validated)."""
        return self.rows[self.best_epoch - 1]["val_loss"] if self.best_epoch else math.inf


# ---------------------------------------------------------------- batches, schedules, counting


def minibatches(*tensors: Tensor, batch_size: int, shuffle: bool = True) -> DataLoader:
    """Cut tensors that share their first dimension into mini-batches, in a new order every epoch.

    Rows are taken by one indexing per batch instead of one per row, which for small models is
    several times faster than the default collation. The order comes from torch's global random
    state, so ``seed_everything`` fixes it.
    """
    sizes = {len(tensor) for tensor in tensors}
    if len(sizes) != 1 or 0 in sizes:
        raise ValueError(f"the tensors need one common, positive first dimension; found {sorted(sizes)}")
    dataset = TensorDataset(*tensors)
    order = RandomSampler(dataset) if shuffle else SequentialSampler(dataset)
    return DataLoader(dataset, sampler=BatchSampler(order, batch_size, drop_last=False), batch_size=None)


def constant(progress: float) -> float:
    """The schedule that leaves the learning rate alone."""
    return 1.0


def warmup_cosine(warmup: float = 0.1, floor: float = 0.0) -> Callable[[float], float]:
    """Learning-rate factor: linear rise over the first ``warmup`` of training, then half a cosine.

    ``progress`` runs from 0 to 1. Source: Loshchilov & Hutter (2017), SGDR, with a warm-up.
    """

    def factor(progress: float) -> float:
        if progress < warmup:
            return max(progress / warmup, 0.01)
        fall = (progress - warmup) / max(1.0 - warmup, 1e-9)
        return floor + (1.0 - floor) * 0.5 * (1.0 + math.cos(math.pi * min(fall, 1.0)))

    return factor


def count_parameters(model: nn.Module) -> int:
    """Number of trainable numbers in the model."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


@torch.inference_mode()
def evaluate(model: nn.Module, batches: Iterable, loss_fn: LossFn) -> float:
    """Mean loss per counted item over ``batches``, in evaluation mode and without gradients."""
    was_training = model.training
    model.eval()
    total, count = 0.0, 0
    for batch in batches:
        batch_total, batch_count = loss_fn(model, batch)
        total, count = total + float(batch_total), count + int(batch_count)
    model.train(was_training)
    if count == 0:
        raise ValueError("nothing to evaluate: the batches hold no counted item")
    return total / count


# ---------------------------------------------------------------- the loop


def fit(
    model: nn.Module,
    batches: Iterable,
    loss_fn: LossFn,
    *,
    val_batches: Iterable | None = None,
    epochs: int = 10,
    seconds: float | None = None,
    lr: float = 1e-3,
    optimizer: torch.optim.Optimizer | None = None,
    schedule: Callable[[float], float] = constant,
    clip_norm: float | None = 1.0,
    patience: int | None = None,
    checkpoint: str | os.PathLike | None = None,
    resume: bool = False,
    progress: str | None = "training",
) -> History:
    """Train ``model`` in place, leave it in evaluation mode, and return its :class:`History`.

    Args:
        batches: a sized iterable (``DataLoader``, list, …) that is gone through once per epoch.
        loss_fn: ``(model, batch) -> (summed loss, number of counted items)``.
        val_batches: validation batches. With them the weights of the best epoch are put back at the
            end; without them the last weights stay.
        epochs, seconds: the run ends at whichever comes first; ``seconds`` may end within an epoch.
        lr, optimizer: AdamW with this learning rate, unless an optimizer is given.
        schedule: factor on the learning rate as a function of progress in [0, 1].
        clip_norm: largest global gradient norm (Pascanu et al. 2013); ``None`` does not clip.
        patience: stop after this many epochs without a new best validation loss.
        checkpoint, resume: folder that receives a checkpoint after every epoch, and whether to
            continue from the one it holds. A resumed run gives the same bits as one that was never
            interrupted, if all arguments are the same and ``seconds`` is not used.
        progress: text of the progress bar, ``None`` for no bar.

    Raises:
        TrainingDiverged: the loss or gradient became NaN or infinite; names the step.
        CheckpointError: nothing to resume, a damaged file, or a folder that already holds a run.
        ValueError: an argument that makes no sense.
    """
    steps_per_epoch = _check_arguments(batches, epochs, seconds, clip_norm, patience, val_batches)
    optimizer = optimizer or torch.optim.AdamW(model.parameters(), lr=lr)
    for group in optimizer.param_groups:
        group.setdefault("initial_lr", group["lr"])
    run = _Run(model, optimizer, Path(checkpoint) if checkpoint is not None else None)
    run.start(resume)
    started = time.perf_counter() - run.elapsed
    total_steps = epochs * steps_per_epoch
    hidden = {"disable": True} if progress is None else {}  # else TQDM_DISABLE decides
    with tqdm(
        total=None if seconds else total_steps, initial=run.step, desc=progress, leave=False, mininterval=0.5, **hidden
    ) as bar:
        while run.epoch < epochs and not run.history.stopped:
            model.train()
            loss_total, item_count, norms = 0.0, 0, []
            for batch_number, batch in enumerate(batches, start=1):
                done = max(run.step / total_steps, run.elapsed / seconds if seconds else 0.0)
                for group in optimizer.param_groups:
                    group["lr"] = group["initial_lr"] * schedule(min(done, 1.0))
                total, count = loss_fn(model, batch)
                optimizer.zero_grad(set_to_none=True)
                (total / count).backward()
                norm = nn.utils.clip_grad_norm_(model.parameters(), clip_norm or math.inf)
                _stop_if_diverged(total.detach(), count, norm, run, batch_number, optimizer)
                optimizer.step()
                run.step, run.elapsed = run.step + 1, time.perf_counter() - started
                loss_total, item_count = loss_total + float(total.detach()), item_count + int(count)
                norms.append(float(norm))
                bar.update()
                if seconds is not None and run.elapsed >= seconds:
                    run.history.stopped = "seconds"
                    break
            row = {"train_loss": loss_total / item_count, "grad_norm": sum(norms) / len(norms)}
            if val_batches is not None:
                row["val_loss"] = evaluate(model, val_batches, loss_fn)
            run.elapsed = time.perf_counter() - started
            run.end_epoch(row, patience)
            bar.set_postfix({name: f"{row[name]:.4g}" for name in ("train_loss", "val_loss") if name in row})
    run.history.stopped = run.history.stopped or "epochs"
    if run.best_state is not None:
        model.load_state_dict(run.best_state)
    model.eval()
    return run.history


def _check_arguments(batches, epochs, seconds, clip_norm, patience, val_batches) -> int:
    """Number of steps per epoch, or a ValueError that says which argument is off."""
    if not hasattr(batches, "__len__") or len(batches) == 0:
        raise ValueError("batches must be a sized iterable with at least one batch (a DataLoader or a list)")
    if epochs < 1 or (seconds is not None and seconds <= 0):
        raise ValueError(f"nothing to do: epochs = {epochs}, seconds = {seconds}; both must be positive")
    if clip_norm is not None and clip_norm <= 0:
        raise ValueError(f"clip_norm = {clip_norm} must be positive, or None for no clipping")
    if patience is not None and (patience < 1 or val_batches is None):
        raise ValueError("patience needs val_batches and must be at least 1")
    return len(batches)


def _stop_if_diverged(total, count, norm, run, batch_number, optimizer) -> None:
    """Raise before the optimizer spoils the weights with a number that is not finite."""
    if torch.isfinite(total) and torch.isfinite(norm):
        return
    if int(count) == 0:
        raise ValueError(f"batch {batch_number} of epoch {run.epoch + 1} holds no counted item to take a mean over")
    what = f"loss is {float(total):g}" if not torch.isfinite(total) else f"gradient norm is {float(norm):g}"
    raise TrainingDiverged(
        f"the {what} at step {run.step + 1} (epoch {run.epoch + 1}, batch {batch_number}, learning rate "
        f"{optimizer.param_groups[0]['lr']:.3g}). The weights are those before this step. Look for NaN in the "
        "inputs and targets; then try a smaller learning rate or a smaller clip_norm."
    )


class _Run:
    """The state of a run between two epochs: everything that a checkpoint has to hold."""

    def __init__(self, model: nn.Module, optimizer: torch.optim.Optimizer, folder: Path | None):
        self.model, self.optimizer, self.folder = model, optimizer, folder
        self.epoch, self.step, self.elapsed = 0, 0, 0.0
        self.history = History()
        self.best_state: dict[str, Tensor] | None = None

    def start(self, resume: bool) -> None:
        if resume and self.folder is None:
            raise ValueError("resume=True needs checkpoint=FOLDER")
        if resume:
            try:
                self.load()
            except (KeyError, TypeError) as error:
                raise CheckpointError(f"{self.folder / RECORD} is damaged ({error}); start again elsewhere") from None
        elif self.folder is not None and (self.folder / RECORD).exists():
            raise CheckpointError(
                f"{self.folder} already holds a checkpoint: continue it with resume, or choose another folder"
            )

    def end_epoch(self, row: dict[str, float], patience: int | None) -> None:
        self.epoch += 1
        lr = self.optimizer.param_groups[0]["lr"]
        self.history.rows.append({"epoch": self.epoch, "step": self.step, "seconds": self.elapsed, "lr": lr, **row})
        if row.get("val_loss", math.inf) < self.history.best_value:
            self.history.best_epoch = self.epoch
            self.best_state = copy.deepcopy(self.model.state_dict())
        if patience is not None and self.epoch - self.history.best_epoch >= patience:
            self.history.stopped = self.history.stopped or "patience"
        if self.folder is not None:
            self.save()

    def save(self) -> None:
        tensors = {f"model.{name}": value for name, value in self.model.state_dict().items()}
        tensors |= {f"best.{name}": value for name, value in (self.best_state or {}).items()}
        optimizer = self.optimizer.state_dict()
        scalars: dict[str, Any] = {}
        for index, slots in optimizer["state"].items():
            for name, value in slots.items():
                (tensors if isinstance(value, Tensor) else scalars)[f"optimizer.{index}.{name}"] = value
        randoms, random_tensors = checkpoints.random_states()
        record = {name: getattr(self, name) for name in ("epoch", "step", "elapsed")} | {
            "history": asdict(self.history),
            "optimizer": type(self.optimizer).__name__,
            "groups": optimizer["param_groups"],
            "scalars": scalars,
            "random": randoms,
        }
        checkpoints.save_checkpoint(self.folder, tensors | random_tensors, record)

    def load(self) -> None:
        tensors, record = checkpoints.load_checkpoint(self.folder)
        parts: dict[str, dict[str, Any]] = {"model": {}, "best": {}, "optimizer": {}, "random": {}}
        for name, value in {**tensors, **record["scalars"]}.items():
            part, _, rest = name.partition(".")
            parts[part][rest] = value
        slots: dict[int, dict[str, Any]] = {}
        for name, value in parts["optimizer"].items():
            index, _, slot = name.partition(".")
            slots.setdefault(int(index), {})[slot] = value
        if record["optimizer"] != type(self.optimizer).__name__:
            raise CheckpointError(f"the checkpoint in {self.folder} was made with {record['optimizer']}; use it again")
        try:
            self.model.load_state_dict(parts["model"])
            self.optimizer.load_state_dict({"state": slots, "param_groups": record["groups"]})
        except (RuntimeError, ValueError) as error:
            raise CheckpointError(f"the checkpoint in {self.folder} is of another model: {error}") from None
        self.best_state = parts["best"] or None
        self.history = History(**record["history"])
        self.history.stopped = "patience" if self.history.stopped == "patience" else ""
        self.epoch, self.step, self.elapsed = record["epoch"], record["step"], record["elapsed"]
        checkpoints.set_random_states(record["random"], parts["random"])
