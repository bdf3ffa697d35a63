"""The law of chapter 4.2 for every model of the book: a sequence alone and in a padded batch give the same.

Every ``nn.Module`` of ``utils.cells`` and of ``utils.models`` is found by itself and has to stand either in
``LAWFUL``, with a way to build and call it, or in ``EXEMPT``, with the reason and a test that the reason is true.
"""

import importlib
import inspect
import itertools
import math
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from utils import cells, models
from utils.data.batches import mask, pad, padded_batches
from utils.models.captioner import Captioner, GridEncoder
from utils.models.classifier import RNNModel, SequenceClassifier
from utils.models.ctc import AcousticModel
from utils.models.forecaster import EncoderDecoderForecaster, QuantileForecaster
from utils.models.language_model import LanguageModel
from utils.models.pointer import PointerGenerator
from utils.models.seq2seq import AdditiveAttention, Attention, Encoder, MultiplicativeAttention, Seq2Seq
from utils.training import evaluate, fit

LENGTHS = [4, 1, 7, 2, 7]
VECTORS = list(torch.randn(sum(LENGTHS), 3, generator=torch.Generator().manual_seed(0)).double().split(LENGTHS))
TOKENS = [torch.tensor(t) for t in ([3, 1, 4, 1], [5], [8, 2, 6, 5, 3, 5, 8], [2, 7], [6, 2, 6, 4, 3, 3, 8])]
PAIRS = [torch.stack([t, t.flip(0)], dim=1) for t in TOKENS]  # two tokens per step
ITEMS = {"vectors": VECTORS, "tokens": TOKENS, "pairs": PAIRS}
UNSEEN = 0  # a token that stands in no sequence
GARBAGE = {"vectors": [0.0, 1e3, math.nan], "tokens": [UNSEEN, 4], "pairs": [UNSEEN, 4]}
ORDERS = [[0, 1, 2, 3, 4], [2, 4, 0, 3, 1], [1, 3, 0, 4, 2]]  # as they come, longest first, shortest first


@dataclass(frozen=True)
class Case:
    """A model that keeps the law.

    ``call(model, x, lengths)`` returns for each sequence of the batch one vector of everything the model says of it.
    """

    name: str
    make: Callable[[], nn.Module]
    call: Callable[[nn.Module, torch.Tensor, torch.Tensor], list[torch.Tensor]]
    reads: str = "vectors"  # or "tokens", "pairs"
    sparse: bool = False  # some steps may have no say: all ReLUs shut, or another step holds the maximum


def call_cell(model, x, lengths):
    """Outputs at the real steps and the last states of every layer and direction."""
    packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
    out, last = model(packed)
    out, _ = pad_packed_sequence(out, batch_first=True)  # (B, T, n · directions)
    last = last if isinstance(last, tuple) else (last,)
    rows = enumerate(zip(out, lengths.tolist(), strict=True))
    return [torch.cat([o[:n].flatten(), *[s[:, i].flatten() for s in last]]) for i, (o, n) in rows]


def call_scores(model, x, lengths):
    """One row of scores per sequence."""
    return list(model(x, lengths))


def cell_cases():
    kinds = {"RNN": [{}, {"nonlinearity": "relu"}], "LSTM": [{}], "GRU": [{}, {"reset_after": False}]}
    for kind, options in kinds.items():
        for more, layers, both in itertools.product(options, (1, 2), (False, True)):
            arguments = {"num_layers": layers, "bidirectional": both, "batch_first": True, **more}
            name = f"{kind}, {layers} layer(s), {1 + both} direction(s) {more or ''}"
            owner = getattr(cells, kind)
            model = lambda owner=owner, a=arguments: owner(3, 5, **a).double()  # noqa: E731
            yield owner, Case(name, model, call_cell, sparse=bool(more))


