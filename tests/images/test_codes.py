"""Trimaps in the codes of other tools: taken for what they are where there is no doubt, else refused by their greys."""

from __future__ import annotations

import io
import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import trimatte
from trimatte.errors import ArgumentError
from trimatte.images import read_trimap

KINDS = np.array([0, 128, 255], np.uint8)
OURS = KINDS.repeat(4)[None].repeat(9, 0)
"""A trimap of three stripes."""


def coded(*greys: float, dtype: Any = np.uint8) -> np.ndarray:
    """The three stripes in other greys."""
    return np.array(greys, dtype)[np.searchsorted(KINDS, OURS)]


def png(array: np.ndarray) -> io.BytesIO:
    stream = io.BytesIO()
    Image.fromarray(array).save(stream, "PNG")
    stream.seek(0)
    return stream


@pytest.mark.parametrize(
    "array",
    [
        coded(0, 127, 254),
        coded(1, 128, 255),
        coded(1, 128, 254),
        coded(0, 30000, 65535 - 257, dtype=np.uint16),
        coded(0, 0.5, 254 / 255, dtype=np.float32),
    ],
)
def test_greys_next_to_black_and_white_are_taken_for_them_and_said(array: np.ndarray) -> None:
    with pytest.warns(UserWarning, match="taken for background"):
        np.testing.assert_array_equal(read_trimap(array), OURS)


@pytest.mark.parametrize(
    "array",
    [coded(0, 127, 255), coded(0, 60, 255), coded(0, 3000, 65535, dtype=np.uint16), coded(0, 0.3, 1, dtype=np.float64)],
)
def test_any_grey_between_is_unknown(array: np.ndarray) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_array_equal(read_trimap(array), OURS)


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (coded(0, 1, 2), "greys 0, 1, 2, class labels"),
        (coded(0, 2, 1), "0, 1, 2, class labels"),
        (coded(0, 1, 255), "0, 1, 255, class labels"),
        (coded(0, 1, 1), "greys 0, 1, class labels"),
        (coded(0, 128, 200), "greys 0, 128, 200"),
        (coded(50, 128, 255), "greys 50, 128, 255"),
        (coded(0, 253, 254), "greys 0, 253, 254"),
        (coded(254, 254, 254), "greys 254"),
        (np.arange(200, dtype=np.uint8)[None], "200 greys from 0 to 199"),
        (coded(0, 1, 2, dtype=np.uint16), "class labels"),
        (coded(0, 0.4, 0.8, dtype=np.float32), "greys 0, 0.4, 0.8"),
    ],
)
def test_other_codes_are_refused_by_their_greys(array: np.ndarray, words: str, photo: np.ndarray) -> None:
    with pytest.raises(ArgumentError, match=f"trimap: got .*{words}"):
        read_trimap(array)
    if array.shape == OURS.shape:
        with pytest.raises(ArgumentError, match=words):
            trimatte.estimate_alpha(np.zeros((*OURS.shape, 3), np.uint8), array)


@given(st.lists(st.integers(0, 255), min_size=1, max_size=5))
def test_what_is_taken_is_on_its_own_side(greys: list[int]) -> None:
    """Whatever the greys: known background is darker than all unknown, known foreground brighter, or it is refused."""
    plane = np.array([greys], np.uint8)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            trimap = read_trimap(plane)
    except ArgumentError:
        return
    unknown = plane[trimap == 128]
    assert (plane[trimap == 0] <= 1).all()
    assert (plane[trimap == 255] >= 254).all()
    assert ((unknown > 0) & (unknown < 255)).all()


def test_black_that_holds_its_trimap_in_alpha() -> None:
    array = np.dstack([np.zeros((*OURS.shape, 3), np.uint8), OURS])
    np.testing.assert_array_equal(read_trimap(png(array)), OURS)


@pytest.mark.parametrize("hidden", [0, 77, 255])
def test_white_and_grey_on_transparent_ground(hidden: int) -> None:
    greys = np.where(OURS == 0, np.uint8(hidden), OURS)
    array = np.dstack([greys, np.where(OURS == 0, np.uint8(0), np.uint8(255))])
    np.testing.assert_array_equal(read_trimap(png(array)), OURS)


def test_white_whose_alpha_says_how_far() -> None:
    array = np.dstack([np.full_like(OURS, 255), OURS])
    np.testing.assert_array_equal(read_trimap(png(array)), OURS)


@pytest.mark.parametrize(
    ("greys", "alpha", "words"),
    [
        ((0, 128, 255), (255, 0, 255), "transparent pixels besides black ones"),
        ((0, 0, 0), (0, 0, 255), "transparent pixels besides black ones"),
        ((200, 128, 255), (0, 100, 255), "half transparent greys"),
    ],
)
def test_transparency_that_may_mean_two_things_is_refused(
    greys: tuple[int, ...], alpha: tuple[int, ...], words: str
) -> None:
    with pytest.raises(ArgumentError, match=words):
        read_trimap(png(np.dstack([coded(*greys), coded(*alpha)])))


@pytest.mark.parametrize("kinds", [(0, 128, 128), (128, 128, 255), (128, 128, 128)])
def test_a_trimap_that_lacks_a_kind_fails_with_strict(kinds: tuple[int, ...]) -> None:
    image, trimap = np.random.default_rng(0).random((*OURS.shape, 3)), coded(*kinds)
    assert trimatte.estimate_alpha(image, trimap).report.fallbacks
    with pytest.raises(ArgumentError, match="trimap: it has no known"):
        trimatte.estimate_alpha(image, trimap, strict=True)
    with pytest.raises(ArgumentError, match="trimap: it has no known"):
        trimatte.cutout(image, trimap=trimap, strict=True)
