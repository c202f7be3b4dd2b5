"""Laplacians of neighbour graphs, kept as lists of edges, and a multigrid preconditioner for them.

Neighbouring vertices are numbered one after the other (the caller sees to it), so that an aggregate is `BLOCK`
consecutive vertices. A coarse graph has the aggregates as vertices and between two of them the sum of the edges, which
is the Galerkin product with piecewise constants: again a graph Laplacian (Notay, ETNA 2010).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np

from trimatte.runtime.jit import njit, side_by_side
from trimatte.runtime.threads import available_threads

BLOCK = 8
DENSE = 200
"""Graphs up to this many vertices are solved by a dense inverse."""
STEPS, LOWER, UPPER = 3, 0.15, 2.6
"""On coarse graphs so many steps of Chebyshev's iteration, an odd number, for a spectrum between these bounds."""
SERIAL = 4096
"""Graphs up to this many vertices are not worth waking threads for."""

Precondition = Callable[[np.ndarray, np.ndarray], None]


class Graph(NamedTuple):
    """A symmetric graph on n free vertices, joined to fixed ones.

    Its Laplacian on the free vertices, D - W, is symmetric, and positive definite where from every free vertex a path
    leads to a fixed one.

    Attributes
    ----------
    starts : (n + 1,) int64 array
        Where each vertex's list of edges begins.
    ends : (starts[n],) uint32 array
        The free vertices at the other end; a vertex may be there more than once.
    weights : (starts[n],) float32 array
        Or empty if all are 1.
    degree : (n,) float64 array
        Sum of a vertex's weights, those of edges to fixed vertices included: the diagonal D.
    """

    starts: np.ndarray
    ends: np.ndarray
    weights: np.ndarray
    degree: np.ndarray

    def multiply(self, x: np.ndarray, out: np.ndarray) -> None:
        """Write (D - W) x into out, x rounded to single precision: half as much to fetch from all over the memory."""
        single = x.astype(np.float32)
        if len(x) > SERIAL:
            side_by_side(_multiply, len(x), self, single, out)
        else:
            _multiply(0, len(x), self, single, out)

    def undetermined(self) -> np.ndarray:
        """(n,) bool: free vertices from which no path leads to a fixed one."""
        lonely: np.ndarray = ~_reached(self.starts, self.ends, self.degree > np.diff(self.starts))
        return lonely


def multigrid(graph: Graph) -> Precondition:
    """A symmetric positive definite approximation of the inverse Laplacian, for conjugate gradients.

    Jacobi's correction and the coarse one are added, which needs no product with the matrix.
    """
    coarse = _coarse_solver(_coarsen(graph))

    def precondition(r: np.ndarray, out: np.ndarray) -> None:
        _correct(r, graph.degree, coarse(_gather(r)), out)

    return precondition


def _coarse_solver(graph: Graph) -> Callable[[np.ndarray], np.ndarray]:
    """Solves on a coarse graph: exactly on a small one, else by `STEPS` steps of Chebyshev's iteration.

    What it leaves of an error, one minus a polynomial of odd degree, is less than the error for all of a positive
    spectrum, beyond the bounds, too: so this is positive definite whatever the graph.
    """
    if len(graph.degree) <= DENSE:
        inverse = _inverse(_dense(graph))
        # BLAS may add in another order if it has more threads.
        return lambda r: np.asarray(np.einsum("ij,j->i", inverse, r))
    precondition = multigrid(graph)
    middle, reach = (UPPER + LOWER) / 2, (UPPER - LOWER) / 2

    def solve(r: np.ndarray) -> np.ndarray:
        correction, product = np.empty_like(r), np.empty_like(r)
        precondition(r, correction)
        step = correction / middle
        z = step.copy()
        rho = reach / middle
        for _ in range(STEPS - 1):
            graph.multiply(z, product)
            precondition(r - product, correction)
            previous, rho = rho, 1 / (2 * middle / reach - rho)
            step = rho * previous * step + 2 * rho / reach * correction
            z += step
        return z

    return solve


