"""Data-parallel training: ``torchrun --nproc-per-node N -m utils.train TASK`` (chapter 4.5).

Every process draws the *same* global batches and takes its share of the rows; PyTorch's DistributedDataParallel adds
up the gradients. A loss is divided by the count of the *whole* batch, so the gradient is that of one process with the
same batches, however unequal the shares are. Without torchrun, or with one process, nothing here does anything.
"""

import math
import os
import random
import re
import signal
from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn

TIMEOUT = 600.0  # seconds a process waits for the others before it gives up; one that died is noticed at once


class LaunchError(RuntimeError):
    """The processes were started in a way that cannot work."""


class ShareError(ValueError):
    """A batch whose rows several processes cannot share."""


class Ended(BaseException):
    """This process got the signal SIGTERM: torchrun ends all processes when one of them fails."""


def world() -> int:
    """How many processes train together: 1 outside of torchrun."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    """The number of this process, from 0."""
    return dist.get_rank() if world() > 1 else 0


def start(timeout: float = TIMEOUT) -> None:
    """Meet the other processes, if torchrun started several.

    Raises:
        LaunchError: the environment variables of torchrun are missing or wrong, or the others do not come.
    """
    names = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")
    found = {name: os.environ.get(name) for name in names}
    if found["RANK"] is None and found["WORLD_SIZE"] is None:
        return
    numbers = [int(value) if re.fullmatch(r"\d+", value or "") else -1 for value in list(found.values())[:3]]
    if numbers == [0, 1, 0]:
        return
    if min(numbers) < 0 or numbers[0] >= numbers[1] or None in found.values():
        said = ", ".join(f"{name}={value}" if value else f"{name} is not set" for name, value in found.items())
        raise LaunchError(f"started wrong ({said}); use torchrun --nproc-per-node N -m utils.train TASK")
    if not dist.is_available():
        raise LaunchError("this build of PyTorch cannot train in several processes")
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() and dist.is_nccl_available() else "gloo"
    try:
        dist.init_process_group(backend, timeout=timedelta(seconds=timeout))
    except (RuntimeError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise LaunchError(f"process {numbers[0]} of {numbers[1]} does not find the others ({reason})") from None
    signal.signal(signal.SIGTERM, _end)


def _end(*_) -> None:
    raise Ended


def give_up() -> None:
    """From now on let nothing come between this process and its last words."""
    if world() > 1:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)


def stop() -> None:
    """Leave the others, after all have come this far."""
    if world() == 1:
        return
    dist.barrier()
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    dist.destroy_process_group()


def lost(error: RuntimeError) -> bool:
    """Whether this is what a process sees when another one has died or does not answer."""
    return world() > 1 and re.search(r"gloo|nccl|connection|timed out", str(error), re.IGNORECASE) is not None


def own(device: torch.device) -> torch.device:
    """The GPU of this process, if ``device`` is a GPU without a number.

    Raises:
        LaunchError: there are more processes than GPUs.
    """
    if world() == 1 or device.type != "cuda" or device.index is not None:
        return device
    mine, there = int(os.environ["LOCAL_RANK"]), torch.cuda.device_count()
    if mine >= there:
        raise LaunchError(f"more processes than GPUs ({there}) on this machine; use --nproc-per-node {there}")
    torch.cuda.set_device(mine)
    return torch.device("cuda", mine)


def on_main(make: Callable[[], Any]) -> Any:
    """What ``make()`` returns in process 0, in every process; an exception it raises there is raised in all."""
    if world() == 1:
        return make()
    result: list = [None, None]
    if rank() == 0:
        try:
            result[0] = make()
        except Exception as error:
            result[1] = error
    dist.broadcast_object_list(result, src=0)
    if result[1] is not None:
        raise result[1]
    return result[0]


def everywhere(make: Callable[[], Any]) -> Any:
    """``make()`` in every process; an exception in one of them is raised in all."""
    if world() == 1:
        return make()
    result, errors = None, [None] * world()
    try:
        result, error = make(), None
    except Exception as raised:
        error = raised
    dist.all_gather_object(errors, error)
    for error in errors:
        if error is not None:
            raise error
    return result


def add(*numbers: float | Tensor) -> list[float]:
    """The sums over all processes, the same to the bit in each."""
    if world() == 1:
        return list(numbers)
    device = next((n.device for n in numbers if isinstance(n, Tensor)), None)
    parts = [torch.as_tensor(n, dtype=torch.float64, device=device).detach() for n in numbers]
    sums = torch.stack(parts)
    dist.all_reduce(sums)
    return sums.tolist()


# ---------------------------------------------------------------- shares of a batch


def share(batch: Any, number: int, of: int) -> tuple[Any, bool]:
    """Rows ``number``, ``number + of``, … of a batch, and whether there are any; if not, its first row stands in.

    Args:
        batch: a tensor, or a tuple, list or dict of tensors, with rows in their first dimension.

    Raises:
        ShareError: anything else, or tensors that differ in their first dimension.
    """
    tensors = list(batch.values()) if isinstance(batch, dict) else batch if type(batch) in (tuple, list) else [batch]
    plain = all(isinstance(part, Tensor) and part.dim() > 0 and len(part) > 0 for part in tensors)
    if not plain or len({len(part) for part in tensors}) != 1:
        found = [tuple(part.shape) if isinstance(part, Tensor) else type(part).__name__ for part in tensors]
        raise ShareError(f"several processes can share a batch only if it is tensors with as many rows; found {found}")
    rows = slice(number, None, of) if number < len(tensors[0]) else slice(0, 1)
    if isinstance(batch, dict):
        mine = {name: part[rows] for name, part in batch.items()}
    else:
        mine = batch[rows] if isinstance(batch, Tensor) else type(batch)(part[rows] for part in batch)
    return mine, number < len(tensors[0])


def shares(batches: Iterable, step: int) -> Iterator[tuple[Any, bool]]:
    """Go through ``batches`` once: this process's share of each, and whether it counts (see :func:`share`).

    The order of the data has random numbers of its own, those of process 0, the same in every process; the model
    (dropout) draws from others, fixed by them, by the ``step`` at which the epoch begins, and by the process. At the
    end every process is left with the state of the data's, so that a checkpoint goes on with any number of processes.
    """
    if world() == 1:
        yield from ((batch, True) for batch in batches)
        return
    data = on_main(_states)
    _seed_model(data[2], step)
    try:
        own_states, iterator = _switch(data), iter(batches)
        while (batch := next(iterator, _states)) is not _states:
            data = _switch(own_states)
            yield share(batch, rank(), world())
            own_states = _switch(data)
        data = _states()
    finally:
        _switch(data)


def _states() -> tuple:
    return random.getstate(), np.random.get_state(), torch.get_rng_state()


def _switch(states: tuple) -> tuple:
    """Put ``states`` in place of the states of the random generators, and return those."""
    before = _states()
    random.setstate(states[0])
    np.random.set_state(states[1])
    torch.set_rng_state(states[2])
    return before


def _seed_model(data: Tensor, step: int) -> None:
    generator = torch.Generator()
    generator.set_state(data)
    seed = int(torch.randint(2**31, (), generator=generator)) + 7919 * step + rank()
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)


# ---------------------------------------------------------------- the model in several processes


class _Scored(nn.Module):
    """Model and loss as one module: whatever the loss asks of the model happens under DistributedDataParallel."""

    def __init__(self, model: nn.Module, loss_fn: Callable):
        super().__init__()
        self.model, self.loss_fn = model, loss_fn

    def forward(self, batch: Any) -> tuple[Tensor, Any]:
        return self.loss_fn(self.model, batch)


def scorer(model: nn.Module, loss_fn: Callable) -> Callable[[Any, bool], tuple[Tensor, Tensor, Any]]:
    """A function of a share and whether it counts: the loss to differentiate, and total and count of the whole batch.

    The gradient of that loss, averaged over the processes as DistributedDataParallel does it, is the gradient of
    total / count.
    """
    if world() == 1:

        def alone(batch: Any, counts: bool) -> tuple[Tensor, Tensor, Any]:
            total, count = loss_fn(model, batch)
            return total / count, total.detach(), count

        return alone
    from torch.nn.parallel import DistributedDataParallel

    parallel = DistributedDataParallel(_Scored(model, loss_fn))  # broadcasts the weights of process 0

    def together(batch: Any, counts: bool) -> tuple[Tensor, Tensor, Any]:
        total, count = parallel(batch)
        total, count = (total, count) if counts else (total * 0, 0)
        total_of_all, count_of_all = add(total, count)
        loss = total * (world() / count_of_all if count_of_all else math.nan)
        return loss, torch.tensor(total_of_all, dtype=torch.float64), count_of_all

    return together
