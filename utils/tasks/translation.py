"""The task of chapter 5.3: translation, of the book's phrases, of Multi30k, or of a file of the reader's own."""

import math
import random
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from utils.tasks import FILE, Job, Metrics, task
from utils.training import evaluate, warmup_cosine

PHRASES = ("en-fr", "en-de", "en-zh", "all")
CAPTIONS = ("de-en", "fr-en", "cs-en", "en-de", "en-fr", "en-cs")
SMALL = {"size": 800, "embedding": 64, "hidden": 192, "dropout": 0.0, "batch_size": 32, "lr": 1e-2, "epochs": 4}
LARGE = {"size": 6000, "embedding": 256, "hidden": 256, "dropout": 0.3, "batch_size": 64, "lr": 2e-3, "epochs": 12}


def _translation(parts: dict, settings: dict, device: torch.device, language: str = "") -> Job:
    """LSTM encoder–decoder with Luong's attention, tested with teacher forcing (perplexity) and by a beam."""
    from utils.data import translation as data
    from utils.models.seq2seq import Seq2Seq

    train = parts["train"]
    tags = sorted({s.split()[0] for s, _ in train if s.startswith("<") and s.split()[0].endswith(">")})
    source, target = (data.Subwords([pair[side] for pair in train], settings["size"], tags) for side in (0, 1))
    sizes = {name: settings[name] for name in ("embedding", "hidden", "dropout")}
    model = Seq2Seq(len(source), len(target), tie_weights=True, **sizes)
    cut = partial(data.pair_batches, source=source, target=target)
    held_out = {name: cut(parts[name], batch_size=128, shuffle=False) for name in ("validation", "test")}

    def loss_fn(model: nn.Module, batch: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
        x, lengths, y_in, y_out = batch
        logits, y = model(x.to(device), lengths, y_in.to(device)), y_out.to(device)  # (B, T, V), (B, T)
        loss = F.cross_entropy(logits.flatten(0, 1), y.flatten(), ignore_index=data.PAD, reduction="sum")
        return loss, (y != data.PAD).sum()

    def measure(name: str, model: nn.Module, sentences: int | None = None) -> Metrics:
        found = {"perplexity": math.exp(evaluate(model, held_out[name], loss_fn))}  # teacher-forced
        pairs = parts[name][:sentences]
        beam = {"width": 5, "length_penalty": 1.0}
        written = data.translate(model, [s for s, _ in pairs], source, target, **beam)
        return found | _scores(written, [t for _, t in pairs], language)

    remembered = _memory(train, [s for s, _ in parts["test"]])
    optimizer = torch.optim.AdamW(model.parameters(), lr=settings["lr"], betas=(0.9, 0.98))
    return Job(
        model=model,
        batches=cut(train, batch_size=settings["batch_size"]),
        val_batches=held_out["validation"],
        loss_fn=loss_fn,
        validate=partial(measure, "validation", sentences=200),
        test=partial(measure, "test"),
        baselines={"translation memory": _scores(remembered, [t for _, t in parts["test"]], language)},
        fit_options={"optimizer": optimizer, "schedule": warmup_cosine(0.1)},
        epochs=settings["epochs"],
    )


def _scores(written: list[str], expected: list[str], language: str) -> Metrics:
    """BLEU and chrF of sacrebleu, and the share of translations that are the reference to the letter, in percent."""
    from sacrebleu import corpus_bleu, corpus_chrf

    tokenize = "zh" if language == "zh" else "13a"
    exact = 100 * sum(w == e for w, e in zip(written, expected, strict=True)) / len(expected)
    bleu = corpus_bleu(written, [expected], tokenize=tokenize, force=True).score
    return {"bleu": bleu, "chrf": corpus_chrf(written, [expected]).score, "exact": exact}


def _memory(train: list[tuple[str, str]], texts: list[str]) -> list[str]:
    """For each text the translation of the training source that shares most groups of letters with it."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    grams = TfidfVectorizer(analyzer="char", ngram_range=(1, 4), sublinear_tf=True)
    known = grams.fit_transform([s for s, _ in train])
    alike = (grams.transform(texts[i : i + 256]) @ known.T for i in range(0, len(texts), 256))  # one at a time
    return [train[int(j)][1] for part in alike for j in np.asarray(part.argmax(axis=1)).ravel()]


def _named(corpus: str, direction: str, settings: dict, device: torch.device) -> Job:
    from utils.data.translation import load_pairs

    return _translation(load_pairs(f"{corpus}:{direction}"), settings, device, direction[-2:])


for _direction in PHRASES:
    task("translation", f"phrases:{_direction}")(partial(_named, "phrases", _direction, SMALL))
for _direction in CAPTIONS:
    task("translation", f"multi30k:{_direction}")(partial(_named, "multi30k", _direction, LARGE))


@task("translation", FILE)
def own_pairs(device: torch.device, path: Path) -> Job:
    """``source<TAB>target`` lines; all lines with the same source go to one of the three parts (8 : 1 : 1)."""
    from utils.data.files import DataError
    from utils.data.translation import read_pairs

    pairs = read_pairs(path)
    sources = sorted({s for s, _ in pairs})
    random.Random(0).shuffle(sources)
    tenth = len(sources) // 10
    if tenth == 0:
        raise DataError(f"{path} has {len(sources)} different source(s); at least ten are needed to split them")
    names = ["validation"] * tenth + ["test"] * tenth + ["train"] * (len(sources) - 2 * tenth)
    part_of = dict(zip(sources, names, strict=True))
    return _translation({name: [p for p in pairs if part_of[p[0]] == name] for name in set(names)}, LARGE, device)