def classifier_cases():
    choices = ("rnn", "gru", "lstm"), (1, 2), (False, True), ("vectors", "tokens"), ("last", "max")
    for cell, layers, both, reads, pooling in [*itertools.product(*choices), ("gru", 1, True, "pairs", "last")]:
        arguments = {"cell": cell, "num_layers": layers, "bidirectional": both, "dropout": 0.5, "pooling": pooling}
        arguments |= {} if reads == "vectors" else {"vocab_size": 9, "tokens": 1 + (reads == "pairs")}
        name = f"{cell}, {layers} layer(s), {1 + both} direction(s), {reads}, {pooling}"
        model = lambda a=arguments: SequenceClassifier(3, 5, 2, **a).double()  # noqa: E731
        yield Case(name, model, call_scores, reads, sparse=pooling == "max")


def call_encoder(model, x, lengths):
    """The vectors of the real steps, and the decoder's first state."""
    values, real, state = model(x, lengths)
    assert real.sum(dim=1).equal(lengths)
    assert values[~real].eq(0).all()
    return [
        torch.cat([v[:n].flatten(), *[s[i] for s in state]])
        for i, (v, n) in enumerate(zip(values, lengths, strict=True))
    ]


def call_decoder(model, x, lengths):
    """The logits under teacher forcing, the same target for every source."""
    return list(model(x, lengths, torch.tensor([[1, 5, 2]]).expand(len(x), -1)).flatten(1))


def seq2seq_cases():
    for cell, both, attention in itertools.product(
        ("rnn", "gru", "lstm"), (False, True), (None, "additive", "multiplicative")
    ):
        arguments = {"embedding": 3, "hidden": 6, "cell": cell, "bidirectional": both, "attention": attention}
        model = lambda a=arguments: Seq2Seq(9, 7, dropout=0.5, **a).double()  # noqa: E731
        yield Case(f"{cell}, {1 + both} direction(s), attention {attention}", model, call_decoder, "tokens")


def call_pointer(model, x, lengths):
    """The extended distribution under teacher forcing, the same target for every source: 5 and 8 are unknown words."""
    p = model(x, lengths, torch.tensor([[1, 5, 2]]).expand(len(x), -1)).exp()
    return list(F.pad(p, (0, 9 - p.size(2))).flatten(1))


def pointer_cases():
    for copy in (True, False):
        arguments = {"embedding": 3, "hidden": 6, "copy": copy, "dropout": 0.5, "blind": 0.5}
        model = lambda a=arguments: spread(PointerGenerator(7, **a)).double()  # noqa: E731
        yield Case(f"copying {copy}", model, call_pointer, "tokens")


def spread(model):
    """With large word vectors, which the output layer does not share: every row would hear of every word."""
    nn.init.normal_(model.embedding.weight)
    model.out.weight = nn.Parameter(model.out.weight.detach().clone())
    return model


def encoder_cases():
    for cell, size in itertools.product(("rnn", "gru", "lstm"), (None, 5)):
        model = lambda c=cell, n=size: Encoder(9, 3, 4, cell=c, state_size=n, dropout=0.5).double()  # noqa: E731
        yield Case(f"{cell}, state of {size}", model, call_encoder, "tokens")


def call_acoustic(model, x, lengths):
    """The log-probabilities of the real steps."""
    return [out[:n].flatten() for out, n in zip(model(x, lengths)[0], lengths, strict=True)]


def acoustic_cases():
    for cell, layers, both in itertools.product(("rnn", "gru", "lstm"), (1, 2), (False, True)):
        arguments = {"cell": cell, "num_layers": layers, "bidirectional": both, "dropout": 0.5}
        model = lambda a=arguments: AcousticModel(3, 5, 4, frames=torch.cat(VECTORS), **a).double()  # noqa: E731
        yield Case(f"{cell}, {layers} layer(s), {1 + both} direction(s)", model, call_acoustic)


