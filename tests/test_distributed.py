"""Training in several processes: equal to one process, whatever the shares; clear ends when something goes wrong.

Run by torchrun, this file is also the program of the processes: see the functions before the tests.
"""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn import functional as F

from utils import distributed, tasks, train
from utils.checkpoints import CheckpointError
from utils.distributed import LaunchError, ShareError
from utils.repro import seed_everything
from utils.training import TrainingDiverged, fit, minibatches

# ---------------------------------------------------------------- what every process runs


class Net(nn.Module):
    """A recurrent network that is asked for more than its forward pass."""

    def __init__(self, dropout: float = 0.0):
        super().__init__()
        self.rnn = nn.GRU(3, 6, batch_first=True)
        self.out = nn.Linear(6, 2)
        self.dropout = dropout

    def states(self, x):
        return F.dropout(self.rnn(x)[0][:, -1], self.dropout, self.training)


def loss_fn(model, batch):
    """Squared error of the targets that are known: ranks count unequal numbers of them."""
    x, y = batch
    known = ~torch.isnan(y)
    return (model.out(model.states(x)) - y)[known].square().sum(), known.sum()


def rows(count: int = 23, poison: int | None = None):
    data = torch.Generator().manual_seed(1)
    x, y = torch.randn(count, 5, 3, generator=data).double(), torch.randn(count, 2, generator=data).double()
    y[torch.rand(y.shape, generator=data) < 0.4] = torch.nan
    if poison is not None:
        x[poison] = torch.inf
    return x, y


def trained(folder=None, *, batch_size=5, dropout=0.0, **kwargs):
    """A short run: shuffled batches, the last one of 3 rows, with validation."""
    seed_everything(3)
    model = Net(dropout).double()
    batches = minibatches(*rows(), batch_size=batch_size)
    options = {"epochs": 4, "lr": 0.02, "clip_norm": 0.5, "val_batches": minibatches(*rows(9), batch_size=4)}
    history = fit(model, batches, loss_fn, checkpoint=folder, **(options | kwargs))
    return model.state_dict(), history


def refused(error, make):
    """The message of the error that ``make`` must raise."""
    try:
        make()
    except error as raised:
        return str(raised)
    return "nothing was raised"


def only_process_1(make):
    return make() if distributed.rank() == 1 else None


def fail():
    raise CheckpointError("this one only")


def collective(folder: Path) -> None:
    """Everything that two processes are asked to do together; each writes what it found."""
    distributed.start(timeout=60)
    found, weights = {"world": distributed.world()}, {}
    runs = {
        "plain": trained(folder / "two", epochs=2),
        "on": trained(folder / "one", resume=True),  # begun by one process
        "single rows": trained(batch_size=1, epochs=1),
        "dropout": trained(folder / "whole", dropout=0.5),
        "half": trained(folder / "half", dropout=0.5, epochs=2),
        "resumed": trained(folder / "half", dropout=0.5, resume=True),
        "patience": trained(epochs=50, patience=2, lr=0.3),
        "seconds": trained(epochs=10**6, seconds=0.2 + 0.2 * distributed.rank()),  # clocks that do not agree
    }
    for name, (state, history) in runs.items():
        found[name] = [history.stopped, history.best_epoch, history.rows]
        weights |= {f"{name}.{key}": value for key, value in state.items()}
    poisoned = minibatches(*rows(6, poison=3), batch_size=6, shuffle=False)  # row 3 falls to process 1
    found["diverged"] = refused(TrainingDiverged, lambda: fit(Net().double(), poisoned, loss_fn))
    nothing = [(torch.ones(4, 5, 3), torch.full((4, 2), torch.nan))]
    found["nothing counts"] = refused(ValueError, lambda: fit(Net(), nothing, loss_fn))
    found["in the way"] = refused(CheckpointError, lambda: trained(folder / "two"))
    found["no checkpoint"] = refused(CheckpointError, lambda: trained(folder / "nowhere", resume=True))
    found["one fails"] = refused(CheckpointError, lambda: distributed.everywhere(lambda: only_process_1(fail)))
    found["cannot share"] = refused(ShareError, lambda: fit(Net(), [(torch.ones(4, 3), torch.ones(3))], loss_fn))
    save_file(weights, folder / f"weights{distributed.rank()}.safetensors")
    (folder / f"found{distributed.rank()}.json").write_text(json.dumps(found))
    distributed.stop()


