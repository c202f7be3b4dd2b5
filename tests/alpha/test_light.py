"""The light network alone: its edge, what it sees, its windows."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from trimatte import estimate_alpha
from trimatte.alpha import _network
from trimatte.alpha._network import distances
from trimatte.alpha.light import CHANNELS, DEVIATION, MEAN, features, follow_colours, predict, twice
from trimatte.alpha.shared import shared_pairs
from trimatte.errors import ArgumentError
from trimatte.linalg.report import SolveReport

Edge = Callable[..., tuple[np.ndarray, np.ndarray, np.ndarray]]


@pytest.fixture
def disc() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A photo of a disc with noise, its trimap and its alpha."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:96, :128]
    truth = np.clip(30 - np.hypot(y - 48, x - 64), 0, 1)
    trimap = np.where(np.abs(np.hypot(y - 48, x - 64) - 30) < 9, 128, 255 * (truth > 0.5)).astype(np.uint8)
    colours = truth[..., None] * (0.8, 0.5, 0.2) + (1 - truth[..., None]) * (0.1, 0.2, 0.4)
    return np.clip(colours + rng.normal(0, 0.02, colours.shape), 0, 1).astype(np.float32), trimap, truth


def test_an_edge_is_found(disc: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    image, trimap, truth = disc
    matte = estimate_alpha(image, trimap, method="light", strict=True)
    assert np.abs(matte.alpha - truth)[trimap == 128].mean() < 0.08
    assert "network" in matte.report.seconds


def test_solved_with_its_alpha_as_a_prior_it_errs_less(
    disc: tuple[np.ndarray, np.ndarray, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    image, trimap, truth = disc
    unknown = trimap == 128

    def error(method: str) -> float:
        matte = estimate_alpha(image, trimap, method=method, strict=True)
        np.testing.assert_array_equal(matte.alpha[~unknown], trimap[~unknown] / 255)
        return float(np.abs(matte.alpha - truth)[unknown].mean())

    small = error("light-closed-form")
    monkeypatch.setattr("trimatte.alpha.light.SMALL", image[..., 0].size - 1)
    large = error("light-closed-form")
    assert small != large
    assert max(small, large) < error("light")


def test_small_pictures_are_seen_at_twice_their_size(noisy_edge: Edge) -> None:
    image, trimap, _ = noisy_edge(21, 30)
    large, drawn = twice(image, trimap)
    assert large.shape == (42, 60, 3)
    assert large.flags.c_contiguous
    np.testing.assert_array_equal(drawn[::2, 1::2], trimap)
    blocks = large.reshape(21, 2, 30, 2, 3).mean((1, 3))
    assert np.abs(blocks - image).mean() < 0.02


def test_features_are_what_they_say(noisy_edge: Edge) -> None:
    image, trimap, _ = noisy_edge(20, 30)
    pairs = shared_pairs(image, trimap, SolveReport())
    x = features(image, trimap, pairs, distances(trimap))
    assert x.shape == (CHANNELS, 20, 30)
    np.testing.assert_allclose(x[:3] * DEVIATION + MEAN, np.moveaxis(image, -1, 0), atol=1e-6)
    y, right = np.nonzero(trimap == 255)
    place = np.argwhere(trimap == 128)[0]
    nearest = np.hypot(y - place[0], right - place[1]).min()
    np.testing.assert_allclose(x[5][tuple(place)], (min(nearest, 64) / 64) ** 0.5, rtol=1e-5)
    fore, back = pairs[tuple(place)][:3].astype(float), pairs[tuple(place)][3:].astype(float)
    shares = np.linspace(0, 1, 1001)[:, None]
    off = np.square(shares * fore + (1 - shares) * back - image[tuple(place)]).sum(1)
    assert x[7][tuple(place)] == pytest.approx(float(shares[off.argmin(), 0]), abs=2e-3)
    np.testing.assert_allclose(x[8:11, place[0], place[1]], fore - image[tuple(place)], atol=1e-6)
    known = trimap != 128
    np.testing.assert_array_equal(x[7][known], trimap[known] == 255)
    assert (x[8:, known] == 0).all()


def test_the_map_is_the_last_feature(noisy_edge: Edge) -> None:
    image, trimap, truth = noisy_edge(20, 30)
    pairs = shared_pairs(image, trimap, SolveReport())
    silent = features(image, trimap, pairs, distances(trimap))
    told = features(image, trimap, pairs, distances(trimap), truth.astype(np.float32))
    assert not silent[-1].any()
    np.testing.assert_allclose(told[-1], 2 * truth - 1, atol=1e-6)
    np.testing.assert_array_equal(told[:-1], silent[:-1])


@pytest.mark.parametrize("method", ["light", "light-closed-form"])
@pytest.mark.parametrize("passes", [1, 2])
def test_the_map_tells_what_colours_do_not(method: str, passes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wide band between two greys that differ by less than their noise; the map knows where the edge is."""
    if passes == 2:
        for name, value in (("MOST", 500), ("COARSE", 2000)):
            monkeypatch.setattr(f"trimatte.alpha.coarse_to_fine.{name}", value)
    rng = np.random.default_rng(0)
    x = np.arange(160)
    truth = np.broadcast_to(np.clip((x - 100) / 3 + 0.5, 0, 1), (96, 160)).astype(np.float32)
    image = np.clip(0.45 + 0.02 * truth[..., None] + rng.normal(0, 0.04, (96, 160, 3)), 0, 1).astype(np.float32)
    trimap = np.broadcast_to(np.where(x < 30, 0, np.where(x >= 130, 255, 128)), (96, 160)).astype(np.uint8)
    unknown = trimap == 128

    def error(**more: np.ndarray) -> float:
        matte = estimate_alpha(image, trimap, method=method, **more)
        np.testing.assert_array_equal(matte.alpha[~unknown], trimap[~unknown] / 255)
        return float(np.abs(matte.alpha - truth)[unknown].mean())

    assert error(probability=truth) < 0.98 * error()


