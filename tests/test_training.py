"""Tests of utils.training: batches, schedules, counting, and the loop against one written by hand."""

import io
import itertools
import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from tqdm import tqdm

from utils import training
from utils.repro import seed_everything
from utils.training import (
    History,
    TrainingDiverged,
    constant,
    count_parameters,
    evaluate,
    fit,
    minibatches,
    warmup_cosine,
)

torch.manual_seed(0)
X = torch.randn(23, 4)
Y = X @ torch.randn(4, 2) + 0.1 * torch.randn(23, 2)


def squared(model, batch):
    """Summed squared error and the number of values."""
    x, y = batch
    return F.mse_loss(model(x), y, reduction="sum"), y.numel()


def small_model(dropout: float = 0.25) -> nn.Module:
    seed_everything(3)
    return nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Dropout(dropout), nn.Linear(8, 2))


def batches(batch_size: int = 5, rows: int = 23):
    return minibatches(X[:rows], Y[:rows], batch_size=batch_size)


def weights(model: nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in model.state_dict().items()}


def assert_same_weights(found: dict, expected: dict):
    assert found.keys() == expected.keys()
    for name in expected:
        assert torch.equal(found[name], expected[name]), name


# ---------------------------------------------------------------- batches


@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("batch_size", [1, 5, 23, 100])
def test_every_row_comes_once_per_epoch(batch_size, shuffle):
    rows = torch.arange(23)
    loader = minibatches(rows, rows * 10, batch_size=batch_size, shuffle=shuffle)
    parts = list(loader)
    assert len(parts) == len(loader) == math.ceil(23 / batch_size)
    assert [len(a) for a, _ in parts] == [batch_size] * (23 // batch_size) + ([23 % batch_size] * bool(23 % batch_size))
    seen = torch.cat([a for a, _ in parts])
    assert sorted(seen.tolist()) == rows.tolist()
    assert torch.equal(torch.cat([b for _, b in parts]), seen * 10)  # rows of the tensors stay together
    assert (seen.tolist() == rows.tolist()) is not shuffle


def test_the_order_changes_every_epoch_and_comes_back_with_the_seed():
    loader = minibatches(torch.arange(23), batch_size=23)
    orders = []
    for seed in (1, 1, 2):
        seed_everything(seed)
        orders.append([next(iter(loader))[0].tolist() for _ in range(2)])
    assert orders[0] == orders[1]
    assert orders[0] != orders[2]
    assert orders[0][0] != orders[0][1]


@pytest.mark.parametrize("tensors", [(X, Y[:-1]), (X[:0], Y[:0]), ()])
def test_rows_must_match(tensors):
    with pytest.raises(ValueError, match="one common, positive first dimension"):
        minibatches(*tensors, batch_size=5)


# ---------------------------------------------------------------- schedules and counting


def test_the_constant_schedule():
    assert [constant(p) for p in (0, 0.3, 1)] == [1, 1, 1]


@pytest.mark.parametrize(("warmup", "floor"), [(0.1, 0.0), (0.25, 0.1), (0.0, 0.0)])
def test_warmup_cosine_rises_linearly_then_falls_as_half_a_cosine(warmup, floor):
    factor = warmup_cosine(warmup, floor)
    assert factor(warmup) == pytest.approx(1)
    assert factor(1.0) == pytest.approx(floor)
    assert factor((1 + warmup) / 2) == pytest.approx((1 + floor) / 2)  # half-way down
    falling = [factor(warmup + (1 - warmup) * i / 50) for i in range(51)]
    assert all(a > b for a, b in itertools.pairwise(falling))
    if warmup:
        assert factor(0.0) == pytest.approx(0.01)  # a first step that moves
        assert factor(warmup / 2) == pytest.approx(0.5)
        assert factor(warmup / 4) == pytest.approx(0.25)


def test_warmup_to_the_very_end():
    assert warmup_cosine(1.0)(0.5) == pytest.approx(0.5)
    assert warmup_cosine(1.0)(1.0) == pytest.approx(1.0)


def test_only_trainable_parameters_are_counted():
    model = small_model()
    assert count_parameters(model) == 4 * 8 + 8 + 8 * 2 + 2
    model[0].weight.requires_grad_(False)
    assert count_parameters(model) == 8 + 8 * 2 + 2
    tied = nn.ModuleList([nn.Linear(3, 3, bias=False), nn.Linear(3, 3, bias=False)])
    tied[1].weight = tied[0].weight
    assert count_parameters(tied) == 9


# ---------------------------------------------------------------- evaluate


@pytest.mark.parametrize("batch_size", [1, 5, 8, 23])
def test_evaluate_weighs_by_count_whatever_the_batches(batch_size):
    model = small_model().double()
    data = [(X[i : i + batch_size].double(), Y[i : i + batch_size].double()) for i in range(0, 23, batch_size)]
    with torch.no_grad():
        expected = F.mse_loss(model.eval()(X.double()), Y.double()).item()
    assert evaluate(model, data, squared) == pytest.approx(expected, rel=1e-12)


def test_items_that_do_not_count_do_not_count():
    def masked(model, batch):
        x, y = batch
        counted = y[:, 0] > 0
        return F.mse_loss(model(x)[counted], y[counted], reduction="sum"), counted.sum()  # a tensor as count

    model = small_model().eval()
    kept = Y[:, 0] > 0
    assert 0 < kept.sum() < 23
    with torch.no_grad():
        expected = F.mse_loss(model(X[kept]), Y[kept], reduction="sum").item() / int(kept.sum())
    assert evaluate(model, batches(4), masked) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("mode", [True, False])
def test_evaluate_uses_and_restores_the_mode(mode):
    model = small_model(dropout=0.9).train(mode)
    seen = []

    def watching(model, batch):
        seen.append((model.training, torch.is_grad_enabled(), model[2].training))
        return squared(model, batch)

    first = evaluate(model, batches(), watching)
    assert set(seen) == {(False, False, False)}
    assert model.training is mode
    assert model[2].training is mode
    assert evaluate(model, batches(23), squared) == pytest.approx(first, rel=1e-5)  # no dropout
    assert all(p.grad is None for p in model.parameters())


@pytest.mark.parametrize("nothing", [[], [(X[:0], Y[:0])]])
def test_nothing_to_evaluate_is_an_error(nothing):
    with pytest.raises(ValueError, match="no counted item"):
        evaluate(small_model(), nothing, squared)


# ---------------------------------------------------------------- fit against a loop by hand


@pytest.mark.parametrize("schedule", [constant, warmup_cosine(0.3)])
@pytest.mark.parametrize("clip_norm", [0.05, 1e6, None])
def test_fit_is_the_loop_one_would_write(clip_norm, schedule):
    model = small_model()
    seed_everything(5)
    history = fit(
        model, batches(), squared, epochs=3, lr=0.02, schedule=schedule, clip_norm=clip_norm, val_batches=None
    )

    by_hand = small_model()
    optimizer = torch.optim.AdamW(by_hand.parameters(), lr=0.02)
    seed_everything(5)
    step, rows = 0, []
    for _ in range(3):
        by_hand.train()
        total, count, norms = 0.0, 0, []
        for x, y in batches():
            optimizer.param_groups[0]["lr"] = 0.02 * schedule(step / 15)
            loss = F.mse_loss(by_hand(x), y, reduction="sum")
            optimizer.zero_grad()
            (loss / y.numel()).backward()
            norms.append(nn.utils.clip_grad_norm_(by_hand.parameters(), clip_norm or 1e30).item())
            optimizer.step()
            step, total, count = step + 1, total + loss.item(), count + y.numel()
        rows.append((total / count, sum(norms) / len(norms), optimizer.param_groups[0]["lr"], step))
    assert_same_weights(weights(model), weights(by_hand))
    assert [(r["train_loss"], r["grad_norm"], r["lr"], r["step"]) for r in history.rows] == rows
    assert history.column("epoch") == [1, 2, 3]
    assert history.stopped == "epochs"
    assert (history.best_epoch, history.best_value) == (0, math.inf)
    assert "val_loss" not in history.rows[0]


def test_clipping_bounds_the_step_of_plain_descent():
    steps = {}
    for clip in (0.05, None):
        model = small_model(dropout=0)
        before = nn.utils.parameters_to_vector(model.parameters()).detach()
        fit(model, batches(23), squared, epochs=1, clip_norm=clip, optimizer=torch.optim.SGD(model.parameters(), lr=1))
        steps[clip] = (nn.utils.parameters_to_vector(model.parameters()).detach() - before).norm().item()
    assert steps[0.05] == pytest.approx(0.05, rel=1e-3)
    assert steps[None] > 0.5


def test_the_train_loss_weighs_by_count():
    model = small_model(dropout=0)
    frozen = torch.optim.SGD(model.parameters(), lr=0.0)  # weights stay: train_loss must be the loss over all data
    history = fit(model, batches(9), squared, epochs=1, optimizer=frozen)
    assert history.rows[0]["train_loss"] == pytest.approx(F.mse_loss(model(X), Y).item(), rel=1e-5)


def test_a_given_optimizer_is_used_with_its_own_rates():
    model = small_model()
    groups = [{"params": model[0].parameters(), "lr": 0.5}, {"params": model[3].parameters(), "lr": 0.0}]
    optimizer = torch.optim.SGD(groups)
    before = weights(model)
    fit(model, batches(), squared, epochs=2, optimizer=optimizer, lr=123.0, schedule=lambda progress: 0.5)
    assert [group["lr"] for group in optimizer.param_groups] == [0.25, 0.0]
    assert torch.equal(model[3].weight, before["3.weight"])
    assert not torch.equal(model[0].weight, before["0.weight"])


def test_frozen_parameters_stay():
    model = small_model()
    model[0].weight.requires_grad_(False)
    before = weights(model)
    fit(model, batches(), squared, epochs=1)
    assert torch.equal(model[0].weight, before["0.weight"])
    assert not torch.equal(model[3].weight, before["3.weight"])


# ---------------------------------------------------------------- validation and stopping


def scripted(values, model):
    """A loss whose validation values follow a script, and the weights at the end of every epoch."""
    script, snapshots = iter(values), []

    def loss_fn(model, batch):
        if model.training:
            return squared(model, batch)
        snapshots.append(weights(model))
        return torch.tensor(next(script)), 1

    return loss_fn, snapshots


@pytest.mark.parametrize(
    ("values", "patience", "best", "epochs", "why"),
    [
        ([5, 4, 3, 2, 1], 2, 5, 5, "epochs"),
        ([5, 3, 4, 4.5, 1], 2, 2, 4, "patience"),
        ([5, 3, 4, 4.5, 1], 3, 5, 5, "epochs"),
        ([5, 5, 5, 5, 5], 1, 1, 2, "patience"),  # no worse is not better
        ([5, 3, 4, 4.5, 1], None, 5, 5, "epochs"),
        ([1, 2, 3, 4, 5], None, 1, 5, "epochs"),
        ([3, math.nan, 2, math.nan, 4], None, 3, 5, "epochs"),
        ([math.nan] * 5, 3, 0, 3, "patience"),
    ],
)
def test_the_best_epoch_comes_back_and_patience_stops(values, patience, best, epochs, why):
    model = small_model()
    loss_fn, snapshots = scripted([float(v) for v in values], model)
    history = fit(model, batches(), loss_fn, val_batches=[0], epochs=5, patience=patience)
    assert (history.best_epoch, len(history.rows), history.stopped) == (best, epochs, why)
    assert history.best_value == (values[best - 1] if best else math.inf)
    assert_same_weights(weights(model), snapshots[best - 1] if best else snapshots[-1])


def test_the_returned_model_has_the_best_validation_loss():
    model = small_model()
    held_out = [(X[15:], Y[15:])]
    history = fit(model, batches(5, rows=15), squared, val_batches=held_out, epochs=12, lr=0.3, clip_norm=None)
    assert 0 < history.best_epoch < 12  # so that the last weights are not the best
    assert history.best_value == min(history.column("val_loss")) == evaluate(model, held_out, squared)


class Clock:
    """A clock that moves on by one second whenever it is read."""

    def __init__(self):
        self.now = 100.0

    def perf_counter(self):
        self.now += 1
        return self.now


@pytest.mark.parametrize(("seconds", "steps"), [(0.5, 1), (3.5, 4), (7, 6), (1e9, 20)])
def test_seconds_stop_even_within_an_epoch(monkeypatch, seconds, steps):
    monkeypatch.setattr(training, "time", Clock())
    model = small_model()
    history = fit(model, batches(), squared, val_batches=[(X, Y)], epochs=4, seconds=seconds)
    assert history.rows[-1]["step"] == steps
    assert history.stopped == ("seconds" if steps < 20 else "epochs")
    assert history.best_epoch > 0  # the epoch cut short was validated too
    assert evaluate(model, [(X, Y)], squared) == history.best_value
    assert [row["seconds"] for row in history.rows] == sorted(row["seconds"] for row in history.rows)


def test_the_schedule_sees_the_share_of_steps_or_seconds_whichever_is_further(monkeypatch):
    seen = []

    def schedule(progress):
        seen.append(progress)
        return 1.0

    fit(small_model(), batches(), squared, epochs=2, schedule=schedule)
    assert seen == [i / 10 for i in range(10)]
    seen.clear()
    monkeypatch.setattr(training, "time", Clock())
    fit(small_model(), batches(), squared, epochs=100, seconds=4, schedule=schedule)
    assert seen == [0, 1 / 4, 2 / 4, 3 / 4]


# ---------------------------------------------------------------- a loss that is no number


def poisoned(step, poison):
    """The squared error, with ``poison`` applied to the loss of the given call."""
    calls = []

    def loss_fn(model, batch):
        calls.append(weights(model))
        total, count = squared(model, batch)
        return (poison(total) if len(calls) == step else total), count

    return loss_fn, calls


@pytest.mark.parametrize(
    ("poison", "what"),
    [
        (lambda total: total * math.nan, "the loss is nan"),
        (lambda total: total * math.inf, "the loss is inf"),
        (lambda total: total - math.inf, "the loss is -inf"),
        (lambda total: total + (total - total.detach()).abs().sqrt(), "the gradient norm is nan"),  # 0 * inf
        (lambda total: total + (total - total.detach() + 1e-30).sqrt() * 1e38, "the gradient norm is"),
    ],
)
@pytest.mark.parametrize("clip_norm", [1.0, None])
def test_a_loss_or_gradient_that_is_no_number_stops_before_the_weights_are_spoiled(poison, what, clip_norm):
    model = small_model()
    loss_fn, calls = poisoned(8, poison)  # epoch 2, batch 3 of 5
    with pytest.raises(TrainingDiverged, match=rf"{what}.*at step 8 \(epoch 2, batch 3, learning rate 0\.007\)"):
        fit(model, batches(), loss_fn, epochs=3, lr=0.007, clip_norm=clip_norm)
    assert len(calls) == 8
    assert_same_weights(weights(model), calls[-1])
    assert all(value.isfinite().all() for value in model.state_dict().values())


def test_a_batch_in_which_nothing_counts_is_not_called_divergence():
    def masked(model, batch):
        return (F.mse_loss(model(batch[0]), batch[1], reduction="none") * 0).sum(), 0

    model = small_model()
    before = weights(model)
    with pytest.raises(ValueError, match="batch 1 of epoch 1 holds no counted item"):
        fit(model, batches(), masked)
    assert_same_weights(weights(model), before)


# ---------------------------------------------------------------- arguments and progress


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"batches": []}, "at least one batch"),
        ({"batches": iter([(X, Y)])}, "sized iterable"),
        ({"epochs": 0}, "epochs = 0"),
        ({"epochs": -1}, "epochs = -1"),
        ({"seconds": 0}, "seconds = 0"),
        ({"seconds": -2.5}, "seconds = -2.5"),
        ({"patience": 0, "val_batches": [(X, Y)]}, "patience needs"),
        ({"patience": 2}, "patience needs val_batches"),
        ({"clip_norm": 0.0}, "clip_norm"),
        ({"clip_norm": -1.0}, "clip_norm"),
        ({"resume": True}, "resume=True needs checkpoint=FOLDER"),
    ],
)
def test_arguments_that_make_no_sense_are_refused_before_training(arguments, message):
    model = small_model()
    before = weights(model)
    with pytest.raises(ValueError, match=message):
        fit(model, **({"batches": batches(), "loss_fn": squared} | arguments))
    assert_same_weights(weights(model), before)


@pytest.mark.parametrize("text", ["reading the corpus", None])
def test_the_progress_bar_speaks_only_when_named(monkeypatch, capsys, text):
    stream = io.StringIO()  # conftest disables tqdm for all tests; here only fit decides
    monkeypatch.setattr(training, "tqdm", lambda **kwargs: tqdm(**({"disable": False, "file": stream} | kwargs)))
    fit(small_model(), batches(), squared, epochs=2, val_batches=[(X, Y)], progress=text)
    assert (stream.getvalue() == "") is (text is None)
    assert text is None or (text in stream.getvalue() and "10/10" in stream.getvalue())
    assert capsys.readouterr() == ("", "")


def test_a_history_gives_its_columns():
    history = History(rows=[{"epoch": 1, "val_loss": 3.0}, {"epoch": 2, "val_loss": 2.0}], best_epoch=2)
    assert history.column("val_loss") == [3.0, 2.0]
    assert history.best_value == 2.0
    with pytest.raises(KeyError):
        history.column("grad_norm")
