"""Symmetric positive definite systems whose rows reach two pixels in each direction: a 5x5 stencil on the band.

Of the 25 coefficients of a row the 12 that follow the pixel in raster order are stored, in float32, the diagonal in
float64. The diagonal takes up what rounding the others lost, so that row sums, on which the solution hangs, are
exact; the rest moves alpha by some 1e-5.

Unknown pixels are numbered along the rows of the picture, so that those among a pixel's neighbours in one row have
consecutive numbers: a run, stored as its first number and its length, `first << 3 | length`, in place of up to five
numbers. Its coefficients stand side by side, too, from the row's first slot on.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from trimatte.linalg.band import Band
from trimatte.runtime.jit import njit, side_by_side

SLOTS = (0, 2, 7)
"""First slots of the three rows among a pixel's 12 coefficients: two of its own row, five of each of the next two."""

Bounds = tuple[np.uint32, np.uint32]
"""Which of a pixel's later neighbours count: low <= run < high, of runs as they are packed. Even strips are numbered
before odd ones, so that bounds tell neighbours in the one from those in the other."""
Part = tuple[np.ndarray, np.ndarray]
"""The pixels from begin[s] to end[s] of each strip s."""
TAILS = 16
"""Strips whose tails are worth handing to another thread."""
LEAST, MOST = np.uint32(0), np.uint32(0xFFFFFFFF)
ALL, NONE = (LEAST, MOST), (LEAST, LEAST)


class Matrix(NamedTuple):
    """What kernels need of a `StencilSystem`."""

    diagonal: np.ndarray
    coefficients: np.ndarray
    runs: np.ndarray


class StencilSystem(NamedTuple):
    """A x = b over the pixels of `band`.

    Attributes
    ----------
    diagonal : (n,) float64 array
    coefficients : (n, 12) float32 array
        Of the later neighbours, those of each row side by side from its slot on; 0 after them.
    runs : (n, 3) uint32, for the pixel's own row and the two below: number of the first later neighbour << 3 | how
        many there are.
    b : (n,) float64 array
    """

    band: Band
    diagonal: np.ndarray
    coefficients: np.ndarray
    runs: np.ndarray
    b: np.ndarray

    def multiply(self, x: np.ndarray, out: np.ndarray) -> None:
        """out = A x."""
        band, matrix = self.band, self.matrix
        np.multiply(self.diagonal, x, out=out)
        for strips in (band.evens, band.odds):
            side_by_side(_pull, strips, band.whole, matrix, ALL, 1.0, x, out)
            side_by_side(_push, strips, band.whole, matrix, ALL, 1.0, x, out)

    def descend(self, r: np.ndarray, x: np.ndarray, rest: np.ndarray) -> None:
        """One Gauss-Seidel sweep from zero: x = (D + L)^-1 r and rest = r - A x."""
        # Until a pixel is solved, `rest` is the running right-hand side, what those solved before leave of it; from
        # then on it gathers the share of those solved later, r - A x = -U x. First come the even strips, then the odd
        # ones. Between two strips only the tail of the upper one, its last two rows, touches the other.
        band, matrix, (even, odd) = self.band, self.matrix, self._parities()
        np.copyto(rest, r)
        side_by_side(_solve_down, band.evens, band.whole, band.body, matrix, ALL, x, rest)
        side_by_side(_pull, band.odds, band.tail, matrix, even, -1.0, x, rest, least=TAILS)
        side_by_side(_solve_down, band.odds, band.whole, band.whole, matrix, odd, x, rest)
        side_by_side(_pull, band.evens, band.tail, matrix, ALL, -1.0, x, rest, least=TAILS)
        side_by_side(_push, band.odds, band.tail, matrix, even, -1.0, x, rest, least=TAILS)

    def ascend(self, rest: np.ndarray, y: np.ndarray, r: np.ndarray, x: np.ndarray, product: np.ndarray) -> None:
        """The adjoint sweep, in reverse order, after `descend` and a correction y: x += y + (D + U)^-1 (rest - A y).

        product = A x for the new x, at hardly any cost. Uses up rest and y.
        """
        # With e = (D + U)^-1 (rest - A y), what is to be added is y + e = (D + U)^-1 (rest - L y), and as r - A x =
        # rest, A (x + y + e) = r - L y + L (y + e). So both need products with L alone, half of A, whose coefficients
        # are at hand anyway: `product` first gathers -L y, then each y_i gives way to y_i + e_i, which L hands on.
        band, matrix, (even, odd) = self.band, self.matrix, self._parities()
        product[:] = 0
        side_by_side(_push, band.evens, band.tail, matrix, odd, -1.0, y, product, least=TAILS)
        side_by_side(_solve_up, band.odds, band.whole, band.tail, matrix, (odd, even, odd), rest, y, r, x, product)
        side_by_side(_push, band.odds, band.tail, matrix, even, -1.0, y, rest, least=TAILS)
        side_by_side(_solve_up, band.evens, band.whole, band.tail, matrix, (even, NONE, ALL), rest, y, r, x, product)
        side_by_side(_pull, band.odds, band.tail, matrix, even, 1.0, y, product, least=TAILS)

    @property
    def matrix(self) -> Matrix:
        """What kernels need."""
        return Matrix(self.diagonal, self.coefficients, self.runs)

    def _parities(self) -> tuple[Bounds, Bounds]:
        """Bounds of neighbours in even strips, and of those in odd ones."""
        half = np.uint32(self.band.half << 3)
        return (LEAST, half), (half, MOST)

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


