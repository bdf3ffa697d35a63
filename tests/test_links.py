"""The addresses in the book: their form always; whether those of chapter 6.1 answer, where there is a network.

Chapter 6.1's table of PyTorch's functions is also held complete here, against the installed torch, and all its
tables are compared with fresh ones: they are made from the code and the references of the other chapters.
"""

import inspect
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
AGAIN = "run `python .ci/book.py chapters/6_tools/6.1_tools_and_resources.ipynb`"
DEAD = "https://pytorch.org/"  # the article's addresses, which 6.1 quotes in order to correct them


def tables_of(cells: list) -> list[str]:
    """The Markdown that cells have put into their outputs."""
    outputs = [output for cell in cells if cell.cell_type == "code" for output in cell.outputs]
    return [output.data["text/markdown"] for output in outputs if "text/markdown" in output.get("data", {})]


def text_of(path: Path) -> str:
    """Prose, code and tables of a page; for notebooks without the other outputs."""
    if path.suffix == ".md":
        return path.read_text(encoding="utf-8")
    cells = nbformat.read(path, as_version=4).cells
    return "\n".join([*(cell.source for cell in cells), *tables_of(cells)])


def found_on(path: Path) -> list[str]:
    """Web addresses of a page, in Markdown links and in strings of code."""
    pairs = re.findall(r"\]\((https?://[^)\s{]*)\)|\"(https?://[^\"\s]*)\"", text_of(path))
    return sorted({link or string for link, string in pairs})


@pytest.mark.parametrize("path", PAGES, ids=lambda p: p.stem)
def test_addresses_are_of_good_form(path):
    for url in found_on(path):
        parts = urlsplit(url)
        assert parts.scheme == "https", f"{url}: not https"
        assert re.fullmatch(r"(localhost|([\w-]+\.)+[a-z]{2,})(:\d+)?", parts.netloc), f"{url}: no such host name"
        assert not re.search(r"[<>\s`,]|\.$", url), f"{url}: a sign that does not belong there"


def linked() -> list[str]:
    """The addresses of 6.1, without the beginnings that its code completes."""
    found = [url for url in found_on(TOOLS) if not url.startswith(DEAD)]
    return [url for url in found if not any(other != url and other.startswith(url) for other in found)]


def test_the_links_of_6_1_are_found():
    assert len(linked()) >= 30
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
    tables = "\n".join(tables_of(nbformat.read(TOOLS, as_version=4).cells))
    prefix = "nn." if module is modules else "nn.utils.rnn."
    public = [n for n in module.__all__ if inspect.isclass(getattr(module, n)) or callable(getattr(module, n))]
    assert len(public) >= 8
    missing = [prefix + name for name in public if f"| {prefix}{name} |" not in tables]
    assert not missing, f"{AGAIN}: the table of 6.1 lacks {missing}"


def test_the_tables_of_6_1_equal_fresh_ones(monkeypatch):
    """They depend on the sources of the other chapters only, so the order of `make book` does not matter."""
    cells = nbformat.read(TOOLS, as_version=4).cells
    end = next(
        i for i, cell in enumerate(cells) if "\n## Reading old code" in cell.source
    )  # later cells read no chapter
    fresh, space = [], {}
    monkeypatch.chdir(TOOLS.parent)
    monkeypatch.setattr("IPython.display.display", lambda shown: fresh.append(shown.data))
    for cell in cells[:end]:
        if cell.cell_type == "code":
            exec(cell.source, space)
    stored = tables_of(cells[:end])
    assert len(fresh) == len(stored) >= 7
    stale = [new.splitlines()[0] for new, old in zip(fresh, stored, strict=True) if new != old]
    assert not stale, f"{AGAIN}: a chapter, the manifest or `utils` has changed since, and with it the tables {stale}"
