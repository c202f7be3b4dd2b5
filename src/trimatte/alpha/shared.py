"""Shared matting (Gastal, Oliveira, "Shared sampling for real-time alpha matting", Eurographics 2010).

No system is solved. Unknown pixels like a known one close by become known. Each of the others looks along four rays
for a foreground and a background colour, takes the pair that explains it best, then the mean of the three best pairs
of its neighbourhood; the result is smoothed where it is doubtful. Constants and the departures from the paper
(weights without confidences) follow pymatting, the walk along a ray follows the paper.
"""

from __future__ import annotations

import numpy as np

from trimatte.images.arrays import UNKNOWN, read_only
from trimatte.linalg.report import SolveReport
from trimatte.planes.distance import squared_distance
from trimatte.planes.filters import dilated
from trimatte.planes.paged import paged_zeros
from trimatte.runtime.jit import njit, side_by_side

EXPANSION, LIKENESS = 10, 0.02
"""An unknown pixel becomes known by one at most so many pixels and so much in colour away."""
RAYS = 4
LANES = 16
"""Of one vector: pixels of a row that are done together, or the pairs of what a pixel's rays meet."""
ROWS = 32
"""Of a tile, LANES wide. It and what is near are laid out as planes first: lanes then read one stretch of memory."""
FEW = 500
"""Fewer pixels are no work for another thread."""
RADIUS = 5
"""Of the neighbourhoods in which pairs are shared and results smoothed."""
SIDE = 2 * RADIUS + 1
SPREAD = SIDE**2 / (9 * np.pi)
"""Squared deviation of the smoothing weights, in pixels."""
FIT, ODDS, NEAR_FRONT, NEAR_BACK = 3, 2, 1, 4
"""Exponents of a pair's cost, with pymatting's defaults: of its colour error, its odds, and its colours' distances."""
DOUBT = 0.1
"""Colour error at which confidence has fallen to 1/e."""
SIGHT = 254
"""Distances in pixels are told apart up to this one, so that they fit in a byte."""
AWAY = np.arange(-RADIUS, RADIUS + 1) ** 2
FAR = np.exp(-(AWAY[:, None] + AWAY) / SPREAD).astype(np.float32)
"""The smoothing weights by rows and columns away."""
SCATTER = 99991
"""Odd, so that its multiples modulo 64 give each of 8 x 8 pixels a turn of its own. From column to column it is 23 of
64 and from row to row 56, 7 and 8 sixteenths of the angle between rays: neighbours look elsewhere."""
TURNS = np.arange(64)[:, None] * SCATTER % 64 / 64 * 2 * np.pi + np.arange(RAYS) * 2 * np.pi / RAYS
POINT = 32
"""Binary digits behind the point of places on a way. As whole numbers they take fewer cycles than as floats."""
NUDGE = 2**10
"""Added to such places, so that rounded steps do not end just below a whole number."""
DIRECTIONS = np.rint(np.stack([np.sin(TURNS), np.cos(TURNS)], axis=2) * 2**POINT).astype(np.int64)
"""(64, RAYS, 2): rows and columns of a step along each ray, other directions for each of 8 x 8 pixels."""
_SQUARE = np.argwhere(np.ones((2 * EXPANSION + 1, 2 * EXPANSION + 1))) - EXPANSION
_ORDER = np.argsort(np.square(_SQUARE).sum(axis=1), kind="stable")
NEAREST_FIRST = _SQUARE[_ORDER[1 : np.count_nonzero(np.square(_SQUARE).sum(axis=1) <= EXPANSION**2)]]
"""Rows and columns (n, 2) to what is at most EXPANSION away, the nearest first."""
ACROSS = LANES + 2 * RADIUS
AREA = ACROSS * (ROWS + 2 * RADIUS)
"""Pixels in a tile and RADIUS about it."""
PLANE = tuple(np.uint64(number * AREA) for number in range(9))
"""Where planes of them begin. Unsigned, for signed indices are tested for being negative wherever they are used."""
ZERO, ONE, TINY = np.float32(0), np.float32(1), np.float32(1e-5)
NOWHERE = np.float32(1e9)
"""A colour that nothing is like."""
NOTHING = NOWHERE.view(np.int32)
"""The bits of a cost that only pairs of what lies outside the picture have."""


