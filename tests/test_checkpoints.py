"""Tests of utils.checkpoints and of resuming: a killed run goes on to the same bits, damage is noticed."""

import json
import os
import random
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from utils import training
from utils.checkpoints import RECORD, CheckpointError, load_checkpoint, save_checkpoint
from utils.repro import seed_everything
from utils.training import fit, minibatches, warmup_cosine

EPOCHS = 6


class Net(nn.Module):
    """Everything that a resumed run could get wrong: dropout, buffers, and noise of three generators."""

    def __init__(self, hidden: int = 16):
        super().__init__()
        self.rnn = nn.GRU(3, hidden, num_layers=2, dropout=0.3, batch_first=True)
        self.norm = nn.BatchNorm1d(hidden)
        self.out = nn.Linear(hidden, 1)

    def forward(self, x):
        noise = 1 + 0.01 * (random.random() + np.random.rand()) if self.training else 1.0
        return self.out(F.dropout(self.norm(self.rnn(x)[0][:, -1]), 0.3, self.training)) * noise


def loss_fn(model, batch):
    x, y = batch
    return F.mse_loss(model(x), y, reduction="sum"), y.numel()


def run(folder, *, seed=0, loss_fn=loss_fn, **kwargs):
    """Train Net on shuffled batches; returns what has to be equal to the bit."""
    seed_everything(seed)
    model = Net()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    data = torch.Generator().manual_seed(1)
    x, y = torch.randn(40, 7, 3, generator=data), torch.randn(40, 1, generator=data)
    train, held_out = minibatches(x[:30], y[:30], batch_size=8), minibatches(x[30:], y[30:], batch_size=4)
    arguments = {"epochs": EPOCHS, "val_batches": held_out, "schedule": warmup_cosine(0.2), "clip_norm": 0.5}
    history = fit(model, train, loss_fn, optimizer=optimizer, checkpoint=folder, **(arguments | kwargs))
    return model, optimizer, history, load_checkpoint(folder)[0]


def run_until_killed(folder):
    """Die without a goodbye in the second batch of epoch 4. Called in a process of its own."""
    calls = 0

    def deadly(model, batch):
        nonlocal calls
        calls += model.training
        if calls == 3 * 4 + 2:  # 4 batches per epoch
            os.kill(os.getpid(), signal.SIGKILL)
        return loss_fn(model, batch)

    run(folder, loss_fn=deadly)


def without_times(history):
    return [{name: value for name, value in row.items() if name != "seconds"} for row in history.rows]


def assert_same_run(found, expected):
    for a, b in [(found[0].state_dict(), expected[0].state_dict()), (found[3], expected[3])]:
        assert a.keys() == b.keys()
        for name, value in b.items():  # the best weights; the last weights, optimizer and random states on disk
            assert torch.equal(a[name], value), name
    found_state, expected_state = found[1].state_dict(), expected[1].state_dict()
    assert found_state["state"].keys() == expected_state["state"].keys()
    for index, slots in expected_state["state"].items():
        for name, value in slots.items():
            assert torch.equal(found_state["state"][index][name], value), (index, name)
    for a, b in zip(found_state["param_groups"], expected_state["param_groups"], strict=True):
        assert {**a, "betas": tuple(a["betas"])} == b
    assert without_times(found[2]) == without_times(expected[2])
    assert (found[2].best_epoch, found[2].stopped) == (expected[2].best_epoch, expected[2].stopped)


def random_numbers():
    return random.random(), float(np.random.rand()), torch.rand(1).item()


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    """A run from start to end, and the random numbers that come after it."""
    torch.set_num_threads(1)
    return run(tmp_path_factory.mktemp("whole") / "run"), random_numbers()


# ---------------------------------------------------------------- resuming


def test_the_comparison_can_fail(uninterrupted, tmp_path):
    with pytest.raises(AssertionError):
        assert_same_run(run(tmp_path / "run", seed=1), uninterrupted[0])


