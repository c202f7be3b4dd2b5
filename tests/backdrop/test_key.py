"""Alpha and colours before a known backdrop."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numba import set_num_threads

from trimatte.backdrop import find_backdrop, key
from trimatte.linalg.report import SolveReport
from trimatte.planes.resize import resized

HEIGHT, WIDTH = 96, 128
INK = np.array([0.1, 0.1, 0.3], np.float32)


def ring(outer: float, inner: float, softness: float = 1.0) -> np.ndarray:
    """Alpha (H, W) of a ring in the middle."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    distance = np.hypot(y - HEIGHT / 2, x - WIDTH / 2)
    edge = np.minimum(outer - distance, distance - inner) / softness + 0.5
    return np.clip(edge, 0, 1).astype(np.float32)


def over(colour: tuple[float, float, float], alpha: np.ndarray, subject: np.ndarray = INK) -> np.ndarray:
    behind = np.array(colour, np.float32)
    image = behind + alpha[..., None] * (subject - behind)
    return (np.rint(image * 255) / 255).astype(np.float32)


def cut(image: np.ndarray, probability: np.ndarray | None = None, **options: Any) -> tuple[np.ndarray, np.ndarray]:
    field, why = find_backdrop(image, probability=probability)
    assert field is not None, why
    matte = key(image, field, probability=probability, **options)
    assert matte.alpha.dtype == matte.foreground.dtype == np.float32
    assert 0 <= matte.alpha.min() <= matte.alpha.max() <= 1
    return matte.alpha, matte.foreground


