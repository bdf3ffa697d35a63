"""The book as a thing on disk: every notebook has the agreed anatomy, was run in order, and links to what exists."""

import ast
import json
import re
import statistics
from functools import cache
from pathlib import Path

import nbformat
import pytest
from scripts import load_script

from utils import exercises

ROOT = Path(__file__).resolve().parents[1]
CHAPTERS = ROOT / "chapters"
INDEX = CHAPTERS / "index.ipynb"
ALL = sorted(p for p in CHAPTERS.rglob("*.ipynb") if ".ipynb_checkpoints" not in p.parts and p != INDEX)
LESSONS = [p for p in ALL if p.parent.name != "solutions"]
SOLUTIONS = [p for p in ALL if p.parent.name == "solutions"]
CLOSING = ["What this does and does not show", "Summary", "Exercises", "References"]
LEGAL_TAGS = {"nbval-ignore-output", "raises-exception"}
HERE = [re.escape(str(place)) for place in (ROOT, Path.home())]
ABSOLUTE_PATH = re.compile("|".join([*HERE, r"/root/|/home/|/tmp/|/Users/|/var/folders/|site-packages|[A-Z]:\\\\"]))

each = pytest.mark.parametrize("path", ALL, ids=lambda p: f"{p.parent.name}/{p.stem}")
each_lesson = pytest.mark.parametrize("path", LESSONS, ids=lambda p: p.stem)
each_solution = pytest.mark.parametrize("path", SOLUTIONS, ids=lambda p: p.stem)


@cache
def read(path: Path) -> nbformat.NotebookNode:
    return nbformat.read(path, as_version=4)


def code_cells(notebook) -> list:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def prose(notebook) -> str:
    return "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")


def headings(notebook, level: int) -> list[str]:
    return re.findall(rf"^{'#' * level} (.+?)\s*$", prose(notebook), re.MULTILINE)


def sections(notebook) -> list[list]:
    """The cells between one ``##`` heading and the next."""
    parts: list[list] = [[]]
    for cell in notebook.cells:
        if cell.cell_type == "markdown" and re.search(r"^## ", cell.source, re.MULTILINE):
            parts.append([])
        parts[-1].append(cell)
    return parts


def exercise_numbers(source: str) -> list[str]:
    return re.findall(r"check\(\s*\"([\d.]+)\"", source)


# ---------------------------------------------------------------- executed, clean, light


@each
def test_is_valid_and_runs_on_python3(path):
    notebook = read(path)
    nbformat.validate(notebook)
    assert notebook.metadata.kernelspec.name == "python3"


@each
def test_was_run_from_top_to_bottom(path):
    counts = [cell.execution_count for cell in code_cells(read(path))]
    assert counts == list(range(1, len(counts) + 1))


@each
def test_outputs_hold_no_error_no_warning_no_path(path):
    for cell in code_cells(read(path)):
        for output in cell.outputs:
            assert output.output_type != "error", cell.source
            assert output.get("name") != "stderr", f"a warning or progress bar was stored: {output.text[:200]}"
            text = json.dumps(output)
            assert not ABSOLUTE_PATH.search(text), f"a path of one machine: {ABSOLUTE_PATH.search(text)}"
            assert len(text) <= 200_000, f"an output of {len(text)} bytes: {cell.source[:100]}"


@each
def test_sources_hold_no_path_of_one_machine(path):
    for cell in read(path).cells:
        assert not ABSOLUTE_PATH.search(cell.source), cell.source


@each
def test_is_light_enough_for_the_web(path):
    assert path.stat().st_size <= 1_500_000


@each
def test_cells_are_short(path):
    lengths = [len(cell.source.splitlines()) for cell in code_cells(read(path))]
    assert max(lengths) <= 30
    assert statistics.median(lengths) <= 6


@each
def test_tags_are_known(path):
    for cell in read(path).cells:
        assert set(cell.metadata.get("tags", [])) <= LEGAL_TAGS, cell.source[:100]


@each
def test_an_ignored_output_still_has_its_claim_asserted(path):
    for part in sections(read(path)):
        for i, cell in enumerate(part):
            if "nbval-ignore-output" in cell.metadata.get("tags", []):
                rest = "\n".join(c.source for c in part[i:] if c.cell_type == "code")
                assert re.search(r"^\s*assert ", rest, re.MULTILINE), f"nothing holds the claim of:\n{cell.source}"


