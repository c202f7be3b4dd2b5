"""Confidence ranks what is unsure below what is sure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

import trimatte
from trimatte.confidence import DOUBTFUL, LEAST_TRUST, doubt_map, picture_confidence, subject_trust
from trimatte.cutout import find_trimap
from trimatte.images import load_picture
from trimatte.planes import resize
from trimatte.segmentation import registry
from trimatte.segmentation.doubt import doubt_of_outline, found_and_doubt
from trimatte.stages import Stages
from trimatte.trimap import BOUND, TrimapReport


def test_doubt_is_of_alpha_where_it_was_solved_for_and_of_the_network_elsewhere() -> None:
    alpha = np.array([[0.5, 1.0, 0.0]], np.float32)
    probability = np.array([[0.0, 0.5, 0.1]], np.float32)
    trimap = np.array([[128, 255, 0]], np.uint8)
    np.testing.assert_allclose(doubt_map(alpha, probability, trimap), [[1, 1, 0.36]], atol=1e-6)
    np.testing.assert_allclose(doubt_map(alpha, None, trimap), [[1, 0, 0]])
    np.testing.assert_allclose(doubt_map(alpha), [[1, 0, 0]])


def test_confidence_of_pictures() -> None:
    alpha = np.ones((10, 10), np.float32)
    assert picture_confidence(alpha) == picture_confidence(alpha, alpha, np.full((10, 10), 255)) == 1
    assert picture_confidence(alpha / 2) == pytest.approx(50 / (50 + 100))
    assert picture_confidence(np.zeros((10, 10))) == 0


def test_confidence_of_a_large_picture_is_taken_in_strips(monkeypatch: pytest.MonkeyPatch) -> None:
    alpha, probability = np.random.default_rng(0).random((2, 40, 30), np.float32)
    trimap = np.full((40, 30), 128, np.uint8)
    trimap[:9] = 255
    doubt = (doubt_map(alpha, probability, trimap) + 4 * probability * (1 - probability)).sum() / 2
    for strip in (resize.STRIP, 100):
        monkeypatch.setattr(resize, "STRIP", strip)
        found = picture_confidence(alpha, probability, trimap)
        assert found == pytest.approx(alpha.sum() / (alpha.sum() + doubt), rel=1e-5)


def test_a_network_that_was_unsure_counts_also_where_alpha_was_solved_for() -> None:
    alpha, trimap = np.ones((10, 10), np.float32), np.full((10, 10), 128)
    unsure = picture_confidence(alpha, np.full((10, 10), 0.5), trimap)
    assert unsure == pytest.approx(100 / (100 + 50))
    assert picture_confidence(alpha, alpha, trimap) == 1


def test_a_soft_picture_is_less_sure_than_a_crisp_one_and_none_is_0(photo: np.ndarray, bright: str) -> None:
    crisp = trimatte.cutout(photo, segmenter=bright, quality="fast")
    faint = trimatte.cutout((photo * 0.77).astype(np.uint8), segmenter=bright, quality="fast")
    with pytest.warns(UserWarning, match="no subject"):
        empty = trimatte.cutout(np.zeros_like(photo), segmenter=bright)
    assert empty.report.confidence == 0 < faint.report.confidence < crisp.report.confidence < 1
    assert crisp.doubt().shape == photo.shape[:2]
    assert crisp.report.as_dict()["confidence"] == crisp.report.confidence


def test_trust_is_what_is_found_over_that_and_the_doubt() -> None:
    assert subject_trust(np.zeros((4, 4))) == 0
    assert subject_trust(np.eye(4)) == 1
    assert subject_trust(np.full((4, 4), 0.5)) == pytest.approx(0.5 / (0.5 + 1))
    plane = np.random.default_rng(0).random((6, 5))
    down, right = np.pad(np.diff(plane, axis=0), ((0, 1), (0, 0))), np.pad(np.diff(plane, axis=1), ((0, 0), (0, 1)))
    doubt = (4 * plane * (1 - plane)).sum() - 2 / 3 * np.sqrt(down**2 + right**2).sum()
    assert subject_trust(plane) == pytest.approx(plane.sum() / (plane.sum() + doubt))


def smeared(doubt: float) -> Callable[[], Callable[[np.ndarray], np.ndarray]]:
    """A segmenter that is sure of a square, and half sure of so many times its area beside it."""

    def run(image: np.ndarray) -> np.ndarray:
        probability = np.zeros(image.shape[:2], np.float32)
        probability[10:20, 10:20] = 1
        probability[30 : 30 + round(doubt * 100 / 40), 4:44] = 0.5
        return probability

    return lambda: run


def a_doubter() -> Callable[[np.ndarray], np.ndarray]:
    return smeared(8)()


def one_in_some_doubt() -> Callable[[np.ndarray], np.ndarray]:
    return smeared(2.4)()


def test_what_a_segmenter_is_mostly_in_doubt_of_is_no_subject(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(registry.SEGMENTERS, "doubter", f"{__name__}:a_doubter")
    photo = np.random.default_rng(0).integers(0, 255, (64, 48, 3), np.uint8)
    assert subject_trust(a_doubter()(photo)) < LEAST_TRUST
    with pytest.warns(UserWarning, match="no subject found"):
        cut = trimatte.cutout(photo, segmenter="doubter", quality="fast")
    assert not cut.report.subject
    assert not cut.alpha.any()
    assert cut.report.trust == pytest.approx(500 / (500 + 800 - 2 / 3 * (40 + 120 / 2)), abs=0.005)
    with pytest.raises(trimatte.errors.SubjectNotFoundError):
        trimatte.cutout(photo, segmenter="doubter", strict=True)


@pytest.mark.parametrize("kind", [bool, np.uint8, np.float16, np.float32, np.float64])
def test_a_mask_of_any_type_is_beyond_doubt(kind: type[np.generic]) -> None:
    mask = np.zeros((300, 700), kind)
    mask[60:200, 100:600] = 1
    assert found_and_doubt(mask) == pytest.approx((mask.sum(dtype=float) / mask.size, 0.0), abs=1e-6)
    assert subject_trust(mask) == 1.0


@pytest.mark.parametrize("side", [12, 25, 1200])
def test_the_outline_of_a_small_subject_is_no_doubt(side: int) -> None:
    """A sure disc as a picture of any size has it; smeared, it is in doubt at any size."""
    y, x = (np.mgrid[: 8 * side, : 8 * side] + 0.5) / (8 * side) - 0.5
    disc = (np.hypot(y, x) < 0.3).reshape(side, 8, side, 8).mean((1, 3), dtype=np.float32)
    assert subject_trust(disc) > 0.95
    wide = np.clip(0.6 - np.hypot(y, x), 0, 1).reshape(side, 8, side, 8).mean((1, 3), dtype=np.float32)
    assert subject_trust(wide) < LEAST_TRUST


@pytest.mark.parametrize("side", [40, 700, 1100])
def test_the_doubt_of_an_outline_is_its_length(side: int) -> None:
    """That of a square, seen a pixel apart or two: two thirds of a pixel for each of its sides' pixels."""
    square = np.zeros((side, side), np.float32)
    square[side // 4 : 3 * side // 4, side // 4 : 3 * side // 4] = 1
    assert doubt_of_outline(square) == pytest.approx(2 / 3 * 2 * side / side**2, rel=0.05)


@pytest.mark.parametrize("turned", [False, True])
def test_doubt_is_what_its_definition_says(turned: bool) -> None:
    p = np.random.default_rng(0).random((700, 1100), np.float32) ** 3
    p = p.T if turned else p
    apart = p[::2, ::2].astype(np.float64)
    expected = apart.mean(), (4 * apart * (1 - apart)).mean()
    np.testing.assert_allclose(found_and_doubt(p), expected, rtol=1e-5)
    assert np.isnan(found_and_doubt(np.full((3, 3), np.nan, np.float32))).all()


def test_a_pictures_own_alpha_bounds_what_is_in_doubt_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(registry.SEGMENTERS, "doubter", f"{__name__}:a_doubter")
    photo = np.random.default_rng(0).integers(0, 255, (64, 48, 4), np.uint8)
    photo[..., 3] = 255
    photo[:2, :2, 3] = 0  # a rounded corner
    photo[40, 4, 3] = 0  # amid what is in doubt
    report = TrimapReport()
    _, trimap = find_trimap(load_picture(photo), Stages(segmenter="doubter"), report=report)
    assert not report.subject
    assert BOUND in report.notes
    assert trimap[40, 4] == 0
    assert trimap[40, 5] == 128


def test_what_it_is_in_some_doubt_of_is_cut_out_with_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(registry.SEGMENTERS, "hesitant", f"{__name__}:one_in_some_doubt")
    photo = np.random.default_rng(0).integers(0, 255, (64, 48, 3), np.uint8)
    assert LEAST_TRUST < subject_trust(one_in_some_doubt()(photo)) < DOUBTFUL
    with pytest.warns(UserWarning, match="there may be no subject"):
        cut = trimatte.cutout(photo, segmenter="hesitant", quality="fast")
    assert cut.report.subject
    assert cut.alpha[12:18, 12:18].min() > 0.9


def test_a_soft_mask_that_is_given_is_believed() -> None:
    photo = np.random.default_rng(0).integers(0, 255, (64, 48, 3), np.uint8)
    soft = a_doubter()(photo)
    cut = trimatte.cutout(replace(load_picture(photo), subject=soft), quality="fast")
    assert cut.report.subject
    assert cut.report.trust == 1
