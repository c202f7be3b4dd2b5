"""The multigrid under closed-form colours against dense matrices, and the system that it solves against plain loops."""

from __future__ import annotations

import numba
import numpy as np
import pytest

from trimatte import estimate_foreground
from trimatte.foreground import closed_form, multigrid
from trimatte.foreground.multigrid import Grid, coarser_grids, cycle, empty_grid


def random_grid(height: int, width: int, seed: int = 0) -> Grid:
    """Soft alpha in most cells, none in some, edges between cells that are there."""
    rng = np.random.default_rng(seed)
    grid, there = empty_grid(height, width), rng.random((height, width)) < 0.9
    alpha = rng.random((height, width))
    inner = grid.matrix[:, 1:-1, 1:-1]
    inner[:3] = there * [alpha**2 + 1e-3, (1 - alpha) ** 2 + 1e-3, alpha * (1 - alpha)]
    inner[3, :, :-1] = (there[:, :-1] & there[:, 1:]) * rng.random((height, width - 1))
    inner[4, :-1] = (there[:-1] & there[1:]) * rng.random((height - 1, width))
    return grid


def dense(grid: Grid) -> np.ndarray:
    """The matrix of a grid, (2 H W, 2 H W), and 1 where there is no cell, by plain loops."""
    _, height, width = grid.matrix[:, 1:-1, 1:-1].shape
    number = np.arange(height * width).reshape(height, width)
    n = number.size
    matrix = np.zeros((2 * n, 2 * n))
    for y in range(height):
        for x in range(width):
            one, two, between, right, down = grid.matrix[:, y + 1, x + 1].astype(float)
            i = number[y, x]
            matrix[np.ix_([i, n + i], [i, n + i])] += [[one, between], [between, two]] if one + two else np.eye(2)
            for weight, v, u in ((right, y, x + 1), (down, y + 1, x)):
                if weight:
                    j = number[v, u]
                    for layer in (0, n):
                        pair = np.ix_([layer + i, layer + j], [layer + i, layer + j])
                        matrix[pair] += weight * np.array([[1, -1], [-1, 1]])
    return matrix


@pytest.mark.parametrize(("height", "width", "levels"), [(5, 7, 1), (1, 30, 3), (12, 19, 3), (20, 9, 3)])
def test_a_cycle_is_a_symmetric_matrix_near_the_inverse(height: int, width: int, levels: int) -> None:
    grid = random_grid(height, width)
    grids = coarser_grids(grid)
    assert len(grids) == levels
    there = np.tile((grid.matrix[0, 1:-1, 1:-1] > 0).ravel(), 2)
    columns = []
    for unit in np.eye(2 * height * width, dtype=np.float32)[there]:
        grid.b[:, 1:-1, 1:-1] = unit.reshape(2, height, width)
        cycle(grids)
        assert not grid.x[:, [0, -1]].any()
        assert not grid.x[:, :, [0, -1]].any()
        assert not grid.x[:, 1:-1, 1:-1].reshape(-1)[~there].any()
        columns.append(grid.x[:, 1:-1, 1:-1].reshape(-1)[there])
    inverse = np.array(columns, dtype=float)
    np.testing.assert_allclose(inverse, inverse.T, atol=1e-5 * np.abs(inverse).max())
    values = np.linalg.eigvals(inverse @ dense(grid)[np.ix_(there, there)]).real
    assert values.min() > 0.03
    assert values.max() < 2.2


def test_a_coarse_grid_holds_the_sums_and_half_of_the_edges() -> None:
    fine, coarse = coarser_grids(random_grid(15, 9))[:2]
    a = np.pad(fine.matrix[:, 1:-1, 1:-1].astype(float), ((0, 0), (0, 1), (0, 1)))
    b = coarse.matrix[:, 1:-1, 1:-1]
    for y in range(8):
        for x in range(5):
            np.testing.assert_allclose(b[:3, y, x], a[:3, 2 * y : 2 * y + 2, 2 * x : 2 * x + 2].sum((1, 2)), rtol=1e-5)
            assert b[3, y, x] == pytest.approx(0.5 * a[3, 2 * y : 2 * y + 2, 2 * x + 1].sum(), rel=1e-5)
            assert b[4, y, x] == pytest.approx(0.5 * a[4, 2 * y + 1, 2 * x : 2 * x + 2].sum(), rel=1e-5)


