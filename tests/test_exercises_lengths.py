"""The checks of notebook 4.2 pass the right answer and nothing else, and their hints name what is wrong."""

import math

import pytest
import torch
from exercise_cases import shared_tests
from torch.nn.functional import pad
from torch.nn.utils.rnn import pack_sequence

from utils import exercises
from utils.data.batches import mask
from utils.exercises import check


@pytest.fixture(autouse=True)
def only_this_part(monkeypatch):
    """The other parts of the book are tested elsewhere."""
    monkeypatch.setattr(exercises, "PARTS", {"4.2": "practice.lengths"})


def cut(lengths, B):
    return [lengths[i : i + B] for i in range(0, len(lengths), B)]


def share(lengths, B):
    return 1 - sum(lengths) / sum(len(b) * max(b) for b in cut(lengths, B))


def reverse(x, lengths):
    out = x.clone()
    for row, length in zip(out, lengths.tolist(), strict=True):
        row[:length] = row[:length].flip(0)
    return out


def reverse_by_index(x, lengths):
    t = torch.arange(x.size(1))
    source = torch.where(t < lengths[:, None], lengths[:, None] - 1 - t, t)
    return x.gather(1, source[..., None].expand_as(x))


def reverse_in_place(x, lengths):
    x.copy_(reverse(x, lengths))
    return x


def pack(sequences):
    ordered = sorted(sequences, key=len, reverse=True)
    steps = [[s[t] for s in ordered if len(s) > t] for t in range(len(ordered[0]))]
    return torch.stack([row for step in steps for row in step]), [len(step) for step in steps]


def pack_as_tensor(sequences):
    packed = pack_sequence(sorted(sequences, key=len, reverse=True))
    return packed.data, packed.batch_sizes


def pack_unsorted(sequences):
    longest = max(map(len, sequences))
    return torch.stack([s[t] for t in range(longest) for s in sequences if len(s) > t]), pack(sequences)[1]


def attend(scores, h, lengths):
    real = mask(lengths, scores.size(1))
    w = scores.masked_fill(~real, -math.inf).softmax(dim=1)
    return (w[..., None] * h.masked_fill(~real[..., None], 0)).sum(dim=1)


def attend_one_by_one(scores, h, lengths):
    return torch.stack([s[:n].softmax(0) @ v[:n] for s, v, n in zip(scores, h, lengths.tolist(), strict=True)])


def attend_touching(scores, h, lengths):
    w = scores.masked_fill(~mask(lengths, scores.size(1)), -math.inf).softmax(dim=1)
    return (w[..., None] * h).sum(dim=1)


def attend_late(scores, h, lengths):
    return ((scores.softmax(dim=1) * mask(lengths, scores.size(1)))[..., None] * h).sum(dim=1)


def attend_over(scores, h, lengths, fill=-math.inf, dim=1):
    real = mask(lengths, scores.size(1))
    w = scores.masked_fill(~real, fill).softmax(dim=dim)
    return (w[..., None] * h.masked_fill(~real[..., None], 0)).sum(dim=1)


def attend_overflowing(scores, h, lengths):
    real = mask(lengths, scores.size(1))
    e = scores.masked_fill(~real, -math.inf).exp()
    return (e[..., None] * h.masked_fill(~real[..., None], 0)).sum(dim=1) / e.sum(dim=1, keepdim=True)


def parts(batches):
    kept = [losses[mask(lengths, losses.size(1))] for losses, lengths in batches]
    return [float(k.sum()) for k in kept], [len(k) for k in kept]


def perplexity(batches):
    sums, counts = parts(batches)
    return math.exp(sum(sums) / sum(counts))


def perplexity_tensor(batches):
    return torch.cat([losses[mask(lengths, losses.size(1))] for losses, lengths in batches]).mean().exp()


def mean_of_means(batches):
    return math.exp(sum(s / c for s, c in zip(*parts(batches), strict=True)) / len(batches))


def mean_of_perplexities(batches):
    return sum(math.exp(s / c) for s, c in zip(*parts(batches), strict=True)) / len(batches)


def trusting_zeros(batches):
    return math.exp(sum(float(x.sum()) for x, _ in batches) / sum(int(n.sum()) for _, n in batches))


def counting_pads(batches):
    return math.exp(sum(float(x.sum()) for x, _ in batches) / sum(x.numel() for x, _ in batches))


def by_steps(lengths, most):
    batches = []
    for i in sorted(range(len(lengths)), key=lengths.__getitem__, reverse=True):
        if batches and (len(batches[-1]) + 1) * lengths[batches[-1][0]] <= most:
            batches[-1].append(i)
        else:
            batches.append([i])
    return batches


def by_steps_without_padding_counted(lengths, most):
    batches, used = [[]], 0
    for i in sorted(range(len(lengths)), key=lengths.__getitem__, reverse=True):
        if used + lengths[i] > most:
            batches.append([])
            used = 0
        batches[-1].append(i)
        used += lengths[i]
    return batches


