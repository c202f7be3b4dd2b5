"""Far from what is known alpha is the probability's, near it the method's."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimatte.alpha.settle import settled
from trimatte.planes import resize

BAND = 5.0


def wide() -> np.ndarray:
    """A trimap (40, 120) that knows both ends and not what is between."""
    trimap = np.full((40, 120), 128, np.uint8)
    trimap[:, :20], trimap[:, 100:] = 255, 0
    return trimap


def test_the_nearer_the_known_the_more_the_method_counts() -> None:
    trimap = wide()
    one = np.ones(trimap.shape, np.float32)
    alpha, counted = settled(one / 2, one, trimap, BAND)
    share = settled(0 * one, one, trimap, BAND)[0]
    assert counted == pytest.approx(share.sum())
    row = share[20]
    np.testing.assert_array_equal(row[:25], 0)  # up to 5 pixels from what is known
    np.testing.assert_array_equal(row[96:], 0)
    np.testing.assert_array_equal(row[30:90], 1)
    assert (np.diff(row[20:60]) >= 0).all()
    np.testing.assert_array_equal(alpha[20, 30:90], 1)
    assert alpha[20, 22] == 0.5
    assert 0.5 < alpha[20, 27] < 1


def test_a_half_is_drawn_to_the_nearer_end() -> None:
    trimap = wide()
    zero = np.zeros(trimap.shape, np.float32)
    values = [settled(zero, np.full_like(zero, p), trimap, BAND)[0][20, 60] for p in (0.1, 0.5, 0.9)]
    assert values[1] == 0.5
    assert max(values[0], 1 - values[2]) < 0.1


def test_a_trimap_without_anything_unknown_stays() -> None:
    trimap = np.where(np.arange(50) < 20, np.uint8(255), np.uint8(0))[None].repeat(30, 0)
    alpha = (trimap / np.float32(255)).astype(np.float32)
    result, counted = settled(alpha, 1 - alpha, trimap, BAND)
    np.testing.assert_array_equal(result, alpha)
    assert counted == 0


@given(st.integers(0, 2**32 - 1), st.floats(1, 12))
def test_known_pixels_are_kept_and_all_stays_within_bounds(seed: int, band: float) -> None:
    rng = np.random.default_rng(seed)
    trimap = rng.choice(np.array([0, 128, 255], np.uint8), (12, 40), p=[0.02, 0.96, 0.02])
    method, probability = rng.random((2, *trimap.shape), np.float32)
    method[trimap != 128] = trimap[trimap != 128] / 255
    alpha, counted = settled(method, probability, trimap, band)
    np.testing.assert_array_equal(alpha[trimap != 128], method[trimap != 128])
    np.testing.assert_array_equal(alpha, np.clip(alpha, 0, 1))
    assert alpha.dtype == np.float32
    assert 0 <= counted <= np.count_nonzero(trimap == 128)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(resize, "STRIP", 100)  # of a large picture a few rows at a time
        strips, again = settled(method, probability, trimap, band)
    np.testing.assert_array_equal(strips, alpha)
    assert again == pytest.approx(counted)
