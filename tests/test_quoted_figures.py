"""Figures that the README and the summaries quote are those of the outputs below the notebooks' cells.

A pattern says where a figure comes from: it finds one in the outputs of the chapter, and stands in the place that the
figure has among those quoted. A figure may be quoted with fewer digits, and a share as a percentage.
"""

import re
from functools import cache
from pathlib import Path

import nbformat
import pytest
from PIL import Image, ImageChops
from scripts import load_script

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = {p.name[:3]: p for p in sorted((ROOT / "chapters").glob("[1-8]_*/*.ipynb"))}
FIGURE = re.compile(r"(?<![\w.,/])(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?![\w.]*\d)")
NUMBER, PLUS_MINUS = r"(\d[\d,]*\.?\d*)", r"([\d.]+) ± ([\d.]+)"

README_ROWS = {
    "5.1": [rf"LSTM {PLUS_MINUS}", rf"6-gram {NUMBER}", rf"Kneser–Ney 10 {NUMBER}"],
    "5.2": [
        r"pointer-generator +([\d.]+) +[\d.]+ +[\d.]+ +[\d.]+ +[\d.]+ +([\d.]+)\n",
        rf"first sentence +{NUMBER}",
        rf"name \+ neighbour +{NUMBER}",
    ],
    "5.3": [
        *(rf"{name} +{PLUS_MINUS}" for name in ("French", "German", "Chinese")),
        r"French +(0\.0) ",
    ],
    "5.4": [rf"LSTM's error is {PLUS_MINUS}", r"persistence +\S+ +(1\.000) +NaN"],
    "5.5": [r"ridge \+ LSTM +([\d.]+) +([\d.]+)", rf"persistence +{NUMBER}", rf"ridge, made by hand +{NUMBER} +NaN"],
    "5.6": [
        rf"GRU on smoothing +\S+ ± \S+ +\S+ ± \S+ +{PLUS_MINUS}",
        rf"last week +\S+ +\S+ +{NUMBER}",
        rf"two seasons, fit 48 steps +\S+ +\S+ +{NUMBER}",
    ],
    "5.7": [rf"CTC, strange voices: WER {PLUS_MINUS}", rf"templates, strange voices: WER {NUMBER}"],
    "5.8": [rf"\nattention +{PLUS_MINUS}", rf"nearest neighbour, features +{NUMBER}"],
}
SUMMARIES = {
    "4.2": [rf"padding without buckets {NUMBER}"],
    "5.3": [rf"phrase fr +{NUMBER}", rf"phrase fr .*\n.*\n +zh +\S+ +\S+ +{NUMBER}"],
    "5.4": [rf"R² {NUMBER}"],
    "5.6": [
        rf"last week +\S+ +\S+ +{NUMBER}",
        rf"ratio, a day +\S+ +\S+ +\S+ +{NUMBER}",
        rf"two seasons, fit 48 steps +\S+ +\S+ +{NUMBER}",
        rf"GRU on smoothing +\S+ ± \S+ +\S+ ± \S+ +{NUMBER}",
    ],
    "5.8": [
        rf"\nattention +{NUMBER}",
        r"seed 2 +\S+ +([\d.]+)\n",
        rf"mean pooling +{NUMBER}",
        rf"nearest neighbour, features +{NUMBER}",
        r"attention +0 .*\n +1 .*\n +2 +([\d.]+)",
        r"attention +0 +([\d.]+)",
        r"attention +0 +\S+ +\S+ +([\d.]+)",
    ],
    "7.1": [rf"\nsimple +\S+ ± \S+ +{NUMBER} ±"],
}
GIVEN = {  # sizes and settings, and bounds that asserts hold ("over 40 %")
    "3.3": "1",
    "3.4": "1",
    "4.1": "2 1",
    "4.2": "1,000 0",
    "4.3": "1,000",
    "4.5": "7 8",
    "5.1": "6 10",
    "5.2": "1,500 1",
    "5.4": "1996",
    "5.5": "40 80",
    "5.7": "32 10 3 28 20 0",
    "7.1": "64",
    "7.2": "4,096",
}


@cache
def outputs(chapter: str) -> str:
    """All text below the cells of a chapter."""
    cells = [c for c in nbformat.read(NOTEBOOKS[chapter], as_version=4).cells if c.cell_type == "code"]
    return "\n".join(o.get("text", "") + o.get("data", {}).get("text/plain", "") for c in cells for o in c.outputs)


