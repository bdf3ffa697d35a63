"""Tests of utils.models.classifier: padding never changes a score; the source's model, kept with its flaws."""

import itertools

import pytest
import torch
from torch import nn

from utils.models.classifier import CELLS, RNNModel, SequenceClassifier, recurrent_layer

SHAPES = list(itertools.product(CELLS, [1, 2], [False, True]))  # cell, layers, bidirectional
LENGTHS = torch.tensor([4, 1, 7, 2, 7])
SEQUENCES = torch.randn(21, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).split(LENGTHS.tolist())


def padded(sequences, fill: float, extra: int = 0) -> torch.Tensor:
    """One batch, with ``fill`` behind the end of each sequence and ``extra`` steps of nothing else."""
    batch = torch.full((len(sequences), max(map(len, sequences)) + extra, *sequences[0].shape[1:]), fill)
    batch = batch.to(sequences[0].dtype)
    for row, sequence in zip(batch, sequences, strict=True):
        row[: len(sequence)] = sequence
    return batch


def classifier(cell="gru", layers=1, bidirectional=False, **kwargs) -> SequenceClassifier:
    torch.manual_seed(0)
    return SequenceClassifier(3, 5, 2, cell=cell, num_layers=layers, bidirectional=bidirectional, **kwargs).double()


# ---------------------------------------------------------------- padding


@pytest.mark.parametrize(("cell", "layers", "bidirectional"), SHAPES)
@pytest.mark.parametrize("extra", [0, 3])
def test_a_sequence_scores_the_same_alone_and_in_any_padded_batch(cell, layers, bidirectional, extra):
    model = classifier(cell, layers, bidirectional)
    alone = torch.cat([model(s.unsqueeze(0)) for s in SEQUENCES])  # (5, 2)
    assert torch.pdist(alone[:4]).min() > 1e-3  # the scores do tell sequences apart
    for order in ([0, 1, 2, 3, 4], [2, 4, 0, 3, 1], [1, 3, 0, 4, 2]):  # as they come, longest first, shortest first
        batch = padded([SEQUENCES[i] for i in order], fill=100.0, extra=extra)
        torch.testing.assert_close(model(batch, LENGTHS[order]), alone[order], rtol=0, atol=1e-10)


@pytest.mark.parametrize(("cell", "layers", "bidirectional"), SHAPES)
def test_gradients_do_not_depend_on_the_padding_either(cell, layers, bidirectional):
    def gradients(loss_of):
        model = classifier(cell, layers, bidirectional)
        loss_of(model).backward()
        return [p.grad for p in model.parameters()]

    batch = padded(SEQUENCES, fill=100.0, extra=2).requires_grad_()
    together = gradients(lambda model: model(batch, LENGTHS).sin().sum())
    one_by_one = gradients(lambda model: sum(model(s.unsqueeze(0)).sin().sum() for s in SEQUENCES))
    for a, b in zip(together, one_by_one, strict=True):
        assert a.abs().max() > 0 or b.abs().max() == 0
        torch.testing.assert_close(a, b, rtol=0, atol=1e-10)
    for row, length in zip(batch.grad, LENGTHS, strict=True):
        assert row[:length].ne(0).any(dim=1).all()  # every true step matters
        assert row[length:].eq(0).all()  # no pad does


@pytest.mark.parametrize(("cell", "layers", "bidirectional"), SHAPES)
def test_without_lengths_all_sequences_are_full(cell, layers, bidirectional):
    model = classifier(cell, layers, bidirectional)
    batch = torch.randn(4, 6, 3, dtype=torch.float64)
    torch.testing.assert_close(model(batch), model(batch, torch.full((4,), 6)), rtol=0, atol=1e-10)


