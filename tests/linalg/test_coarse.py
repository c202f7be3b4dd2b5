"""The coarse space of affine colours against an explicit prolongation matrix."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from trimatte.linalg import coarse as module
from trimatte.linalg.assembly import CLOSED_FORM, window_system
from trimatte.linalg.band import number_band
from trimatte.linalg.coarse import coarse_space
from trimatte.linalg.solve import Prepared
from trimatte.linalg.stencil import StencilSystem

Maker = Callable[..., tuple[np.ndarray, ...]]
SPACINGS = [3, 4, 6, 12]


def bump(places: np.ndarray, node: int, spacing: int) -> np.ndarray:
    """A node line lies between pixels: its bump is 1 up to half a pixel away and falls to 0 across the cell."""
    distance = np.abs(places + 0.5 - node * spacing)
    return np.clip((spacing - 0.5 - distance) / (spacing - 1), 0, 1)


def dense_prolongation(image: np.ndarray, position: np.ndarray, grid: np.ndarray, spacing: int) -> np.ndarray:
    """P (n, 4 m): each node's bump times 1 and the colours, from the middle of their range."""
    y, x = np.divmod(position, image.shape[1])
    colours = image[y, x].astype(np.float64) - 0.5
    features = np.concatenate([np.ones((len(position), 1)), colours], axis=1)
    columns = np.zeros((len(position), grid.max() + 1, 4))
    for ny, nx in np.argwhere(grid >= 0):
        columns[:, grid[ny, nx]] = (bump(y, ny, spacing) * bump(x, nx, spacing))[:, None] * features
    return columns.reshape(len(position), -1)


def system_of(scene: Maker, kind: str = "noise", height: int = 30, width: int = 37) -> tuple[np.ndarray, StencilSystem]:
    image, unknown, fixed = scene(kind, height, width)
    return image, window_system(image, fixed, number_band(unknown), CLOSED_FORM, 1e-7)