@each
def test_avoids_what_nbval_stumbles_over(path):
    for cell in code_cells(read(path)):
        assert not re.search(r";\s*$", cell.source, re.MULTILINE), f"a trailing semicolon: {cell.source[:100]}"
        assert not re.search(r"clear_output|@interact|tqdm\.notebook|tqdm\.auto", cell.source), cell.source[:100]
        assert not re.search(r"^\s*(%|!)", cell.source, re.MULTILINE), f"a magic or shell line: {cell.source[:100]}"


@each
def test_every_figure_is_shown(path):
    for cell in code_cells(read(path)):
        has_image = any("image/png" in output.get("data", {}) for output in cell.outputs)
        if has_image and "Audio(" not in cell.source:
            assert cell.source.rstrip().endswith("plt.show()"), cell.source


@each
def test_no_time_is_asserted(path):
    for cell in code_cells(read(path)):
        for line in cell.source.splitlines():
            if line.lstrip().startswith("assert "):
                assert not re.search(r"seconds|perf_counter|time\.time|elapsed|_ms\b", line), line


# ---------------------------------------------------------------- anatomy of a chapter


@each_lesson
def test_head_says_question_needs_and_cost(path):
    head = read(path).cells[0].source
    number = path.stem.split("_")[0]
    assert re.match(rf"# {re.escape(number)} \S", head), f"the title should start with the number {number}"
    assert re.search(r"^\*\*Question:\*\* .+\?$", head, re.MULTILINE)
    assert re.search(r"^\*\*You need:\*\* .+", head, re.MULTILINE)
    assert re.search(r"^\*\*Time and memory:\*\* about [\d.]+ (s|min) on one core, \d+ MB at most", head, re.MULTILINE)


@each
def test_second_cell_imports_everything_and_seeds(path):
    first, *others = code_cells(read(path))
    assert first is read(path).cells[1] or first.source == read(path).cells[1].source
    assert first.source.rstrip().endswith("repro.seed_everything(0)")
    for cell in others:
        assert not re.search(r"^(import|from) \w", cell.source, re.MULTILINE), f"an import further down: {cell.source}"


@each_lesson
def test_sections_in_order(path):
    found = headings(read(path), 2)
    assert found[-4:] == CLOSING
    assert 3 <= len(found) - 4 <= 8, f"{len(found) - 4} teaching sections"


@each_lesson
def test_every_teaching_section_proves_something(path):
    for part in sections(read(path))[1:-4]:
        source = "\n".join(cell.source for cell in part if cell.cell_type == "code")
        assert "assert " in source or "assert_" in source, f"nothing asserted in: {part[0].source.splitlines()[0]}"


@each_lesson
def test_summary_is_five_lines_at_most(path):
    text = prose(read(path)).split("\n## Summary")[1].split("\n## Exercises")[0]
    points = [line for line in text.splitlines() if re.match(r"\s*([-*]|\d+\.) ", line)]
    assert 1 <= len(points) <= 5


@each_lesson
def test_references_have_years(path):
    text = prose(read(path)).split("\n## References")[1]
    entries = [line for line in text.splitlines() if line.startswith(("-", "*"))]
    assert len(entries) >= 3
    for entry in entries:
        assert re.search(r"\b(1[89]|20)\d\d\b", entry), f"no year: {entry}"


@each_lesson
def test_prose_is_a_chapter_not_a_demo(path):
    assert len(re.findall(r"\w+", prose(read(path)))) >= 1_200


@each
def test_relative_links_lead_somewhere(path):
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(read(path))):
        if not re.match(r"[a-z]+:|#", target):
            assert (path.parent / target.split("#")[0]).exists(), f"dead link: {target}"


# ---------------------------------------------------------------- exercises and their answers


@each_lesson
def test_exercises_have_checks_and_solutions(path):
    notebook = read(path)
    number = path.stem.split("_")[0]
    titles = [t for t in headings(notebook, 3) if t.startswith("Exercise")]
    assert len(titles) >= 4
    numbers = [re.match(rf"Exercise ({re.escape(number)}\.\d+) — \S", t).group(1) for t in titles]
    assert numbers == [f"{number}.{i}" for i in range(1, len(numbers) + 1)]
    checked = exercise_numbers("\n".join(c.source for c in code_cells(notebook)))
    assert len(checked) >= 3
    assert set(checked) <= set(numbers)
    solution = CHAPTERS / "solutions" / path.name
    assert solution.exists(), f"no solutions for {path.name}"
    solved = read(solution)
    answered = [re.match(r"Exercise ([\d.]+)", t).group(1) for t in headings(solved, 2) if t.startswith("Exercise")]
    assert answered == numbers
    source = "\n".join(c.source for c in code_cells(solved))
    assert set(re.findall(r"assert check\(\s*\"([\d.]+)\"", source)) == set(checked)


