"""Checkpoints on disk: tensors as safetensors, the rest as JSON, old or new but never half.

``utils.training.fit`` decides what a checkpoint holds; this module knows how it is stored.
"""

import hashlib
import json
import os
import random
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from utils import distributed

RECORD = "checkpoint.json"


class CheckpointError(RuntimeError):
    """A checkpoint is missing, damaged, in the way, or belongs to another model."""


def save_checkpoint(folder: str | os.PathLike, tensors: dict[str, Tensor], record: dict) -> None:
    """Write ``tensors`` (safetensors) and ``record`` (JSON) so that a crash leaves old or new, never half.

    The JSON file names the tensor file and its SHA-256 and is put in place last, by a rename; the
    tensor file of the checkpoint before it goes only after that.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"step-{record['step']:08d}.safetensors"
    part = target.with_suffix(".part")
    # clone: safetensors refuses tensors that share memory (tied weights)
    save_file({name: value.detach().cpu().clone().contiguous() for name, value in tensors.items()}, part)
    digest = hashlib.sha256(part.read_bytes()).hexdigest()
    os.replace(part, target)
    write_json(folder / RECORD, record | {"tensors": target.name, "sha256": digest})
    for old in folder.glob("step-*.safetensors"):
        if old != target:
            old.unlink()


def write_json(path: Path, data: dict) -> None:
    """Write ``data`` so that the file at ``path`` is the old one or the new one, never half of it."""
    part = path.with_name(path.name + ".part")
    part.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
    os.replace(part, path)


def load_checkpoint(folder: str | os.PathLike) -> tuple[dict[str, Tensor], dict]:
    """Read what :func:`save_checkpoint` wrote, checking the SHA-256."""
    folder = Path(folder)
    try:
        record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
        data, digest = (folder / record["tensors"]).read_bytes(), record["sha256"]
    except FileNotFoundError as error:
        raise CheckpointError(f"no checkpoint to resume in {folder}: {Path(error.filename).name} is missing") from None
    except (ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{folder / RECORD} is damaged ({error}); start again in another folder") from None
    if hashlib.sha256(data).hexdigest() != digest:
        raise CheckpointError(f"{folder / record['tensors']} is damaged (wrong SHA-256); start again in another folder")
    return load_file(folder / record["tensors"]), record


def random_states() -> tuple[dict, dict[str, Tensor]]:
    """The states of Python's, NumPy's and torch's generators: what JSON holds, and what safetensors holds."""
    kind, keys, position, has_gauss, gauss = np.random.get_state()
    python_state = random.getstate()
    plain = {
        "python": [python_state[0], list(python_state[1]), python_state[2]],
        "numpy": [kind, keys.tolist(), position, has_gauss, gauss],
    }
    tensors = {"random.cpu": torch.get_rng_state()}
    if torch.cuda.is_available() and distributed.world() == 1:  # several processes seed their GPUs at every epoch
        tensors |= {f"random.cuda{i}": state for i, state in enumerate(torch.cuda.get_rng_state_all())}
    return plain, tensors


def set_random_states(plain: dict, tensors: dict[str, Tensor]) -> None:
    """Put back what :func:`random_states` gave; ``tensors`` without the prefix ``random.``."""
    version, numbers, gauss = plain["python"]
    random.setstate((version, tuple(numbers), gauss))
    np.random.set_state(tuple(plain["numpy"]))
    torch.set_rng_state(tensors["cpu"])
    for i in range(len(tensors) - 1):
        if torch.cuda.is_available() and i < torch.cuda.device_count() and distributed.world() == 1:
            torch.cuda.set_rng_state(tensors[f"cuda{i}"], i)
