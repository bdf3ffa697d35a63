"""The tasks that read or write text (chapter 4.1 and part 5)."""

from collections.abc import Iterable
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from utils.tasks import Job, Metrics, task
from utils.training import warmup_cosine


@task("names", "cldr")
def names(device: torch.device) -> Job:
    """Which of 15 languages is this name written in? A GRU over the pieces of a name (chapter 4.1)."""
    from utils.data import names as data
    from utils.data.batches import padded_batches
    from utils.models.classifier import SequenceClassifier

    parts = data.split_names(data.load_names())
    characters = data.Characters((name.text for name in parts[0]), n=4, min_count=2)
    codes = list(data.LANGUAGES)
    x = [[characters.encode(name.text) for name in part] for part in parts]  # numbers (T, 4) per name
    y = [torch.tensor([codes.index(name.language) for name in part]) for part in parts]  # (N,)
    validation, test = (padded_batches(x[i], y[i], batch_size=512, shuffle=False) for i in (1, 2))
    reading = {"cell": "gru", "bidirectional": True, "tokens": 4, "pooling": "max"}
    drop = {"dropout": 0.3, "input_dropout": 0.5, "token_dropout": 0.25}
    model = SequenceClassifier(32, 64, len(codes), vocab_size=len(characters), **reading, **drop)
    with torch.no_grad():
        model.embedding.weight.mul_(0.14)  # four of them are added up

    def loss_fn(model: nn.Module, batch: tuple[Tensor, Tensor, Tensor]) -> tuple[Tensor, int]:
        tokens, lengths, language = batch
        scores, smooth = model(tokens.to(device), lengths), 0.1 if model.training else 0.0  # (batch, languages)
        return F.cross_entropy(scores, language.to(device), reduction="sum", label_smoothing=smooth), len(language)

    @torch.inference_mode()
    def measure(batches: Iterable, model: nn.Module) -> Metrics:
        right = [model(tokens.to(device), lengths).argmax(dim=1).cpu() == y for tokens, lengths, y in batches]
        return {"accuracy": float(torch.cat(right).float().mean())}

    texts = [[name.text for name in part] for part in parts]
    return Job(
        model=model,
        batches=padded_batches(x[0], y[0], batch_size=128),
        val_batches=validation,
        loss_fn=loss_fn,
        validate=partial(measure, validation),
        test=partial(measure, test),
        baselines=_ngram_baselines(texts[0], y[0].numpy(), texts[2], y[2].numpy()),
        fit_options={"lr": 0.01, "schedule": warmup_cosine(0.1)},
        epochs=10,
    )


def _ngram_baselines(train: list[str], y_train: np.ndarray, test: list[str], y_test: np.ndarray) -> dict[str, Metrics]:
    """Test accuracy of the most frequent class, and of linear models of the letters that follow each other."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.svm import LinearSVC

    accuracy = {"most frequent language": float((y_test == np.bincount(y_train).argmax()).mean())}
    models = {
        "n-grams, logistic regression": (4, LogisticRegression(C=10.0, tol=1e-3, max_iter=300)),
        "n-grams, support vectors": (5, LinearSVC(C=1.0)),
    }
    for name, (longest, classifier) in models.items():
        grams = TfidfVectorizer(analyzer="char_wb", ngram_range=(1, longest), lowercase=False, sublinear_tf=True)
        accuracy[name] = classifier.fit(grams.fit_transform(train), y_train).score(grams.transform(test), y_test)
    return {name: {"accuracy": float(value)} for name, value in accuracy.items()}
