"""Laplacians of neighbour graphs with unit weights, kept as lists of ends alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from trimatte._jit import njit, prange

ROWS = 1024
"""Rows that one thread multiplies at a time."""


@dataclass(frozen=True)
class Graph:
    """A symmetric multigraph on n free vertices, joined to fixed ones whose values are known.

    Its Laplacian on the free vertices, D - W, is symmetric and positive definite where every free vertex leads to a
    fixed one.

    Attributes
    ----------
    starts : (n + 1,) int64, where each vertex's list begins.
    ends : (starts[n],) int32, the free vertices at the other end of its edges; those joined twice appear twice.
    degree : (n,) float64, number of edges, with those to fixed vertices: the diagonal D.
    pull : (n,) float64, sum of the values of its fixed neighbours: the right-hand side.
    """

    starts: np.ndarray
    ends: np.ndarray
    degree: np.ndarray
    pull: np.ndarray

    def multiply(self, x: np.ndarray, out: np.ndarray) -> None:
        """Write (D - W) x into out."""
        _multiply(self.starts, self.ends, self.degree, x, out)

    def jacobi(self, r: np.ndarray, out: np.ndarray) -> None:
        """Write D^-1 r into out."""
        np.divide(r, self.degree, out=out)

    def undetermined(self) -> np.ndarray:
        """(n,) bool: free vertices from which no path leads to a fixed one."""
        free: np.ndarray = ~_reached(self.starts, self.ends, np.diff(self.starts) < self.degree)
        return free


def symmetric_graph(found: np.ndarray, ones: int) -> Graph:
    """Graph with an edge from every free vertex to each of its neighbours, seen from both ends.

    Parameters
    ----------
    found : (n, k) int32, neighbours of each free vertex: 0 <= j < n is a free vertex (itself is passed over), j >= n
        a fixed one, of value 1 if j < n + ones, else 0.
    """
    return Graph(*_symmetric(found, ones))


@njit()
def _symmetric(found: np.ndarray, ones: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    n, k = found.shape
    starts, degree, pull = np.zeros(n + 1, np.int64), np.zeros(n), np.zeros(n)
    for i in range(n):
        for c in range(k):
            j = found[i, c]
            if j == i:
                continue
            degree[i] += 1
            if j < n:
                degree[j] += 1
                starts[i + 1] += 1
                starts[j + 1] += 1
            elif j < n + ones:
                pull[i] += 1
    for i in range(n):
        starts[i + 1] += starts[i]
    free = starts[:-1].copy()
    ends = np.empty(starts[n], np.int32)
    for i in range(n):
        for c in range(k):
            j = found[i, c]
            if j != i and j < n:
                ends[free[i]] = j
                ends[free[j]] = i
                free[i] += 1
                free[j] += 1
    return starts, ends, degree, pull


@njit(parallel=True)
def _multiply(starts: np.ndarray, ends: np.ndarray, degree: np.ndarray, x: np.ndarray, out: np.ndarray) -> None:
    for chunk in prange((len(x) + ROWS - 1) // ROWS):
        for i in range(chunk * ROWS, min(len(x), (chunk + 1) * ROWS)):
            total = 0.0
            for e in range(starts[i], starts[i + 1]):
                total += x[ends[e]]
            out[i] = degree[i] * x[i] - total


@njit()
def _reached(starts: np.ndarray, ends: np.ndarray, seeds: np.ndarray) -> np.ndarray:
    reached = seeds.copy()
    queue = np.empty(len(seeds), np.int32)
    count = 0
    for i in range(len(seeds)):
        if seeds[i]:
            queue[count] = i
            count += 1
    while count > 0:
        count -= 1
        i = queue[count]
        for e in range(starts[i], starts[i + 1]):
            if not reached[ends[e]]:
                reached[ends[e]] = True
                queue[count] = ends[e]
                count += 1
    return reached
