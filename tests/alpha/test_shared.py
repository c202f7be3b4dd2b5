"""Shared matting: quality beside pymatting's, and pictures at the border of what makes sense."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from trimatte import estimate_alpha
from trimatte.alpha import shared
from trimatte.images.arrays import read_only
from trimatte.linalg.report import SolveReport
from trimatte.planes.filters import dilated

Edge = Callable[..., tuple[np.ndarray, np.ndarray, np.ndarray]]
Scene = tuple[np.ndarray, np.ndarray, list[tuple[int, int]]]


@pytest.mark.parametrize("seed", [0, 1])
def test_agrees_with_pymatting(seed: int, noisy_edge: Edge) -> None:
    image, trimap, truth = noisy_edge(60, 90, seed)
    unknown = trimap == 128
    ours, theirs = (estimate_alpha(image, trimap, method=m).alpha[unknown] for m in ("shared", "pymatting:sm"))
    assert np.mean(np.abs(ours - theirs)) < 0.01
    assert np.mean((ours - truth[unknown]) ** 2) <= 1.05 * np.mean((theirs - truth[unknown]) ** 2) + 1e-5


def test_two_colours_are_told_apart_exactly() -> None:
    image = np.zeros((20, 40, 3), np.float32)
    image[:, 20:] = [1, 0.5, 0.25]
    trimap = np.full((20, 40), 128, np.uint8)
    trimap[:, :3], trimap[:, 37:] = 0, 255
    alpha = estimate_alpha(image, trimap, method="shared").alpha
    np.testing.assert_allclose(alpha, np.arange(40) >= 20 * np.ones((20, 1)), atol=1e-3)


def test_odd_pictures_have_a_defined_result(odd_picture: tuple[np.ndarray, np.ndarray]) -> None:
    image, trimap = odd_picture
    alpha = estimate_alpha(image, trimap, method="shared", strict=True).alpha
    assert np.isfinite(alpha).all()
    assert alpha.min() >= 0
    assert alpha.max() <= 1
    np.testing.assert_array_equal(alpha[trimap != 128], trimap[trimap != 128] / 255)


def test_rays_that_skip_what_is_empty_meet_the_same_pixels(noisy_edge: Edge, monkeypatch: pytest.MonkeyPatch) -> None:
    image, trimap, _ = noisy_edge(150, 200, 0)
    skipping = estimate_alpha(image, trimap, method="shared").alpha
    monkeypatch.setattr("trimatte.alpha.shared.SIGHT", 1)
    np.testing.assert_array_equal(estimate_alpha(image, trimap, method="shared").alpha, skipping)


@pytest.fixture
def scene(noisy_edge: Edge) -> Scene:
    """A picture wider than some tiles, its trimap, and a few of the unknown pixels, those at the border among them."""
    image, trimap, _ = noisy_edge(45, 53, 3)
    image = np.clip(image + np.random.default_rng(0).normal(0, 0.1, image.shape), 0, 1).astype(np.float32)
    unknown = np.argwhere(trimap == 128)
    return read_only(image), trimap, [(int(y), int(x)) for y, x in (*unknown[:40], *unknown[40:-40:9], *unknown[-40:])]


def around(y: int, x: int) -> tuple[slice, slice]:
    """A pixel's neighbourhood, as far as it is within the picture."""
    rows, columns = (slice(max(0, at - shared.RADIUS), at + shared.RADIUS + 1) for at in (y, x))
    return rows, columns