def tiny(device, **kwargs):
    x, y = rows()
    return tasks.Job(
        model=Net().double(),
        batches=minibatches(x, y, batch_size=5),
        val_batches=minibatches(x, y, batch_size=23, shuffle=False),
        loss_fn=loss_fn,
        validate=lambda model: {},
        test=lambda model: {"sum": model.out.weight.sum().item()},
        baselines={},
        epochs=6,
        **kwargs,
    )


def deadly(device):
    """Process 1 dies without a goodbye in the third epoch."""
    job, calls = tiny(device), []

    def killing(model, batch):
        calls.append(model.training)
        if sum(calls) == 2 * 5 + 3 and distributed.rank() == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        return loss_fn(model, batch)

    job.loss_fn = killing
    return job


BUILDERS = {"tiny": tiny, "deadly": deadly, "alone": lambda device: tiny(device, unshardable="its state is carried on")}

if __name__ == "__main__":
    torch.set_num_threads(1)
    if sys.argv[1] == "collective":
        collective(Path(sys.argv[2]))
        sys.exit(0)
    tasks.TASKS |= {name: {"made_up": builder} for name, builder in BUILDERS.items()}
    sys.exit(train.main())


# ---------------------------------------------------------------- starting them

QUIET = os.environ | {"TQDM_DISABLE": "1", "OMP_NUM_THREADS": "1"}
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]


def torchrun(*arguments) -> subprocess.CompletedProcess:
    command = [*TORCHRUN, *map(str, arguments)]
    return subprocess.run(command, env=QUIET, capture_output=True, text=True, timeout=300, check=False)


def two_processes(*arguments) -> list[tuple[int, str, str]]:
    """Exit status, output and standard error of two processes started without torchrun, in the order of their ranks."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        place = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1]), "WORLD_SIZE": "2"}
    command, pipes = [sys.executable, *map(str, arguments)], {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    started = [
        subprocess.Popen(command, env=QUIET | place | {"RANK": r, "LOCAL_RANK": r}, text=True, **pipes) for r in "01"
    ]
    said = [process.communicate(timeout=300) for process in started]
    return [(process.returncode, *texts) for process, texts in zip(started, said, strict=True)]


@pytest.fixture(scope="module")
def together(tmp_path_factory):
    """What two processes found, their weights, and the folder of their checkpoints."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("together")
    trained(folder / "one", epochs=2)
    done = torchrun(__file__, "collective", folder)
    assert done.returncode == 0, done.stderr
    found = [json.loads((folder / f"found{r}.json").read_text()) for r in (0, 1)]
    return found, [load_file(folder / f"weights{r}.safetensors") for r in (0, 1)], folder


def part(weights, name):
    return {key.removeprefix(f"{name}."): value for key, value in weights.items() if key.startswith(f"{name}.")}


def assert_close(found, expected):
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=0, atol=1e-12)


def without_times(history_rows):
    return [{name: value for name, value in row.items() if name != "seconds"} for row in history_rows]


def assert_same_history(found, expected):
    for ours, theirs in zip(without_times(found), without_times(expected), strict=True):
        assert ours == pytest.approx(theirs, rel=1e-12)


# ---------------------------------------------------------------- two processes give what one gives


def test_both_processes_hold_the_same_to_the_bit(together):
    found, weights, _ = together
    assert found[0]["world"] == found[1]["world"] == 2
    assert found[0] == found[1]
    assert weights[0].keys() == weights[1].keys()
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