def shared(image: np.ndarray, trimap: np.ndarray, report: SolveReport) -> np.ndarray:
    """Alpha (H, W) float32 of image (H, W, 3) and trimap (H, W)."""
    return shared_samples(image, trimap, report)[0]


def shared_samples(image: np.ndarray, trimap: np.ndarray, report: SolveReport) -> tuple[np.ndarray, np.ndarray]:
    """Alpha (H, W) and, for the unknown pixels, the pairs it rests on: foreground, then background (H, W, 6)."""
    image = read_only(np.asarray(image, np.float32))
    known, refined, pairs = _sampled(image, trimap, report)
    alpha, rows = known / np.float32(255), _rows(known == UNKNOWN)
    tiles = _tiles(rows)
    side_by_side(_settle, len(tiles), tiles, rows, image, known, refined, pairs, alpha)
    return alpha, pairs


def shared_pairs(image: np.ndarray, trimap: np.ndarray, report: SolveReport) -> np.ndarray:
    """The pairs (H, W, 6) of `shared_samples` alone."""
    return _sampled(read_only(np.asarray(image, np.float32)), trimap, report)[2]


def _sampled(image: np.ndarray, trimap: np.ndarray, report: SolveReport) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The trimap with more known; the pair and alpha of unknown pixels and those near (H, W, 7); smoothed pairs."""
    report.predicted_bytes = 60 * trimap.size + 16 * report.unknown
    report.solver = "shared samples"
    known = trimap.copy()
    pixels = _places((trimap == UNKNOWN) & dilated(trimap != UNKNOWN, EXPANSION))
    side_by_side(_expand, len(pixels), pixels, image, read_only(trimap), known, least=FEW)
    near, rows, means = dilated(known == UNKNOWN, RADIUS), _rows(known == UNKNOWN), _means(image, known)
    gathered, tiles = paged_zeros((*known.shape, 6)), _tiles(_rows(near))
    reach = _distances(known)
    changes = np.empty(image.shape, np.float32)
    side_by_side(_change, len(image), image, changes)
    side_by_side(_gather, len(tiles), tiles, image, known, near, reach, changes, means, gathered)
    del changes, reach
    refined = paged_zeros((*known.shape, 7))
    side_by_side(_refine, len(tiles), tiles, rows, image, known, near, gathered, refined)
    side_by_side(_smooth, len(tiles), tiles, rows, known, refined, gathered)
    return known, refined, gathered


def compile_last() -> None:
    """Compile the kernels that a picture needs last, the last one first, for the types that pictures have."""
    tiles, image = np.zeros((0, 2), np.int64), read_only(np.zeros((1, 1, 3), np.float32))
    known, near = np.zeros((1, 1), np.uint8), np.zeros((1, 1), np.bool_)
    pairs = np.zeros((1, 1, 6), np.float32)
    _smooth(0, 0, tiles, near, known, pairs, pairs)
    _refine(0, 0, tiles, near, image, known, near, pairs, pairs)


def _rows(mask: np.ndarray) -> np.ndarray:
    """Which rows of tiles hold set pixels: (H, W / LANES, rounded up) bool."""
    return np.logical_or.reduceat(mask, np.arange(0, mask.shape[1], LANES), axis=1)


def _tiles(rows: np.ndarray) -> np.ndarray:
    """First row and column (n, 2) of the tiles that have such rows."""
    return _places(np.logical_or.reduceat(rows, np.arange(0, len(rows), ROWS), axis=0)) * (ROWS, LANES)


def _places(mask: np.ndarray) -> np.ndarray:
    """Row and column (n, 2) of set pixels, in the order of memory for which kernels are compiled."""
    return np.ascontiguousarray(np.argwhere(mask))


def _means(image: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Mean colours (2, 3) of known foreground and background."""
    # By places and channels, since numpy is slower by a mask of two axes and along a long first one.
    colours = image.reshape(-1, 3)
    chosen = [colours.take(np.flatnonzero(known == value), axis=0).T for value in (255, 0)]
    return np.array([[channel.mean(dtype=np.float64) for channel in own] for own in chosen], np.float32)


def _distances(known: np.ndarray) -> np.ndarray:
    """(2, H, W) uint8: how many pixels it is at least to the nearest known foreground, and to background."""
    reach = np.empty((2, *known.shape), np.uint8)
    for kind, value in enumerate((255, 0)):
        reach[kind] = np.sqrt(squared_distance(known == value, SIGHT))
    return reach


