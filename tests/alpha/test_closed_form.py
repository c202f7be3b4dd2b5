"""Closed-form matting against pymatting, and on pictures at the border of what makes sense."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from trimatte import estimate_alpha
from trimatte.errors import ArgumentError, ConvergenceWarning, SolverError
from trimatte.linalg import solve

Edge = Callable[..., tuple[np.ndarray, np.ndarray, np.ndarray]]


def busy(height: int = 60, width: int = 80) -> tuple[np.ndarray, np.ndarray]:
    """Image and trimap of a striped subject before a chequered ground, all a little noisy."""
    rng = np.random.default_rng(3)
    y, x = np.mgrid[:height, :width]
    alpha = np.clip((0.3 * height - np.hypot(y - height / 2, x - width / 2)) / 8 + 0.5, 0, 1)[..., None]
    stripes = 0.5 + 0.4 * np.sin(x / 3)[..., None] * np.array([1, 0.5, -0.5])
    squares = 0.3 + 0.3 * ((y // 7 + x // 5) % 2)[..., None] * np.array([-0.5, 0.5, 1])
    image = alpha * stripes + (1 - alpha) * squares + rng.normal(0, 0.01, (height, width, 3))
    trimap = np.where(alpha[..., 0] <= 0, 0, np.where(alpha[..., 0] >= 1, 255, 128)).astype(np.uint8)
    return np.clip(image, 0, 1).astype(np.float32), trimap


def laplacian(image: np.ndarray, epsilon: float) -> np.ndarray:
    """Levin et al. 2008, equation 12: what is left of alpha by a ridge regression on colours about their mean."""
    height, width = image.shape[:2]
    numbers = np.arange(height * width).reshape(height, width)
    matrix = np.zeros((height * width,) * 2)
    for y in range(height - 2):
        for x in range(width - 2):
            pixels = numbers[y : y + 3, x : x + 3].ravel()
            colours = image.reshape(-1, 3)[pixels].astype(np.float64)
            centred = colours - colours.mean(axis=0)
            fit = centred @ np.linalg.solve(centred.T @ centred + epsilon * np.eye(3), centred.T)
            matrix[np.ix_(pixels, pixels)] += np.eye(9) - 1 / 9 - fit
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
    matte = estimate_alpha(image, trimap)
    np.testing.assert_allclose(matte.alpha, expected, atol=1e-4)


@pytest.mark.parametrize("picture", ["busy", "edge"])
def test_is_pymattings_answer(picture: str, noisy_edge: Edge) -> None:
    image, trimap = busy() if picture == "busy" else noisy_edge(40, 60)[:2]
    unknown = trimap == 128
    ours = estimate_alpha(image, trimap)
    theirs = estimate_alpha(image, trimap, method="pymatting:cf", cg_kwargs={"rtol": 1e-10})
    difference = np.abs(ours.alpha - theirs.alpha)[unknown]
    assert ours.report.converged
    assert difference.mean() < 2e-4
    assert difference.max() < 5e-3


def test_finds_the_alpha_of_two_colours(noisy_edge: Edge) -> None:
    image, trimap, truth = noisy_edge(40, 60)
    assert np.abs(estimate_alpha(image, trimap).alpha - truth).mean() < 0.02


def test_report(noisy_edge: Edge) -> None:
    image, trimap, _ = noisy_edge()
    report = estimate_alpha(image, trimap).report
    assert report.method == "closed-form"
    assert report.unknown == np.count_nonzero(trimap == 128)
    assert {"assemble", "coarse", "solve", "alpha"} <= set(report.seconds)
    assert report.iterations > 0
    assert 0 < report.residual <= solve.RTOL
    assert report.predicted_bytes > 0


def test_regularisation_smooths(noisy_edge: Edge) -> None:
    image, trimap, _ = noisy_edge()
    sharp, smooth = (estimate_alpha(image, trimap, epsilon=epsilon).alpha for epsilon in (1e-7, 1.0))
    assert np.abs(np.diff(smooth, axis=0)).sum() < 0.5 * np.abs(np.diff(sharp, axis=0)).sum()


def test_input_is_unchanged_and_known_pixels_are_exact(odd_picture: tuple[np.ndarray, np.ndarray]) -> None:
    image, trimap = odd_picture
    before = image.copy(), trimap.copy()
    matte = estimate_alpha(image, trimap)
    np.testing.assert_array_equal(image, before[0])
    np.testing.assert_array_equal(trimap, before[1])
    assert matte.alpha.shape == trimap.shape
    assert matte.alpha.dtype == np.float32
    assert np.isfinite(matte.alpha).all()
    assert matte.report.converged
    np.testing.assert_array_equal(matte.alpha[trimap == 0], 0)
    np.testing.assert_array_equal(matte.alpha[trimap == 255], 1)


def test_a_picture_in_parts_far_from_each_other_is_solved_as_one(noisy_edge: Edge) -> None:
    """The band's surroundings alone decide: what lies further off than two pixels does not count."""
    image, trimap, _ = noisy_edge()
    wide = np.full((80, 100, 3), 0.5, np.float32)
    known = np.zeros((80, 100), np.uint8)
    wide[20:44, 30:60], known[20:44, 30:60] = image, trimap
    known[20:44, 60:] = 255
    known[:18, 30:60] = known[46:, 30:60] = 0
    frame = np.random.default_rng(0).random(wide.shape, dtype=np.float32)
    other = frame.copy()
    part = slice(18, 46), slice(28, 62)
    other[part] = wide[part]
    np.testing.assert_array_equal(estimate_alpha(wide, known).alpha, estimate_alpha(other, known).alpha)