@njit(fastmath=True, inline=True)
def _pulled(
    i: np.uint64, coefficients: np.ndarray, runs: np.ndarray, low: np.uint32, high: np.uint32, x: np.ndarray
) -> float:
    """Sum of a_ij x_j; the neighbours in the pixel's own row come last, since a sweep has just found them."""
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
def _pushed(
    i: np.uint64,
    coefficients: np.ndarray,
    runs: np.ndarray,
    low: np.uint32,
    high: np.uint32,
    value: float,
    out: np.ndarray,
) -> None:
    """out_j += a_ij value."""
    for row in range(3):
        run = runs[i, row]
        if low <= run < high:
            first, slot = np.uint64(run >> 3), np.uint64(5 * row - 3 if row > 0 else 0)
            for k in range(np.uint64(run & 7)):
                out[first + k] += coefficients[i, slot + k] * value


@njit(fastmath=True)
def _pull(
    first: int, last: int, part: Part, matrix: Matrix, among: Bounds, sign: float, x: np.ndarray, out: np.ndarray
) -> None:
    """out_i += sign times the sum of a_ij x_j, for the pixels i of a part of strips first to last."""
    coefficients, runs, (low, high) = matrix.coefficients, matrix.runs, among
    for s in range(first, last):
        for n in range(part[0][s], part[1][s]):
            i = np.uint64(n)
            out[i] += sign * _pulled(i, coefficients, runs, low, high, x)


@njit(fastmath=True)
def _push(
    first: int, last: int, part: Part, matrix: Matrix, among: Bounds, sign: float, x: np.ndarray, out: np.ndarray
) -> None:
    """out_j += sign a_ij x_i, likewise."""
    coefficients, runs, (low, high) = matrix.coefficients, matrix.runs, among
    for s in range(first, last):
        for n in range(part[0][s], part[1][s]):
            i = np.uint64(n)
            _pushed(i, coefficients, runs, low, high, sign * x[i], out)


@njit(fastmath=True)
def _solve_down(
    first: int, last: int, whole: Part, body: Part, matrix: Matrix, among: Bounds, x: np.ndarray, rest: np.ndarray
) -> None:
    """x_i = rest_i / a_ii, then rest_j -= a_ij x_i; for the body, rest_i = -(sum of a_ij x_j), still in the cache."""
    low, high = among
    diagonal, coefficients, runs = matrix
    for s in range(first, last):
        for n in range(whole[0][s], whole[1][s]):
            i = np.uint64(n)
            x[i] = rest[i] / diagonal[i]
            _pushed(i, coefficients, runs, low, high, -x[i], rest)
        for n in range(body[0][s], body[1][s]):
            i = np.uint64(n)
            rest[i] = -_pulled(i, coefficients, runs, low, high, x)
        for n in range(body[1][s], whole[1][s]):
            rest[np.uint64(n)] = 0.0


@njit(fastmath=True)
def _solve_up(
    first: int,
    last: int,
    whole: Part,
    tail: Part,
    matrix: Matrix,
    bounds: tuple[Bounds, Bounds, Bounds],
    rest: np.ndarray,
    y: np.ndarray,
    r: np.ndarray,
    x: np.ndarray,
    product: np.ndarray,
) -> None:
    """In reverse order, y_i = (rest_i + product_i - sum of a_ij y_j) / a_ii; then see `StencilSystem.ascend`.

    The bounds are those of neighbours in the own strip, of those below that are solved later, and of all others.
    """
    own, below, others = bounds
    low, high = others
    diagonal, coefficients, runs = matrix
    for s in range(first, last):
        _push(s, s + 1, whole, matrix, own, -1.0, y, product)
        _pull(s, s + 1, tail, matrix, below, -1.0, y, product)
        for n in range(whole[1][s] - 1, whole[0][s] - 1, -1):
            i = np.uint64(n)
            right = rest[i] + product[i]
            y[i] = (right - _pulled(i, coefficients, runs, low, high, y)) / diagonal[i]
            x[i] += y[i]
            product[i] += r[i]
            _pushed(i, coefficients, runs, low, high, y[i], product)