def explained(colours: np.ndarray, pairs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Squared distance of colours from the nearest mixture of pairs (..., 6), and the foreground's share in that."""
    fore, back = pairs[..., :3].astype(float), pairs[..., 3:].astype(float)
    along = ((colours - back) * (fore - back)).sum(-1) / (1e-5 + np.square(fore - back).sum(-1))
    share = np.clip(along, 0, 1)[..., None]
    return np.square(share * fore + (1 - share) * back - colours).sum(-1), share[..., 0]


def random_pairs(trimap: np.ndarray, channels: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Pairs about unknown pixels and nothing elsewhere; what is near; the tiles of that, and their rows."""
    near = dilated(trimap == 128, shared.RADIUS)
    pairs = (np.random.default_rng(1).random((*trimap.shape, channels)) * near[..., None]).astype(np.float32)
    return pairs, near, shared._tiles(shared._rows(near)), shared._rows(trimap == 128)


def test_expand_takes_the_nearest_of_like_colour(scene: Scene) -> None:
    image, trimap, some = scene
    flat = read_only(image / np.float32(6))
    known = trimap.copy()
    shared._expand(0, len(some), np.array(some), flat, trimap, known)
    rows, columns = np.mgrid[: trimap.shape[0], : trimap.shape[1]]
    for y, x in some:
        away = (rows - y) ** 2 + (columns - x) ** 2
        like = np.square(flat - flat[y, x], dtype=np.float64).sum(-1) <= shared.LIKENESS**2
        away[~like | (trimap == 128) | (away > shared.EXPANSION**2)] = 10**6
        assert known[y, x] == (trimap.flat[away.argmin()] if away.min() < 10**6 else 128)
    assert {128, 0, 255} == {int(known[place]) for place in some}


def test_gather_takes_the_cheapest_pair_that_rays_meet(scene: Scene) -> None:
    image, trimap, some = scene
    height, width = trimap.shape
    _, near, tiles, _ = random_pairs(trimap, 6)
    changes, out = np.empty(image.shape, np.float32), np.zeros((height, width, 6), np.float32)
    shared._change(0, height, image, changes)
    means, reach = shared._means(image, trimap), shared._distances(trimap)
    shared._gather(0, len(tiles), tiles, image, trimap, near, reach, changes, means, out)
    padded = np.pad(image.astype(float), [(1, 1), (1, 1), (0, 0)], mode="edge")
    along, down = padded[1:-1, 2:] - padded[1:-1, :-2], padded[2:, 1:-1] - padded[:-2, 1:-1]

    def path_cost(y: int, x: int, v: int, u: int) -> float:
        steps = max(1, min(10, int(np.ceil(np.hypot(v - y, u - x)))))
        total: float = 0.0
        for i in range(steps + 1):
            q, p = (y * steps + i * (v - y)) // steps, (x * steps + i * (u - x)) // steps
            total += float(np.linalg.norm((u - x) / steps * along[q, p] + (v - y) / steps * down[q, p])) / 2
        return total

    for y, x in some:
        met: list[list[tuple[int, int]]] = [[], []]
        for way in shared.DIRECTIONS[x % 8 + y % 8 * 8]:
            places = (np.array([y, x]) * 2**32 + np.arange(1, 100)[:, None] * way) // 2**32
            for kind, value in enumerate((255, 0)):
                for v, u in places[((places >= 0) & (places < trimap.shape)).all(axis=1)]:
                    if trimap[v, u] == value:
                        met[kind].append((int(v), int(u)))
                        break
        costs = [min((path_cost(y, x, v, u) for v, u in places), default=0.0) for places in met]
        belief = costs[1] / (sum(costs) + 1e-5)
        found = []
        for i in range(max(1, len(met[0]))):
            for j in range(max(1, len(met[1]))):
                chosen = [met[kind][k] if met[kind] else None for kind, k in enumerate((i, j))]
                pair = np.concatenate([image[place] if place else means[kind] for kind, place in enumerate(chosen)])
                away = [np.hypot(place[0] - y, place[1] - x) if place else 1.0 for place in chosen]
                error = explained(padded[y : y + 3, x : x + 3], np.broadcast_to(pair, (3, 3, 6)))[0].sum()
                odds = belief + (1 - 2 * belief) * explained(image[y, x], pair)[1]
                found.append((error**3 * odds**2 * away[0] * away[1] ** 4, pair))
        found.sort(key=lambda one: one[0])
        cost = min(cost for cost, pair in found if np.array_equal(pair, out[y, x]))
        assert cost <= found[0][0] * 1.001
    for y, x in np.argwhere(near & (trimap != 128)):
        own, other = (0, 3) if trimap[y, x] else (3, 0)
        np.testing.assert_array_equal(out[y, x, own : own + 3], image[y, x])
        np.testing.assert_array_equal(out[y, x, other : other + 3], means[other // 3])


def test_refine_is_the_mean_of_the_three_best(scene: Scene) -> None:
    image, trimap, some = scene
    pairs, near, tiles, rows = random_pairs(trimap, 6)
    out = np.zeros((*trimap.shape, 7), np.float32)
    shared._refine(0, len(tiles), tiles, rows, image, trimap, near, pairs, out)
    for y, x in some:
        others = pairs[around(y, x)].reshape(-1, 6)
        best = np.argsort(explained(image[y, x], others)[0])[:3]
        np.testing.assert_allclose(out[y, x, :6], others[best].mean(axis=0), rtol=1e-4)
        assert out[y, x, 6] == pytest.approx(float(explained(image[y, x], out[y, x, :6])[1]), abs=1e-5)
    known = near & (trimap != 128)
    np.testing.assert_array_equal(out[known][:, :6], pairs[known])
    np.testing.assert_array_equal(out[known][:, 6], trimap[known] / 255)


def test_smooth_averages_as_the_paper_does(scene: Scene) -> None:
    _, trimap, some = scene
    refined, _, tiles, rows = random_pairs(trimap, 7)
    out = np.zeros((*trimap.shape, 6), np.float32)
    shared._smooth(0, len(tiles), tiles, rows, trimap, refined, out)
    for y, x in some:
        others = refined[around(y, x)].astype(float)
        a, b = float(refined[y, x, 6]), others[..., 6]
        weights = far(y, x, trimap) * np.abs(a - b)
        weights[min(y, shared.RADIUS), min(x, shared.RADIUS)] = 1
        for half, share in enumerate((b, 1 - b)):
            own = np.maximum(weights * share, 1e-5)[..., None]
            mean = (own * others[..., 3 * half : 3 * half + 3]).sum((0, 1)) / own.sum()
            np.testing.assert_allclose(out[y, x, 3 * half : 3 * half + 3], mean, rtol=1e-4)


def test_settle_weighs_by_confidence(scene: Scene) -> None:
    image, trimap, some = scene
    refined, _, tiles, rows = random_pairs(trimap, 7)
    pairs, alpha = refined[..., 5::-1].copy(), np.zeros(trimap.shape, np.float32)
    shared._settle(0, len(tiles), tiles, rows, image, trimap, refined, pairs, alpha)
    spans = np.linalg.norm(pairs[..., :3] - pairs[..., 3:], axis=-1)
    for y, x in some:
        part = around(y, x)
        a = refined[part][..., 6].astype(float)
        weights = far(y, x, trimap) + (trimap[part] != 128)
        apart = (a * (1 - a) * spans[part]).sum() / (1e-5 + (a * (1 - a)).sum())
        error, own = explained(image[y, x], pairs[y, x])
        trust = min(1, spans[y, x] / (apart + 1e-5)) * np.exp(-np.sqrt(error) / shared.DOUBT)
        expected = trust * own + (1 - trust) * (weights * a).sum() / weights.sum()
        assert alpha[y, x] == pytest.approx(float(expected), abs=1e-5)


def far(y: int, x: int, plane: np.ndarray) -> np.ndarray:
    """The smoothing weights of a pixel's neighbourhood."""
    rows, columns = np.mgrid[: plane.shape[0], : plane.shape[1]][(slice(None), *around(y, x))]
    return np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / shared.SPREAD)


def test_the_pairs_alone_are_the_same(scene: Scene) -> None:
    image, trimap, _ = scene
    _, pairs = shared.shared_samples(image, trimap, SolveReport())
    np.testing.assert_array_equal(shared.shared_pairs(image, trimap, SolveReport()), pairs)
