"""The language model: carried state, tied weights, its step for decoding, its loss, and its task."""

import itertools
import json
import math

import pytest
import torch
from torch.nn import functional as F

from utils import decoding, train
from utils.models.language_model import LanguageModel, carrying_loss
from utils.training import count_parameters, evaluate, fit

V = 11
CHOICES = list(itertools.product(("rnn", "gru", "lstm"), (1, 2), (False, True)))


def model(cell="lstm", num_layers=1, tie=True, **sizes):
    torch.manual_seed(0)
    options = {"embedding": 6, "hidden": 8, **sizes}
    return LanguageModel(V, cell=cell, num_layers=num_layers, tie_weights=tie, **options).double().eval()


def tokens(*shape):
    return torch.randint(V, shape, generator=torch.Generator().manual_seed(1))


# ---------------------------------------------------------------- the state


@pytest.mark.parametrize(("cell", "layers", "tie"), CHOICES)
def test_pieces_with_a_carried_state_equal_the_whole(cell, layers, tie):
    lm, x = model(cell, layers, tie), tokens(3, 12)
    whole, last = lm(x)
    assert whole.shape == (3, 12, V)
    state, parts = None, []
    for piece in x.split([5, 1, 6], dim=1):
        logits, state = lm(piece, state)
        parts.append(logits)
    torch.testing.assert_close(torch.cat(parts, dim=1), whole, rtol=0, atol=1e-12)
    assert len(state) == (2 if cell == "lstm" else 1)
    for a, b in zip(state, last, strict=True):
        assert a.shape == (3, layers, 8)  # the batch comes first, as utils.decoding wants it
        torch.testing.assert_close(a, b, rtol=0, atol=1e-12)


@pytest.mark.parametrize(("cell", "layers", "tie"), CHOICES)
def test_step_gives_the_log_probabilities_of_forward(cell, layers, tie):
    lm, x = model(cell, layers, tie), tokens(4, 6)
    expected, state = lm(x)[0].log_softmax(dim=2), None
    for t in range(6):
        log_probs, state = lm.step(x[:, t], state)
        torch.testing.assert_close(log_probs, expected[:, t], rtol=0, atol=1e-12)


def test_the_future_and_the_neighbours_have_no_say():
    lm, x = model(num_layers=2), tokens(3, 8)
    before, changed = lm(x)[0], x.clone()
    changed[1, 5] = (x[1, 5] + 1) % V
    moved = (lm(changed)[0] - before).abs().amax(dim=2) > 1e-9  # (B, T)
    assert moved[1, 5:].all()
    assert moved.sum() == 3


def test_generation_does_not_depend_on_the_batch():
    lm, first = model("gru", 2), tokens(5)
    _, state = lm(tokens(5, 4))
    together, _ = decoding.generate(lm.step, state, first, max_length=20)
    for i in range(5):
        alone = decoding.take(state, torch.tensor([i]))
        assert decoding.generate(lm.step, alone, first[i : i + 1], max_length=20)[0].equal(together[i : i + 1])


@pytest.mark.parametrize("x", [torch.zeros(3, dtype=torch.long), torch.zeros(2, 0, dtype=torch.long)])
def test_wrong_shapes_are_refused(x):
    with pytest.raises(ValueError, match=r"expected token numbers of shape \(B, T\)"):
        model()(x)


def test_unknown_cell_is_refused():
    with pytest.raises(ValueError, match="unknown cell 'lstmm'"):
        model("lstmm")


# ---------------------------------------------------------------- tied weights


@pytest.mark.parametrize("hidden", [6, 8])
def test_tied_weights_are_one_parameter_whose_gradient_is_the_sum(hidden):
    tied, free = model(hidden=hidden), model(hidden=hidden, tie=False)
    free.project = torch.nn.Identity() if hidden == 6 else torch.nn.Linear(hidden, 6, bias=False).double()
    free.out = torch.nn.Linear(6, V).double()
    free.load_state_dict(tied.state_dict())
    assert tied.out.weight is tied.embedding.weight
    assert count_parameters(free) - count_parameters(tied) == 6 * V
    x, y = tokens(2, 3, 9)
    for lm in (tied, free):
        F.cross_entropy(lm(x)[0].flatten(0, 1), y.flatten()).backward()
    both = free.embedding.weight.grad + free.out.weight.grad
    torch.testing.assert_close(tied.embedding.weight.grad, both, rtol=0, atol=1e-12)


def test_a_new_model_spreads_its_probability():
    for tie in (False, True):
        torch.manual_seed(0)
        lm = LanguageModel(100, embedding=64, hidden=192, tie_weights=tie)
        x, y = torch.randint(100, (2, 4, 50))
        assert abs(F.cross_entropy(lm(x)[0].flatten(0, 1), y.flatten()) - math.log(100)) < 0.3


