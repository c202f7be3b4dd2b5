"""A coarse space for Laplacians whose weights differ by many orders: constants over pixels that hang together.

Where weights differ by many orders, what an iteration leaves behind is a constant on each part of the band that is
joined firmly within and loosely to the rest. So pixels are joined in pairs, each with the neighbour that it hangs on
most, pairs in pairs again, and so on (Notay, ETNA 2010): no aggregate mixes what is firmly joined with what is not. The
coarse graph has the aggregates as vertices and between two of them the sum of the weights. It is again a Laplacian of
a graph, and solved in the same way down to one of few vertices.

All is float64, and each vertex keeps its hold, the sum of its weights to known pixels, rather than its diagonal: the
holds of aggregates add up exactly, where a difference of diagonals would lose weights a thousand million times less.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from trimatte.linalg.stencil import SLOTS, StencilSystem
from trimatte.runtime.jit import njit

DOUBLINGS = 3
"""Rounds of joining from one level to the next, so that most aggregates are of up to eight vertices."""
LEAST = 50
"""Graphs up to this many vertices are solved by elimination."""
STALLED = 0.8
"""A graph that keeps more than this share of its vertices is only swept over: its vertices hang on what is known."""
STEPS, LOWER, UPPER = 3, 0.2, 1.0
"""On coarse graphs so many steps of Chebyshev's iteration, an odd number, for a spectrum between these bounds."""
FIRM = 0.25
"""Two are joined if the weight between them is at least this share of the greatest within and about one of them."""
HANGING = 0.25
"""One hangs on another above all whose weight is this share of its diagonal."""
HELD = 10.0
"""A vertex whose hold is so many times the sum of its weights is settled by a sweep, and seeks none to be joined to."""

Solve = Callable[[np.ndarray], np.ndarray]


class Weighted(NamedTuple):
    """A graph on n vertices.

    Attributes
    ----------
    starts : (n + 1,) int64 array
        Where each vertex's list of edges begins.
    ends : (starts[n],) uint32 array
        The vertices at the other end, each at most once.
    weights : (starts[n],) float64 array
    hold : (n,) float64 array
        What ties a vertex to known values: its diagonal is the sum of its weights and this.
    """

    starts: np.ndarray
    ends: np.ndarray
    weights: np.ndarray
    hold: np.ndarray


class Aggregates(NamedTuple):
    """Constants over aggregates of the unknown pixels; see the top of this module.

    Attributes
    ----------
    owner : (n,) uint32 array
        Aggregate of each pixel.
    count : int
        How many there are.
    solve : callable
        Solves on their graph, nearly.
    """

    owner: np.ndarray
    count: int  # type: ignore[assignment]  # a tuple's method of that name is not wanted
    solve: Solve

    def correct(self, r: np.ndarray, out: np.ndarray) -> None:
        """out = P A_c^-1 P' r for a residual r (n,)."""
        np.take(self.solve(_sums(r, self.owner, self.count)), self.owner, out=out)


def aggregates(system: StencilSystem) -> Aggregates:
    """The coarse space of a system whose matrix is a Laplacian, diagonal aside: no coefficient above 0."""
    owner, coarse = _coarsen(_graph(system))
    return Aggregates(owner, len(coarse.hold), _solver(coarse))


def _solver(graph: Weighted) -> Solve:
    """Solves on a graph: exactly on a small one, else by `STEPS` steps of Chebyshev's iteration.

    What it leaves of an error, one minus a polynomial of odd degree, is less than the error for all of a positive
    spectrum, beyond the bounds, too: so this is positive definite whatever the graph.
    """
    n = len(graph.hold)
    if n <= LEAST:
        inverse = _inverse(graph)
        return lambda r: np.asarray(np.einsum("ij,j->i", inverse, r))
    diagonal = _diagonal(graph)
    owner, coarse = _coarsen(graph)
    stalled = len(coarse.hold) > STALLED * n
    below = None if stalled else _solver(coarse)
    middle, reach = (UPPER + LOWER) / 2, (UPPER - LOWER) / 2

    def cycle(r: np.ndarray) -> np.ndarray:
        z, rest = _sweep_down(graph, diagonal, r)
        if below:
            z += below(_sums(rest, owner, len(coarse.hold)))[owner]
        _sweep_up(graph, diagonal, r, z)
        return z

    def solve(r: np.ndarray) -> np.ndarray:
        step = cycle(r) / middle
        z, rho = step.copy(), reach / middle
        for _ in range(STEPS - 1):
            previous, rho = rho, 1 / (2 * middle / reach - rho)
            step = rho * previous * step + 2 * rho / reach * cycle(_residual(graph, diagonal, r, z))
            z += step
        return z

    return solve


