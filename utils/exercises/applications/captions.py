"""Checks of the exercises of chapter 5.8, image captioning."""

import torch

from utils.exercises import Wrong, exercise, expect_callable, expect_number, expect_tensor, matches


def _truth(found: object, expected: bool, case: str) -> None:
    if not isinstance(found, bool | torch.Tensor) or (isinstance(found, torch.Tensor) and found.numel() != 1):
        raise Wrong(f"{case}: expected True or False, found {type(found).__name__}.")
    if bool(found) != expected:
        raise Wrong(f"{case}: {bool(found)} is not right.")


@exercise("5.8.1")
def points_at(answer) -> None:
    """Whether the cell of the largest weight has its centre in a box."""
    expect_callable(answer, 2)
    for cell, corner, expected, what in [
        (0, (0, 0), True, "the first cell and a box that begins with it"),
        (9, (0, 0), True, "a cell in the second row and column"),
        (2, (0, 0), False, "a cell to the right of the box"),
        (16, (0, 0), False, "a cell below the box"),
        (35, (14, 10), True, "a cell in the middle of the canvas"),
        (35, (10, 14), False, "rows come before columns"),
        (63, (24, 24), True, "the last cell"),
        (27, (14, 14), True, "a centre on the first row and column of the box is inside"),
        (27, (6, 6), False, "a centre just behind the last row and column is outside"),
    ]:
        weights = torch.full((64,), 0.01)
        weights[cell] = 0.37
        _truth(answer(weights, torch.tensor(corner)), expected, f"Cell {cell}, box at {corner} ({what})")


@exercise("5.8.2")
def stands_above(answer) -> None:
    """Whether all boxes of one group end before any of the other begins."""
    expect_callable(answer, 2)
    for a, b, expected, what in [
        ([[0, 0]], [[8, 0]], True, "one box ends where the other begins"),
        ([[0, 0]], [[7, 0]], False, "one row too few between them"),
        ([[0, 0]], [[0, 20]], False, "side by side"),
        ([[20, 0]], [[2, 0]], False, "the other way round"),
        ([[0, 0], [11, 20]], [[20, 3]], True, "two boxes above one"),
        ([[0, 0], [11, 20]], [[12, 3], [20, 9]], False, "only one of the two is above both"),
        ([[1, 0]], [[23, 5], [8, 20]], False, "it reaches into one of the two below"),
        ([[1, 0]], [[23, 5], [9, 20]], True, "one box above two"),
    ]:
        _truth(answer(torch.tensor(a), torch.tensor(b)), expected, f"Groups at {a} and {b} ({what})")


@exercise("5.8.3")
def chance_level(answer) -> None:
    """Share of the 64 cells whose centre lies in at least one of the boxes."""
    expect_callable(answer, 2)
    centre = 4 * torch.arange(8) + 2
    for corners, size in [
        ([[0, 0]], 8), ([[1, 3]], 5), ([[12, 10], [0, 24]], 7), ([[2, 2], [22, 1], [11, 20]], 3),
        ([[24, 24], [3, 13]], 8), ([[4, 4], [7, 9]], 11),
    ]:  # fmt: skip
        boxes = torch.tensor(corners)
        inside = (centre >= boxes[:, :, None]) & (centre < boxes[:, :, None] + size)  # (n, 2, 8)
        cells = inside[:, 0, :, None] & inside[:, 1, None, :]  # (n, 8, 8)
        expected, case = float(cells.any(dim=0).float().mean()), f"{len(corners)} box(es) of size {size} at {corners}"
        found = answer(boxes.clone(), size)
        hints = {
            "that is the share of the pixels; a gaze chooses among cells": len(corners) * size**2 / 1024,
            "a cell that lies in two boxes is one cell": float(cells.sum()) / 64,
        }
        for hint, value in hints.items():
            if isinstance(found, float) and abs(found - value) < 1e-9 < abs(value - expected):
                raise Wrong(f"{case}: {hint}.")
        expect_number(found, expected, case)


@exercise("5.8.4")
def coverage_penalty(answer) -> None:
    """Second penalty of Xu et al. (2015), with captions of unequal lengths."""
    expect_callable(answer, 2)
    generator = torch.Generator().manual_seed(584)
    for lengths in ([4, 4], [5, 2, 3], [1]):
        weights = torch.randn(len(lengths), max(lengths), 6, generator=generator).softmax(dim=2)
        real = torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]
        expected = (1 - (weights * real[:, :, None]).sum(dim=1)).square().sum(dim=1).mean()
        case = f"Captions of {lengths} words and 6 cells"
        given = weights.clone()
        found = answer(given, torch.tensor(lengths))
        if not given.equal(weights):
            raise Wrong(f"{case}: your function changed its input. Work on a copy.")
        if len(set(lengths)) > 1 and matches(found, (1 - weights.sum(dim=1)).square().sum(dim=1).mean()):
            raise Wrong(f"{case}: behind the end of a caption nothing is seen. Your sum counts the padding.")
        if matches(found, expected * len(lengths)) and len(lengths) > 1:
            raise Wrong(f"{case}: that is the sum over the batch; the mean is wanted.")
        expect_tensor(found, expected, case)
