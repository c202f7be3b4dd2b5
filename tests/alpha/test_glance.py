"""The trimap-free network: one look gives alpha, what a trimap knows is kept."""

from __future__ import annotations

import numpy as np
import pytest

from trimatte import cutout, estimate_alpha, segment
from trimatte.alpha import glance


@pytest.fixture(scope="module")
def scene() -> tuple[np.ndarray, np.ndarray]:
    """A red ball on a meadow (200, 260, 3), and its alpha."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:200, :260]
    alpha = np.clip((60 - np.hypot(y - 100, x - 130)) / 4 + 0.5, 0, 1)
    shade = 0.6 + 0.4 * np.clip(1 - np.hypot(y - 80, x - 110) / 90, 0, 1)
    ball = shade[..., None] * (0.9, 0.1, 0.1)
    meadow = np.clip(rng.normal(0, 0.05, (200, 260, 1)) + np.array((0.35, 0.55, 0.25)), 0, 1)
    return (alpha[..., None] * ball + (1 - alpha[..., None]) * meadow).astype(np.float32), alpha


def test_a_ball_is_cut_out(scene: tuple[np.ndarray, np.ndarray]) -> None:
    image, truth = scene
    matte = estimate_alpha(image, method="glance", strict=True)
    assert np.abs(matte.alpha - truth).mean() < 0.02
    assert matte.report.solver == "network"


def test_it_knows_where_the_edge_is(scene: tuple[np.ndarray, np.ndarray]) -> None:
    image, truth = scene
    mixed = glance.mixed_pixels(image)
    edge = (truth > 0.05) & (truth < 0.95)
    assert mixed[edge].mean() > 3 * mixed[~edge].mean()
    np.testing.assert_array_equal(glance.mixed_pixels(image, segment(image)), mixed)


def test_what_a_trimap_knows_is_kept(scene: tuple[np.ndarray, np.ndarray]) -> None:
    image, _ = scene
    trimap = np.full(image.shape[:2], 128, np.uint8)
    trimap[:20], trimap[90:110, 120:140] = 255, 0
    alpha = estimate_alpha(image, trimap, method="glance").alpha
    np.testing.assert_array_equal(alpha[trimap != 128], trimap[trimap != 128] / 255)
    free = estimate_alpha(image, method="glance").alpha
    np.testing.assert_array_equal(alpha[trimap == 128], free[trimap == 128])


@pytest.mark.parametrize("shape", [(1, 1), (3, 700), (33, 31)])
def test_odd_pictures_have_a_defined_result(shape: tuple[int, int]) -> None:
    image = np.random.default_rng(0).random((*shape, 3), np.float32)
    alpha = estimate_alpha(image, method="glance").alpha
    assert alpha.shape == shape
    assert alpha.dtype == np.float32
    assert np.isfinite(alpha).all()
    assert alpha.min() >= 0
    assert alpha.max() <= 1


def test_it_cuts_out_without_a_segmenter_and_a_trimap(scene: tuple[np.ndarray, np.ndarray]) -> None:
    image, truth = scene
    result = cutout(image, method="glance")
    assert np.abs(result.alpha - truth).mean() < 0.03
