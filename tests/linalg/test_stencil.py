"""Products and Gauss-Seidel sweeps of 5x5 stencils against dense matrices."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy.linalg import solve_triangular

from trimatte.linalg.band import number_band
from trimatte.linalg.stencil import SLOTS, StencilSystem

pytestmark = pytest.mark.usefixtures("short_strips")
MaskMaker = Callable[..., np.ndarray]


def random_system(unknown: np.ndarray, seed: int = 0) -> tuple[StencilSystem, np.ndarray]:
    """A diagonally dominant system of random coefficients over `unknown` (H, W), and its dense matrix."""
    rng = np.random.default_rng(seed)
    band = number_band(unknown)
    n = band.size
    coefficients = np.zeros((n, 12), np.float32)
    runs = np.zeros((n, 3), np.uint32)
    matrix = np.zeros((n, n))
    for i in range(n):
        y, x = divmod(int(band.position[i]), unknown.shape[1])
        for dy, columns in enumerate((range(1, 3), range(-2, 3), range(-2, 3))):
            there = [x + dx for dx in columns if y + dy < unknown.shape[0] and 0 <= x + dx < unknown.shape[1]]
            ends = [j for j in (band.index[y + dy, c] for c in there) if j >= 0]
            for k, j in enumerate(ends):
                assert j == ends[0] + k
                coefficients[i, SLOTS[dy] + k] = rng.normal()
                matrix[i, j] = matrix[j, i] = coefficients[i, SLOTS[dy] + k]
            runs[i, dy] = ends[0] << 3 | len(ends) if ends else 0
    diagonal = np.abs(matrix).sum(axis=1) + rng.random(n) + 0.1
    np.fill_diagonal(matrix, diagonal)
    return StencilSystem(band, diagonal, coefficients, runs, rng.normal(size=n)), matrix


BANDS = [(1, 1, 1.0), (1, 60, 1.0), (60, 1, 1.0), (24, 30, 0.1), (24, 30, 0.6), (24, 30, 1.0), (25, 9, 1.0)]


@pytest.fixture(params=BANDS, ids=str)
def system_and_matrix(request: pytest.FixtureRequest, random_mask: MaskMaker) -> tuple[StencilSystem, np.ndarray]:
    height, width, density = request.param
    unknown = random_mask(3, height, width, density)
    unknown[0, 0] = True
    return random_system(unknown)


def test_product(system_and_matrix: tuple[StencilSystem, np.ndarray]) -> None:
    system, matrix = system_and_matrix
    x, out = np.random.default_rng(1).normal(size=len(matrix)), np.empty(len(matrix))
    system.multiply(x, out)
    np.testing.assert_allclose(out, matrix @ x, rtol=1e-12, atol=1e-12)
    np.testing.assert_array_equal(system.to_csr().toarray(), matrix)


def test_sweep_down_solves_the_lower_triangle_in_processing_order(
    system_and_matrix: tuple[StencilSystem, np.ndarray],
) -> None:
    system, matrix = system_and_matrix
    r, x, rest = np.random.default_rng(1).normal(size=len(matrix)), np.empty(len(matrix)), np.empty(len(matrix))
    given = r.copy()
    system.descend(r, x, rest)
    np.testing.assert_allclose(x, solve_triangular(matrix, r, lower=True), rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(rest, r - matrix @ x, rtol=1e-12, atol=1e-12)
    np.testing.assert_array_equal(r, given)


def test_sweep_up_solves_the_upper_triangle_and_gives_the_product(
    system_and_matrix: tuple[StencilSystem, np.ndarray],
) -> None:
    system, matrix = system_and_matrix
    r, y = np.random.default_rng(2).normal(size=(2, len(matrix)))
    x, rest, product = (np.empty_like(r) for _ in range(3))
    system.descend(r, x, rest)
    expected = x + y + solve_triangular(matrix, rest - matrix @ y, lower=False)
    given = r.copy()
    system.ascend(rest, y, r, x, product)
    np.testing.assert_allclose(x, expected, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(product, matrix @ expected, rtol=1e-12, atol=1e-12)
    np.testing.assert_array_equal(r, given)


def test_same_bits_for_any_number_of_threads(with_threads: Callable[[int], None]) -> None:
    system, _ = random_system(np.ones((40, 30), bool))
    assert len(system.band.strips) > 8
    found = []
    for threads in (1, 2):
        with_threads(threads)
        r, y = np.random.default_rng(4).normal(size=(2, system.band.size))
        product, down, rest, up_product = (np.empty_like(r) for _ in range(4))
        system.multiply(r, product)
        system.descend(r, down, rest)
        found.append(np.stack([product, down, rest]))
        system.ascend(rest, y, r, down, up_product)
        found[-1] = np.concatenate([found[-1], [down, up_product]])
    np.testing.assert_array_equal(*found)
