"""Large-kernel matting against a dense Laplacian."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from trimatte import estimate_alpha
from trimatte.alpha import large_kernel as module
from trimatte.errors import ArgumentError

Edge = Callable[..., tuple[np.ndarray, np.ndarray, np.ndarray]]


def dense_laplacian(image: np.ndarray, radius: int, epsilon: float) -> np.ndarray:
    """The matting Laplacian, window by window."""
    height, width = image.shape[:2]
    ry, rx = min(radius, (height - 1) // 2), min(radius, (width - 1) // 2)
    number = np.arange(height * width).reshape(height, width)
    laplacian = np.zeros((height * width,) * 2)
    for y in range(ry, height - ry):
        for x in range(rx, width - rx):
            window = (slice(y - ry, y + ry + 1), slice(x - rx, x + rx + 1))
            colours = image[window].reshape(-1, 3).astype(float)
            n = len(colours)
            centred = colours - colours.mean(axis=0)
            inverse = np.linalg.inv(centred.T @ centred + epsilon * np.eye(3))
            members = number[window].ravel()
            laplacian[np.ix_(members, members)] += np.eye(n) - 1 / n - centred @ inverse @ centred.T
    return laplacian


def dense_alpha(
    image: np.ndarray, trimap: np.ndarray, radius: int, epsilon: float, constraint: float = 100.0
) -> np.ndarray:
    """Alpha of all pixels, known ones drawn to their values; those are given as they are."""
    laplacian = dense_laplacian(image, radius, epsilon)
    unknown, alpha = trimap.ravel() == 128, trimap / 255.0
    if constraint == np.inf:
        free, pull = unknown, -laplacian[:, ~unknown] @ alpha.ravel()[~unknown]
    else:
        free, pull = np.ones_like(unknown), constraint * ~unknown * alpha.ravel()
        laplacian = laplacian + np.diag(constraint * ~unknown)
    solved = np.zeros(len(unknown))
    solved[free] = np.linalg.solve(laplacian[free][:, free], pull[free])
    alpha.ravel()[unknown] = solved[unknown]
    return np.clip(alpha, 0, 1)


@pytest.mark.parametrize("constraint", [100.0, 1000.0, np.inf])
@pytest.mark.parametrize(("shape", "radius"), [((24, 30), 3), ((24, 30), 10), ((9, 40), 6)])
def test_is_the_dense_solution(
    shape: tuple[int, int], radius: int, constraint: float, noisy_edge: Edge, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "GIVING", 20)
    image, trimap, _ = noisy_edge(*shape)
    matte = estimate_alpha(image, trimap, method="large-kernel", radius=radius, constraint=constraint, rtol=1e-10)
    np.testing.assert_allclose(matte.alpha, dense_alpha(image, trimap, radius, 1e-7, constraint), atol=1e-5)
    assert matte.report.converged
    assert matte.report.iterations > 0


def test_is_the_dense_solution_where_windows_hold_shades_of_one_colour(monkeypatch: pytest.MonkeyPatch) -> None:
    """A photo in 8 bits, nearly grey: covariances are a millionth of the colours' squares, or nothing at all."""
    monkeypatch.setattr(module, "GIVING", 20)
    y, x = np.mgrid[:20, :30]
    grey, tint = 120 + 4 * np.sin(x / 9) + 3 * np.cos(y / 7) + 60 * (x > 15), 0.3 * (y % 5 > 2)
    trimap = np.where(x < 8, 0, np.where(x > 22, 255, 128)).astype(np.uint8)
    image = np.dstack([grey, grey, grey + tint]).astype(np.uint8) / np.float32(255)
    for radius in (2, 3):
        matte = estimate_alpha(image, trimap, method="large-kernel", radius=radius, rtol=1e-9)
        assert matte.report.converged
        np.testing.assert_allclose(matte.alpha, dense_alpha(image, trimap, radius, 1e-7), atol=1e-4)


def test_known_pixels_far_away_hardly_give_way(noisy_edge: Edge) -> None:
    image, trimap, _ = noisy_edge(24, 60)
    alpha = estimate_alpha(image, trimap, method="large-kernel", radius=3).alpha
    np.testing.assert_allclose(alpha, dense_alpha(image, trimap, 3, 1e-7), atol=0.01)


def test_tiles_do_not_show(noisy_edge: Edge) -> None:
    image, trimap, _ = noisy_edge(14, 150)
    assert np.ptp(np.flatnonzero(trimap[0] == 128) // module.TILE) > 0
    alpha = estimate_alpha(image, trimap, method="large-kernel", radius=3, constraint=np.inf, rtol=1e-11).alpha
    np.testing.assert_allclose(alpha, dense_alpha(image, trimap, 3, 1e-7, np.inf), atol=1e-5)


def test_is_near_pymatting(noisy_edge: Edge) -> None:
    image, trimap, _ = noisy_edge(60, 90)
    methods = "large-kernel", "pymatting:lkm"
    ours, theirs = (estimate_alpha(image, trimap, method=m).alpha[trimap == 128] for m in methods)
    assert np.mean(np.abs(ours - theirs)) < 0.01


def test_odd_pictures_have_a_defined_result(odd_picture: tuple[np.ndarray, np.ndarray]) -> None:
    image, trimap = odd_picture
    matte = estimate_alpha(image, trimap, method="large-kernel", strict=True)
    assert np.isfinite(matte.alpha).all()
    assert matte.alpha.min() >= 0
    assert matte.alpha.max() <= 1
    np.testing.assert_array_equal(matte.alpha[trimap != 128], trimap[trimap != 128] / 255)


@pytest.mark.parametrize("options", [{"radius": 0}, {"epsilon": 0.0}, {"constraint": 0.0}])
def test_bad_options_are_refused(options: dict[str, float], noisy_edge: Edge) -> None:
    image, trimap, _ = noisy_edge()
    with pytest.raises(ArgumentError, match=next(iter(options))):
        estimate_alpha(image, trimap, method="large-kernel", **options)
