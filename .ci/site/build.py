"""Build the book as a web site from its executed notebooks: ``make site``.

    python .ci/site/build.py                 into .site/html; open .site/html/index.html
    python .ci/site/build.py --out FOLDER    into another folder

Nothing is executed and nothing is fetched. The notebooks and a few pages of Markdown are laid out in
``FOLDER/source`` as they lie in the repository, so that their links hold; the pages that can be derived from them
(home, exercises, prerequisites, bibliography, solutions) are written beside them, new at every build; then Sphinx
makes ``FOLDER/html`` of it, with warnings as errors. The settings are in ``conf.py`` next to this file.
"""

import argparse
import importlib.util
import json
import re
import shutil
import sys
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / ".ci"), str(Path(__file__).parent)]
import book  # noqa: E402
from graph import svg  # noqa: E402

MATHJAX = "sphinx-mathjax-offline"  # a package that ships MathJax: equations need no network
NUMBER = r"[1-8]\.\d(?![\d.]*\d)"
LISTED = rf"{NUMBER}(?: \([^()]*\)?)?"  # 3.4, or 3.4 (the LSTM); the bracket may be cut off where code begins
# a reference up to its journal, publisher or number in an archive; what follows says what it is cited for
WORK = re.compile(r".+?\d{4}[–\d]*\)[.,:]? (?:\*[^*]+\*\. [^.]+\.|.*?(?:\*[^*]+\*|arXiv:[\d.]+\d|thesis).*?\.(?=\s|$))")
MENTION = re.compile(rf"\b(?:[Cc]hapters?|[Nn]otebooks?)[ \n]{LISTED}(?:(?:[,;]|,? and|,? or| to)[ \n]{LISTED})*")


@dataclass(frozen=True)
class Chapter:
    """One chapter notebook, read for what the other pages say about it."""

    name: str  # below the root: chapters/3_math/3.4_lstm.ipynb
    number: str
    title: str  # without the number
    question: str
    needs: tuple[str, ...]  # numbers of the chapters of its line "You need"
    exercises: tuple[str, ...]  # headings without the word Exercise: "3.4.1 — Coupled gates (a few lines)"
    checked: frozenset[str]
    references: tuple[str, ...]

    @property
    def solution(self) -> str:
        return f"chapters/solutions/{Path(self.name).name}"


def numbers(text: str) -> list[str]:
    """The chapters a text mentions, in order: "notebooks 3.1 to 3.3 and 4.1" gives 3.1, 3.2, 3.3, 4.1."""
    found = []
    for mention in MENTION.finditer(text):
        listed = re.sub(r"\([^()]*\)?", "", mention.group())
        for first, last in re.findall(rf"({NUMBER})(?:\s+to ({NUMBER}))?", listed):
            found += [f"{first[0]}.{i}" for i in range(int(first[2]), int((last or first)[2]) + 1)]
    return list(dict.fromkeys(found))


