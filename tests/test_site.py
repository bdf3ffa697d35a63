"""The site that ``make site`` builds: no page missing, every link leads somewhere, and a browser has no complaint.

Built once for all tests of this file, into a temporary folder and without the network. The browser looks at
a few pages; with RNN_BOOK_SITE=all in the environment, at every one.
"""

import functools
import http.server
import itertools
import json
import os
import re
import subprocess
import sys
import threading
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from browser import Browser, find_browser
from scripts import load_script

ROOT = Path(__file__).resolve().parents[1]
CHAPTERS = ROOT / "chapters"
NOTEBOOKS = sorted(p for p in CHAPTERS.glob("*/*.ipynb") if ".ipynb_checkpoints" not in p.parts)
DERIVED = ["index.html", "exercises.html", "prerequisites.html", "bibliography.html", "solutions.html", "search.html"]
WRITTEN = ["chapters/README.html", "chapters/notation.html", "chapters/glossary.html", "datasets/README.html"]


def page_of(notebook: Path) -> str:
    """Where the page of a notebook lies in the site."""
    return notebook.relative_to(ROOT).with_suffix(".html").as_posix()


PAGES = [*DERIVED, *WRITTEN, *map(page_of, NOTEBOOKS)]
FEW = [
    "index.html",
    "exercises.html",
    "prerequisites.html",
    "chapters/README.html",
    "chapters/notation.html",
    "chapters/3_math/3.4_lstm.html",
]


@pytest.fixture(scope="module")
def build():
    """The script that builds the site, as a module."""
    return load_script(".ci/site/build.py")


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """The folder of the built site."""
    for name in ("sphinx", "myst_nb", "sphinx_book_theme", "sphinx-mathjax-offline"):
        pytest.importorskip(name, reason=f"{name} is not installed; `pip install -e '.[site]'` brings it")
    out = tmp_path_factory.mktemp("site")
    command = [sys.executable, str(ROOT / ".ci/site/build.py"), "--out", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"a warning of Sphinx is an error here:\n{done.stderr[-3000:]}"
    return out / "html"


@dataclass(frozen=True)
class Page:
    """A page of the site, parsed."""

    tree: object
    places: frozenset[str]  # what a link can name after its #


@pytest.fixture(scope="module")
def pages(site) -> dict[Path, Page]:
    """Every page of the site by its path."""
    html = pytest.importorskip("lxml.html")
    found = [p for p in sorted(site.rglob("*.html")) if "_static" not in p.parts]
    trees = {p: html.fromstring(p.read_bytes()) for p in found}
    return {p: Page(tree, frozenset(tree.xpath("//@id | //@name"))) for p, tree in trees.items()}


def leads_somewhere(page: Path, target: str, pages: dict[Path, Page]) -> bool:
    """Whether the file that a link names exists, and in it the place after the #."""
    parts = urlsplit(target)
    file = (page.parent / unquote(parts.path)).resolve() if parts.path else page
    if parts.fragment and file in pages:
        return unquote(parts.fragment) in pages[file].places
    return file.is_file()


# ---------------------------------------------------------------- what is written


def test_no_page_is_missing(site):
    assert not [name for name in PAGES if not (site / name).is_file()]


def test_every_internal_link_and_image_leads_somewhere(pages):
    links = [(page, target) for page, found in pages.items() for target in found.tree.xpath("//@href | //@src")]
    inner = [(page, target) for page, target in links if not re.match(r"[a-z]+:|#$", target)]
    assert len(inner) > 1_000
    assert not [f"{page.name}: {target}" for page, target in inner if not leads_somewhere(page, target, pages)]


def test_a_dead_link_would_be_found(pages):
    page = next(iter(pages))
    assert not leads_somewhere(page, "no_such_page.html", pages)
    assert not leads_somewhere(page, "#no-such-place", pages)


def test_nothing_is_loaded_from_elsewhere(pages):
    for page, found in pages.items():
        for target in found.tree.xpath("//script/@src | //img/@src | //iframe/@src | //link[@rel='stylesheet']/@href"):
            assert not re.match(r"(https?:)?//", target), f"{page.name} loads {target}"


def test_chapters_follow_one_another(site, pages):
    lessons = [site / page_of(path) for path in NOTEBOOKS if path.parent.name != "solutions"]
    for page, following in pairwise(lessons):
        (link,) = pages[page].tree.xpath("//a[contains(@class, 'right-next')]/@href")
        assert (page.parent / link).resolve() == following


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: f"{p.parent.name}/{p.stem}")
def test_a_chapter_can_be_run_and_taken_away(path, site, pages):
    links = pages[site / page_of(path)].tree.xpath("//a/@href")
    assert any(re.match(r"https://mybinder\.org/v2/gh/[^/]+/[^/]+/main\?", a) and path.name in a for a in links)
    assert any(a.endswith(f"_sources/{path.relative_to(ROOT).as_posix()}") for a in links), "no download link"


def test_chapters_that_the_prose_names_are_links(site, pages):
    lstm = pages[site / "chapters/3_math/3.4_lstm.html"].tree
    assert lstm.xpath("//a[@href='3.3_vanishing_and_exploding.html'][string()='3.3']")
    assert lstm.xpath("//*[@id='exercises']//a[@href='../solutions/3.4_lstm.html']")


def test_works_that_the_prose_names_are_links(site, pages):
    lstm = pages[site / "chapters/3_math/3.4_lstm.html"].tree
    cited = lstm.xpath("//a[contains(@href, 'bibliography.html#')]")
    assert {"Greff et al. (2017)", "Gers et al., 2000"} <= {" ".join(link.text_content().split()) for link in cited}
    assert not lstm.xpath("//*[@id='References' or @id='references']//a[contains(@href, 'bibliography.html#')]")


