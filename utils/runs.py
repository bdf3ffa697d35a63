"""What a training run remembers: its history, and between two epochs all that a checkpoint has to hold."""

import copy
import math
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from utils import checkpoints, distributed
from utils.checkpoints import RECORD, CheckpointError


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


class Run:
    """The state of a run between two epochs: everything that a checkpoint has to hold."""

    def __init__(self, model: nn.Module, optimizer: torch.optim.Optimizer, folder: Path | None):
        self.model, self.optimizer, self.folder = model, optimizer, folder
        self.epoch, self.step, self.elapsed = 0, 0, 0.0
        self.history = History()
        self.best_state: dict[str, Tensor] | None = None

    def start(self, resume: bool) -> None:
        """Load the checkpoint, or make sure that there is none in the way."""
        if resume and self.folder is None:
            raise ValueError("resume=True needs checkpoint=FOLDER")
        if resume:
            try:
                self.load()
            except (KeyError, TypeError) as error:
                raise CheckpointError(f"{self.folder / RECORD} is damaged ({error}); start again elsewhere") from None
        elif self.folder is not None and distributed.on_main((self.folder / RECORD).exists):
            raise CheckpointError(
                f"{self.folder} already holds a checkpoint: continue it with resume, or choose another folder"
            )

    def out_of_time(self, seconds: float | None) -> bool:
        """Whether the time is used up, by the clock of process 0."""
        if seconds is None:
            return False
        self.elapsed, over = distributed.on_main(lambda: (self.elapsed, self.elapsed >= seconds))
        self.history.stopped = "seconds" if over else ""
        return over

    def end_epoch(self, row: dict[str, float], patience: int | None) -> None:
        """Note what an epoch gave, in the numbers of process 0, and keep a checkpoint of it."""
        self.epoch += 1
        lr = self.optimizer.param_groups[0]["lr"]
        mine = {"epoch": self.epoch, "step": self.step, "seconds": self.elapsed, "lr": lr, **row}
        self.history.rows.append(row := distributed.on_main(lambda: mine))
        if row.get("val_loss", math.inf) < self.history.best_value:
            self.history.best_epoch = self.epoch
            self.best_state = copy.deepcopy(self.model.state_dict())
        if patience is not None and self.epoch - self.history.best_epoch >= patience:
            self.history.stopped = self.history.stopped or "patience"
        if self.folder is not None:
            distributed.on_main(self.save)

    def save(self) -> None:
        """Write the checkpoint of this moment."""
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
        """Take up the state of the checkpoint, which process 0 reads for all."""
        tensors, record = distributed.on_main(lambda: checkpoints.load_checkpoint(self.folder))
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
