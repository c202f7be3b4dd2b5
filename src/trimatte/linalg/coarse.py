"""The coarse space of a matting Laplacian: affine functions of colour, blended from node to node.

Locally the matting Laplacian cannot tell alpha from an affine function of colour. So the functions

    phi_a(i) (1, I_i),    a a node of a square grid, phi_a a bump about it, the bumps summing to 1,

four to a node, hold what a Gauss-Seidel sweep leaves behind, and solving for them exactly makes conjugate
gradients converge in some ten iterations whatever the size of the picture. This is a two-level method with a
partition-of-unity coarse space (Melenk and Babuska, 1996) in place of the constants of plain aggregation.

A bump falls from 1 to 0 across the cell between two nodes, but stays flat over the last pixel to either side of
each node line, so that bumps two nodes apart do not meet in a 5x5 stencil: nodes are coupled to their eight
neighbours only.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from trimatte.linalg.assembly import inverse_factor
from trimatte.linalg.band import Band
from trimatte.linalg.dissection import Factor, factorise
from trimatte.linalg.stencil import SLOTS, Matrix, StencilSystem
from trimatte.runtime.jit import njit, side_by_side

ROWS = 8
"""Rows of cells, or of nodes, that are worth handing to another thread."""
NODES = 4096
"""Likewise nodes."""

Four = tuple[float, float, float, float]


class Cells(NamedTuple):
    """The unknown pixels, row by row, and the grid of nodes around them; its squares are the cells.

    Attributes
    ----------
    image : (H, W, 3) float32 array
    position, row_first, row_count : ndarray
        As in `Band`.
    grid : (rows, columns) int32 array
        Number of each node, -1 where no unknown pixel is near.
    spacing : int
        Pixels from node to node.
    """

    image: np.ndarray
    position: np.ndarray
    row_first: np.ndarray
    row_count: np.ndarray
    grid: np.ndarray
    spacing: int

    def rows(self, parity: int) -> int:
        """How many even or odd rows of cells there are; they take turns, as each writes to the nodes on either side."""
        return (-(-len(self.image) // self.spacing) + 1 - parity) // 2


class CoarseSpace(NamedTuple):
    """Nodes of a grid and the factor of the Galerkin product over them.

    Attributes
    ----------
    basis : (m, 4, 4) float64 array
        Turns the four functions of a node into ones of unit mass.
    """

    cells: Cells
    basis: np.ndarray
    factor: Factor

    def correct(self, r: np.ndarray, out: np.ndarray) -> None:
        """out = P A_c^-1 P' r for a residual r (n,)."""
        values, place = np.zeros((len(self.basis), 4)), self.factor.tree.place
        restrict(self.cells, r, values)
        x = np.empty(values.shape, np.float32)
        side_by_side(_change_basis, len(x), self.basis, place, values, x, False, least=NODES)
        self.factor.solve(x)
        side_by_side(_change_basis, len(x), self.basis, place, values, x, True, least=NODES)
        prolong(self.cells, values, out)


def coarse_space(image: np.ndarray, system: StencilSystem, spacing: int) -> CoarseSpace:
    """Build the coarse space of `system` over image (H, W, 3) float32 and factorise it; `spacing` of at least 3."""
    cells, count = cells_of(image, system.band, spacing)
    basis, blocks = _galerkin_blocks(cells, count, system.matrix)
    return CoarseSpace(cells, basis, factorise(cells.grid, blocks))


def cells_of(image: np.ndarray, band: Band, spacing: int) -> tuple[Cells, int]:
    """Cells about a band, and the number of nodes."""
    grid, count = _nodes(band, spacing)
    return Cells(image, band.position, band.row_first, band.row_count, grid, spacing), count


def restrict(cells: Cells, r: np.ndarray, values: np.ndarray) -> None:
    """values[a] += sum over i of phi_a(i) r_i u_i."""
    for parity in range(2):
        side_by_side(_restrict, cells.rows(parity), parity, cells, r, values, least=ROWS)


def prolong(cells: Cells, values: np.ndarray, out: np.ndarray) -> None:
    """out_i = sum over a of phi_a(i) u_i . values[a]."""
    side_by_side(_prolong, len(cells.image), cells, values, out, least=ROWS)


def _galerkin_blocks(cells: Cells, count: int, matrix: Matrix) -> tuple[np.ndarray, np.ndarray]:
    """The nodes' unit bases (m, 4, 4) and the blocks (m, 5, 4, 4) of the coarse matrix in them."""
    mass, half = np.zeros((count, 4, 4)), np.zeros((count, 9, 4, 4))
    for parity in range(2):
        side_by_side(_galerkin, cells.rows(parity), parity, cells, matrix, mass, half)
    basis = np.zeros_like(mass)
    side_by_side(_unit_basis, count, mass, basis, least=NODES)
    return basis, _symmetric_blocks(half, basis, cells.grid)


