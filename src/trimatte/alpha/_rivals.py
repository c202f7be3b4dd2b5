"""Which fixed points may have a free one among their nearest: the reverse of a search for neighbours.

A fixed point's neighbours only matter where a free one is among them. Far from the free ones it is not: as many points
as are wanted lie closer. How close they are at most is known from the leaves about a point's own.
"""

from __future__ import annotations

import numpy as np

from trimatte.alpha._nearest import (
    MOST_ABOUT,
    NO_ROW,
    about,
    ask,
    bound_about,
    distances_to_leaf,
    expand,
    greatest,
    pass_box,
)
from trimatte.alpha._tree import DEPTH, DIMENSIONS, IS_LEAF, LEAF, WIDE, Tree
from trimatte.runtime.jit import njit, side_by_side


def rivals(tree: Tree, free_tree: Tree, count: int) -> np.ndarray:
    """Squared distance (N,) float32 of each fixed point of `tree` to the nearest free one.

    It is infinite for those that surely have no free one among their `count` <= N nearest: so many points of the leaves
    about their own are closer than any. And for the free ones.

    Parameters
    ----------
    tree : Tree
        On N points, of which the first F are free.
    free_tree : Tree
        On those F points alone, F >= 1.
    """
    rows = np.arange(len(tree.indices), dtype=np.uint32)
    rows[: len(free_tree.indices)] = NO_ROW
    out = np.full(len(rows), np.inf, np.float32)
    side_by_side(
        _approach, len(tree.leaves), rows, count, tree.indices, tree.leaves.ravel(), free_tree.leaves.ravel(),
        free_tree.boxes.ravel(), free_tree.first, out,
    )  # fmt: skip
    return out


@njit()
def _approach(
    begin: int,
    end: int,
    rows: np.ndarray,
    count: int,
    indices: np.ndarray,
    leaves: np.ndarray,
    free_leaves: np.ndarray,
    boxes: np.ndarray,
    first: np.ndarray,
    out: np.ndarray,
) -> None:
    asking, at = np.empty(LEAF, np.uint32), np.empty(DIMENSIONS * LEAF, np.float32)
    low, high = np.empty(DIMENSIONS, np.float32), np.empty(DIMENSIONS, np.float32)
    around = np.empty(MOST_ABOUT * LEAF + 1, np.float32)
    around_bits, bounds, passes = around.view(np.int32), np.empty(LEAF, np.float32), np.empty(LEAF, np.uint32)
    distances, active, gaps = np.empty(LEAF, np.float32), np.empty(LEAF, np.uint32), np.empty(WIDE, np.float32)
    bits, one = distances.view(np.int32), np.float32(1)
    waiting, gap_of, place_of = np.empty(DEPTH, np.uint32), np.empty(DEPTH, np.float32), np.empty(DEPTH, np.uint32)
    for home in range(begin, end):
        m = ask(home, rows, indices, leaves, asking, at, low, high)
        start, stop = about(home, len(leaves) // (DIMENSIONS * LEAF), count)
        bounds[:] = 0
        for q in range(m):
            bounds[q] = bound_about(leaves, start, stop, at, q, count, around, around_bits)
        waiting[0], gap_of[0], depth, widest = 0, 0, 1, greatest(bounds)
        while depth > 0:
            depth -= 1
            node = waiting[depth]
            if gap_of[depth] >= widest:
                continue
            if node < IS_LEAF:
                depth = expand(boxes, first, node, low, high, widest, gaps, waiting, gap_of, place_of, depth)
                continue
            some = pass_box(boxes, place_of[depth], at, bounds, one, passes, active)
            leaf = node ^ IS_LEAF
            for i in range(some):
                q = active[i]
                if distances_to_leaf(free_leaves, leaf, at, q, bounds[q], distances) > 0:
                    closest = bits[0]
                    for j in range(1, LEAF):
                        closest = min(closest, bits[j])
                    bits[0] = closest
                    bounds[q] = out[asking[q]] = distances[0]
            if some > 0:
                widest = greatest(bounds)
