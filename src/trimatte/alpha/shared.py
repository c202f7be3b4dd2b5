"""Shared matting (Gastal, Oliveira, "Shared sampling for real-time alpha matting", Eurographics 2010).

No system is solved. Unknown pixels like a known one close by become known. Each of the others looks along four rays
for a foreground and a background colour, takes the pair that explains it best, then the mean of the three best pairs
of its neighbourhood; the result is smoothed where it is doubtful. Constants and the departures from the paper
(weights without confidences) follow pymatting, the walk along a ray follows the paper.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from trimatte.images.arrays import UNKNOWN, read_only
from trimatte.linalg.report import SolveReport
from trimatte.planes.distance import squared_distance
from trimatte.planes.filters import dilated
from trimatte.planes.paged import paged_zeros
from trimatte.runtime.jit import njit
from trimatte.runtime.threads import available_threads

EXPANSION, LIKENESS = 10, 0.02
"""An unknown pixel becomes known by one at most so many pixels and so much in colour away."""
RAYS = 4
TILE = 64
FEW = 2000
"""Fewer pixels are no work for several threads."""
RADIUS = 5
"""Of the neighbourhoods in which pairs are shared and results smoothed."""
SPREAD = (2 * RADIUS + 1) ** 2 / (9 * np.pi)
"""Squared deviation of the smoothing weights, in pixels."""
FIT, ODDS, NEAR_FRONT, NEAR_BACK = 3, 2, 1, 4
"""Exponents of a pair's cost, with pymatting's defaults: of its colour error, its odds, and its colours' distances."""
DOUBT = 0.1
"""Colour error at which confidence has fallen to 1/e."""
SIGHT = 254
"""Distances in pixels are told apart up to this one, so that they fit in a byte."""
FAR = np.exp(-(np.arange(-RADIUS, RADIUS + 1)[:, None] ** 2 + np.arange(-RADIUS, RADIUS + 1) ** 2) / SPREAD)
"""The smoothing weights by rows and columns away."""
SCATTER = 99991
"""Odd, so that its multiples modulo 64 give each of 8 x 8 pixels a turn of its own. From column to column it is 23 of
64 and from row to row 56, 7 and 8 sixteenths of the angle between rays: neighbours look elsewhere."""
TURNS = np.arange(64)[:, None] * SCATTER % 64 / 64 * 2 * np.pi + np.arange(RAYS) * 2 * np.pi / RAYS
DIRECTIONS = np.stack([np.sin(TURNS), np.cos(TURNS)], axis=2)
"""(64, RAYS, 2): rows and columns of a step along each ray, other directions for each of 8 x 8 pixels."""


def shared(image: np.ndarray, trimap: np.ndarray, report: SolveReport) -> np.ndarray:
    """Alpha (H, W) float32 of image (H, W, 3) and trimap (H, W)."""
    return shared_samples(image, trimap, report)[0]


def shared_samples(image: np.ndarray, trimap: np.ndarray, report: SolveReport) -> tuple[np.ndarray, np.ndarray]:
    """Alpha (H, W) and, for the unknown pixels, the pairs it rests on: foreground, then background (H, W, 6)."""
    image = read_only(np.asarray(image, np.float32))
    known = trimap.copy()
    unknown = trimap == UNKNOWN
    report.predicted_bytes = 60 * trimap.size + 16 * report.unknown
    with ThreadPoolExecutor(available_threads()) as pool:

        def each(kernel: Callable[..., None], pixels: np.ndarray, *arrays: Any) -> None:
            if len(pixels) < FEW:
                kernel(pixels, *arrays)
                return
            list(pool.map(lambda part: kernel(part, *arrays), np.array_split(pixels, 8 * available_threads())))

        each(_expand, _places(unknown), image, trimap, known)
        pixels = _places(known == UNKNOWN)
        alpha = known / np.float32(255)
        near = dilated(known == UNKNOWN, RADIUS)
        pairs = _known_pairs(image, known, near)
        gathered = _copy_near(pairs, near)
        each(_gather, pixels, image, _distances(known), pairs, gathered)
        refined, coarse = pairs, alpha.copy()
        each(_refine, pixels, image, gathered, refined, coarse)
        final, weight = gathered, paged_zeros((*trimap.shape, 2))
        each(_smooth, pixels, image, refined, coarse, final, alpha, weight)
        doubtful = alpha.copy()
        each(_settle, pixels, image, known, coarse, final, doubtful, weight, alpha)
    report.solver = "shared samples"
    return alpha, final


