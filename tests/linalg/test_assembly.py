"""Matting Laplacians on the band against dense ones written from the papers' formulas, window by window."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trimatte.linalg.assembly import CLOSED_FORM, LEARNING_BASED, STOP, walk_system, window_system
from trimatte.linalg.band import number_band
from trimatte.linalg.stencil import StencilSystem

Maker = Callable[..., np.ndarray]
ROUNDING = 2.0**-24
"""Relative error of a number stored in float32."""


def windows(image: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Pixel numbers (9,) and colours (9, 3) float64 of each 3x3 window."""
    height, width = image.shape[:2]
    numbers = np.arange(height * width).reshape(height, width)
    for y in range(1, height - 1):
        for x in range(1, width - 1):
            part = slice(y - 1, y + 2), slice(x - 1, x + 2)
            yield numbers[part].ravel(), image[part].reshape(9, 3).astype(np.float64)


def dense_closed_form(image: np.ndarray, epsilon: float) -> np.ndarray:
    """Levin et al. 2008, equation 12."""
    laplacian = np.zeros((image[..., 0].size,) * 2)
    for pixels, colours in windows(image):
        centred = colours - colours.mean(axis=0)
        covariance = centred.T @ centred / 9
        affinity = (1 + centred @ np.linalg.inv(covariance + epsilon / 9 * np.eye(3)) @ centred.T) / 9
        laplacian[np.ix_(pixels, pixels)] += np.eye(9) - affinity
    return laplacian


def dense_learning_based(image: np.ndarray, epsilon: float) -> np.ndarray:
    """Zheng and Kambhamettu 2009, equations 10 to 13, of all nine pixels in each window."""
    laplacian = np.zeros((image[..., 0].size,) * 2)
    for pixels, colours in windows(image):
        features = np.concatenate([colours, np.ones((9, 1))], axis=1)
        gram = features @ features.T
        error = np.eye(9) - np.linalg.solve(gram + epsilon * np.eye(9), gram).T
        laplacian[np.ix_(pixels, pixels)] += error.T @ error
    return laplacian


def dense_walk(image: np.ndarray, sigma: float) -> np.ndarray:
    """Grady et al. 2005, to eight neighbours; beyond the rim pixels repeat."""
    height, width = image.shape[:2]
    weights = np.zeros((height * width,) * 2)
    y, x = np.divmod(np.arange(height * width), width)
    colours = image.reshape(-1, 3).astype(np.float64)
    for dy, dx in np.ndindex(3, 3):
        to = np.clip(y + dy - 1, 0, height - 1) * width + np.clip(x + dx - 1, 0, width - 1)
        weights[np.arange(len(to)), to] += np.exp(-((colours - colours[to]) ** 2).sum(axis=1) / sigma**2)
    return np.diag((1 + STOP) * weights.sum(axis=1)) - weights


def check(system: StencilSystem, laplacian: np.ndarray, fixed: np.ndarray, exact: float = 1e-8) -> None:
    """The system is the Laplacian with the known pixels eliminated.

    Coefficients may be off by their rounding to float32 and `exact`, the error of a nearly singular window's
    inverse in float64; the diagonal takes up all of a row's roundings, so that what rows sum to is exact.
    """
    band = system.band
    unknown, known = band.position, np.setdiff1d(np.arange(fixed.size), band.position)
    expected = laplacian[np.ix_(unknown, unknown)]
    matrix = system.to_csr().toarray()
    beside = ~np.eye(band.size, dtype=bool)
    np.testing.assert_allclose(matrix[beside], expected[beside], rtol=ROUNDING, atol=exact)
    np.testing.assert_allclose(
        system.diagonal, np.diag(expected), rtol=0, atol=24 * (ROUNDING * np.abs(expected).max(initial=0) + exact)
    )
    np.testing.assert_array_equal(matrix, matrix.T)
    ties = laplacian[np.ix_(unknown, known)]
    np.testing.assert_allclose(system.b, -ties @ fixed.ravel()[known], rtol=0, atol=24 * exact)
    np.testing.assert_allclose(matrix.sum(axis=1), -ties.sum(axis=1), rtol=0, atol=24 * exact)


@pytest.fixture(params=["noise", "smooth", "saturated", "constant"])
def picture(request: pytest.FixtureRequest, scene: Callable[..., tuple[np.ndarray, ...]]) -> np.ndarray:
    return scene(request.param, 15, 18)[0]


@pytest.fixture
def fixed() -> np.ndarray:
    """Any alpha at all for known pixels."""
    return np.random.default_rng(5).random((15, 18), dtype=np.float32)


DENSE = {CLOSED_FORM: dense_closed_form, LEARNING_BASED: dense_learning_based}


@pytest.mark.usefixtures("short_strips")
@pytest.mark.parametrize("density", [0.05, 0.6, 1.0])
@pytest.mark.parametrize("model", [CLOSED_FORM, LEARNING_BASED])
def test_window_systems(model: int, density: float, picture: np.ndarray, fixed: np.ndarray, random_mask: Maker) -> None:
    band = number_band(random_mask(7, 15, 18, density))
    system = window_system(picture, fixed, band, model, 1e-7)
    check(system, DENSE[model](picture, 1e-7), fixed, exact=1e-8 if model == CLOSED_FORM else 1e-7)