def test_a_killed_run_resumes_to_the_same_bits(uninterrupted, tmp_path):
    folder = tmp_path / "run"
    code = f"import test_checkpoints as t; t.run_until_killed({str(folder)!r})"
    ended = subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parent, capture_output=True, check=False)
    assert ended.returncode == -signal.SIGKILL, ended.stderr.decode()
    assert json.loads((folder / RECORD).read_text())["epoch"] == 3
    resumed = run(folder, seed=99, resume=True)  # another seed: all that matters comes from the checkpoint
    assert_same_run(resumed, uninterrupted[0])
    assert random_numbers() == uninterrupted[1]


def test_a_checkpoint_of_every_epoch_resumes_to_the_same_bits(uninterrupted, tmp_path):
    class Stop(Exception):
        pass

    def interrupted(model, batch):
        nonlocal steps
        steps += model.training
        if steps > 4:  # the first batch of the next epoch
            raise Stop
        return loss_fn(model, batch)

    for epoch in range(EPOCHS):
        steps = 0
        with pytest.raises(Stop):
            run(tmp_path / "run", seed=epoch, loss_fn=interrupted, resume=epoch > 0, epochs=EPOCHS + 1, schedule=plain)
    steps = -100
    resumed = run(tmp_path / "run", seed=9, loss_fn=interrupted, resume=True, schedule=plain)
    assert_same_run(resumed, run(tmp_path / "other", schedule=plain))


def plain(progress):
    return 1.0


def test_resuming_a_finished_run_returns_it(uninterrupted, tmp_path):
    folder = tmp_path / "run"
    run(folder)
    before = (folder / RECORD).read_bytes()
    assert_same_run(run(folder, seed=5, resume=True), uninterrupted[0])
    assert (folder / RECORD).read_bytes() == before


def test_a_run_that_lost_patience_stays_stopped(tmp_path):
    def worse_and_worse(model, batch):
        nonlocal calls
        if model.training:
            return loss_fn(model, batch)
        calls += 1
        return torch.tensor(float(calls)), 1

    calls = 0
    kwargs = {"loss_fn": worse_and_worse, "patience": 2}
    first = run(tmp_path / "run", **kwargs)
    assert (first[2].stopped, len(first[2].rows)) == ("patience", 3)
    assert_same_run(run(tmp_path / "run", seed=4, resume=True, **kwargs), first)


def test_a_finished_run_can_be_made_longer(tmp_path):
    run(tmp_path / "a", epochs=3, schedule=plain)
    longer = run(tmp_path / "a", seed=8, epochs=5, schedule=plain, resume=True)
    assert_same_run(longer, run(tmp_path / "b", epochs=5, schedule=plain))


def test_a_run_out_of_time_goes_on_from_the_time_it_had_used(tmp_path, monkeypatch):
    now = 0

    def perf_counter():  # a clock that moves on by one second whenever it is read
        nonlocal now
        now += 1
        return now

    monkeypatch.setattr(training, "time", SimpleNamespace(perf_counter=perf_counter))
    first = run(tmp_path / "run", seconds=5)[2]
    assert (first.stopped, first.rows[-1]["step"]) == ("seconds", 5)
    now += 1000  # the time between the two runs does not count
    second = run(tmp_path / "run", resume=True, seconds=9)[2]
    assert second.stopped == "seconds"
    assert second.rows[: len(first.rows)] == first.rows
    assert 5 < second.rows[-1]["step"] <= 9
    times = second.column("seconds")
    assert times == sorted(times)
    assert times[-1] < 12


def test_plain_descent_without_state_resumes_too(tmp_path):
    def sgd(model):
        return torch.optim.SGD(model.parameters(), lr=0.1)

    x = torch.randn(8, 3, generator=torch.Generator().manual_seed(0))
    ends = []
    for plan in ([4], [2, 4]):
        for part, epochs in enumerate(plan):
            seed_everything(part)
            model = nn.Linear(3, 1) if part else seeded_linear()
            folder = tmp_path / f"run{len(plan)}"
            data = [(x, x.sum(1, keepdim=True))]
            fit(model, data, loss_fn, optimizer=sgd(model), epochs=epochs, checkpoint=folder, resume=part > 0)
        ends.append(model.weight.detach().clone())
    assert torch.equal(*ends)


def seeded_linear():
    torch.manual_seed(42)
    return nn.Linear(3, 1)