def test_dropout_acts_in_training_only():
    lm, x = model(dropout=0.5, num_layers=2), tokens(2, 5)
    assert lm(x)[0].equal(lm(x)[0])
    lm.train()
    assert not lm(x)[0].equal(lm(x)[0])


# ---------------------------------------------------------------- the loss that carries


def batches(x, y, length):
    pieces = zip(x.split(length, dim=1), y.split(length, dim=1), strict=True)
    return [(*piece, i == 0) for i, piece in enumerate(pieces)]


def test_the_loss_carries_the_state_and_not_the_history():
    lm, (x, y) = model(), tokens(2, 3, 12)
    whole = evaluate(lm, batches(x, y, 12), carrying_loss())
    assert evaluate(lm, batches(x, y, 4), carrying_loss()) == pytest.approx(whole, abs=1e-12)
    emptied = [(*piece, True) for *piece, _ in batches(x, y, 4)]
    assert abs(evaluate(lm, emptied, carrying_loss()) - whole) > 1e-6
    loss_fn = carrying_loss()
    for batch in batches(x, y, 4):
        total, count = loss_fn(lm, batch)
        total.backward()  # would fail if it reached into the batch before
        assert count == 12


def test_a_pass_begins_anew_after_an_evaluation():
    lm, (x, y) = model(), tokens(2, 3, 12)
    loss_fn = carrying_loss()
    expected = evaluate(lm, batches(x, y, 4), loss_fn)
    evaluate(lm, batches(*tokens(2, 5, 8), 4), loss_fn)  # other rows, another batch size
    assert evaluate(lm, batches(x, y, 4), loss_fn) == expected


def test_it_learns_a_text_that_needs_its_memory():
    torch.manual_seed(0)
    period = torch.tensor([1, 2, 3, 1, 2, 4, 1, 2, 5])  # what follows 1 2 depends on what came before
    row = period.repeat(40)
    x, y = row[:-1].expand(4, -1), row[1:].expand(4, -1)
    lm = LanguageModel(V, embedding=8, hidden=16, tie_weights=True)
    fit(lm, batches(x, y, 24), carrying_loss(), epochs=25, lr=0.02, progress=None)
    assert evaluate(lm, batches(x, y, 24), carrying_loss()) < 0.1


# ---------------------------------------------------------------- the task


def prose(count):
    return "\n\n".join(
        f"Paragraph {i} has {i * 7 % 13} words and ends after {i * 31 % 101} steps." for i in range(count)
    )


def test_task_trains_on_a_file_and_writes_its_metrics(tmp_path, capsys):
    path, out = tmp_path / "mine.txt", tmp_path / "run"
    path.write_text(prose(400), encoding="utf-8")
    assert train.main(["language_model", "--data", str(path), "--out", str(out), "--seconds", "1"]) == 0
    metrics = json.loads((out / "metrics.json").read_text(encoding="utf-8"))
    assert set(metrics["baselines"]) == {"uniform", "unigram", "6-gram"}
    test = metrics["test"]
    assert test["perplexity"] == pytest.approx(2 ** test["bits_per_char"])
    assert test["bits_per_char"] < metrics["baselines"]["uniform"]["bits_per_char"]
    assert "6-gram" in capsys.readouterr().out


def test_task_trains_on_the_documentation(tmp_path):
    assert train.main(["language_model", "--out", str(tmp_path), "--seconds", "0.5"]) == 0
    metrics = json.loads((tmp_path / "metrics.json").read_text(encoding="utf-8"))
    assert metrics["data"] == "pydoc"
    assert 1.5 < metrics["baselines"]["6-gram"]["bits_per_char"] < 2.5


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"", "too short"), (b"word", "too short"), (b"word " * 9999, "too short"), (b"\xff\xfe" * 900, "not UTF-8")],
)
def test_bad_file_is_one_line_and_status_two(tmp_path, capsys, content, reason):
    path = tmp_path / "bad.txt"
    path.write_bytes(content)
    assert train.main(["language_model", "--data", str(path), "--out", str(tmp_path / "run")]) == 2
    error = capsys.readouterr().err
    assert reason in error
    assert error.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_unknown_data_is_one_line_and_status_two(tmp_path, capsys):
    assert train.main(["language_model", "--data", "tiny_shakespear", "--out", str(tmp_path)]) == 2
    assert "did you mean 'tiny_shakespeare'?" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["time_machine", "tiny_shakespeare"])
def test_remote_data_without_network_is_one_line_and_status_two(tmp_path, monkeypatch, capsys, name):
    def no_network(url):
        raise OSError("no network")

    monkeypatch.setenv("RNN_BOOK_DATA", str(tmp_path))
    monkeypatch.setattr("utils.data.files._open", no_network)
    assert train.main(["language_model", "--data", name, "--out", str(tmp_path / "run")]) == 2
    error = capsys.readouterr().err
    assert "by hand" in error
    assert error.count("\n") == 1
