"""One training loop for every chapter, with checkpoints that continue to the same bit.

A task says how to score a batch by a *loss function* ``loss_fn(model, batch)`` that returns
``(total, count)``: the **summed** loss of the items that count, and how many they are. Pads are
simply left out of both, and a mean over batches of unequal size comes out right.
"""

import math
import os
import time
from collections.abc import Callable, Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import BatchSampler, DataLoader, RandomSampler, SequentialSampler, TensorDataset
from tqdm import tqdm

from utils import distributed
from utils.runs import History, Run

__all__ = [
    "History",
    "LossFn",
    "TrainingDiverged",
    "constant",
    "count_parameters",
    "evaluate",
    "fit",
    "minibatches",
    "warmup_cosine",
]

LossFn = Callable[[nn.Module, Any], tuple[Tensor, int | Tensor]]


class TrainingDiverged(RuntimeError):
    """The loss or the gradient is no longer a finite number."""


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
    return _mean(*_totals(model, ((batch, True) for batch in batches), loss_fn))


def _totals(model: nn.Module, shares: Iterable, loss_fn: LossFn) -> tuple[float, int]:
    """Summed loss and count of the shares that count, in evaluation mode."""
    was_training = model.training
    model.eval()
    total, count = 0.0, 0
    for batch, counts in shares:
        if counts:
            batch_total, batch_count = loss_fn(model, batch)
            total, count = total + float(batch_total), count + int(batch_count)
    model.train(was_training)
    return total, count


def _mean(total: float, count: float) -> float:
    if count == 0:
        raise ValueError("nothing to evaluate: the batches hold no counted item")
    return total / count


@torch.inference_mode()
def _validate(model: nn.Module, batches: Iterable, loss_fn: LossFn, step: int) -> float:
    """:func:`evaluate`, shared between the processes."""
    with closing(distributed.shares(batches, step)) as shares:
        return _mean(*distributed.add(*_totals(model, shares, loss_fn)))


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
    run = Run(model, optimizer, Path(checkpoint) if checkpoint is not None else None)
    run.start(resume)
    started = time.perf_counter() - run.elapsed
    total_steps = epochs * steps_per_epoch
    score = distributed.scorer(model, loss_fn)
    hidden = {"disable": True} if progress is None or distributed.rank() > 0 else {}  # else TQDM_DISABLE decides
    with tqdm(
        total=None if seconds else total_steps, initial=run.step, desc=progress, leave=False, mininterval=0.5, **hidden
    ) as bar:
        while run.epoch < epochs and not run.history.stopped:
            model.train()
            loss_total, item_count, norms = 0.0, 0, []
            with closing(distributed.shares(batches, run.step)) as shares:
                for batch_number, share in enumerate(shares, start=1):
                    done = max(run.step / total_steps, run.elapsed / seconds if seconds else 0.0)
                    for group in optimizer.param_groups:
                        group["lr"] = group["initial_lr"] * schedule(min(done, 1.0))
                    loss, total, count = score(*share)
                    optimizer.zero_grad(set_to_none=True)
                    loss.backward()
                    norm = nn.utils.clip_grad_norm_(model.parameters(), clip_norm or math.inf)
                    _stop_if_diverged(total, count, norm, run, batch_number, optimizer)
                    optimizer.step()
                    run.step, run.elapsed = run.step + 1, time.perf_counter() - started
                    loss_total, item_count = loss_total + float(total), item_count + int(count)
                    norms.append(float(norm))
                    bar.update()
                    if run.out_of_time(seconds):
                        break
            row = {"train_loss": loss_total / item_count, "grad_norm": sum(norms) / len(norms)}
            if val_batches is not None:
                row["val_loss"] = _validate(model, val_batches, loss_fn, run.step)
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
    if int(count) == 0:
        raise ValueError(f"batch {batch_number} of epoch {run.epoch + 1} holds no counted item to take a mean over")
    if torch.isfinite(total) and torch.isfinite(norm):
        return
    what = f"loss is {float(total):g}" if not torch.isfinite(total) else f"gradient norm is {float(norm):g}"
    raise TrainingDiverged(
        f"the {what} at step {run.step + 1} (epoch {run.epoch + 1}, batch {batch_number}, learning rate "
        f"{optimizer.param_groups[0]['lr']:.3g}). The weights are those before this step. Look for NaN in the "
        "inputs and targets; then try a smaller learning rate or a smaller clip_norm."
    )
