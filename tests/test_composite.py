"""A subject over a background."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from trimatte.composite import background_image, checkerboard, composite
from trimatte.errors import ArgumentError, ImageReadError

RNG = np.random.default_rng(3)
WHITE = np.ones((4, 5, 3), np.float32)

FLOATS = st.floats(0, 1, width=32)


@settings(max_examples=50)
@given(
    hnp.arrays(np.float32, (3, 4, 3), elements=FLOATS),
    hnp.arrays(np.float32, (3, 4), elements=FLOATS),
    hnp.arrays(np.float32, (3, 4, 3), elements=FLOATS),
)
def test_the_formula(foreground, alpha, background):
    before = [x.copy() for x in (foreground, alpha, background)]
    image = composite(foreground, alpha, background)
    assert image.dtype == np.float32
    assert 0 <= image.min() <= image.max() <= 1
    a = alpha[..., None].astype(np.float64)
    np.testing.assert_allclose(image, a * foreground + (1 - a) * background, atol=2e-7)
    for x, was in zip((foreground, alpha, background), before, strict=True):
        np.testing.assert_array_equal(x, was)


def test_known_pixels_are_exact():
    foreground, background = RNG.random((2, 6, 7, 3), np.float32)
    np.testing.assert_array_equal(composite(foreground, np.zeros((6, 7)), background), background)
    np.testing.assert_allclose(composite(foreground, np.ones((6, 7)), background), foreground, atol=1e-7)


@pytest.mark.parametrize(
    ("colour", "values"),
    [
        ("white", (255, 255, 255)),
        ("DodgerBlue", (30, 144, 255)),
        ("#1e90ff", (30, 144, 255)),
        ("#f80", (255, 136, 0)),
        ("#1e90ffff", (30, 144, 255)),
        ("rgb(1, 2, 3)", (1, 2, 3)),
        ("hsl(120, 100%, 50%)", (0, 255, 0)),
        ((30, 144, 255), (30, 144, 255)),
        ([0, 0, 1], (0, 0, 1)),
        (np.array([1, 2, 3], np.uint8), (1, 2, 3)),
        ((0.0, 0.5, 1.0), (0, 127.5, 255)),
        ((0, 0.5, 1), (0, 127.5, 255)),
    ],
)
def test_colours(colour, values):
    image = composite(WHITE, np.zeros((4, 5)), colour)
    np.testing.assert_allclose(image * 255, np.broadcast_to(values, (4, 5, 3)), atol=1e-4)


@pytest.mark.parametrize(
    "colour",
    ["", "nosuchcolour", "#12345", "#xyzxyz", "rgb(1,2)", "#11223344", (1, 2), (1, 2, 3, 4), (0, 0, 256), (-1, 0, 0),
     (0.0, 0.0, 1.5), (0.0, 0.0, float("nan")), ("a", "b", "c"), (True, False, True), None],
)  # fmt: skip
def test_bad_colours(colour):
    with pytest.raises(ArgumentError, match=r"^background: got .*; wanted"):
        composite(WHITE, np.zeros((4, 5)), colour)


def test_a_picture_from_each_source(tmp_path):
    x = RNG.integers(0, 256, (4, 5, 3)).astype(np.uint8)
    path = tmp_path / "x.png"
    Image.fromarray(x).save(path)
    for background in (x, x / 255, Image.fromarray(x), path, str(path), path.read_bytes()):
        np.testing.assert_allclose(composite(WHITE, np.zeros((4, 5)), background), x / 255, atol=1e-7)
    with pytest.raises(ImageReadError, match=r"missing\.png"):
        composite(WHITE, np.zeros((4, 5)), "missing.png")


def test_a_grey_picture():
    grey = RNG.random((4, 5), np.float32)
    np.testing.assert_allclose(composite(WHITE, np.zeros((4, 5)), grey), np.dstack([grey] * 3), atol=1e-7)


@pytest.mark.parametrize("shape", [(60, 30), (30, 90), (90, 90), (20, 15), (120, 180)])
def test_another_size_covers_and_keeps_its_middle(shape):
    """A ramp along each side: what is seen of it must be centred, evenly scaled and reach two opposite borders."""
    height, width = shape
    y, x = np.mgrid[0:height, 0:width] + 0.5
    background = np.stack([x / width, y / height, np.zeros(shape)], axis=-1)
    image = background_image(background, (30, 45))
    assert image.shape == (30, 45, 3)
    scale = max(30 / height, 45 / width)
    seen_y, seen_x = np.mgrid[0:30, 0:45] + 0.5
    expected_x = ((seen_x - 22.5) / scale + width / 2) / width
    expected_y = ((seen_y - 15) / scale + height / 2) / height
    inner = (slice(10, -10), slice(10, -10))  # a filter bends a ramp at the border
    np.testing.assert_allclose(image[..., 0][inner], expected_x[inner], atol=0.02)
    np.testing.assert_allclose(image[..., 1][inner], expected_y[inner], atol=0.02)


@settings(max_examples=40)
@example(height=21, width=1, own_height=15, own_width=1)  # where rounding would cut beyond the border
@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 40), st.integers(1, 40))
def test_any_size_keeps_range_and_flat_colour(height, width, own_height, own_width):
    flat = np.full((own_height, own_width, 3), 0.25)
    np.testing.assert_allclose(background_image(flat, (height, width)), 0.25, atol=1e-6)
    noise = np.random.default_rng(height).random((own_height, own_width, 3)) > 0.5
    image = background_image(noise.astype(float), (height, width))
    assert image.shape == (height, width, 3)
    assert 0 <= image.min() <= image.max() <= 1


def test_bad_arrays():
    with pytest.raises(ArgumentError, match="alpha: got shape"):
        composite(WHITE, np.zeros((5, 4)), "white")
    with pytest.raises(ArgumentError, match="foreground: got floats"):
        composite(WHITE * 2, np.zeros((4, 5)), "white")
    with pytest.raises(ArgumentError, match="background: got NaN"):
        composite(WHITE, np.zeros((4, 5)), WHITE * np.nan)
    with pytest.raises(ArgumentError, match="background: got shape"):
        composite(WHITE, np.zeros((4, 5)), np.zeros((4, 5, 2)))


@settings(max_examples=30)
@given(st.integers(1, 20), st.integers(1, 20), st.integers(1, 9))
def test_checkerboard(height, width, size):
    board = checkerboard((height, width), size=size, colours=(0.25, 0.75))
    assert board.dtype == np.float32
    expected = [[0.25 if (y // size + x // size) % 2 == 0 else 0.75 for x in range(width)] for y in range(height)]
    np.testing.assert_array_equal(board, np.dstack([expected] * 3))


def test_a_checkerboard_fits_an_image():
    board = checkerboard(WHITE.shape)
    assert board.shape == WHITE.shape
    np.testing.assert_allclose(composite(WHITE, np.zeros((4, 5)), board), board, atol=1e-7)


def test_bad_checkerboards():
    with pytest.raises(ArgumentError, match="size: got 0"):
        checkerboard((4, 5), size=0)
    with pytest.raises(ArgumentError, match="colours: got"):
        checkerboard((4, 5), colours=(0.0, 255.0))
