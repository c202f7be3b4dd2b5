"""Symmetric positive definite systems whose rows reach two pixels in each direction: a 5x5 stencil on the band.

Of the 25 coefficients of a row the 12 that follow the pixel in raster order are stored, in float32, the diagonal in
float64. The diagonal takes up what rounding the others lost, so that row sums, on which the solution hangs, are
exact; the rest moves alpha by some 1e-5.

Unknown pixels are numbered along the rows of the picture, so that those among a pixel's neighbours in one row have
consecutive numbers: a run, stored as its first number and its length, `first << 3 | length`, in place of up to five
numbers. Its coefficients stand side by side, too, from the row's first slot on.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from trimatte._jit import njit, prange
from trimatte.linalg.band import Band

SLOTS = (0, 2, 7)
"""First slots of the three rows among a pixel's 12 coefficients: two of its own row, five of each of the next two."""


@dataclass(frozen=True)
class StencilSystem:
    """A x = b over the pixels of `band`.

    Attributes
    ----------
    diagonal : (n,) float64
    coefficients : (n, 12) float32, of the later neighbours, those of each row side by side from its slot on; 0 after
        them.
    runs : (n, 3) uint32, for the pixel's own row and the two below: number of the first later neighbour << 3 | how
        many there are.
    b : (n,) float64
    """

    band: Band
    diagonal: np.ndarray
    coefficients: np.ndarray
    runs: np.ndarray
    b: np.ndarray

    def multiply(self, x: np.ndarray, out: np.ndarray) -> None:
        """out = A x."""
        multiply(self.diagonal, self.coefficients, self.runs, self.band.strips, self.band.even, x, out)

    def descend(self, r: np.ndarray, x: np.ndarray, rest: np.ndarray) -> None:
        """One Gauss-Seidel sweep from zero: x = (D + L)^-1 r and rest = r - A x."""
        band = self.band
        descend(self.diagonal, self.coefficients, self.runs, band.strips, band.tails, band.even, r, x, rest)

    def ascend(self, r: np.ndarray, x: np.ndarray) -> None:
        """The adjoint sweep, in reverse order: x = (D + U)^-1 r. Uses up r."""
        ascend(self.diagonal, self.coefficients, self.runs, self.band.strips, self.band.tails, self.band.even, r, x)

    def to_csr(self):  # type: ignore[no-untyped-def]
        """The matrix as a SciPy CSR array, for inspection."""
        from scipy import sparse

        n = self.band.size
        row = np.array([0, 0, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2])
        place = np.arange(12) - np.array(SLOTS)[row]
        there = place < (self.runs & 7)[:, row]
        ends = ((self.runs >> 3)[:, row] + place)[there]
        upper = sparse.csr_array((self.coefficients[there].astype(float), (np.nonzero(there)[0], ends)), (n, n))
        return (upper + upper.T + sparse.diags_array(self.diagonal)).tocsr()


@njit(fastmath=True)
def _pull(i: int, row: int, coefficients: np.ndarray, runs: np.ndarray, x: np.ndarray) -> float:
    """Sum over a run of a_ij x_j."""
    run, total = np.uint64(runs[i, row]), 0.0
    first, slot = run >> np.uint64(3), np.uint64(5 * row - 3 if row > 0 else 0)
    for k in range(run & np.uint64(7)):
        total += coefficients[i, slot + k] * x[first + k]
    return total


@njit(fastmath=True)
def _push(i: int, row: int, coefficients: np.ndarray, runs: np.ndarray, value: float, x: np.ndarray) -> None:
    """x_j -= a_ij value for each j of a run."""
    run = np.uint64(runs[i, row])
    first, slot = run >> np.uint64(3), np.uint64(5 * row - 3 if row > 0 else 0)
    for k in range(run & np.uint64(7)):
        x[first + k] -= coefficients[i, slot + k] * value