def readme_rows() -> dict[str, str]:
    """The last two columns of the README's table of results, for each application."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    return {m[1]: m[2] for m in re.finditer(r"^\| \[(\d\.\d) [^|]*\|[^|]*\|(.*)\|$", text, re.MULTILINE)}


def summary(chapter: str) -> str:
    """The summary of a chapter, without formulas, numbers of points and of chapters."""
    cells = [c for c in nbformat.read(NOTEBOOKS[chapter], as_version=4).cells if c.cell_type == "markdown"]
    text = "\n".join(c.source for c in cells).split("\n## Summary")[1].split("\n## ")[0]
    return re.sub(r"\$[^$]*\$|`[^`]*`|^\d+\. |\b\d\.\d\.\d\b|[Cc]hapters? [\d.]+( and [\d.]+)?", "", text, flags=re.M)


def disagreements(quoted: list[str], patterns: list[str], text: str) -> list[str]:
    """What is quoted otherwise than it was measured."""
    found = [re.search(pattern, text) for pattern in patterns]
    lost = [pattern for pattern, match in zip(patterns, found, strict=True) if match is None]
    measured = [figure for match in found if match for figure in match.groups()]
    if lost or len(measured) != len(quoted):
        return [f"{len(quoted)} figures quoted, {len(measured)} found; without a match: {lost}"]
    return [f"{q} quoted, {m} measured" for q, m in zip(quoted, measured, strict=True) if not agrees(q, m)]


def agrees(quoted: str, measured: str) -> bool:
    """Whether one is the other rounded, or its percentage."""
    value, other = (float(figure.replace(",", "")) for figure in (quoted, measured))
    room = 0.5 * 10.0 ** -len(quoted.partition(".")[2]) + 1e-9
    return any(abs(scale * other - value) <= room for scale in (1, 100))


def test_the_readme_has_a_row_for_each_application():
    assert [*readme_rows()] == [*README_ROWS] == [c for c in NOTEBOOKS if c.startswith("5.")]


@pytest.mark.parametrize("chapter", README_ROWS)
def test_the_readme_quotes_what_was_measured(chapter):
    wrong = disagreements(FIGURE.findall(readme_rows()[chapter]), README_ROWS[chapter], outputs(chapter))
    assert not wrong, f"README.md, row {chapter}: {wrong}"


@pytest.mark.parametrize("chapter", NOTEBOOKS)
def test_a_summary_quotes_what_was_measured(chapter):
    given = GIVEN.get(chapter, "").split()
    quoted = [figure for figure in FIGURE.findall(summary(chapter)) if figure not in given]
    wrong = disagreements(quoted, SUMMARIES.get(chapter, []), outputs(chapter))
    assert not wrong, f"summary of {chapter}: {quoted}: {wrong}; add its patterns to SUMMARIES, or a setting to GIVEN"


def test_a_wrong_figure_is_found():
    text = "GRU  1.811 ± 0.002\nvalid  0.909"
    assert not disagreements(["1.81", "0.002", "91"], [rf"GRU +{PLUS_MINUS}", rf"valid +{NUMBER}"], text)
    assert disagreements(["1.82", "0.002"], [rf"GRU +{PLUS_MINUS}"], text) == ["1.82 quoted, 1.811 measured"]
    assert disagreements(["1.81"], [rf"LSTM +{PLUS_MINUS}"], text)
    assert disagreements(["90"], [rf"valid +{NUMBER}"], text)


def test_the_readme_counts_asserts_and_exercises():
    cells = [c for p in NOTEBOOKS.values() for c in nbformat.read(p, as_version=4).cells]
    solutions = (ROOT / "chapters/solutions").glob("*.ipynb")
    code = [c.source for c in cells + [c for p in solutions for c in nbformat.read(p, as_version=4).cells]]
    asserts = sum(len(re.findall(r"^\s*assert\b", source, re.M)) for source in code)
    exercises = sum(len(re.findall(r"^### Exercise", c.source, re.M)) for c in cells if c.cell_type == "markdown")
    checked = len(set(re.findall(r"^check\(\s*\"([\d.]+)\"", "\n".join(code), re.M)))
    readme = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
    assert f"more than {asserts // 100 * 100:,} of them" in readme, f"there are {asserts} asserts"
    assert f"Of the {exercises} exercises, {checked} check" in readme, f"{exercises} exercises, {checked} checked"
    assert f"in {len(NOTEBOOKS)} chapters" in readme


def test_the_picture_of_the_readme_shows_the_notebooks():
    """It is put together again from their stored outputs, and equal in every pixel."""
    fresh = load_script("chapters/figures/make_results.py").draw()
    stored = Image.open(ROOT / "chapters/figures/results.png").convert("RGB")
    assert fresh.size == stored.size
    assert ImageChops.difference(fresh, stored).getbbox() is None, "run python chapters/figures/make_results.py"
