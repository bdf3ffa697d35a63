"""The task of chapter 5.7: which digits are said? By voices of a synthesiser, or by real speakers."""

from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from utils.tasks import Job, Metrics, task
from utils.training import warmup_cosine


def _speech(name: str, epochs: int, device: torch.device) -> Job:
    """A bidirectional LSTM with CTC; test voices are strangers. Baseline: what the most similar training clip says."""
    from utils.data import speech as data
    from utils.data.batches import padded_batches
    from utils.models.ctc import BLANK, AcousticModel, ctc_loss, recognise

    load = {"spoken_digits": data.load_spoken_digits, "free_spoken_digits": data.load_free_spoken_digits}[name]
    parts = {part: load(part) for part in ("train", "validation", "test")}
    x = {part: [data.features(clip.wave) for clip in clips] for part, clips in parts.items()}
    cut = {part: partial(padded_batches, x[part], data.labels(clips)) for part, clips in parts.items()}

    def loss_fn(model: nn.Module, batch: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
        steps, lengths, targets = batch
        log_probs, _ = model(steps.to(device), lengths)  # (B, T, labels)
        return ctc_loss(log_probs, lengths, targets.to(device)), (targets != BLANK).sum()

    def measure(part: str, model: nn.Module) -> Metrics:
        return scores(parts[part], [data.spoken(found) for found in recognise(model, x[part])])

    frames = torch.cat(x["train"])
    stretched = {part: torch.stack([_stretch(steps) for steps in x[part]]) for part in ("train", "test")}
    nearest = torch.cdist(stretched["test"], stretched["train"]).argmin(dim=1).tolist()
    return Job(
        model=AcousticModel(frames.size(1), 96, len(data.WORDS) + 1, bidirectional=True, dropout=0.2, frames=frames),
        batches=cut["train"](batch_size=32),
        val_batches=cut["validation"](batch_size=64, shuffle=False),
        loss_fn=loss_fn,
        validate=partial(measure, "validation"),
        test=partial(measure, "test"),
        baselines={"most similar clip": scores(parts["test"], [parts["train"][i].words for i in nearest])},
        fit_options={"lr": 8e-3, "schedule": warmup_cosine(0.1)},
        epochs=epochs,
    )


def scores(clips: list, found: list[str]) -> Metrics:
    """Word and character error rate (jiwer) of the words ``found`` for each clip, and clips without an error, in %."""
    import jiwer

    said = [clip.words for clip in clips]
    exact = sum(a == b for a, b in zip(said, found, strict=True)) / len(said)
    return {"wer": 100 * jiwer.wer(said, found), "cer": 100 * jiwer.cer(said, found), "exact": 100 * exact}


def _stretch(steps: Tensor) -> Tensor:
    """Features (T, n) stretched or squeezed to sixteen steps, in one row."""
    return F.interpolate(steps.T.unsqueeze(0), size=16, mode="linear").flatten()


task("speech", "spoken_digits")(partial(_speech, "spoken_digits", 6))
task("speech", "free_spoken_digits")(partial(_speech, "free_spoken_digits", 12))
