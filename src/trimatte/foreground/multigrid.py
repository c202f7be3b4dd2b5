"""A multigrid preconditioner for two layers of colours over the pixels of a band.

At each pixel the layers are coupled by a 2 x 2 matrix, the mass, and with each of the four neighbours both are coupled
alike, by the weight of the edge to it. A grid of cells of 2 x 2 pixels is of the same kind: masses add up, and so do
the weights of the edges between two cells, of which half is taken, since a step from cell to cell is twice as long as
one from pixel to pixel (Braess, Computing 1995, on plain aggregates, whose coarse matrix is too stiff). A V-cycle has
as many damped Jacobi sweeps on its way up as on its way down, so that it is a symmetric matrix.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from trimatte.runtime.jit import njit, side_by_side

STIFF = 0.5
"""The share of a coarse edge's weight that is taken."""
DAMPING = 0.8
SWEEPS, LAST_SWEEPS = 2, 16
"""On the way down and up, and in place of a coarser grid, each an even number."""
COARSEST = 8
"""A grid with sides of no more cells is the last."""
ROWS = 16
"""Of a grid, worth handing to another thread."""


class Grid(NamedTuple):
    """A symmetric matrix of 2 x 2 blocks over a grid of cells, and what a V-cycle needs there; all float64, with a rim.

    Attributes
    ----------
    matrix : (5, H + 2, W + 2) array
        Mass of the first layer, of the second, between both; weights of the edges to the right and down. 0 where
        there is no cell.
    b, x, other : (2, H + 2, W + 2) arrays
        Right-hand side, solution, and what the next sweep writes.
    """

    matrix: np.ndarray
    b: np.ndarray
    x: np.ndarray
    other: np.ndarray

    @property
    def rows(self) -> int:
        """H."""
        return int(self.b.shape[1]) - 2


def empty_grid(height: int, width: int) -> Grid:
    """A grid without cells."""
    planes = np.zeros((11, height + 2, width + 2))
    return Grid(planes[:5], planes[5:7], planes[7:9], planes[9:])


