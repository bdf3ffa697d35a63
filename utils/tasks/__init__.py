"""The applications that ``python -m utils.train`` trains at full size, each made ready as a :class:`Job`.

A builder imports its data and model itself, so that ``--help`` stays quick.
"""

import importlib
import pkgutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from torch import nn

from utils.training import LossFn

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


FILE = "PATH"  # the data name that stands for any file of the reader's own
TASKS: dict[str, dict[str, Callable]] = {}  # task -> data name -> builder(device); builder(device, path) for FILE


def task(name: str, data: str) -> Callable[[Callable], Callable]:
    """Register a function ``builder(device) -> Job`` as task ``name`` on ``data`` (the first is the default).

    A builder for ``FILE`` is called with the path as well, when the data asked for is no known name.
    """

    def register(builder: Callable) -> Callable:
        TASKS.setdefault(name, {})[data] = builder
        return builder

    return register


for _module in pkgutil.iter_modules(__path__):  # each registers its tasks
    importlib.import_module(f"{__name__}.{_module.name}")
