"""Shadows made for a subject: soft, and none on the ground where the photo cuts the subject off."""

from __future__ import annotations

import io
import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy.ndimage import gaussian_filter

import trimatte
from trimatte.images.read import read_picture
from trimatte.output.finish import NO_CONTACT
from trimatte.output.shadows import contact_shadow, drop_shadow

WHOLE = ((0, 120), (0, 100))
"""The borders of a photo that is the canvas."""


def boxes(*boxes: tuple[int, int, int, int], shape: tuple[int, int] = (120, 100)) -> np.ndarray:
    """A matte of rectangles: first row, the one after the last, then columns."""
    alpha = np.zeros(shape, np.float32)
    for top, bottom, left, right in boxes:
        alpha[top:bottom, left:right] = 1
    return alpha


STANDING, CUT_OFF = boxes((30, 80, 40, 60)), boxes((50, 120, 30, 70))


def cut_out(alpha: np.ndarray) -> trimatte.Cutout:
    picture = read_picture(np.full((*alpha.shape, 3), 200, np.uint8))
    return trimatte.Cutout(picture.image, None, None, alpha, picture.image, trimatte.CutoutReport(), picture)


def made(alpha: np.ndarray, **options: Any) -> np.ndarray:
    stream = io.BytesIO()
    cut_out(alpha).save(stream, format="png", **options)
    return np.asarray(Image.open(stream))


@pytest.mark.parametrize("kind", ["drop", "contact"])
def test_a_shadow_is_as_dark_as_asked_and_leaves_the_subject_alone(kind: str) -> None:
    options = {"cast_shadow": kind, "shadow_strength": 0.6, "background": "white"}
    rgb, plain = made(STANDING, **options), made(STANDING, background="white")
    assert (rgb[30:80, 40:60] == 200).all()
    assert (rgb <= plain).all()
    assert 255 * 0.35 < rgb[80:].min() < 255 * 0.7
    assert (made(STANDING, **{**options, "shadow_strength": 0}) == plain).all()
    transparent = made(STANDING, cast_shadow=kind)
    shadow = (transparent[..., 3] > 0) & (STANDING == 0)
    assert shadow.any()
    assert not transparent[shadow][:, :3].any()


def test_a_drop_shadow_falls_down_and_to_the_right_and_a_contact_shadow_on_the_ground() -> None:
    drop = drop_shadow(STANDING, 1.0, 0.05)
    assert drop[80:, 60:].sum() > 10 * drop[:30, :40].sum()
    contact = contact_shadow(STANDING, 1.0, 0.03)
    rows = (np.arange(120) * contact.sum(axis=1)).sum() / contact.sum()
    assert abs(rows - 80) < 3
    assert contact[:60].max() < 0.001
    assert not contact_shadow(np.zeros((9, 9), np.float32), 1.0, 0.1).any()
    assert not drop_shadow(np.zeros((9, 9), np.float32), 1.0, 0.1).any()


def test_softness_spreads_a_shadow() -> None:
    for shadow in (drop_shadow, contact_shadow):
        hard, soft = (np.count_nonzero(shadow(STANDING, 1.0, softness) > 0.02) for softness in (0.01, 0.1))
        assert soft > 1.5 * hard


def test_without_softness_a_contact_shadow_is_no_slab() -> None:
    dark = contact_shadow(boxes((100, 700, 200, 800), shape=(900, 1000)), 0.4, 0)
    assert dark.max() > 0.35
    for axis in (0, 1):
        assert np.abs(np.diff(dark, axis=axis)).max() < 0.025


@pytest.mark.parametrize("shadow", [drop_shadow, contact_shadow])
def test_no_step_between_neighbours_is_seen(shadow: Any) -> None:
    large = boxes((100, 700, 200, 800), shape=(900, 1000))
    dark = shadow(large, 0.4, 0.03)  # a blur of 18 pixels, half of it where it is sharpest
    assert dark.max() > 0.35
    for axis in (0, 1):
        assert np.abs(np.diff(dark, axis=axis)).max() < 0.4 / (2.5 * 18 / 2)


def test_a_wide_blur_is_as_at_full_size() -> None:
    alpha = boxes((200, 500, 150, 450), shape=(700, 800))
    blur = 0.1 * 300
    moved = np.roll(alpha, (int(2 * blur), int(blur)), (0, 1))
    np.testing.assert_allclose(drop_shadow(alpha, 1.0, 0.1), gaussian_filter(moved, blur), atol=0.015)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"crop": True, "margin": 20},
        {"crop": True, "margin": "10%", "size": "300x260"},
        {"crop": True, "aspect": "1:1", "align": "bottom"},
        {"size": "77x200"},
        {"preset": "passport", "size": "82x106"},
        {"crop": True, "margin": 20, "outline": 4},
    ],
)
def test_what_the_photo_cuts_off_has_no_shadow_on_the_ground(options: dict[str, Any]) -> None:
    plain = made(CUT_OFF, **options)
    with pytest.warns(trimatte.SubjectWarning, match="lower border cuts the subject off"):
        np.testing.assert_array_equal(made(CUT_OFF, cast_shadow="contact", **options), plain)
    assert (made(CUT_OFF, cast_shadow="drop", **options) != plain).any()