def text_of(path: Path, kind: str) -> str:
    """All cells of a kind of a notebook, which the tests have found valid."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == kind)


def read(path: Path) -> Chapter:
    """What the head, the exercises and the references of a chapter notebook say."""
    prose, code = text_of(path, "markdown"), text_of(path, "code")
    number, title = re.match(r"# (\S+) (.+)", prose).groups()
    needs = re.search(r"^\*\*You need:\*\* (.+)", prose, re.MULTILINE).group(1)
    return Chapter(
        name=path.relative_to(ROOT).as_posix(),
        number=number,
        title=title.strip(),
        question=re.search(r"^\*\*Question:\*\* (.+)", prose, re.MULTILINE).group(1),
        needs=tuple(n for n in sorted(numbers(needs.split(". ")[0])) if n != number),
        exercises=tuple(re.findall(r"^### Exercise (.+?)\s*$", prose, re.MULTILINE)),
        checked=frozenset(re.findall(r"check\(\s*\"([\d.]+)\"", code)),
        references=tuple(re.findall(r"^[-*] (.+?)\s*$", prose.split("\n## References")[1], re.MULTILINE)),
    )


def chapters() -> list[Chapter]:
    """All chapters in the order of the book."""
    return [read(path) for path in book.all_notebooks() if path.parent.name != "solutions"]


# ---------------------------------------------------------------- pages derived from the notebooks


def toctree(names: list[str], caption: str = "") -> str:
    """A part of the navigation; it shows at the side, not in the text."""
    listed = "\n".join(f"/{name}" for name in names)
    title = f":caption: {caption}\n" if caption else ""
    return f"```{{toctree}}\n:hidden:\n{title}\n{listed}\n```\n"


def home(all_chapters: list[Chapter]) -> str:
    """The first page: what the book is, and every chapter with its question."""
    text = (Path(__file__).parent / "home.md").read_text(encoding="utf-8")
    about = ["chapters/README.md", "chapters/notation.md", "chapters/glossary.md", "prerequisites.md", "exercises.md"]
    navigation = toctree(about, "The book")
    for part, group in groupby(all_chapters, key=lambda c: c.number[0]):
        members = list(group)
        text += f"\n## {part} {book.PARTS[part]}\n\n"
        text += "".join(f"- [**{c.number} {c.title}**]({c.name})  \n  {c.question}\n" for c in members)
        navigation += toctree([c.name for c in members], book.PARTS[part])
    return text + "\n" + navigation + toctree(["solutions.md", "bibliography.md", "datasets/README.md"], "Reference")


def exercise_table(chapter: Chapter) -> str:
    """The exercises of one chapter: what to do, how large it is, whether a check tries the answer."""
    rows = ["| Exercise | Size | Check | Answer |", "|---|---|---|---|"]
    answers = solved(chapter)
    for heading in chapter.exercises:
        number, title, size = re.fullmatch(r"([\d.]+) — (.+?)(?: \(([^()]+)\))?", heading).groups()
        size = size or ("project" if "project" in title else "–")
        place = f"{chapter.name}#{slug('Exercise ' + heading)}"
        answer = f"{chapter.solution}#{slug(answers[number])}"
        rows.append(
            f"| [{number} {title}](<{place}>) | {size} | {'✓' if number in chapter.checked else ''} "
            f"| [answer](<{answer}>) |"
        )
    return "\n".join(rows) + "\n"


def solved(chapter: Chapter) -> dict[str, str]:
    """The headings of the solutions notebook by the number of the exercise."""
    headings = re.findall(r"^## (Exercise .+?)\s*$", text_of(ROOT / chapter.solution, "markdown"), re.MULTILINE)
    return {heading.split()[1]: heading for heading in headings}


def slug(heading: str) -> str:
    """The name of a heading in links, as JupyterLab makes it; conf.py tells Sphinx to do the same."""
    return re.sub(r"[`*]", "", heading).replace(" ", "-")


def exercises(all_chapters: list[Chapter]) -> str:
    """The page of all exercises."""
    total = sum(len(c.exercises) for c in all_chapters)
    checked = sum(len(c.checked) for c in all_chapters)
    text = (
        f"# Exercises\n\n{total} exercises, from one line to a project. ✓ marks the {checked} whose answer "
        "`check` tries on many cases: it says what is wrong, and never what the answer is.\n"
    )
    return text + "".join(f"\n## {c.number} {c.title}\n\n{exercise_table(c)}" for c in all_chapters)


def prerequisites(all_chapters: list[Chapter]) -> str:
    """Which chapter rests on which, as the lines "You need" say."""
    known = {c.number: c for c in all_chapters}
    needs = {c.number: [n for n in c.needs if n in known] for c in all_chapters}

    def linked(wanted: list[str]) -> str:
        return ", ".join(f"[{n}]({known[n].name})" for n in wanted) or "–"

    def way(number: str) -> set[str]:
        return set(needs[number]).union(*map(way, needs[number]))

    rows = ["| Chapter | Builds on | The whole way | Leads to |", "|---|---|---|---|"]
    for c in all_chapters:
        after = [other.number for other in all_chapters if c.number in other.needs]
        columns = linked(needs[c.number]), linked(sorted(way(c.number))), linked(after)
        rows.append(f"| [{c.number} {c.title}]({c.name}) | {' | '.join(columns)} |")
    direct = {c: [n for n in found if not any(n in way(other) for other in found)] for c, found in needs.items()}
    addresses = {c.number: Path(c.name).with_suffix(".html").as_posix() for c in all_chapters}
    graph = svg({c.number: c.title for c in all_chapters}, direct, addresses)
    text = "# What builds on what\n\nAn arrow leads from a chapter to each that builds on it directly.\n\n"
    text += f'```{{raw}} html\n<div class="graph">{graph}</div>\n```\n\n'
    text += "To start in the middle, read **the whole way** to your chapter first, in this order."
    return text + "\n\n" + "\n".join(rows) + "\n"


def work(entry: str) -> tuple[str, str]:
    """What makes a work the same in two chapters: its first author and the beginning of its title."""
    author = re.search(r"\w[\w’'-]*(?: den \w+)?", entry).group()
    title = re.search(r"\d{4}[–\d]*\)[.,:]? (.{1,40})", entry)
    return author, re.sub(r"\W", "", title.group(1) if title else entry).lower()[:24]


def place(entry: str) -> str:
    """The name of a work's place in the bibliography."""
    return "-".join(re.sub(r"[^a-z0-9]+", "", part.lower()) for part in work(entry))


