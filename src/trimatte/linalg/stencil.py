"""Symmetric positive definite systems whose rows reach two pixels in each direction: a 5x5 stencil on the band.

Of the 25 coefficients of a row the 12 that follow the pixel in raster order are stored, in float32, the diagonal in
float64. The diagonal takes up what rounding the others lost, so that row sums, on which the solution hangs, are
exact; the rest moves alpha by some 1e-5.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from trimatte._jit import njit, prange
from trimatte.linalg.band import Band

OFFSETS = np.array([(0, 1), (0, 2), *((dy, dx) for dy in (1, 2) for dx in range(-2, 3))], np.int64)
"""(dy, dx) of the 12 stored neighbours, in raster order."""


@dataclass(frozen=True)
class StencilSystem:
    """A x = b over the pixels of `band`.

    Attributes
    ----------
    diagonal : (n,) float64
    coefficients : (n, 12) float32, of the neighbours at `OFFSETS`, 0 where there is none.
    neighbours : (n, 12) uint32, their numbers; the pixel's own where there is none.
    b : (n,) float64
    """

    band: Band
    diagonal: np.ndarray
    coefficients: np.ndarray
    neighbours: np.ndarray
    b: np.ndarray

    def multiply(self, x: np.ndarray, out: np.ndarray) -> None:
        """out = A x."""
        multiply(self.diagonal, self.coefficients, self.neighbours, self.band.strips, self.band.even, x, out)

    def descend(self, r: np.ndarray, x: np.ndarray, rest: np.ndarray) -> None:
        """One Gauss-Seidel sweep from zero: x = (D + L)^-1 r and rest = r - A x."""
        band = self.band
        descend(self.diagonal, self.coefficients, self.neighbours, band.strips, band.tails, band.even, r, x, rest)

    def ascend(self, r: np.ndarray, x: np.ndarray) -> None:
        """The adjoint sweep, in reverse order: x = (D + U)^-1 r. Uses up r."""
        ascend(
            self.diagonal, self.coefficients, self.neighbours, self.band.strips, self.band.tails, self.band.even, r, x
        )

    def to_csr(self):  # type: ignore[no-untyped-def]
        """The matrix as a SciPy CSR array, for inspection."""
        from scipy import sparse

        n = self.band.size
        rows = np.repeat(np.arange(n), 12)
        upper = sparse.csr_array((self.coefficients.ravel().astype(float), (rows, self.neighbours.ravel())), (n, n))
        return (upper + upper.T + sparse.diags_array(self.diagonal)).tocsr()


@njit(parallel=True, fastmath=True)
def multiply(
    diagonal: np.ndarray,
    coefficients: np.ndarray,
    neighbours: np.ndarray,
    strips: np.ndarray,
    even: int,
    x: np.ndarray,
    out: np.ndarray,
) -> None:
    # a stored neighbour lies in the pixel's own strip or in the next; strips of one parity share neither
    for i in prange(len(x)):
        out[i] = diagonal[i] * x[i]
    for parity in range(2):
        first, last = (0, even) if parity == 0 else (even, len(strips) - 1)
        for s in prange(first, last):
            for i in range(strips[s], strips[s + 1]):
                xi = x[i]
                total = 0.0
                for k in range(12):
                    j = neighbours[i, k]
                    a = coefficients[i, k]
                    total += a * x[j]
                    out[j] += a * xi
                out[i] += total


@njit(parallel=True, fastmath=True)
def descend(
    diagonal: np.ndarray,
    coefficients: np.ndarray,
    neighbours: np.ndarray,
    strips: np.ndarray,
    tails: np.ndarray,
    even: int,
    r: np.ndarray,
    x: np.ndarray,
    rest: np.ndarray,
) -> None:
    # rest first serves as the running right-hand side, what each solved pixel leaves to those that follow; then it
    # becomes the later neighbours' share, r - A x = -U x, strip by strip while the strip is in the cache. Only the
    # last two rows of a strip, from tails[s] on, need to ask whether a neighbour lies in the next strip.
    half = strips[even]
    count = len(strips) - 1
    for i in prange(len(x)):
        rest[i] = r[i]
    for s in prange(even):
        for i in range(strips[s], strips[s + 1]):
            xi = rest[i] / diagonal[i]
            x[i] = xi
            for k in range(12):
                rest[neighbours[i, k]] -= coefficients[i, k] * xi
        for i in range(strips[s], tails[s]):
            total = 0.0
            for k in range(12):
                total -= coefficients[i, k] * x[neighbours[i, k]]
            rest[i] = total
    for s in prange(even, count):
        for i in range(strips[s], tails[s]):
            xi = rest[i] / diagonal[i]
            x[i] = xi
            for k in range(12):
                rest[neighbours[i, k]] -= coefficients[i, k] * xi
        for i in range(tails[s], strips[s + 1]):
            total = rest[i]
            for k in range(12):
                if neighbours[i, k] < half:
                    total -= coefficients[i, k] * x[neighbours[i, k]]
            xi = total / diagonal[i]
            x[i] = xi
            for k in range(12):
                if neighbours[i, k] >= half:
                    rest[neighbours[i, k]] -= coefficients[i, k] * xi
        for i in range(strips[s], tails[s]):
            total = 0.0
            for k in range(12):
                total -= coefficients[i, k] * x[neighbours[i, k]]
            rest[i] = total
        for i in range(tails[s], strips[s + 1]):
            total = 0.0
            for k in range(12):
                if neighbours[i, k] >= half:
                    total -= coefficients[i, k] * x[neighbours[i, k]]
            rest[i] = total
    for s in prange(even):
        for i in range(tails[s], strips[s + 1]):
            total = 0.0
            for k in range(12):
                total -= coefficients[i, k] * x[neighbours[i, k]]
            rest[i] = total
    for s in prange(even, count):
        for i in range(tails[s], strips[s + 1]):
            for k in range(12):
                if neighbours[i, k] < half:
                    rest[neighbours[i, k]] -= coefficients[i, k] * x[i]


@njit(parallel=True, fastmath=True)
def ascend(
    diagonal: np.ndarray,
    coefficients: np.ndarray,
    neighbours: np.ndarray,
    strips: np.ndarray,
    tails: np.ndarray,
    even: int,
    r: np.ndarray,
    x: np.ndarray,
) -> None:
    # where a neighbour is missing the pixel itself stands in, with a coefficient of 0: its x must be a number
    half = strips[even]
    for s in prange(even, len(strips) - 1):
        for i in range(strips[s + 1] - 1, tails[s] - 1, -1):
            total = r[i]
            x[i] = 0.0
            for k in range(12):
                if neighbours[i, k] >= half:
                    total -= coefficients[i, k] * x[neighbours[i, k]]
            xi = total / diagonal[i]
            x[i] = xi
            for k in range(12):
                if neighbours[i, k] < half:
                    r[neighbours[i, k]] -= coefficients[i, k] * xi
        for i in range(tails[s] - 1, strips[s] - 1, -1):
            total = r[i]
            x[i] = 0.0
            for k in range(12):
                total -= coefficients[i, k] * x[neighbours[i, k]]
            x[i] = total / diagonal[i]
    for s in prange(even):
        for i in range(strips[s + 1] - 1, strips[s] - 1, -1):
            total = r[i]
            x[i] = 0.0
            for k in range(12):
                total -= coefficients[i, k] * x[neighbours[i, k]]
            x[i] = total / diagonal[i]
