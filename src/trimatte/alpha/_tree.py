"""A k-d tree on points in five dimensions, made for searches by many points at once (`_nearest`).

Points are halved at medians along the widest side, down to leaves of `LEAF` points. Four halvings at a time are one
node, so that a node has up to `WIDE` children and their boxes are compared in one go, by vector instructions.

Coordinates are not below 0: such floats have the order of their bits, and integers are what compilers take minima and
maxima of by vector instructions.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from trimatte.runtime.jit import njit

DIMENSIONS = 5
LEAF = 16
"""Points in a leaf: a vector register's worth, or two."""
WIDE = 16
"""Children of a node."""
SAMPLE = 64
"""About so many of the points say along which axis they are split, and about where,"""
SEVERAL = 1024
"""if they are more than so many."""
SPREAD = 12
"""Ranks in a sample between which the median is: three standard deviations."""
RECORD = DIMENSIONS + 1
"""Words of a point while it is sorted: its coordinates and its number."""
IS_LEAF = np.uint32(1 << 31)
INFINITE = np.int32(0x7F800000)
"""The bits of an infinite float32."""
DEPTH = 256
"""Nodes that may wait on the way: `WIDE` - 1 for each level of the tree, and one."""


@dataclass(frozen=True)
class Tree:
    """A k-d tree on N points in 5 dimensions; each leaf is a run of `LEAF` consecutive points, the last one of fewer.

    Attributes
    ----------
    indices : (N,) uint32 array
        The points in the order of the tree.
    leaves : (L, 5, LEAF) float32 array
        The coordinates of each leaf's points, infinite where the last leaf has none.
    boxes : (M, 2, 5, WIDE) float32 array
        For each node, the root first, its children's least coordinates and greatest ones; no point is between them
        where there is no child.
    first : (M,) uint32 array
        A node's first child, the others follow: a node's number, or a leaf's and `IS_LEAF`.
    """

    indices: np.ndarray
    leaves: np.ndarray
    boxes: np.ndarray
    first: np.ndarray


