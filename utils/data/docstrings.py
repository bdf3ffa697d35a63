"""Texts with a summary that their author wrote: the docstrings of installed packages (chapter 5.2).

By the rule of PEP 257 a docstring begins with a summary in one sentence. That sentence is what has to be written; what
can be read is the rest, and what the code says of the object: its kind, its name, its arguments. The source files are
parsed and never run.
"""

import ast
import contextlib
import gc
import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from utils.data.files import DataError

PACKAGES = ("numpy", "matplotlib", "torch")
TEXT, SUMMARY = (10, 400), (4, 30)  # fewest and most words of each
ALIKE = 0.4  # texts that share this part of their runs of three words belong to one family


@dataclass(frozen=True)
class Docstring:
    """One docstring: ``kind`` (module, class, function, method, property) and ``name`` of its object, and two texts."""

    kind: str
    name: str
    arguments: tuple[str, ...]
    text: str
    summary: str

    @property
    def source(self) -> str:
        """What a summariser may read: kind, name (``BatchNorm`` also in pieces), arguments, text."""
        last = self.name.rpartition(".")[2]
        pieces = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", last)
        return f"{self.kind} {self.name} {pieces if pieces != last else ''} ({' '.join(self.arguments)}): {self.text}"


# ---------------------------------------------------------------- harvest


def harvest(packages: Sequence[str] = PACKAGES) -> list[Docstring]:
    """The docstrings of these packages that have a summary and more, each summary once, in the order of the files.

    Raises:
        DataError: a package is not installed.
    """
    found: dict[str, Docstring] = {}
    with contextlib.ExitStack() as after:
        after.callback(gc.enable if gc.isenabled() else gc.disable)
        gc.disable()  # syntax trees are millions of objects; to search them for cycles takes as long as parsing
        for package in packages:
            spec = find_spec(package)
            if spec is None or not spec.submodule_search_locations:
                raise DataError(f"there is no package {package!r} to read docstrings from; install it, or leave it out")
            folder = Path(spec.submodule_search_locations[0])
            for path in sorted(folder.rglob("*.py")):
                parts = path.relative_to(folder.parent).with_suffix("").parts
                module = ".".join(part for part in parts if part != "__init__")
                with contextlib.suppress(SyntaxError):  # a template, or a file for another Python
                    if not any(part.startswith("test") for part in parts[1:]):
                        for item in _docstrings(ast.parse(path.read_bytes()), "module", module):
                            found.setdefault(" ".join(words(item.summary)), item)
    return list(found.values())


def _docstrings(node: ast.AST, kind: str, name: str) -> Iterator[Docstring]:
    """The docstring of a module, class or function, and of those within it."""
    summary, text = split(ast.get_docstring(node) or "")
    if TEXT[0] <= len(words(text)) <= TEXT[1] and SUMMARY[0] <= len(words(summary)) <= SUMMARY[1]:
        own = getattr(node, "args", ast.arguments([], [], None, [], [], None, []))
        names = [a.arg for a in (*own.posonlyargs, *own.args, *own.kwonlyargs)]
        yield Docstring(kind, name, tuple(a for a in names if a not in ("self", "cls")), text, summary)
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.ClassDef):
            yield from _docstrings(child, "class", f"{name}.{child.name}")
        elif isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            marks = {ast.unparse(mark).rpartition(".")[2] for mark in child.decorator_list}
            inner = "property" if "property" in marks else "method" if kind == "class" else "function"
            yield from _docstrings(child, inner, f"{name}.{child.name}")


def split(docstring: str) -> tuple[str, str]:
    """First sentence and rest, each on one line, without markup, underlining and examples."""
    text = re.sub(r"^\s*(>>>|\.\.\.|\.\. ).*$|^\s*[-=~*^]{3,}\s*$", "", docstring, flags=re.MULTILINE)
    text = re.sub(r":[\w:]+:`~?([^`<]*)[^`]*`", r"`\1`", text).replace("`", "").replace("*", "")
    text = re.sub(r"\A\s*[\w.]+\(.*?\)(\s*->.*)?\s*(\n|\Z)", "", text)  # a signature as the first line
    first, _, rest = text.strip().partition("\n\n")
    summary, more = first_sentence(" ".join(first.split()))
    return summary, " ".join(f"{more} {rest}".split())


def first_sentence(text: str) -> tuple[str, str]:
    """What stands up to the first full stop (not that of e.g. or i.e.), and what stands behind."""
    end = re.search(r"(?<!e\.g)(?<!i\.e)\.(?=\s|$)", text)
    return (text[: end.end()], text[end.end() :].strip()) if end else (text, "")


def words(text: str) -> list[str]:
    """Lower-case words and single signs; ``array_split`` is three of them, as for ROUGE, which drops the signs."""
    return re.findall(r"[a-z0-9]+|[^\sa-z0-9]", text.lower())


def join(tokens: Sequence[str]) -> str:
    """Words as text again, with the usual spaces (not always those of the original)."""
    text = re.sub(r" ([.,;:!?)\]}%])", r"\1", " ".join(tokens))
    return re.sub(r"([(\[{]) | ?([_'/\-]) ?", r"\1\2", text)


# ---------------------------------------------------------------- families and parts


def families(texts: Sequence[str], alike: float = ALIKE) -> list[int]:
    """The number of its family for each text: near-duplicates, and near-duplicates of those, are one family.

    Likeness is the resemblance of Broder (1997): runs of three words that both texts have, as a share of those that
    at least one has.
    """
    import numpy as np
    from scipy.sparse.csgraph import connected_components
    from sklearn.feature_extraction.text import CountVectorizer

    runs = CountVectorizer(analyzer=lambda t: {*zip(w := words(t), w[1:], w[2:], strict=False)}, binary=True)
    has = runs.fit_transform(texts).astype(np.float32)  # (N, runs)
    size, both = np.asarray(has.sum(axis=1)).ravel(), (has @ has.T).tocoo()
    both.data *= both.data >= alike * (size[both.row] + size[both.col] - both.data)
    both.eliminate_zeros()
    return connected_components(both, directed=False)[1].tolist()


def deal(items: Sequence[Any], names: Sequence[str], family: Sequence[int]) -> dict[str, list]:
    """Train, validation and test (85, 5 and 10 %): whole families, by a hash of the first name of each."""
    first = {number: name for name, number in sorted(zip(names, family, strict=True), reverse=True)}
    parts: dict[str, list] = {"train": [], "validation": [], "test": []}
    for item, number in zip(items, family, strict=True):
        place = hashlib.sha256(first[number].encode()).digest()[0] / 256
        parts["test" if place < 0.1 else "validation" if place < 0.15 else "train"].append(item)
    return parts


def load_docstrings(packages: Sequence[str] = PACKAGES) -> dict[str, list[Docstring]]:
    """The docstrings of ``train``, ``validation`` and ``test``; near-duplicates are in one part."""
    items = harvest(packages)
    return deal(items, [item.name for item in items], families([item.text for item in items]))
