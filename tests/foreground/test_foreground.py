"""Foreground colours by both methods, against plain loops and against pymatting."""

from __future__ import annotations

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trimatte import composite, estimate_foreground
from trimatte.errors import ArgumentError
from trimatte.foreground import multilevel as module


def soft_disc(height: int, width: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Photo (H, W, 3) float32 with texture and the alpha (H, W) of a soft disc."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    away = np.hypot(y - height / 2, x - width / 2)
    alpha = np.clip((0.3 * min(height, width) - away) / 6 + 0.5, 0, 1).astype(np.float32)
    image = rng.random((height // 4 + 1, width // 4 + 1, 3)).repeat(4, axis=0).repeat(4, axis=1)[:height, :width]
    return image.astype(np.float32), alpha


def plain_loops(image: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """The paper's algorithm in float64, pixel by pixel over every level, solving 2 x 2 systems."""
    image, alpha = image.astype(float), alpha.astype(float)

    def mean(chosen: np.ndarray) -> np.ndarray:
        return image[chosen].sum(axis=0) / (chosen.sum() + 1e-5)

    layers = np.stack([mean(alpha > 0.9), mean(alpha < 0.1)])[:, None, None]
    for height, width in module._levels(*alpha.shape):
        rows = np.arange(height) * alpha.shape[0] // height
        columns = np.arange(width) * alpha.shape[1] // width
        colours, a = image[rows][:, columns], alpha[rows][:, columns]
        up = np.arange(height) * layers.shape[1] // height
        layers = layers[:, up][:, :, np.arange(width) * layers.shape[2] // width]
        for _ in range(10 if max(height, width) <= 32 else 2):
            for y in range(height):
                for x in range(width):
                    mix = np.array([a[y, x], 1 - a[y, x]])
                    matrix, side = np.outer(mix, mix), mix[:, None] * colours[y, x]
                    for v, u in ((y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)):
                        v, u = min(max(v, 0), height - 1), min(max(u, 0), width - 1)
                        weight = 1e-5 + abs(a[y, x] - a[v, u])
                        matrix, side = matrix + weight * np.eye(2), side + weight * layers[:, v, u]
                    layers[:, y, x] = np.clip(np.linalg.solve(matrix, side), 0, 1)
    foreground = layers[0]
    foreground[alpha == 1] = image[alpha == 1]
    return foreground


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (7, 1), (2, 2), (33, 20), (70, 90)])
def test_multilevel_is_the_plain_algorithm_wherever_it_is_seen(shape: tuple[int, int]) -> None:
    image, alpha = soft_disc(*shape)
    foreground = estimate_foreground(image, alpha)
    seen = alpha > 0
    np.testing.assert_allclose(foreground[seen], plain_loops(image, alpha)[seen], atol=1e-3)


@settings(max_examples=10)
@given(seed=st.integers(0, 100), height=st.integers(1, 30), width=st.integers(1, 30))
def test_multilevel_is_the_plain_algorithm_for_any_alpha(seed: int, height: int, width: int) -> None:
    image, _ = soft_disc(height, width, seed)
    alpha = np.random.default_rng(seed).random((height, width), dtype=np.float32)
    np.testing.assert_allclose(estimate_foreground(image, alpha), plain_loops(image, alpha), atol=1e-3)


def test_multilevel_agrees_with_pymatting_where_tiles_are_left_out() -> None:
    pymatting = pytest.importorskip("pymatting")
    image, alpha = soft_disc(300, 500)
    image = 0.5 * image + 0.25
    assert not module._active_tiles(alpha, module._levels(*alpha.shape))[-1].all()
    theirs = pymatting.estimate_foreground_ml(image, alpha)
    mixed = (alpha > 0) & (alpha < 1)
    np.testing.assert_allclose(estimate_foreground(image, alpha)[mixed], theirs[mixed], atol=1e-3)


def test_multilevel_is_the_same_bits_for_any_number_of_threads() -> None:
    image, alpha = soft_disc(600, 700)
    before = numba.get_num_threads()
    results = []
    for threads in (1, numba.config.NUMBA_NUM_THREADS):  # type: ignore[attr-defined]
        numba.set_num_threads(threads)
        results.append(estimate_foreground(image, alpha))
    numba.set_num_threads(before)
    np.testing.assert_array_equal(*results)


def test_closed_form_is_the_least_of_its_energy() -> None:
    image, alpha = soft_disc(16, 19)
    exact = dense_layers(image, alpha)[0]
    foreground = estimate_foreground(image, alpha, method="closed-form", rtol=1e-10)
    mixed = (alpha > 0.02) & (alpha < 1)
    np.testing.assert_allclose(foreground[mixed], np.clip(exact, 0, 1)[mixed], atol=2e-3)


def dense_layers(image: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Both layers (2, H, W, 3) over the whole picture, from the dense normal equations."""
    height, width = alpha.shape
    n, a = height * width, alpha.ravel().astype(float)
    smooth = np.zeros((n, n))
    for i in range(n):
        y, x = divmod(i, width)
        for v, u in ((y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)):
            if 0 <= v < height and 0 <= u < width:
                weight = 1e-5 + abs(a[i] - a[v * width + u])
                step = np.zeros(n)
                step[i], step[v * width + u] = 1, -1
                smooth += weight * np.outer(step, step)
    mix = np.concatenate([np.diag(a), np.diag(1 - a)], axis=1)
    matrix = mix.T @ mix + np.kron(np.eye(2), smooth)
    return np.linalg.solve(matrix, mix.T @ image.reshape(n, 3)).reshape(2, height, width, 3)


def test_closed_form_agrees_with_pymatting() -> None:
    pymatting = pytest.importorskip("pymatting")
    image, alpha = soft_disc(60, 80)
    theirs = pymatting.estimate_foreground_cf(image.astype(float), alpha.astype(float), rtol=1e-9)
    ours = estimate_foreground(image, alpha, method="closed-form")
    mixed = (alpha > 0.02) & (alpha < 1)
    assert np.abs(ours - theirs)[mixed].mean() < 1e-3


@pytest.mark.parametrize("method", ["multilevel", "closed-form"])
@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("shape", [(1, 1), (1, 12), (2, 2), (40, 50)])
def test_constant_alpha_and_tiny_pictures_have_a_defined_result(
    method: str, value: float, shape: tuple[int, int]
) -> None:
    image, _ = soft_disc(*shape)
    foreground = estimate_foreground(image, np.full(shape, value, np.float32), method=method)
    assert np.isfinite(foreground).all()
    assert foreground.min() >= 0
    assert foreground.max() <= 1
    if value == 1:
        np.testing.assert_array_equal(foreground, image)


@pytest.mark.parametrize("method", ["multilevel", "closed-form"])
def test_opaque_pixels_are_the_picture_itself_and_a_flat_subject_keeps_its_colour(method: str) -> None:
    _, alpha = soft_disc(64, 64)
    subject, ground = np.array([0.9, 0.5, 0.1], np.float32), np.array([0.0, 0.3, 0.8], np.float32)
    image = composite(np.broadcast_to(subject, (64, 64, 3)), alpha, np.broadcast_to(ground, (64, 64, 3)))
    foreground = estimate_foreground(image, alpha, method=method)
    np.testing.assert_array_equal(foreground[alpha == 1], image[alpha == 1])
    clear = alpha > 0.1
    np.testing.assert_allclose(foreground[clear], np.broadcast_to(subject, (64, 64, 3))[clear], atol=0.02)


def test_an_unknown_method_is_refused() -> None:
    with pytest.raises(ArgumentError, match="none"):
        estimate_foreground(np.zeros((2, 2, 3)), np.zeros((2, 2)), method="none")


def test_what_a_plug_in_gives_is_copied_and_of_the_pictures_shape(monkeypatch: pytest.MonkeyPatch) -> None:
    image, alpha = np.full((6, 5, 3), 0.25, np.float32), np.full((6, 5), 0.5, np.float32)
    image.flags.writeable = False
    for own in (lambda image, *_: image, lambda image, *_: np.broadcast_to(np.float64(0.25), image.shape)):
        monkeypatch.setattr("trimatte.foreground.foreground_method", lambda *_, own=own, **__: own)
        colours = estimate_foreground(image, alpha, method="theirs")
        assert (colours.dtype, colours.flags.writeable) == (np.float32, True)
        np.testing.assert_array_equal(colours, image)
    monkeypatch.setattr("trimatte.foreground.foreground_method", lambda *_, **__: lambda image, *_: image[..., 0])
    with pytest.raises(ArgumentError, match=r"'theirs' gave colours \(6, 5\), wanted \(6, 5, 3\)"):
        estimate_foreground(image, alpha, method="theirs")
