"""Nearest neighbours of many points among as many, by a k-d tree that is asked leaf by leaf.

The points of a leaf lie close together, so they search together: one walk through the tree serves them all (after the
dual trees of Gray and Moore, NIPS 2000). Each query still prunes by its own distances.

`scipy.spatial.cKDTree`, which searches for each point by itself, takes over four times as long for the same
neighbours.

What is done for every query is written so that the compiler makes vector instructions of it: loops over 16 values of
arrays that have one dimension, with no other array's values but those read before. Boxes, leaves and queries have their
coordinates one after the other, 16 of each.
"""

from __future__ import annotations

import numpy as np

from trimatte.alpha._tree import DEPTH, DIMENSIONS, INFINITE, IS_LEAF, LEAF, WIDE, Tree
from trimatte.runtime.jit import njit, side_by_side

NOTHING = np.uint64(0x7F800000FFFFFFFF)
"""A neighbour not found yet, infinitely far: the bits of its squared distance, a float32, above those of its place."""
TINY = np.finfo(np.float32).tiny
"""Added to squared distances: then no key is a denormal double, which a processor may take for 0."""
NO_ROW = np.uint32(0xFFFFFFFF)
"""Of a point whose neighbours are not wanted."""
HALVINGS = 6
"""Of the range in which a query's first bound is sought."""
MOST_ABOUT = 9
"""Leaves about one that a first bound is taken from, at most."""
ABOVE = np.float32(1 + 1e-6)
"""Makes of what distances may equal a number that all of them are below."""
# Unsigned, for signed indices are tested for being negative wherever they are used.
BLOCK, BOX, UPPER = np.uint64(DIMENSIONS * LEAF), np.uint64(2 * DIMENSIONS * WIDE), np.uint64(DIMENSIONS * WIDE)
ONE, TWO, THREE, FOUR = np.uint64(LEAF), np.uint64(2 * LEAF), np.uint64(3 * LEAF), np.uint64(4 * LEAF)
"""Where the coordinates along an axis begin: as many lie in a leaf as boxes in a node."""


def nearest(
    tree: Tree, rows: np.ndarray, count: int, slack: float, names: np.ndarray, least: np.ndarray | None = None
) -> np.ndarray:
    """The `count` <= N nearest points, itself among them, of each point that has a row: (Q, count) uint32.

    Parameters
    ----------
    rows : (N,) uint32 array
        The row of each point that is a query, 0 to Q - 1, and `NO_ROW` for the others.
    slack : float
        A point found is at most 1 + slack times as far as the true one of its rank (Arya et al., JACM 1998).
    names : (N,) uint32 array
        What each point is called: a row has the names of a point's neighbours, the nearest first.
    least : (N,) float32 array, default None
        The squared distance of a query, as `distances_to_leaf` has it, from which on neighbours matter: if all are
        closer, its row may have its own name only.
    """
    if least is None:
        least = np.zeros(len(rows), np.float32)
    asking = rows[tree.indices] != NO_ROW
    homes = np.flatnonzero(np.logical_or.reduceat(asking, np.arange(0, len(asking), LEAF))).astype(np.uint32)
    shrink = np.float32((1 + slack) ** 2)
    out = np.empty((np.count_nonzero(asking), count), np.uint32)
    side_by_side(
        _search, len(homes), homes, rows, count, shrink, names, least, tree.indices, tree.leaves.ravel(),
        tree.boxes.ravel(), tree.first, out,
    )  # fmt: skip
    return out


