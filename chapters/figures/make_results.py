"""Put three pictures of the book together: ``python chapters/figures/make_results.py`` writes ``results.png``.

They are taken from the notebooks as these are stored, so this comes after `make book` has drawn them anew.
"""

import base64
import io
from pathlib import Path

import nbformat
from PIL import Image

HERE = Path(__file__).resolve().parent
GAP = 30  # pixels
SHOWN = {  # notebook: something that only the cell of the picture says
    "5_applications/5.3_machine_translation.ipynb": "plots.lines(BOUNDS, curve",
    "5_applications/5.7_speech_recognition.ipynb": 'xlabel="step (40 ms each)"',
    "5_applications/5.8_image_captioning.ipynb": "weights = gaze(model",
}


def stored_picture(notebook: Path, code: str) -> Image.Image:
    """The picture below the one cell of a notebook that holds this piece of code."""
    cells = [c for c in nbformat.read(notebook, as_version=4).cells if c.cell_type == "code" and code in c.source]
    found = [o.data["image/png"] for c in cells for o in c.outputs if "image/png" in o.get("data", {})]
    if len(found) != 1:
        raise ValueError(f"{notebook.name}: {len(found)} pictures below cells with {code!r}, 1 is needed")
    return Image.open(io.BytesIO(base64.b64decode(found[0]))).convert("RGB")


def draw() -> Image.Image:
    """The pictures as large as they are: two in a row, and the third below them."""
    left, right, below = (stored_picture(HERE.parent / name, code) for name, code in SHOWN.items())
    width, top = left.width + right.width + 3 * GAP, max(left.height, right.height) + 2 * GAP
    page = Image.new("RGB", (width, top + below.height + GAP), "white")
    page.paste(left, (GAP, GAP))
    page.paste(right, (left.width + 2 * GAP, GAP))
    page.paste(below, ((width - below.width) // 2, top))
    return page


if __name__ == "__main__":
    draw().save(HERE / "results.png", optimize=True)
