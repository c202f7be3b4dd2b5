"""A band that two methods and the map's doubt agree on."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimatte import cutout, make_trimap
from trimatte.alpha.adaptive_band import adaptive_trimap, agreed, by_sure_map, parted
from trimatte.alpha.glance import mixed_pixels
from trimatte.planes import filters
from trimatte.trimap import BACKGROUND, FOREGROUND, UNKNOWN, TrimapReport

KINDS = np.array([BACKGROUND, UNKNOWN, FOREGROUND], np.uint8)


@pytest.fixture(scope="module")
def scene() -> tuple[np.ndarray, np.ndarray]:
    """A brown ball with hair on a blue wall (200, 260, 3), and its alpha."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:200, :260]
    away, turn = np.hypot(y - 100, x - 130), np.arctan2(y - 100, x - 130)
    hair = np.clip(1 - (away - 50) / 22, 0, 1) * (np.sin(60 * turn) > 0.2) * (y < 100)
    alpha = np.clip(np.maximum(np.clip(50.5 - away, 0, 1), 0.8 * hair), 0, 1)
    ball = np.clip(rng.normal(0, 0.03, (200, 260, 1)) + np.array((0.45, 0.25, 0.1)), 0, 1)
    wall = np.full((200, 260, 3), (0.6, 0.75, 0.95))
    return (alpha[..., None] * ball + (1 - alpha[..., None]) * wall).astype(np.float32), alpha.astype(np.float32)


@pytest.fixture(scope="module")
def probability(scene: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """As a segmenter sees it: the ball, a little soft, and more so at the hair."""
    y, x = np.mgrid[:200, :260]
    ball = (np.hypot(y - 100, x - 130) < 52).astype(np.float32)
    return np.clip(filters.gaussian(ball, 3) + 0.1 * filters.gaussian(scene[1], 8), 0, 1).astype(np.float32)


def test_it_follows_hair_and_is_narrow_elsewhere(scene: tuple[np.ndarray, np.ndarray], probability: np.ndarray) -> None:
    image, alpha = scene
    report = TrimapReport()
    trimap, plain = adaptive_trimap(image, probability, report=report), make_trimap(probability)
    soft = (alpha > 0.02) & (alpha < 0.98)
    missed = [np.count_nonzero(soft & (made != UNKNOWN)) for made in (trimap, plain)]
    below = np.s_[110:]
    assert missed[0] < 0.75 * missed[1]
    assert np.count_nonzero(trimap == UNKNOWN) < 1.1 * np.count_nonzero(plain == UNKNOWN)
    assert np.count_nonzero(trimap[below] == UNKNOWN) < 0.7 * np.count_nonzero(plain[below] == UNKNOWN)
    assert np.abs(trimap / 255.0 - alpha)[trimap != UNKNOWN].mean() < 0.01
    assert report.band == pytest.approx(0.05 * np.sqrt(np.count_nonzero(probability >= 0.5)))


def test_a_cutout_takes_it(scene: tuple[np.ndarray, np.ndarray]) -> None:
    result = cutout(scene[0], band=0.08, adaptive_band=True)
    assert result.probability is not None
    trimap = adaptive_trimap(scene[0], result.probability, band=0.08, speck=0.002)
    np.testing.assert_array_equal(result.trimap, trimap)
    assert (trimap != make_trimap(result.probability, band=0.08, speck=0.002)).any()


def test_a_width_in_pixels_is_that_of_the_photo(scene: tuple[np.ndarray, np.ndarray], probability: np.ndarray) -> None:
    image, large = (np.repeat(np.repeat(plane, 3, 0), 3, 1) for plane in (scene[0], probability))
    size = float(np.sqrt(np.count_nonzero(large >= 0.5)))
    report = TrimapReport()
    trimap = adaptive_trimap(image, large, band_pixels=0.05 * size, report=report)
    assert trimap.shape == large.shape
    assert report.band == pytest.approx(0.05 * size)
    assert np.mean(trimap != adaptive_trimap(image, large, band=0.05)) < 0.01


@pytest.mark.parametrize("level", [0.0, 0.2, 1.0])
def test_without_an_outline_it_is_the_plain_rule(scene: tuple[np.ndarray, np.ndarray], level: float) -> None:
    flat = np.full(scene[1].shape, level, np.float32)
    notes = TrimapReport(), TrimapReport()
    trimap = adaptive_trimap(scene[0], flat, report=notes[0])
    expected = make_trimap(flat, mixed=mixed_pixels(scene[0], flat), report=notes[1])
    np.testing.assert_array_equal(trimap, expected)
    assert notes[0] == notes[1]


def test_what_not_all_know_alike_is_unknown() -> None:
    first, second = np.repeat(KINDS, 3)[None], np.tile(KINDS, 3)[None]
    expected = [BACKGROUND, *[UNKNOWN] * 7, FOREGROUND]
    np.testing.assert_array_equal(agreed([first, second])[0], expected)


@given(st.integers(0, 2**32 - 1), st.integers(1, 3))
def test_sides_are_parted_by_a_margin(seed: int, margin: int) -> None:
    rng = np.random.default_rng(seed)
    trimap = KINDS[rng.choice(3, (11, 13), p=(0.45, 0.1, 0.45)).repeat(3, 0).repeat(3, 1)[:11, :13]]
    expected = trimap.copy()
    for y, x in np.ndindex(trimap.shape):
        for v, u in np.ndindex(trimap.shape):
            near = (y - v) ** 2 + (x - u) ** 2 <= margin**2
            if near and {int(trimap[y, x]), int(trimap[v, u])} == {BACKGROUND, FOREGROUND}:
                expected[y, x] = UNKNOWN
    np.testing.assert_array_equal(parted(trimap, margin), expected)


def test_far_from_the_outline_a_sure_map_counts_alone() -> None:
    sure = np.zeros((40, 60), np.float32)
    sure[:, :20] = 1
    unsure = np.where(sure > 0, sure, np.float32(0.1))
    trimap = np.full(sure.shape, FOREGROUND, np.uint8)
    expected = trimap.copy()
    expected[:, 28:] = BACKGROUND
    np.testing.assert_array_equal(by_sure_map(trimap, sure, 8, 0), expected)
    np.testing.assert_array_equal(by_sure_map(trimap, unsure, 8, 0), trimap)
    line = sure.copy()
    line[:, 50] = 0.1
    assert (by_sure_map(trimap, line, 8, 0)[:, 50] == FOREGROUND).all()
    np.testing.assert_array_equal(by_sure_map(trimap, line, 8, 3)[:, 45:], expected[:, 45:])