@pytest.mark.parametrize("epsilon", [1e-4, 1.0])
@pytest.mark.parametrize("model", [CLOSED_FORM, LEARNING_BASED])
def test_regularisation_is_the_papers(model: int, epsilon: float, fixed: np.ndarray, random_mask: Maker) -> None:
    image = np.random.default_rng(6).random((15, 18, 3), dtype=np.float32)
    band = number_band(random_mask(7, 15, 18, 0.6))
    system = window_system(image, fixed, band, model, epsilon)
    if model == CLOSED_FORM:
        check(system, dense_closed_form(image, epsilon), fixed)
    else:  # a ridge that also holds the constant leaves rows that do not sum to zero; ours do, see the diagonal
        laplacian = dense_learning_based(image, epsilon)
        unknown = band.position
        beside = ~np.eye(band.size, dtype=bool)
        expected = laplacian[np.ix_(unknown, unknown)][beside]
        np.testing.assert_allclose(system.to_csr().toarray()[beside], expected, rtol=ROUNDING, atol=1e-8)


@pytest.mark.usefixtures("short_strips")
@pytest.mark.parametrize("density", [0.05, 0.6, 1.0])
def test_walks(density: float, picture: np.ndarray, fixed: np.ndarray, random_mask: Maker) -> None:
    band = number_band(random_mask(7, 15, 18, density))
    check(walk_system(picture, fixed, band, 1 / 30), dense_walk(picture, 1 / 30), fixed, exact=1e-6)


@settings(max_examples=20)
@given(seed=st.integers(0, 10**6), height=st.integers(3, 9), width=st.integers(3, 9), density=st.floats(0.05, 1))
def test_any_band_of_any_small_picture(random_mask: Maker, seed: int, height: int, width: int, density: float) -> None:
    rng = np.random.default_rng(seed)
    image, fixed = rng.random((height, width, 3), dtype=np.float32), rng.random((height, width), dtype=np.float32)
    band = number_band(random_mask(seed, height, width, density))
    check(window_system(image, fixed, band, CLOSED_FORM, 1e-7), dense_closed_form(image, 1e-7), fixed)


@pytest.mark.parametrize("kind", ["noise", "saturated", "constant"])
def test_closed_form_is_pymattings(kind: str, scene: Maker, fixed: np.ndarray, random_mask: Maker) -> None:
    from pymatting import cf_laplacian

    picture = scene(kind, 15, 18)[0]
    band = number_band(random_mask(7, 15, 18, 0.6))
    laplacian = cf_laplacian(picture.astype(np.float64), epsilon=1e-7).toarray()
    # pymatting inverts by cofactors, which lose half the digits; on colour lines ("smooth") all that count
    check(window_system(picture, fixed, band, CLOSED_FORM, 1e-7), laplacian, fixed, exact=1e-6)


def test_learning_based_is_pymattings(fixed: np.ndarray, random_mask: Maker) -> None:
    from pymatting import lbdm_laplacian

    image = np.random.default_rng(6).random((15, 18, 3), dtype=np.float32)
    band = number_band(random_mask(7, 15, 18, 0.6))
    laplacian = lbdm_laplacian(image.astype(np.float64), epsilon=1e-7).toarray()
    check(window_system(image, fixed, band, LEARNING_BASED, 1e-7), laplacian, fixed, exact=1e-7)


def test_an_affine_function_of_colour_costs_nothing(random_mask: Maker) -> None:
    image = np.random.default_rng(8).random((15, 18, 3), dtype=np.float32)
    alpha = image @ np.array([0.3, 0.5, -0.2], np.float32) + np.float32(0.2)
    band = number_band(random_mask(7, 15, 18, 0.6))
    system = window_system(image, alpha, band, CLOSED_FORM, 1e-9)
    out = np.empty(band.size)
    system.multiply(alpha.ravel()[band.position].astype(np.float64), out)
    np.testing.assert_allclose(out, system.b, atol=1e-5)


@pytest.mark.parametrize("model", [CLOSED_FORM, LEARNING_BASED])
def test_colours_on_a_line_leave_the_system_definite(model: int, scene: Maker) -> None:
    image, unknown, fixed = scene("smooth", 20, 26)
    matrix = window_system(image, fixed, number_band(unknown), model, 1e-7).to_csr().toarray()
    least, most = np.linalg.eigvalsh(matrix)[[0, -1]]
    assert least > -2 * ROUNDING * most


@pytest.mark.usefixtures("short_strips")
def test_same_bits_for_any_number_of_threads(
    scene: Callable[..., tuple[np.ndarray, ...]], with_threads: Callable[[int], None]
) -> None:
    image, unknown, fixed = scene("noise")
    band = number_band(unknown)
    systems = []
    for threads in (1, 2):
        with_threads(threads)
        systems.append(window_system(image, fixed, band, LEARNING_BASED, 1e-7))
    for name in ("diagonal", "coefficients", "runs", "b"):
        np.testing.assert_array_equal(*(getattr(system, name) for system in systems))
