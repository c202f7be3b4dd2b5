"""What a segmenter is unsure of goes by the colours, and the edges, of what it is sure of."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trimatte.planes import resize
from trimatte.segmentation import decide
from trimatte.segmentation.decide import decided, evidence, guided

GREEN, BLUE = (0.2, 0.6, 0.25), (0.3, 0.45, 0.85)


def bush(height: int = 150, width: int = 200) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A green disc before blue, its mask, and a probability that hesitates about the right half of it."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:height, :width]
    mask = np.hypot(y - height / 2, x - width / 2) < 0.36 * min(height, width)
    image = np.where(mask[..., None], GREEN, BLUE) + rng.normal(0, 0.03, (height, width, 1))
    probability = np.where(mask, np.where(x > width / 2, 0.4, 0.97), 0.02)
    return np.clip(image, 0, 1).astype(np.float32), mask, probability.astype(np.float32)


def test_a_doubtful_half_goes_with_its_colours() -> None:
    image, mask, probability = bush()
    result = decided(image, probability)
    assert result.dtype == np.float32
    doubtful = mask & (probability == np.float32(0.4))
    assert result[doubtful].mean() > 0.75
    assert np.abs(result - mask).mean() < 0.4 * np.abs(probability - mask).mean()


def test_foreground_and_background_are_treated_alike() -> None:
    image, _, probability = bush()
    np.testing.assert_allclose(decided(image, 1 - probability), 1 - decided(image, probability), atol=2e-3)


def test_a_large_picture_is_decided_in_strips(monkeypatch: pytest.MonkeyPatch) -> None:
    image, _, probability = bush(230, 300)
    whole = decided(image, probability)
    monkeypatch.setattr(resize, "STRIP", 2000)
    np.testing.assert_allclose(decided(image, probability), whole, atol=1e-4)


def test_where_one_side_is_not_sure_of_anything_nothing_changes() -> None:
    image, mask, _ = bush()
    for level in (0.6, 0.0, 1.0):
        probability = np.full(mask.shape, level, np.float32)
        np.testing.assert_array_equal(decided(image, probability), probability)


def test_small_pictures_are_left_as_they_are() -> None:
    image, _, probability = bush(36, 47)
    np.testing.assert_array_equal(decided(image, probability), probability)
    image, _, probability = bush(36, 48)
    assert (decided(image, probability) != probability).any()


def test_its_inputs_stay_as_they_are() -> None:
    image, _, probability = bush()
    before = image.copy(), probability.copy()
    decided(image, probability)
    np.testing.assert_array_equal(image, before[0])
    np.testing.assert_array_equal(probability, before[1])


@pytest.mark.parametrize("shape", [(1, 1), (3, 700), (33, 31), (500, 2)])
def test_odd_pictures_have_a_defined_result(shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    probability = rng.choice(np.array([0.02, 0.98], np.float32), shape)
    result = decided(rng.random((*shape, 3), np.float32), probability)
    assert result.shape == shape
    np.testing.assert_array_equal(result, np.clip(np.nan_to_num(result, nan=-1), 0, 1))


@settings(max_examples=20)
@given(st.integers(0, 2**32 - 1))
def test_evidence_changes_sign_with_the_sides(seed: int) -> None:
    rng = np.random.default_rng(seed)
    image, probability = rng.random((24, 32, 3), np.float32), rng.random((24, 32), np.float32)
    signs, sureness = evidence(image, probability)
    turned, same = evidence(image, 1 - probability)
    np.testing.assert_allclose(turned, -signs, atol=5e-3)
    np.testing.assert_allclose(same, sureness, atol=5e-3)


def test_a_guided_plane_follows_the_edges_of_the_picture() -> None:
    image, mask, _ = bush()
    rough = mask.astype(np.float32)
    rough[:, :90] = 0  # the plane's edge is where the picture has none
    smooth = guided(image, rough, 8)
    inside = mask & (np.abs(np.arange(mask.shape[1]) - 90) < 6)
    assert 0.2 < smooth[inside].mean() < 0.8
    outside = ~mask & (np.arange(mask.shape[1]) > 110)
    assert np.abs(smooth[outside]).mean() < 0.05


def test_colours_that_neither_side_has_speak_for_none() -> None:
    image, mask, _ = bush()
    image = image.copy()
    image[:10, :10] = (1, 0, 1)
    probability = np.where(mask, 1, 0).astype(np.float32)
    probability[:10, :10] = 0.5
    odds = decide.by_colour(image, probability)
    assert np.abs(odds[:9, :9]).max() < 0.5
    assert odds[mask].mean() > 2
    assert odds[20:][~mask[20:]].mean() < -2