@njit()
def _expand(
    first: int, last: int, pixels: np.ndarray, image: np.ndarray, trimap: np.ndarray, known: np.ndarray
) -> None:
    """Give an unknown pixel the value of the nearest known one of like colour, if there is any."""
    height, width = np.uint64(trimap.shape[0]), np.uint64(trimap.shape[1])
    likeness = np.float32(LIKENESS**2)
    for n in range(first, last):
        y, x = pixels[n, 0], pixels[n, 1]
        c0, c1, c2 = image[y, x, 0], image[y, x, 1], image[y, x, 2]
        for i in range(len(NEAREST_FIRST)):
            v, u = np.uint64(y + NEAREST_FIRST[i, 0]), np.uint64(x + NEAREST_FIRST[i, 1])  # vast where negative
            if v < height and u < width and trimap[v, u] != UNKNOWN:
                d0, d1, d2 = c0 - image[v, u, 0], c1 - image[v, u, 1], c2 - image[v, u, 2]
                if d0 * d0 + d1 * d1 + d2 * d2 <= likeness:
                    known[y, x] = trimap[v, u]
                    break


@njit()
def _change(first: int, last: int, image: np.ndarray, out: np.ndarray) -> None:
    """How colours change about each pixel: sums over them of the slopes' squares, by columns, both, and by rows."""
    height, width = image.shape[:2]
    for y in range(first, last):
        above, below = max(y - 1, 0), min(y + 1, height - 1)
        for x in range(width):
            left, right = max(x - 1, 0), min(x + 1, width - 1)
            xx = xy = yy = ZERO
            for c in range(3):
                along, down = image[y, right, c] - image[y, left, c], image[below, x, c] - image[above, x, c]
                xx, xy, yy = xx + along * along, xy + along * down, yy + down * down
            out[y, x, 0], out[y, x, 1], out[y, x, 2] = xx, xy, yy


