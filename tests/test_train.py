"""The training command: what it writes, how it resumes, and one-line errors with exit status 2."""

import json
import subprocess
import sys

import pytest
import torch
from torch import nn

from utils import train
from utils.data.files import find
from utils.training import minibatches


@pytest.fixture
def tiny(monkeypatch):
    """A task that trains in no time, beside the real ones."""

    def builder(device):
        x = torch.linspace(-1, 1, 64)[:, None]
        y = 3 * x + 0.1 * torch.randn_like(x)

        def loss_fn(model, batch):
            return (model(batch[0]) - batch[1]).square().sum(), len(batch[0])

        return train.Job(
            model=nn.Sequential(nn.Linear(1, 4), nn.Dropout(0.2), nn.Linear(4, 1)),
            batches=minibatches(x, y, batch_size=16),
            val_batches=minibatches(x, y, batch_size=64, shuffle=False),
            loss_fn=loss_fn,
            validate=lambda model: {"weight": float(model[0].weight.detach().sum())},
            test=lambda model: {"mse": float((model(x) - y).square().mean().detach())},
            baselines={"mean": {"mse": float(y.var())}},
            fit_options={"lr": 1e-2},
            epochs=3,
        )

    monkeypatch.setitem(train.TASKS, "tiny", {"made_up": builder})


def read(folder):
    return json.loads((folder / "metrics.json").read_text(encoding="utf-8"))


def test_writes_metrics_and_prints_the_table(tiny, tmp_path, capsys):
    assert train.main(["tiny", "--out", str(tmp_path), "--seed", "5"]) == 0
    got = read(tmp_path)
    expected = {"task", "data", "seed", "parameters", "seconds", "steps", "stopped", "validation", "test", "baselines"}
    assert set(got) == expected | {"peak_resident_mb"}
    assert (got["task"], got["data"], got["seed"], got["steps"], got["parameters"]) == ("tiny", "made_up", 5, 12, 13)
    assert got["test"]["mse"] > 0
    assert got["peak_resident_mb"] > 50
    out = capsys.readouterr().out
    assert "mean" in out
    assert "this model" in out
    assert not list(tmp_path.glob("*.part"))


def test_interrupted_and_resumed_equals_uninterrupted(tiny, tmp_path, monkeypatch):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    assert train.main(["tiny", "--out", str(whole), "--epochs", "4"]) == 0
    original, calls = train.TASKS["tiny"]["made_up"], []

    def interrupted(device):
        job = original(device)
        inner = job.loss_fn

        def loss_fn(model, batch):
            calls.append(1)
            if len(calls) == 13:  # within the third epoch: each has 4 steps and one validation
                raise KeyboardInterrupt
            return inner(model, batch)

        job.loss_fn = loss_fn
        return job

    monkeypatch.setitem(train.TASKS["tiny"], "made_up", interrupted)
    assert train.main(["tiny", "--out", str(parts), "--epochs", "4"]) == 130
    assert not (parts / "metrics.json").exists()
    monkeypatch.setitem(train.TASKS["tiny"], "made_up", original)
    assert train.main(["tiny", "--out", str(parts), "--epochs", "4", "--resume"]) == 0
    for name in ("validation", "test", "steps"):
        assert read(parts)[name] == read(whole)[name]


BAD = {
    "unknown task": (["whether"], "unknown task 'whether'; did you mean 'weather'?"),
    "unknown data": (["weather", "--data", "nyc_2014"], "unknown data 'nyc_2014'; did you mean 'nyc_2013'?"),
    "no task": ([], "required: task"),
    "epochs zero": (["weather", "--epochs", "0"], "'0' is not a positive whole number"),
    "epochs text": (["weather", "--epochs", "many"], "'many' is not a positive whole number"),
    "seconds negative": (["weather", "--seconds", "-3"], "'-3' is not a positive number"),
    "seconds infinite": (["weather", "--seconds", "inf"], "'inf' is not a positive number"),
    "both lengths": (["weather", "--epochs", "1", "--seconds", "1"], "not allowed with argument"),
    "seed": (["weather", "--seed", "-1"], "seed must be a whole number"),
    "threads": (["weather", "--threads", "0"], "'0' is not a positive whole number"),
    "device": (["weather", "--device", "abacus"], "device 'abacus' cannot be used here"),
    "option": (["weather", "--sedd", "1"], "unrecognized arguments: --sedd"),
}


