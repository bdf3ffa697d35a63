"""Connectionist temporal classification (Graves et al. 2006): a network that labels without an alignment (chapter 5.7).

Label 0 is the blank: a step that says nothing new.
"""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pad_sequence

from utils.models.classifier import recurrent_layer, run_padded

BLANK, NEVER = 0, -math.inf


class AcousticModel(nn.Module):
    """Log-probabilities of blank and labels at every step: standardised inputs, a recurrent layer, a linear one.

    Args:
        input_size, hidden_size: features per step, units per direction.
        labels: how many there are, the blank included.
        dropout: on the states before the linear layer.
        frames: (N, input_size) training features, whose mean and spread standardise every input, or ``None``.
        layer: ``cell``, and what else :func:`utils.models.classifier.recurrent_layer` takes.
    """

    def __init__(self, input_size: int, hidden_size: int, labels: int, *, dropout=0.0, frames=None, **layer):
        super().__init__()
        frames = torch.tensor([[-1.0], [1.0]]).expand(-1, input_size) if frames is None else frames  # mean 0, spread 1
        self.register_buffer("mean", frames.mean(dim=0))
        self.register_buffer("spread", frames.std(dim=0, correction=0).clamp(min=1e-3))
        self.rnn = recurrent_layer(layer.pop("cell", "lstm"), input_size, hidden_size, **layer)
        self.dropout = nn.Dropout(dropout)
        self.out = nn.Linear(hidden_size * (1 + self.rnn.bidirectional), labels)

    def forward(self, x: Tensor, lengths: Tensor | None = None, state=None) -> tuple[Tensor, Tensor | tuple]:
        """Read sequences, or go on reading them from the state where the last chunk ended.

        Args:
            x: (B, T, input_size).
            lengths: (B,) true lengths of padded sequences, in any order; ``None`` if all are full.
            state: what an earlier call returned; of use in one direction only.

        Returns:
            log-probabilities (B, T, labels), and the state. Up to its length no sequence depends on the padding.
        """
        if state is not None and self.rnn.bidirectional:
            raise ValueError("a bidirectional model reads the end first: it cannot go on from a state")
        steps = (x - self.mean) / self.spread
        out, state = run_padded(self.rnn, steps, lengths, state)
        return self.out(self.dropout(out)).log_softmax(dim=-1), state  # (B, T, labels)


def steps_needed(targets: Tensor) -> Tensor:
    """(B,) the fewest steps that can say targets (B, S): one per label, and a blank between two equal neighbours."""
    repeats = (targets[:, 1:] == targets[:, :-1]) & (targets[:, 1:] != BLANK)
    return (targets != BLANK).sum(dim=1) + repeats.sum(dim=1)


def ctc_loss(log_probs: Tensor, lengths: Tensor, targets: Tensor) -> Tensor:
    """Summed -log p(targets) of log-probabilities (B, T, labels) with ``lengths`` (B,).

    Args:
        targets: (B, S) labels, blanks behind the end of the shorter ones.

    Raises:
        ValueError: a target that does not fit into its steps (its loss would be infinite), or a blank before a label.
    """
    needed, lengths = steps_needed(targets).cpu(), lengths.cpu()
    gap = ((targets[:, :-1] == BLANK) & (targets[:, 1:] != BLANK)).any(dim=1).cpu()
    if (bad := (needed > lengths) | gap).any():
        i = int(bad.nonzero()[0])
        raise ValueError(
            f"item {i}: the labels {targets[i].tolist()} need {needed[i]} steps, and blanks ({BLANK}) only behind; "
            f"there are {lengths[i]} steps. Use shorter steps, or leave the item out"
        )
    sizes = (targets != BLANK).sum(dim=1)
    return F.ctc_loss(log_probs.transpose(0, 1), targets, lengths, sizes.cpu(), blank=BLANK, reduction="sum")


# ---------------------------------------------------------------- from probabilities to labels


def collapse(path: Sequence[int]) -> list[int]:
    """The labels that a path of one label per step says: repeats become one, then the blanks go."""
    return [label for i, label in enumerate(path) if label != BLANK and (i == 0 or label != path[i - 1])]


@torch.inference_mode()
def recognise(model: AcousticModel, sequences: Sequence[Tensor], batch_size: int = 64) -> list[list[int]]:
    """Greedy decoding, the best label at every step, collapsed: the labels of each sequence (T, input_size)."""
    found = []
    for i in range(0, len(sequences), batch_size):
        batch = sequences[i : i + batch_size]
        lengths = torch.tensor([len(x) for x in batch])
        x = pad_sequence(batch, batch_first=True).to(model.mean.device)  # (B, T, input_size)
        paths = model(x, lengths)[0].argmax(dim=-1).tolist()
        found += [collapse(path[:length]) for path, length in zip(paths, lengths.tolist(), strict=True)]
    return found


def prefix_beam_search(
    log_probs: Tensor, *, width: int = 8, language: Callable[[tuple[int, ...]], float] | None = None
) -> list[tuple[tuple[int, ...], float]]:
    """The most probable labellings of one sequence (T, labels), best first, with their scores.

    All paths that say the same beginning are added up; after every step the ``width`` best beginnings live on. With
    enough width the search is exhaustive. Graves (2012, section 7.5.3); Hannun et al. (2014) for the language model.

    Args:
        language: a score that is added to the log-probability of a beginning, such as a weighted log p of its labels;
            minus infinity forbids it.
    """
    if width < 1:
        raise ValueError(f"expected width >= 1, found {width}")
    score = (lambda prefix: 0.0) if language is None else language
    beam = {(): (0.0, NEVER)}  # beginning: log p of its paths that end in a blank, and in its last label
    for step in log_probs.double().tolist():
        grown: dict[tuple[int, ...], tuple[float, float]] = {}
        for prefix, (blank, last) in beam.items():
            both = _add(blank, last)
            stay = last + step[prefix[-1]] if prefix else NEVER
            _grow(grown, prefix, both + step[BLANK], stay)
            for label, log_p in enumerate(step):
                if label != BLANK:
                    before = blank if prefix and label == prefix[-1] else both  # a repeat needs a blank between
                    _grow(grown, (*prefix, label), NEVER, before + log_p)
        total = {prefix: _add(*ends) + score(prefix) for prefix, ends in grown.items()}
        best = sorted(total, key=total.get, reverse=True)[:width]
        beam = {prefix: grown[prefix] for prefix in best if total[prefix] > NEVER}  # what cannot be said is left out
    return [(prefix, _add(*ends) + score(prefix)) for prefix, ends in beam.items()]


def _add(a: float, b: float) -> float:
    """log(e^a + e^b)."""
    high, low = max(a, b), min(a, b)
    return high if low == NEVER else high + math.log1p(math.exp(low - high))


def _grow(grown: dict, prefix: tuple[int, ...], blank: float, last: float) -> None:
    old = grown.get(prefix, (NEVER, NEVER))
    grown[prefix] = (_add(old[0], blank), _add(old[1], last))
