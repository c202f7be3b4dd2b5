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
from scipy.ndimage import maximum_filter1d

from trimatte._arrays import read_only
from trimatte._jit import njit
from trimatte._threads import available_threads
from trimatte.linalg.report import SolveReport

EXPANSION, LIKENESS = 10, 0.02
"""An unknown pixel becomes known by one at most so many pixels and so much in colour away."""
RAYS = 4
RADIUS = 5
"""Of the neighbourhoods in which pairs are shared and results smoothed."""
SPREAD = (2 * RADIUS + 1) ** 2 / (9 * np.pi)
"""Squared deviation of the smoothing weights, in pixels."""
DOUBT = 0.1
"""Colour error at which confidence has fallen to 1/e."""


def shared(image: np.ndarray, trimap: np.ndarray, report: SolveReport) -> np.ndarray:
    """Alpha (H, W) float32 of image (H, W, 3) and trimap (H, W)."""
    return shared_samples(image, trimap, report)[0]


def shared_samples(image: np.ndarray, trimap: np.ndarray, report: SolveReport) -> tuple[np.ndarray, np.ndarray]:
    """Alpha (H, W) and, for the unknown pixels, the pairs it rests on: foreground, then background (H, W, 6)."""
    image = read_only(np.asarray(image, np.float32))
    known = trimap.copy()
    unknown = trimap == 128
    report.predicted_bytes = 48 * trimap.size + 16 * report.unknown
    with ThreadPoolExecutor(available_threads()) as pool:

        def each(kernel: Callable[..., None], pixels: np.ndarray, *arrays: Any) -> None:
            list(pool.map(lambda part: kernel(part, *arrays), np.array_split(pixels, 8 * available_threads())))

        each(_expand, _places(unknown), image, trimap, known)
        pixels = _places(known == 128)
        alpha = known / np.float32(255)
        pairs = _known_pairs(image, known)
        gathered = pairs.copy()
        each(_gather, pixels, image, known, pairs, gathered)
        refined, coarse = pairs, alpha.copy()
        each(_refine, pixels, image, gathered, refined, coarse)
        final, weight = gathered, np.zeros((*trimap.shape, 2), np.float32)
        each(_smooth, pixels, image, refined, coarse, final, alpha, weight)
        doubtful = alpha.copy()
        each(_settle, pixels, image, known, coarse, final, doubtful, weight, alpha)
    report.solver = "shared samples"
    return alpha, final


def _places(mask: np.ndarray) -> np.ndarray:
    """Rows and columns (n, 2) of set pixels, row after row also in memory."""
    return np.ascontiguousarray(np.argwhere(mask))