@pytest.mark.parametrize(
    ("name", "arguments"), [("plain", {"epochs": 2}), ("single rows", {"batch_size": 1, "epochs": 1})]
)
def test_weights_and_losses_are_those_of_one_process(together, name, arguments):
    """Shares of 3 and 2 rows, of 2 and 1, of 1 and none, with targets missing: all count as they should."""
    found, weights, _ = together
    state, history = trained(**arguments)
    assert_close(part(weights[0], name), state)
    assert_same_history(found[0][name][2], history.rows)


def test_the_comparison_can_fail(together):
    state, _ = trained(batch_size=4, epochs=2)
    with pytest.raises(AssertionError):
        assert_close(part(together[1][0], "plain"), state)


def test_checkpoints_are_written_once_and_continue_with_another_number_of_processes(together):
    found, weights, folder = together
    assert sorted(p.name for p in (folder / "whole").iterdir()) == ["checkpoint.json", "step-00000020.safetensors"]
    state, history = trained()
    assert_close(part(weights[0], "on"), state)  # begun by one process, ended by two
    assert_same_history(found[0]["on"][2], history.rows)
    resumed, resumed_history = trained(folder / "two", resume=True)  # begun by two, ended by one
    assert_close(resumed, state)
    assert_same_history(resumed_history.rows, history.rows)


def test_with_dropout_two_processes_resume_to_the_same_bits(together):
    found, weights, _ = together
    whole, resumed = part(weights[0], "dropout"), part(weights[0], "resumed")
    assert all(torch.equal(resumed[name], value) for name, value in whole.items())
    assert without_times(found[0]["resumed"][2]) == without_times(found[0]["dropout"][2])
    assert not torch.equal(part(weights[0], "half")["out.weight"], whole["out.weight"])


def test_all_stop_together(together):
    found, _, _ = together
    state, history = trained(epochs=50, patience=2, lr=0.3)
    assert found[0]["patience"][:2] == [history.stopped, history.best_epoch] == ["patience", history.best_epoch]
    assert_close(part(together[1][0], "patience"), state)
    assert found[0]["seconds"][0] == "seconds"
    assert 0.2 <= found[0]["seconds"][2][-1]["seconds"] < 5


@pytest.mark.parametrize(
    ("case", "message"),
    [
        ("diverged", r"the loss is nan at step 1 \(epoch 1, batch 1"),
        ("nothing counts", "batch 1 of epoch 1 holds no counted item"),
        ("in the way", "already holds a checkpoint"),
        ("no checkpoint", "no checkpoint to resume"),
        ("one fails", "this one only"),
        ("cannot share", r"found \[\(4, 3\), \(3,\)\]"),
    ],
)
def test_what_goes_wrong_in_one_process_is_raised_in_all(together, case, message):
    for found in together[0]:
        assert re.search(message, found[case])


# ---------------------------------------------------------------- the command


def test_a_killed_process_ends_all_and_the_checkpoint_goes_on(tmp_path, monkeypatch):
    started = time.monotonic()
    done = torchrun(__file__, "deadly", "--out", tmp_path / "two")
    assert time.monotonic() - started < 120
    assert done.returncode != 0
    lines = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1
    assert re.search("another process has (ended|failed)", lines[0])
    assert f"The last checkpoint is in {tmp_path / 'two'}; --resume continues from it." in lines[0]
    assert "Traceback (most recent call last)" not in done.stderr.split("ChildFailedError")[0].split("error: ")[0]
    for name in ("tiny", "deadly"):
        monkeypatch.setitem(tasks.TASKS, name, {"made_up": BUILDERS[name]})
    assert train.main(["tiny", "--out", str(tmp_path / "two"), "--resume"]) == 0
    assert train.main(["tiny", "--out", str(tmp_path / "one")]) == 0
    one, two = (json.loads((tmp_path / name / "metrics.json").read_text()) for name in ("one", "two"))
    assert two["steps"] == one["steps"] == 30
    assert two["test"] == pytest.approx(one["test"], rel=1e-9)


def test_a_task_that_cannot_be_shared_says_so_in_one_line(tmp_path):
    done = two_processes(__file__, "alone", "--out", tmp_path / "run")
    line = "error: alone trains in one process only: its state is carried on; start it without torchrun\n"
    assert done == [(2, "", line), (2, "", "")]
    assert not (tmp_path / "run").exists()


