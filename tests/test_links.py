"""The addresses in the book: their form always; whether those of chapter 6.1 answer, where there is a network.

Chapter 6.1's table of PyTorch's functions is also held complete here, against the installed torch.
"""

import inspect
import json
import re
import socket
import urllib.error
import urllib.request
from pathlib import Path
from urllib.parse import urlsplit

import nbformat
import pytest
from torch.nn.modules import rnn as modules
from torch.nn.utils import rnn as functions

ROOT = Path(__file__).resolve().parents[1]
TOOLS = ROOT / "chapters/6_tools/6.1_tools_and_resources.ipynb"
PAGES = [*sorted((ROOT / "chapters").rglob("*.ipynb")), ROOT / "README.md", ROOT / "datasets/README.md"]
DEAD = "https://pytorch.org/"  # the article's addresses, which 6.1 quotes in order to correct them


def text_of(path: Path) -> str:
    """Prose and code of a page; for notebooks without the outputs."""
    if path.suffix == ".md":
        return path.read_text(encoding="utf-8")
    return "\n".join(cell.source for cell in nbformat.read(path, as_version=4).cells)


def found_on(path: Path) -> list[str]:
    """Web addresses of a page, in Markdown links and in strings of code."""
    pairs = re.findall(r"\]\((https?://[^)\s]*)\)|\"(https?://[^\"\s]*)\"", text_of(path))
    return sorted({link or string for link, string in pairs})


@pytest.mark.parametrize("path", PAGES, ids=lambda p: p.stem)
def test_addresses_are_of_good_form(path):
    for url in found_on(path):
        parts = urlsplit(url)
        assert parts.scheme == "https", f"{url}: not https"
        assert re.fullmatch(r"(localhost|([\w-]+\.)+[a-z]{2,})(:\d+)?", parts.netloc), f"{url}: no such host name"
        assert not re.search(r"[<>\s`,]|\.$", url), f"{url}: a sign that does not belong there"


def linked() -> list[str]:
    """The addresses of 6.1, with the strings that are put together in its code."""
    text = text_of(TOOLS)
    docs, learn = re.search(r"DOCS, LEARN = \"([^\"]+)\", \"([^\"]+)\"", text).groups()
    bases = {"DOCS": docs, "LEARN": learn}
    joined = [bases[name] + rest for name, rest in re.findall(r"\b(DOCS|LEARN) \+ \"([^\"]+)\"", text)]
    plain = [url for url in found_on(TOOLS) if not url.startswith(DEAD) and url not in bases.values()]
    return sorted({*plain, *joined})


def test_the_links_of_6_1_are_found():
    assert len(linked()) >= 8
    assert any(url.endswith("char_rnn_classification_tutorial.html") for url in linked())


def has_network() -> bool:
    try:
        socket.create_connection(("docs.pytorch.org", 443), timeout=3).close()
    except OSError:
        return False
    return True


@pytest.fixture(scope="module")
def network():
    if not has_network():
        pytest.skip("no network: docs.pytorch.org cannot be reached, so addresses are checked for their form only")


@pytest.mark.parametrize("url", linked())
def test_the_links_of_6_1_answer(url, network):
    request = urllib.request.Request(url, headers={"User-Agent": "Mozilla/5.0 (link test of a textbook)"})
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            assert answer.status < 400
    except urllib.error.HTTPError as error:
        if error.code in (403, 429) or error.code >= 500:  # a guard or a bad day, not a dead page
            pytest.skip(f"{url} answered {error.code}")
        raise AssertionError(f"{url} answered {error.code}: a dead link") from None
    except OSError as error:
        pytest.skip(f"{url} could not be reached: {error}")


@pytest.mark.parametrize("module", [modules, functions], ids=["modules", "functions"])
def test_the_table_of_6_1_is_complete_for_the_installed_torch(module):
    outputs = json.dumps([c.outputs for c in nbformat.read(TOOLS, as_version=4).cells if c.cell_type == "code"])
    prefix = "nn." if module is modules else "nn.utils.rnn."
    public = [n for n in module.__all__ if inspect.isclass(getattr(module, n)) or callable(getattr(module, n))]
    assert len(public) >= 8
    missing = [prefix + name for name in public if f">{prefix}{name}<" not in outputs]
    assert not missing, f"run `make book`: the table of 6.1 lacks {missing}"
