"""The numbering of the unknown band."""

from __future__ import annotations

from collections.abc import Callable
from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trimatte.linalg import band as module
from trimatte.linalg.band import Band, number_band

MaskMaker = Callable[..., np.ndarray]
REACH = [(dy, dx) for dy in range(3) for dx in range(-2, 3) if (dy, dx) > (0, 0)]


def strip_of(band: Band) -> np.ndarray:
    """Place in the processing order of the strip that each number belongs to."""
    return np.searchsorted(band.strips, np.arange(band.size), side="right") - 1


def check(unknown: np.ndarray, least: int) -> None:
    with mock.patch.object(module, "STRIP_PIXELS", least):
        band = number_band(unknown)
        tops = module._strip_tops(unknown.sum(axis=1))
    height, width = unknown.shape
    n = np.count_nonzero(unknown)

    assert band.shape == unknown.shape
    assert band.size == n
    np.testing.assert_array_equal(band.index >= 0, unknown)
    np.testing.assert_array_equal(np.sort(band.index[unknown]), np.arange(n))
    np.testing.assert_array_equal(band.index.ravel()[band.position], np.arange(n))

    np.testing.assert_array_equal(band.row_count, unknown.sum(axis=1))
    for y in np.flatnonzero(unknown.any(axis=1)):
        numbers = band.index[y][unknown[y]]
        np.testing.assert_array_equal(numbers, band.row_first[y] + np.arange(len(numbers)))

    # strips as documented: whole rows, even ones first, of at least two rows and `least` pixels but for the last
    strips = len(band.strips) - 1
    assert strips == len(tops)
    assert band.even == (strips + 1) // 2
    assert band.strips[0] == 0
    assert band.strips[-1] == n
    bottoms = np.append(tops[1:], height)
    assert strips == 1 or (bottoms - tops).min() >= 2
    for t, (top, bottom) in enumerate(zip(tops, bottoms, strict=True)):
        s = t // 2 + (t % 2) * band.even
        numbers = band.index[top:bottom][unknown[top:bottom]]
        np.testing.assert_array_equal(numbers, np.arange(band.strips[s], band.strips[s + 1]))
        tail = band.index[max(top, bottom - 2) : bottom]
        np.testing.assert_array_equal(tail[tail >= 0], np.arange(band.tails[s], band.strips[s + 1]))
        assert t == strips - 1 or len(numbers) >= least

    # strips of one parity do not see each other, and only a strip's tail sees the next one
    strip = strip_of(band)
    padded = np.full((height + 2, width + 4), -1, np.int64)
    padded[:height, 2:-2] = band.index
    here = padded[:height, 2:-2]
    for dy, dx in REACH:
        there = padded[dy : dy + height, 2 + dx : 2 + dx + width]
        both = (here >= 0) & (there >= 0)
        i, j = here[both], there[both]
        crossing = strip[i] != strip[j]
        assert np.all((strip[i] < band.even) != (strip[j] < band.even), where=crossing)
        assert np.all(i[crossing] >= band.tails[strip[i[crossing]]])


@settings(max_examples=60)
@given(
    seed=st.integers(0, 10**6),
    height=st.integers(1, 40),
    width=st.integers(1, 30),
    density=st.sampled_from([0.02, 0.3, 0.9, 1.0]),
    least=st.integers(1, 200),
)
def test_any_band_is_numbered_as_documented(
    random_mask: MaskMaker, seed: int, height: int, width: int, density: float, least: int
) -> None:
    check(random_mask(seed, height, width, density), least)


@pytest.mark.parametrize("place", [(0, 0), (4, 3), (8, 6)])
def test_single_pixel(place: tuple[int, int]) -> None:
    unknown = np.zeros((9, 7), bool)
    unknown[place] = True
    check(unknown, 1)
    assert number_band(unknown).position.tolist() == [place[0] * 7 + place[1]]


@pytest.mark.parametrize("shape", [(1, 1), (1, 50), (50, 1), (2, 2), (37, 41)])
def test_whole_and_empty_pictures(shape: tuple[int, int]) -> None:
    check(np.ones(shape, bool), 5)
    check(np.zeros(shape, bool), 5)


def test_strips_have_their_least_size_by_default() -> None:
    band = number_band(np.ones((120, 200), bool))
    sizes = np.diff(band.strips)
    assert len(sizes) == 6
    assert np.sort(sizes)[1] >= module.STRIP_PIXELS
    assert band.half == sizes[: band.even].sum()
