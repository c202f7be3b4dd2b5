"""The filters of small planes, against those of scipy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from trimatte.planes import filters


@pytest.mark.parametrize(("mode", "name"), [("symmetric", "reflect"), ("edge", "nearest")])
@pytest.mark.parametrize("sigma", [0.8, 1.5, 4.0])
@pytest.mark.parametrize("shape", [(37, 50), (8, 160), (12, 12, 12)])
def test_gaussian_is_that_of_scipy_to_the_bit(shape: tuple[int, ...], sigma: float, mode: str, name: str) -> None:
    for kind in (np.float32, np.float64):
        plane: np.ndarray = np.random.default_rng(0).random(shape).astype(kind)
        blurred = filters.gaussian(plane, sigma, mode)
        assert blurred.dtype == kind
        expected: np.ndarray = ndimage.gaussian_filter(plane, sigma, mode=name)
        np.testing.assert_array_equal(blurred, expected)


@settings(max_examples=50)
@given(seed=st.integers(0, 99), height=st.integers(1, 12), width=st.integers(1, 12), radius=st.integers(0, 14))
def test_dilated_is_that_of_scipy(seed: int, height: int, width: int, radius: int) -> None:
    mask = np.random.default_rng(seed).random((height, width)) < 0.1
    before = mask.copy()
    square = np.ones((2 * radius + 1,) * 2, bool)
    np.testing.assert_array_equal(filters.dilated(mask, radius), ndimage.binary_dilation(mask, square))
    np.testing.assert_array_equal(mask, before)


@pytest.mark.parametrize("place", [(0, 0), (19, 23), (0, 11), (7, 23)])
def test_dilated_leaves_no_gap_at_the_border(place: tuple[int, int]) -> None:
    mask = np.zeros((20, 24), bool)
    mask[place] = True
    for radius in range(26):
        away = np.maximum(*(abs(along - at) for along, at in zip(np.ogrid[:20, :24], place, strict=True)))
        np.testing.assert_array_equal(filters.dilated(mask, radius), away <= radius)


def test_dilated_along_some_axes() -> None:
    cube = np.random.default_rng(2).random((7, 8, 9)) < 0.02
    plate = np.ones((3, 1, 3), bool)
    np.testing.assert_array_equal(filters.dilated(cube, axes=(0, 2)), ndimage.binary_dilation(cube, plate))
