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

from trimatte.linalg.band import Band
from trimatte.runtime.jit import njit, prange, side_by_side

SLOTS = (0, 2, 7)
"""First slots of the three rows among a pixel's 12 coefficients: two of its own row, five of each of the next two."""


ALL = np.uint32(0xFFFFFFFF)
"""Above all runs."""
COPY, DOWN_EVEN, DOWN_ODD, LEAVE_EVEN, LEAVE_ODD, CLEAR, UP_ODD, UP_EVEN, LEAVE_UP = range(9)
DESCENT = (COPY, DOWN_EVEN, DOWN_ODD, LEAVE_EVEN, LEAVE_ODD)
ASCENT = (CLEAR, UP_ODD, UP_EVEN, LEAVE_UP)
EVEN = (DOWN_EVEN, LEAVE_EVEN, UP_EVEN)
ANY = (COPY, CLEAR)
"""Phases of the sweeps, and which of them are over even strips or all of them."""


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
        multiply(self.band, self.diagonal, self.coefficients, self.runs, x, out)

    def descend(self, r: np.ndarray, x: np.ndarray, rest: np.ndarray) -> None:
        """One Gauss-Seidel sweep from zero: x = (D + L)^-1 r and rest = r - A x."""
        for phase in DESCENT:
            self._run(phase, r, x, rest, rest, rest)

    def ascend(self, rest: np.ndarray, y: np.ndarray, r: np.ndarray, x: np.ndarray, product: np.ndarray) -> None:
        """The adjoint sweep, in reverse order, after `descend` and a correction y: x += y + (D + U)^-1 (rest - A y).

        product = A x for the new x, at hardly any cost. Uses up rest and y.
        """
        # With e = (D + U)^-1 (rest - A y), what is to be added is y + e = (D + U)^-1 (rest - L y), and as r - A x =
        # rest, A (x + y + e) = r - L y + L (y + e). So both need products with L alone, half of A, whose coefficients
        # are at hand anyway: `product` first gathers -L y, then each y_i gives way to y_i + e_i, which L hands on.
        for phase in ASCENT:
            self._run(phase, r, x, rest, y, product)

    def _run(self, phase: int, *vectors: np.ndarray) -> None:
        band = self.band
        count = len(band.tails)
        first, last = (0, count) if phase in ANY else (0, band.even) if phase in EVEN else (band.even, count)
        matrix = self.diagonal, self.coefficients, self.runs
        _run(phase, first, last, *matrix, band.strips, band.tails, band.even, *vectors)

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


# The kernels below are put together from four loops over a range of pixels. Of a pixel's runs, each of them only looks
# at those that begin from `low` on and before `high`, numbers as they are packed in `runs`: so a strip can be told from
# the one below, as all even strips are numbered before the odd ones.


@njit(fastmath=True, inline=True)
def _pulled(
    i: np.uint64, coefficients: np.ndarray, runs: np.ndarray, low: np.uint32, high: np.uint32, x: np.ndarray
) -> float:
    """Sum of a_ij x_j over runs; those of the pixel's own row come last, since a sweep has just found them."""
    total = 0.0
    for back in range(3):
        row = 2 - back
        run = runs[i, row]
        if low <= run < high:
            first, slot = np.uint64(run >> 3), np.uint64(5 * row - 3 if row > 0 else 0)
            for k in range(np.uint64(run & 7)):
                total += coefficients[i, slot + k] * x[first + k]
    return total


@njit(fastmath=True, inline=True)
def _push(
    i: np.uint64,
    coefficients: np.ndarray,
    runs: np.ndarray,
    low: np.uint32,
    high: np.uint32,
    value: float,
    out: np.ndarray,
) -> None:
    """out_j += a_ij value over runs."""
    for row in range(3):
        run = runs[i, row]
        if low <= run < high:
            first, slot = np.uint64(run >> 3), np.uint64(5 * row - 3 if row > 0 else 0)
            for k in range(np.uint64(run & 7)):
                out[first + k] += coefficients[i, slot + k] * value


@njit(fastmath=True)
def _pull_range(
    begin: int,
    end: int,
    coefficients: np.ndarray,
    runs: np.ndarray,
    low: np.uint32,
    high: np.uint32,
    keep: float,
    sign: float,
    x: np.ndarray,
    out: np.ndarray,
) -> None:
    """out_i = keep out_i + sign times the sum of a_ij x_j."""
    for n in range(begin, end):
        i = np.uint64(n)
        total = _pulled(i, coefficients, runs, low, high, x)
        out[i] = sign * total if keep == 0.0 else keep * out[i] + sign * total


@njit(fastmath=True)
def _push_range(
    begin: int,
    end: int,
    coefficients: np.ndarray,
    runs: np.ndarray,
    low: np.uint32,
    high: np.uint32,
    sign: float,
    x: np.ndarray,
    out: np.ndarray,
) -> None:
    """out_j += sign a_ij x_i."""
    for n in range(begin, end):
        i = np.uint64(n)
        _push(i, coefficients, runs, low, high, sign * x[i], out)