LAWFUL = {kind: [case for owner, case in cell_cases() if owner is kind] for kind in (cells.RNN, cells.LSTM, cells.GRU)}
LAWFUL |= {SequenceClassifier: list(classifier_cases())}
LAWFUL |= {AcousticModel: list(acoustic_cases())}
LAWFUL |= {Encoder: list(encoder_cases()), Seq2Seq: list(seq2seq_cases()), PointerGenerator: list(pointer_cases())}
EXEMPT = {
    cells.Recurrent: "has no step of its own: its subclasses are tested",
    RNNModel: "the source's model, kept as printed: it takes no lengths and reads the last column, padding or not",
    Attention: "scores nothing itself: its subclasses are tested",
    AdditiveAttention: "takes a mask instead of lengths, and values that Encoder has set to zero in the padding",
    MultiplicativeAttention: "the same",
    QuantileForecaster: "takes no lengths: all its windows of the past are equally long, by construction",
    EncoderDecoderForecaster: "the same, and what is known beforehand is as long as the horizon",
    LanguageModel: "takes no lengths: it reads left to right, so what it says comes before any padding behind a text",
    Captioner: "takes no lengths: like the language model, it says the same before any padding behind a caption",
    GridEncoder: "reads images of one size, no sequences",
}
CASES = [pytest.param(case, id=f"{kind.__name__}: {case.name}") for kind, cases in LAWFUL.items() for case in cases]
each_case = pytest.mark.parametrize("case", CASES)


def modules_of_the_book() -> set[type[nn.Module]]:
    names = [f"utils.models.{m.name}" for m in pkgutil.walk_packages(models.__path__)] + ["utils.cells"]
    found = set()
    for name in names:
        members = inspect.getmembers(importlib.import_module(name), inspect.isclass)
        found |= {kind for _, kind in members if issubclass(kind, nn.Module) and kind.__module__ == name}
    return found


def test_every_model_of_the_book_stands_under_the_law():
    found = modules_of_the_book()
    assert not set(LAWFUL) & set(EXEMPT)
    missing = found - set(LAWFUL) - set(EXEMPT)
    assert not missing, f"no law test for {missing}: give LAWFUL a way to call them"
    assert set(LAWFUL) | set(EXEMPT) == found, "a model that is no more"
    assert all(LAWFUL.values())


# ---------------------------------------------------------------- the law


def make(case) -> nn.Module:
    torch.manual_seed(0)
    return case.make().eval()


def items(case):
    return ITEMS[case.reads]


def batch_of(sequences, garbage, extra):
    """A padded batch with ``extra`` columns that belong to nobody, all padding being ``garbage``."""
    x, lengths = pad(sequences, garbage)
    return F.pad(x, (0, 0) * (x.dim() - 2) + (0, extra), value=garbage), lengths


def alone(case, model):
    return [case.call(model, s.unsqueeze(0), torch.tensor([len(s)]))[0] for s in items(case)]


def loss_of(results):
    """Looks at every number of every result."""
    return sum((torch.linspace(1, 2, r.numel(), dtype=r.dtype) * r.sin()).sum() for r in results)


def settings(case):
    """Garbage, spare columns and order of the sequences: every pair of garbage and order, without and with columns."""
    pairs = itertools.product(GARBAGE[case.reads], ORDERS)
    return [(garbage, 3 * (k % 2), order) for k, (garbage, order) in enumerate(pairs)]


@each_case
def test_outputs_do_not_depend_on_the_padding(case):
    model = make(case)
    expected = alone(case, model)
    assert all((a - b).abs().max() > 1e-3 for a, b in itertools.combinations(expected, 2) if a.shape == b.shape)
    for garbage, extra, order in settings(case):
        x, lengths = batch_of([items(case)[i] for i in order], garbage, extra)
        for i, found in zip(order, case.call(model, x, lengths), strict=True):
            torch.testing.assert_close(found, expected[i], rtol=0, atol=1e-10)


@each_case
def test_gradients_of_the_weights_do_not_depend_on_the_padding(case):
    model = make(case)
    parameters = list(model.parameters())
    expected = torch.autograd.grad(loss_of(alone(case, model)), parameters)
    assert all(g.abs().max() > 0 for g in expected)
    for garbage, extra, order in settings(case):
        x, lengths = batch_of([items(case)[i] for i in order], garbage, extra)
        found = torch.autograd.grad(loss_of(case.call(model, x, lengths)), parameters)
        for a, b in zip(found, expected, strict=True):
            torch.testing.assert_close(a, b, rtol=0, atol=1e-10)


