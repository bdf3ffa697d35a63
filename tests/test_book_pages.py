"""The pages about the whole book say what its notebooks say: notation, glossary, map of utils."""

import re
from pathlib import Path

import nbformat
import pytest
from scripts import load_script

ROOT = Path(__file__).resolve().parents[1]
CHAPTERS = ROOT / "chapters"


def table_rows(page: str) -> list[list[str]]:
    """The cells of every row of every table, without the heads."""
    lines = (CHAPTERS / page).read_text(encoding="utf-8").splitlines()
    rows = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines if line.startswith("|")]
    return [row for row in rows if row[0] not in ("Symbol", "Term", "---")]


def notebook_of(cell: str) -> str:
    """Prose and code of the notebook that a cell links to; the link must show the chapter's number."""
    number, target = re.fullmatch(r"\[([\d.]+)\]\((\S+)\)", cell).groups()
    assert Path(target).name.startswith(f"{number}_"), f"{cell} shows one chapter and leads to another"
    return "\n".join(cell.source for cell in nbformat.read(CHAPTERS / target, as_version=4).cells)


def formulas(text: str) -> list[str]:
    """The formulas of a text, without the space in them."""
    return [re.sub(r"\s|\\,", "", a or b) for a, b in re.findall(r"\$\$(.+?)\$\$|\$([^$\n]+)\$", text, re.DOTALL)]


def stands_in(symbol: str, formula: str) -> bool:
    """Whether a symbol is in a formula as itself and not as the beginning or the end of another."""
    return re.search(rf"(?<![A-Za-z\\]){re.escape(symbol)}(?![A-Za-z])", formula) is not None


@pytest.mark.parametrize("row", table_rows("notation.md"), ids=lambda row: f"{row[0]} in {row[4][1:4]}")
def test_a_symbol_stands_in_the_chapter_it_names(row):
    symbols, shape, meaning, code, place = row
    text = notebook_of(place)
    assert shape
    assert meaning
    for symbol in formulas(symbols):
        assert any(stands_in(symbol, formula) for formula in formulas(text)), f"{symbol} is not in {place}"
    for name in re.findall(r"`([^`]+)`", code):
        assert name in text, f"`{name}` is not in {place}"


def test_a_symbol_is_told_from_a_part_of_another():
    assert stands_in("h_t", r"W_{hh}h_t+b")
    assert not stands_in("r", r"\rho")
    assert not stands_in("n", r"\tanh")
    assert not stands_in(r"\sigma", r"\sigmamax")


def test_a_letter_has_one_meaning_per_chapter():
    rows = table_rows("notation.md")
    pairs = [(symbol, row[4]) for row in rows for symbol in formulas(row[0])]
    assert len(pairs) >= 50
    assert len(set(pairs)) == len(pairs)


@pytest.mark.parametrize("row", table_rows("glossary.md"), ids=lambda row: row[0])
def test_a_term_occurs_in_the_chapter_that_explains_it(row):
    term, chinese, place = row
    assert re.search(r"[\u4e00-\u9fff]", chinese), f"{term}: no Chinese"
    assert re.search(rf"\b{re.escape(term)}(s|es)?\b", notebook_of(place), re.IGNORECASE), f"{term} is not in {place}"


def test_the_glossary_is_in_order_and_without_doubles():
    terms, chinese, _ = zip(*table_rows("glossary.md"), strict=True)
    assert len(terms) >= 80
    assert list(terms) == sorted(set(terms), key=str.lower)
    assert len(set(chinese)) == len(chinese), "two English terms with one Chinese word"


def test_the_map_of_utils_is_fresh():
    fresh = load_script(".ci/utils_map.py").utils_map()
    stored = (ROOT / "utils/README.md").read_text(encoding="utf-8")
    assert stored == fresh, "run `python .ci/utils_map.py`"
    for path in (ROOT / "utils").rglob("*.py"):
        name = path.relative_to(ROOT / "utils").as_posix()
        assert f"]({name})" in stored or path.name == "__init__.py" or "exercises" in path.parts, f"{name} is missing"


def test_the_map_knows_who_imports_what():
    script = load_script(".ci/utils_map.py")
    code = "import utils.repro\nfrom utils import cells\nfrom utils.data.series import windows\nimport torch"
    assert list(script.imported(code)) == ["repro", "cells", "data.series.windows"]
    group = [("3.1", ["cells"]), ("5.5", ["data.series.windows"]), ("5.9", ["data.series_of_another_name"])]
    assert script.users("data.series", group) == ["5.5"]
    assert script.users("data", group) == ["5.5", "5.9"]
