"""KNN matting against brute force and against pymatting."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from trimatte import estimate_alpha
from trimatte.errors import ArgumentError, ConvergenceWarning

Edge = Callable[..., tuple[np.ndarray, np.ndarray, np.ndarray]]


def brute_force(
    image: np.ndarray, trimap: np.ndarray, neighbours: tuple[int, ...], weights: tuple[float, ...], of_all: bool = True
) -> np.ndarray:
    """Each pixel, or each unknown one, joined to its nearest among all, and the dense system solved."""
    height, width = trimap.shape
    y, x = np.divmod(np.arange(height * width), width)
    joined = np.zeros((height * width,) * 2)
    unknown = np.flatnonzero(trimap.ravel() == 128)
    for k, weight in zip(neighbours, weights, strict=True):
        place = np.stack([x / (width - 1), y / (height - 1)], axis=1) * weight
        features = np.concatenate([image.reshape(-1, 3).astype(float), place], axis=1)
        for i in range(height * width) if of_all else unknown:
            nearest = np.argsort(((features - features[i]) ** 2).sum(axis=1), kind="stable")[:k]
            joined[i, nearest] += 1
    joined += joined.T
    laplacian = np.diag(joined.sum(axis=1)) - joined
    alpha = trimap / 255.0
    known = np.setdiff1d(np.arange(height * width), unknown)
    alpha.ravel()[unknown] = np.linalg.solve(
        laplacian[np.ix_(unknown, unknown)], -laplacian[np.ix_(unknown, known)] @ alpha.ravel()[known]
    )
    return np.clip(alpha, 0, 1)


def test_the_default_is_the_brute_force_answer(noisy_edge: Edge) -> None:
    image, trimap, _ = noisy_edge()
    matte = estimate_alpha(image, trimap, method="knn", rtol=1e-10)
    np.testing.assert_allclose(matte.alpha, brute_force(image, trimap, (20, 10), (2.0, 0.1)), atol=1e-6)
    assert matte.report.converged
    assert matte.report.iterations > 0


def test_the_fast_form_is_another(noisy_edge: Edge) -> None:
    image, trimap, _ = noisy_edge()
    exact, fast = (estimate_alpha(image, trimap, method="knn", accuracy=a, rtol=1e-10).alpha for a in ("exact", "fast"))
    assert np.abs(exact - fast).max() > 1e-3


def test_the_fast_form_stays_near_the_brute_force_answer(noisy_edge: Edge) -> None:
    image, trimap, truth = noisy_edge(40, 60)
    alpha = estimate_alpha(image, trimap, method="knn", accuracy="fast").alpha
    exact = brute_force(image, trimap, (20, 10), (2.0, 0.1), of_all=False)
    unknown = trimap == 128
    error, least = (np.mean((a - truth)[unknown] ** 2) for a in (alpha, exact))
    assert error <= 1.2 * least + 1e-4


def test_odd_pictures_have_a_defined_result(odd_picture: tuple[np.ndarray, np.ndarray]) -> None:
    image, trimap = odd_picture
    matte = estimate_alpha(image, trimap, method="knn", strict=True)
    assert np.isfinite(matte.alpha).all()
    assert matte.alpha.min() >= 0
    assert matte.alpha.max() <= 1
    np.testing.assert_array_equal(matte.alpha[trimap != 128], trimap[trimap != 128] / 255)


def test_pixels_that_resemble_nothing_known_are_a_half_and_told() -> None:
    image = np.full((40, 80, 3), 0.1, np.float32)
    image[:, 40:] = 0.9
    image[10:30, 30:50] = [0.9, 0.1, 0.5]
    trimap = np.where(np.arange(80) < 40, 0, 255).astype(np.uint8) * np.ones((40, 1), np.uint8)
    trimap[10:30, 30:50] = 128
    with pytest.warns(ConvergenceWarning, match="nothing known determines 400 of 400 unknown pixels"):
        matte = estimate_alpha(image, trimap, method="knn")
    np.testing.assert_array_equal(matte.alpha[trimap == 128], np.float32(0.5))
    assert "400 unknown pixels" in matte.report.fallbacks[0]


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"accuracy": "best"}, "accuracy"),
        ({"neighbours": (1, 10)}, "neighbours"),
        ({"neighbours": ()}, "neighbours"),
        ({"distance_weights": (1.0,)}, "distance_weights"),
    ],
)
def test_bad_options_are_refused(options: dict[str, Any], name: str, noisy_edge: Edge) -> None:
    image, trimap, _ = noisy_edge()
    with pytest.raises(ArgumentError, match=name):
        estimate_alpha(image, trimap, method="knn", **options)
