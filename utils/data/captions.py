"""Scenes of handwritten digits with all that can truly be said of them, and folders of captioned images (chapter 5.8).

A scene shows two to four digits on a canvas. The digits of one kind are a *group*, and each group has a quarter of the
canvas for itself. A caption says where a group is, how many of what it is, and how it stands to another group:
"top left two eights above a one". Since the boxes of the digits are known, so are all valid captions.
"""

import itertools
import random
from dataclasses import astuple, dataclass
from functools import cache
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from utils.data.batches import BucketSampler, torch_shuffled
from utils.data.files import DataError
from utils.data.translation import END, PAD, START, Words, one_step_apart, read_pairs
from utils.decoding import beam_search

BOX, CELL, GRID, SIZE = 8, 10, 4, 40  # pixels of a digit; pixels of a cell, in which it lies; cells, pixels in a row
SINGULAR = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
PLURAL = tuple(word + ("es" if word == "six" else "s") for word in SINGULAR)
RELATIONS, PLACES = ("above", "below", "left of", "right of"), ("top", "bottom", "left", "right")
PATTERNS = torch.tensor([[0, 1, -1, -1], [0, 0, 1, -1], [0, 0, 1, 1], [0, 1, 2, -1], [0, 0, 1, 2], [0, 1, 2, 3]])
WRITERS = {"train": (0, 9), "validation": (9, 11), "test": (11, 13)}  # of the 13 people, in the order of the data
Digits = tuple[Tensor, Tensor]  # images (n, 8, 8) from 0 to 1, classes (n,)


# ---------------------------------------------------------------- digits


@cache
def digit_images(part: str) -> Digits:
    """The digits that the writers of ``part`` wrote.

    Everybody filled in the same form, which starts with 0 to 9 three times: there a new writer begins.
    """
    from sklearn.datasets import load_digits

    images, classes = (torch.from_numpy(values) for values in load_digits(return_X_y=True))  # (1797, 64), (1797,)
    starts = (classes.unfold(0, 30, 1) == torch.arange(10).repeat(3)).float().mean(dim=1) > 0.9
    first, last = ([*starts.nonzero().flatten().tolist(), len(classes)][i] for i in WRITERS[part])
    return images[first:last].float().view(-1, BOX, BOX) / 16, classes[first:last]


# ---------------------------------------------------------------- scenes


def held_out() -> Tensor:
    """(4, 10, 10) what no training scene shows: d above d + 4 and d left of d + 3 (modulo 10), and the converse."""
    d, table = torch.arange(10), torch.zeros(4, 10, 10, dtype=torch.bool)
    for relation, a, b in ((0, d, d + 4), (1, d + 4, d), (2, d, d + 3), (3, d + 3, d)):
        table[relation, a % 10, b % 10] = True
    return table