@njit()
def _correct(r: np.ndarray, degree: np.ndarray, coarse: np.ndarray, out: np.ndarray) -> None:
    """Write r / degree plus each aggregate's coarse value into out."""
    for i in range(len(coarse)):
        for v in range(i * BLOCK, min(len(r), (i + 1) * BLOCK)):
            out[v] = r[v] / degree[v] + coarse[i]


@njit()
def _gather(r: np.ndarray) -> np.ndarray:
    """Sum over each aggregate."""
    sums = np.zeros((len(r) + BLOCK - 1) // BLOCK)
    for i in range(len(sums)):
        for v in range(i * BLOCK, min(len(r), (i + 1) * BLOCK)):
            sums[i] += r[v]
    return sums


def _dense(graph: Graph) -> np.ndarray:
    """The Laplacian (n, n), made definite where it is singular."""
    n = len(graph.degree)
    places = np.repeat(np.arange(n) * n, np.diff(graph.starts)) + graph.ends
    weights = np.bincount(places, graph.weights, n * n).reshape(n, n)
    matrix: np.ndarray = np.diag(graph.degree * (1 + 1e-9) + 1e-9) - weights
    return matrix


def _inverse(matrix: np.ndarray) -> np.ndarray:
    """Of a symmetric positive definite matrix, by elimination without pivots (Gauss and Jordan)."""
    inverse = matrix.copy()
    for k in range(len(inverse)):
        pivot, column = inverse[k, k], inverse[:, k].copy()
        row = inverse[k] / pivot
        inverse -= np.multiply.outer(column, row)
        inverse[k], inverse[:, k] = row, -column / pivot
        inverse[k, k] = 1 / pivot
    symmetric: np.ndarray = (inverse + inverse.T) / 2
    return symmetric


def _coarsen(graph: Graph) -> Graph:
    blocks = -(-len(graph.degree) // BLOCK)
    threads = available_threads() if blocks * BLOCK > SERIAL else 1

    def part(first: int, last: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        return _aggregate(first, last, graph)

    borders = [blocks * i // threads for i in range(threads + 1)]
    with ThreadPoolExecutor(threads) as pool:
        parts = list(pool.map(part, borders, borders[1:]))
    counts, ends, weights, degree = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    return Graph(np.concatenate([[0], np.cumsum(counts)]), ends, weights, degree)


def symmetric_graph(
    found: Sequence[np.ndarray], ones: int, from_fixed: Sequence[tuple[np.ndarray, int]] = ()
) -> tuple[Graph, np.ndarray]:
    """Graph with an edge of weight 1 from every free vertex to each of its neighbours, and (n,) float64 the sum of each
    free vertex's fixed neighbours, the right-hand side.

    Parameters
    ----------
    found : of (n, k) uint32, neighbours of each free vertex: j < n is a free vertex (itself is passed over), j >= n
        a fixed one, of value 1 if j < n + ones, else 0.
    from_fixed : sequence of (ndarray, int), default ()
        Pairs of (m, k) uint32, neighbours of m fixed vertices, and the number of those, the first ones, whose value is
        1; their edges to one another do not matter.
    """
    n = len(found[0])
    with ThreadPoolExecutor(min(len(found), available_threads())) as pool:
        counts = list(pool.map(lambda neighbours: _count(neighbours, ones), found))
        edges = np.cumsum([own for own, _, _ in counts], axis=0)  # those of a search come before those of the next
        starts = np.concatenate([[0], np.cumsum(edges[-1])])
        free = [starts[:-1] + before for before in (np.zeros(n, np.int64), *edges[:-1])]
        ends = np.empty(starts[n], np.uint32)
        list(pool.map(lambda neighbours, places: _join(neighbours, places, ends), found, free))
    fixed = np.sum([fixed for _, fixed, _ in counts], axis=0, dtype=np.float64)
    pull: np.ndarray = np.sum([pull for _, _, pull in counts], axis=0)
    for neighbours, of_value_one in from_fixed:
        for rows, value in ((neighbours[:of_value_one], 1), (neighbours[of_value_one:], 0)):
            times = np.bincount(rows[rows < n], minlength=n)
            fixed += times
            pull += value * times
    return Graph(starts, ends, np.empty(0, np.float32), edges[-1] + fixed), pull


@njit()
def _count(found: np.ndarray, ones: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Each vertex's number of edges to free vertices and to fixed ones, and the sum of the latter's values."""
    n, k = found.shape
    edges, fixed, pull = np.zeros(n, np.int64), np.zeros(n, np.uint32), np.zeros(n)
    for i in range(n):
        own = 0
        for c in range(k):
            j = found[i, c]
            if j >= n:
                fixed[i] += 1
                pull[i] += j < n + ones
            elif j != i:
                edges[j] += 1
                own += 1
        edges[i] += own
    return edges, fixed, pull


@njit()
def _join(found: np.ndarray, free: np.ndarray, ends: np.ndarray) -> None:
    n, k = found.shape
    for i in range(n):
        own = free[i]
        for c in range(k):
            j = found[i, c]
            if j != i and j < n:
                ends[own] = j
                own += 1
                ends[free[j]] = i
                free[j] += 1
        free[i] = own


@njit()
def _aggregate(first: int, last: int, graph: Graph) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Of aggregates first to last the number of edges, the edges' other ends and weights, and the degrees."""
    starts, ends, weights, degree = graph.starts, graph.ends, graph.weights, graph.degree
    n, unit = len(degree), len(weights) == 0
    m = last - first
    counts, coarse_degree = np.zeros(m, np.int64), np.zeros(m)
    most = starts[min(n, last * BLOCK)] - starts[first * BLOCK]
    coarse_ends, coarse_weights = np.empty(most, np.uint32), np.empty(most, np.float32)
    slot = np.full((n + BLOCK - 1) // BLOCK, -1, np.int64)
    count = 0
    for i in range(first, last):
        begin = count
        for v in range(i * BLOCK, min(n, (i + 1) * BLOCK)):
            coarse_degree[i - first] += degree[v]
            for e in range(starts[v], starts[v + 1]):
                j, weight = ends[e] // BLOCK, np.float32(1) if unit else weights[e]
                if j == i:
                    coarse_degree[i - first] -= weight
                elif slot[j] >= begin:
                    coarse_weights[slot[j]] += weight
                else:
                    slot[j], coarse_ends[count], coarse_weights[count] = count, j, weight
                    count += 1
        counts[i - first] = count - begin
        # 0 where an aggregate is a component of its own
        coarse_degree[i - first] = max(coarse_degree[i - first], 1e-6)
    return counts, coarse_ends[:count].copy(), coarse_weights[:count].copy(), coarse_degree


@njit()
def _multiply(first: int, last: int, graph: Graph, x: np.ndarray, out: np.ndarray) -> None:
    starts, ends, weights, degree = graph.starts, graph.ends, graph.weights, graph.degree
    # Four sums side by side: faster than one, and than the gathering instructions that the compiler would take for one.
    unit, one, two, three, four = len(weights) == 0, np.uint64(1), np.uint64(2), np.uint64(3), np.uint64(4)
    for i in range(first, last):
        a = b = c = d = 0.0
        e, stop = np.uint64(starts[i]), np.uint64(starts[i + 1])
        if unit:
            while e + three < stop:
                a += x[ends[e]]
                b += x[ends[e + one]]
                c += x[ends[e + two]]
                d += x[ends[e + three]]
                e += four
        else:
            while e + three < stop:
                a += weights[e] * x[ends[e]]
                b += weights[e + one] * x[ends[e + one]]
                c += weights[e + two] * x[ends[e + two]]
                d += weights[e + three] * x[ends[e + three]]
                e += four
        while e < stop:
            a += (1 if unit else weights[e]) * x[ends[e]]
            e += one
        out[i] = degree[i] * x[i] - ((a + b) + (c + d))


@njit()
def _reached(starts: np.ndarray, ends: np.ndarray, seeds: np.ndarray) -> np.ndarray:
    # Every vertex looks for a neighbour that is reached, which most find at once, until a round finds none; up and down
    # in turn, so that a long way in either direction takes one round.
    n, reached = len(seeds), seeds.copy()
    turn, changed = 0, True
    while changed:
        changed = False
        for k in range(n):
            i = k if turn % 2 == 0 else n - 1 - k
            if reached[i]:
                continue
            for e in range(starts[i], starts[i + 1]):
                if reached[ends[e]]:
                    reached[i] = changed = True
                    break
        turn += 1
    return reached
