"""Seeds, threads and devices: what makes two runs of a page give the same numbers."""

import os
import random

import numpy as np
import torch

THREADS_VARIABLE = "RNN_BOOK_THREADS"


def seed_everything(seed: int, threads: int | None = None) -> None:
    """Seed Python, NumPy and torch, and set the number of torch threads.

    One thread is the default: small recurrent nets spend their time in many tiny matrix
    products, and sharing those between threads costs more than it saves (chapter 4.5
    measures it). ``threads``, or else the environment variable ``RNN_BOOK_THREADS``,
    overrides it.

    Raises:
        ValueError: a seed outside 0 … 2**32 - 1, or fewer than one thread.
    """
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**32:
        raise ValueError(f"seed must be a whole number from 0 to {2**32 - 1}, not {seed!r}")
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
    set_threads(threads)


def set_threads(threads: int | None = None) -> int:
    """Use ``threads`` torch threads (default: ``RNN_BOOK_THREADS``, else 1); return the number."""
    asked = threads if threads is not None else os.environ.get(THREADS_VARIABLE, "1")
    try:
        number = int(asked)
    except ValueError:
        number = 0
    if number < 1:
        raise ValueError(
            f"the number of threads must be a whole number of at least 1, not {asked!r} "
            f"(argument `threads` or environment variable {THREADS_VARIABLE})"
        )
    torch.set_num_threads(number)
    return number


def pick_device(name: str = "auto") -> torch.device:
    """Return the torch device called ``name``; ``"auto"`` takes a CUDA GPU if there is one.

    Apple's ``mps`` is never picked by ``"auto"``, because it has no float64, which the book's
    proofs need. Ask for it by name.

    Raises:
        ValueError: the name is unknown, or that device is not on this machine.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except Exception as error:  # torch raises many types here: RuntimeError, AssertionError, …
        reason = str(error).splitlines()[0]
        raise ValueError(f"device {name!r} cannot be used here ({reason}); try 'cpu' or 'auto'") from None
    return device