@pytest.mark.parametrize(("arguments", "message"), BAD.values(), ids=BAD)
def test_bad_command_line_is_one_line_and_status_2(arguments, message, tmp_path, capsys):
    assert train.main([*arguments, "--out", str(tmp_path)] if arguments else []) == 2
    said = capsys.readouterr()
    assert message in said.err
    assert said.err.count("\n") == 1
    assert said.out == ""
    assert not list(tmp_path.iterdir())


def test_nothing_to_resume_and_a_run_in_the_way(tiny, tmp_path, capsys):
    assert train.main(["tiny", "--out", str(tmp_path), "--resume"]) == 2
    assert "no checkpoint to resume" in capsys.readouterr().err
    assert train.main(["tiny", "--out", str(tmp_path)]) == 0
    before = read(tmp_path)
    capsys.readouterr()
    assert train.main(["tiny", "--out", str(tmp_path), "--seed", "1"]) == 2
    assert "already holds a checkpoint" in capsys.readouterr().err
    assert read(tmp_path) == before


def test_divergence_is_one_line_and_status_1(tiny, tmp_path, capsys, monkeypatch):
    original = train.TASKS["tiny"]["made_up"]

    def diverging(device):
        job = original(device)
        job.loss_fn = lambda model, batch: (model(batch[0]).sum() * float("nan"), len(batch[0]))
        return job

    monkeypatch.setitem(train.TASKS["tiny"], "made_up", diverging)
    assert train.main(["tiny", "--out", str(tmp_path)]) == 1
    assert "loss is nan at step 1" in capsys.readouterr().err


def test_weather_task_from_the_shell(tmp_path):
    command = [sys.executable, "-m", "utils.train", "weather", "--epochs", "1", "--out", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    got = read(tmp_path)
    assert got["data"] == "nyc_2013"
    assert got["baselines"]["ridge"]["mae"] < 0.75 * got["baselines"]["persistence"]["mae"]
    assert got["test"]["mae"] < 1.1 * got["baselines"]["ridge"]["mae"]
    assert 0.4 < got["test"]["coverage_80"] < 0.95
    assert "same hour yesterday" in done.stdout


def test_load_task_takes_a_file_and_names_what_it_cannot_use(tmp_path, capsys):
    assert train.main(["load", "--epochs", "1", "--out", str(tmp_path / "own data")]) == 0
    got = read(tmp_path / "own data")
    base = got["baselines"]["last week, level of the last day"]["mape"]
    assert base < 0.6 * got["baselines"]["last week"]["mape"]
    assert got["test"]["mape"] < 1.1 * base
    assert 0.1 < got["test"]["coverage_80"] < 0.95  # one epoch has hardly begun to open the interval
    hourly = find("electricity_load_2000.csv").read_text().splitlines()[::2]  # the header, then every other half-hour
    short = tmp_path / "short.csv"
    short.write_text("\n".join(hourly[: 24 * 50]), encoding="utf-8")
    assert train.main(["load", "--data", str(short), "--out", str(tmp_path / "short")]) == 2
    assert "expected eight weeks or more" in capsys.readouterr().err
    whole = tmp_path / "hourly.csv"
    whole.write_text("\n".join(hourly), encoding="utf-8")
    assert train.main(["load", "--data", str(whole), "--epochs", "1", "--out", str(tmp_path / "hourly")]) == 0
    assert read(tmp_path / "hourly")["test"]["mape"] < 2


def test_names_task_learns_beside_its_baselines(tmp_path):
    assert train.main(["names", "--epochs", "1", "--out", str(tmp_path)]) == 0
    got = read(tmp_path)
    accuracy = {name: row["accuracy"] for name, row in got["baselines"].items()}
    assert accuracy["most frequent language"] < 0.12
    assert 0.82 < accuracy["n-grams, logistic regression"] <= accuracy["n-grams, support vectors"] < 0.87
    assert got["test"]["accuracy"] > 4 * accuracy["most frequent language"]  # ten epochs reach the n-grams
    assert got["validation"]["accuracy"] == pytest.approx(got["test"]["accuracy"], abs=0.05)