def test_every_check_is_used_by_a_chapter():
    used = [n for p in LESSONS for c in code_cells(read(p)) for n in exercise_numbers(c.source)]
    assert sorted(used) == sorted(exercises.numbers())


@each_solution
def test_a_solution_belongs_to_a_chapter(path):
    assert path.name in {p.name for p in LESSONS}
    assert read(path).cells[0].source.startswith(f"# Solutions to {path.stem.split('_')[0]} ")


# ---------------------------------------------------------------- tables, links, sizes


def load_book():
    return load_script(".ci/book.py")


def test_table_of_contents_is_what_make_book_writes():
    timings = json.loads((CHAPTERS / "timings.json").read_text(encoding="utf-8"))
    assert set(timings) == {p.relative_to(CHAPTERS).as_posix() for p in ALL}
    readme = (CHAPTERS / "README.md").read_text(encoding="utf-8")
    assert load_book().contents(timings) == readme, "run `make book`"
    assert [cell.source for cell in read(INDEX).cells] == [readme.strip()]
    assert load_book().parts(timings) == (ROOT / "README.md").read_text(encoding="utf-8"), "run `make book`"


def test_memory_stays_within_binder():
    timings = json.loads((CHAPTERS / "timings.json").read_text(encoding="utf-8"))
    too_large = {name: row["megabytes"] for name, row in timings.items() if row["megabytes"] >= 1000}
    assert not too_large


@pytest.mark.parametrize(
    "path", sorted(ROOT.glob("*.md")) + sorted(CHAPTERS.glob("*.md")) + [ROOT / "datasets/README.md"]
)
def test_markdown_links_lead_somewhere(path):
    text = re.sub(r"```.*?```", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if not re.match(r"[a-z]+:|#", target):
            assert (path.parent / target.split("#")[0]).exists(), f"{path.name}: dead link {target}"


def lines_of_code(text: str) -> int:
    """Lines that hold code: no blank lines, comments or docstrings, so that nobody saves on those."""
    docstrings: set[int] = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node):
            docstrings |= set(range(node.body[0].lineno, node.body[0].end_lineno + 1))
    lines = enumerate(text.splitlines(), start=1)
    return sum(bool(line.strip()) and not line.lstrip().startswith("#") and i not in docstrings for i, line in lines)


def test_utils_stays_small():
    texts = {p: p.read_text(encoding="utf-8") for p in (ROOT / "utils").rglob("*.py")}
    sizes = {p: len(text.splitlines()) for p, text in texts.items()}
    assert max(sizes.values()) <= 300, max(sizes, key=sizes.get)
    assert sum(lines_of_code(text) for p, text in texts.items() if "exercises" not in p.parts) <= 3_800


def body_lines(function: ast.FunctionDef) -> int:
    body = function.body[1:] if ast.get_docstring(function) else function.body
    return body[-1].end_lineno - body[0].lineno + 1 if body else 0


def test_functions_of_utils_are_short_and_documented():
    for path in (ROOT / "utils").rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        assert ast.get_docstring(tree), f"{path} has no docstring"
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef):
                assert body_lines(node) <= 45, f"{path.name}: {node.name} is {body_lines(node)} lines long"
        for node in tree.body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
                assert ast.get_docstring(node), f"{path.name}: {node.name} has no docstring"


def test_nothing_is_unpickled():
    for path in (ROOT / "utils").rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"\btorch\.load\(|\bpickle\b|allow_pickle=True|joblib\.load", text), path


def test_text_files_hold_no_path_of_one_machine():
    folders = [ROOT / name for name in ("utils", "chapters", "datasets", ".ci", ".github")]
    paths = [p for folder in folders for p in folder.rglob("*")] + list(ROOT.glob("*"))
    for path in paths:
        if path.suffix in {".py", ".md", ".yml", ".toml", ".json"}:
            assert not ABSOLUTE_PATH.search(path.read_text(encoding="utf-8")), path