@njit(parallel=True, fastmath=True)
def multiply(
    diagonal: np.ndarray,
    coefficients: np.ndarray,
    runs: np.ndarray,
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
                for row in range(3):
                    out[i] += _pull(i, row, coefficients, runs, x)
                    _push(i, row, coefficients, runs, -x[i], out)


@njit(parallel=True, fastmath=True)
def descend(
    diagonal: np.ndarray,
    coefficients: np.ndarray,
    runs: np.ndarray,
    strips: np.ndarray,
    tails: np.ndarray,
    even: int,
    r: np.ndarray,
    x: np.ndarray,
    rest: np.ndarray,
) -> None:
    # rest first serves as the running right-hand side, what each solved pixel leaves to those that follow; then it
    # becomes the later neighbours' share, r - A x = -U x, strip by strip while the strip is in the cache. Only the
    # last two rows of a strip, from tails[s] on, need to ask whether a run lies in the next strip.
    half = np.uint32(strips[even] << 3)
    count = len(strips) - 1
    for i in prange(len(x)):
        rest[i] = r[i]
    for s in prange(even):
        for i in range(strips[s], strips[s + 1]):
            x[i] = rest[i] / diagonal[i]
            for row in range(3):
                _push(i, row, coefficients, runs, x[i], rest)
        for i in range(strips[s], tails[s]):
            total = 0.0
            for row in range(3):
                total -= _pull(i, row, coefficients, runs, x)
            rest[i] = total
    for s in prange(even, count):
        for i in range(strips[s], tails[s]):
            x[i] = rest[i] / diagonal[i]
            for row in range(3):
                _push(i, row, coefficients, runs, x[i], rest)
        for i in range(tails[s], strips[s + 1]):
            total = rest[i]
            for row in range(3):
                if runs[i, row] < half:
                    total -= _pull(i, row, coefficients, runs, x)
            x[i] = total / diagonal[i]
            for row in range(3):
                if runs[i, row] >= half:
                    _push(i, row, coefficients, runs, x[i], rest)
        for i in range(strips[s], tails[s]):
            total = 0.0
            for row in range(3):
                total -= _pull(i, row, coefficients, runs, x)
            rest[i] = total
        for i in range(tails[s], strips[s + 1]):
            total = 0.0
            for row in range(3):
                if runs[i, row] >= half:
                    total -= _pull(i, row, coefficients, runs, x)
            rest[i] = total
    for s in prange(even):
        for i in range(tails[s], strips[s + 1]):
            total = 0.0
            for row in range(3):
                total -= _pull(i, row, coefficients, runs, x)
            rest[i] = total
    for s in prange(even, count):
        for i in range(tails[s], strips[s + 1]):
            for row in range(3):
                if runs[i, row] < half:
                    _push(i, row, coefficients, runs, x[i], rest)


@njit(parallel=True, fastmath=True)
def ascend(
    diagonal: np.ndarray,
    coefficients: np.ndarray,
    runs: np.ndarray,
    strips: np.ndarray,
    tails: np.ndarray,
    even: int,
    r: np.ndarray,
    x: np.ndarray,
) -> None:
    half = np.uint32(strips[even] << 3)
    for s in prange(even, len(strips) - 1):
        for i in range(strips[s + 1] - 1, tails[s] - 1, -1):
            total = r[i]
            for row in range(3):
                if runs[i, row] >= half:
                    total -= _pull(i, row, coefficients, runs, x)
            x[i] = total / diagonal[i]
            for row in range(3):
                if runs[i, row] < half:
                    _push(i, row, coefficients, runs, x[i], r)
        for i in range(tails[s] - 1, strips[s] - 1, -1):
            total = r[i]
            for row in range(3):
                total -= _pull(i, row, coefficients, runs, x)
            x[i] = total / diagonal[i]
    for s in prange(even):
        for i in range(strips[s + 1] - 1, strips[s] - 1, -1):
            total = r[i]
            for row in range(3):
                total -= _pull(i, row, coefficients, runs, x)
            x[i] = total / diagonal[i]