def _coarsen(graph: Weighted) -> tuple[np.ndarray, Weighted]:
    """Each vertex's aggregate, and the graph of the aggregates."""
    owner, coarse, scale = np.arange(len(graph.hold), dtype=np.uint32), graph, _strongest(graph)
    for _ in range(DOUBLINGS):
        joined, coarse, scale = _contract(coarse, scale, _leaders(coarse, scale))
        owner = joined[owner]
    return owner, coarse


@njit()
def _sums(r: np.ndarray, owner: np.ndarray, count: int) -> np.ndarray:
    """Sum over each aggregate."""
    sums = np.zeros(count)
    for i in range(len(r)):
        sums[owner[i]] += r[i]
    return sums


@njit()
def _diagonal(graph: Weighted) -> np.ndarray:
    starts, weights = graph.starts, graph.weights
    diagonal = graph.hold.copy()
    for i in range(len(diagonal)):
        for e in range(starts[i], starts[i + 1]):
            diagonal[i] += weights[e]
    return diagonal


@njit()
def _strongest(graph: Weighted) -> np.ndarray:
    """The greatest weight of each vertex, its hold among them."""
    strongest = graph.hold.copy()
    for i in range(len(strongest)):
        for e in range(graph.starts[i], graph.starts[i + 1]):
            strongest[i] = max(strongest[i], graph.weights[e])
    return strongest


@njit()
def _leaders(graph: Weighted, scale: np.ndarray) -> np.ndarray:
    """For each vertex the one that it is joined to; one that others are joined to, or that stays alone, is its own.

    Pairs come first: of neighbours not joined yet it is that whose weight is the largest share of the lesser
    diagonal of the two. Who is then alone, and hangs on one neighbour above all, is joined to that one's pair: many
    may hang on one. Where the weight is small beside those within the two, they are not joined. So
    parts that are joined firmly within and loosely to the rest stay apart until there is a level on which each is a
    vertex, which a sweep settles.
    """
    starts, ends, weights, diagonal = graph.starts, graph.ends, graph.weights, _diagonal(graph)
    n = len(diagonal)
    leader, leads = np.full(n, n, np.int64), np.zeros(n, np.bool_)
    for i in range(n):
        if leader[i] < n:
            continue
        best, chosen = 0.0, np.int64(i)
        if graph.hold[i] * (1 + 1 / HELD) < diagonal[i]:
            for e in range(starts[i], starts[i + 1]):
                j = np.int64(ends[e])
                share = weights[e] / min(diagonal[i], diagonal[j])
                if leader[j] == n and share > best and weights[e] >= FIRM * min(scale[i], scale[j]):
                    best, chosen = share, j
        leader[i] = leader[chosen] = i
        leads[i] = chosen != i
    for i in range(n):
        if leads[i] or leader[i] != i:
            continue
        best, chosen = HANGING * diagonal[i], np.int64(i)
        for e in range(starts[i], starts[i + 1]):
            j = np.int64(ends[e])
            if weights[e] > best and weights[e] >= FIRM * min(scale[i], scale[j]):
                best, chosen = weights[e], j
        leader[i] = leader[chosen]
        leads[leader[i]] = True
    return leader


@njit()
def _contract(graph: Weighted, scale: np.ndarray, leader: np.ndarray) -> tuple[np.ndarray, Weighted, np.ndarray]:
    """The number of each vertex's aggregate, the graph of the aggregates, and their scales."""
    n = len(leader)
    owner, count, following = np.empty(n, np.uint32), 0, np.full(n, -1, np.int64)
    for i in range(n):
        if leader[i] == i:
            owner[i] = count
            count += 1
        else:
            following[i], following[leader[i]] = following[leader[i]], i
    for i in range(n):
        owner[i] = owner[leader[i]]
    starts, hold, scales = np.zeros(count + 1, np.int64), np.zeros(count), np.zeros(count)
    ends, weights = np.empty(len(graph.ends), np.uint32), np.empty(len(graph.ends))
    seen = np.full(count, -1, np.int64)  # where a neighbour's edge is, if it is the present aggregate's
    size = 0
    for i in range(n):
        if leader[i] != i:
            continue
        number, first, member = np.int64(owner[i]), size, i
        while member >= 0:
            hold[number] += graph.hold[member]
            scales[number] = max(scales[number], scale[member])
            for e in range(graph.starts[member], graph.starts[member + 1]):
                j = np.int64(owner[graph.ends[e]])
                if j == number:
                    continue
                if seen[j] < first:
                    seen[j] = size
                    ends[size], weights[size] = j, 0.0
                    size += 1
                weights[seen[j]] += graph.weights[e]
            member = following[member]
        starts[number + 1] = size
    return owner, Weighted(starts, ends[:size].copy(), weights[:size].copy(), hold), scales