def test_the_command_trains_a_chapter_task_in_two_processes(tmp_path):
    (status, said, _), other = two_processes("-m", "utils.train", "weather", "--epochs", "1", "--out", tmp_path)
    assert status == 0
    assert said.count("this model") == 1
    assert other == (0, "", "")
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert metrics["steps"] == 50
    assert metrics["test"]["mae"] < 1.1 * metrics["baselines"]["ridge"]["mae"]


BAD = {
    "half started": ({"RANK": "1"}, "WORLD_SIZE is not set"),
    "no address": ({"RANK": "1", "WORLD_SIZE": "2", "LOCAL_RANK": "1"}, "MASTER_ADDR is not set"),
    "rank too large": ({"RANK": "2", "WORLD_SIZE": "2", "LOCAL_RANK": "0", "MASTER_PORT": "1"}, "RANK=2, WORLD_SIZE=2"),
    "no number": ({"RANK": "0", "WORLD_SIZE": "many", "LOCAL_RANK": "0"}, "WORLD_SIZE=many"),
    "negative": ({"RANK": "-1", "WORLD_SIZE": "2", "LOCAL_RANK": "0"}, "RANK=-1"),
}


@pytest.fixture
def launched(monkeypatch):
    """Sets the variables of torchrun, and only those given."""

    def put(**variables):
        for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT"):
            monkeypatch.delenv(name, raising=False)
        for name, value in variables.items():
            monkeypatch.setenv(name, value)

    return put