def test_a_folder_that_holds_a_run_is_not_overwritten(tmp_path):
    run(tmp_path / "run", epochs=1)
    before = {p.name: p.read_bytes() for p in (tmp_path / "run").iterdir()}
    with pytest.raises(CheckpointError, match=r"already holds a checkpoint.*resume, or choose another folder"):
        run(tmp_path / "run")
    assert {p.name: p.read_bytes() for p in (tmp_path / "run").iterdir()} == before


@pytest.mark.parametrize("exists", [True, False])
def test_nothing_to_resume(tmp_path, exists):
    if exists:
        (tmp_path / "run").mkdir()
    with pytest.raises(CheckpointError, match=f"no checkpoint to resume in .*: {RECORD} is missing"):
        run(tmp_path / "run", resume=True)


def test_a_checkpoint_of_another_optimizer_is_refused(tmp_path):
    model, batches = nn.Linear(2, 1), [(torch.randn(4, 2), torch.randn(4, 1))]
    fit(model, batches, loss_fn, epochs=1, checkpoint=tmp_path, progress=None)
    before = model.weight.detach().clone()
    sgd = torch.optim.SGD(model.parameters(), lr=0.1)
    with pytest.raises(CheckpointError, match="was made with AdamW"):
        fit(model, batches, loss_fn, epochs=2, checkpoint=tmp_path, resume=True, optimizer=sgd, progress=None)
    assert torch.equal(model.weight, before)


def test_a_checkpoint_of_another_model_is_refused(tmp_path):
    run(tmp_path / "run", epochs=1)
    for other in (nn.Linear(3, 1), Net(hidden=17)):
        with pytest.raises(CheckpointError, match="is of another model"):
            fit(other, [torch.zeros(1)], loss_fn, checkpoint=tmp_path / "run", resume=True)


# ---------------------------------------------------------------- the files

TENSORS = {"model.weight": torch.arange(6.0).reshape(2, 3), "model.steps": torch.tensor(7), "empty": torch.zeros(0)}


def checkpoint(folder, step=5, **record):
    save_checkpoint(folder, TENSORS | {"step": torch.tensor(step)}, {"step": step, **record})
    return folder


def test_what_is_saved_is_what_is_loaded(tmp_path):
    record = {"x": 0.1 + 0.2, "text": "żółw", "nothing": None, "endless": float("inf"), "list": [1, [2]]}
    tensors, loaded = load_checkpoint(checkpoint(tmp_path / "a" / "b", **record))
    assert {key: loaded[key] for key in record} == record
    for name, value in TENSORS.items():
        assert torch.equal(tensors[name], value)
        assert tensors[name].dtype == value.dtype


def test_a_checkpoint_is_two_files_and_the_last_one_wins(tmp_path):
    for step in (1, 2, 10):
        checkpoint(tmp_path, step)
        assert sorted(p.name for p in tmp_path.iterdir()) == [RECORD, f"step-{step:08d}.safetensors"]
        assert load_checkpoint(tmp_path)[0]["step"] == step


def test_tensors_that_share_memory_and_views_can_be_saved(tmp_path):
    base = torch.arange(6.0).reshape(2, 3)
    save_checkpoint(tmp_path, {"a": base, "b": base, "t": base.T, "part": base[:, 1]}, {"step": 1})
    loaded = load_checkpoint(tmp_path)[0]
    assert torch.equal(loaded["a"], base)
    assert torch.equal(loaded["b"], base)
    assert torch.equal(loaded["t"], base.T)
    assert torch.equal(loaded["part"], base[:, 1])


def test_tied_weights_stay_tied_through_a_resumed_run(tmp_path):
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.embedding, self.out = nn.Embedding(5, 3), nn.Linear(3, 5, bias=False)
            self.out.weight = self.embedding.weight

        def forward(self, x):
            return self.out(self.embedding(x))

    def cross_entropy(model, tokens):
        return F.cross_entropy(model(tokens), tokens.roll(1), reduction="sum"), len(tokens)

    tokens = torch.arange(5)
    ends = []
    for plan in ([4], [2, 4]):
        for part, epochs in enumerate(plan):
            seed_everything(part)
            model, folder = Tied(), tmp_path / f"run{len(plan)}"
            fit(model, [tokens], cross_entropy, epochs=epochs, lr=0.1, checkpoint=folder, resume=part > 0)
        assert model.out.weight is model.embedding.weight
        ends.append(model.out.weight.detach().clone())
    assert torch.equal(*ends)