def band_by_loops(image: np.ndarray, alpha: np.ndarray, band: np.ndarray) -> np.ndarray:
    """Foreground colours (n, 3) of the band's pixels, the known colours of the others kept, by a dense solve."""
    places = np.argwhere(band)
    number = {(y, x): i for i, (y, x) in enumerate(places.tolist())}
    n = len(places)
    matrix, wanted = np.zeros((2 * n, 2 * n)), np.zeros((2 * n, 3))
    for (y, x), i in number.items():
        a = float(alpha[y, x])
        share = np.array([a, 1 - a])
        matrix[np.ix_([i, n + i], [i, n + i])] += np.outer(share, share)
        wanted[[i, n + i]] += share[:, None] * image[y, x]
        for v, u in ((y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)):
            if not (0 <= v < band.shape[0] and 0 <= u < band.shape[1]):
                continue
            weight = 2 * (1e-5 + abs(a - float(alpha[v, u])))
            for layer, opaque in ((0, 1), (n, 0)):
                if (v, u) in number:
                    matrix[layer + i, layer + i] += weight
                    matrix[layer + i, layer + number[v, u]] -= weight
                elif alpha[v, u] == opaque:
                    matrix[layer + i, layer + i] += weight
                    wanted[layer + i] += weight * image[v, u]
    return np.linalg.solve(matrix, wanted)[:n]


@pytest.mark.parametrize("hole", [False, True])
@pytest.mark.parametrize("margin", [0, 1])
def test_the_system_is_that_of_the_band_and_the_fixed_pixels_about_it(
    margin: int, hole: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(closed_form, "MARGIN", margin)
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:30, :26]
    alpha = np.clip((9 - np.hypot(y - 12, x - 11)) / 3 + 0.5, 0, 1).astype(np.float32)
    alpha = 1 - alpha if hole else alpha
    image = rng.random((30, 26, 3), np.float32)
    soft, side = np.pad((alpha > 0) & (alpha < 1), margin), 2 * margin + 1
    band = np.lib.stride_tricks.sliding_window_view(soft, (side, side)).any((2, 3))
    assert not band.all()
    found = estimate_foreground(image, alpha, method="closed-form", rtol=1e-9)
    expected = np.clip(band_by_loops(image, alpha, band), 0, 1)
    seen = (alpha[band] > 0) & (alpha[band] < 1)
    np.testing.assert_allclose(found[band][seen], expected[seen], atol=2e-4)


def test_colours_are_the_same_bits_for_any_number_of_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a picture large enough for rows to be shared out."""
    monkeypatch.setattr(closed_form, "PIXELS", 500)
    monkeypatch.setattr(multigrid, "ROWS", 4)
    y, x = np.mgrid[:150, :170]
    alpha = np.clip((60 - np.hypot(y - 70, x - 80)) / 30 + 0.5, 0, 1).astype(np.float32)
    image = np.random.default_rng(1).random((150, 170, 3), np.float32)
    before = numba.get_num_threads()
    results = []
    for threads in (1, numba.config.NUMBA_NUM_THREADS):  # type: ignore[attr-defined]
        numba.set_num_threads(threads)
        results.append(estimate_foreground(image, alpha, method="closed-form"))
    numba.set_num_threads(before)
    np.testing.assert_array_equal(*results)


@pytest.mark.parametrize("beside", [0.3, 0.0, 1.0])
def test_large_areas_of_one_alpha_converge(beside: float) -> None:
    """There the masses of coarse cells are all but singular: in 32 bits nothing was left of what makes them regular."""
    alpha = np.full((200, 301), 0.3, np.float32)
    alpha[:, 200:] = beside
    image = np.random.default_rng(0).random((200, 301, 3), np.float32)
    estimate_foreground(image, alpha, method="closed-form", strict=True)