@each_case
def test_gradients_of_the_inputs_stay_within_the_sequence(case):
    model = make(case)
    if case.reads != "vectors":
        loss_of(case.call(model, *batch_of(items(case), UNSEEN, 2))).backward()
        assert model.embedding.weight.grad[UNSEEN].eq(0).all()
        assert model.embedding.weight.grad[5].abs().max() > 0
        return
    for garbage in GARBAGE["vectors"]:
        x, lengths = batch_of(VECTORS, garbage, 2)
        loss_of(case.call(model, x.requires_grad_(), lengths)).backward()
        real = mask(lengths, x.size(1))
        assert x.grad[~real].eq(0).all()
        heard = x.grad[real].ne(0).any(dim=1)  # every real step has its say
        assert heard.double().mean() > (0.6 if case.sparse else 0.999)


@each_case
def test_a_sequence_is_heard_and_no_neighbour_hears_of_it(case):
    model = make(case)
    x, lengths = batch_of(items(case), GARBAGE[case.reads][0], 1)
    before = case.call(model, x, lengths)
    for i, length in enumerate(LENGTHS):
        changed = x.clone()
        changed[i, :length] = x[i, :length] - 1
        after = case.call(model, changed, lengths)
        moved = [(a - b).abs().max() for a, b in zip(before, after, strict=True)]
        assert moved[i] > 1e-6
        assert max(m for k, m in enumerate(moved) if k != i) < 1e-10


@each_case
def test_the_law_holds_in_single_precision(case):
    """Alone and packed may run through different kernels here, so equal means equal up to rounding."""
    model = make(case).float()
    sequences = [s.float() if s.is_floating_point() else s for s in items(case)]
    x, lengths = batch_of(sequences, GARBAGE[case.reads][-1], 2)
    for s, found in zip(sequences, case.call(model, x, lengths), strict=True):
        (expected,) = case.call(model, s.unsqueeze(0), torch.tensor([len(s)]))
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


# ---------------------------------------------------------------- the exempt, and why


def test_the_base_class_cannot_run():
    with pytest.raises(NotImplementedError):
        cells.Recurrent(3, 5)(torch.zeros(2, 1, 3))


@pytest.mark.parametrize("garbage", [0.0, 1e3])
def test_the_sources_model_breaks_the_law(garbage):
    torch.manual_seed(0)
    model = RNNModel(3, 5, 2)
    assert list(inspect.signature(model.forward).parameters) == ["x"]  # there is no way to give lengths
    x, _ = batch_of([s.float() for s in VECTORS], garbage, 0)
    expected = torch.cat([model(s.float().unsqueeze(0)) for s in VECTORS])
    gap = (model(x) - expected).abs().amax(dim=1)
    assert gap[torch.tensor(LENGTHS) < 7].min() > 1e-2
    assert gap[torch.tensor(LENGTHS) == 7].max() < 1e-5  # the longest have no padding


def test_the_forecaster_has_no_lengths_and_would_need_them():
    torch.manual_seed(0)
    model = QuantileForecaster(3, horizon=2).eval()
    assert list(inspect.signature(model.forward).parameters) == ["x"]
    window = VECTORS[0].float().unsqueeze(0)
    assert (model(window) - model(F.pad(window, (0, 0, 0, 3)))).abs().max() > 1e-4


def test_the_forecaster_of_two_parts_has_no_lengths_and_would_need_them():
    torch.manual_seed(0)
    model = EncoderDecoderForecaster(3, 3).eval()
    assert list(inspect.signature(model.forward).parameters) == ["past", "known"]
    window = VECTORS[0].float().unsqueeze(0)  # (1, 4, 3)
    assert (model(window, window) - model(F.pad(window, (0, 0, 0, 2)), window)).abs().max() > 1e-4


