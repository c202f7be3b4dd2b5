"""Nearest neighbours of many points among as many, by a k-d tree that is asked leaf by leaf.

The points of a leaf lie close together, so they search together: one walk through the tree serves them all (after the
dual trees of Gray and Moore, NIPS 2000). Each query still prunes by its own distances.

`scipy.spatial.cKDTree`, which searches for each point by itself, takes almost three times as long for the same
neighbours: 0.61 to 0.62 s against 0.21 to 0.24 s, measured.

What is done for every query is written so that the compiler makes vector instructions of it: all points of a leaf at
once, the five dimensions one after the other, and no slices, whose references would be counted.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from trimatte.runtime.jit import njit, side_by_side

DIMENSIONS = 5
LEAF = 16
"""Points in a leaf: a vector register's worth."""
VECTOR = 8
"""Keys in a vector register."""
SAMPLE = 64
"""About so many of a node's points say along which axis it is split."""
NOTHING = np.uint64(0x7F800000FFFFFFFF)
"""A neighbour not found yet, infinitely far: the bits of its squared distance, a float32, above those of its place."""
WORDS, CHILDREN = 24, 20
"""Of a fork: its length, and where its children stand."""
IS_LEAF = np.uint32(1 << 31)
NO_ROW = np.uint32(0xFFFFFFFF)
"""Of a point whose neighbours are not wanted."""
HALVINGS = 6
"""Of the range in which a query's first bound is sought."""
FINITE = np.finfo(np.float32).max
MOST_ABOUT = 9
"""Leaves about one that a first bound is taken from, at most."""
DEPTH = 64
"""Nodes that may wait on the way; a tree that halves its points is never so deep."""


@dataclass(frozen=True)
class Tree:
    """A k-d tree on N points in 5 dimensions; each leaf is a run of `LEAF` consecutive points, the last one of fewer.

    Attributes
    ----------
    indices : (N,) uint32 array
        The points in the order of the tree.
    leaves : (L, 5, LEAF) float32 array
        The coordinates of each leaf's points, infinite where the last leaf has none.
    forks : (L - 1, WORDS) float32 or uint32 array
        The nodes that have children, in preorder. All that is asked of both children lies together: for each axis the
        lower bounds of left and right box and the upper ones, then, as uint32, what the children are: the number of a
        fork, or that of a leaf and `IS_LEAF`.
    """

    indices: np.ndarray
    leaves: np.ndarray
    forks: np.ndarray


