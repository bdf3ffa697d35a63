"""The task of chapter 5.8: saying what a picture shows, of scenes of digits or of the images of a folder."""

import random
from collections import Counter
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from utils.tasks import FILE, Job, Metrics, task
from utils.training import warmup_cosine


def _captions(parts: dict[str, tuple[Tensor, list]], channels: int, epochs: int, device: torch.device) -> Job:
    """A CNN and an LSTM that looks at its grid, trained together, beside the most frequent caption.

    Args:
        parts: of each part the images (N, channels, H, W), and the valid captions of each.
    """
    from utils.data import captions as data
    from utils.data.translation import PAD
    from utils.models.captioner import Captioner, GridEncoder

    said = [caption for captions in parts["train"][1] for caption in captions]
    words = data.Words(said)
    batches = {name: data.caption_batches(*part, words, 16) for name, part in parts.items()}

    def loss_fn(model: nn.Module, batch: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
        x, y, out = (part.to(device) for part in batch)  # (B, …), (B, k, T) both
        logits = model(x, y.flatten(0, 1)).flatten(0, 1)  # (B k T, V)
        return F.cross_entropy(logits, out.flatten(), ignore_index=PAD, reduction="sum"), (out != PAD).sum()

    def measure(name: str, model: nn.Module) -> Metrics:
        return data.caption_scores(data.describe(model, parts[name][0], words, width=3), parts[name][1])

    usual = [Counter(said).most_common(1)[0][0]] * len(parts["test"][1])
    return Job(
        model=Captioner(GridEncoder(channels), len(words)),
        batches=batches["train"],
        val_batches=batches["validation"],
        loss_fn=loss_fn,
        validate=partial(measure, "validation"),
        test=partial(measure, "test"),
        baselines={"most frequent caption": data.caption_scores(usual, parts["test"][1])},
        fit_options={"lr": 5e-3, "schedule": warmup_cosine(0.1)},
        epochs=epochs,
    )


@task("captions", "digits")
def digits(device: torch.device) -> Job:
    """Scenes of handwritten digits, by writers whom the model has never seen."""
    from utils.data.captions import digit_images, make_scenes

    sizes = ("train", 16_000), ("validation", 500), ("test", 1000)
    scenes = {name: make_scenes(digit_images(name), n) for name, n in sizes}
    return _captions({name: (s.images, s.captions()) for name, s in scenes.items()}, 1, 4, device)


@task("captions", FILE)
def folder(device: torch.device, path: Path) -> Job:
    """``captions.txt`` with lines ``image<TAB>caption``, the images beside it, dealt 8 : 1 : 1."""
    from utils.data.captions import DataError, read_captions

    images, captions = read_captions(path)
    tenth, order = len(images) // 10, random.Random(0).sample(range(len(images)), len(images))
    if tenth == 0:
        raise DataError(f"{path} describes {len(images)} image(s); at least ten are needed to split them")
    rows = {"validation": order[:tenth], "test": order[tenth : 2 * tenth], "train": order[2 * tenth :]}
    return _captions({name: (images[r], [captions[i] for i in r]) for name, r in rows.items()}, 3, 30, device)