def _known_pairs(image: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Foreground and background (H, W, 6) near unknown ones: a known pixel's own colour, else the mean of its kind."""
    pairs = np.zeros((*known.shape, 6), np.float32)
    size = 2 * RADIUS + 1
    near = maximum_filter1d(maximum_filter1d((known == 128).view(np.uint8), size, axis=0), size, axis=1) > 0
    for value, part in ((255, slice(0, 3)), (0, slice(3, 6))):
        chosen = known == value
        pairs[near, part] = image[chosen].mean(axis=0, dtype=np.float64)
        pairs[near & chosen, part] = image[near & chosen]
    return pairs


@njit()
def _expand(pixels: np.ndarray, image: np.ndarray, trimap: np.ndarray, known: np.ndarray) -> None:
    """Give an unknown pixel the value of the nearest known one of like colour, if there is any."""
    height, width = trimap.shape
    for n in range(len(pixels)):
        y, x = pixels[n]
        nearest = EXPANSION * EXPANSION + 1
        for v in range(max(0, y - EXPANSION), min(height, y + EXPANSION + 1)):
            for u in range(max(0, x - EXPANSION), min(width, x + EXPANSION + 1)):
                away = (v - y) ** 2 + (u - x) ** 2
                if trimap[v, u] != 128 and away < nearest and _apart(image[y, x], image[v, u]) <= LIKENESS**2:
                    nearest, known[y, x] = away, trimap[v, u]


@njit()
def _gather(pixels: np.ndarray, image: np.ndarray, known: np.ndarray, pairs: np.ndarray, out: np.ndarray) -> None:
    """Of the colours that rays from a pixel meet first, the foreground and background that explain it best."""
    height, width = known.shape
    found = np.empty((2, RAYS, 2), np.int64)
    costs = np.empty((2, RAYS))
    for n in range(len(pixels)):
        y, x = pixels[n]
        count = np.zeros(2, np.int64)
        turn = ((x % 8 + y % 8 * 8) * 99991 % 64 / 64.0) * 2 * np.pi  # other directions for each of 8 x 8 pixels
        for ray in range(RAYS):
            down, along = np.sin(turn + ray * 2 * np.pi / RAYS), np.cos(turn + ray * 2 * np.pi / RAYS)
            met = np.zeros(2, np.bool_)
            step = 1
            while not (met[0] and met[1]):
                v, u = int(np.floor(y + step * down)), int(np.floor(x + step * along))
                if v < 0 or u < 0 or v >= height or u >= width:
                    break
                kind = 0 if known[v, u] == 255 else 1
                if known[v, u] != 128 and not met[kind]:
                    met[kind] = True
                    found[kind, count[kind], 0], found[kind, count[kind], 1] = v, u
                    count[kind] += 1
                step += 1
        best = np.zeros(2)
        for kind in range(2):
            best[kind] = 1e9 if count[kind] else 0.0
            for i in range(count[kind]):
                costs[kind, i] = _path_cost(image, y, x, found[kind, i, 0], found[kind, i, 1])
                best[kind] = min(best[kind], costs[kind, i])
        belief = best[1] / (best[0] + best[1] + 1e-5)
        least = np.inf
        pair = pairs[y, x].copy()
        for i in range(max(1, count[0])):
            for j in range(max(1, count[1])):
                far = np.ones(2)
                pair[:] = pairs[y, x]
                if count[0]:
                    pair[:3] = image[found[0, i, 0], found[0, i, 1]]
                    far[0] = np.hypot(found[0, i, 0] - y, found[0, i, 1] - x)
                if count[1]:
                    pair[3:] = image[found[1, j, 0], found[1, j, 1]]
                    far[1] = np.hypot(found[1, j, 0] - y, found[1, j, 1] - x)
                error = 0.0
                for v in range(y - 1, y + 2):
                    for u in range(x - 1, x + 2):
                        error += _error(image[min(max(v, 0), height - 1), min(max(u, 0), width - 1)], pair)
                odds = belief + (1 - 2 * belief) * _alpha(image[y, x], pair)
                cost = error**3 * odds**2 * far[0] * far[1] ** 4
                if cost < least:
                    least = cost
                    out[y, x] = pair


@njit()
def _refine(pixels: np.ndarray, image: np.ndarray, gathered: np.ndarray, out: np.ndarray, alpha: np.ndarray) -> None:
    """The mean of the three pairs of the neighbourhood that explain a pixel best, and its alpha by it."""
    height, width = alpha.shape
    costs, places = np.empty(3), np.empty((3, 2), np.int64)
    for n in range(len(pixels)):
        y, x = pixels[n]
        costs[:] = np.inf
        for v in range(max(0, y - RADIUS), min(height, y + RADIUS + 1)):
            for u in range(max(0, x - RADIUS), min(width, x + RADIUS + 1)):
                cost = _error(image[y, x], gathered[v, u])
                worst = 0
                if costs[1] > costs[worst]:
                    worst = 1
                if costs[2] > costs[worst]:
                    worst = 2
                if cost < costs[worst]:
                    costs[worst], places[worst, 0], places[worst, 1] = cost, v, u
        for c in range(6):
            total, count = 0.0, 0
            for i in range(3):
                if costs[i] < np.inf:
                    total += gathered[places[i, 0], places[i, 1], c]
                    count += 1
            out[y, x, c] = total / count
        alpha[y, x] = _alpha(image[y, x], out[y, x])


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
        y, x = pixels[n]
        a = coarse[y, x]
        total = np.zeros(6)
        share = np.zeros(2)
        for v in range(max(0, y - RADIUS), min(height, y + RADIUS + 1)):
            for u in range(max(0, x - RADIUS), min(width, x + RADIUS + 1)):
                b = coarse[v, u]
                w = np.exp(-((v - y) ** 2 + (u - x) ** 2) / SPREAD)
                if v != y or u != x:
                    w *= abs(a - b)
                front, back = max(w * b, 1e-5), max(w * (1 - b), 1e-5)
                share[0] += front
                share[1] += back
                for c in range(3):
                    total[c] += front * refined[v, u, c]
                    total[c + 3] += back * refined[v, u, c + 3]
        for c in range(6):
            out[y, x, c] = total[c] / share[c // 3]
        alpha[y, x] = _alpha(image[y, x], out[y, x])
        weight[y, x, 0] = a * (1 - a)
        weight[y, x, 1] = a * (1 - a) * np.sqrt(_apart(out[y, x, :3], out[y, x, 3:]))


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
    """The pixel's own alpha as far as its pair is to be believed, for the rest the mean of the neighbourhood's."""
    height, width = alpha.shape
    for n in range(len(pixels)):
        y, x = pixels[n]
        apart, apart_weight, mean, mean_weight = 0.0, 1e-5, 0.0, 0.0
        for v in range(max(0, y - RADIUS), min(height, y + RADIUS + 1)):
            for u in range(max(0, x - RADIUS), min(width, x + RADIUS + 1)):
                apart += weight[v, u, 1]
                apart_weight += weight[v, u, 0]
                w = np.exp(-((v - y) ** 2 + (u - x) ** 2) / SPREAD) + (known[v, u] != 128)
                mean += w * coarse[v, u]
                mean_weight += w
        pair = final[y, x]
        trust = min(1.0, np.sqrt(_apart(pair[:3], pair[3:])) / (apart / apart_weight + 1e-5))
        trust *= np.exp(-np.sqrt(_error(image[y, x], pair)) / DOUBT)
        alpha[y, x] = trust * sharp[y, x] + (1 - trust) * mean / mean_weight


@njit()
def _alpha(colour: np.ndarray, pair: np.ndarray) -> float:
    """Position of a colour's projection on the line from background (last three) to foreground, within [0, 1]."""
    along, length = 0.0, 1e-5
    for c in range(3):
        span = pair[c] - pair[c + 3]
        along += (colour[c] - pair[c + 3]) * span
        length += span * span
    return max(0.0, min(1.0, along / length))


@njit()
def _error(colour: np.ndarray, pair: np.ndarray) -> float:
    """Squared distance of a colour from the nearest mixture of a pair."""
    a = _alpha(colour, pair)
    total = 0.0
    for c in range(3):
        total += (a * pair[c] + (1 - a) * pair[c + 3] - colour[c]) ** 2
    return total


@njit()
def _apart(one: np.ndarray, other: np.ndarray) -> float:
    """Squared distance of two colours."""
    total: float = (one[0] - other[0]) ** 2 + (one[1] - other[1]) ** 2 + (one[2] - other[2]) ** 2
    return total


@njit()
def _path_cost(image: np.ndarray, y: int, x: int, v: int, u: int) -> float:
    """Change of colour met on the straight way from one pixel to another, in at most ten steps."""
    height, width = image.shape[:2]
    steps = max(1, min(10, int(np.ceil(np.hypot(v - y, u - x)))))
    down, along = (v - y) / steps, (u - x) / steps
    total = 0.0
    for i in range(steps + 1):
        q, p = int(y + i * down), int(x + i * along)
        change = 0.0
        for c in range(3):
            across = image[q, min(p + 1, width - 1), c] - image[q, max(p - 1, 0), c]
            below = image[min(q + 1, height - 1), p, c] - image[max(q - 1, 0), p, c]
            change += (0.5 * (along * across + down * below)) ** 2
        total += np.sqrt(change)
    return total
