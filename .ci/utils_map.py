"""Rewrite the map of ``utils/README.md``: one row per module, what it is, and who uses it.

    python .ci/utils_map.py

What a module is stands in the first paragraph of its docstring; who uses it is read from the imports of the notebooks
and of the other modules. ``make book`` writes the map too, and a test holds it fresh.
"""

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
UTILS = ROOT / "utils"
MAP = UTILS / "README.md"
HEAD = """# What is in utils

The small package that the chapters share. A notebook shows how a thing is built and proves it; what a second chapter
needs of it lives here. `models` and `data` do not know each other; `data.files` is the one door to disk and network.

| Module | What it is | Notebooks | Modules |
|---|---|---|---|
"""
TAIL = """
The last two columns say who imports it; `train` loads the tasks by their names. The table is written by
`.ci/utils_map.py` from docstrings and imports.
"""


def imported(source: str) -> Iterator[str]:
    """The names after ``utils.`` that a piece of code imports: of modules, and of what is in them."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "utils":
            for name in node.names:
                yield f"{node.module}.{name.name}".removeprefix("utils.")
        elif isinstance(node, ast.Import):
            yield from (n.name.removeprefix("utils.") for n in node.names if n.name.startswith("utils."))


def code(path: Path) -> str:
    """The code of a notebook."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")


def users(name: str, importers: list[tuple[str, list[str]]]) -> list[str]:
    """Those of the importers that import the module, or something out of it."""
    return sorted({user for user, names in importers if any(f"{n}.".startswith(f"{name}.") for n in names)} - {name})


def utils_map() -> str:
    """The text of ``utils/README.md``."""
    notebooks = [p for p in sorted((ROOT / "chapters").glob("*/*.ipynb")) if ".ipynb_checkpoints" not in p.parts]
    chapters = [(p.name.split("_")[0], list(imported(code(p)))) for p in notebooks]
    sources = {}
    for path in sorted(UTILS.rglob("*.py"), key=lambda p: (len(p.parts), p)):
        name = ".".join(path.relative_to(UTILS).with_suffix("").parts).removesuffix(".__init__")
        source = path.read_text(encoding="utf-8")
        if len(ast.parse(source).body) > 1 and not name.startswith("exercises.") and name != "__init__":
            sources[name] = source
    modules = [(name, list(imported(source))) for name, source in sources.items()]
    rows = []
    for name, source in sources.items():
        what = ast.get_docstring(ast.parse(source)).split("\n\n")[0].replace("\n", " ")
        what = re.sub(r":\w+:`|``", "`", re.sub(r" \((chapters?|part|notebook) [^()]*\)", "", what))
        in_chapters, in_modules = users(name, chapters), users(name, modules)
        many = f"{len(in_chapters)} chapters" if len(in_chapters) > 12 else ", ".join(in_chapters)
        place = name.replace(".", "/") + ("" if (UTILS / name.replace(".", "/")).is_dir() else ".py")
        rows.append(f"| [`{name}`]({place}) | {what} | {many} | {', '.join(f'`{u}`' for u in in_modules)} |\n")
    return HEAD + "".join(rows) + TAIL


def write() -> None:
    """Write the map."""
    MAP.write_text(utils_map(), encoding="utf-8")


if __name__ == "__main__":
    write()