def flip(path: Path, position: int) -> None:
    body = bytearray(path.read_bytes())
    body[position] ^= 1
    path.write_bytes(bytes(body))


@pytest.mark.parametrize("position", [0, 20, -1])
def test_one_flipped_bit_of_the_tensors_is_noticed(tmp_path, position):
    flip(next(checkpoint(tmp_path).glob("*.safetensors")), position)
    with pytest.raises(CheckpointError, match=r"step-00000005\.safetensors is damaged \(wrong SHA-256\)"):
        load_checkpoint(tmp_path)


def test_tensors_cut_short_or_gone_are_noticed(tmp_path):
    tensors = next(checkpoint(tmp_path).glob("*.safetensors"))
    tensors.write_bytes(tensors.read_bytes()[:-1])
    with pytest.raises(CheckpointError, match="wrong SHA-256"):
        load_checkpoint(tmp_path)
    tensors.unlink()
    with pytest.raises(CheckpointError, match=r"step-00000005\.safetensors is missing"):
        load_checkpoint(tmp_path)


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[: len(text) // 2],
        lambda text: "",
        lambda text: text.replace("{", "[", 1),
        lambda text: "\xff\xfe" + text,
        lambda text: "[]",
        lambda text: "null",
        lambda text: "{}",
        lambda text: text.replace('"sha256"', '"sha255"'),
        lambda text: text.replace('"tensors"', '"tensor"'),
    ],
)
def test_a_damaged_record_is_noticed(tmp_path, damage):
    path = checkpoint(tmp_path) / RECORD
    path.write_text(damage(path.read_text()), encoding="latin-1")
    with pytest.raises(CheckpointError, match=r"is damaged .*start again in another folder"):
        load_checkpoint(tmp_path)


@pytest.mark.parametrize("key", ["epoch", "history", "groups", "scalars", "random"])
def test_a_record_with_something_missing_is_noticed_on_resuming(tmp_path, key):
    run(tmp_path / "run", epochs=1)
    path = tmp_path / "run" / RECORD
    record = json.loads(path.read_text())
    del record[key]
    path.write_text(json.dumps(record))
    with pytest.raises(CheckpointError, match=f"damaged .*{key}"):
        run(tmp_path / "run", resume=True)


@pytest.mark.parametrize("fatal", [1, 2])
def test_a_crash_while_saving_leaves_the_old_checkpoint(tmp_path, monkeypatch, fatal):
    checkpoint(tmp_path, 1)
    calls, really = [], os.replace

    def crash(source, target):
        calls.append(Path(target).name)
        if len(calls) == fatal:
            raise KeyboardInterrupt
        really(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", crash)
        with pytest.raises(KeyboardInterrupt):
            checkpoint(tmp_path, 2)
    assert calls == ["step-00000002.safetensors", RECORD][:fatal]  # the record comes last
    tensors, record = load_checkpoint(tmp_path)
    assert (record["step"], tensors["step"]) == (1, 1)
    checkpoint(tmp_path, 2)  # and the next one clears up
    assert sorted(p.name for p in tmp_path.iterdir()) == [RECORD, "step-00000002.safetensors"]
    assert load_checkpoint(tmp_path)[0]["step"] == 2


def test_a_crash_after_saving_but_before_tidying_leaves_the_new_checkpoint(tmp_path, monkeypatch):
    checkpoint(tmp_path, 1)

    def crash(path):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", crash)
        with pytest.raises(KeyboardInterrupt):
            checkpoint(tmp_path, 2)
    assert load_checkpoint(tmp_path)[0]["step"] == 2


def test_a_run_whose_save_crashed_resumes_to_the_same_bits(uninterrupted, tmp_path, monkeypatch):
    calls, really = [], os.replace

    def crash(source, target):
        calls.append(target)
        if len(calls) == 6:  # the record of the third epoch
            raise KeyboardInterrupt
        really(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", crash)
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path / "run")
    assert load_checkpoint(tmp_path / "run")[1]["epoch"] == 2
    assert_same_run(run(tmp_path / "run", seed=7, resume=True), uninterrupted[0])
