"""The unknown band as a compact set of variables.

Pixels are numbered strip by strip: the picture is cut into horizontal strips of at least two rows, first come all
even strips, then all odd ones, each in raster order. Within the reach of a 5x5 stencil an even strip touches odd
ones only, so that a Gauss-Seidel sweep in this order can run over all strips of one parity in parallel and still be
exact: the same bits for any number of threads.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from trimatte.runtime.jit import njit, side_by_side

STRIP_PIXELS = 4096
"""Unknown pixels that a strip has at least (but for the last)."""


class Band(NamedTuple):
    """The unknown pixels of a picture of `shape`, numbered.

    Attributes
    ----------
    shape : (int, int)
        Height and width of the picture.
    index : (H, W) int32 array
        Number of each unknown pixel, -1 elsewhere.
    position : (n,) int32 array
        Raster position y * W + x of each.
    strips : (s + 1,) int64 array
        First number of each strip in processing order, even ones first.
    tails : (s,) int64 array
        First number in the last two rows of each strip, all that the next strip touches.
    even : int
        How many of the strips are even.
    row_first, row_count : (H,) int64 array
        Number of each row's first unknown pixel, and how many it has.
    """

    shape: tuple[int, int]
    index: np.ndarray  # type: ignore[assignment]  # a tuple's method of that name is not wanted
    position: np.ndarray
    strips: np.ndarray
    tails: np.ndarray
    even: int
    row_first: np.ndarray
    row_count: np.ndarray

    @property
    def size(self) -> int:
        """Number of unknown pixels."""
        return len(self.position)

    @property
    def evens(self) -> range:
        """The even strips."""
        return range(self.even)

    @property
    def odds(self) -> range:
        """The odd strips."""
        return range(self.even, len(self.tails))

    @property
    def whole(self) -> tuple[np.ndarray, np.ndarray]:
        """Where each strip begins and ends."""
        return self.strips[:-1], self.strips[1:]

    @property
    def body(self) -> tuple[np.ndarray, np.ndarray]:
        """Where the pixels of each strip begin and end that do not touch the next one."""
        return self.strips[:-1], self.tails

    @property
    def tail(self) -> tuple[np.ndarray, np.ndarray]:
        """Where those begin and end that may."""
        return self.tails, self.strips[1:]

    @property
    def half(self) -> int:
        """Number of the first unknown pixel in an odd strip."""
        return int(self.strips[self.even])


def number_band(unknown: np.ndarray) -> Band:
    """Number the pixels set in `unknown` (H, W) bool."""
    height, width = unknown.shape
    counts = np.count_nonzero(unknown, axis=1).astype(np.int64)
    tops = _strip_tops(counts)
    sizes = np.add.reduceat(counts, tops)
    order = np.concatenate([np.arange(0, len(tops), 2), np.arange(1, len(tops), 2)])
    strips = np.concatenate([[0], np.cumsum(sizes[order])]).astype(np.int64)
    first = np.empty(len(tops), np.int64)
    first[order] = strips[:-1]
    row_first = np.empty(height, np.int64)
    for top, bottom, start in zip(tops, [*tops[1:], height], first, strict=True):
        row_first[top:bottom] = start + np.cumsum(counts[top:bottom]) - counts[top:bottom]
    bottoms = np.append(tops[1:], height)
    tails = row_first[np.maximum(bottoms - 2, tops)][order]
    index = np.empty((height, width), np.int32)
    position = np.empty(int(counts.sum()), np.int32)
    side_by_side(_number, height, unknown, row_first, index, position)
    return Band((height, width), index, position, strips, tails, (len(tops) + 1) // 2, row_first, counts)


def _strip_tops(counts: np.ndarray) -> np.ndarray:
    """First rows of the strips: at least two rows and `STRIP_PIXELS` unknown pixels each."""
    tops, filled = [0], 0
    for y, count in enumerate(counts):
        if filled >= STRIP_PIXELS and y - tops[-1] >= 2 and len(counts) - y >= 2:
            tops.append(y)
            filled = 0
        filled += count
    return np.array(tops)


@njit()
def _number(
    first: int, last: int, unknown: np.ndarray, row_first: np.ndarray, index: np.ndarray, position: np.ndarray
) -> None:
    width = unknown.shape[1]
    for y in range(first, last):
        i = row_first[y]
        for x in range(width):
            if unknown[y, x]:
                index[y, x] = i
                position[i] = y * width + x
                i += 1
            else:
                index[y, x] = -1