@njit()
def _gather(
    first: int,
    last: int,
    tiles: np.ndarray,
    image: np.ndarray,
    known: np.ndarray,
    near: np.ndarray,
    reach: np.ndarray,
    changes: np.ndarray,
    means: np.ndarray,
    out: np.ndarray,
) -> None:
    """Of the colours that rays from a pixel meet first, the foreground and background that explain it best.

    A known pixel near has its own colour and the mean of the other kind.
    """
    height, width = known.shape
    counts, cheapest, away = np.empty(2, np.int64), np.empty(2), np.empty((2, RAYS))
    colours, errors, own = np.empty((2, RAYS, 3), np.float32), np.empty(LANES, np.float32), np.empty(LANES, np.float32)
    pairs = np.empty(7 * LANES, np.float32)
    for n in range(first, last):
        top, left = tiles[n, 0], tiles[n, 1]
        for y in range(top, min(top + ROWS, height)):
            for x in range(left, min(left + LANES, width)):
                if not near[y, x]:
                    continue
                for kind in range(2):
                    for c in range(3):
                        colours[kind, 0, c] = means[kind, c]
                if known[y, x] != UNKNOWN:
                    for c in range(3):
                        colours[0 if known[y, x] else 1, 0, c] = image[y, x, c]
                        out[y, x, c], out[y, x, 3 + c] = colours[0, 0, c], colours[1, 0, c]
                    continue
                for kind in range(2):
                    count, least = 0, np.inf
                    for ray in range(RAYS):
                        place = _meet(reach, kind, y, x, ray)
                        if place >= 0:
                            v, u = place // width, place % width
                            away[kind, count] = np.sqrt((v - y) ** 2 + (u - x) ** 2)
                            least = min(least, _path_cost(changes, y, x, v, u, away[kind, count]))
                            for c in range(3):
                                colours[kind, count, c] = image[v, u, c]
                            count += 1
                    counts[kind], cheapest[kind] = count, least
                    if count == 0:
                        counts[kind], cheapest[kind], away[kind, 0] = 1, 0.0, 1.0
                belief = cheapest[1] / (cheapest[0] + cheapest[1] + 1e-5)
                for lane in range(LANES):
                    i, j = min(lane // RAYS, counts[0] - 1), min(lane % RAYS, counts[1] - 1)
                    length = TINY
                    for c in range(3):
                        line = colours[0, i, c] - colours[1, j, c]
                        pairs[c * LANES + lane], pairs[(3 + c) * LANES + lane] = line, colours[1, j, c]
                        length += line * line
                    pairs[6 * LANES + lane], errors[lane] = ONE / length, ZERO
                for k in range(9):
                    v, u = min(max(y - 1 + k // 3, 0), height - 1), min(max(x - 1 + k % 3, 0), width - 1)
                    c0, c1, c2 = image[v, u, 0], image[v, u, 1], image[v, u, 2]
                    for lane in range(LANES):
                        d0, d1, d2 = pairs[lane], pairs[LANES + lane], pairs[2 * LANES + lane]
                        e0, e1, e2 = (
                            c0 - pairs[3 * LANES + lane],
                            c1 - pairs[4 * LANES + lane],
                            c2 - pairs[5 * LANES + lane],
                        )
                        a = min(max((e0 * d0 + e1 * d1 + e2 * d2) * pairs[6 * LANES + lane], ZERO), ONE)
                        e0, e1, e2 = e0 - a * d0, e1 - a * d1, e2 - a * d2
                        errors[lane] += e0 * e0 + e1 * e1 + e2 * e2
                        own[lane] = a if k == 4 else own[lane]
                least, front, back = np.inf, 0, 0
                for i in range(counts[0]):
                    for j in range(counts[1]):
                        odds = belief + (1 - 2 * belief) * own[RAYS * i + j]
                        cost = float(errors[RAYS * i + j]) ** FIT * odds**ODDS
                        cost *= away[0, i] ** NEAR_FRONT * away[1, j] ** NEAR_BACK
                        if cost < least:
                            least, front, back = cost, i, j
                for c in range(3):
                    out[y, x, c], out[y, x, 3 + c] = colours[0, front, c], colours[1, back, c]


@njit()
def _meet(reach: np.ndarray, kind: int, y: int, x: int, ray: int) -> int:
    """The place of the known pixel of a kind that a ray from a pixel meets first, y * width + x, or -1."""
    height, width = reach.shape[1:]
    down, along = DIRECTIONS[x % 8 + y % 8 * 8, ray, 0], DIRECTIONS[x % 8 + y % 8 * 8, ray, 1]
    row, column, step = y << POINT, x << POINT, 1
    while True:
        v, u = (row + step * down) >> POINT, (column + step * along) >> POINT
        if v < 0 or u < 0 or v >= height or u >= width:
            return -1
        far = int(reach[kind, np.uint64(v), np.uint64(u)])
        if far == 0:
            place: int = v * width + u
            return place
        step += far - 1 if far > 2 else 1


@njit()
def _refine(
    first: int,
    last: int,
    tiles: np.ndarray,
    rows: np.ndarray,
    image: np.ndarray,
    known: np.ndarray,
    near: np.ndarray,
    gathered: np.ndarray,
    out: np.ndarray,
) -> None:
    """The mean of the three pairs of the neighbourhood that explain a pixel best, and its alpha by it (H, W, 7)."""
    height, width = known.shape
    planes, colours = np.empty(7 * AREA, np.float32), np.empty(3 * LANES, np.float32)
    costs, best = np.empty(LANES, np.float32), np.empty(3 * LANES, np.int32)
    bits, number_apart = costs.view(np.int32), np.int32(~127)  # numbers of neighbours take the lowest bits
    for n in range(first, last):
        top, left = tiles[n, 0], tiles[n, 1]
        for k in range(AREA):
            v, u = top - RADIUS + k // ACROSS, left - RADIUS + k % ACROSS
            inside, length = 0 <= v < height and 0 <= u < width, TINY
            for c in range(3):
                b = gathered[v, u, 3 + c] if inside else NOWHERE
                d = gathered[v, u, c] - b if inside else ZERO
                planes[c * AREA + k], planes[(3 + c) * AREA + k] = d, b
                length += d * d
            planes[6 * AREA + k] = ONE / length
        for y in range(top, min(top + ROWS, height)):
            for x in range(left, min(left + LANES, width)):
                for c in range(3):
                    colours[c * LANES + x - left] = image[y, x, c]
                if near[y, x]:
                    for c in range(6):
                        out[y, x, c] = gathered[y, x, c]
                    out[y, x, 6] = known[y, x] != 0
            if not rows[y, left // LANES]:
                continue
            for k in range(3 * LANES):
                best[k] = NOTHING
            for number in range(SIDE * SIDE):
                start = np.uint64((y - top + number // SIDE) * ACROSS + number % SIDE)
                for lane in range(LANES):
                    q = start + np.uint64(lane)
                    d0, d1, d2 = planes[q], planes[q + PLANE[1]], planes[q + PLANE[2]]
                    e0, e1 = colours[lane] - planes[q + PLANE[3]], colours[LANES + lane] - planes[q + PLANE[4]]
                    e2 = colours[2 * LANES + lane] - planes[q + PLANE[5]]
                    a = min(max((e0 * d0 + e1 * d1 + e2 * d2) * planes[q + PLANE[6]], ZERO), ONE)
                    e0, e1, e2 = e0 - a * d0, e1 - a * d1, e2 - a * d2
                    costs[lane] = e0 * e0 + e1 * e1 + e2 * e2
                for lane in range(LANES):
                    key = bits[lane] & number_apart | np.int32(number)
                    b0, b1, b2 = best[lane], best[LANES + lane], best[2 * LANES + lane]
                    best[lane] = min(b0, key)
                    key = max(b0, key)
                    best[LANES + lane] = min(b1, key)
                    best[2 * LANES + lane] = min(b2, max(b1, key))
            for x in range(left, min(left + LANES, width)):
                if known[y, x] != UNKNOWN:
                    continue
                for c in range(6):
                    total, count = ZERO, 0
                    for i in range(3):
                        key = best[i * LANES + x - left]
                        if key < NOTHING:
                            number = key & 127
                            total += gathered[y - RADIUS + number // SIDE, x - RADIUS + number % SIDE, c]
                            count += 1
                    out[y, x, c] = total / count
                out[y, x, 6] = _alpha(image, out, y, x)


@njit(fastmath=True)
def _smooth(
    first: int,
    last: int,
    tiles: np.ndarray,
    rows: np.ndarray,
    known: np.ndarray,
    refined: np.ndarray,
    out: np.ndarray,
) -> None:
    """Pairs averaged over the neighbourhood."""
    height, width = known.shape
    planes, sums = np.empty(9 * AREA, np.float32), np.empty(8 * LANES, np.float32)
    for n in range(first, last):
        top, left = tiles[n, 0], tiles[n, 1]
        for k in range(AREA):
            v, u = top - RADIUS + k // ACROSS, left - RADIUS + k % ACROSS
            inside = 0 <= v < height and 0 <= u < width
            for c in range(7):
                planes[c * AREA + k] = refined[v, u, c] if inside else ZERO
            planes[7 * AREA + k] = ONE - planes[6 * AREA + k] if inside else ZERO
            planes[8 * AREA + k] = TINY if inside else ZERO
        for y in range(top, min(top + ROWS, height)):
            if not rows[y, left // LANES]:
                continue
            for k in range(8 * LANES):
                sums[k] = 0
            centre = np.uint64((y - top + RADIUS) * ACROSS + RADIUS) + PLANE[6]
            for number in range(SIDE * SIDE):
                start = np.uint64((y - top + number // SIDE) * ACROSS + number % SIDE)
                far, itself = FAR[number // SIDE, number % SIDE], ONE if number == SIDE * SIDE // 2 else ZERO
                for lane in range(LANES):
                    q = start + np.uint64(lane)
                    b, least = planes[q + PLANE[6]], planes[q + PLANE[8]]
                    w = far * abs(planes[centre + np.uint64(lane)] - b) + itself
                    front, back = max(w * b, least), max(w * planes[q + PLANE[7]], least)
                    sums[lane] += front * planes[q]
                    sums[LANES + lane] += front * planes[q + PLANE[1]]
                    sums[2 * LANES + lane] += front * planes[q + PLANE[2]]
                    sums[3 * LANES + lane] += back * planes[q + PLANE[3]]
                    sums[4 * LANES + lane] += back * planes[q + PLANE[4]]
                    sums[5 * LANES + lane] += back * planes[q + PLANE[5]]
                    sums[6 * LANES + lane] += front
                    sums[7 * LANES + lane] += back
            for x in range(left, min(left + LANES, width)):
                if known[y, x] == UNKNOWN:
                    for c in range(6):
                        out[y, x, c] = sums[c * LANES + x - left] / sums[(6 + c // 3) * LANES + x - left]


@njit(fastmath=True)
def _settle(
    first: int,
    last: int,
    tiles: np.ndarray,
    rows: np.ndarray,
    image: np.ndarray,
    known: np.ndarray,
    refined: np.ndarray,
    pairs: np.ndarray,
    alpha: np.ndarray,
) -> None:
    """The pixel's own alpha, weighted by its pair's confidence, and the mean of its neighbourhood for the rest."""
    height, width = alpha.shape
    planes, sums = np.empty(5 * AREA, np.float32), np.empty(4 * LANES, np.float32)
    for n in range(first, last):
        top, left = tiles[n, 0], tiles[n, 1]
        for k in range(AREA):
            v, u = top - RADIUS + k // ACROSS, left - RADIUS + k % ACROSS
            inside = 0 <= v < height and 0 <= u < width
            a = refined[v, u, 6] if inside else ZERO
            planes[k], planes[AREA + k] = a, a * (ONE - a)
            planes[2 * AREA + k] = a * (ONE - a) * _span(pairs, v, u) if inside else ZERO
            planes[3 * AREA + k] = ONE if inside else ZERO
            planes[4 * AREA + k] = ONE if inside and known[v, u] != UNKNOWN else ZERO
        for y in range(top, min(top + ROWS, height)):
            if not rows[y, left // LANES]:
                continue
            for k in range(4 * LANES):
                sums[k] = 0
            for number in range(SIDE * SIDE):
                start, far = (
                    np.uint64((y - top + number // SIDE) * ACROSS + number % SIDE),
                    FAR[number // SIDE, number % SIDE],
                )
                for lane in range(LANES):
                    q = start + np.uint64(lane)
                    w = far * planes[q + PLANE[3]] + planes[q + PLANE[4]]
                    sums[lane] += w * planes[q]
                    sums[LANES + lane] += w
                    sums[2 * LANES + lane] += planes[q + PLANE[1]]
                    sums[3 * LANES + lane] += planes[q + PLANE[2]]
            for x in range(left, min(left + LANES, width)):
                if known[y, x] != UNKNOWN:
                    continue
                lane = x - left
                mean = sums[lane] / sums[LANES + lane]
                apart = sums[3 * LANES + lane] / (TINY + sums[2 * LANES + lane])
                own, error = _alpha(image, pairs, y, x), 0.0
                for c in range(3):
                    error += (own * pairs[y, x, c] + (1 - own) * pairs[y, x, 3 + c] - image[y, x, c]) ** 2
                trust = min(1.0, _span(pairs, y, x) / (apart + 1e-5)) * np.exp(-np.sqrt(error) / DOUBT)
                alpha[y, x] = trust * own + (1 - trust) * mean


@njit()
def _alpha(image: np.ndarray, pairs: np.ndarray, y: int, x: int) -> float:
    """Where the projection of a pixel's colour lies between its pair, from background 0 to foreground 1."""
    along, length = 0.0, 1e-5
    for c in range(3):
        line = float(pairs[y, x, c] - pairs[y, x, 3 + c])
        along += float(image[y, x, c] - pairs[y, x, 3 + c]) * line
        length += line * line
    return max(0.0, min(1.0, along / length))


@njit()
def _span(pairs: np.ndarray, y: int, x: int) -> float:
    """Distance of the two colours of a pixel's pair."""
    total = 0.0
    for c in range(3):
        total += float(pairs[y, x, c] - pairs[y, x, c + 3]) ** 2
    span: float = np.sqrt(total)
    return span


@njit()
def _path_cost(changes: np.ndarray, y: int, x: int, v: int, u: int, away: float) -> float:
    """Change of colour met on the straight way from one pixel to another, so far away, in at most ten steps."""
    steps = max(1, min(10, int(np.ceil(away))))
    down, along = (v - y) / steps, (u - x) / steps
    xx, xy, yy = np.float32(along * along), np.float32(2 * along * down), np.float32(down * down)
    row, column = (y << POINT) + NUDGE, (x << POINT) + NUDGE
    down_step, along_step = int(down * 2**POINT), int(along * 2**POINT)
    total = ZERO
    for _ in range(steps + 1):
        q, p = np.uint64(row >> POINT), np.uint64(column >> POINT)
        total += np.sqrt(max(ZERO, xx * changes[q, p, 0] + xy * changes[q, p, 1] + yy * changes[q, p, 2]))
        row, column = row + down_step, column + along_step
    return float(total) / 2