def lonely(value: int) -> tuple[np.ndarray, np.ndarray]:
    """A noisy picture, and a trimap whose two unknown patches each lie amid one kind of known pixels."""
    image = np.random.default_rng(4).random((30, 40, 3), dtype=np.float32)
    trimap = np.full((30, 40), value, np.uint8)
    trimap[:, 30:] = 255 - value
    trimap[10, 10] = 128
    trimap[20:24, 4:9] = 128
    return image, trimap


@pytest.mark.parametrize("method", ["closed-form", "learning-based", "random-walk"])
@pytest.mark.parametrize("value", [0, 255])
def test_unknown_pixels_amid_one_kind_take_it(method: str, value: int) -> None:
    image, trimap = lonely(value)
    alpha = estimate_alpha(image, trimap, method=method).alpha
    np.testing.assert_allclose(alpha[trimap == 128], value / 255, atol=1e-5)


def test_a_lone_pixel_between_the_two_takes_its_colours_share() -> None:
    image = np.zeros((9, 9, 3), np.float32)
    image[:, 4:] = 0.8
    image[4, 4] = 0.2
    trimap = np.where(np.arange(9) < 4, 0, 255).astype(np.uint8) * np.ones((9, 1), np.uint8)
    trimap[4, 4] = 128
    assert estimate_alpha(image, trimap).alpha[4, 4] == pytest.approx(0.25, abs=1e-4)


