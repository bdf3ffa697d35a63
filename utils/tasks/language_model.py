"""The task that writes text, character by character (chapter 5.1)."""

import math
from collections import Counter
from functools import partial
from pathlib import Path

import torch
from torch import nn

from utils.tasks import FILE, Job, Metrics, task
from utils.training import evaluate, warmup_cosine


def language_model(device: torch.device, source: str | Path) -> Job:
    """A tied LSTM over the characters of a text, against counting: uniform, unigram and interpolated 6-gram."""
    from utils.data import text
    from utils.data.corpora import load_corpus, ngram_bits
    from utils.models.language_model import LanguageModel, carrying_loss

    corpus = load_corpus(source)
    vocab = text.Vocabulary(Counter(corpus.train), specials=["<unk>"])
    loss_fn = carrying_loss()

    def batches(part: str, rows: int, length: int) -> list[tuple]:
        cut = enumerate(text.bptt_batches(list(part), vocab, rows, length))
        return [(x.to(device), y.to(device), i == 0) for i, (x, y) in cut]  # (B, T), (B, T), the rows begin

    def measure(held_out: list[tuple], model: nn.Module) -> Metrics:
        nats = evaluate(model, held_out, loss_fn)
        return {"bits_per_char": nats / math.log(2), "perplexity": math.exp(nats)}

    validation, test = (batches(part, 4, 256) for part in (corpus.val, corpus.test))
    counted = {
        name: ngram_bits(corpus.train, corpus.test, n) for name, n in [("uniform", 0), ("unigram", 1), ("6-gram", 6)]
    }
    return Job(
        model=LanguageModel(len(vocab), embedding=64, hidden=256, dropout=0.1, tie_weights=True),
        batches=batches(corpus.train, 12, 48),
        val_batches=validation,
        loss_fn=loss_fn,
        validate=partial(measure, validation),
        test=partial(measure, test),
        baselines={name: {"bits_per_char": bits, "perplexity": 2**bits} for name, bits in counted.items()},
        fit_options={"lr": 8e-3, "schedule": warmup_cosine(0.1)},
        epochs=6,
        unshardable="its state is carried from batch to batch",
    )


for _name in ("pydoc", "time_machine", "tiny_shakespeare"):
    task("language_model", _name)(partial(language_model, source=_name))
task("language_model", FILE)(language_model)