@njit(fastmath=True)
def _sweep_down(
    begin: int,
    end: int,
    diagonal: np.ndarray,
    coefficients: np.ndarray,
    runs: np.ndarray,
    low: np.uint32,
    high: np.uint32,
    rest: np.ndarray,
    x: np.ndarray,
) -> None:
    """x_i = rest_i / a_ii, then rest_j -= a_ij x_i."""
    for n in range(begin, end):
        i = np.uint64(n)
        x[i] = rest[i] / diagonal[i]
        _push(i, coefficients, runs, low, high, -x[i], rest)


@njit(fastmath=True)
def _sweep_up(
    begin: int,
    end: int,
    diagonal: np.ndarray,
    coefficients: np.ndarray,
    runs: np.ndarray,
    low: np.uint32,
    high: np.uint32,
    rest: np.ndarray,
    r: np.ndarray,
    y: np.ndarray,
    x: np.ndarray,
    product: np.ndarray,
) -> None:
    """In reverse order, y_i = (rest_i + product_i - sum of a_ij y_j) / a_ii; then see `StencilSystem.ascend`."""
    for n in range(end - 1, begin - 1, -1):
        i = np.uint64(n)
        right = rest[i] + product[i]
        y[i] = (right - _pulled(i, coefficients, runs, low, high, y)) / diagonal[i]
        x[i] += y[i]
        product[i] += r[i]
        _push(i, coefficients, runs, low, high, y[i], product)


def multiply(
    band: Band, diagonal: np.ndarray, coefficients: np.ndarray, runs: np.ndarray, x: np.ndarray, out: np.ndarray
) -> None:
    """out = A x; stored neighbours lie in the own strip or the next, and strips of one parity share neither."""
    np.multiply(diagonal, x, out=out)
    for strips in (band.strips[: band.even + 1], band.strips[band.even :]):
        side_by_side(_multiply, len(strips) - 1, strips, coefficients, runs, x, out)


@njit()
def _multiply(
    first: int,
    last: int,
    strips: np.ndarray,
    coefficients: np.ndarray,
    runs: np.ndarray,
    x: np.ndarray,
    out: np.ndarray,
) -> None:
    none = np.uint32(0)
    for s in range(first, last):
        _pull_range(strips[s], strips[s + 1], coefficients, runs, none, ALL, 1.0, 1.0, x, out)
        _push_range(strips[s], strips[s + 1], coefficients, runs, none, ALL, 1.0, x, out)


@njit(parallel=True)
def _run(
    phase: int,
    first: int,
    last: int,
    diagonal: np.ndarray,
    coefficients: np.ndarray,
    runs: np.ndarray,
    strips: np.ndarray,
    tails: np.ndarray,
    even: int,
    r: np.ndarray,
    x: np.ndarray,
    rest: np.ndarray,
    y: np.ndarray,
    product: np.ndarray,
) -> None:
    # All phases of both sweeps in one kernel, since each parallel loop takes most of a second to compile.
    none, half = np.uint32(0), np.uint32(strips[even] << 3)
    for s in prange(first, last):
        begin, tail, end = strips[s], tails[s], strips[s + 1]
        # On the way down rest first serves as the running right-hand side, what each solved pixel leaves to those that
        # follow; then it becomes the later neighbours' share, r - A x = -U x, while the strip is in the cache.
        if phase == COPY:
            for i in range(begin, end):
                rest[i] = r[i]
        elif phase == DOWN_EVEN:
            _sweep_down(begin, end, diagonal, coefficients, runs, none, ALL, rest, x)
            _pull_range(begin, tail, coefficients, runs, none, ALL, 0.0, -1.0, x, rest)
        elif phase == DOWN_ODD:
            _pull_range(tail, end, coefficients, runs, none, half, 1.0, -1.0, x, rest)
            _sweep_down(begin, end, diagonal, coefficients, runs, half, ALL, rest, x)
            _pull_range(begin, end, coefficients, runs, half, ALL, 0.0, -1.0, x, rest)
        elif phase == LEAVE_EVEN:
            _pull_range(tail, end, coefficients, runs, none, ALL, 0.0, -1.0, x, rest)
        elif phase == LEAVE_ODD:
            _push_range(tail, end, coefficients, runs, none, half, -1.0, x, rest)
        elif phase == CLEAR:
            for i in range(begin, end):
                product[i] = 0.0
        elif phase == UP_ODD:
            over = s - even  # the strip above, whose last two rows come before this one's pixels
            _push_range(tails[over], strips[over + 1], coefficients, runs, half, ALL, -1.0, y, product)
            _push_range(begin, end, coefficients, runs, half, ALL, -1.0, y, product)
            _pull_range(tail, end, coefficients, runs, none, half, 1.0, -1.0, y, product)
            _sweep_up(begin, end, diagonal, coefficients, runs, half, ALL, rest, r, y, x, product)
            _push_range(tail, end, coefficients, runs, none, half, -1.0, y, rest)
        elif phase == UP_EVEN:
            _push_range(begin, end, coefficients, runs, none, half, -1.0, y, product)
            _sweep_up(begin, end, diagonal, coefficients, runs, none, ALL, rest, r, y, x, product)
        else:
            _pull_range(tail, end, coefficients, runs, none, half, 1.0, 1.0, y, product)