@pytest.mark.parametrize("bad", [np.zeros((5, 7)), np.full((20, 30), 2.0), np.full((20, 30), np.nan)])
@pytest.mark.parametrize("method", ["light", "light-closed-form"])
def test_a_map_of_another_shape_or_range_is_refused(method: str, bad: np.ndarray, noisy_edge: Edge) -> None:
    image, trimap, _ = noisy_edge(20, 30)
    for drawn in (trimap, np.zeros_like(trimap)):  # of which the network does not see the second
        with pytest.raises(ArgumentError, match="probability"):
            estimate_alpha(image, drawn, method=method, probability=bad)


def test_windows_are_near_the_whole(noisy_edge: Edge, monkeypatch: pytest.MonkeyPatch) -> None:
    image, trimap, _ = noisy_edge(300, 320)
    pairs = shared_pairs(image, trimap, SolveReport())
    whole, doubt = predict(image, trimap, pairs)
    monkeypatch.setattr(_network, "WINDOW", 160)
    parts, part_doubt = predict(image, trimap, pairs)
    assert np.abs(parts - whole).mean() < 0.01
    assert doubt.shape == part_doubt.shape == trimap.shape
    assert ((doubt > 0) == (trimap == 128)).all()


def test_where_the_network_is_unsure_alpha_follows_the_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    image = rng.random((40, 50, 3)).astype(np.float32)
    truth = (0.1 + image @ np.array([0.3, 0.2, 0.4], np.float32)).astype(np.float32)
    noisy = np.clip(truth + rng.normal(0, 0.05, truth.shape), 0, 1).astype(np.float32)
    trimap = np.full(truth.shape, 128, np.uint8)
    trimap[:, :5] = 0
    sure = follow_colours(image, trimap, noisy, np.zeros(truth.shape, np.float32))
    np.testing.assert_array_equal(sure, noisy)
    unsure = follow_colours(image, trimap, noisy, np.ones(truth.shape, np.float32))
    np.testing.assert_array_equal(unsure[:, :5], noisy[:, :5])
    errors = [np.abs(alpha - truth)[:, 5:].mean() for alpha in (noisy, unsure)]
    assert errors[1] < 0.4 * errors[0]
    assert unsure.dtype == np.float32
    monkeypatch.setattr("trimatte.planes.resize.STRIP", 350)
    np.testing.assert_array_equal(follow_colours(image, trimap, noisy, np.ones(truth.shape, np.float32)), unsure)
    assert 0 <= unsure.min() <= unsure.max() <= 1