@pytest.mark.parametrize("kind", [AdditiveAttention, MultiplicativeAttention])
def test_attention_keeps_the_law_for_finite_padding(kind):
    torch.manual_seed(0)
    with pytest.raises(NotImplementedError):
        Attention()(torch.zeros(1, 1, 3), torch.zeros(1, 2, 3), torch.ones(1, 2, dtype=torch.bool))
    model = kind(3, 3, *([4] if kind is AdditiveAttention else [])).double()
    query, results = torch.randn(len(LENGTHS), 2, 3).double(), []
    for garbage in (0.0, 1e3):
        x, lengths = batch_of(VECTORS, garbage, 2)
        context, weights = model(query, x, mask(lengths, x.size(1)))
        assert weights.masked_select(~mask(lengths, x.size(1)).unsqueeze(1)).eq(0).all()
        results.append([context, *torch.autograd.grad(context.sin().sum(), list(model.parameters()))])
    for found, expected in zip(*results, strict=True):
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])
def test_the_language_model_has_no_lengths_and_says_the_same_before_any_padding(cell):
    torch.manual_seed(0)
    model = LanguageModel(9, embedding=4, hidden=5, cell=cell, num_layers=2, tie_weights=True).double().eval()
    assert list(inspect.signature(model.forward).parameters) == ["x", "state"]
    for garbage in GARBAGE["tokens"]:
        x, lengths = batch_of(TOKENS, garbage, 2)
        together, last = model(x)
        for i, t in enumerate(TOKENS):
            expected, own_last = model(t.unsqueeze(0))
            torch.testing.assert_close(together[i, : len(t)], expected[0], rtol=0, atol=1e-10)
            assert (last[0][i] - own_last[0][0]).abs().max() > 1e-6  # behind padding the state is another one


@pytest.mark.parametrize("attention", [False, True])
def test_the_captioner_has_no_lengths_and_says_the_same_before_any_padding(attention):
    torch.manual_seed(0)
    model = Captioner(nn.Identity(), 9, size=4, hidden=8, attention=attention).double().eval()
    assert list(inspect.signature(model.forward).parameters) == ["images", "y_in"]
    assert list(inspect.signature(GridEncoder().forward).parameters) == ["input"]
    images = torch.randn(len(TOKENS), 4, 2, 3).double()
    for garbage in GARBAGE["tokens"]:
        y_in, _ = batch_of(TOKENS, garbage, 2)
        together = model(images, y_in)
        for i, t in enumerate(TOKENS):
            expected = model(images[i : i + 1], t.unsqueeze(0))
            torch.testing.assert_close(together[i, : len(t)], expected[0], rtol=0, atol=1e-10)


# ---------------------------------------------------------------- losses


def summed(model, batch):
    x, lengths, y = batch
    return F.cross_entropy(model(x, lengths), y, reduction="sum"), len(y)


def test_a_mean_loss_and_its_gradient_do_not_depend_on_the_cut_into_batches():
    torch.manual_seed(0)
    model = SequenceClassifier(3, 5, 2).double()
    y = torch.tensor([0, 1, 1, 0, 1])
    cuts = {B: list(padded_batches(VECTORS, y, batch_size=B, value=1e3)) for B in (1, 2, 3, 5)}
    losses = [evaluate(model, batches, summed) for batches in cuts.values()]
    assert max(losses) - min(losses) < 1e-10
    grads = []
    for batches in cuts.values():
        total = sum(summed(model, batch)[0] for batch in batches) / len(y)
        grads.append(torch.cat([g.flatten() for g in torch.autograd.grad(total, list(model.parameters()))]))
    for other in grads[1:]:
        torch.testing.assert_close(other, grads[0], rtol=0, atol=1e-10)


def test_training_does_not_depend_on_what_stands_in_the_padding():
    def trained(garbage):
        torch.manual_seed(0)
        model, y = SequenceClassifier(3, 5, 2).double(), torch.tensor([0, 1, 1, 0, 1])
        fit(model, padded_batches(VECTORS, y, batch_size=2, value=garbage), summed, epochs=3, progress=None)
        return torch.cat([p.flatten() for p in model.parameters()])

    torch.testing.assert_close(trained(0.0), trained(math.nan), rtol=0, atol=1e-10)
