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

from dataclasses import dataclass

import numpy as np

from trimatte.linalg.band import Band
from trimatte.linalg.dissection import Factor, factorise
from trimatte.linalg.stencil import SLOTS, StencilSystem
from trimatte.runtime.jit import njit, prange, side_by_side

GROUPS = 16
"""Rows of cells are dealt to so many groups, which threads share; a band gathered in one half is still balanced."""


@dataclass(frozen=True)
class CoarseSpace:
    """Nodes `spacing` pixels apart and the factor of the Galerkin product over them.

    Attributes
    ----------
    grid : (rows, columns) int32, number of each node, -1 where no unknown pixel is near.
    basis : (m, 4, 4) float64; turns the four functions of a node into ones of unit mass.
    """

    image: np.ndarray
    band: Band
    spacing: int
    grid: np.ndarray
    basis: np.ndarray
    factor: Factor

    def correct(self, r: np.ndarray, out: np.ndarray) -> None:
        """out = P A_c^-1 P' r for a residual r (n,)."""
        band = self.band
        values = np.zeros((len(self.basis), 4))
        _restrict(self.image, band.position, band.row_first, band.row_count, self.grid, self.spacing, r, values)
        _change_basis(self.basis, values, False)
        self.factor.solve(values)
        _change_basis(self.basis, values, True)
        _prolong(self.image, band.position, band.row_first, band.row_count, self.grid, self.spacing, values, out)


def coarse_space(image: np.ndarray, system: StencilSystem, spacing: int) -> CoarseSpace:
    """Build the coarse space of `system` over image (H, W, 3) float32 and factorise it; `spacing` of at least 3."""
    band = system.band
    grid, count = _nodes(band, spacing)
    basis, blocks = _galerkin_blocks(image, system, grid, count, spacing)
    return CoarseSpace(image, band, spacing, grid, basis, factorise(grid, blocks))


def _galerkin_blocks(
    image: np.ndarray, system: StencilSystem, grid: np.ndarray, count: int, spacing: int
) -> tuple[np.ndarray, np.ndarray]:
    """The nodes' unit bases (m, 4, 4) and the blocks (m, 5, 4, 4) of the coarse matrix in them."""
    band = system.band
    mass = np.zeros((count, 4, 4))
    half = np.zeros((count, 9, 4, 4))
    rows = (band.shape[0] + spacing - 1) // spacing
    for parity in range(2):
        side_by_side(
            _galerkin, (rows + 1 - parity) // 2, parity, image, band.position, band.row_first, band.row_count,
            system.diagonal, system.coefficients, system.runs, grid, spacing, mass, half,
        )  # fmt: skip
    basis = _unit_basis(mass)
    return basis, _symmetric_blocks(half, basis, grid)


