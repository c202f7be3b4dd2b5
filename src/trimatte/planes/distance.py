"""Exact squared Euclidean distances up to a limit, in linear time."""

from __future__ import annotations

import numpy as np

from trimatte.runtime.jit import njit, side_by_side

PIXELS = 16_384
"""Fewer are no work for another thread."""


def squared_distance(target: np.ndarray, limit: int) -> np.ndarray:
    """Squared distance (H, W) float32 of each pixel to the nearest one set in `target` (H, W) bool.

    Distances above `limit` pixels come out as `(limit + 1) ** 2`. Two passes, down the columns and along the rows,
    the second by the lower envelope of parabolas (Felzenszwalb and Huttenlocher, Theory of Computing 2012).
    """
    (height, width), far = target.shape, np.int32(limit + 1)
    columns = np.empty(target.shape, np.int32)
    side_by_side(_down, width, target, far, columns, least=1 + PIXELS // max(1, height))
    out = np.empty(target.shape, np.float32)
    side_by_side(_along, height, columns, far, out, least=1 + PIXELS // max(1, width))
    return out


@njit()
def _down(first: int, last: int, target: np.ndarray, far: np.int32, out: np.ndarray) -> None:
    # vertical distance to the nearest target in the same column, cut at `far`
    height = len(target)
    for left in range(first, last, 64):
        right = min(last, left + 64)
        for x in range(left, right):
            out[0, x] = 0 if target[0, x] else far
        for y in range(1, height):
            for x in range(left, right):
                out[y, x] = 0 if target[y, x] else min(far, out[y - 1, x] + 1)
        for y in range(height - 2, -1, -1):
            for x in range(left, right):
                out[y, x] = min(out[y, x], out[y + 1, x] + 1)


@njit()
def _along(first: int, last: int, columns: np.ndarray, far: np.int32, out: np.ndarray) -> None:
    # out[y, x] = min over s of (x - s)^2 + columns[y, s]^2, cut at far^2; columns at `far` need no parabola
    width = columns.shape[1]
    vertex = np.empty(width, np.int64)
    start = np.empty(width + 1, np.float64)
    for y in range(first, last):
        k = -1
        for s in range(width):
            g = np.int64(columns[y, s])
            if g >= far:
                continue
            meets = -1e18
            while k >= 0:
                v = vertex[k]
                h = np.int64(columns[y, v])
                meets = (g * g + s * s - h * h - v * v) / (2.0 * (s - v))
                if meets > start[k]:
                    break
                k -= 1
            k += 1
            vertex[k] = s
            start[k] = meets if k > 0 else -1e18
        last = k
        k = 0
        for x in range(width):
            value = far * far
            if last >= 0:
                while k < last and start[k + 1] < x:
                    k += 1
                v = vertex[k]
                g = np.int64(columns[y, v])
                value = min(value, (x - v) * (x - v) + g * g)
            out[y, x] = value
