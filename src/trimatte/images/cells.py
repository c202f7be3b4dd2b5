"""A band cut into cells that are computed one at a time and blended where they overlap."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from trimatte.images.arrays import bounding_box

T = TypeVar("T")
Floats = NDArray[np.float32]
Box = tuple[int, int, int, int]
"""Top, bottom, left and right, in pixels."""

OVERLAP = 32
"""Pixels over which neighbouring cells are blended."""


def cells(unknown: NDArray[np.bool_], window: int | None) -> Iterator[tuple[Box, Floats]]:
    """Boxes (top, bottom, left, right) about the unknown pixels of each cell, and the cell's share of each pixel there.

    Cells overlap; over all of them the shares of a pixel add up to one.
    """
    height, width = unknown.shape
    for top, bottom in _intervals(height, window):
        for left, right in _intervals(width, window):
            box = _bounds(unknown, _grown(top, bottom, height), _grown(left, right, width))
            if box is not None:
                rows = _share(box[0], box[1], top, bottom, height)
                columns = _share(box[2], box[3], left, right, width)
                yield box, rows[:, None] * columns


def _intervals(length: int, window: int | None) -> list[tuple[int, int]]:
    count = 1 if window is None else -(-length // window)
    edges = [round(i * length / count) for i in range(count + 1)]
    return list(pairwise(edges))


def _grown(start: int, stop: int, length: int) -> tuple[int, int]:
    return max(0, start - OVERLAP // 2), min(length, stop + OVERLAP // 2)


def _bounds(unknown: NDArray[np.bool_], rows: tuple[int, int], columns: tuple[int, int]) -> Box | None:
    """The smallest box that holds the unknown pixels of a part of the picture."""
    box = bounding_box(unknown[rows[0] : rows[1], columns[0] : columns[1]])
    if box is None:
        return None
    return rows[0] + box[0].start, rows[0] + box[0].stop, columns[0] + box[1].start, columns[0] + box[1].stop


def _share(first: int, last: int, start: int, stop: int, length: int) -> Floats:
    """A cell's weight at positions first to last: 1 inside, falling to 0 over the overlap with its neighbours."""
    centre = np.arange(first, last) + 0.5
    rise = (centre - (start - OVERLAP / 2)) / OVERLAP if start > 0 else np.ones_like(centre)
    fall = ((stop + OVERLAP / 2) - centre) / OVERLAP if stop < length else np.ones_like(centre)
    return np.clip(np.minimum(rise, fall), 0, 1).astype(np.float32)


def with_less_memory(compute: Callable[[int], T], window: int, *, least: int, notes: list[str]) -> T:
    """What `compute(window)` returns, with the window halved for as long as it runs out of memory.

    `notes` says so. Raises `MemoryError` if half of the window would be less than `least`.
    """
    while True:
        try:
            return compute(window)
        except MemoryError:
            if window // 2 < least:
                raise
            window //= 2
            note = f"out of memory: windows of {window} pixels instead"
            notes[:] = [*(each for each in notes if not each.startswith("out of memory")), note]
