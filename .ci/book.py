"""Re-execute notebooks in place and rewrite the timing table: ``make book``.

    python .ci/book.py                                    every notebook
    python .ci/book.py chapters/2_concepts/2.1_*.ipynb    these only

Each notebook runs top to bottom in a fresh kernel, pinned to one core where the system allows it.
Its outputs, the processor seconds of its kernel (with the processes that it starts; what else the machine does
hardly changes them) and the peak resident memory of the kernel are written back:
the outputs into the notebook, the measurements into ``chapters/timings.json``, and from there into
the table of ``chapters/README.md``, its twin ``chapters/index.ipynb`` (the page JupyterLab and Binder open,
because there the links work), the table of parts in the ``README.md`` of the root, and the line
"**Time and memory:**" at the notebook's head.
The map of ``utils/README.md`` is written anew as well (``utils_map.py``).
"""

import argparse
import json
import os
import re
import sys
from pathlib import Path

import nbformat
from jupyter_core.utils import run_sync
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

ROOT = Path(__file__).resolve().parents[1]
CHAPTERS = ROOT / "chapters"
TIMINGS = CHAPTERS / "timings.json"
INDEX = CHAPTERS / "index.ipynb"
TABLE_START, TABLE_END = "<!-- table: made by make book -->", "<!-- end of table -->"
PARTS = {
    "1": "Background",
    "2": "Concepts",
    "3": "Mathematics",
    "4": "Practice",
    "5": "Applications",
    "6": "Tools",
    "7": "Outlook",
    "8": "Questions",
}
ANSWERS = {
    "1": "Why order matters, and why a network needs memory for it",
    "2": "What a recurrent network is made of",
    "3": "The recurrence, its gradient, why it vanishes, LSTM and GRU, each derived and proved",
    "4": "PyTorch's modules, padding, text pipelines, training, speed",
    "5": "Text generation, summarization, translation, stock prices, weather, electricity load, speech, captions",
    "6": "What a practitioner uses today",
    "7": "Where recurrent nets fail, and what came after",
    "8": "What learners really ask, each answer with a cell that proves it",
}
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
ASKED = {  # of the kernel, at the end
    "peak": "__import__('utils.train', fromlist=['train']).peak_resident_mb()",
    "seconds": "sum(__import__('os').times()[:4])",
}


def all_notebooks() -> list[Path]:
    """Every notebook of the book, chapters before solutions."""
    found = [p for p in CHAPTERS.rglob("*.ipynb") if ".ipynb_checkpoints" not in p.parts and p != INDEX]
    return sorted(found, key=lambda p: (p.parent.name == "solutions", p.name))


def execute(path: Path) -> tuple[nbformat.NotebookNode, float, float]:
    """Run a notebook in a fresh kernel; return it with its outputs, processor seconds and peak megabytes."""
    notebook = nbformat.read(path, as_version=4)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
        cell.metadata = {"tags": cell.metadata["tags"]} if cell.metadata.get("tags") else {}
    notebook.metadata = METADATA
    client = NotebookClient(
        notebook,
        timeout=1200,
        kernel_name="python3",
        resources={"metadata": {"path": str(path.parent)}},
        record_timing=False,
    )
    with client.setup_kernel():
        for index, cell in enumerate(notebook.cells):
            client.execute_cell(cell, index)
        reply = run_sync(client.kc.execute_interactive)("", silent=True, user_expressions=ASKED)
    found = {name: float(reply["content"]["user_expressions"][name]["data"]["text/plain"]) for name in ASKED}
    notebook.metadata = METADATA  # the kernel wrote its exact version
    return notebook, found["seconds"], found["peak"]