def _graph(system: StencilSystem) -> Weighted:
    """The graph of a stencil's matrix."""
    starts, ends, weights = _edges(system.coefficients, system.runs)
    graph = Weighted(starts, ends, weights, np.zeros(system.band.size))
    return graph._replace(hold=np.maximum(system.diagonal - _diagonal(graph), 0))


@njit()
def _edges(coefficients: np.ndarray, runs: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    n = len(runs)
    starts = np.zeros(n + 1, np.int64)
    for i in range(n):
        for row in range(3):
            run, slot = np.int64(runs[i, row]), SLOTS[row]
            first = run >> 3
            for k in range(run & 7):
                if coefficients[i, slot + k] < 0:
                    starts[i + 1] += 1
                    starts[first + k + 1] += 1
    for i in range(n):
        starts[i + 1] += starts[i]
    ends, weights, free = np.empty(starts[n], np.uint32), np.empty(starts[n]), starts[:-1].copy()
    for i in range(n):
        for row in range(3):
            run, slot = np.int64(runs[i, row]), SLOTS[row]
            first = run >> 3
            for k in range(run & 7):
                weight = -np.float64(coefficients[i, slot + k])
                if weight > 0:
                    j = first + k
                    ends[free[i]], weights[free[i]] = j, weight
                    ends[free[j]], weights[free[j]] = i, weight
                    free[i] += 1
                    free[j] += 1
    return starts, ends, weights


@njit()
def _sweep_down(graph: Weighted, diagonal: np.ndarray, r: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """One Gauss-Seidel sweep from zero, and the residual that it leaves."""
    starts, ends, weights = graph.starts, graph.ends, graph.weights
    x, rest = np.zeros(len(r)), r.copy()
    for i in range(len(r)):
        x[i] = rest[i] / diagonal[i]
        rest[i] = 0.0
        for e in range(starts[i], starts[i + 1]):
            rest[ends[e]] += weights[e] * x[i]
    return x, rest


@njit()
def _sweep_up(graph: Weighted, diagonal: np.ndarray, r: np.ndarray, x: np.ndarray) -> None:
    """One Gauss-Seidel sweep in the other order, from x on."""
    starts, ends, weights = graph.starts, graph.ends, graph.weights
    for back in range(len(r)):
        i = len(r) - 1 - back
        total = r[i]
        for e in range(starts[i], starts[i + 1]):
            total += weights[e] * x[ends[e]]
        x[i] = total / diagonal[i]


@njit()
def _residual(graph: Weighted, diagonal: np.ndarray, r: np.ndarray, x: np.ndarray) -> np.ndarray:
    """r - A x."""
    starts, ends, weights = graph.starts, graph.ends, graph.weights
    rest = np.empty(len(r))
    for i in range(len(r)):
        total = r[i] - diagonal[i] * x[i]
        for e in range(starts[i], starts[i + 1]):
            total += weights[e] * x[ends[e]]
        rest[i] = total
    return rest


@njit()
def _inverse(graph: Weighted) -> np.ndarray:
    """Of the matrix, by elimination without pivots (Gauss and Jordan), which a Laplacian needs none of."""
    n = len(graph.hold)
    matrix, diagonal = np.zeros((n, n)), _diagonal(graph)
    for i in range(n):
        matrix[i, i] = diagonal[i]
        for e in range(graph.starts[i], graph.starts[i + 1]):
            matrix[i, graph.ends[e]] = -graph.weights[e]
    for k in range(n):
        pivot = matrix[k, k]
        matrix[k, k] = 1.0
        for j in range(n):
            matrix[k, j] /= pivot
        for i in range(n):
            if i != k:
                factor = matrix[i, k]
                matrix[i, k] = 0.0
                for j in range(n):
                    matrix[i, j] -= factor * matrix[k, j]
    return (matrix + matrix.T) / 2