def test_the_report_says_once_that_there_is_no_shadow() -> None:
    cut = cut_out(CUT_OFF)
    for _ in range(2):
        with pytest.warns(trimatte.SubjectWarning):
            cut.save(io.BytesIO(), format="png", cast_shadow="contact")
    assert cut.report.warnings == [NO_CONTACT]
    with pytest.warns(trimatte.SubjectWarning):
        assert cut.finished(cast_shadow="contact").notes == (NO_CONTACT,)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cut.save(io.BytesIO(), format="png", cast_shadow="contact", output="matte")
        cut.save(io.BytesIO(), format="png", cast_shadow="contact", shadow_strength=0)
        cut_out(np.zeros_like(CUT_OFF)).save(io.BytesIO(), format="png", cast_shadow="contact")


def test_a_subject_that_only_a_crop_ends_at_stands() -> None:
    contact = made(STANDING, crop=True, margin="0 0 20 0", cast_shadow="contact")
    assert contact.shape == (70, 20, 4)
    assert contact[50, 10, 3] > 80


def test_of_two_subjects_the_one_that_is_cut_off_has_none() -> None:
    both = boxes((30, 80, 10, 40), (40, 120, 60, 90))
    alone = contact_shadow(boxes((30, 80, 10, 40)), 1.0, 0.02, WHOLE)
    np.testing.assert_allclose(contact_shadow(both, 1.0, 0.02 * 50 / 90, WHOLE), alone, atol=1e-6)
    assert contact_shadow(both, 1.0, 0.02)[:, 60:90].max() > 0.9  # by itself


def test_each_subject_stands_on_its_own_ground_and_what_hovers_on_none() -> None:
    ground = contact_shadow(boxes((20, 90, 10, 30), (30, 100, 50, 70), (10, 40, 80, 95)), 1.0, 0.02)
    assert ground[:, 15:25].max(axis=1).argmax() in (89, 90)
    assert ground[:, 55:65].max(axis=1).argmax() in (99, 100)
    assert ground[:70, 80:].max() < 0.01


def test_along_a_cut_there_is_none_and_the_other_feet_have_theirs() -> None:
    table = [(300, 400, 100, 700), (400, 790, 100, 130), (400, 790, 380, 410), (400, 790, 670, 700)]
    borders = ((0, 800), (0, 800))
    whole = contact_shadow(boxes(*table, shape=(900, 800)), 0.5, 0.03, borders)
    partly = boxes(*table[:3], (400, 800, 670, 700), shape=(900, 800))
    cut = contact_shadow(partly, 0.5, 0.03, borders)
    assert not cut[:, 670:700].any()
    assert cut[795:805, 110:120].min() > 0.3
    assert whole[785:795, 680:690].min() > 0.3
    assert np.abs(np.diff(cut, axis=1)).max() < 0.05  # it fades


def test_a_subject_that_goes_on_beyond_the_canvas_has_a_shadow_up_to_it() -> None:
    alpha = boxes((40, 80, 0, 50), (0, 40, 20, 50))
    for shadow in (drop_shadow, contact_shadow):
        below = shadow(alpha, 1.0, 0.05, WHOLE)[80:86]
        np.testing.assert_allclose(below[:, :10], np.repeat(below[:, 10:11], 10, axis=1), atol=0.02)
    beside = drop_shadow(alpha, 1.0, 0.05, WHOLE)[:30, 50:55]
    np.testing.assert_allclose(beside[:10], np.repeat(beside[10:11], 10, axis=0), atol=0.02)
    inside = drop_shadow(alpha, 1.0, 0.05)  # where the canvas is larger, or ends at a crop, it does not go on
    assert inside[82, 0] < 0.5 * inside[82, 20]


@settings(max_examples=30)
@given(
    seed=st.integers(0, 10**6),
    softness=st.sampled_from([0, 0.005, 0.03, 0.5]),
    strength=st.floats(0, 1),
    whole=st.booleans(),
)
def test_a_shadow_is_darkness_of_at_most_its_strength(seed: int, softness: float, strength: float, whole: bool) -> None:
    rng = np.random.default_rng(seed)
    height, width = rng.integers(1, 60, 2)
    alpha = gaussian_filter(rng.random((height, width)), rng.uniform(0, 3)).astype(np.float32)
    alpha = np.clip((alpha - 0.5) * rng.uniform(1, 40) + 0.5, 0, 1)
    borders: Any = ((0, height), (0, width)) if whole else ((None, None), (None, None))
    for shadow in (drop_shadow, contact_shadow):
        dark = shadow(alpha, strength, softness, borders)
        assert dark.shape == alpha.shape
        assert dark.dtype == np.float32
        assert np.isfinite(dark).all()
        assert dark.min() >= 0
        assert dark.max() <= strength + 1e-5