def citations(chapter: Chapter) -> dict[str, str]:
    """For each work that a chapter refers to, how the prose names it (a pattern), and its place in the bibliography.

    "Luong, Pham & Manning (2015)", "(Luong et al. 2015)" and "Luong's 2015" all name the same.
    """
    found = {}
    for entry in chapter.references:
        if year := re.search(r"\((?:n\.d\.|(\d{4}))", entry).group(1):
            pattern = rf"\b{re.escape(work(entry)[0])}\b(?:[^().;\d]|et al\.){{0,70}}?(?:\({year}\)|\(?{year}\b)"
            found.setdefault(pattern, place(entry))
    return found


def bibliography(all_chapters: list[Chapter]) -> str:
    """Every work that a chapter refers to, once, with the chapters that do."""
    works: dict[tuple[str, str], list[tuple[str, Chapter]]] = {}
    for c in all_chapters:
        for entry in c.references:
            author, title = work(entry)
            works.setdefault((author.lower(), title), []).append((entry, c))
    text = (
        "# Bibliography\n\nThe works that the chapters refer to; what each is cited for stands at the chapter's end.\n"
    )
    letter = ""
    for key in sorted(works):
        if key[0][0].upper() != letter:
            letter = key[0][0].upper()
            text += f"\n## {letter}\n\n"
        entry = max(((WORK.match(entry) or [entry])[0] for entry, _ in works[key]), key=len)
        places = ", ".join(f"[{c.number}](<{c.name}#References>)" for _, c in works[key])
        text += f'- <span id="{place(works[key][0][0])}"></span>{entry} → {places}\n'
    return text


def solutions(all_chapters: list[Chapter]) -> str:
    """The page that leads to the worked answers."""
    text = "# Solutions\n\nEvery exercise solved, each answer accepted by its check. Try first: one learns by that.\n\n"
    text += "".join(f"- [{c.number} {c.title}]({c.solution})\n" for c in all_chapters)
    return text + "\n" + toctree([c.solution for c in all_chapters])


# ---------------------------------------------------------------- laying out and building


def stage(source: Path) -> list[Chapter]:
    """Lay out all pages below ``source``; return the chapters."""
    all_chapters = chapters()
    ignored = shutil.ignore_patterns(".ipynb_checkpoints", "index.ipynb", "*.py")
    shutil.copytree(ROOT / "chapters", source / "chapters", ignore=ignored)
    (source / "datasets").mkdir()
    for name in ("README.md", "manifest.json"):
        shutil.copy(ROOT / "datasets" / name, source / "datasets")
    for c in all_chapters:  # on the site, a reader at the exercises has no file browser beside them
        notebook = json.loads((source / c.name).read_text(encoding="utf-8"))
        link = f"## Exercises\n\n[Worked answers](../solutions/{Path(c.name).name})\n"
        for cell in notebook["cells"]:
            cell["source"] = re.sub(r"^## Exercises\s*$", link, "".join(cell["source"]), flags=re.MULTILINE)
        (source / c.name).write_text(json.dumps(notebook), encoding="utf-8")
    for page in (exercises, prerequisites, bibliography, solutions):
        (source / f"{page.__name__}.md").write_text(page(all_chapters), encoding="utf-8")
    (source / "index.md").write_text(home(all_chapters), encoding="utf-8")
    return all_chapters


def copy_mathjax(html: Path) -> None:
    """The one script and the fonts that the pages load, out of the package that ships MathJax."""
    package = Path(importlib.util.find_spec(MATHJAX).origin).parent / "static" / "mathjax"
    for name in ("tex-chtml.js", "output/chtml/fonts/woff-v2"):
        target = html / "_static" / "mathjax" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        (shutil.copytree if (package / name).is_dir() else shutil.copy)(package / name, target)


def main() -> int:
    parser = argparse.ArgumentParser(description="Build the book as a web site.")
    parser.add_argument(
        "--out", type=Path, default=ROOT / ".site", help="a folder of this script's own (default: .site)"
    )
    out = parser.parse_args().out.resolve()
    from sphinx.cmd.build import build_main

    for name in ("source", "html", "doctrees"):
        shutil.rmtree(out / name, ignore_errors=True)
    stage(out / "source")
    folders = [str(out / "source"), str(out / "html")]
    failed = build_main(
        ["-q", "-W", "--keep-going", "-c", str(Path(__file__).parent), "-d", str(out / "doctrees"), *folders]
    )
    if not failed:
        copy_mathjax(out / "html")
        print(f"The book is at {(out / 'html' / 'index.html').as_uri()}")
    return failed


if __name__ == "__main__":
    sys.exit(main())
