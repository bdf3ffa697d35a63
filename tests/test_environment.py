"""pyproject.toml, environment.yml, postBuild and the Makefile describe one environment."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
CONDA_NAMES = {"torch": "pytorch-cpu", "matplotlib": "matplotlib-base", "soundfile": "pysoundfile", "arch": "arch-py"}
FROM_PIP = {"torchtext", "nbval", "rouge-score"}  # pure Python, pinned to the same release everywhere


def split_requirement(text: str) -> tuple[str, str]:
    name, version = re.fullmatch(r"([A-Za-z0-9_-]+)(.*)", text.replace(" ", "")).groups()
    return name.lower(), version


@pytest.fixture(scope="module")
def project() -> dict[str, str]:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    return dict(split_requirement(line) for line in tomllib.loads(text)["project"]["dependencies"])


@pytest.fixture(scope="module")
def conda() -> dict:
    return yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))


def test_environment_equals_pyproject(project, conda):
    compiled = dict(split_requirement(line) for line in conda["dependencies"] if isinstance(line, str))
    pure = dict(
        split_requirement(line) for part in conda["dependencies"] if isinstance(part, dict) for line in part["pip"]
    )
    assert compiled.pop("python") == "=3.11"
    assert compiled.pop("pip") == ""
    assert compiled.pop("pytorch-cpu") == "=2.13.*"
    assert project["torch"] == "==2.13.0"
    expected = {CONDA_NAMES.get(name, name): version for name, version in project.items()}
    del expected["pytorch-cpu"]
    assert compiled | pure == expected
    assert set(pure) == FROM_PIP


def test_environment_has_what_binder_can_read(conda):
    assert conda["channels"] == ["conda-forge"]
    text = (ROOT / "environment.yml").read_text(encoding="utf-8")
    assert not re.search(r"(-e |file:|\./|\.\.)", text), "a local path rebuilds the Binder image at every edit"
    assert not (ROOT / "binder").exists(), "a binder/ folder hides environment.yml at the root"


def test_repo2docker_recognises_python_and_environment():
    command = [sys.executable, "-m", "repo2docker", "--no-build", "--debug", str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    said = done.stdout + done.stderr
    assert done.returncode == 0, said[-2000:]
    assert "Building conda environment for python=3.11" in said, "python=3.11 was not recognised"
    assert re.search(r"env update .*environment\.yml", said), "environment.yml was not recognised"
    assert "postBuild" in said


def test_post_build_stops_at_the_first_error():
    lines = (ROOT / "postBuild").read_text(encoding="utf-8").splitlines()
    commands = [line for line in lines if line and not line.startswith("#")]
    assert commands == ["set -e", "pip install --no-deps -e ."]
    assert (ROOT / "postBuild").stat().st_mode & 0o111, "postBuild must be executable"


def test_importing_utils_is_cheap():
    code = (
        "import sys, utils, utils.repro, utils.training, utils.data.files, utils.data.series, utils.models.classifier;"
        "print(sorted({'torchtext', 'matplotlib', 'pandas', 'sklearn'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_torchtext_loads_beside_this_torch():
    code = "import torch, torchtext; from torchtext.data import Field, BucketIterator; print(torchtext.__version__)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "0.6.0"


def test_only_one_module_may_import_torchtext():
    users = [
        p for p in (ROOT / "utils").rglob("*.py") if re.search(r"^\s*(import|from) torchtext", p.read_text(), re.M)
    ]
    assert [p.relative_to(ROOT).as_posix() for p in users] in ([], ["utils/data/text.py"])


def test_models_and_data_do_not_know_each_other():
    for folder, forbidden in (("models", "utils.data"), ("data", "utils.models")):
        for path in (ROOT / "utils" / folder).rglob("*.py"):
            assert forbidden not in re.findall(r"^\s*(?:from|import) ([\w.]+)", path.read_text(), re.M), path
            assert not re.search(rf"^\s*(from|import) {forbidden}", path.read_text(), re.M), path
