"""Where the subject is in doubt over a wide area alpha is no higher than the probability, elsewhere the method's."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter

from trimatte.alpha.settle import AREA, FIRST, FULL, LEVEL, settled
from trimatte.planes import resize

SHAPE = (96, 120)
SUBJECT, DOUBTED = np.s_[20:80, 10:60], np.s_[20:80, 60:100]


def doubted(value: float) -> tuple[np.ndarray, np.ndarray]:
    """A probability that knows half of a subject and not what lies beside it, and its trimap."""
    probability = np.zeros(SHAPE, np.float32)
    probability[SUBJECT], probability[DOUBTED] = 1, value
    trimap = (probability * 255).astype(np.uint8)
    trimap[DOUBTED] = 128
    return probability, trimap


def slowly_settled(alpha: np.ndarray, probability: np.ndarray, trimap: np.ndarray) -> np.ndarray:
    """All of it at the picture's own size, by scipy."""
    size = np.sqrt(np.count_nonzero(probability >= 0.5))
    doubt = gaussian_filter(4 * probability * (1 - probability), AREA * size)
    weight = np.clip((doubt - FIRST) / (FULL - FIRST), 0, 1)
    inward = np.clip(2 * gaussian_filter((trimap == 128).astype(np.float32), LEVEL * size) - 1, 0, 1)
    moved = alpha + weight * inward * np.minimum(gaussian_filter(probability - alpha, LEVEL * size), 0)
    return np.where(trimap == 128, np.clip(moved, 0, 1), alpha)


@pytest.mark.parametrize("value", [0.3, 0.5, 0.7])
def test_a_method_that_takes_what_is_in_doubt_gets_the_probability_s_level(value: float) -> None:
    probability, trimap = doubted(value)
    alpha = np.where(trimap == 128, 1, trimap / 255).astype(np.float32)
    result, lowered = settled(alpha, probability, trimap)
    inner = np.s_[35:65, 72:88]
    np.testing.assert_allclose(result[inner], value, atol=0.03)
    assert lowered == pytest.approx((alpha - result)[trimap == 128].mean(), abs=0.02)
    assert lowered > 0.4 * (1 - value)


@pytest.mark.parametrize("value", [0.3, 0.5, 0.7])
def test_there_is_no_fog_over_what_a_method_took_for_background(value: float) -> None:
    probability, trimap = doubted(value)
    alpha = np.where(trimap == 128, 0, trimap / 255).astype(np.float32)
    result, lowered = settled(alpha, probability, trimap)
    np.testing.assert_array_equal(result, alpha)
    assert lowered == 0


def test_detail_of_a_method_stays_where_the_level_is_the_probability_s() -> None:
    probability, trimap = doubted(0.5)
    stripes = np.float32(0.2) * (np.arange(SHAPE[1]) % 2 == 0)
    alpha = np.where(trimap == 128, 0.2 + stripes / 0.25, trimap / 255).astype(np.float32)
    result, _ = settled(alpha, probability, trimap)
    inner = result[50, 72:88]
    assert inner.mean() == pytest.approx(0.5, abs=0.03)
    assert np.abs(np.diff(inner)).min() > 0.7


def test_there_is_no_seam_at_known_pixels() -> None:
    probability, trimap = (plane.repeat(4, 0).repeat(4, 1) for plane in doubted(0.3))
    alpha = (trimap > 0).astype(np.float32)
    result, _ = settled(alpha, probability, trimap)
    across = result[200, 220:340]  # from known foreground, which ends at 240
    assert across[-1] < 0.35
    assert np.abs(np.diff(across)).max() < 0.1


def test_an_outline_is_the_method_s_however_soft_the_network_draws_it() -> None:
    y, x = np.mgrid[:160, :200]
    away = 50 - np.hypot(y - 80, x - 100)
    probability = np.clip(0.5 + away / 10, 0, 1).astype(np.float32)  # 10 pixels wide, an eighth of the subject's 89
    trimap = np.where(np.abs(away) < 8, 128, np.where(away > 0, 255, 0)).astype(np.uint8)
    alpha = (away > 0).astype(np.float32)
    result, lowered = settled(alpha, probability, trimap)
    np.testing.assert_array_equal(result, alpha)
    assert lowered == 0


@given(st.integers(0, 2**32 - 1))
def test_a_sure_probability_changes_nothing(seed: int) -> None:
    rng = np.random.default_rng(seed)
    probability = rng.integers(0, 2, (7, 9)).astype(np.float32).repeat(6, 0).repeat(6, 1)
    trimap = rng.choice(np.array([0, 128, 255], np.uint8), probability.shape)
    alpha = rng.random(probability.shape, np.float32)
    result, lowered = settled(alpha, probability, trimap)
    np.testing.assert_array_equal(result, alpha)
    assert lowered == 0


@given(st.integers(0, 2**32 - 1), st.tuples(st.integers(1, 40), st.integers(1, 40)))
def test_known_pixels_are_kept_and_all_stays_within_bounds(seed: int, shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(seed)
    trimap = rng.choice(np.array([0, 128, 255], np.uint8), shape)
    before, probability = rng.random((2, *shape), np.float32)
    before[trimap != 128] = trimap[trimap != 128] / 255
    alpha = before.copy()
    result, lowered = settled(alpha, probability, trimap)
    np.testing.assert_array_equal(alpha, before)
    np.testing.assert_array_equal(result[trimap != 128], alpha[trimap != 128])
    np.testing.assert_array_equal(result, np.clip(result, 0, 1))
    assert result.dtype == np.float32
    assert 0 <= lowered <= 1
    assert (result <= alpha).all()


@pytest.mark.parametrize("scale", [1, 5])
def test_it_is_what_the_definition_says(scale: int, monkeypatch: pytest.MonkeyPatch) -> None:
    probability, trimap = doubted(0.06)
    probability = gaussian_filter(probability, 2)
    probability, trimap = (plane.repeat(scale, 0).repeat(scale, 1) for plane in (probability, trimap))
    smooth = gaussian_filter(np.random.default_rng(0).random(trimap.shape, np.float32), 3 * scale)
    alpha = np.where(trimap == 128, np.clip(5 * smooth - 2, 0, 1), trimap / np.float32(255))
    expected = slowly_settled(alpha, probability, trimap)
    monkeypatch.setattr(resize, "STRIP", 5000)  # a few rows at a time
    result, lowered = settled(alpha, probability, trimap)
    assert 0.05 < lowered < 0.5
    assert np.abs(expected - alpha).max() > 0.15
    assert np.abs(result - expected).mean() < 0.002
    assert np.abs(result - expected).max() < 0.03