@njit()
def _search(
    begin: int,
    end: int,
    homes: np.ndarray,
    rows: np.ndarray,
    count: int,
    shrink: np.float32,
    names: np.ndarray,
    least: np.ndarray,
    indices: np.ndarray,
    leaves: np.ndarray,
    boxes: np.ndarray,
    first: np.ndarray,
    out: np.ndarray,
) -> int:
    """Search for the points of leaves `homes[begin:end]`; how many leaves each was compared with, altogether."""
    asking, at = np.empty(LEAF, np.uint32), np.empty(DIMENSIONS * LEAF, np.float32)
    low, high = np.empty(DIMENSIONS, np.float32), np.empty(DIMENSIONS, np.float32)
    found, last = np.empty((LEAF, count), np.uint64), 2 * count - 1
    found_distances, found_keys, exact = found.view(np.float32), found.view(np.float64), shrink == 1
    around = np.empty(MOST_ABOUT * LEAF + 1, np.float32)
    around_bits, bounds, passes = around.view(np.int32), np.empty(LEAF, np.float32), np.empty(LEAF, np.uint32)
    distances, keys, active = np.empty(LEAF, np.float32), np.empty(LEAF, np.uint64), np.empty(LEAF, np.uint32)
    bits, key_values, gaps = distances.view(np.uint32), keys.view(np.float64), np.empty(WIDE, np.float32)
    # nodes on the way, how far they are, and where their box is
    waiting, gap_of, place_of = np.empty(DEPTH, np.uint32), np.empty(DEPTH, np.float32), np.empty(DEPTH, np.uint32)
    compared = 0
    for number in range(begin, end):
        home = homes[number]
        m = ask(home, rows, indices, leaves, asking, at, low, high)
        start, stop = about(home, len(leaves) // (DIMENSIONS * LEAF), count)
        bounds[:] = 0
        for q in range(m):
            for c in range(count):
                found[q, c] = NOTHING
            bounds[q] = np.inf
            if exact:
                bounds[q] = bound_about(leaves, start, stop, at, q, count, around, around_bits)
        waiting[0], gap_of[0], depth, widest = 0, 0, 1, greatest(bounds)
        while depth > 0:
            depth -= 1
            node = waiting[depth]
            if gap_of[depth] * shrink >= widest:
                continue
            if node < IS_LEAF:
                depth = expand(boxes, first, node, low, high, widest / shrink, gaps, waiting, gap_of, place_of, depth)
                continue
            some = pass_box(boxes, place_of[depth], at, bounds, shrink, passes, active)
            leaf, compared = node ^ IS_LEAF, compared + 1
            for i in range(some):
                q = active[i]
                if distances_to_leaf(leaves, leaf, at, q, bounds[q], distances) == 0:
                    continue
                closer = 0
                for j in range(LEAF):
                    keys[closer] = np.uint64(bits[j]) << np.uint64(32) | np.uint64(
                        leaf * np.uint32(LEAF) + np.uint32(j)
                    )
                    closer += distances[j] < bounds[q]
                # Each goes to its place in the row, from which on the others move. Positive doubles have the order of
                # their bits, and the lesser of two takes one instruction.
                for j in range(closer):
                    key = key_values[j]
                    for c in range(count):
                        other = found_keys[q, c]
                        found_keys[q, c] = other if other < key else key
                        key = key if other < key else other
                bounds[q] = min(bounds[q], found_distances[q, last])
                if bounds[q] < least[asking[q]]:
                    bounds[q] = 0
            if some > 0:
                widest = greatest(bounds)
        for q in range(m):
            row = rows[asking[q]]
            for c in range(count):
                out[row, c] = names[indices[np.uint32(found[q, c])]] if bounds[q] > 0 else names[asking[q]]
    return compared


@njit()
def ask(
    leaf: int,
    rows: np.ndarray,
    indices: np.ndarray,
    leaves: np.ndarray,
    asking: np.ndarray,
    at: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
) -> int:
    """Write the points of a leaf that are queries, their coordinates (5, LEAF), padded by repetition, and their box.

    Returns their number.
    """
    start, m = leaf * LEAF, 0
    for j in range(min(LEAF, len(indices) - start)):
        if rows[indices[start + j]] != NO_ROW:
            asking[m] = indices[start + j]
            for c in range(DIMENSIONS):
                at[c * LEAF + m] = leaves[(leaf * DIMENSIONS + c) * LEAF + j]
            m += 1
    for c in range(DIMENSIONS):
        least = most = at[c * LEAF]
        for j in range(LEAF):
            if j >= m:
                at[c * LEAF + j] = at[c * LEAF]
            least, most = min(least, at[c * LEAF + j]), max(most, at[c * LEAF + j])
        low[c], high[c] = least, most
    return m


@njit(inline=True)
def expand(
    boxes: np.ndarray,
    first: np.ndarray,
    node: np.uint32,
    low: np.ndarray,
    high: np.ndarray,
    widest: np.float32,
    gaps: np.ndarray,
    waiting: np.ndarray,
    gap_of: np.ndarray,
    place_of: np.ndarray,
    depth: int,
) -> int:
    """Let a node's children that are closer than `widest` wait, the closest to be next; the number that waits.

    All are written, and those that are too far written over: a branch for each would be mispredicted.
    """
    _gaps_to_boxes(boxes, node, low, high, gaps)
    others = end = np.uint64(depth)
    for child in range(WIDE):
        gap_of[end], waiting[end] = gaps[child], first[node] + np.uint32(child)
        place_of[end] = np.uint32(WIDE) * node + np.uint32(child)
        end += np.uint64(gaps[child] < widest)
    if end > others:
        top = end - np.uint64(1)
        for k in range(others, top):
            if gap_of[k] < gap_of[top]:
                gap_of[k], gap_of[top] = gap_of[top], gap_of[k]
                waiting[k], waiting[top] = waiting[top], waiting[k]
                place_of[k], place_of[top] = place_of[top], place_of[k]
    return int(np.int64(end))


@njit(inline=True)
def _gaps_to_boxes(boxes: np.ndarray, node: np.uint32, low: np.ndarray, high: np.ndarray, gaps: np.ndarray) -> None:
    """Squared distances between the boxes of a node's children and another."""
    zero, base = np.float32(0), np.uint64(node) * BOX
    l0, l1, l2, l3, l4 = low[0], low[1], low[2], low[3], low[4]
    h0, h1, h2, h3, h4 = high[0], high[1], high[2], high[3], high[4]
    for i in range(WIDE):
        a = base + np.uint64(i)
        b = a + UPPER
        d0 = max(boxes[a] - h0, l0 - boxes[b], zero)
        d1 = max(boxes[a + ONE] - h1, l1 - boxes[b + ONE], zero)
        d2 = max(boxes[a + TWO] - h2, l2 - boxes[b + TWO], zero)
        d3 = max(boxes[a + THREE] - h3, l3 - boxes[b + THREE], zero)
        d4 = max(boxes[a + FOUR] - h4, l4 - boxes[b + FOUR], zero)
        gaps[i] = d0 * d0 + d1 * d1 + d2 * d2 + d3 * d3 + d4 * d4


@njit(inline=True)
def pass_box(
    boxes: np.ndarray,
    place: np.uint32,
    at: np.ndarray,
    bounds: np.ndarray,
    shrink: np.float32,
    passes: np.ndarray,
    active: np.ndarray,
) -> int:
    """List which of the points `at` (5, LEAF) are, `shrink` times enlarged, closer to a child's box than their bounds.

    Returns their number. They are listed for their own sake: a branch for each would be mispredicted all the time.
    """
    zero, some, a = np.float32(0), 0, np.uint64(place // np.uint32(WIDE)) * BOX + np.uint64(place % np.uint32(WIDE))
    b = a + UPPER
    l0, l1, l2, l3, l4 = boxes[a], boxes[a + ONE], boxes[a + TWO], boxes[a + THREE], boxes[a + FOUR]
    h0, h1, h2, h3, h4 = boxes[b], boxes[b + ONE], boxes[b + TWO], boxes[b + THREE], boxes[b + FOUR]
    for j in range(LEAF):
        i = np.uint64(j)
        d0 = max(l0 - at[i], at[i] - h0, zero)
        d1 = max(l1 - at[i + ONE], at[i + ONE] - h1, zero)
        d2 = max(l2 - at[i + TWO], at[i + TWO] - h2, zero)
        d3 = max(l3 - at[i + THREE], at[i + THREE] - h3, zero)
        d4 = max(l4 - at[i + FOUR], at[i + FOUR] - h4, zero)
        passes[i] = shrink * (d0 * d0 + d1 * d1 + d2 * d2 + d3 * d3 + d4 * d4) < bounds[i]
    for j in range(LEAF):
        active[some] = j
        some += passes[j]
    return some


@njit(inline=True)
def greatest(bounds: np.ndarray) -> np.float32:
    """Of the bounds of a leaf's points."""
    most = np.float32(0)
    for j in range(LEAF):
        most = max(most, bounds[j])
    return most


@njit(inline=True)
def distances_to_leaf(
    leaves: np.ndarray, leaf: np.uint32, at: np.ndarray, q: int, bound: np.float32, distances: np.ndarray
) -> np.int32:
    """Squared distances of point `q` of `at` (5, LEAF) to a leaf's points; how many are below a bound."""
    base, own, within = np.uint64(leaf) * BLOCK, np.uint64(q), np.int32(0)
    x0, x1, x2, x3, x4 = at[own], at[own + ONE], at[own + TWO], at[own + THREE], at[own + FOUR]
    for i in range(LEAF):
        a = base + np.uint64(i)
        d0, d1, d2 = leaves[a] - x0, leaves[a + ONE] - x1, leaves[a + TWO] - x2
        d3, d4 = leaves[a + THREE] - x3, leaves[a + FOUR] - x4
        distance = d0 * d0 + d1 * d1 + d2 * d2 + d3 * d3 + d4 * d4 + TINY
        distances[i] = distance
        within = np.int32(within + (distance < bound))
    return within


@njit()
def about(home: int, leaves: int, count: int) -> tuple[int, int]:
    """The first leaf of those about one, which hold `count` points and more, and the one after the last."""
    reach = min((count - 1) // (2 * LEAF) + 1, MOST_ABOUT // 2)
    return max(0, home - reach), min(leaves, home + reach + 1)


@njit(inline=True)
def bound_about(
    leaves: np.ndarray, start: int, stop: int, at: np.ndarray, q: int, count: int, around: np.ndarray, bits: np.ndarray
) -> np.float32:
    """What at least `count` squared distances of a query to the points of leaves start to stop are below.

    By bisection; infinite where there are not so many points. `bits` are those of `around`.
    """
    own, size, high = np.uint64(q), (stop - start) * LEAF, np.int32(0)
    x0, x1, x2, x3, x4 = at[own], at[own + ONE], at[own + TWO], at[own + THREE], at[own + FOUR]
    for leaf in range(start, stop):
        for i in range(LEAF):
            a = np.uint64(leaf) * BLOCK + np.uint64(i)
            d0, d1, d2 = leaves[a] - x0, leaves[a + ONE] - x1, leaves[a + TWO] - x2
            d3, d4 = leaves[a + THREE] - x3, leaves[a + FOUR] - x4
            around[(leaf - start) * LEAF + i] = d0 * d0 + d1 * d1 + d2 * d2 + d3 * d3 + d4 * d4 + TINY
    for i in range(size):
        high = max(high, bits[i])
    bits[size] = high
    below, above = np.float32(0), around[size]
    if size < count or high == INFINITE:
        above = np.float32(np.inf)
    else:
        for _ in range(HALVINGS):
            middle, within = np.float32(0.5) * (below + above), np.int32(0)
            for i in range(size):
                within = np.int32(within + (around[i] <= middle))
            if within >= count:
                above = middle
            else:
                below = middle
    return np.float32(above * ABOVE)