def _nodes(band: Band, spacing: int) -> tuple[np.ndarray, int]:
    """Grid of node numbers; a node counts if an unknown pixel lies under its bump."""
    height, width = band.shape
    active = np.zeros((height // spacing + 2, width // spacing + 2), np.bool_)
    for parity in range(2):
        side_by_side(_mark, (len(active) - parity) // 2, parity, band, spacing, active, least=ROWS)
    grid = np.full(active.shape, -1, np.int32)
    count = int(np.count_nonzero(active))
    grid[active] = np.arange(count, dtype=np.int32)
    return grid, count


@njit()
def _mark(first: int, last: int, parity: int, band: Band, spacing: int, active: np.ndarray) -> None:
    """Every other row of cells; each marks the nodes above and below."""
    height, width = band.shape
    for cy in range(2 * first + parity, 2 * last + parity, 2):
        for y in range(cy * spacing, min(height, (cy + 1) * spacing)):
            above, below = y < (cy + 1) * spacing - 1, y > cy * spacing
            for i in range(band.row_first[y], band.row_first[y] + band.row_count[y]):
                x = band.position[i] - y * width
                cx = x // spacing
                tx = x - cx * spacing
                active[cy, cx] |= above and tx < spacing - 1
                active[cy, cx + 1] |= above and tx > 0
                active[cy + 1, cx] |= below and tx < spacing - 1
                active[cy + 1, cx + 1] |= below and tx > 0


@njit(fastmath=True)
def _galerkin(
    first: int, last: int, parity: int, cells: Cells, matrix: Matrix, mass: np.ndarray, half: np.ndarray
) -> None:
    """half[a, b] = sum over i, and over i itself and its stored neighbours j, of phi_a(i) u_i (a_ij phi_b(j) u_j)'.

    The diagonal is counted half; then half + half' is the Galerkin product. `mass` is the sum of phi_a(i) u_i u_i'.
    A pixel i lies between the nodes A of its cell, and its later neighbours between those of a patch of six cells:

            column 0      1      2      3
        row 0      +------A------A------+
                   |      |   i  |      |
        row 1      +------A------A------+
                   |      |      |      |
        row 2      +------+------+------+

    First the patch gathers a_ij phi_b(j) u_j from all j, then it is handed to the blocks of i's four nodes.
    """
    image, position, spacing = cells.image, cells.position, cells.spacing
    diagonal, coefficients, runs = matrix
    height, width = image.shape[0], image.shape[1]
    ramp = 1.0 / (spacing - 1)
    patch = np.empty((12, 4))
    for cy in range(2 * first + parity, 2 * last + parity, 2):
        top = cy * spacing
        for y in range(top, min(height, top + spacing)):
            left = 0
            for n in range(cells.row_first[y], cells.row_first[y] + cells.row_count[y]):
                i = np.uint64(n)
                x = position[i] - y * width
                while x >= left + spacing:
                    left += spacing
                patch[:] = 0.0
                for dy in range(-1, 3):  # the pixel itself, then the rows of its later neighbours
                    v, start, count = y, i, np.uint64(1)
                    if dy >= 0:
                        v, start, count = y + dy, np.uint64(runs[i, dy] >> 3), np.uint64(runs[i, dy] & 7)
                    for k in range(count):
                        a = 0.5 * diagonal[i] if dy < 0 else np.float64(coefficients[i, np.uint64(SLOTS[dy]) + k])
                        _gather(image, v, position[start + k] - v * width, top, left, spacing, ramp, a, patch)
                _hand_out(image, y, x, top, left, spacing, ramp, cells.grid, patch, mass, half)


@njit(fastmath=True, inline=True)
def _gather(
    image: np.ndarray, y: int, x: int, top: int, left: int, spacing: int, ramp: float, a: float, patch: np.ndarray
) -> None:
    """Add a phi_b(j) u_j of pixel j = (y, x) to the patch of the cell whose first pixel is (top, left)."""
    row, column = int(y >= top + spacing), 1 + (x >= left + spacing) - (x < left)
    ty, tx = (y - top - row * spacing) * ramp, (x - left - (column - 1) * spacing) * ramp
    above, below, u = a * (1 - ty), a * ty, _colour(image, y, x)
    b = np.uint64(4 * row + column)
    _add(patch, b, above * (1 - tx), u)
    _add(patch, b + np.uint64(1), above * tx, u)
    _add(patch, b + np.uint64(4), below * (1 - tx), u)
    _add(patch, b + np.uint64(5), below * tx, u)


@njit(fastmath=True)
def _hand_out(
    image: np.ndarray,
    y: int,
    x: int,
    top: int,
    left: int,
    spacing: int,
    ramp: float,
    grid: np.ndarray,
    patch: np.ndarray,
    mass: np.ndarray,
    half: np.ndarray,
) -> None:
    """Add phi_a(i) u_i patch[b]', for the pixel i = (y, x), to the blocks of its four nodes a with those about each."""
    ty, tx = (y - top) * ramp, (x - left) * ramp
    u = _colour(image, y, x)
    for ay in range(2):
        for ax in range(2):
            w = (ty if ay else 1 - ty) * (tx if ax else 1 - tx)
            if w == 0.0:
                continue
            node = np.uint64(grid[top // spacing + ay, left // spacing + ax])
            for d in range(4):
                for c in range(4):
                    mass[node, d, c] += w * u[d] * u[c]
            for row in range(np.uint64(max(0, ay - 1)), np.uint64(ay + 2)):
                for column in range(np.uint64(ax), np.uint64(ax + 3)):
                    slot = (row + np.uint64(1 - ay)) * np.uint64(3) + column - np.uint64(ax)
                    b = row * np.uint64(4) + column
                    p0, p1, p2, p3 = patch[b, 0], patch[b, 1], patch[b, 2], patch[b, 3]
                    for d in range(np.uint64(4)):
                        wu, line = w * u[d], half[node, slot, d]
                        h0, h1, h2, h3 = line[0] + wu * p0, line[1] + wu * p1, line[2] + wu * p2, line[3] + wu * p3
                        line[0], line[1], line[2], line[3] = h0, h1, h2, h3


@njit(fastmath=True)
def _colour(image: np.ndarray, y: int, x: int) -> Four:
    """u of a pixel."""
    v, h = np.uint64(y), np.uint64(x)
    return 1.0, image[v, h, 0] - 0.5, image[v, h, 1] - 0.5, image[v, h, 2] - 0.5


@njit(fastmath=True)
def _add(block: np.ndarray, k: np.uint64, w: float, q: Four) -> None:
    """block[k] += w q; all four are read before the first is written, without which the compiler takes one by one."""
    row = block[k]
    r0, r1, r2, r3 = row[0] + w * q[0], row[1] + w * q[1], row[2] + w * q[2], row[3] + w * q[3]
    row[0], row[1], row[2], row[3] = r0, r1, r2, r3


@njit()
def _unit_basis(first: int, last: int, mass: np.ndarray, basis: np.ndarray) -> None:
    """The inverses of the Cholesky factors of nodes' mass matrices; a ridge holds directions without mass."""
    for a in range(first, last):
        S = mass[a]
        inverse_factor(S, 1e-5 * (S[0, 0] + S[1, 1] + S[2, 2] + S[3, 3]) + 1e-12, basis[a])


def _symmetric_blocks(half: np.ndarray, basis: np.ndarray, grid: np.ndarray) -> np.ndarray:
    """Blocks (m, 5, 4, 4) of the coarse matrix in the unit basis: each node with itself and its later neighbours."""
    blocks = np.zeros((len(basis), 5, 4, 4), np.float32)  # as fronts have them
    side_by_side(_symmetrise, len(grid), half, basis, grid, blocks, least=ROWS)
    ridge = 1e-10 * np.trace(blocks[:, 0], axis1=1, axis2=2).mean() / 4
    blocks[:, 0] += max(ridge, 1e-30) * np.eye(4)
    return blocks


@njit()
def _symmetrise(
    first: int, last: int, half: np.ndarray, basis: np.ndarray, grid: np.ndarray, blocks: np.ndarray
) -> None:
    """blocks[a, k] = basis[a] (half[a, b] + half[b, a]') basis[b]', for nodes a in grid rows first to last.

    b is a itself, the node to the right, lower left, below, lower right; `half` counts the nine about a node by rows.
    """
    rows, columns = grid.shape
    block, turned = np.empty((4, 4)), np.empty((4, 4))
    for y in range(first, last):
        for x in range(columns):
            a = grid[y, x]
            for k in range(5):
                dy, dx = (0, k) if k < 2 else (1, k - 3)
                if a < 0 or y + dy >= rows or not 0 <= x + dx < columns or grid[y + dy, x + dx] < 0:
                    continue
                b, slot = grid[y + dy, x + dx], 3 * dy + dx + 4
                for i in range(4):
                    for j in range(4):
                        block[i, j] = half[a, slot, i, j] + half[b, 8 - slot, j, i]
                for i in range(4):
                    for j in range(4):
                        total = 0.0
                        for m in range(i + 1):  # the basis is lower triangular
                            total += basis[a, i, m] * block[m, j]
                        turned[i, j] = total
                for i in range(4):
                    for j in range(4):
                        total = 0.0
                        for m in range(j + 1):
                            total += turned[i, m] * basis[b, j, m]
                        blocks[a, k, i, j] = total


@njit(fastmath=True)
def _restrict(first: int, last: int, parity: int, cells: Cells, r: np.ndarray, values: np.ndarray) -> None:
    """Within a row of pixels each cell is summed up for its left and its right nodes, then handed to those above and
    below."""
    image, position, grid, spacing = cells.image, cells.position, cells.grid, cells.spacing
    height, width = image.shape[0], image.shape[1]
    ramp = 1.0 / (spacing - 1)
    for cy in range(2 * first + parity, 2 * last + parity, 2):
        for y in range(cy * spacing, min(height, (cy + 1) * spacing)):
            ty = (y - cy * spacing) * ramp
            i, stop = cells.row_first[y], cells.row_first[y] + cells.row_count[y]
            while i < stop:
                cx = (position[i] - y * width) // spacing
                start, end = y * width + cx * spacing, y * width + (cx + 1) * spacing
                l0 = l1 = l2 = l3 = r0 = r1 = r2 = r3 = 0.0
                while i < stop and position[i] < end:
                    n, x = np.uint64(i), np.uint64(position[i] - y * width)
                    right = r[n] * ((position[n] - start) * ramp)
                    left = r[n] - right
                    c0, c1, c2 = image[y, x, 0] - 0.5, image[y, x, 1] - 0.5, image[y, x, 2] - 0.5
                    l0, l1, l2, l3 = l0 + left, l1 + left * c0, l2 + left * c1, l3 + left * c2
                    r0, r1, r2, r3 = r0 + right, r1 + right * c0, r2 + right * c1, r3 + right * c2
                    i += 1
                for ay in range(2):
                    share = ty if ay else 1 - ty
                    node = grid[cy + ay, cx]
                    if node >= 0:
                        values[node, 0] += share * l0
                        values[node, 1] += share * l1
                        values[node, 2] += share * l2
                        values[node, 3] += share * l3
                    node = grid[cy + ay, cx + 1]
                    if node >= 0:
                        values[node, 0] += share * r0
                        values[node, 1] += share * r1
                        values[node, 2] += share * r2
                        values[node, 3] += share * r3


@njit()
def _change_basis(
    first: int, last: int, basis: np.ndarray, place: np.ndarray, values: np.ndarray, x: np.ndarray, back: bool
) -> None:
    """x[place[a]] = basis[a] values[a], or back, values[a] = basis[a]' x[place[a]]; the basis is lower triangular."""
    for a in range(first, last):
        line = x[place[a]]
        for i in range(4):
            total = 0.0
            for j in range(i if back else 0, 4 if back else i + 1):
                total += basis[a, j, i] * line[j] if back else basis[a, i, j] * values[a, j]
            if back:
                values[a, i] = total
            else:
                line[i] = total


@njit(fastmath=True)
def _prolong(first: int, last: int, cells: Cells, values: np.ndarray, out: np.ndarray) -> None:
    """Within a row of pixels each cell's nodes are blended once, for its left and its right side."""
    image, position, grid, spacing = cells.image, cells.position, cells.grid, cells.spacing
    width = image.shape[1]
    ramp = 1.0 / (spacing - 1)
    sides = np.empty((2, 4))
    for y in range(first, last):
        cy = y // spacing
        ty = (y - cy * spacing) * ramp
        i, stop = cells.row_first[y], cells.row_first[y] + cells.row_count[y]
        while i < stop:
            cx = (position[i] - y * width) // spacing
            start, end = y * width + cx * spacing, y * width + (cx + 1) * spacing
            sides[:] = 0.0
            for ay in range(2):
                for ax in range(2):
                    node = grid[cy + ay, cx + ax]
                    if node >= 0:
                        for c in range(4):
                            sides[ax, c] += (ty if ay else 1 - ty) * values[node, c]
            a0, a1, a2, a3 = sides[0, 0], sides[0, 1], sides[0, 2], sides[0, 3]
            b0, b1, b2, b3 = sides[1, 0] - a0, sides[1, 1] - a1, sides[1, 2] - a2, sides[1, 3] - a3
            while i < stop and position[i] < end:
                n, x = np.uint64(i), np.uint64(position[i] - y * width)
                tx = (position[n] - start) * ramp
                c0, c1, c2 = image[y, x, 0] - 0.5, image[y, x, 1] - 0.5, image[y, x, 2] - 0.5
                out[n] = (a0 + tx * b0) + (a1 + tx * b1) * c0 + (a2 + tx * b2) * c1 + (a3 + tx * b3) * c2
                i += 1