def test_the_search_index_knows_the_forget_gate(site):
    index = json.loads(re.fullmatch(r"Search\.setIndex\((.*)\)", (site / "searchindex.js").read_text()).group(1))

    def found(word: str) -> set[str]:
        listed = [index[part].get(word, []) for part in ("terms", "titleterms")]
        return {index["docnames"][i] for n in listed for i in (n if isinstance(n, list) else [n])}

    assert "chapters/3_math/3.4_lstm" in found("forget") & found("gate")


# ---------------------------------------------------------------- pages derived from the notebooks


def test_numbers_of_chapters_are_read_from_prose(build):
    assert build.numbers("chapters 3.4 (the LSTM), 4.2 (padding) and 5.1; what a p-value is") == ["3.4", "4.2", "5.1"]
    assert build.numbers("notebooks 3.1 to 3.3.") == ["3.1", "3.2", "3.3"]
    assert build.numbers("[notebook 4.1](../4_practice/4.1_rnn_lstm_gru_modules.ipynb) helps") == ["4.1"]
    assert build.numbers("a loss of 3.4 nats, chapter 9.1, version 2.13") == []


def test_prerequisites_stand_further_up(build):
    """A circle would make a chapter need itself."""
    for chapter in build.chapters():
        assert all(needed < chapter.number for needed in chapter.needs), f"{chapter.number} needs {chapter.needs}"


def test_the_graph_puts_every_chapter_below_what_it_needs(build):
    """Boxes do not overlap, arrows lead down, and what is reached through another chapter has no arrow of its own."""
    graph = build.prerequisites(build.chapters()).partition("</svg>")[0]
    box = r'href="\S+/([\d.]+)_\S+"><rect x="(-?\d+)" y="(\d+)" width="(\d+)" height="(\d+)"'
    boxes = {m[1]: tuple(map(int, m.groups()[1:])) for m in re.finditer(box, graph)}
    needs = {c.number: [n for n in c.needs if n in boxes] for c in build.chapters() if c.number in boxes}
    assert len(boxes) >= 20
    assert all(boxes[n][1] + boxes[n][3] < boxes[c][1] for c, found in needs.items() for n in found)
    for (x, y, w, _), (x2, y2, *_) in itertools.combinations(boxes.values(), 2):
        assert y != y2 or abs(x - x2) >= w
    assert len(re.findall(r'<path d="M[^z"]+"/>', graph)) < sum(map(len, needs.values()))
    assert min(x for x, *_ in boxes.values()) >= 0


def test_the_bibliography_names_a_work_once(build):
    text = build.bibliography(build.chapters())
    works = [line for line in text.splitlines() if "Long short-term memory. *Neural Computation* 9(8)" in line]
    assert len(works) == 1
    assert all(f"[{number}](" in works[0] for number in ("1.1", "3.3", "3.4"))


def test_every_exercise_is_listed(build, pages, site):
    listed = pages[site / "exercises.html"].tree.xpath("//td[1]//a")
    exercises = [heading.split()[0] for chapter in build.chapters() for heading in chapter.exercises]
    assert [a.text_content().split()[0] for a in listed] == exercises


# ---------------------------------------------------------------- in a browser


class Quiet(http.server.SimpleHTTPRequestHandler):
    """A web server that says nothing."""

    def log_message(self, *arguments) -> None:
        pass


@pytest.fixture(scope="module")
def address(site):
    """The site, served from this machine."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(site)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def browser(address, tmp_path_factory):
    program = find_browser()
    if program is None:
        pytest.skip("no Chromium on this machine (Debian and Ubuntu: `apt install chromium`)")
    tab = Browser(program, tmp_path_factory.mktemp("profile"))
    tab.home = address
    yield tab
    tab.close()


NOT_SET = "mjx-merror, .math.notranslate:not(:has(mjx-container))"  # equations that MathJax refuses, or has not seen


def too_wide(browser: Browser) -> list[str]:
    """The elements that stick out of a page that can be scrolled sideways."""
    return browser.run("""(() => {
        const width = document.documentElement.clientWidth;
        if (document.documentElement.scrollWidth <= width) return [];
        return [...document.querySelectorAll("main *")].filter(e => e.getBoundingClientRect().right > width + 1)
            .map(e => e.tagName + "." + e.className + " " + e.textContent.slice(0, 40)).slice(0, 5).concat(["…"]);
    })()""")


@pytest.mark.parametrize("name", PAGES if os.environ.get("RNN_BOOK_SITE") == "all" else FEW)
def test_a_page_opens_without_complaint_and_fits(name, browser, address):
    browser.resize(1280)
    browser.open(address + name)
    assert not browser.errors
    assert not too_wide(browser), "wider than a desktop"
    assert not browser.run(f"[...document.querySelectorAll('{NOT_SET}')].map(e => e.textContent)")
    assert browser.run("[...document.images].filter(i => i.loading !== 'lazy' && !i.naturalWidth).length") == 0
    browser.resize(390)
    assert not too_wide(browser), "wider than a phone"
    begins = "[...document.querySelectorAll('mjx-container')].map(e => e.getBoundingClientRect().left)"
    assert min(browser.run(begins), default=0) >= 0, "an equation begins left of the page, where nobody can scroll to"


def test_search_finds_the_forget_gate(browser, address):
    browser.resize(1280)
    browser.open(address + "search.html?q=forget+gate")
    links = browser.run("""new Promise(done => {
        const look = () => {
            const found = [...document.querySelectorAll("#search-results a")].map(a => a.textContent);
            found.some(t => t.includes("3.4")) ? done(found) : setTimeout(look, 100);
        };
        setTimeout(() => done([]), 20000);
        look();
    })""")
    assert any("The LSTM" in link for link in links)
    assert not browser.errors