def compile_last() -> None:
    """Compile the kernels that a picture needs last, the last one first, for the types that pictures have."""
    pixels, image = np.zeros((0, 2), np.int64), read_only(np.zeros((1, 1, 3), np.float32))
    known, alpha = np.zeros((1, 1), np.uint8), np.zeros((1, 1), np.float32)
    pairs, weight = np.zeros((1, 1, 6), np.float32), np.zeros((1, 1, 2), np.float32)
    _settle(pixels, image, known, alpha, pairs, alpha, weight, alpha)
    _smooth(pixels, image, pairs, alpha, pairs, alpha, weight)
    _refine(pixels, image, pairs, pairs, alpha)


def _places(mask: np.ndarray) -> np.ndarray:
    """Rows and columns (n, 2) of set pixels, tile by tile, since the rays of pixels nearby meet the same memory."""
    places = np.argwhere(mask)
    tiles = places // TILE
    return np.ascontiguousarray(places[np.argsort(tiles[:, 0] * mask.shape[1] + tiles[:, 1], kind="stable")])


def _known_pairs(image: np.ndarray, known: np.ndarray, near: np.ndarray) -> np.ndarray:
    """Foreground and background (H, W, 6) near unknown ones: a known pixel's own colour, else the mean of its kind."""
    # By places, since numpy is slower by a mask of two axes.
    pairs, places, colours = paged_zeros((*known.shape, 6)), np.flatnonzero(near), image.reshape(-1, 3)
    means, kinds = [], known.ravel().take(places)
    for value in (255, 0):
        chosen = colours.take(np.flatnonzero(known == value), axis=0)
        means.append(chosen.mean(axis=0, dtype=np.float64))
    pairs.reshape(-1, 6)[places] = np.concatenate(means).astype(np.float32)
    for half, value in enumerate((255, 0)):
        own = places[kinds == value]
        pairs.reshape(-1, 3)[2 * own + half] = colours.take(own, axis=0)
    return pairs


def _copy_near(pairs: np.ndarray, near: np.ndarray) -> np.ndarray:
    """A copy of known pairs, which takes no memory far from unknown pixels, where they are zero."""
    copy, places = paged_zeros(pairs.shape), np.flatnonzero(near)
    copy.reshape(-1, 6)[places] = pairs.reshape(-1, 6).take(places, axis=0)
    return copy


def _distances(known: np.ndarray) -> np.ndarray:
    """(H, W, 2) uint8: how many pixels it is at least to the nearest known foreground, and to background."""
    reach = np.empty((*known.shape, 2), np.uint8)
    for kind, value in enumerate((255, 0)):
        reach[..., kind] = np.sqrt(squared_distance(known == value, SIGHT))
    return reach


@njit()
def _expand(pixels: np.ndarray, image: np.ndarray, trimap: np.ndarray, known: np.ndarray) -> None:
    """Give an unknown pixel the value of the nearest known one of like colour, if there is any."""
    height, width = trimap.shape
    for n in range(len(pixels)):
        y, x = pixels[n, 0], pixels[n, 1]
        nearest = EXPANSION * EXPANSION + 1
        for row in range(max(0, y - EXPANSION), min(height, y + EXPANSION + 1)):
            for column in range(max(0, x - EXPANSION), min(width, x + EXPANSION + 1)):
                v, u = np.uint64(row), np.uint64(column)
                if trimap[v, u] != UNKNOWN:
                    away = (row - y) ** 2 + (column - x) ** 2
                    if away < nearest and _apart(image, y, x, v, u) <= LIKENESS**2:
                        nearest, known[y, x] = away, trimap[v, u]


