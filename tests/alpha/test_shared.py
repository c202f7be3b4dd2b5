"""Shared matting: quality beside pymatting's, and pictures at the border of what makes sense."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from trimatte import estimate_alpha

Edge = Callable[..., tuple[np.ndarray, np.ndarray, np.ndarray]]


@pytest.mark.parametrize("seed", [0, 1])
def test_agrees_with_pymatting(seed: int, noisy_edge: Edge) -> None:
    image, trimap, truth = noisy_edge(60, 90, seed)
    unknown = trimap == 128
    ours, theirs = (estimate_alpha(image, trimap, method=m).alpha[unknown] for m in ("shared", "pymatting:sm"))
    assert np.mean(np.abs(ours - theirs)) < 0.01
    assert np.mean((ours - truth[unknown]) ** 2) <= 1.05 * np.mean((theirs - truth[unknown]) ** 2) + 1e-5


def test_two_colours_are_told_apart_exactly() -> None:
    image = np.zeros((20, 40, 3), np.float32)
    image[:, 20:] = [1, 0.5, 0.25]
    trimap = np.full((20, 40), 128, np.uint8)
    trimap[:, :3], trimap[:, 37:] = 0, 255
    alpha = estimate_alpha(image, trimap, method="shared").alpha
    np.testing.assert_allclose(alpha, np.arange(40) >= 20 * np.ones((20, 1)), atol=1e-3)


def test_odd_pictures_have_a_defined_result(odd_picture: tuple[np.ndarray, np.ndarray]) -> None:
    image, trimap = odd_picture
    alpha = estimate_alpha(image, trimap, method="shared", strict=True).alpha
    assert np.isfinite(alpha).all()
    assert alpha.min() >= 0
    assert alpha.max() <= 1
    np.testing.assert_array_equal(alpha[trimap != 128], trimap[trimap != 128] / 255)


def test_rays_that_skip_what_is_empty_meet_the_same_pixels(noisy_edge: Edge, monkeypatch: pytest.MonkeyPatch) -> None:
    image, trimap, _ = noisy_edge(150, 200, 0)
    skipping = estimate_alpha(image, trimap, method="shared").alpha
    monkeypatch.setattr("trimatte.alpha.shared.SIGHT", 1)
    np.testing.assert_array_equal(estimate_alpha(image, trimap, method="shared").alpha, skipping)