def coarser_grids(finest: Grid) -> list[Grid]:
    """The grid and ever coarser ones."""
    grids = [finest]
    while max(grids[-1].b.shape) - 2 > COARSEST:
        height, width = (-(-(side - 2) // 2) for side in grids[-1].b.shape[1:])
        grids.append(empty_grid(height, width))
        side_by_side(_coarsen, height, grids[-2].matrix, grids[-1].matrix, least=ROWS)
    return grids


def cycle(grids: list[Grid], level: int = 0) -> None:
    """A V-cycle: x of the grid at `level` becomes about the solution for its b."""
    grid = grids[level]
    grid.x.fill(0)
    if level + 1 == len(grids):
        _smooth(grid, LAST_SWEEPS)
        return
    coarse = grids[level + 1]
    _smooth(grid, SWEEPS)
    side_by_side(_residual, grid.rows, grid.matrix, grid.b, grid.x, grid.other, least=ROWS)
    side_by_side(_restrict, coarse.rows, grid.other, coarse.b, least=ROWS)
    cycle(grids, level + 1)
    side_by_side(_prolong, grid.rows, grid.matrix, coarse.x, grid.x, least=ROWS)
    _smooth(grid, SWEEPS)


def product(grid: Grid) -> None:
    """The matrix times x, into `other`."""
    grid.b.fill(0)
    side_by_side(_residual, grid.rows, grid.matrix, grid.b, grid.x, grid.other, least=ROWS)
    np.negative(grid.other, out=grid.other)


def _smooth(grid: Grid, sweeps: int) -> None:
    """So many sweeps, an even number, so that x is where it was."""
    for k in range(sweeps):
        one, two = (grid.x, grid.other) if k % 2 == 0 else (grid.other, grid.x)
        side_by_side(_sweep, grid.rows, grid.matrix, grid.b, one, two, least=ROWS)


@njit(fastmath=True)
def _sweep(first: int, last: int, matrix: np.ndarray, b: np.ndarray, values: np.ndarray, out: np.ndarray) -> None:
    """out = values + DAMPING D^-1 (b - A values), D the blocks of the cells themselves."""
    for y in range(first + 1, last + 1):
        mass, other_mass, between, right, down = matrix[0, y], matrix[1, y], matrix[2, y], matrix[3, y], matrix[4, y]
        up, one, two = matrix[4, y - 1], values[0, y], values[1, y]
        one_above, one_below = values[0, y - 1], values[0, y + 1]
        two_above, two_below = values[1, y - 1], values[1, y + 1]
        for x in range(1, b.shape[2] - 1):
            east, west, south, north = right[x], right[x - 1], down[x], up[x]
            total = east + west + south + north
            p, q, m = mass[x] + total, other_mass[x] + total, between[x]
            r = b[0, y, x] - p * one[x] - m * two[x]
            s = b[1, y, x] - q * two[x] - m * one[x]
            r += east * one[x + 1] + west * one[x - 1] + south * one_below[x] + north * one_above[x]
            s += east * two[x + 1] + west * two[x - 1] + south * two_below[x] + north * two_above[x]
            determinant = p * q - m * m
            share = DAMPING / (determinant if determinant > 0 else 1.0)
            out[0, y, x] = one[x] + share * (q * r - m * s)
            out[1, y, x] = two[x] + share * (p * s - m * r)


@njit(fastmath=True)
def _residual(first: int, last: int, matrix: np.ndarray, b: np.ndarray, values: np.ndarray, out: np.ndarray) -> None:
    """out = b - A values."""
    for y in range(first + 1, last + 1):
        up, right, down, one, two = matrix[4, y - 1], matrix[3, y], matrix[4, y], values[0, y], values[1, y]
        one_above, one_below = values[0, y - 1], values[0, y + 1]
        two_above, two_below = values[1, y - 1], values[1, y + 1]
        for x in range(1, b.shape[2] - 1):
            east, west, south, north = right[x], right[x - 1], down[x], up[x]
            total, m = east + west + south + north, matrix[2, y, x]
            r = b[0, y, x] - (matrix[0, y, x] + total) * one[x] - m * two[x]
            s = b[1, y, x] - (matrix[1, y, x] + total) * two[x] - m * one[x]
            out[0, y, x] = r + east * one[x + 1] + west * one[x - 1] + south * one_below[x] + north * one_above[x]
            out[1, y, x] = s + east * two[x + 1] + west * two[x - 1] + south * two_below[x] + north * two_above[x]


@njit()
def _restrict(first: int, last: int, rest: np.ndarray, coarse: np.ndarray) -> None:
    """Sums over the cells of each coarse one; beyond the last of an odd side lies the rim, which is 0."""
    for k in range(2):
        for y in range(first + 1, last + 1):
            above, below = rest[k, 2 * y - 1], rest[k, 2 * y]
            for x in range(1, coarse.shape[2] - 1):
                coarse[k, y, x] = above[2 * x - 1] + above[2 * x] + below[2 * x - 1] + below[2 * x]


@njit()
def _prolong(first: int, last: int, matrix: np.ndarray, coarse: np.ndarray, values: np.ndarray) -> None:
    for y in range(first + 1, last + 1):
        for x in range(1, values.shape[2] - 1):
            if matrix[0, y, x] + matrix[1, y, x] > 0:
                values[0, y, x] += coarse[0, (y + 1) // 2, (x + 1) // 2]
                values[1, y, x] += coarse[1, (y + 1) // 2, (x + 1) // 2]


@njit()
def _coarsen(first: int, last: int, matrix: np.ndarray, coarse: np.ndarray) -> None:
    height, width = matrix.shape[1] - 2, matrix.shape[2] - 2
    for cy in range(first + 1, last + 1):
        for cx in range(1, coarse.shape[2] - 1):
            for y in range(2 * cy - 1, min(height, 2 * cy) + 1):
                for x in range(2 * cx - 1, min(width, 2 * cx) + 1):
                    for k in range(3):
                        coarse[k, cy, cx] += matrix[k, y, x]
                    if x % 2 == 0:
                        coarse[3, cy, cx] += STIFF * matrix[3, y, x]
                    if y % 2 == 0:
                        coarse[4, cy, cx] += STIFF * matrix[4, y, x]