@pytest.mark.parametrize("cell", CELLS)
def test_both_directions_are_read_to_their_end(cell):
    model = classifier(cell, bidirectional=True)
    out, _ = model.rnn(SEQUENCES[2].unsqueeze(0))  # (1, 7, 10)
    expected = model.out(torch.cat([out[:, -1, :5], out[:, 0, 5:]], dim=1))  # forward ends last, backward first
    torch.testing.assert_close(model(SEQUENCES[2].unsqueeze(0)), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize(("cell", "layers", "bidirectional"), SHAPES)
def test_the_maximum_over_time_sees_true_steps_only(cell, layers, bidirectional):
    model = classifier(cell, layers, bidirectional, pooling="max")
    outputs = [model.rnn(s.unsqueeze(0))[0] for s in SEQUENCES]  # (1, T_i, hidden * directions) each
    expected = model.out(torch.cat([out.amax(dim=1) for out in outputs]))
    for extra in (0, 3):
        batch = padded(SEQUENCES, fill=100.0, extra=extra).requires_grad_()
        scores = model(batch, LENGTHS)
        torch.testing.assert_close(scores, expected, rtol=0, atol=1e-10)
        scores.sin().sum().backward()
        for row, length in zip(batch.grad, LENGTHS, strict=True):
            assert row.isfinite().all()
            assert row[length:].eq(0).all()


def test_the_last_layer_gives_the_score():
    model = classifier(layers=2)
    out, _ = model.rnn(SEQUENCES[0].unsqueeze(0))
    torch.testing.assert_close(model(SEQUENCES[0].unsqueeze(0)), model.out(out[:, -1]), rtol=0, atol=1e-12)


# ---------------------------------------------------------------- tokens, layers, dropout


def test_tokens_are_embedded_and_padding_does_not_matter():
    model = classifier(vocab_size=9)
    tokens = [torch.tensor(t) for t in ([3, 1, 4, 1], [5], [8, 2, 6])]
    alone = torch.cat([model(t.unsqueeze(0)) for t in tokens])
    assert torch.pdist(alone).min() > 1e-3
    for fill in (0, 7):
        batch, lengths = padded(tokens, fill=fill, extra=1), torch.tensor([4, 1, 3])
        torch.testing.assert_close(model(batch, lengths), alone, rtol=0, atol=1e-10)
    vectors = classifier()
    vectors.load_state_dict({k: v for k, v in model.state_dict().items() if not k.startswith("embedding")})
    torch.testing.assert_close(vectors(model.embedding(tokens[0]).unsqueeze(0)), alone[:1], rtol=0, atol=1e-12)


@pytest.mark.parametrize("pooling", ["last", "max"])
def test_several_tokens_per_step_are_embedded_and_added(pooling):
    model = classifier(vocab_size=9, tokens=2, bidirectional=True, pooling=pooling)
    tokens = [torch.tensor(t) for t in ([[3, 1], [4, 1], [5, 9 - 1]], [[5, 2]], [[8, 2], [6, 3]])]  # (T_i, 2) each
    alone = torch.cat([model(t.unsqueeze(0)) for t in tokens])
    torch.testing.assert_close(
        model(padded(tokens, fill=7, extra=2), torch.tensor([3, 1, 2])), alone, rtol=0, atol=1e-10
    )
    torch.testing.assert_close(model(tokens[0].flip(1).unsqueeze(0)), alone[:1], rtol=0, atol=1e-12)  # a sum
    vectors = classifier(bidirectional=True, pooling=pooling)
    vectors.load_state_dict({k: v for k, v in model.state_dict().items() if not k.startswith("embedding")})
    summed = model.embedding(tokens[0]).sum(dim=1).unsqueeze(0)  # (1, T, 3)
    torch.testing.assert_close(vectors(summed), alone[:1], rtol=0, atol=1e-12)


def test_token_dropout_makes_tokens_unknown_in_training_only():
    model = classifier(vocab_size=9, token_dropout=0.3)
    seen, given = [], torch.randint(2, 9, (50, 40))
    model.embedding.register_forward_hook(lambda module, inputs, output: seen.append(inputs[0]))
    model(given)
    changed = seen[0] != given
    assert 0.25 < changed.double().mean() < 0.35
    assert (seen[0][changed] == 1).all()
    model.eval()
    model(given)
    assert torch.equal(seen[1], given)


def test_input_dropout_acts_on_the_steps_in_training_only():
    model = classifier(input_dropout=0.5)
    seen, batch = [], torch.ones(8, 6, 3, dtype=torch.float64)
    model.rnn.register_forward_hook(lambda module, inputs, output: seen.append(inputs[0]))
    model(batch)
    assert set(seen[0].unique().tolist()) == {0.0, 2.0}
    model.eval()
    model(batch)
    assert torch.equal(seen[1], batch)


@pytest.mark.parametrize("cell", CELLS)
def test_the_parts_are_those_asked_for(cell):
    layer = recurrent_layer(cell, 3, 5, num_layers=2, bidirectional=True)
    assert type(layer) is {"rnn": nn.RNN, "gru": nn.GRU, "lstm": nn.LSTM}[cell]
    assert (layer.input_size, layer.hidden_size, layer.num_layers) == (3, 5, 2)
    assert layer.batch_first
    assert layer.bidirectional
    assert type(classifier(cell).rnn) is type(layer)
    assert classifier(cell, bidirectional=True).out.in_features == 10


@pytest.mark.parametrize("layers", [1, 2])
def test_dropout_acts_in_training_only(layers):
    model = classifier(layers=layers, dropout=0.5)  # with one layer: no warning that it does nothing inside
    assert model.rnn.dropout == (0.5 if layers == 2 else 0.0)
    batch = padded(SEQUENCES, fill=0.0)
    assert not torch.equal(model(batch, LENGTHS), model(batch, LENGTHS))
    model.eval()
    assert torch.equal(model(batch, LENGTHS), model(batch, LENGTHS))


# ---------------------------------------------------------------- errors


@pytest.mark.parametrize("make", [lambda: recurrent_layer("GRU", 3, 5), lambda: classifier("transformer")])
def test_an_unknown_cell_lists_the_known(make):
    with pytest.raises(ValueError, match=r"unknown cell '\w+'; choose one of rnn, gru, lstm"):
        make()


@pytest.mark.parametrize("shape", [(4, 6), (6,), (1, 4, 6, 3), (4, 0, 3)])
def test_vectors_of_a_wrong_shape_are_refused(shape):
    with pytest.raises(ValueError, match=r"expected \(batch, time, features\) with at least one step, found shape"):
        classifier()(torch.zeros(shape, dtype=torch.float64))


@pytest.mark.parametrize("shape", [(4,), (4, 6, 3), (4, 0)])
def test_tokens_of_a_wrong_shape_are_refused(shape):
    with pytest.raises(ValueError, match=r"expected \(batch, time\) token numbers with at least one step, found shape"):
        classifier(vocab_size=9)(torch.zeros(shape, dtype=torch.long))


@pytest.mark.parametrize("shape", [(4, 6), (4, 6, 3), (4, 0, 2)])
def test_several_tokens_of_a_wrong_shape_are_refused(shape):
    with pytest.raises(ValueError, match=r"expected \(batch, time, 2\) token numbers with at least one step, found"):
        classifier(vocab_size=9, tokens=2)(torch.zeros(shape, dtype=torch.long))


def test_an_unknown_pooling_is_refused():
    with pytest.raises(ValueError, match="unknown pooling 'mean'; choose last or max"):
        classifier(pooling="mean")


@pytest.mark.parametrize(
    "lengths",
    [[4, 0, 2], [4, -1, 2], [4, 8, 2], [4], [4, 2], [4, 2, 1, 1], [[4, 2, 1]]],
    ids=["zero", "negative", "beyond the end", "one for all", "too few", "too many", "two dimensions"],
)
@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_lengths_that_cannot_be_are_refused(cell, lengths):
    with pytest.raises(ValueError, match=r"expected 3 lengths from 1 to 7, found \[.*\]"):
        classifier(cell)(torch.zeros(3, 7, 3, dtype=torch.float64), torch.tensor(lengths))


# ---------------------------------------------------------------- the source's model, with its three flaws


def source_model() -> RNNModel:
    torch.manual_seed(0)
    return RNNModel(10, 20, 5)


def test_the_source_model_runs_as_printed():
    model = source_model()
    x = torch.randn(3, 7, 10)
    assert model(x).shape == (3, 5)
    torch.testing.assert_close(model(x), model.fc(model.rnn(x)[1][0]))  # right, as long as nothing is padded


def test_flaw_the_state_is_float32_on_the_cpu():
    with pytest.raises((RuntimeError, ValueError), match="dtype"):
        source_model().double()(torch.zeros(3, 7, 10, dtype=torch.float64))
    with pytest.raises((RuntimeError, ValueError), match="device"):
        source_model().to("meta")(torch.zeros(3, 7, 10, device="meta"))


def test_flaw_padding_changes_the_scores():
    model = source_model()
    x = torch.randn(1, 4, 10)
    with_padding = torch.cat([x, torch.zeros(1, 3, 10)], dim=1)
    assert (model(x) - model(with_padding)).abs().max() > 0.01


def test_flaw_lengths_cannot_be_given():
    with pytest.raises(TypeError):
        source_model()(torch.zeros(3, 7, 10), torch.tensor([7, 7, 7]))


def test_the_successor_with_the_same_weights_mends_it():
    source, model = source_model(), SequenceClassifier(10, 20, 5, cell="rnn")
    model.rnn.load_state_dict(source.rnn.state_dict())
    model.out.load_state_dict(source.fc.state_dict())
    x = torch.randn(3, 7, 10)
    torch.testing.assert_close(model(x), source(x))  # the same model where the source's is right
    lengths = torch.tensor([7, 2, 5])
    one_by_one = torch.cat([source(x[i : i + 1, :n]) for i, n in enumerate(lengths)])
    torch.testing.assert_close(model(x, lengths), one_by_one)
    assert model.double()(x.double(), lengths).dtype == torch.float64
    assert model.float().to("meta")(x.to("meta")).device.type == "meta"


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_on_a_gpu_with_lengths_on_either_side():
    model = classifier().cuda()
    batch = padded(SEQUENCES, fill=100.0).cuda()
    torch.testing.assert_close(model(batch, LENGTHS), model(batch, LENGTHS.cuda()))
    torch.testing.assert_close(model(batch, LENGTHS).cpu(), classifier()(batch.cpu(), LENGTHS), rtol=0, atol=1e-6)
