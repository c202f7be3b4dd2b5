"""A plane as a function of colour, against least squares window by window."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from trimatte.planes.regression import affine_planes

RNG = np.random.default_rng(0)


def slow(image: np.ndarray, plane: np.ndarray, radius: int, edge: float) -> np.ndarray:
    """Ridge regression in each window, whose pixels beyond the border are the border's, and the windows' mean."""
    padded = np.pad(image, [(radius, radius), (radius, radius), (0, 0)], mode="edge").astype(np.float64)
    values = np.pad(plane, radius, mode="edge").astype(np.float64)
    fits, size = np.empty((4, *plane.shape)), 2 * radius + 1
    for y, x in np.ndindex(plane.shape):
        colours = padded[y : y + size, x : x + size].reshape(-1, 3)
        wanted = values[y : y + size, x : x + size].ravel()
        rows = np.vstack([colours - colours.mean(0), np.sqrt(edge * size**2) * np.eye(3)])
        fits[1:, y, x] = np.linalg.lstsq(rows, np.append(wanted - wanted.mean(), np.zeros(3)), rcond=None)[0]
        fits[0, y, x] = wanted.mean() - fits[1:, y, x] @ colours.mean(0)
    means: np.ndarray = ndimage.uniform_filter(fits, (1, size, size), mode="nearest")
    return means


@pytest.mark.parametrize("shape", [(7, 9), (1, 5), (6, 1), (20, 30)])
@pytest.mark.parametrize(("radius", "edge"), [(1, 1e-4), (2, 1e-3), (6, 1e-3)])
def test_functions_are_those_of_least_squares(shape: tuple[int, int], radius: int, edge: float) -> None:
    image, plane = RNG.random((*shape, 3), np.float32), RNG.random(shape, np.float32)
    np.testing.assert_allclose(
        affine_planes(image, plane, radius, edge), slow(image, plane, radius, edge), rtol=1e-6, atol=1e-9
    )


def test_where_there_is_one_colour_nothing_follows_from_it() -> None:
    image, plane = np.full((6, 5, 3), 0.3, np.float32), RNG.random((6, 5), np.float32)
    offset, *slopes = affine_planes(image, plane, 1, 1e-4)
    np.testing.assert_allclose(slopes, 0, atol=1e-7)
    np.testing.assert_allclose(offset, slow(image, plane, 1, 1e-4)[0], atol=1e-7)


def test_any_number_of_threads_gives_the_same_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    image, plane = RNG.random((130, 120, 3), np.float32), RNG.random((130, 120), np.float32)
    results = []
    for threads in (1, 2, 3):
        monkeypatch.setattr("numba.get_num_threads", lambda n=threads: n)
        results.append(affine_planes(image, plane, 8, 1e-3).tobytes())
    assert len(set(results)) == 1
