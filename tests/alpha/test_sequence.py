"""Alpha of frames: what looks as it did keeps its alpha, and the rest is as if all had been solved for."""

from __future__ import annotations

import numpy as np
import pytest

from trimatte.alpha import estimate_alpha
from trimatte.alpha.sequence import MARGIN, SequenceAlpha
from trimatte.errors import ArgumentError

RNG = np.random.default_rng(0)
ROWS, COLUMNS = np.mgrid[:60, :90].astype(np.float32)
EDGE = np.clip((COLUMNS - 45) / 20 + 0.5, 0, 1)[..., None]
SCENE = (EDGE * np.float32([0.9, 0.6, 0.2]) + (1 - EDGE) * np.float32([0.1, 0.3, 0.6])).astype(np.float32)
TRIMAP = np.where(COLUMNS < 30, 0, np.where(COLUMNS > 60, 255, 128)).astype(np.uint8)


def noisy(image: np.ndarray, sigma: float = 0.004) -> np.ndarray:
    return np.clip(image + RNG.normal(0, sigma, image.shape), 0, 1).astype(np.float32)


def whole(image: np.ndarray, trimap: np.ndarray = TRIMAP) -> np.ndarray:
    return estimate_alpha(image, trimap).alpha


def test_nothing_is_solved_for_where_nothing_but_noise_has_changed() -> None:
    follow = SequenceAlpha("closed-form")
    first = follow(noisy(SCENE), TRIMAP)
    assert first.report.unknown == np.count_nonzero(TRIMAP == 128)
    second = follow(noisy(SCENE), TRIMAP)
    assert second.report.unknown == 0
    np.testing.assert_array_equal(second.alpha, first.alpha)


def test_a_change_is_solved_for_where_it_is() -> None:
    follow = SequenceAlpha("closed-form")
    before = follow(SCENE, TRIMAP).alpha
    changed = SCENE.copy()
    changed[:12, 40:50] = (0.9, 0.6, 0.2)
    matte = follow(changed, TRIMAP)
    assert 0 < matte.report.unknown < 0.6 * np.count_nonzero(TRIMAP == 128)
    far = slice(12 + 2 + MARGIN, None)
    np.testing.assert_array_equal(matte.alpha[far], before[far])
    assert matte.alpha[5, 42:48].mean() > before[5, 42:48].mean() + 0.1
    assert np.abs(matte.alpha - whole(changed)).max() < 0.05
    assert set(np.unique(matte.alpha[TRIMAP != 128])) == {0, 1}


def test_slow_changes_add_up_until_they_count() -> None:
    follow = SequenceAlpha("closed-form")
    solved = []
    for i in range(12):
        image = SCENE * np.float32(1 - 0.004 * i)
        matte = follow(image, TRIMAP)
        solved.append(matte.report.unknown)
    assert min(solved) == 0  # not each frame on its own
    assert sum(count > 0 for count in solved) > 2  # yet again and again
    assert np.abs(matte.alpha - whole(image)).max() < 0.05


def test_where_the_trimap_contradicts_what_was_solved_its_neighbours_are_solved_anew() -> None:
    follow = SequenceAlpha("closed-form")
    before = follow(SCENE, TRIMAP).alpha
    corrected = TRIMAP.copy()
    corrected[20:30, 40:46] = 255
    matte = follow(SCENE, corrected)
    assert (matte.alpha[20:30, 40:46] == 1).all()
    assert (matte.alpha[20:30, 37:40] > before[20:30, 37:40]).all()
    np.testing.assert_array_equal(matte.alpha[45:], before[45:])


def test_a_wider_band_is_solved_for_where_it_is_new() -> None:
    follow = SequenceAlpha("closed-form")
    before = follow(SCENE, TRIMAP).alpha
    wider = TRIMAP.copy()
    wider[:, 61:64] = 128
    matte = follow(SCENE, wider)
    assert matte.report.unknown == 60 * 3
    np.testing.assert_array_equal(matte.alpha[:, :61], before[:, :61])


def test_another_scene_or_size_is_solved_for_as_a_whole() -> None:
    follow = SequenceAlpha("closed-form")
    follow(SCENE, TRIMAP)
    other = SCENE[:, ::-1].copy()
    np.testing.assert_allclose(follow(other, TRIMAP).alpha, whole(other), atol=1e-3)
    np.testing.assert_array_equal(follow(SCENE[:40], TRIMAP[:40]).alpha, whole(SCENE[:40], TRIMAP[:40]))


@pytest.mark.parametrize("method", ["knn", "shared", "pymatting:cf"])
def test_methods_that_cannot_follow(method: str) -> None:
    with pytest.raises(ArgumentError, match="sequence: "):
        SequenceAlpha(method)


def test_a_scene_that_moves_is_as_if_each_frame_were_alone() -> None:
    follow = SequenceAlpha("closed-form")
    for shift in (0, 3, 6):
        image, trimap = np.roll(noisy(SCENE, 0.05), shift, axis=1), np.roll(TRIMAP, shift, axis=1)
        alone = estimate_alpha(image, trimap)
        matte = follow(image, trimap)
        np.testing.assert_array_equal(matte.alpha, alone.alpha)
        assert matte.report.iterations == alone.report.iterations


@pytest.mark.parametrize("other", [SCENE, SCENE[:, ::-1]])
def test_frames_may_share_one_array_and_alphas_be_written_to(other: np.ndarray) -> None:
    expected, follow = SequenceAlpha("closed-form"), SequenceAlpha("closed-form")
    frames = [SCENE, other, SCENE]
    wanted = [expected(frame.copy(), TRIMAP).alpha.copy() for frame in frames]
    buffer = np.empty_like(SCENE)
    for frame, alpha in zip(frames, wanted, strict=True):
        buffer[...] = frame
        matte = follow(buffer, TRIMAP)
        np.testing.assert_array_equal(matte.alpha, alpha)
        matte.alpha[...] = 0.5
