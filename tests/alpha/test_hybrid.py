"""The hybrid: its parts against slow twins, and what it does when an ingredient fails."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import numpy as np
import pytest

from trimatte import estimate_alpha
from trimatte.alpha import _network
from trimatte.alpha import hybrid as module
from trimatte.alpha._network import distances
from trimatte.alpha.hybrid import ALPHAS, CHANNELS, METHODS, Ingredients, corrected, features, solutions
from trimatte.errors import SolverError
from trimatte.linalg.report import SolveReport

Edge = Callable[..., tuple[np.ndarray, np.ndarray, np.ndarray]]


def test_soft_edge_is_found(noisy_edge: Edge) -> None:
    image, trimap, truth = noisy_edge(60, 90)
    matte = estimate_alpha(image, trimap, method="hybrid", strict=True)
    assert np.abs(matte.alpha - truth)[trimap == 128].mean() < 0.06
    assert matte.report.fallbacks == []
    assert {*METHODS, "network", "solve"} <= set(matte.report.seconds)


def test_a_failed_ingredient_is_replaced_and_told(noisy_edge: Edge, monkeypatch: pytest.MonkeyPatch) -> None:
    image, trimap, truth = noisy_edge(40, 60)
    whole = np.abs(estimate_alpha(image, trimap, method="hybrid").alpha - truth)[trimap == 128].mean()
    monkeypatch.setattr(module, "knn", _fails)
    report = SolveReport()
    alphas = solutions(image, trimap, report).alphas
    np.testing.assert_allclose(alphas[1], (alphas[0] + alphas[2] + alphas[3]) / 3, atol=1e-6)
    assert any("knn failed" in line and "on purpose" in line for line in report.fallbacks)
    matte = estimate_alpha(image, trimap, method="hybrid")
    assert any("knn failed" in line for line in matte.report.fallbacks)
    assert np.abs(matte.alpha - truth)[trimap == 128].mean() < whole + 0.01


def test_without_any_ingredient_there_is_no_result(noisy_edge: Edge, monkeypatch: pytest.MonkeyPatch) -> None:
    image, trimap, _ = noisy_edge()
    for name in ("knn", "closed_form", "shared_samples", "predict"):
        monkeypatch.setattr(module, name, _fails)
    with pytest.raises(SolverError, match="all failed"):
        estimate_alpha(image, trimap, method="hybrid")


def _fails(*_: object, **__: object) -> None:
    raise SolverError("on purpose")


def test_features_and_distances(noisy_edge: Edge) -> None:
    image, trimap, _ = noisy_edge(20, 30)
    ingredients = solutions(image, trimap, SolveReport())
    x = features(image, trimap, ingredients, distances(trimap))
    assert x.shape == (CHANNELS, 20, 30)
    assert x.dtype == np.float32
    np.testing.assert_array_equal(x[:3], image.transpose(2, 0, 1))
    np.testing.assert_array_equal(x[3], trimap == 255)
    np.testing.assert_array_equal(x[4], trimap == 0)
    np.testing.assert_array_equal(x[ALPHAS], ingredients.alphas)
    y, column = 7, int(np.flatnonzero(trimap[7] == 128)[0])
    pair, alpha = ingredients.pairs[y, column], ingredients.alphas[2, y, column]
    np.testing.assert_allclose(x[9:15, y, column], pair - np.tile(image[y, column], 2), atol=1e-6)
    missed = np.abs(alpha * pair[:3] + (1 - alpha) * pair[3:] - image[y, column]).sum()
    np.testing.assert_allclose(x[15:17, y, column], [4 * missed, np.abs(pair[:3] - pair[3:]).sum()], atol=1e-5)
    grid = np.argwhere(np.ones_like(trimap))
    for channel, value in ((17, 255), (18, 0)):
        away = np.sqrt(((grid[:, None] - np.argwhere(trimap == value)) ** 2).sum(-1).min(1)).reshape(trimap.shape)
        np.testing.assert_allclose(x[channel], np.sqrt(np.minimum(away / 64, 1)), atol=1e-5)


def test_windows_agree_with_the_whole(noisy_edge: Edge, monkeypatch: pytest.MonkeyPatch) -> None:
    image, trimap, _ = noisy_edge(150, 400)
    ingredients = solutions(image, trimap, SolveReport())
    whole, doubt = corrected(image, trimap, ingredients)
    monkeypatch.setattr(_network, "WINDOW", 96)
    alpha, its_doubt = corrected(image, trimap, ingredients)
    np.testing.assert_allclose(alpha, whole, atol=0.02)
    np.testing.assert_allclose(its_doubt, doubt, atol=0.02)
    np.testing.assert_array_equal(alpha[trimap != 128], trimap[trimap != 128] / 255)
    assert (doubt[trimap != 128] == 0).all()


def test_views_are_turned_back(noisy_edge: Edge, monkeypatch: pytest.MonkeyPatch) -> None:
    image, trimap, _ = noisy_edge(40, 64)
    ingredients = solutions(image, trimap, SolveReport())
    x = features(image, trimap, ingredients, distances(trimap))[:, :32]
    plain = module._predicted(x, (0, 1, 2), ())
    other = x[[1, 2, 0, 3, 4, 5, 6, 7, 8, 10, 11, 9, 13, 14, 12, 15, 16, 17, 18], :, ::-1]
    turned = module._predicted(x, (1, 2, 0), (2,))
    np.testing.assert_array_equal(module._predicted(np.ascontiguousarray(other), (0, 1, 2), ())[..., ::-1], turned)
    assert np.abs(plain - turned).max() < 0.5
    together, _ = corrected(image, trimap, ingredients)
    monkeypatch.setattr(module, "KNN_PIXELS", 10)
    once, _ = corrected(image, trimap, ingredients)
    assert 0 < np.abs(together - once).max() < 0.5


def test_windows_cover_each_unknown_pixel_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_network, "WINDOW", 50)
    unknown = np.random.default_rng(0).random((130, 170)) < 0.01
    count = np.zeros(unknown.shape, int)
    for seen, inner, part in _network.windows(unknown, 16):
        count[part] += 1
        np.testing.assert_array_equal(unknown[seen][inner], unknown[part])
        assert seen[0].start % module.MULTIPLE == seen[1].start % module.MULTIPLE == 0
    assert (count[unknown] == 1).all()
    assert count.max() == 1


def test_knn_sees_a_smaller_picture_of_a_large_band(noisy_edge: Edge) -> None:
    image, trimap, truth = noisy_edge(65, 99)
    alpha = solutions(image, trimap, SolveReport(), knn_pixels=600).alphas[1]
    assert np.abs(alpha - truth)[trimap == 128].mean() < 0.08


def test_the_light_network_sees_a_large_picture_reduced(noisy_edge: Edge) -> None:
    image, trimap, truth = noisy_edge(65, 99)
    whole, coarse = (solutions(image, trimap, SolveReport(), light_pixels=n).alphas[3] for n in (65 * 99, 2000))
    assert np.abs(whole - coarse).max() > 0.01
    assert np.abs(coarse - truth)[trimap == 128].mean() < 0.15


def test_a_crop_is_treated_as_within_its_picture(noisy_edge: Edge) -> None:
    image, trimap, _ = noisy_edge(40, 60)
    whole, crop = (solutions(image, trimap, SolveReport(), span=span).alphas for span in (1.0, 0.25))
    wanted = estimate_alpha(image, trimap, method="knn", accuracy="fast", distance_weights=(0.5, 0.025)).alpha
    np.testing.assert_allclose(crop[1], wanted, atol=1e-6)
    assert np.abs(crop[1] - whole[1]).max() > 0.01


def test_ingredients_are_not_changed(noisy_edge: Edge) -> None:
    image, trimap, _ = noisy_edge(40, 60)
    made = solutions(image, trimap, SolveReport())
    kept = Ingredients(made.alphas.copy(), made.pairs.copy())
    corrected(image, trimap, made)
    np.testing.assert_array_equal(made.alphas, kept.alphas)
    np.testing.assert_array_equal(made.pairs, kept.pairs)


def test_it_runs_without_torch() -> None:
    code = (
        "import sys, numpy as np, trimatte\n"
        "sys.modules['torch'] = None\n"
        "trimap = np.repeat(np.array([[0, 128, 255]], np.uint8), 8, 1).repeat(20, 0)\n"
        "image = np.random.default_rng(0).random((20, 24, 3), np.float32)\n"
        "trimatte.estimate_alpha(image, trimap, method='hybrid')\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
