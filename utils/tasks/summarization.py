"""The task of chapter 5.2: summaries of docstrings, or of a file of the reader's own, by a pointer-generator."""

from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from utils.tasks import FILE, Job, Metrics, task
from utils.training import warmup_cosine

SETTINGS = {"embedding": 128, "hidden": 256, "dropout": 0.3, "blind": 0.1}
SIZE, CUT, LR, EPOCHS, BATCH = 4000, 80, 4e-3, 8, 64


def _summarization(parts: dict[str, list[tuple[str, str]]], device: torch.device) -> Job:
    """Pointer-generator that is given the summary of the nearest training text, beside that summary alone."""
    from utils.data import summarization as data
    from utils.data.docstrings import families
    from utils.metrics import rouge
    from utils.models.pointer import PointerGenerator

    known = parts["train"]
    own = families([text for text, _ in known])
    pairs = {part: data.hinted(found, known, own if part == "train" else None) for part, found in parts.items()}
    vocab = data.Words([text for pair in known for text in pair], SIZE)
    model = PointerGenerator(len(vocab), **SETTINGS)

    def loss_fn(model: nn.Module, batch: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
        x, lengths, y_in, y_out = (tensor.to(device) for tensor in batch)
        counts = y_out != data.PAD
        return -model.log_prob(x, lengths, y_in, y_out)[0][counts].sum(), counts.sum()

    def scores(part: str, written: list[str]) -> Metrics:
        return {name: float(f.mean()) for name, f in rouge(written, [summary for _, summary in parts[part]]).items()}

    def measure(part: str, model: nn.Module) -> Metrics:
        return scores(part, data.summarize(model, [text for text, _ in pairs[part]], vocab, cut=CUT))

    optimizer = torch.optim.AdamW(model.parameters(), lr=LR, betas=(0.9, 0.98))
    return Job(
        model=model,
        batches=data.summary_batches(pairs["train"], vocab, BATCH, cut=CUT),
        val_batches=data.summary_batches(pairs["validation"], vocab, 128, shuffle=False, cut=CUT),
        loss_fn=loss_fn,
        validate=partial(measure, "validation"),
        test=partial(measure, "test"),
        baselines={"nearest neighbour": scores("test", data.nearest(known, [text for text, _ in parts["test"]]))},
        fit_options={"optimizer": optimizer, "schedule": warmup_cosine(0.1)},
        epochs=EPOCHS,
    )


@task("summarization", "docstrings")
def docstrings(device: torch.device) -> Job:
    """The docstrings of numpy, matplotlib and torch."""
    from utils.data.docstrings import load_docstrings

    return _summarization({k: [(d.source, d.summary) for d in part] for k, part in load_docstrings().items()}, device)


@task("summarization", FILE)
def own_pairs(device: torch.device, path: Path) -> Job:
    """``text<TAB>summary`` lines; near-duplicate texts go to one of the three parts (85, 5 and 10 %)."""
    from utils.data.docstrings import deal, families
    from utils.data.files import DataError
    from utils.data.translation import read_pairs

    pairs = read_pairs(path)
    parts = deal(pairs, texts := [text for text, _ in pairs], families(texts))
    if missing := [name for name, part in parts.items() if not part]:
        raise DataError(f"{path}: nothing for {' and '.join(missing)} among {len(pairs)} pairs; give some hundred")
    return _summarization(parts, device)