@pytest.mark.parametrize("spacing", SPACINGS)
def test_bumps_sum_to_one_and_do_not_meet_two_nodes_apart(spacing: int) -> None:
    places = np.arange(50)
    bumps = np.array([bump(places, node, spacing) for node in range(50 // spacing + 2)])
    np.testing.assert_allclose(bumps.sum(axis=0), 1)
    first, second = np.flatnonzero(bumps[1]), np.flatnonzero(bumps[3])
    assert second[0] - first[-1] > 2


@pytest.mark.parametrize("spacing", SPACINGS)
def test_nodes_are_those_with_unknown_pixels_under_their_bump(
    scene: Maker, random_mask: Callable[..., np.ndarray], spacing: int
) -> None:
    for unknown in (random_mask(2, 31, 40, 0.02), random_mask(2, 31, 40, 1.0), scene("noise")[1]):
        band = number_band(unknown)
        grid, count = module._nodes(band, spacing)
        y, x = np.divmod(band.position, unknown.shape[1])
        expected = [
            [np.any(bump(y, ny, spacing) * bump(x, nx, spacing) > 0) for nx in range(grid.shape[1])]
            for ny in range(grid.shape[0])
        ]
        np.testing.assert_array_equal(grid >= 0, expected)
        np.testing.assert_array_equal(np.sort(grid[grid >= 0]), np.arange(count))


@pytest.mark.parametrize("spacing", SPACINGS)
def test_restriction_and_prolongation_are_transposes_of_each_other(scene: Maker, spacing: int) -> None:
    image, system = system_of(scene)
    band = system.band
    cells, count = module.cells_of(image, band, spacing)
    matrix = dense_prolongation(image, band.position, cells.grid, spacing)
    rng = np.random.default_rng(1)
    coarse, fine = rng.normal(size=(count, 4)), rng.normal(size=band.size)
    out, values = np.empty(band.size), np.zeros((count, 4))
    module.prolong(cells, coarse, out)
    module.restrict(cells, fine, values)
    np.testing.assert_allclose(out, matrix @ coarse.ravel(), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(values.ravel(), matrix.T @ fine, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("spacing", SPACINGS)
def test_affine_functions_of_colour_are_in_the_coarse_space(scene: Maker, spacing: int) -> None:
    image, system = system_of(scene)
    band = system.band
    cells, count = module.cells_of(image, band, spacing)
    out = np.empty(band.size)
    module.prolong(cells, np.tile([0.2, 1.0, -2.0, 0.5], (count, 1)), out)
    expected = 0.2 + (image.reshape(-1, 3)[band.position].astype(np.float64) - 0.5) @ np.array([1.0, -2.0, 0.5])
    np.testing.assert_allclose(out, expected, atol=1e-7)  # colours are taken from their middle in float32


def expand(grid: np.ndarray, blocks: np.ndarray) -> np.ndarray:
    """Dense matrix of blocks (m, 5, 4, 4): a node with itself, right, lower left, below, lower right."""
    count = len(blocks)
    matrix = np.zeros((count, 4, count, 4))
    for ny, nx in np.argwhere(grid >= 0):
        a = grid[ny, nx]
        for k, (dy, dx) in enumerate([(0, 0), (0, 1), (1, -1), (1, 0), (1, 1)]):
            y, x = ny + dy, nx + dx
            if y < grid.shape[0] and 0 <= x < grid.shape[1] and grid[y, x] >= 0:
                matrix[a, :, grid[y, x]] = blocks[a, k]
                matrix[grid[y, x], :, a] = blocks[a, k].T
            else:
                np.testing.assert_array_equal(blocks[a, k], 0)
    return matrix.reshape(4 * count, 4 * count)


@pytest.mark.parametrize("kind", ["noise", "saturated", "constant"])
@pytest.mark.parametrize("spacing", SPACINGS)
def test_blocks_are_the_galerkin_product_in_bases_of_unit_mass(scene: Maker, kind: str, spacing: int) -> None:
    image, system = system_of(scene, kind)
    cells, count = module.cells_of(image, system.band, spacing)
    grid = cells.grid
    basis, blocks = module._galerkin_blocks(cells, count, system.matrix)
    matrix = dense_prolongation(image, system.band.position, grid, spacing)
    turned = np.einsum("nad,abd->nab", matrix.reshape(len(matrix), count, 4), basis).reshape(matrix.shape)
    expected = turned.T @ system.to_csr().toarray() @ turned
    np.testing.assert_allclose(expand(grid, blocks), expected, atol=1e-7 * np.abs(expected).max())
    # weighted by its bump, a node's basis is orthonormal, but for the ridge that holds colours that do not vary
    y, x = np.divmod(system.band.position, image.shape[1])
    for ny, nx in np.argwhere(grid >= 0):
        weights = bump(y, ny, spacing) * bump(x, nx, spacing)
        features = np.concatenate([np.ones((len(y), 1)), image[y, x] - 0.5], axis=1) @ basis[grid[ny, nx]].T
        mass = (features * weights[:, None]).T @ features
        assert np.linalg.eigvalsh(mass)[-1] < 1 + 1e-9
        assert mass[0, 0] > 1 - 1e-4


@pytest.mark.parametrize("kind", ["noise", "flat", "saturated", "smooth", "constant", "black"])
@pytest.mark.parametrize("spacing", [3, 8])
def test_preconditioner_is_symmetric_positive_definite_and_bounds_the_spectrum(
    scene: Maker, kind: str, spacing: int
) -> None:
    image, system = system_of(scene, kind, 20, 24)
    prepared = Prepared(system, coarse_space(image, system, spacing))
    n = system.band.size
    inverse, products, matrix = np.empty((n, n)), np.empty((n, n)), system.to_csr().toarray()
    for i, column in enumerate(np.eye(n)):
        prepared.precondition(column, inverse[i], products[i])
    np.testing.assert_allclose(products, inverse @ matrix, rtol=1e-9, atol=1e-9)
    size = np.abs(inverse).max()
    np.testing.assert_allclose(inverse, inverse.T, atol=2e-3 * size)
    assert np.linalg.eigvalsh((inverse + inverse.T) / 2)[0] > 0
    # one symmetric cycle of sweeps and exact coarse solution never overshoots: the spectrum lies in (0, 1]
    spectrum = np.linalg.eigvals(inverse @ matrix).real
    assert spectrum.min() > 0
    assert spectrum.max() < 1.01


def test_same_bits_for_any_number_of_threads(
    scene: Maker, short_strips: None, with_threads: Callable[[int], None]
) -> None:
    image, system = system_of(scene, height=80, width=90)
    r = np.random.default_rng(3).normal(size=system.band.size)
    found = []
    for threads in (1, 2):
        with_threads(threads)
        space = coarse_space(image, system, 3)
        out = np.empty_like(r)
        space.correct(r, out)
        found.append((space.basis, *space.factor.panels, out))
    for one, two in zip(*found, strict=True):
        np.testing.assert_array_equal(one, two)