@pytest.mark.parametrize("method", ["closed-form", "learning-based", "random-walk"])
@pytest.mark.parametrize("value", [0, 128, 255])
def test_one_pixel_pictures_have_a_defined_alpha(method: str, value: int) -> None:
    image = np.full((1, 1, 3), 0.5, np.float32)
    matte = estimate_alpha(image, np.full((1, 1), value, np.uint8), method=method)
    assert matte.alpha.tolist() == [[value // 255]]
    assert matte.report.fallbacks


def test_a_constant_picture_is_filled_in_smoothly() -> None:
    image = np.full((20, 31, 3), 0.7, np.float32)
    trimap = np.full((20, 31), 128, np.uint8)
    trimap[:, :3], trimap[:, -3:] = 0, 255
    alpha = estimate_alpha(image, trimap, rtol=1e-9).alpha
    assert np.all(np.diff(alpha, axis=1) >= -1e-6)
    np.testing.assert_allclose(alpha + alpha[:, ::-1], 1, atol=1e-5)


def test_stopping_short_warns_and_is_an_error_if_strict(monkeypatch: pytest.MonkeyPatch, noisy_edge: Edge) -> None:
    monkeypatch.setattr(solve, "MAX_ITERATIONS", 1)
    image, trimap, _ = noisy_edge()
    with pytest.warns(ConvergenceWarning, match="closed-form: not converged"):
        matte = estimate_alpha(image, trimap)
    assert not matte.report.converged
    assert matte.report.residual > 1e-6
    assert np.isfinite(matte.alpha).all()
    with pytest.raises(SolverError, match="not converged"):
        estimate_alpha(image, trimap, strict=True)


def test_prior_draws_by_its_confidence(noisy_edge: Edge) -> None:
    image, trimap, _ = noisy_edge()
    rng = np.random.default_rng(5)
    prior, confidence = rng.random((2, *trimap.shape), dtype=np.float32)
    unknown, matrix = trimap.ravel() == 128, laplacian(image, 1e-7)
    pull = np.where(unknown, confidence.ravel(), 0)
    known = trimap.ravel() / 255.0
    expected = known.copy()
    expected[unknown] = np.linalg.solve(
        (matrix + np.diag(pull))[unknown][:, unknown],
        (pull * prior.ravel())[unknown] - matrix[unknown][:, ~unknown] @ known[~unknown],
    )
    alpha = estimate_alpha(image, trimap, prior=prior, confidence=confidence).alpha
    np.testing.assert_allclose(alpha.ravel(), np.clip(expected, 0, 1), atol=1e-4)
    free = estimate_alpha(image, trimap, prior=prior, confidence=0).alpha
    np.testing.assert_array_equal(free, estimate_alpha(image, trimap).alpha)


def test_first_guess_saves_iterations_and_changes_nothing(noisy_edge: Edge) -> None:
    image, trimap, _ = noisy_edge(40, 60)
    cold = estimate_alpha(image, trimap)
    warm = estimate_alpha(image, trimap, guess=cold.alpha)
    assert warm.report.iterations < cold.report.iterations
    np.testing.assert_allclose(warm.alpha, cold.alpha, atol=1e-4)


@pytest.mark.parametrize(
    ("method", "options", "message"),
    [
        ("closed-form", {"epsilon": 0.0}, "epsilon: got 0.0"),
        ("closed-form", {"epsilon": float("inf")}, "epsilon: got inf"),
        ("closed-form", {"rtol": float("nan")}, "rtol: got nan"),
        ("closed-form", {"prior": np.zeros((24, 30)), "confidence": -1.0}, "confidence: got -1.0, wanted"),
        ("closed-form", {"prior": np.zeros((24, 30)), "confidence": np.ones((3, 4))}, "confidence: wanted"),
        ("closed-form", {"prior": np.zeros((3, 4))}, "prior"),
        ("learning-based", {"epsilon": -1.0}, "epsilon: got -1.0"),
        ("learning-based", {"rtol": 0.0}, "rtol: got 0.0"),
        ("random-walk", {"sigma": 0.0}, "sigma: got 0.0"),
        ("random-walk", {"rtol": -1.0}, "rtol: got -1.0"),
    ],
)
def test_bad_options_are_named(method: str, options: dict[str, Any], message: str, noisy_edge: Edge) -> None:
    image, trimap, _ = noisy_edge()
    with pytest.raises(ArgumentError, match=message):
        estimate_alpha(image, trimap, method=method, **options)


def test_memory_plan(noisy_edge: Edge) -> None:
    image, trimap, _ = noisy_edge(60, 90)
    plain = estimate_alpha(image, trimap)
    lean = estimate_alpha(image, trimap, max_memory=plain.report.predicted_bytes - 1)
    assert lean.report.predicted_bytes < plain.report.predicted_bytes
    assert lean.report.solver != plain.report.solver
    np.testing.assert_allclose(lean.alpha, plain.alpha, atol=5e-3)
    with pytest.raises(SolverError, match=r"max_memory: .* 1000 are allowed"):
        estimate_alpha(image, trimap, max_memory=1000)
