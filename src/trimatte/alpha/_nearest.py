"""Nearest neighbours of many points among as many, by a k-d tree that is asked leaf by leaf.

The points of a leaf lie close together, so they search together: one walk through the tree serves them all, and a leaf
that it meets is compared point by point, which runs at the speed of vector instructions (after the dual trees of
Gray and Moore, NIPS 2000). Each query still prunes by its own distances.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from trimatte._jit import njit, prange
from trimatte._threads import available_threads

LEAF = 16
"""Points in a leaf: a vector register's worth."""
DEPTH = 64
"""Nodes that may wait on the way; a tree that halves its points is never so deep."""


@dataclass(frozen=True)
class Tree:
    """A k-d tree on N points in d dimensions; each leaf is a run of `LEAF` consecutive points, the last one of fewer.

    Attributes
    ----------
    indices : (N,) uint32, the points in the order of the tree.
    leaves : (L, d, LEAF) float32, the coordinates of each leaf's points, infinite where the last leaf has none.
    first : (M,) uint32, the first point of each node; nodes are in preorder, the root first.
    right : (M,) uint32, a node's right child (the left one follows it), 0 for a leaf.
    low, high : (M, d) float32, the box around a node's points.
    """

    indices: np.ndarray
    leaves: np.ndarray
    first: np.ndarray
    right: np.ndarray
    low: np.ndarray
    high: np.ndarray


