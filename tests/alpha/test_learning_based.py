"""Learning-based matting against pymatting, and on pictures at the border of what makes sense."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from trimatte import estimate_alpha

Edge = Callable[..., tuple[np.ndarray, np.ndarray, np.ndarray]]


def laplacian(image: np.ndarray, epsilon: float) -> np.ndarray:
    """Zheng and Kambhamettu 2009: squares of what a ridge regression on (1, colours) leaves of alpha."""
    height, width = image.shape[:2]
    numbers = np.arange(height * width).reshape(height, width)
    matrix = np.zeros((height * width,) * 2)
    for y in range(height - 2):
        for x in range(width - 2):
            pixels = numbers[y : y + 3, x : x + 3].ravel()
            colours = image.reshape(-1, 3)[pixels].astype(np.float64)
            features = np.concatenate([np.ones((9, 1)), colours], axis=1)
            gram = features @ features.T
            error = np.eye(9) - np.linalg.solve(gram + epsilon * np.eye(9), gram)
            matrix[np.ix_(pixels, pixels)] += error @ error.T
    return matrix


def solve_dense(matrix: np.ndarray, trimap: np.ndarray) -> np.ndarray:
    """Alpha (H, W) of a dense Laplacian (H W, H W), known pixels held."""
    unknown = trimap.ravel() == 128
    alpha = trimap.ravel() / 255.0
    alpha[unknown] = np.linalg.solve(matrix[unknown][:, unknown], -matrix[unknown][:, ~unknown] @ alpha[~unknown])
    return np.clip(alpha, 0, 1).reshape(trimap.shape)


def test_is_the_dense_answer(noisy_edge: Edge) -> None:
    image, trimap, _ = noisy_edge()
    expected = solve_dense(laplacian(image, 1e-7), trimap)
    matte = estimate_alpha(image, trimap, method="learning-based")
    np.testing.assert_allclose(matte.alpha, expected, atol=1e-4)


def test_is_pymattings_answer(noisy_edge: Edge) -> None:
    image, trimap, _ = noisy_edge(40, 60)
    ours = estimate_alpha(image, trimap, method="learning-based")
    theirs = estimate_alpha(image, trimap, method="pymatting:lbdm", cg_kwargs={"rtol": 1e-10})
    difference = np.abs(ours.alpha - theirs.alpha)[trimap == 128]
    assert ours.report.converged
    # pymatting holds known pixels by a weight instead of eliminating them
    assert difference.mean() < 1e-3
    assert difference.max() < 5e-3


def test_finds_the_alpha_of_two_colours(noisy_edge: Edge) -> None:
    image, trimap, truth = noisy_edge(40, 60)
    assert np.abs(estimate_alpha(image, trimap, method="learning-based").alpha - truth).mean() < 0.02


def test_ridge_smooths(noisy_edge: Edge) -> None:
    image, trimap, _ = noisy_edge()
    sharp, smooth = (
        estimate_alpha(image, trimap, method="learning-based", epsilon=epsilon).alpha for epsilon in (1e-7, 1.0)
    )
    assert np.abs(np.diff(smooth, axis=0)).sum() < 0.5 * np.abs(np.diff(sharp, axis=0)).sum()


def test_input_is_unchanged_and_known_pixels_are_exact(odd_picture: tuple[np.ndarray, np.ndarray]) -> None:
    image, trimap = odd_picture
    before = image.copy(), trimap.copy()
    matte = estimate_alpha(image, trimap, method="learning-based")
    np.testing.assert_array_equal(image, before[0])
    np.testing.assert_array_equal(trimap, before[1])
    assert np.isfinite(matte.alpha).all()
    assert matte.report.converged
    np.testing.assert_array_equal(matte.alpha[trimap == 0], 0)
    np.testing.assert_array_equal(matte.alpha[trimap == 255], 1)
