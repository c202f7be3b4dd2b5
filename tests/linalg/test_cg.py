"""Conjugate gradients against a dense solve."""

from __future__ import annotations

import numba
import numpy as np

from trimatte.linalg.cg import CHUNK, conjugate_gradients, dot


def test_solves_like_the_dense_solver() -> None:
    rng = np.random.default_rng(0)
    factor = rng.normal(size=(60, 60))
    matrix, b = factor @ factor.T + np.eye(60), rng.normal(size=60)
    x, iterations, residual = conjugate_gradients(
        lambda p, out: np.copyto(out, matrix @ p),
        b,
        lambda r, out: np.copyto(out, r / np.diag(matrix)),
        rtol=1e-12,
        max_iterations=500,
    )
    np.testing.assert_allclose(x, np.linalg.solve(matrix, b), rtol=1e-8, atol=1e-10)
    assert residual <= 1e-12
    assert 0 < iterations < 500


def test_a_preconditioner_may_give_the_product() -> None:
    rng = np.random.default_rng(0)
    factor = rng.normal(size=(60, 60))
    matrix, b, guess = factor @ factor.T + np.eye(60), rng.normal(size=60), rng.normal(size=60)
    asked = 0

    def multiply(p: np.ndarray, out: np.ndarray) -> None:
        nonlocal asked
        asked += 1
        np.copyto(out, matrix @ p)

    def precondition(r: np.ndarray, out: np.ndarray, product: np.ndarray) -> None:
        np.divide(r, np.diag(matrix), out=out)
        np.copyto(product, matrix @ out)

    x, _, residual = conjugate_gradients(
        multiply, b, precondition, rtol=1e-12, max_iterations=500, x=guess, gives_product=True
    )
    np.testing.assert_allclose(x, np.linalg.solve(matrix, b), rtol=1e-8, atol=1e-10)
    assert residual <= 1e-12
    assert asked == 1


def test_a_good_guess_needs_no_iteration_and_a_zero_side_gives_zero() -> None:
    same = np.copyto
    b = np.arange(1.0, 5.0)
    assert (
        conjugate_gradients(
            lambda p, out: same(out, p), b, lambda r, out: same(out, r), rtol=1e-9, max_iterations=9, x=b.copy()
        )[1]
        == 0
    )
    x, iterations, residual = conjugate_gradients(
        lambda p, out: same(out, p), np.zeros(4), lambda r, out: same(out, r), rtol=1e-9, max_iterations=9, x=b.copy()
    )
    assert (iterations, residual) == (0, 0.0)
    assert not x.any()


def test_stops_where_told_and_says_how_far_it_got() -> None:
    diagonal = np.linspace(1, 1e6, 50)
    b = np.ones(50)
    x, iterations, residual = conjugate_gradients(
        lambda p, out: np.multiply(diagonal, p, out=out) is None,
        b,
        lambda r, out: np.copyto(out, r),
        rtol=1e-12,
        max_iterations=3,
    )
    assert iterations == 3
    assert np.isclose(residual, np.linalg.norm(b - diagonal * x) / np.linalg.norm(b))
    assert residual > 1e-12


def test_sums_are_the_same_bits_for_any_number_of_threads() -> None:
    a, b = np.random.default_rng(1).normal(size=(2, 5 * CHUNK + 17))
    before = numba.get_num_threads()
    sums = set()
    for threads in range(1, numba.config.NUMBA_NUM_THREADS + 1):  # type: ignore[attr-defined]
        numba.set_num_threads(threads)
        sums.add(dot(a, b))
    numba.set_num_threads(before)
    assert len(sums) == 1
    assert np.isclose(sums.pop(), a @ b)
