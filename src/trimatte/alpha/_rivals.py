"""Which fixed points may have a free one among their nearest: the reverse of a search for neighbours.

A fixed point's neighbours only matter where a free one is among them. Far from the free ones it is not: as many points
as are wanted lie closer. How close they are at most is known from the leaves about a point's own.
"""

from __future__ import annotations

import numpy as np

from trimatte.alpha._nearest import (
    CHILDREN,
    DEPTH,
    DIMENSIONS,
    IS_LEAF,
    LEAF,
    MOST_ABOUT,
    NO_ROW,
    Tree,
    _ask,
    _distances_to_leaf,
    _gap,
    about,
    bound_of_rank,
    distances_about,
)
from trimatte.runtime.jit import njit, side_by_side


def with_rivals(tree: Tree, free_tree: Tree, count: int) -> np.ndarray:
    """Numbers, ascending, of the fixed points of `tree` that may have a free one among their `count` <= N nearest.

    Parameters
    ----------
    tree : on N points, of which the first F are free.
    free_tree : on those F points alone, F >= 1.

    None that has one is missing. Those given have a free point within the distance that `count` points of the leaves
    about their own do not exceed.
    """
    rows = np.arange(len(tree.indices), dtype=np.uint32)
    rows[: len(free_tree.indices)] = NO_ROW
    marked = np.zeros(len(rows), np.bool_)
    side_by_side(
        _mark, len(tree.leaves), rows, count, tree.indices, tree.leaves, free_tree.leaves, free_tree.forks, marked
    )
    return np.flatnonzero(marked)


@njit()
def _mark(
    begin: int,
    end: int,
    rows: np.ndarray,
    count: int,
    indices: np.ndarray,
    leaves: np.ndarray,
    free_leaves: np.ndarray,
    free_forks: np.ndarray,
    marked: np.ndarray,
) -> None:
    asking, at = np.empty(LEAF, np.uint32), np.empty((DIMENSIONS, LEAF), np.float32)
    low, high = np.empty(DIMENSIONS, np.float32), np.empty(DIMENSIONS, np.float32)
    bounds, distances = np.empty(LEAF, np.float32), np.empty(LEAF, np.float32)
    around = np.empty(MOST_ABOUT * LEAF, np.float32)
    waiting, gap_of = np.empty(DEPTH, np.uint32), np.empty(DEPTH, np.float32)
    for home in range(begin, end):
        m = _ask(home, rows, indices, leaves, asking, at, low, high)
        first, last = about(home, len(leaves), count)
        for q in range(m):
            distances_about(leaves, first, last, at, q, distances, around)
            bounds[q] = bound_of_rank(around, (last - first) * LEAF, count)
        if m > 0:
            _mark_leaf(free_leaves, free_forks, asking, at, m, low, high, bounds, distances, waiting, gap_of, marked)


@njit(inline=True)
def _descend(
    forks: np.ndarray, low: np.ndarray, high: np.ndarray, waiting: np.ndarray, gap_of: np.ndarray, depth: int
) -> int:
    """Put a fork's children in its place, the closer one to be next; the number of nodes that wait."""
    node, children, left, right = waiting[depth], forks.view(np.uint32), np.uint32(0), np.uint32(1)
    gap, farther_gap = _gap(forks, node, left, low, high), _gap(forks, node, right, low, high)
    side = left
    if farther_gap < gap:
        side, gap, farther_gap = right, farther_gap, gap
    waiting[depth], gap_of[depth] = children[node, np.uint32(CHILDREN) + (right ^ side)], farther_gap
    waiting[depth + 1], gap_of[depth + 1] = children[node, np.uint32(CHILDREN) + side], gap
    return depth + 2


@njit()
def _mark_leaf(
    leaves: np.ndarray,
    forks: np.ndarray,
    asking: np.ndarray,
    at: np.ndarray,
    m: int,
    low: np.ndarray,
    high: np.ndarray,
    bounds: np.ndarray,
    distances: np.ndarray,
    waiting: np.ndarray,
    gap_of: np.ndarray,
    marked: np.ndarray,
) -> None:
    """Mark which of m queries, within a box, have a point of a tree within their bounds; uses these up."""
    waiting[0], gap_of[0] = IS_LEAF if len(leaves) == 1 else np.uint32(0), 0
    depth, widest = 1, np.float32(np.inf)
    while depth > 0:
        depth -= 1
        if gap_of[depth] > widest:
            continue
        if waiting[depth] < IS_LEAF:
            depth = _descend(forks, low, high, waiting, gap_of, depth)
            continue
        leaf, widest = waiting[depth] ^ IS_LEAF, np.float32(-1)
        for q in range(m):
            if bounds[q] < 0:
                continue
            _distances_to_leaf(leaves, leaf, at, q, distances)
            within = np.int32(0)
            for j in range(LEAF):
                within += distances[j] <= bounds[q]
            if within > 0:
                marked[asking[q]], bounds[q] = True, -1
            widest = max(widest, bounds[q])
