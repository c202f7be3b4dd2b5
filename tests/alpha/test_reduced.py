"""Alpha of a smaller picture, brought back along the photo's colours."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimatte.alpha import Matte, quiet_matte
from trimatte.alpha.reduced import affine, enlarged, reduced_image, reduced_matte, reduced_trimap, reduction
from trimatte.errors import ArgumentError
from trimatte.images.arrays import BACKGROUND, FOREGROUND, UNKNOWN
from trimatte.planes import resize

SETTINGS: dict[str, Any] = {"method": "closed-form", "strict": False}


def stripes(height: int, width: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Photo, trimap and true alpha: fine stripes of one colour over another, so that alpha is affine in colour."""
    x = np.arange(width)
    alpha = np.where(x < width // 4, 1.0, np.where(x >= 3 * width // 4, 0.0, 0.5 + 0.5 * np.sin(x / 1.3)))
    alpha = np.broadcast_to(alpha, (height, width)).astype(np.float32)
    front, back = np.array([0.9, 0.6, 0.2], np.float32), np.array([0.1, 0.2, 0.5], np.float32)
    trimap = np.full((height, width), UNKNOWN, np.uint8)
    trimap[:, : width // 4], trimap[:, 3 * width // 4 :] = FOREGROUND, BACKGROUND
    return alpha[..., None] * front + (1 - alpha[..., None]) * back, trimap, alpha


def test_a_coarse_trimap_knows_only_what_all_pixels_know() -> None:
    trimap = np.full((5, 7), 255, np.uint8)
    trimap[0, 0], trimap[2, 3], trimap[4] = 128, 0, 0
    coarse = reduced_trimap(trimap, 2)
    np.testing.assert_array_equal(coarse, [[128, 255, 255, 255], [255, 128, 255, 255], [0, 0, 0, 0]])


def test_a_smaller_picture_is_the_mean_of_blocks() -> None:
    image = np.random.default_rng(0).random((7, 8, 3), np.float32)
    small = reduced_image(image, 3)
    assert small.shape == (3, 3, 3)
    np.testing.assert_allclose(small[1, 1], image[3:6, 3:6].mean((0, 1)), atol=1e-6)
    np.testing.assert_allclose(small[2, 2], image[6:, 6:].mean((0, 1)), atol=1e-6)


@pytest.mark.parametrize("factor", [2, 3, 4])
def test_the_photo_gives_back_what_averaging_has_taken(factor: int) -> None:
    """Stripes that the small picture cannot show come back, since alpha there is a function of colour."""
    image, trimap, alpha = stripes(61, 98)
    small = reduced_image(image, factor)
    found = enlarged(reduced_image(alpha[..., None].repeat(3, 2), factor)[..., 0], small, image, trimap, factor)
    inner = np.s_[:, 98 // 4 + 8 : 3 * 98 // 4 - 8]
    assert np.abs(found - alpha)[inner].mean() < 0.05
    assert np.abs(alpha[inner] - alpha[inner].mean()).mean() > 0.25


def test_strips_are_fitted_as_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    image, _, alpha = stripes(40, 50)
    image = image + np.random.default_rng(0).normal(0, 0.05, image.shape).astype(np.float32)
    whole = affine(image, alpha)
    monkeypatch.setattr(resize, "STRIP", 350)
    np.testing.assert_allclose(affine(image, alpha), whole, atol=1e-4)


def test_a_matte_by_a_smaller_picture_is_near_that_of_the_whole_and_exact_where_known() -> None:
    image, trimap, alpha = stripes(64, 96)
    matte = reduced_matte(image, trimap, pixels=int((trimap == UNKNOWN).sum()) // 4, **SETTINGS)
    assert matte.alpha.dtype == np.float32
    known = trimap != UNKNOWN
    np.testing.assert_array_equal(matte.alpha[known], trimap[known] == FOREGROUND)
    assert np.abs(matte.alpha - alpha).mean() < 0.04
    assert matte.report.unknown == int((~known).sum())
    assert matte.report.solver.endswith(", at 1/2 of the size")
    assert "enlarge" in matte.report.seconds


@pytest.mark.parametrize("pixels", [10_000, 1000])
def test_the_map_is_made_smaller_with_the_photo(pixels: int, monkeypatch: pytest.MonkeyPatch) -> None:
    image, trimap, alpha = stripes(61, 98)
    seen: list[np.ndarray] = []

    def matte(image: np.ndarray, trimap: np.ndarray, *, probability: np.ndarray, **settings: Any) -> Matte:
        seen.append(probability)
        return quiet_matte(image, trimap, **settings)

    monkeypatch.setattr("trimatte.alpha.reduced.quiet_matte", matte)
    factor = reduction(trimap, pixels)[0]
    reduced_matte(image, trimap, pixels=pixels, probability=alpha, **SETTINGS)
    np.testing.assert_allclose(seen[0], reduced_image(alpha, factor), atol=1e-6)
    assert (factor > 1) == (pixels == 1000)
    with pytest.raises(ArgumentError, match="probability"):
        reduced_matte(image, trimap, pixels=1000, probability=alpha[1:], **SETTINGS)


def test_few_unknown_pixels_are_solved_as_they_are() -> None:
    image, trimap, _ = stripes(64, 96)
    one = reduced_matte(image, trimap, pixels=int((trimap == UNKNOWN).sum()), **SETTINGS)
    np.testing.assert_array_equal(one.alpha, quiet_matte(image, trimap, **SETTINGS).alpha)


def test_known_pixels_that_a_smaller_trimap_would_lose_keep_the_picture_larger() -> None:
    image, trimap, _ = stripes(64, 96)
    trimap[:, :24], trimap[30:32, 4:6] = UNKNOWN, FOREGROUND
    matte = reduced_matte(image, trimap, pixels=300, **SETTINGS)
    assert matte.report.solver.endswith(", at 1/2 of the size")
    trimap[30] = UNKNOWN
    assert "of the size" not in reduced_matte(image, trimap, pixels=300, **SETTINGS).report.solver


@given(st.integers(0, 2**31), st.integers(16, 40), st.integers(16, 40), st.integers(2, 5))
def test_alpha_stays_within_bounds_whatever_the_sizes(seed: int, height: int, width: int, factor: int) -> None:
    rng = np.random.default_rng(seed)
    image = rng.random((height, width, 3), np.float32)
    trimap = rng.choice(np.array([0, 128, 255], np.uint8), (height, width))
    small = reduced_image(image, factor)
    alpha = rng.random(small.shape[:2], np.float32)
    found = enlarged(alpha, small, image, trimap, factor)
    assert found.shape == trimap.shape
    assert found.min() >= 0
    assert found.max() <= 1
    known = trimap != UNKNOWN
    np.testing.assert_array_equal(found[known], trimap[known] == FOREGROUND)
    offset, *slope = affine(small, alpha)
    again = offset + sum(plane * small[..., c] for c, plane in enumerate(slope))
    np.testing.assert_allclose(again, alpha, atol=1e-4)


def test_the_number_of_threads_changes_no_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    image, trimap, _ = stripes(300, 96)
    small = reduced_image(image, 2)
    alpha = small[..., 0].copy()
    results = []
    for threads in (1, 2, 5):
        monkeypatch.setattr("trimatte.alpha.reduced.available_threads", lambda n=threads: n)
        results.append(enlarged(alpha, small, image, trimap, 2))
    for other in results[1:]:
        np.testing.assert_array_equal(results[0], other)


def test_strips_leave_no_seam(monkeypatch: pytest.MonkeyPatch) -> None:
    image, trimap, _ = stripes(150, 96)
    small = reduced_image(image, 4)
    whole = []
    for rows in (1000, 37):
        monkeypatch.setattr("trimatte.alpha.reduced.ROWS", rows)
        whole.append(enlarged(small[..., 0].copy(), small, image, trimap, 4))
    np.testing.assert_allclose(whole[0], whole[1], atol=1e-5)