@pytest.mark.parametrize("colour", [(1.0, 1.0, 1.0), (0.7, 0.7, 0.7), (0.1, 0.7, 0.2)])
@pytest.mark.parametrize("softness", [1.0, 4.0])
def test_a_drawing_is_cut_out_with_its_counter_and_its_colours(
    colour: tuple[float, float, float], softness: float
) -> None:
    truth = ring(36, 20, softness)
    alpha, foreground = cut(over(colour, truth))
    assert np.abs(alpha - truth).mean() < 0.006
    assert alpha[HEIGHT // 2, WIDTH // 2] == 0
    assert np.abs(foreground - INK)[truth > 0.3].mean() < 0.03


def test_a_sure_segmenter_keeps_what_is_of_the_backdrops_colour() -> None:
    truth = ring(40, 12)
    image = over((0.7, 0.7, 0.7), truth)
    texture = np.random.default_rng(0).normal(0, 0.06, truth.shape).astype(np.float32)
    image = np.clip(image + (texture * truth)[..., None], 0, 1)  # no drawing, which has flat colours
    sure = (ring(40, -1) > 0.5).astype(np.float32)
    kept, _ = cut(image, sure)
    assert kept[HEIGHT // 2, WIDTH // 2] == 1
    gone, _ = cut(image, (truth > 0.5).astype(np.float32))
    assert gone[HEIGHT // 2, WIDTH // 2] == 0


def test_a_thin_walled_hole_goes_whatever_the_segmenter_says() -> None:
    truth = ring(40, 34)
    image = over((0.7, 0.7, 0.7), truth)
    texture = np.random.default_rng(0).normal(0, 0.06, truth.shape).astype(np.float32)
    image = np.clip(image + (texture * truth)[..., None], 0, 1)
    alpha, _ = cut(image, (ring(40, -1) > 0.5).astype(np.float32))
    assert alpha[HEIGHT // 2, WIDTH // 2] == 0


def test_what_can_be_seen_through_gets_the_colour_of_its_rim() -> None:
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    distance = np.hypot(y - HEIGHT / 2, x - WIDTH / 2) / 40
    truth = np.where(distance < 1, 0.12 + 0.85 * np.clip(distance, 0, 1) ** 6, 0).astype(np.float32)
    image = over((0.2, 0.3, 0.6), truth, np.array([0.9, 0.95, 0.9], np.float32))
    alpha, _ = cut(image, (distance < 1).astype(np.float32))
    assert np.abs(alpha - truth)[distance < 1].mean() < 0.06


def test_spill_of_a_screen_is_taken_out_of_the_edge_and_not_of_a_green_subject() -> None:
    truth = ring(40, -1)
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    near = np.clip((np.hypot(y - HEIGHT / 2, x - WIDTH / 2) - 34) / 6, 0, 1)[..., None]
    behind = np.array([0.1, 0.7, 0.2], np.float32)
    for own in ((0.5, 0.45, 0.4), (0.2, 0.6, 0.3)):
        subject = np.array(own, np.float32)
        lit = np.clip(subject + 0.2 * near * behind, 0, 1)
        image = (behind + truth[..., None] * (lit - behind)).astype(np.float32)
        _, foreground = cut(image, (truth > 0.5).astype(np.float32))
        edge = (truth == 1) & (near[..., 0] > 0.5)
        assert np.abs(foreground - subject)[edge].mean() < 0.85 * np.abs(lit - subject)[edge].mean()
        inside = (truth == 1) & (near[..., 0] == 0)
        np.testing.assert_allclose(foreground[inside], np.broadcast_to(subject, (inside.sum(), 3)), atol=0.01)


def shaded(strength: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A picture with a soft shadow beside a ball, the ball's alpha, and the shadow's."""
    truth = ring(24, -1)
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    shadow = strength * np.exp(-(((y - 66) / 12) ** 2) - ((x - 74) / 20) ** 2)
    shadow[shadow < 0.02] = 0
    behind = np.array([0.8, 0.8, 0.75]) * (1 - shadow[..., None])
    subject = np.array([0.7, 0.2, 0.1])
    image = behind + truth[..., None] * (subject - behind)
    return image.astype(np.float32), truth, (shadow * (1 - truth)).astype(np.float32)


def test_shadows_are_dropped_or_kept_as_black() -> None:
    image, truth, shadow = shaded(0.35)
    probability = (truth > 0.5).astype(np.float32)
    dropped, _ = cut(image, probability)
    outside = truth == 0
    assert dropped[outside].mean() < 0.01
    assert np.abs(dropped - truth).mean() < 0.01
    kept, colours = cut(image, probability, shadow="keep")
    assert np.abs(kept - shadow)[outside].mean() < 0.02
    dark = outside & (shadow > 0.2)
    assert kept[dark].min() > 0.1
    assert colours[dark].mean() < 0.05
    again = colours * kept[..., None] + (1 - kept[..., None]) * np.array([0.8, 0.8, 0.75], np.float32)
    assert np.abs(again - image).mean() < 0.01


def test_somebody_who_points_gets_that_subject_alone() -> None:
    truth = np.zeros((HEIGHT, WIDTH), np.float32)
    truth[20:70, 10:50] = 1
    both = truth.copy()
    both[20:70, 70:110] = 1
    image = over((1.0, 1.0, 1.0), both)
    alpha, _ = cut(image, truth, only=True)
    np.testing.assert_array_equal(alpha[:, 60:], 0)
    assert alpha[45, 30] == 1
    everything, _ = cut(image, truth)
    assert everything[45, 90] == 1


def test_the_same_bits_on_any_number_of_threads() -> None:
    rng = np.random.default_rng(1)
    small = rng.random((12, 16)).astype(np.float32)
    truth = np.clip(4 * resized(small, (HEIGHT, WIDTH)) - 1.6, 0, 1).astype(np.float32)
    truth[:8] = truth[-8:] = truth[:, :8] = truth[:, -8:] = 0
    image = np.clip(over((0.7, 0.7, 0.7), truth) + rng.normal(0, 0.01, (HEIGHT, WIDTH, 3)), 0, 1).astype(np.float32)
    results = []
    for threads in (1, 2):
        set_num_threads(threads)
        results.append(cut(image, truth))
    for first, second in zip(*results, strict=True):
        np.testing.assert_array_equal(first, second)


def test_the_report_says_how_alpha_came_about() -> None:
    image = over((1.0, 1.0, 1.0), ring(36, 20, 3))
    field, _ = find_backdrop(image)
    assert field is not None
    report = SolveReport()
    key(image, field, report=report)
    assert report.method == "backdrop"
    assert report.converged
    assert report.unknown > 0
