"""Preconditioned conjugate gradients in float64, the same bits for any number of threads."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from trimatte.runtime.jit import njit, side_by_side

CHUNK = 8192
"""Vector kernels work on pieces of this fixed length, so that sums never depend on the number of threads."""
CHUNKS = 8
"""Chunks that are worth handing to another thread."""


def conjugate_gradients(
    multiply: Callable[[np.ndarray, np.ndarray], None],
    b: np.ndarray,
    precondition: Callable[..., None],
    *,
    rtol: float,
    max_iterations: int,
    x: np.ndarray | None = None,
    gives_product: bool = False,
) -> tuple[np.ndarray, int, float]:
    """Solve A x = b for a symmetric positive definite A (Hestenes and Stiefel, 1952).

    Parameters
    ----------
    multiply : callable
        `multiply(p, out)` writes A p into out.
    b : (n,) float64 array
        The right-hand side.
    precondition : `precondition(r, out)` writes an approximation of the inverse, itself symmetric positive
        definite, times r into out.
    rtol : float
        Stop at |b - Ax| <= rtol |b|.
    max_iterations : int
        Stop after so many in any case.
    x : (n,) float64 array, optional
        A first guess; overwritten with the solution.
    gives_product : bool, default False
        `precondition(r, out, product)` also writes A out into product, which serves in place of a product with p, as p
        is out plus a multiple of the last p. `multiply` is then asked for a first guess alone.

    Returns
    -------
    (ndarray, int, float)
        The solution x, iterations, relative residual.
    """
    n = len(b)
    size = np.sqrt(dot(b, b))
    if size == 0:
        return np.zeros(n), 0, 0.0
    r = b.copy()
    z, p, q = np.empty(n), np.empty(n), np.empty(n)
    product = np.empty(n) if gives_product else None
    if x is None:
        x = np.zeros(n)
    else:
        multiply(x, q)
        r -= q
    residual = np.sqrt(dot(r, r)) / size
    iteration, rz = 0, 1.0
    while residual > rtol and iteration < max_iterations:
        precondition(r, z) if product is None else precondition(r, z, product)
        previous, rz = rz, dot(r, z)
        beta = rz / previous if iteration else 0.0
        direction(z, beta, p)
        if product is None:
            multiply(p, q)
        else:
            direction(product, beta, q)
        curvature = dot(p, q)
        if not (curvature > 0 and rz > 0):
            break
        residual = np.sqrt(advance(rz / curvature, p, q, x, r)) / size
        iteration += 1
    return x, iteration, float(residual)


def dot(a: np.ndarray, b: np.ndarray) -> float:
    """Sum of a * b over fixed chunks."""
    parts = np.empty(_chunks(a))
    side_by_side(_dot, len(parts), a, b, parts, least=CHUNKS)
    return float(_total(parts))


def direction(z: np.ndarray, beta: float, p: np.ndarray) -> None:
    """p = z + beta p; p need not be set if beta is 0."""
    side_by_side(_direction, _chunks(z), z, beta, p, least=CHUNKS)


def advance(step: float, p: np.ndarray, q: np.ndarray, x: np.ndarray, r: np.ndarray) -> float:
    """x += step p, r -= step q; the new r . r."""
    parts = np.empty(_chunks(x))
    side_by_side(_advance, len(parts), step, p, q, x, r, parts, least=CHUNKS)
    return float(_total(parts))


def _chunks(a: np.ndarray) -> int:
    return -(-len(a) // CHUNK)


@njit(fastmath=True)
def _dot(first: int, last: int, a: np.ndarray, b: np.ndarray, parts: np.ndarray) -> None:
    for c in range(first, last):
        one, other, total = a[c * CHUNK : (c + 1) * CHUNK], b[c * CHUNK : (c + 1) * CHUNK], 0.0
        for i in range(len(one)):
            total += one[i] * other[i]
        parts[c] = total


@njit(fastmath=True)
def _direction(first: int, last: int, z: np.ndarray, beta: float, p: np.ndarray) -> None:
    for i in range(first * CHUNK, min(len(z), last * CHUNK)):
        p[i] = z[i] + beta * p[i] if beta != 0.0 else z[i]


@njit(fastmath=True)
def _advance(
    first: int, last: int, step: float, p: np.ndarray, q: np.ndarray, x: np.ndarray, r: np.ndarray, parts: np.ndarray
) -> None:
    for c in range(first, last):
        total = 0.0
        for i in range(c * CHUNK, min(len(x), (c + 1) * CHUNK)):
            x[i] += step * p[i]
            r[i] -= step * q[i]
            total += r[i] * r[i]
        parts[c] = total


@njit(fastmath=True)
def _total(parts: np.ndarray) -> float:
    total = 0.0
    for c in range(len(parts)):
        total += parts[c]
    return total