def tree_of(points: np.ndarray) -> Tree:
    """The tree on points (N, d) float32, N >= 1, split at medians along the widest side of each node's box."""
    n, d = points.shape
    count = -(-n // LEAF)
    ordered = np.full((count * LEAF, d), np.inf, np.float32)
    ordered[:n] = points
    indices, *nodes = _build(ordered[:n])
    return Tree(indices, np.ascontiguousarray(ordered.reshape(count, LEAF, d).transpose(0, 2, 1)), *nodes)


def nearest(tree: Tree, queries: int, count: int, slack: float, names: np.ndarray) -> np.ndarray:
    """The `count` <= N nearest points, itself among them, of every point below `queries`: (queries, count) uint32.

    Parameters
    ----------
    slack : a point found is at most 1 + slack times as far as the true one of its rank (Arya et al., JACM 1998).
    names : (N,) uint32, what each point is called: row names[i] has the names of point i's neighbours, the nearest
        first.
    """
    # Unsigned, for signed indices are tested for being negative wherever they are used.
    leaves = np.flatnonzero(tree.right == 0).astype(np.uint32)
    asking = np.add.reduceat(tree.indices < queries, tree.first[leaves], dtype=np.int64) > 0
    leaves, threads = leaves[asking], available_threads()
    leaves = np.concatenate([leaves[i::threads] for i in range(threads)])  # so that all have the same to do
    shrink = np.float32((1 + slack) ** 2)
    out = np.empty((queries, count), np.uint32)
    parts = tree.indices, tree.leaves, tree.first, tree.right, tree.low, tree.high
    _search(leaves, queries, count, shrink, names, *parts, out)
    return out


@njit()
def _build(
    points: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    n, d = points.shape
    indices = np.arange(n).astype(np.uint32)
    most = 2 * ((n + LEAF - 1) // LEAF)
    first, right = np.empty(most, np.uint32), np.zeros(most, np.uint32)
    low, high = np.empty((most, d), np.float32), np.empty((most, d), np.float32)
    waiting = np.empty((DEPTH, 3), np.int64)  # first and last point, and the node whose right child this is
    waiting[0] = 0, n, -1
    nodes, depth = 0, 1
    while depth > 0:
        depth -= 1
        a, b, parent = waiting[depth]
        if parent >= 0:
            right[parent] = nodes
        first[nodes] = a
        low[nodes], high[nodes] = points[a], points[a]
        for i in range(a + 1, b):
            for c in range(d):
                low[nodes, c] = min(low[nodes, c], points[i, c])
                high[nodes, c] = max(high[nodes, c], points[i, c])
        leaves = (b - a + LEAF - 1) // LEAF
        if leaves > 1:
            middle = a + leaves // 2 * LEAF
            _part(points, indices, a, b, middle, int(np.argmax(high[nodes] - low[nodes])))
            waiting[depth] = middle, b, nodes
            waiting[depth + 1] = a, middle, -1
            depth += 2
        nodes += 1
    return indices, first[:nodes], right[:nodes], low[:nodes], high[:nodes]


@njit()
def _part(points: np.ndarray, indices: np.ndarray, first: int, last: int, middle: int, axis: int) -> None:
    """Reorder points first to last so that none before `middle` is greater along `axis` than one after it (Hoare)."""
    d = points.shape[1]
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
                for c in range(d):
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


@njit(parallel=True)
def _search(
    homes: np.ndarray,
    queries: int,
    count: int,
    shrink: np.float32,
    names: np.ndarray,
    indices: np.ndarray,
    leaves: np.ndarray,
    first: np.ndarray,
    right: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
    out: np.ndarray,
) -> None:
    d = leaves.shape[1]
    for number in prange(len(homes)):
        home = homes[number]
        asking, at, m = _asking(first[home], queries, indices, leaves)
        near, found = np.full((m, count), np.inf, np.float32), np.empty((m, count), np.uint32)
        gaps, distances = np.empty(LEAF, np.float32), np.empty(LEAF, np.float32)
        home_low, home_high = low[home], high[home]
        waiting, waiting_gap = np.empty(DEPTH, np.uint32), np.empty(DEPTH, np.float32)
        waiting[0], waiting_gap[0] = 0, 0
        depth, widest = 1, np.float32(np.inf)
        while depth > 0:
            depth -= 1
            node = waiting[depth]
            if waiting_gap[depth] * shrink >= widest:
                continue
            if right[node] > 0:
                closer, farther = np.uint32(node + 1), right[node]
                gap = _gap(low[closer], high[closer], home_low, home_high)
                farther_gap = _gap(low[farther], high[farther], home_low, home_high)
                if farther_gap < gap:
                    closer, gap, farther, farther_gap = farther, farther_gap, closer, gap
                waiting[depth], waiting_gap[depth] = farther, farther_gap
                waiting[depth + 1], waiting_gap[depth + 1] = closer, gap
                depth += 2
                continue
            gaps[:] = 0
            for c in range(d):
                for q in range(LEAF):
                    apart = max(low[node, c] - at[c, q], at[c, q] - high[node, c], np.float32(0))
                    gaps[q] += apart * apart
            here = leaves[first[node] // LEAF]
            widest = np.float32(0)
            for q in range(m):
                nearest_to, found_by = near[q], found[q]
                bound = nearest_to[count - 1]
                if gaps[q] * shrink < bound:
                    distances[:] = 0
                    for c in range(d):
                        for j in range(LEAF):
                            apart = here[c, j] - at[c, q]
                            distances[j] += apart * apart
                    for j in range(LEAF):
                        if distances[j] < bound:
                            place = count - 1
                            while place > 0 and nearest_to[place - 1] > distances[j]:
                                nearest_to[place], found_by[place] = nearest_to[place - 1], found_by[place - 1]
                                place -= 1
                            nearest_to[place], found_by[place] = distances[j], first[node] + j
                            bound = nearest_to[count - 1]
                widest = max(widest, bound)
        for q in range(m):
            row = out[names[asking[q]]]
            for c in range(count):
                row[c] = names[indices[found[q, c]]]


@njit()
def _asking(start: int, queries: int, indices: np.ndarray, leaves: np.ndarray) -> tuple[np.ndarray, np.ndarray, int]:
    """The points of a leaf that are queries, their coordinates (d, LEAF), padded by repetition, and their number."""
    points, at, m = np.empty(LEAF, np.uint32), np.empty((leaves.shape[1], LEAF), np.float32), 0
    leaf = leaves[start // LEAF]
    for j in range(min(LEAF, len(indices) - start)):
        if indices[start + j] < queries:
            points[m] = indices[start + j]
            at[:, m] = leaf[:, j]
            m += 1
    for j in range(m, LEAF):
        at[:, j] = at[:, 0]
    return points, at, m


@njit(inline=True)
def _gap(low: np.ndarray, high: np.ndarray, other_low: np.ndarray, other_high: np.ndarray) -> np.float32:
    """Squared distance between two boxes."""
    gap = np.float32(0)
    for c in range(len(low)):
        apart = max(low[c] - other_high[c], other_low[c] - high[c], np.float32(0))
        gap += apart * apart
    return gap