@dataclass(frozen=True)
class Scenes:
    """N pictures, and what is on them.

    Attributes:
        images: (N, 1, 40, 40), 0 is paper, 1 is ink.
        digits: (N, 4) from 0 to 9, and -1 where a scene has fewer than four.
        corners: (N, 4, 2) row and column of the first pixel of each digit's box of 8 x 8.
    """

    images: Tensor
    digits: Tensor
    corners: Tensor

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, rows: Tensor | slice) -> "Scenes":
        return Scenes(self.images[rows], self.digits[rows], self.corners[rows])

    def cells(self) -> Tensor:
        """(N, 4, 4): the digit in each cell of 10 x 10 pixels, -1 where there is none."""
        at = self.corners // CELL @ torch.tensor([GRID, 1])  # (N, 4)
        grid = torch.full((len(self), GRID**2 + 1), -1)  # in the last column what is not shown
        return grid.scatter(1, at.where(self.digits >= 0, GRID**2), self.digits)[:, :-1].view(-1, GRID, GRID)

    def facts(self) -> tuple[Tensor, Tensor, Tensor]:
        """How many of each digit (N, 10); relations (N, 4, 10, 10) that hold; row and column (N, 10, 2) of each group.

        A group is above another if all its boxes end before the first box of the other begins.
        """
        here = (self.digits.unsqueeze(2) == torch.arange(10)).unsqueeze(3)  # (N, 4, 10, 1)
        first = torch.where(here, self.corners.unsqueeze(2), SIZE).amin(dim=1)  # (N, 10, 2)
        end = torch.where(here, self.corners.unsqueeze(2), -BOX).amax(dim=1) + BOX  # (N, 10, 2)
        count = here.sum(dim=(1, 3))
        before = (end.unsqueeze(2) <= first.unsqueeze(1)) & (count.unsqueeze(2) * count.unsqueeze(1) > 0).unsqueeze(3)
        relations = torch.stack([b for ab in before.unbind(dim=3) for b in (ab, ab.transpose(1, 2))], dim=1)
        return count, relations, first

    def captions(self) -> list[list[str]]:
        """All valid captions of every scene: where one group is, what it is, and how it stands to another."""
        count, relations, first = self.facts()
        n, half = count.tolist(), (first >= SIZE // 2).int().tolist()  # (N, 10, 2): each group has its own quarter
        found: list[list[str]] = [[] for _ in range(len(self))]
        for i, r, a, b in relations.nonzero().tolist():
            place = f"{PLACES[half[i][a][0]]} {PLACES[2 + half[i][a][1]]}"
            found[i].append(f"{place} {_group(n[i][a], a)} {RELATIONS[r]} {_group(n[i][b], b)}")
        return found


def _group(n: int, digit: int) -> str:
    return f"two {PLURAL[digit]}" if n == 2 else f"{'an' if digit == 8 else 'a'} {SINGULAR[digit]}"


def make_scenes(digits: Digits, n: int, *, unseen: bool = False) -> Scenes:
    """Draw n scenes of these digits, with torch's global random numbers.

    Args:
        unseen: whether every scene shows a combination of :func:`held_out`; else none does.
    """
    parts, missing = [], n
    while missing > 0:
        scenes = _draw(digits, min(3 * missing, 4000) + 60)
        fit = (scenes.facts()[1] & held_out()).flatten(1).any(dim=1) == unseen
        parts.append(scenes[fit.nonzero().flatten()[:missing]])
        missing -= len(parts[-1])
    return Scenes(*(torch.cat(tensors) for tensors in zip(*map(astuple, parts), strict=True)))


def _draw(pool: Digits, n: int) -> Scenes:
    """n scenes of whatever kind: a pattern, a digit and a quarter of the canvas per group, a cell for each digit."""
    pattern = PATTERNS[torch.randint(len(PATTERNS), (n,))]  # (n, 4) which group
    group = pattern.clamp(min=0)
    digits = torch.rand(n, 10).argsort(dim=1).gather(1, group)  # different for different groups
    quarter = torch.rand(n, 4).argsort(dim=1).gather(1, group)  # too
    inner = (torch.rand(n, 4).argsort(dim=1)[:, :1] + torch.randint(1, 4, (n, 1)) * torch.tensor([0, 1, 0, 1])) % 4
    cells = torch.stack([quarter // 2 * 2 + inner // 2, quarter % 2 * 2 + inner % 2], dim=2)  # (n, 4, 2)
    return _paint(pool, digits.where(pattern >= 0, -1), cells)


def make_sheets(digits: Digits, n: int) -> Scenes:
    """n sheets to learn reading from: any digit or none in each of the 16 cells, on some sheets more than on others."""
    classes = torch.randint(10, (n, GRID**2)).where(torch.rand(n, GRID**2) < torch.rand(n, 1), -1)
    return _paint(digits, classes, torch.cartesian_prod(torch.arange(GRID), torch.arange(GRID)).expand(n, -1, -1))


def _paint(pool: Digits, digits: Tensor, cells: Tensor) -> Scenes:
    """Lay an image of each digit (n, k), none for -1, somewhere into its cell (n, k, 2) of the canvas."""
    (images, classes), n = pool, len(digits)
    corners = CELL * cells + torch.randint(CELL - BOX + 1, cells.shape)
    order, number = classes.argsort(), classes.bincount(minlength=10)
    nth = (torch.rand(digits.shape) * number[digits]).long()
    ink = images[order[(number.cumsum(0) - number)[digits] + nth]] * (digits >= 0)[:, :, None, None]  # (n, k, 8, 8)
    rows, columns = (corners[:, :, i, None] + torch.arange(BOX) for i in (0, 1))  # (n, k, 8) each
    pixels = rows.unsqueeze(3) * SIZE + columns.unsqueeze(2)  # (n, k, 8, 8)
    canvas = torch.zeros(n, SIZE * SIZE).scatter_add_(1, pixels.flatten(1), ink.flatten(1))
    return Scenes(canvas.view(n, 1, SIZE, SIZE), digits, corners)


# ---------------------------------------------------------------- words and batches


SCENE_WORDS = Words(["a an two", *SINGULAR, *PLURAL, *RELATIONS, *PLACES])


def caption_batches(inputs: Tensor, captions: list[list[str]], words: Words, size: int, most: int = 5) -> DataLoader:
    """Batches of ``size`` images with k captions each: x, rows of ``inputs`` (N, …); y_in and y_out (B, k, T).

    Of each image at most ``most`` captions, drawn once from Python's random numbers, take part. ``y_in`` begins with
    ``<start>``, ``y_out`` ends with ``<end>``; behind it stands ``<pad>``, which a loss leaves out. Images with as
    many captions of similar lengths come together; where one of a batch has fewer than k, only ``<pad>`` is to be said.
    """
    said = [[words.encode(c) for c in random.sample(cs, min(most, len(cs)))] for cs in captions]

    def collate(rows: list[int]) -> tuple[Tensor, Tensor, Tensor]:
        k, none = max(len(said[i]) for i in rows), words.encode("")
        y_in, y_out = one_step_apart([y for i in rows for y in said[i] + [none] * (k - len(said[i]))])  # (B k, T)
        return inputs[rows], *(y.view(len(rows), k, -1) for y in (y_in, y_out.where(y_in[:, 1:2] != PAD, PAD)))

    sampler = BucketSampler([1000 * len(ys) + max(map(len, ys)) for ys in said], size, shuffled=torch_shuffled)
    return DataLoader(range(len(said)), batch_sampler=sampler, collate_fn=collate)


@torch.inference_mode()
def describe(model: nn.Module, images: Tensor, words: Words, *, width: int = 1, max_length: int = 20) -> list[str]:
    """A caption per image: the best of a beam, which is greedy if its ``width`` is 1."""
    device, found = next(model.parameters()).device, []
    for x in images.split(256):
        state, limits = model.start(x.to(device)), {"end": END, "max_length": max_length}
        beams = beam_search(model.step, state, len(x), start=START, width=width, **limits)
        found += [words.decode(best[0].tokens) for best in beams]
    return found


def caption_scores(written: list[str], valid: list[list[str]]) -> dict[str, float]:
    """In percent: how many captions are among the valid ones of their image, and BLEU-4 (sacrebleu) against all."""
    from sacrebleu import corpus_bleu

    share = sum(text in captions for text, captions in zip(written, valid, strict=True)) / len(written)
    # sacrebleu wants the first references of all images, then the second ones, …
    return {"valid": 100 * share, "bleu": corpus_bleu(written, [*itertools.zip_longest(*valid)], force=True).score}


# ---------------------------------------------------------------- the reader's own images


def read_captions(path: str | Path, size: int = 64) -> tuple[Tensor, list[list[str]]]:
    """A file of lines ``image<TAB>caption`` with the images beside it (``captions.txt`` in a folder of images).

    An image may have several lines. Its middle square is scaled to ``size``; captions are put in lower case.

    Returns:
        images (N, 3, size, size) from 0 to 1 in the order of their first lines, and N lists of captions.

    Raises:
        DataError: no file, a line of another form (the message names it), an image that is missing or cannot be read.
    """
    from PIL import Image, ImageOps

    path, captions, images = Path(path), {}, []
    for name, caption in read_pairs(path):
        if name not in captions:
            try:
                with Image.open(path.parent / name) as image:
                    square = ImageOps.fit(image.convert("RGB"), (size, size))
            except FileNotFoundError:
                raise DataError(f"{path} names {name!r}, but there is no such image beside it") from None
            except Exception as error:  # what Pillow raises depends on the format and on the damage
                raise DataError(f"{path} names {name!r}, which cannot be read as an image ({error})") from None
            images.append(torch.frombuffer(bytearray(square.tobytes()), dtype=torch.uint8).view(size, size, 3))
        captions.setdefault(name, []).append(caption.lower())
    return torch.stack(images).permute(0, 3, 1, 2).float() / 255, list(captions.values())
