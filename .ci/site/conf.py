"""Settings of Sphinx for the site of the book; ``build.py`` beside this file lays out the pages and runs it."""

import os
import re
import sys
from functools import cached_property
from pathlib import Path

from docutils import nodes
from sphinx import addnodes
from sphinx.transforms import SphinxTransform

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
from build import MENTION, NUMBER, ROOT, chapters, citations  # noqa: E402

README = (ROOT / "README.md").read_text(encoding="utf-8")
REPOSITORY = os.environ.get("GITHUB_REPOSITORY") or re.search(r"mybinder\.org/v2/gh/([\w.-]+/[\w.-]+)/", README).group(
    1
)

CITED = {chapter.name.removesuffix(".ipynb"): citations(chapter) for chapter in chapters()}

project = "Recurrent Neural Networks in PyTorch"
nb_render_markdown_format = "myst"  # tables and links of 6.1, which its code makes
html_title = project
copyright = "MIT licence"
extensions = ["myst_nb", "sphinx.ext.mathjax"]

nb_execution_mode = "off"
myst_enable_extensions = ["dollarmath", "amsmath"]
myst_heading_anchors = 3
myst_heading_slug_func = "build.slug"
mathjax_path = "mathjax/tex-chtml.js"  # copied by build.py

html_theme = "sphinx_book_theme"
html_static_path = [str(HERE / "style.css")]
html_css_files = ["style.css"]
html_favicon = str(HERE / "icon.svg")
html_context = {"default_mode": "auto"}  # light or dark, as the reader's system is
html_theme_options = {
    "repository_url": f"https://github.com/{REPOSITORY}",
    "repository_branch": "main",
    "use_repository_button": True,
    "use_download_button": True,
    "launch_buttons": {"binderhub_url": "https://mybinder.org", "notebook_interface": "jupyterlab"},
    "show_toc_level": 2,
}


class Links(SphinxTransform):
    """Puts links into the prose: a subclass says where, and whereto."""

    default_priority = 700
    outside = (nodes.reference, addnodes.pending_xref, nodes.title, nodes.literal_block)

    def apply(self) -> None:
        for text in list(self.document.findall(nodes.Text)):
            if not any(isinstance(parent, self.outside) or self.skips(parent) for parent in ancestors(text)):
                pieces, done, whole = [], 0, text.astext()
                for start, end, link in self.links(whole):
                    pieces += [nodes.Text(whole[done:start]), link]
                    done = end
                if pieces:
                    text.parent.replace(text, [*pieces, nodes.Text(whole[done:])])

    def skips(self, parent: nodes.Node) -> bool:
        """Whether nothing below this node becomes a link."""
        return False

    def links(self, text: str):
        """Beginning and end of each place that becomes a link, in their order, and the link."""
        raise NotImplementedError


class ChapterLinks(Links):
    """Make every "chapter 3.4" or "notebooks 3.1 and 3.2" of the prose a link, where that chapter exists."""

    @cached_property
    def pages(self) -> dict[str, str]:
        return {Path(name).name.split("_")[0]: name for name in self.env.found_docs if "solutions" not in name}

    def links(self, text: str):
        for mention in MENTION.finditer(text):
            for found in re.finditer(rf"(?<![\w.]){NUMBER}", mention.group()):
                page = self.pages.get(found.group(), self.env.docname)
                if page != self.env.docname:
                    target = {"refdomain": "std", "reftype": "doc", "refexplicit": True, "refwarn": True}
                    link = addnodes.pending_xref("", refdoc=self.env.docname, reftarget="/" + page, **target)
                    link += nodes.inline("", found.group())
                    yield mention.start() + found.start(), mention.start() + found.end(), link


class CitationLinks(Links):
    """Make every "Luong et al. (2015)" of a chapter a link to the work in the bibliography."""

    def skips(self, parent: nodes.Node) -> bool:  # the chapter's own list
        return "References" in parent.get("names", []) + parent.get("ids", [])

    def links(self, text: str):
        works = CITED.get(self.env.docname, {})
        for found in re.finditer("|".join(works) or "(?!)", text):
            place = next(place for pattern, place in works.items() if re.fullmatch(pattern, found.group()))
            uri = "../" * self.env.docname.count("/") + f"bibliography.html#{place}"
            yield found.start(), found.end(), nodes.reference("", found.group(), internal=True, refuri=uri)


class EquationsAsTheyAre(SphinxTransform):
    """Hand equations to MathJax as in JupyterLab; Sphinx would wrap long ones in ``split``, which forbids numbers."""

    default_priority = 700

    def apply(self) -> None:
        for node in self.document.findall(nodes.math_block):
            equation = rf"\[{node.astext()}\]"
            node.clear()
            node += nodes.Text(equation)
            node["no-wrap"] = True


def ancestors(node: nodes.Node):
    while node.parent is not None:
        node = node.parent
        yield node


def setup(app) -> None:
    app.add_transform(ChapterLinks)
    app.add_transform(CitationLinks)
    app.add_transform(EquationsAsTheyAre)