def _nodes(band: Band, spacing: int) -> tuple[np.ndarray, int]:
    """Grid of node numbers; a node counts if an unknown pixel lies under its bump."""
    height, width = band.shape
    active = np.zeros((height // spacing + 2, width // spacing + 2), np.bool_)
    _mark(band.position, width, spacing, active)
    grid = np.full(active.shape, -1, np.int32)
    count = int(np.count_nonzero(active))
    grid[active] = np.arange(count, dtype=np.int32)
    return grid, count


@njit()
def _mark(position: np.ndarray, width: int, spacing: int, active: np.ndarray) -> None:
    for i in range(len(position)):
        y, x = position[i] // width, position[i] % width
        cy, cx = y // spacing, x // spacing
        ty, tx = y % spacing, x % spacing
        active[cy, cx] |= ty < spacing - 1 and tx < spacing - 1
        active[cy, cx + 1] |= ty < spacing - 1 and tx > 0
        active[cy + 1, cx] |= ty > 0 and tx < spacing - 1
        active[cy + 1, cx + 1] |= ty > 0 and tx > 0


@njit(fastmath=True)
def _galerkin(
    first: int,
    last: int,
    parity: int,
    image: np.ndarray,
    position: np.ndarray,
    row_first: np.ndarray,
    row_count: np.ndarray,
    diagonal: np.ndarray,
    coefficients: np.ndarray,
    runs: np.ndarray,
    grid: np.ndarray,
    spacing: int,
    mass: np.ndarray,
    half: np.ndarray,
) -> None:
    # half[a, b] = sum over i, and over i itself and its stored neighbours j, of phi_a(i) u_i (a_ij phi_b(j) u_j)',
    # the diagonal counted half; then half + half' is the Galerkin product. Cells of one row write to the nodes above
    # and below, so that even and odd rows of cells take turns.
    height, width = image.shape[0], image.shape[1]
    cell_rows = (height + spacing - 1) // spacing
    ramp = 1.0 / (spacing - 1)
    patch, u, v = np.empty((3, 4, 4)), np.empty(4), np.empty(4)
    for cy in range(2 * first + parity, min(2 * last + parity, cell_rows), 2):
        for y in range(cy * spacing, min(height, (cy + 1) * spacing)):
            cx = 0
            for i in range(row_first[y], row_first[y] + row_count[y]):
                x = position[i] - y * width
                while x >= (cx + 1) * spacing:
                    cx += 1
                patch[:] = 0.0
                for dy in range(-1, 3):
                    if dy < 0:  # the pixel itself
                        vy, start, count = y, np.int64(i), np.int64(1)
                    else:
                        vy, start, count = y + dy, np.int64(runs[i, dy]) >> 3, np.int64(runs[i, dy]) & 7
                    row = 1 if vy >= (cy + 1) * spacing else 0
                    ty = (vy - (cy + row) * spacing) * ramp
                    for k in range(count):
                        vx = position[start + k] - vy * width
                        column = 1 + (vx >= (cx + 1) * spacing) - (vx < cx * spacing)
                        tx = (vx - (cx + column - 1) * spacing) * ramp
                        a = 0.5 * diagonal[i] if dy < 0 else np.float64(coefficients[i, SLOTS[dy] + k])
                        v[0] = a
                        v[1] = a * (image[vy, vx, 0] - 0.5)
                        v[2] = a * (image[vy, vx, 1] - 0.5)
                        v[3] = a * (image[vy, vx, 2] - 0.5)
                        w00, w01, w10, w11 = (1 - ty) * (1 - tx), (1 - ty) * tx, ty * (1 - tx), ty * tx
                        for c in range(4):
                            patch[row, column, c] += w00 * v[c]
                            patch[row, column + 1, c] += w01 * v[c]
                            patch[row + 1, column, c] += w10 * v[c]
                            patch[row + 1, column + 1, c] += w11 * v[c]
                u[0] = 1.0
                u[1], u[2], u[3] = image[y, x, 0] - 0.5, image[y, x, 1] - 0.5, image[y, x, 2] - 0.5
                ty, tx = (y % spacing) * ramp, (x % spacing) * ramp
                for ay in range(2):
                    for ax in range(2):
                        w = (ty if ay else 1 - ty) * (tx if ax else 1 - tx)
                        if w == 0.0:
                            continue
                        node = grid[cy + ay, cx + ax]
                        for d in range(4):
                            wu = w * u[d]
                            for c in range(4):
                                mass[node, d, c] += wu * u[c]
                        for row in range(max(0, ay - 1), ay + 2):
                            for column in range(ax, ax + 3):
                                slot = (row - ay + 1) * 3 + column - ax
                                for d in range(4):
                                    wu = w * u[d]
                                    for c in range(4):
                                        half[node, slot, d, c] += wu * patch[row, column, c]


def _unit_basis(mass: np.ndarray) -> np.ndarray:
    """Inverse Cholesky factors (m, 4, 4) of the nodes' mass matrices; directions without mass are held by a ridge."""
    trace = np.trace(mass, axis1=1, axis2=2)
    factors = np.linalg.cholesky(mass + (1e-5 * trace + 1e-12)[:, None, None] * np.eye(4))
    return np.linalg.inv(factors)


def _symmetric_blocks(half: np.ndarray, basis: np.ndarray, grid: np.ndarray) -> np.ndarray:
    """Blocks (m, 5, 4, 4) of the coarse matrix in the unit basis: each node with itself and its later neighbours."""
    blocks = np.zeros((len(basis), 5, 4, 4))
    _symmetrise(half, basis, grid, blocks)
    ridge = 1e-10 * np.trace(blocks[:, 0], axis1=1, axis2=2).mean() / 4
    blocks[:, 0] += max(ridge, 1e-30) * np.eye(4)
    return blocks


@njit()
def _symmetrise(half: np.ndarray, basis: np.ndarray, grid: np.ndarray, blocks: np.ndarray) -> None:
    # later neighbours: right, lower left, below, lower right; slots of `half` count the 3x3 neighbourhood by rows
    rows, columns = grid.shape
    block, turned = np.empty((4, 4)), np.empty((4, 4))
    for ny in range(rows):
        for nx in range(columns):
            a = grid[ny, nx]
            if a < 0:
                continue
            for k in range(5):
                dy = 0 if k < 2 else 1
                dx = k if k < 2 else k - 3
                if ny + dy >= rows or nx + dx < 0 or nx + dx >= columns:
                    continue
                b = grid[ny + dy, nx + dx]
                if b < 0:
                    continue
                slot = (dy + 1) * 3 + dx + 1
                for i in range(4):
                    for j in range(4):
                        block[i, j] = half[a, slot, i, j] + half[b, 8 - slot, j, i]
                for i in range(4):
                    for j in range(4):
                        total = 0.0
                        for m in range(i + 1):
                            total += basis[a, i, m] * block[m, j]
                        turned[i, j] = total
                for i in range(4):
                    for j in range(4):
                        total = 0.0
                        for m in range(j + 1):
                            total += turned[i, m] * basis[b, j, m]
                        blocks[a, k, i, j] = total


@njit(parallel=True, fastmath=True)
def _restrict(
    image: np.ndarray,
    position: np.ndarray,
    row_first: np.ndarray,
    row_count: np.ndarray,
    grid: np.ndarray,
    spacing: int,
    r: np.ndarray,
    values: np.ndarray,
) -> None:
    # values[a] += sum over i of phi_a(i) r_i u_i; rows of cells take turns as in the Galerkin product. Within a row
    # of pixels each cell is summed up for its left and its right nodes, then handed to those above and below.
    height, width = image.shape[0], image.shape[1]
    cell_rows = (height + spacing - 1) // spacing
    ramp = 1.0 / (spacing - 1)
    for parity in range(2):
        for group in prange(GROUPS):
            for cy in range(parity + 2 * group, cell_rows, 2 * GROUPS):
                for y in range(cy * spacing, min(height, (cy + 1) * spacing)):
                    ty = (y - cy * spacing) * ramp
                    i, last = row_first[y], row_first[y] + row_count[y]
                    while i < last:
                        cx = (position[i] - y * width) // spacing
                        start, end = y * width + cx * spacing, y * width + (cx + 1) * spacing
                        l0 = l1 = l2 = l3 = r0 = r1 = r2 = r3 = 0.0
                        while i < last and position[i] < end:
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
def _change_basis(basis: np.ndarray, values: np.ndarray, transpose: bool) -> None:
    # the basis is lower triangular
    for a in range(len(basis)):
        b, v0, v1, v2, v3 = basis[a], values[a, 0], values[a, 1], values[a, 2], values[a, 3]
        if transpose:
            values[a, 0] = b[0, 0] * v0 + b[1, 0] * v1 + b[2, 0] * v2 + b[3, 0] * v3
            values[a, 1] = b[1, 1] * v1 + b[2, 1] * v2 + b[3, 1] * v3
            values[a, 2] = b[2, 2] * v2 + b[3, 2] * v3
            values[a, 3] = b[3, 3] * v3
        else:
            values[a, 3] = b[3, 0] * v0 + b[3, 1] * v1 + b[3, 2] * v2 + b[3, 3] * v3
            values[a, 2] = b[2, 0] * v0 + b[2, 1] * v1 + b[2, 2] * v2
            values[a, 1] = b[1, 0] * v0 + b[1, 1] * v1
            values[a, 0] = b[0, 0] * v0


@njit(parallel=True, fastmath=True)
def _prolong(
    image: np.ndarray,
    position: np.ndarray,
    row_first: np.ndarray,
    row_count: np.ndarray,
    grid: np.ndarray,
    spacing: int,
    values: np.ndarray,
    out: np.ndarray,
) -> None:
    # out_i = sum over a of phi_a(i) u_i . values[a]; within a row of pixels each cell's nodes are blended once
    height, width = image.shape[0], image.shape[1]
    ramp = 1.0 / (spacing - 1)
    for group in prange(GROUPS):
        sides = np.zeros((2, 4))
        for y in range(group, height, GROUPS):
            cy = y // spacing
            ty = (y - cy * spacing) * ramp
            i, last = row_first[y], row_first[y] + row_count[y]
            while i < last:
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
                while i < last and position[i] < end:
                    n, x = np.uint64(i), np.uint64(position[i] - y * width)
                    tx = (position[n] - start) * ramp
                    c0, c1, c2 = image[y, x, 0] - 0.5, image[y, x, 1] - 0.5, image[y, x, 2] - 0.5
                    out[n] = (a0 + tx * b0) + (a1 + tx * b1) * c0 + (a2 + tx * b2) * c1 + (a3 + tx * b3) * c2
                    i += 1