@njit()
def _gather(pixels: np.ndarray, image: np.ndarray, reach: np.ndarray, pairs: np.ndarray, out: np.ndarray) -> None:
    """Of the colours that rays from a pixel meet first, the foreground and background that explain it best."""
    height, width = reach.shape[:2]
    found, costs = np.empty((2, RAYS, 2), np.int64), np.empty((2, RAYS))
    near, errors = np.empty((3, 9), np.float32), np.empty(9)
    colours, none = np.empty((2, RAYS, 3), np.float32), np.uint8(255)
    for n in range(len(pixels)):
        y, x = pixels[n, 0], pixels[n, 1]
        fronts, backs = 0, 0
        turn = x % 8 + y % 8 * 8
        for ray in range(RAYS):
            down, along = DIRECTIONS[turn, ray, 0], DIRECTIONS[turn, ray, 1]
            front, back, step = True, True, 1  # whether they are still looked for
            while front or back:
                v, u = int(np.floor(y + step * down)), int(np.floor(x + step * along))
                if v < 0 or u < 0 or v >= height or u >= width:
                    break
                to_front, to_back = reach[v, u, 0] if front else none, reach[v, u, 1] if back else none
                if to_front == 0:
                    front, found[0, fronts, 0], found[0, fronts, 1] = False, v, u
                    fronts += 1
                elif to_back == 0:
                    back, found[1, backs, 0], found[1, backs, 1] = False, v, u
                    backs += 1
                else:
                    step += max(0, min(int(to_front), int(to_back)) - 2)
                step += 1
        for kind in range(2):
            for i in range(fronts if kind == 0 else backs):
                v, u = found[kind, i, 0], found[kind, i, 1]
                costs[kind, i] = _path_cost(image, y, x, v, u)
                for c in range(3):
                    colours[kind, i, c] = image[v, u, c]
        for kind in range(2):
            if (fronts if kind == 0 else backs) == 0:
                for c in range(3):
                    colours[kind, 0, c] = pairs[y, x, 3 * kind + c]
        cheapest_front, cheapest_back = 0.0, 0.0
        for i in range(fronts):
            cheapest_front = min(costs[0, i], 1e9 if i == 0 else cheapest_front)
        for j in range(backs):
            cheapest_back = min(costs[1, j], 1e9 if j == 0 else cheapest_back)
        belief = cheapest_back / (cheapest_front + cheapest_back + 1e-5)
        for k in range(9):
            v, u = min(max(y - 1 + k // 3, 0), height - 1), min(max(x - 1 + k % 3, 0), width - 1)
            for c in range(3):
                near[c, k] = image[v, u, c]
        least = np.inf
        for i in range(max(1, fronts)):
            for j in range(max(1, backs)):
                f0, f1, f2 = colours[0, i, 0], colours[0, i, 1], colours[0, i, 2]
                b0, b1, b2 = colours[1, j, 0], colours[1, j, 1], colours[1, j, 2]
                away_front = np.hypot(found[0, i, 0] - y, found[0, i, 1] - x) if fronts else 1.0
                away_back = np.hypot(found[1, j, 0] - y, found[1, j, 1] - x) if backs else 1.0
                for k in range(9):  # apart from their sum, which has an order, so that they are found side by side
                    errors[k] = _error(near[0, k], near[1, k], near[2, k], f0, f1, f2, b0, b1, b2)
                error = 0.0
                for k in range(9):
                    error += errors[k]
                own = _alpha(near[0, 4], near[1, 4], near[2, 4], f0, f1, f2, b0, b1, b2)
                odds = belief + (1 - 2 * belief) * own
                cost = error**FIT * odds**ODDS * away_front**NEAR_FRONT * away_back**NEAR_BACK
                if cost < least:
                    least = cost
                    for c in range(3):
                        out[y, x, c], out[y, x, 3 + c] = colours[0, i, c], colours[1, j, c]


@njit()
def _refine(pixels: np.ndarray, image: np.ndarray, gathered: np.ndarray, out: np.ndarray, alpha: np.ndarray) -> None:
    """The mean of the three pairs of the neighbourhood that explain a pixel best, and its alpha by it."""
    height, width = alpha.shape
    costs, places = np.empty(3), np.empty((3, 2), np.int64)
    for n in range(len(pixels)):
        y, x = pixels[n, 0], pixels[n, 1]
        c0, c1, c2 = image[y, x, 0], image[y, x, 1], image[y, x, 2]
        costs[:] = np.inf
        worst = 0
        for v in range(max(0, y - RADIUS), min(height, y + RADIUS + 1)):
            for u in range(max(0, x - RADIUS), min(width, x + RADIUS + 1)):
                q, p = np.uint64(v), np.uint64(u)
                cost = _error(
                    c0, c1, c2, gathered[q, p, 0], gathered[q, p, 1], gathered[q, p, 2], gathered[q, p, 3],
                    gathered[q, p, 4], gathered[q, p, 5],
                )  # fmt: skip
                if cost < costs[worst]:
                    costs[worst], places[worst, 0], places[worst, 1] = cost, v, u
                    worst = 0
                    if costs[1] > costs[worst]:
                        worst = 1
                    if costs[2] > costs[worst]:
                        worst = 2
        for c in range(6):
            total, count = 0.0, 0
            for i in range(3):
                if costs[i] < np.inf:
                    total += gathered[places[i, 0], places[i, 1], c]
                    count += 1
            out[y, x, c] = total / count
        alpha[y, x] = _alpha_at(image, out, y, x)


@njit()
def _smooth(
    pixels: np.ndarray,
    image: np.ndarray,
    refined: np.ndarray,
    coarse: np.ndarray,
    out: np.ndarray,
    alpha: np.ndarray,
    weight: np.ndarray,
) -> None:
    """Pairs averaged over the neighbourhood, and the weight w = alpha (1 - alpha), w |F - B| of each pixel."""
    height, width = alpha.shape
    for n in range(len(pixels)):
        y, x = pixels[n, 0], pixels[n, 1]
        a = coarse[y, x]
        f0 = f1 = f2 = b0 = b1 = b2 = front_share = back_share = 0.0
        for v in range(max(0, y - RADIUS), min(height, y + RADIUS + 1)):
            for u in range(max(0, x - RADIUS), min(width, x + RADIUS + 1)):
                q, p = np.uint64(v), np.uint64(u)
                b = coarse[q, p]
                w = FAR[v - y + RADIUS, u - x + RADIUS]
                if v != y or u != x:
                    w *= abs(a - b)
                front, back = max(w * b, 1e-5), max(w * (1 - b), 1e-5)
                front_share += front
                back_share += back
                f0 += front * refined[q, p, 0]
                f1 += front * refined[q, p, 1]
                f2 += front * refined[q, p, 2]
                b0 += back * refined[q, p, 3]
                b1 += back * refined[q, p, 4]
                b2 += back * refined[q, p, 5]
        out[y, x, 0], out[y, x, 1], out[y, x, 2] = f0 / front_share, f1 / front_share, f2 / front_share
        out[y, x, 3], out[y, x, 4], out[y, x, 5] = b0 / back_share, b1 / back_share, b2 / back_share
        alpha[y, x] = _alpha_at(image, out, y, x)
        weight[y, x, 0] = a * (1 - a)
        weight[y, x, 1] = a * (1 - a) * _span(out, y, x)


@njit()
def _settle(
    pixels: np.ndarray,
    image: np.ndarray,
    known: np.ndarray,
    coarse: np.ndarray,
    final: np.ndarray,
    sharp: np.ndarray,
    weight: np.ndarray,
    alpha: np.ndarray,
) -> None:
    """The pixel's own alpha, weighted by its pair's confidence, and the mean of its neighbourhood for the rest."""
    height, width = alpha.shape
    for n in range(len(pixels)):
        y, x = pixels[n, 0], pixels[n, 1]
        apart, apart_weight, mean, mean_weight = 0.0, 1e-5, 0.0, 0.0
        for v in range(max(0, y - RADIUS), min(height, y + RADIUS + 1)):
            for u in range(max(0, x - RADIUS), min(width, x + RADIUS + 1)):
                q, p = np.uint64(v), np.uint64(u)
                apart += weight[q, p, 1]
                apart_weight += weight[q, p, 0]
                w = FAR[v - y + RADIUS, u - x + RADIUS] + (known[q, p] != UNKNOWN)
                mean += w * coarse[q, p]
                mean_weight += w
        trust = min(1.0, _span(final, y, x) / (apart / apart_weight + 1e-5))
        error = _error(
            image[y, x, 0], image[y, x, 1], image[y, x, 2], final[y, x, 0], final[y, x, 1], final[y, x, 2],
            final[y, x, 3], final[y, x, 4], final[y, x, 5],
        )  # fmt: skip
        trust *= np.exp(-np.sqrt(error) / DOUBT)
        alpha[y, x] = trust * sharp[y, x] + (1 - trust) * mean / mean_weight


@njit()
def _alpha(
    c0: float,
    c1: float,
    c2: float,
    f0: float,
    f1: float,
    f2: float,
    b0: float,
    b1: float,
    b2: float,
) -> float:
    """Position of a colour's projection on the line from background b to foreground f, within [0, 1]."""
    d0, d1, d2 = f0 - b0, f1 - b1, f2 - b2
    along = 0.0 + (c0 - b0) * d0 + (c1 - b1) * d1 + (c2 - b2) * d2
    length = 1e-5 + d0 * d0 + d1 * d1 + d2 * d2
    return max(0.0, min(1.0, along / length))


@njit()
def _error(
    c0: float,
    c1: float,
    c2: float,
    f0: float,
    f1: float,
    f2: float,
    b0: float,
    b1: float,
    b2: float,
) -> float:
    """Squared distance of a colour from the nearest mixture of a pair."""
    a = _alpha(c0, c1, c2, f0, f1, f2, b0, b1, b2)
    e0, e1, e2 = a * f0 + (1 - a) * b0 - c0, a * f1 + (1 - a) * b1 - c1, a * f2 + (1 - a) * b2 - c2
    return e0 * e0 + e1 * e1 + e2 * e2


@njit()
def _alpha_at(image: np.ndarray, pairs: np.ndarray, y: int, x: int) -> float:
    """Alpha of a pixel by its pair."""
    return _alpha(
        image[y, x, 0], image[y, x, 1], image[y, x, 2], pairs[y, x, 0], pairs[y, x, 1], pairs[y, x, 2],
        pairs[y, x, 3], pairs[y, x, 4], pairs[y, x, 5],
    )  # fmt: skip


@njit()
def _span(pairs: np.ndarray, y: int, x: int) -> float:
    """Distance of the two colours of a pixel's pair."""
    total = 0.0
    for c in range(3):
        total += float(pairs[y, x, c] - pairs[y, x, c + 3]) ** 2
    span: float = np.sqrt(total)
    return span


@njit()
def _apart(image: np.ndarray, y: int, x: int, v: np.uint64, u: np.uint64) -> float:
    """Squared distance of the colours of two pixels."""
    total = 0.0
    for c in range(3):
        total += float(image[y, x, c] - image[v, u, c]) ** 2
    return total


@njit()
def _path_cost(image: np.ndarray, y: int, x: int, v: int, u: int) -> float:
    """Change of colour met on the straight way from one pixel to another, in at most ten steps."""
    height, width = image.shape[:2]
    steps = max(1, min(10, int(np.ceil(np.hypot(v - y, u - x)))))
    down, along = (v - y) / steps, (u - x) / steps
    total = 0.0
    for i in range(steps + 1):
        row, column = int(y + i * down), int(x + i * along)
        q, p = np.uint64(row), np.uint64(column)
        above, below = np.uint64(max(row - 1, 0)), np.uint64(min(row + 1, height - 1))
        left, right = np.uint64(max(column - 1, 0)), np.uint64(min(column + 1, width - 1))
        change = 0.0
        for c in range(3):
            slope = along * (image[q, right, c] - image[q, left, c]) + down * (image[below, p, c] - image[above, p, c])
            change += (0.5 * slope) ** 2
        total += np.sqrt(change)
    return total