RIGHT = {
    "4.2.1": [share, lambda lengths, B: torch.tensor(share(lengths, B))],  # float32 is close enough
    "4.2.2": [reverse, reverse_by_index, lambda x, lengths: reverse(x, lengths).float()],
    "4.2.3": [pack, pack_as_tensor, lambda sequences: list(pack(sequences))],
    "4.2.4": [attend, attend_one_by_one],
    "4.2.5": [perplexity, perplexity_tensor],
    "4.2.6": [by_steps, lambda lengths, most: [torch.tensor(b) for b in reversed(by_steps(lengths, most))]],
}
WRONG = [
    ("4.2.1", lambda n, B: 1 - share(n, B), "share of real steps"),
    ("4.2.1", lambda n, B: 100 * share(n, B), "per cent"),
    ("4.2.1", lambda n, B: sum(share(b, B) for b in cut(n, B)) / len(cut(n, B)), "mean of the batches' shares"),
    ("4.2.1", lambda n, B: share(n, len(n)), "longest of all"),
    ("4.2.1", lambda n, B: 1 - sum(n) / sum(B * max(b) for b in cut(n, B)), "last batch"),
    ("4.2.1", lambda n, B: 0.5, "is not it"),
    ("4.2.2", lambda x, n: x.flip(1), "padding comes first"),
    ("4.2.2", lambda x, n: reverse(x, n) * mask(n, x.size(1))[..., None], "padding was overwritten"),
    ("4.2.2", lambda x, n: reverse(x, n).transpose(0, 1), "axes"),
    ("4.2.2", reverse_in_place, "changed the batch"),
    ("4.2.2", lambda x, n: x, "values are not"),
    ("4.2.2", lambda x, n: x[:, :1], "expected shape"),
    ("4.2.3", lambda s: (torch.cat(s), pack(s)[1]), "sequence by sequence"),
    ("4.2.3", lambda s: (torch.cat(sorted(s, key=len, reverse=True)), pack(s)[1]), "sequence by sequence"),
    ("4.2.3", pack_unsorted, "longest sequence comes first"),
    ("4.2.3", lambda s: (pack(s)[0], [len(x) for x in s]), "these are the lengths"),
    ("4.2.3", lambda s: (pack(s)[0], pack(s)[1][::-1]), "still running"),
    ("4.2.3", lambda s: (pack(s)[0], 3), "list of whole numbers"),
    ("4.2.3", lambda s: pack(s)[0], "the pair"),
    ("4.2.3", lambda s: (0 * pack(s)[0], pack(s)[1]), "values are not"),
    ("4.2.4", lambda scores, h, n: (scores.softmax(dim=1)[..., None] * h).sum(dim=1), "takes part"),
    ("4.2.4", attend_late, "after the softmax"),
    ("4.2.4", attend_touching, "NaN is NaN"),
    ("4.2.4", lambda scores, h, n: attend_over(scores, h, n, fill=0.0), "a score of 0"),
    ("4.2.4", lambda scores, h, n: attend_over(scores, h, n, dim=0), "which axis"),
    ("4.2.4", attend_overflowing, "overflow"),
    ("4.2.4", lambda scores, h, n: 2 * attend(scores, h, n), "values are not"),
    ("4.2.5", lambda b: math.log(perplexity(b)), "mean loss"),
    ("4.2.5", lambda b: 2 ** math.log(perplexity(b)), "in nats"),
    ("4.2.5", mean_of_means, "same weight"),
    ("4.2.5", mean_of_perplexities, "mean of perplexities"),
    ("4.2.5", counting_pads, "count holds the padding"),
    ("4.2.5", trusting_zeros, "right with zeros there"),
    ("4.2.5", lambda b: 1.0, "is not it"),
    ("4.2.6", by_steps_without_padding_counted, "the padding counts too"),
    ("4.2.6", lambda n, most: [[i] for i in range(len(n))], "each as full as can be"),
    ("4.2.6", lambda n, most: by_steps(n, most)[:-1], "occur once"),
    ("4.2.6", lambda n, most: [*by_steps(n, most), []], "empty"),
    ("4.2.6", lambda n, most: [[n[i] for i in b] for b in by_steps(n, most)], "every index"),
    ("4.2.6", lambda n, most: list(range(len(n))), "list of lists"),
]


def test_a_learner_without_spare_columns_in_mind_is_caught(capsys):
    assert not check("4.2.2", lambda x, n: pad(reverse(x[:, : n.max()], n), (0, 0, 0, x.size(1) - int(n.max()))))
    assert "overwritten" in capsys.readouterr().out


test_right_answers_pass, test_wrong_answers_get_their_hint, test_every_exercise_is_tried = shared_tests(RIGHT, WRONG)