@pytest.mark.parametrize(("variables", "message"), BAD.values(), ids=BAD)
def test_a_bad_launch_is_one_line_and_status_2(launched, variables, message, tmp_path, capsys):
    launched(**variables)
    assert train.main(["weather", "--out", str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: started wrong (")
    assert message in said
    assert "use torchrun" in said
    assert said.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_others_that_never_come_are_not_waited_for_forever(launched):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    launched(RANK="0", WORLD_SIZE="2", LOCAL_RANK="0", MASTER_ADDR="127.0.0.1", MASTER_PORT=port)
    with pytest.raises(LaunchError, match="process 0 of 2 does not find the others"):
        distributed.start(timeout=1)
    assert distributed.world() == 1


@pytest.mark.parametrize("variables", [{}, {"RANK": "0", "WORLD_SIZE": "1", "LOCAL_RANK": "0"}])
def test_one_process_starts_nothing(launched, variables):
    launched(**variables)
    distributed.start()
    assert (distributed.world(), distributed.rank()) == (1, 0)
    assert not torch.distributed.is_initialized()
    distributed.stop()


def test_each_process_takes_its_gpu(monkeypatch):
    taken = []
    monkeypatch.setattr(distributed, "world", lambda: 4)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    monkeypatch.setattr(torch.cuda, "set_device", taken.append)
    monkeypatch.setenv("LOCAL_RANK", "2")
    assert distributed.own(torch.device("cuda")) == torch.device("cuda", 2)
    assert taken == [2]
    assert distributed.own(torch.device("cpu")) == torch.device("cpu")
    monkeypatch.setenv("LOCAL_RANK", "3")
    with pytest.raises(LaunchError, match="more processes than GPUs"):
        distributed.own(torch.device("cuda"))


# ---------------------------------------------------------------- shares


@pytest.mark.parametrize("of", [1, 2, 3, 7])
@pytest.mark.parametrize("make", [lambda x: x, lambda x: (x, x * 10), lambda x: [x], lambda x: {"a": x, "b": x * 10}])
def test_shares_are_a_partition_of_the_rows(of, make):
    x = torch.arange(5)
    shares = [distributed.share(make(x), number, of) for number in range(of)]
    first = [s if torch.is_tensor(s) else next(iter(s.values())) if isinstance(s, dict) else s[0] for s, _ in shares]
    counted = torch.cat([rows for rows, (_, counts) in zip(first, shares, strict=True) if counts])
    assert sorted(counted.tolist()) == x.tolist()
    assert [counts for _, counts in shares] == [number < 5 for number in range(of)]
    assert all(type(s) is type(make(x)) and len(rows) > 0 for rows, (s, _) in zip(first, shares, strict=True))


@pytest.mark.parametrize(
    "batch",
    [
        (torch.ones(4, 2), torch.ones(3)),
        (torch.ones(4), ["a", "b", "c", "d"]),
        nn.utils.rnn.pack_sequence([torch.ones(3), torch.ones(2)]),
        torch.tensor(1.0),
        torch.ones(0, 3),
        "text",
        7,
        (),
        None,
    ],
)
def test_what_cannot_be_shared_is_refused(batch):
    with pytest.raises(ShareError, match="several processes can share a batch only if"):
        distributed.share(batch, 0, 2)


class Drawn:
    """Batches drawn as they come, from the random numbers of Python, NumPy and torch."""

    def __init__(self, steps=4):
        self.steps = steps

    def __iter__(self):
        import random

        for _ in range(self.steps):
            yield torch.tensor([random.random(), np.random.rand(), torch.rand(()).item(), torch.rand(()).item()])


def draws(seed, number, of, used, monkeypatch):
    """The shares that process ``number`` sees while its model uses ``used`` random numbers per batch."""
    monkeypatch.setattr(distributed, "world", lambda: of)
    monkeypatch.setattr(distributed, "rank", lambda: number)
    monkeypatch.setattr(distributed, "on_main", lambda make: make())
    seed_everything(seed)
    seen, noise = [], []
    for mine, _ in distributed.shares(Drawn(), step=5):
        seen.append(mine)
        noise.append(torch.rand(used))
    return torch.stack(seen), torch.stack(noise), torch.rand(1)


def test_the_order_of_the_data_does_not_depend_on_what_the_model_draws(monkeypatch):
    (whole, _, after), (first, noise_0, after_0), (second, noise_1, after_1) = (
        draws(8, *arguments, monkeypatch) for arguments in [(0, 1, 0), (0, 2, 3), (1, 2, 3)]
    )
    assert torch.equal(whole[:, 0::2], first)
    assert torch.equal(whole[:, 1::2], second)
    assert not torch.equal(noise_0, noise_1)  # dropout differs between processes
    assert noise_0.unique().numel() == noise_0.numel()
    assert after == after_0 == after_1  # the state that a checkpoint keeps
    assert not torch.equal(draws(8, 0, 2, 7, monkeypatch)[1][:, :3], draws(9, 0, 2, 7, monkeypatch)[1][:, :3])
    assert torch.equal(draws(8, 0, 2, 7, monkeypatch)[0], first)


def test_a_pass_cut_short_leaves_the_state_of_the_data(monkeypatch):
    expected = [draws(8, 0, 1, 0, monkeypatch)[0], torch.rand(1)]
    monkeypatch.setattr(distributed, "world", lambda: 2)
    seed_everything(8)
    for i, _ in enumerate(distributed.shares(Drawn(steps=9), step=0)):
        torch.rand(11)
        if i == 3:
            break
    assert torch.rand(1) != expected[1]
    seed_everything(8)
    list(Drawn())
    state = torch.get_rng_state()
    seed_everything(8)
    for i, _ in enumerate(distributed.shares(Drawn(steps=9), step=0)):
        torch.rand(11)
        if i == 3:
            break
    assert torch.equal(torch.get_rng_state(), state)


def test_told_to_end_while_a_failed_pass_is_closed(monkeypatch):
    def shares(batches, step):
        try:
            yield from ((batch, True) for batch in batches)
        finally:
            raise distributed.Ended  # what the handler of SIGTERM does

    def fails(model, batch):
        raise RuntimeError("gloo: connection closed")

    monkeypatch.setattr(distributed, "shares", shares)
    with pytest.raises(distributed.Ended):
        fit(Net().double(), minibatches(*rows(), batch_size=5), fails, epochs=1)