def say(seconds: float, megabytes: float) -> tuple[str, str]:
    """The measurements in the words of the table, rounded up to what survives another run."""
    rounded = 5 * max(1, -(-seconds // 5))
    when = f"{rounded:.0f} s" if rounded <= 90 else f"{rounded / 60:.1f} min"
    return when, f"{50 * -(-megabytes // 50):.0f} MB"


def write_head(notebook: nbformat.NotebookNode, seconds: float, megabytes: float) -> None:
    """Put the measurements into the first cell's line "**Time and memory:**"."""
    when, memory = say(seconds, megabytes)
    line = f"**Time and memory:** about {when} on one core, {memory} at most ([measured](../README.md))."
    head = notebook.cells[0]
    head.source = re.sub(r"^\*\*Time and memory:\*\*.*$", line, head.source, flags=re.MULTILINE)


def contents(timings: dict[str, dict[str, float]]) -> str:
    """The text of ``chapters/README.md`` with a fresh table between its two marks."""
    rows = ["| | Notebook | Its question | Time | Memory | Answers |", "|---|---|---|---|---|---|"]
    for path in all_notebooks():
        if path.parent.name == "solutions":
            continue
        name = path.relative_to(CHAPTERS).as_posix()
        head = nbformat.read(path, as_version=4).cells[0].source
        title = re.search(r"^# (.+)$", head, re.MULTILINE).group(1)
        question = re.search(r"^\*\*Question:\*\* (.+?)$", head, re.MULTILINE).group(1)
        measured = timings.get(name)
        when, memory = say(measured["seconds"], measured["megabytes"]) if measured else ("–", "–")
        part = PARTS[path.name[0]]
        answers = f"[solutions](solutions/{path.name})"
        rows.append(f"| {part} | [{title}]({name}) | {question} | {when} | {memory} | {answers} |")
    return with_table(CHAPTERS / "README.md", rows)


def parts(timings: dict[str, dict[str, float]]) -> str:
    """The text of the root's ``README.md`` with a fresh table of the parts: what they answer, what they take."""
    rows = ["| Part | What it answers | Chapters and their time | Memory |", "|---|---|---|---|"]
    for number, name in PARTS.items():
        found = {p.relative_to(CHAPTERS).as_posix(): p.name[:3] for p in sorted(CHAPTERS.glob(f"{number}_*/*.ipynb"))}
        times = [f"[{n}](chapters/{path}) {say(timings[path]['seconds'], 0)[0]}" for path, n in found.items()]
        most = max(timings[path]["megabytes"] for path in found)
        rows.append(f"| {number} {name} | {ANSWERS[number]} | {', '.join(times)} | {say(0, most)[1]} |")
    return with_table(ROOT / "README.md", rows)


def with_table(page: Path, rows: list[str]) -> str:
    """The text of a page with these rows between its two marks."""
    before, rest = page.read_text(encoding="utf-8").split(TABLE_START)
    table = "\n".join(rows)
    return f"{before}{TABLE_START}\n{table}\n{TABLE_END}{rest.split(TABLE_END)[1]}"


def index(text: str) -> nbformat.NotebookNode:
    """The table of contents as a notebook of one cell."""
    cell = nbformat.v4.new_markdown_cell(text.strip(), id="contents")
    return nbformat.v4.new_notebook(cells=[cell], metadata=METADATA)


def read_timings() -> dict[str, dict[str, float]]:
    """The measurements so far; read anew before each change, since another run may add its own."""
    return json.loads(TIMINGS.read_text(encoding="utf-8")) if TIMINGS.exists() else {}


def main() -> int:
    from utils_map import write as write_map  # lies beside this file

    parser = argparse.ArgumentParser(description="Re-execute notebooks in place and rewrite the timing table.")
    parser.add_argument("notebooks", nargs="*", type=Path, help="default: all of chapters/")
    chosen = [path.resolve() for path in parser.parse_args().notebooks] or all_notebooks()
    os.environ["TQDM_DISABLE"] = "1"  # a progress bar's text is never the same twice
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})  # kernels inherit it: one core, as on Binder
    failed = []
    for path in chosen:
        name = path.relative_to(CHAPTERS).as_posix()
        print(f"{name} …", end=" ", flush=True)
        try:
            notebook, seconds, megabytes = execute(path)
        except CellExecutionError as error:
            failed.append(name)
            print(f"FAILED\n{error}")
            continue
        print(f"{seconds:.0f} s, {megabytes:.0f} MB")
        write_head(notebook, seconds, megabytes)
        nbformat.write(notebook, path)
        timings = read_timings() | {name: {"seconds": round(seconds, 1), "megabytes": round(megabytes)}}
        known = {p.relative_to(CHAPTERS).as_posix() for p in all_notebooks()}
        timings = {key: timings[key] for key in sorted(timings) if key in known}
        TIMINGS.write_text(json.dumps(timings, indent=1) + "\n", encoding="utf-8")
    text = contents(read_timings())
    (CHAPTERS / "README.md").write_text(text, encoding="utf-8")
    nbformat.write(index(text), INDEX)
    (ROOT / "README.md").write_text(parts(read_timings()), encoding="utf-8")
    write_map()
    if failed:
        print(f"{len(failed)} failed and were left as they were: {', '.join(failed)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