def tree_of(points: np.ndarray) -> Tree:
    """The tree on points (N, 5) float32, N >= 1, no coordinate below 0."""
    n = len(points)
    records = np.empty((n, RECORD), np.uint32)
    records[:, :DIMENSIONS], records[:, DIMENSIONS] = points.view(np.uint32), np.arange(n)
    leaves = np.full((-(-n // LEAF), DIMENSIONS, LEAF), np.inf, np.float32)
    indices = np.empty(n, np.uint32)
    _split(records, np.empty_like(records), leaves.view(np.uint32), indices)
    return Tree(indices, leaves, *_nodes(leaves))


def _nodes(leaves: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """`boxes` and `first` of the tree, from the leaves up: those above the leaves have half of `WIDE` and more."""
    sizes = np.array([len(leaves)])
    while sizes.max() > WIDE:
        sizes = np.stack([sizes // 2, sizes - sizes // 2], axis=1).ravel()  # as `_split` does
    starts = np.concatenate([[0], np.cumsum(sizes)])
    counts = [len(sizes)]  # of the nodes of each level, the lowest first
    while counts[-1] > 1:
        counts.append(-(-counts[-1] // WIDE))
    begins = np.cumsum([0, *counts[::-1]])[-2::-1]
    boxes = np.empty((sum(counts), 2, DIMENSIONS, WIDE), np.float32)
    boxes[:, 0], boxes[:, 1] = np.inf, -np.inf
    first = np.empty(len(boxes), np.uint32)
    first[begins[0] :] = IS_LEAF | starts[:-1].astype(np.uint32)
    _enclose_leaves(leaves, starts, boxes[begins[0] :])
    for below, own, children in zip(begins, begins[1:], counts, strict=False):
        first[own:below] = below + WIDE * np.arange(below - own)
        _enclose(boxes[below : below + children], boxes[own:below])
    return boxes, first


@njit()
def _split(records: np.ndarray, spare: np.ndarray, leaves: np.ndarray, indices: np.ndarray) -> None:
    """Sort records into leaves; they are moved to and fro between the two arrays."""
    keys = np.empty(len(records), np.int32)
    waiting = np.empty((DEPTH, 3), np.int64)  # first and last record, and in which of the arrays they are
    waiting[0, 0], waiting[0, 1], waiting[0, 2] = 0, len(records), 0
    depth = 1
    while depth > 0:
        depth -= 1
        a, b, side = waiting[depth, 0], waiting[depth, 1], waiting[depth, 2]
        here, there = (records, spare) if side == 0 else (spare, records)
        count = (b - a + LEAF - 1) // LEAF
        if count == 1:
            for i in range(a, b):
                for c in range(DIMENSIONS):
                    leaves[a // LEAF, c, i - a] = here[i, c]
                indices[i] = here[i, DIMENSIONS]
            continue
        middle, axis = a + count // 2 * LEAF, _widest(here.view(np.float32), a, b)
        cut, less = _value_of_rank(here.view(np.int32), a, b, axis, middle - a, keys)
        _part(here, there, a, b, middle, axis, cut, middle - a - less)
        waiting[depth, 0], waiting[depth, 1], waiting[depth, 2] = middle, b, 1 - side
        waiting[depth + 1, 0], waiting[depth + 1, 1], waiting[depth + 1, 2] = a, middle, 1 - side
        depth += 2


@njit()
def _widest(points: np.ndarray, first: int, last: int) -> int:
    """The axis along which points first to last, or a sample of them, reach the farthest."""
    step = max(1, (last - first) // SAMPLE)
    axis, width = 0, np.float32(-1)
    for c in range(DIMENSIONS):
        low = high = points[first, c]
        for i in range(first, last, step):
            low, high = min(low, points[i, c]), max(high, points[i, c])
        if high - low > width:
            axis, width = c, high - low
    return axis


@njit()
def _value_of_rank(
    points: np.ndarray, first: int, last: int, axis: int, rank: int, keys: np.ndarray
) -> tuple[np.int32, int]:
    """The coordinate of points first to last which `rank` others precede, and how many are less; uses up `keys`.

    A sample bounds it, so that but a part of many are searched.
    """
    n, low, high = last - first, np.int32(0), INFINITE
    if n > SEVERAL:
        some = 0
        for i in range(first, last, n // SAMPLE):
            keys[some] = points[i, axis]
            some += 1
        at = rank * some // n
        low, high = _key(keys, some, max(0, at - SPREAD))[0], _key(keys, some, min(some - 1, at + SPREAD))[0]
    below, size = _between(points, first, last, axis, low, high, keys)
    if not below <= rank < below + size:
        below, size = _between(points, first, last, axis, np.int32(0), INFINITE, keys)
    cut, less = _key(keys, size, rank - below)
    return cut, below + less


@njit()
def _between(
    points: np.ndarray, first: int, last: int, axis: int, low: np.int32, high: np.int32, keys: np.ndarray
) -> tuple[int, int]:
    """List the coordinates from low to high; how many are below, and how many are listed."""
    below, size = 0, 0
    for i in range(first, last):
        v = points[i, axis]
        keys[size] = v
        below += v < low
        size += (v >= low) & (v <= high)
    return below, size


@njit()
def _key(keys: np.ndarray, n: int, rank: int) -> tuple[np.int32, int]:
    """Of the first n keys that which `rank` others precede, and how many are less, by bisection between keys."""
    low = high = keys[0]
    for i in range(n):
        low, high = min(low, keys[i]), max(high, keys[i])
    less = 0
    while low < high:
        middle, within, below, above = np.int32((low + high) >> 1), 0, low, high
        for i in range(n):
            v = keys[i]
            within += v <= middle
            below = max(below, v if v <= middle else low)
            above = min(above, high if v <= middle else v)
        if within > rank:
            high = below
        else:
            low, less = above, within
            if within == rank:
                break
    return low, less


@njit()
def _part(
    here: np.ndarray, there: np.ndarray, first: int, last: int, middle: int, axis: int, cut: np.int32, ties: int
) -> None:
    """Partition records first to last: those before `cut`, and enough that equal it, come before `middle`.

    Without branches, which would be mispredicted every other time.
    """
    keys, source, target = here.view(np.int32), here.view(np.uint64), there.view(np.uint64)
    a, b, one, two = np.uint64(first), np.uint64(middle), np.uint64(1), np.uint64(2)
    column = np.uint64(axis)
    for i in range(np.uint64(first), np.uint64(last)):
        v = keys[i, column]
        left = np.uint64(v < cut) | (np.uint64(v == cut) & np.uint64(ties > 0))
        ties -= v == cut
        place = a if left else b
        a += left
        b += one - left
        x, y, z = source[i, np.uint64(0)], source[i, one], source[i, two]
        target[place, np.uint64(0)], target[place, one], target[place, two] = x, y, z


@njit()
def _enclose_leaves(leaves: np.ndarray, starts: np.ndarray, boxes: np.ndarray) -> None:
    """Write the boxes of each node's leaves, which begin with those of `starts`."""
    for node in range(len(boxes)):
        for child in range(starts[node + 1] - starts[node]):
            for c in range(DIMENSIONS):
                low = high = leaves[starts[node] + child, c, 0]
                for j in range(1, LEAF):
                    v = leaves[starts[node] + child, c, j]
                    low, high = min(low, v), max(high, v if v < np.inf else low)
                boxes[node, 0, c, child], boxes[node, 1, c, child] = low, high


@njit()
def _enclose(below: np.ndarray, boxes: np.ndarray) -> None:
    """Write the boxes of the nodes below, whose children's are known, `WIDE` of them a node."""
    for child in range(len(below)):
        for c in range(DIMENSIONS):
            low, high = below[child, 0, c, 0], below[child, 1, c, 0]
            for j in range(1, WIDE):
                low, high = min(low, below[child, 0, c, j]), max(high, below[child, 1, c, j])
            boxes[child // WIDE, 0, c, child % WIDE], boxes[child // WIDE, 1, c, child % WIDE] = low, high
