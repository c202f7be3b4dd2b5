"""Random-walk matting against chances computed on the dense chain; `test_parity` has pymatting."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from trimatte import estimate_alpha
from trimatte.linalg.assembly import STOP

Edge = Callable[..., tuple[np.ndarray, np.ndarray, np.ndarray]]


def chances(image: np.ndarray, trimap: np.ndarray, sigma: float) -> np.ndarray:
    """Where a walker ends, from the transition matrix with known pixels absorbing; beyond the rim pixels repeat."""
    height, width = trimap.shape
    y, x = np.divmod(np.arange(height * width), width)
    colours = image.reshape(-1, 3).astype(np.float64)
    step = np.zeros((height * width, height * width))
    for dy, dx in np.ndindex(3, 3):
        to = np.clip(y + dy - 1, 0, height - 1) * width + np.clip(x + dx - 1, 0, width - 1)
        distance = ((colours - colours[to]) ** 2).sum(axis=1)
        step[np.arange(len(to)), to] += np.exp(-distance / sigma**2)
    step /= (1 + STOP) * step.sum(axis=1, keepdims=True)
    unknown = trimap.ravel() == 128
    to_foreground = step[unknown][:, trimap.ravel() == 255].sum(axis=1)
    found = trimap / 255.0
    found.ravel()[unknown] = np.linalg.solve(np.eye(unknown.sum()) - step[unknown][:, unknown], to_foreground)
    return found


@pytest.mark.parametrize("sigma", [1 / 30, 0.1, 1.0])
def test_is_the_chance_of_reaching_foreground_first(sigma: float, noisy_edge: Edge) -> None:
    image, trimap, _ = noisy_edge()
    matte = estimate_alpha(image, trimap, method="random-walk", sigma=sigma, rtol=1e-11)
    np.testing.assert_allclose(matte.alpha, chances(image, trimap, sigma), atol=1e-6)
    assert matte.report.converged


def test_input_is_unchanged_and_known_pixels_are_exact(odd_picture: tuple[np.ndarray, np.ndarray]) -> None:
    image, trimap = odd_picture
    before = image.copy(), trimap.copy()
    matte = estimate_alpha(image, trimap, method="random-walk")
    np.testing.assert_array_equal(image, before[0])
    np.testing.assert_array_equal(trimap, before[1])
    assert np.isfinite(matte.alpha).all()
    assert matte.report.converged
    np.testing.assert_array_equal(matte.alpha[trimap == 0], 0)
    np.testing.assert_array_equal(matte.alpha[trimap == 255], 1)
