"""Connected regions of a mask as runs along its rows, and the greatest value about each pixel."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from trimatte.runtime.jit import njit, side_by_side

ROWS = 16
"""Rows that are filtered and turned at a time, so that a line of the memory is written at once."""


@dataclass(frozen=True)
class Regions:
    """The regions of a mask (H, W), connected by sides.

    Attributes
    ----------
    runs : (n, 3) int32 array
        Row, first column and the one after the last of each run of set pixels, in raster order.
    region : (n,) int64 array
        Number of the region that a run belongs to; regions are numbered by their first run.
    """

    runs: np.ndarray
    region: np.ndarray

    def sizes(self) -> np.ndarray:
        """Pixels of each region, as float64."""
        sizes: np.ndarray = np.bincount(self.region, self.runs[:, 2] - self.runs[:, 1])
        return sizes

    def touched(self, spots: np.ndarray) -> np.ndarray:
        """For each region whether any pixel of it is set in `spots` (H, W) bool."""
        hit = np.zeros(len(self.runs), np.bool_)
        _hit(self.runs, spots, hit)
        touched: np.ndarray = np.bincount(self.region, hit) > 0
        return touched

    def greatest(self, values: np.ndarray) -> np.ndarray:
        """For each region the greatest of `values` (H, W) float32, at least 0, in it."""
        greatest = np.zeros(int(self.region.max(initial=-1)) + 1, np.float32)
        _greatest(self.runs, self.region, values, greatest)
        return greatest

    def lower(self, bounds: np.ndarray, out: np.ndarray) -> None:
        """Lower `out` (H, W) float32 to the bound of each region, float32."""
        _lower(self.runs, bounds[self.region], out)

    def paint(self, chosen: np.ndarray, value: bool, out: np.ndarray) -> None:
        """Write a value over the regions chosen, bool for each, in `out` (H, W) bool."""
        _paint(self.runs[chosen[self.region]], value, out)


def regions(mask: np.ndarray) -> Regions:
    """The regions of set pixels in `mask` (H, W) bool."""
    runs, above = _runs(np.ascontiguousarray(mask))
    _, region = np.unique(above, return_inverse=True)
    return Regions(runs, region)


def widest(values: np.ndarray, radius: int) -> np.ndarray:
    """The greatest of `values` (H, W) float32, at least 0, within `radius` rows and columns of each pixel."""
    for _ in range(2):
        turned = np.empty(values.shape[::-1], np.float32)
        side_by_side(_turned_maxima, -(-len(values) // ROWS), values, radius, turned)
        values = turned
    return values


@njit()
def _runs(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Runs of set pixels, and each one's region by its first run; a run joins those it touches in the row above."""
    height, width = mask.shape
    count = 0
    for y in range(height):
        before = False
        for x in range(width):
            count += mask[y, x] and not before
            before = mask[y, x]
    runs, parent = np.empty((count, 3), np.int32), np.empty(count, np.int64)
    n, above = 0, 0  # the next run, and the first of the row above that may touch it
    for y in range(height):
        row, x = n, 0
        while x < width:
            if not mask[y, x]:
                x += 1
                continue
            start = x
            while x < width and mask[y, x]:
                x += 1
            runs[n, 0], runs[n, 1], runs[n, 2], parent[n] = y, start, x, n
            while above < row and runs[above, 2] <= start:
                above += 1
            k = above
            while k < row and runs[k, 1] < x:
                a, b = n, k
                while parent[a] != a:
                    a = parent[a]
                while parent[b] != b:
                    b = parent[b]
                parent[max(a, b)] = min(a, b)
                k += 1
            n += 1
        above = row
    for k in range(count):
        parent[k] = parent[parent[k]]
    return runs, parent


@njit()
def _hit(runs: np.ndarray, spots: np.ndarray, hit: np.ndarray) -> None:
    for n in range(len(runs)):
        for x in range(runs[n, 1], runs[n, 2]):
            hit[n] |= spots[runs[n, 0], x]


@njit()
def _paint(runs: np.ndarray, value: bool, out: np.ndarray) -> None:
    for n in range(len(runs)):
        for x in range(runs[n, 1], runs[n, 2]):
            out[runs[n, 0], x] = value


@njit()
def _greatest(runs: np.ndarray, region: np.ndarray, values: np.ndarray, greatest: np.ndarray) -> None:
    for n in range(len(runs)):
        for x in range(runs[n, 1], runs[n, 2]):
            greatest[region[n]] = max(greatest[region[n]], values[runs[n, 0], x])


@njit()
def _lower(runs: np.ndarray, bounds: np.ndarray, out: np.ndarray) -> None:
    for n in range(len(runs)):
        for x in range(runs[n, 1], runs[n, 2]):
            out[runs[n, 0], x] = min(out[runs[n, 0], x], bounds[n])


@njit()
def _turned_maxima(first: int, last: int, values: np.ndarray, radius: int, out: np.ndarray) -> None:
    # out[x, y] = max of values[y, x - radius : x + radius + 1]: in blocks as wide as the window, the greatest up to
    # each pixel and from each pixel on; a window is the end of one block and the beginning of the next (van Herk 1992)
    height, width = values.shape
    window = 2 * radius + 1
    padded = (width + 2 * radius + window - 1) // window * window
    up, down = np.empty(padded, np.float32), np.empty(padded, np.float32)
    found = np.empty((ROWS, width), np.float32)
    for block in range(first, last):
        top = block * ROWS
        rows = min(ROWS, height - top)
        for k in range(rows):
            for x in range(width):
                up[radius + x] = down[radius + x] = values[top + k, x]
            for x in range(radius + width, padded):
                up[x] = down[x] = 0
            for x in range(radius):
                up[x] = down[x] = 0
            for start in range(0, padded, window):
                for x in range(start + 1, start + window):
                    up[x] = max(up[x], up[x - 1])
                for x in range(start + window - 2, start - 1, -1):
                    down[x] = max(down[x], down[x + 1])
            for x in range(width):
                found[k, x] = max(down[x], up[x + 2 * radius])
        for x in range(width):
            for k in range(rows):
                out[x, top + k] = found[k, x]
