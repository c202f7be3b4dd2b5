"""Regions of a mask, and the greatest value about each pixel, against SciPy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from trimatte.planes.regions import ROWS, regions, widest

SHAPES = [(1, 1), (1, 40), (40, 1), (2 * ROWS + 3, 50), (30, 7)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("density", [0.0, 0.3, 0.6, 0.9, 1.0])
def test_regions_are_those_of_scipy(shape: tuple[int, int], density: float) -> None:
    rng = np.random.default_rng(0)
    mask, spots = rng.random(shape) < density, rng.random(shape) < 0.05
    labels, count = ndimage.label(mask)
    found = regions(mask)
    np.testing.assert_array_equal(found.sizes(), np.bincount(labels.ravel(), minlength=count + 1)[1:])
    touched = np.isin(np.arange(1, count + 1), labels[spots])
    np.testing.assert_array_equal(found.touched(spots), touched)
    chosen = rng.random(count) < 0.5
    out = np.zeros(shape, bool)
    found.paint(chosen, True, out)
    np.testing.assert_array_equal(out, np.isin(labels, 1 + np.flatnonzero(chosen)))


def test_a_spiral_is_one_region() -> None:
    mask = np.zeros((41, 41), bool)
    for k in range(0, 20, 2):
        mask[k, k : 41 - k] = mask[40 - k, k + 2 : 41 - k] = mask[k + 2 : 41 - k, k] = mask[k : 41 - k, 40 - k] = True
        mask[k + 2, k] = False
    labels, _ = ndimage.label(mask)
    np.testing.assert_array_equal(regions(mask).sizes(), np.bincount(labels.ravel())[1:])


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("radius", [0, 1, 5, 60])
def test_greatest_value_about_each_pixel(shape: tuple[int, int], radius: int) -> None:
    values = np.random.default_rng(1).random(shape, np.float32)
    np.testing.assert_array_equal(widest(values, radius), ndimage.maximum_filter(values, 2 * radius + 1))


def test_the_greatest_value_of_each_region_and_bounds_on_them() -> None:
    rng = np.random.default_rng(5)
    mask, values = rng.random((30, 40)) < 0.4, rng.random((30, 40), np.float32)
    labels, count = ndimage.label(mask)
    found = regions(mask)
    np.testing.assert_array_equal(found.greatest(values), ndimage.maximum(values, labels, range(1, count + 1)))
    bounds, out = rng.random(count, np.float32), np.ones(mask.shape, np.float32)
    found.lower(bounds, out)
    np.testing.assert_array_equal(out, np.where(mask, bounds[labels - 1], 1))
