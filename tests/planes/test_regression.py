"""Slopes of a plane on colour, against least squares window by window."""

from __future__ import annotations

import numpy as np
import pytest

from trimatte.planes.regression import colour_slopes

RNG = np.random.default_rng(0)


def slow(image: np.ndarray, plane: np.ndarray, radius: int, edge: float) -> np.ndarray:
    """Ridge regression in each window, whose pixels beyond the border are the border's."""
    padded = np.pad(image, [(radius, radius), (radius, radius), (0, 0)], mode="edge").astype(np.float64)
    values = np.pad(plane, radius, mode="edge").astype(np.float64)
    slopes, size = np.empty((3, *plane.shape)), 2 * radius + 1
    for y, x in np.ndindex(plane.shape):
        colours = padded[y : y + size, x : x + size].reshape(-1, 3)
        colours = colours - colours.mean(0)
        wanted = values[y : y + size, x : x + size].ravel()
        rows = np.vstack([colours, np.sqrt(edge * size**2) * np.eye(3)])
        slopes[:, y, x] = np.linalg.lstsq(rows, np.append(wanted - wanted.mean(), np.zeros(3)), rcond=None)[0]
    return slopes


@pytest.mark.parametrize(("radius", "edge"), [(1, 1e-4), (2, 1e-3)])
def test_slopes_are_those_of_least_squares(radius: int, edge: float) -> None:
    image, plane = RNG.random((7, 9, 3), np.float32), RNG.random((7, 9), np.float32)
    np.testing.assert_allclose(colour_slopes(image, plane, radius, edge), slow(image, plane, radius, edge), rtol=1e-6)


def test_where_there_is_one_colour_nothing_follows_from_it() -> None:
    image = np.full((6, 5, 3), 0.3, np.float32)
    np.testing.assert_allclose(colour_slopes(image, RNG.random((6, 5)), 1, 1e-4), 0, atol=1e-9)
