"""Confidence ranks what is unsure below what is sure."""

from __future__ import annotations

import numpy as np
import pytest

import trimatte
from trimatte.confidence import doubt_map, picture_confidence


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