def tree_of(points: np.ndarray) -> Tree:
    """The tree on points (N, 5) float32, N >= 1, split at medians along the widest side of each node's box."""
    n = len(points)
    count = -(-n // LEAF)
    ordered = np.full((count * LEAF, DIMENSIONS), np.inf, np.float32)
    ordered[:n] = points
    indices, first, right = _split(ordered[:n])
    leaves = np.ascontiguousarray(ordered.reshape(count, LEAF, DIMENSIONS).transpose(0, 2, 1))
    return Tree(indices, leaves, _forks(ordered[:n], first, right))


def nearest(tree: Tree, rows: np.ndarray, count: int, slack: float, names: np.ndarray) -> np.ndarray:
    """The `count` <= N nearest points, itself among them, of each point that has a row: (Q, count) uint32.

    Parameters
    ----------
    rows : (N,) uint32 array
        The row of each point that is a query, 0 to Q - 1, and `NO_ROW` for the others.
    slack : float
        A point found is at most 1 + slack times as far as the true one of its rank (Arya et al., JACM 1998).
    names : (N,) uint32 array
        What each point is called: a row has the names of a point's neighbours, the nearest first.
    """
    # Unsigned, for signed indices are tested for being negative wherever they are used.
    asking = rows[tree.indices] != NO_ROW
    homes = np.flatnonzero(np.logical_or.reduceat(asking, np.arange(0, len(asking), LEAF))).astype(np.uint32)
    shrink = np.float32((1 + slack) ** 2)
    out = np.empty((np.count_nonzero(asking), count), np.uint32)
    side_by_side(
        _search, len(homes), homes, rows, count, shrink, names, tree.indices, tree.leaves, tree.forks, out
    )  # fmt: skip
    return out


@njit()
def _split(points: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Reorder points (N, 5) into leaves.

    Returns
    -------
    indices : (N,) uint32 array
        The points in their new order.
    first : (M,) uint32 array
        The first point of each node; nodes are in preorder, the root first.
    right : (M,) uint32 array
        A node's right child (the left one follows it), 0 for a leaf.
    """
    n = len(points)
    indices = np.arange(n).astype(np.uint32)
    most = 2 * ((n + LEAF - 1) // LEAF)
    first, right = np.empty(most, np.uint32), np.zeros(most, np.uint32)
    waiting = np.empty((DEPTH, 3), np.int64)  # first and last point, and the node whose right child this is
    waiting[0, 0], waiting[0, 1], waiting[0, 2] = 0, n, -1
    nodes, depth = 0, 1
    while depth > 0:
        depth -= 1
        a, b, parent = waiting[depth, 0], waiting[depth, 1], waiting[depth, 2]
        if parent >= 0:
            right[parent] = nodes
        first[nodes] = a
        leaves = (b - a + LEAF - 1) // LEAF
        if leaves > 1:
            middle = a + leaves // 2 * LEAF
            _part(points, indices, a, b, middle, _widest(points, a, b))
            waiting[depth, 0], waiting[depth, 1], waiting[depth, 2] = middle, b, nodes
            waiting[depth + 1, 0], waiting[depth + 1, 1], waiting[depth + 1, 2] = a, middle, -1
            depth += 2
        nodes += 1
    return indices, first[:nodes], right[:nodes]


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
def _forks(points: np.ndarray, first: np.ndarray, right: np.ndarray) -> np.ndarray:
    """`forks` of the tree, float32, with the boxes from the leaves up."""
    nodes, count = len(first), 0
    names = np.empty(nodes, np.uint32)
    for node in range(nodes):
        if right[node] > 0:
            names[node] = count
            count += 1
        else:
            names[node] = IS_LEAF | np.uint32(first[node] // LEAF)
    low, high = np.empty((nodes, DIMENSIONS), np.float32), np.empty((nodes, DIMENSIONS), np.float32)
    forks = np.zeros((max(1, count), WORDS), np.float32)
    children = forks.view(np.uint32)
    for node in range(nodes - 1, -1, -1):
        if right[node] > 0:
            fork, a, b = names[node], node + 1, right[node]
            children[fork, CHILDREN], children[fork, CHILDREN + 1] = names[a], names[b]
            for c in range(DIMENSIONS):
                forks[fork, 4 * c], forks[fork, 4 * c + 1] = low[a, c], low[b, c]
                forks[fork, 4 * c + 2], forks[fork, 4 * c + 3] = high[a, c], high[b, c]
                low[node, c], high[node, c] = min(low[a, c], low[b, c]), max(high[a, c], high[b, c])
        else:
            start = first[node]
            for c in range(DIMENSIONS):
                low[node, c] = high[node, c] = points[start, c]
            for i in range(start + 1, min(start + LEAF, len(points))):
                for c in range(DIMENSIONS):
                    low[node, c] = min(low[node, c], points[i, c])
                    high[node, c] = max(high[node, c], points[i, c])
    return forks


@njit()
def _part(points: np.ndarray, indices: np.ndarray, first: int, last: int, middle: int, axis: int) -> None:
    """Reorder points first to last so that none before `middle` is greater along `axis` than one after it (Hoare)."""
    last -= 1
    while first < last:
        pivot = points[(first + last) // 2, axis]
        i, j = first, last
        while i <= j:
            while points[i, axis] < pivot:
                i += 1
            while points[j, axis] > pivot:
                j -= 1
            if i <= j:
                for c in range(DIMENSIONS):
                    points[i, c], points[j, c] = points[j, c], points[i, c]
                indices[i], indices[j] = indices[j], indices[i]
                i += 1
                j -= 1
        if middle <= j:
            last = j
        elif middle >= i:
            first = i
        else:
            return


@njit()
def _search(
    begin: int,
    end: int,
    homes: np.ndarray,
    rows: np.ndarray,
    count: int,
    shrink: np.float32,
    names: np.ndarray,
    indices: np.ndarray,
    leaves: np.ndarray,
    forks: np.ndarray,
    out: np.ndarray,
) -> None:
    children, left, right = forks.view(np.uint32), np.uint32(0), np.uint32(1)
    room = (count + VECTOR - 1) // VECTOR * VECTOR
    asking, at = np.empty(LEAF, np.uint32), np.empty((DIMENSIONS, LEAF), np.float32)
    low, high = np.empty(DIMENSIONS, np.float32), np.empty(DIMENSIONS, np.float32)
    found, last = np.empty((LEAF, room), np.uint64), 2 * count - 1
    found_distances, exact = found.view(np.float32), shrink == 1
    around, around_keys = np.empty(MOST_ABOUT * LEAF, np.float32), np.empty(MOST_ABOUT * LEAF, np.uint64)
    bounds, gaps, distances = np.empty(LEAF, np.float32), np.zeros(LEAF, np.float32), np.empty(LEAF, np.float32)
    bits, keys, active = distances.view(np.uint32), np.empty(LEAF, np.uint64), np.empty(LEAF, np.uint32)
    moved, merged = np.empty(room, np.uint64), np.empty(room + LEAF, np.uint64)
    # nodes on the way, how far they are, and twice the fork that they are children of, and their side
    waiting, gap_of, place_of = np.empty(DEPTH, np.uint32), np.empty(DEPTH, np.float32), np.empty(DEPTH, np.uint32)
    for number in range(begin, end):
        m = _ask(homes[number], rows, indices, leaves, asking, at, low, high)
        for q in range(m):
            for c in range(room):
                found[q, c] = NOTHING
        first = last_about = 0
        if exact:
            first, last_about = about(homes[number], len(leaves), count)
            for q in range(m):
                distances_about(leaves, first, last_about, at, q, distances, around)
                _begin(around, (last_about - first) * LEAF, first * LEAF, count, found, q, around_keys)
        widest = np.float32(0)
        for q in range(m):
            bounds[q] = found_distances[q, last]
            widest = max(widest, bounds[q])
        waiting[0], gap_of[0], place_of[0] = IS_LEAF if len(leaves) == 1 else np.uint32(0), 0, 0
        depth = 1
        while depth > 0:
            depth -= 1
            node = waiting[depth]
            if gap_of[depth] * shrink >= widest:
                continue
            if node < IS_LEAF:
                gap, farther_gap = _gap(forks, node, left, low, high), _gap(forks, node, right, low, high)
                side = left
                if farther_gap < gap:
                    side, gap, farther_gap = right, farther_gap, gap
                for i in range(2):
                    near = np.uint32(i) ^ right ^ side  # the farther one first, so that the closer one is next
                    waiting[depth] = children[node, np.uint32(CHILDREN) + near]
                    gap_of[depth] = farther_gap if i == 0 else gap
                    place_of[depth] = np.uint32(2) * node + near
                    depth += 1
                continue
            if len(leaves) > 1:
                _gaps_to_box(forks, place_of[depth] // np.uint32(2), place_of[depth] & np.uint32(1), at, gaps)
            # What passes is listed first: a branch for each would be mispredicted all the time.
            leaf, some = node ^ IS_LEAF, 0
            if first <= leaf < last_about:
                continue
            for i in range(m):
                active[some] = i
                some += gaps[i] * shrink < bounds[i]
            if some == 0:
                continue
            for i in range(some):
                q = active[i]
                _distances_to_leaf(leaves, leaf, at, q, distances)
                closer = _closer(distances, bits, bounds[q], leaf, keys)
                if closer == 0:
                    continue
                # They take their places in the row and the last ones make room. A key's place is the number of those
                # less than it, and one found before moves by the number of new ones less than it. Written out here, as
                # references to what an inlined function is given would be counted.
                for c in range(room):
                    moved[c] = c
                for j in range(closer):
                    place = np.uint64(0)
                    for c in range(room):
                        less = np.uint64(found[q, c] < keys[j])
                        place += less
                        moved[c] += np.uint64(1) - less
                    for c in range(closer):
                        place += np.uint64(keys[c] < keys[j])
                    merged[place] = keys[j]
                for c in range(room):
                    merged[moved[c]] = found[q, c]
                for c in range(room):
                    found[q, c] = merged[c]
                bounds[q] = found_distances[q, last]
            widest = np.float32(0)
            for q in range(m):
                widest = max(widest, bounds[q])
        for q in range(m):
            row = rows[asking[q]]
            for c in range(count):
                out[row, c] = names[indices[np.uint32(found[q, c])]]


@njit()
def _ask(
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
                at[c, m] = leaves[leaf, c, j]
            m += 1
    for c in range(DIMENSIONS):
        for j in range(m, LEAF):
            at[c, j] = at[c, 0]
        least = most = at[c, 0]
        for j in range(1, LEAF):
            least, most = min(least, at[c, j]), max(most, at[c, j])
        low[c], high[c] = least, most
    return m


@njit(inline=True)
def _gap(forks: np.ndarray, fork: np.uint32, side: np.uint32, low: np.ndarray, high: np.ndarray) -> np.float32:
    """Squared distance between the box of a fork's child and another."""
    gap = np.float32(0)
    for c in range(DIMENSIONS):
        place = np.uint32(4 * c) + side
        apart = max(forks[fork, place] - high[c], low[c] - forks[fork, place + np.uint32(2)], np.float32(0))
        gap += apart * apart
    return gap


@njit(inline=True)
def _gaps_to_box(forks: np.ndarray, fork: np.uint32, side: np.uint32, at: np.ndarray, gaps: np.ndarray) -> None:
    """Squared distances of the points `at` (5, LEAF) to the box of a fork's child."""
    zero, up = np.float32(0), np.uint32(2)
    a, b, c, d, e = side, np.uint32(4) + side, np.uint32(8) + side, np.uint32(12) + side, np.uint32(16) + side
    l0, l1, l2, l3, l4 = forks[fork, a], forks[fork, b], forks[fork, c], forks[fork, d], forks[fork, e]
    h0, h1, h2 = forks[fork, a + up], forks[fork, b + up], forks[fork, c + up]
    h3, h4 = forks[fork, d + up], forks[fork, e + up]
    for i in range(LEAF):
        d0 = max(l0 - at[0, i], at[0, i] - h0, zero)
        d1 = max(l1 - at[1, i], at[1, i] - h1, zero)
        d2 = max(l2 - at[2, i], at[2, i] - h2, zero)
        d3 = max(l3 - at[3, i], at[3, i] - h3, zero)
        d4 = max(l4 - at[4, i], at[4, i] - h4, zero)
        gaps[i] = d0 * d0 + d1 * d1 + d2 * d2 + d3 * d3 + d4 * d4


@njit(inline=True)
def _distances_to_leaf(leaves: np.ndarray, leaf: np.uint32, at: np.ndarray, q: int, distances: np.ndarray) -> None:
    """Squared distances of point `q` of `at` (5, LEAF) to a leaf's points."""
    x0, x1, x2, x3, x4 = at[0, q], at[1, q], at[2, q], at[3, q], at[4, q]
    for i in range(LEAF):
        d0 = leaves[leaf, 0, i] - x0
        d1 = leaves[leaf, 1, i] - x1
        d2 = leaves[leaf, 2, i] - x2
        d3 = leaves[leaf, 3, i] - x3
        d4 = leaves[leaf, 4, i] - x4
        distances[i] = d0 * d0 + d1 * d1 + d2 * d2 + d3 * d3 + d4 * d4


@njit(inline=True)
def _closer(distances: np.ndarray, bits: np.ndarray, bound: np.float32, leaf: np.uint32, keys: np.ndarray) -> int:
    """List a leaf's points that are closer than `bound`, each by its distance's bits above its place; their number."""
    some = 0
    for j in range(LEAF):
        keys[some] = np.uint64(bits[j]) << np.uint64(32) | np.uint64(leaf * np.uint32(LEAF) + np.uint32(j))
        some += distances[j] < bound
    return some


@njit()
def about(home: int, leaves: int, count: int) -> tuple[int, int]:
    """The first leaf of those about one, which hold `count` points and more, and the one after the last."""
    reach = min((count - 1) // (2 * LEAF) + 1, MOST_ABOUT // 2)
    return max(0, home - reach), min(leaves, home + reach + 1)


@njit()
def distances_about(
    leaves: np.ndarray, first: int, last: int, at: np.ndarray, q: int, distances: np.ndarray, around: np.ndarray
) -> None:
    """Write the squared distances of a query to all points of leaves first to last into `around`."""
    for leaf in range(first, last):
        _distances_to_leaf(leaves, np.uint32(leaf), at, q, distances)
        for j in range(LEAF):
            around[(leaf - first) * LEAF + j] = distances[j]


@njit()
def bound_of_rank(around: np.ndarray, size: int, count: int) -> np.float32:
    """What `count` of the first `size` distances do not exceed, hardly above the least such number, by bisection.

    The greatest finite number where that fails: near the last leaf, which may not be full.
    """
    low, high = np.float32(0), np.float32(0)
    for i in range(size):
        high = max(high, around[i])
    if size < count or high == np.inf:
        return FINITE
    for _ in range(HALVINGS):
        middle, within = np.float32(0.5) * (low + high), np.int32(0)
        for i in range(size):
            within += around[i] <= middle
        if within >= count:
            high = middle
        else:
            low = middle
    return high


@njit()
def _begin(around: np.ndarray, size: int, start: int, count: int, found: np.ndarray, q: int, keys: np.ndarray) -> None:
    """Put the nearest of the first `size` points about a query, which begin with `start`, in its row of `found`."""
    bound, bits, some = bound_of_rank(around, size, count), around.view(np.uint32), 0
    for i in range(size):
        keys[some] = np.uint64(bits[i]) << np.uint64(32) | np.uint64(start + i)
        some += around[i] <= bound
    for i in range(some):
        place = 0
        for j in range(some):
            place += keys[j] < keys[i]
        if place < count:
            found[q, place] = keys[i]
