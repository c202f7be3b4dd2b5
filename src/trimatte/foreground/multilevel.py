"""Fast multi-level foreground estimation (Germer, Uelwer, Conrad, Harmeling, ICPR 2020).

Foreground F and background B minimise, over the four neighbours of each pixel,

    sum_i (alpha_i F_i + (1 - alpha_i) B_i - I_i)^2 + sum_ij w_ij ((F_i - F_j)^2 + (B_i - B_j)^2),
    w_ij = regularization + |alpha_i - alpha_j|,

by Gauss-Seidel sweeps in raster order, from a picture of one pixel up to full size, each level starting from the
one below. For the mean F', B' of the neighbours, weighted by w with sum s, the pair of a pixel is

    F = F' + alpha r,  B = B' + (1 - alpha) r,  r = (I - alpha F' - (1 - alpha) B') / (s + alpha^2 + (1 - alpha)^2),

which has no difference of nearly equal numbers and is good in float32.

Two things make it fast without changing the answer. Blocks on one anti-diagonal do not touch, so all of them may
be swept at once and every pixel still sees exactly the neighbours of the raster order. And where alpha is 0 or 1 in a
whole tile, and in those around it, nothing is swept: F is the picture or never seen, and what a sweep carries over a
tile of constant alpha fades as 2^-TILE.
"""

from __future__ import annotations

import math

import numpy as np

from trimatte.linalg.report import SolveReport
from trimatte.planes.resize import strips
from trimatte.runtime.jit import njit, side_by_side
from trimatte.runtime.threads import for_each

TILE = 16
PIXELS = 4096
"""Fewer are no work for another thread."""
BLOCK = 8
"""A block of so many tiles squared is one thread's work at a time."""
REGULARIZATION = 1e-5
SMALL = 32
"""Levels up to this size are swept `SMALL_SWEEPS` times, larger ones `LARGE_SWEEPS` times."""
SMALL_SWEEPS, LARGE_SWEEPS = 10, 2


def multilevel(image: np.ndarray, alpha: np.ndarray, report: SolveReport) -> np.ndarray:
    """Foreground colours (H, W, 3) float32 in [0, 1] of image (H, W, 3) float32 and alpha (H, W) float32.

    No system is solved: nothing is to be said in the report but how.

    Where alpha is 1 it is the image itself; where alpha is 0, far from any other alpha, it is a coarse guess.
    """
    report.solver = "levels from one pixel to full size"
    foreground, _ = both_layers(image, alpha)

    def keep(rows: slice) -> None:
        opaque = np.flatnonzero(alpha[rows] == 1)
        foreground[rows].reshape(-1, 3)[opaque] = image[rows].reshape(-1, 3).take(opaque, axis=0)

    for_each(keep, strips(alpha.shape))
    return foreground


def both_layers(image: np.ndarray, alpha: np.ndarray, *, everywhere: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Foreground and background (H, W, 3) float32, as swept.

    Unless they are swept `everywhere`, the background has values only near alphas other than 0 and 1.
    """
    image, alpha = np.ascontiguousarray(image, np.float32), np.ascontiguousarray(alpha, np.float32)
    shapes = _levels(*alpha.shape)
    active_tiles = _all_tiles(shapes) if everywhere else _active_tiles(alpha, shapes)
    foreground, background = _means(image, alpha).astype(np.float32).reshape(2, 1, 1, 3)
    for shape, active in zip(shapes, active_tiles, strict=True):
        rows, columns = _source(alpha.shape[0], shape[0]), _source(alpha.shape[1], shape[1])
        near = _dilated(active)
        coarse = foreground, background
        foreground, background = np.empty((*shape, 3), np.float32), np.empty((*shape, 3), np.float32)
        arrays = foreground, background, *coarse, image, alpha, rows, columns, active, near
        side_by_side(_start_level, shape[0], *arrays, least=1 + PIXELS // shape[1])
        tiles, starts, waves = _schedule(active, SMALL_SWEEPS if max(shape) <= SMALL else LARGE_SWEEPS)
        for blocks in waves:
            side_by_side(
                _sweep, len(blocks), blocks, starts, tiles, foreground, background, image, alpha, rows, columns
            )  # fmt: skip
    return foreground, background


def _levels(height: int, width: int) -> list[tuple[int, int]]:
    """Sizes from one pixel to full size, growing by about two."""
    count = max(1, math.ceil(math.log2(max(width, height))))
    return [(round(height ** (i / count)), round(width ** (i / count))) for i in range(count + 1)]


def _source(size: int, level: int) -> np.ndarray:
    """For each row or column of a level the one of the full picture that it samples."""
    return np.arange(level) * size // level


def _active_tiles(alpha: np.ndarray, shapes: list[tuple[int, int]]) -> list[np.ndarray]:
    """Per level the tiles (rows, columns) bool to be swept: near other alphas than 0 or 1, or needed one level up."""
    tiles: list[np.ndarray] = []
    above = shapes[-1]
    for shape in reversed(shapes):
        rows, columns = _source(alpha.shape[0], shape[0]), _source(alpha.shape[1], shape[1])
        active = _dilated(_mixed(alpha, rows, columns))
        if tiles:
            i, j = np.nonzero(tiles[-1])
            for di, dj in ((0, 0), (0, 1), (1, 0), (1, 1)):
                y = np.minimum((i + di) * TILE - di, above[0] - 1) * shape[0] // above[0] // TILE
                x = np.minimum((j + dj) * TILE - dj, above[1] - 1) * shape[1] // above[1] // TILE
                active[y, x] = True
        tiles.append(active)
        above = shape
    return tiles[::-1]


def _all_tiles(shapes: list[tuple[int, int]]) -> list[np.ndarray]:
    return [np.ones((-(-height // TILE), -(-width // TILE)), np.bool_) for height, width in shapes]


def _dilated(tiles: np.ndarray) -> np.ndarray:
    """Tiles that are set or beside a set one, also corner to corner."""
    padded = np.pad(tiles, 1)
    padded[1:-1] |= padded[:-2] | padded[2:]
    wider: np.ndarray = padded[1:-1, :-2] | padded[1:-1, 1:-1] | padded[1:-1, 2:]
    return wider


@njit()
def _mixed(alpha: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Tiles whose alpha is neither 0 throughout nor 1 throughout."""
    height, width = len(rows), len(columns)
    mixed = np.zeros(((height + TILE - 1) // TILE, (width + TILE - 1) // TILE), np.bool_)
    for i in range(mixed.shape[0]):
        for j in range(mixed.shape[1]):
            some, all_ = False, True
            for y in range(i * TILE, min((i + 1) * TILE, height)):
                for x in range(j * TILE, min((j + 1) * TILE, width)):
                    a = alpha[rows[y], columns[x]]
                    some |= a > 0
                    all_ &= a >= 1
            mixed[i, j] = some and not all_
    return mixed


def _schedule(active: np.ndarray, sweeps: int) -> tuple[np.ndarray, np.ndarray, list[np.ndarray]]:
    """Order of work: active tiles (n, 2) sorted by block, where each block's tiles begin, and the blocks of each wave.

    Block (i, j) takes its sweep s in wave i + j + 2 s: then the blocks above and to the left
    are one wave ahead, those below and to the right one behind, and no two blocks of a wave touch.
    """
    tiles = np.argwhere(active)
    across = -(-active.shape[1] // BLOCK)
    block = tiles[:, 0] // BLOCK * across + tiles[:, 1] // BLOCK
    order = np.argsort(block, kind="stable")
    blocks, starts = np.unique(block[order], return_index=True)
    wave = (blocks // across + blocks % across + 2 * np.arange(sweeps)[:, None]).ravel()
    turns = np.argsort(wave, kind="stable")
    waves = np.split(turns % max(1, len(blocks)), np.flatnonzero(np.diff(wave[turns])) + 1)
    return tiles[order], np.append(starts, len(tiles)), waves


def _means(image: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Mean colours (2, 3) where alpha exceeds 0.9 and where it is below 0.1; black if there is no such pixel."""
    sums, counts = np.zeros((2, 3)), np.full(2, 1e-5)
    _add_up(image, alpha, sums, counts)
    means: np.ndarray = sums / counts[:, None]
    return means


@njit()
def _add_up(image: np.ndarray, alpha: np.ndarray, sums: np.ndarray, counts: np.ndarray) -> None:
    for y in range(alpha.shape[0]):
        for x in range(alpha.shape[1]):
            a = alpha[y, x]
            if a > 0.9 or a < 0.1:
                k = 0 if a > 0.9 else 1
                counts[k] += 1
                for c in range(3):
                    sums[k, c] += image[y, x, c]


@njit()
def _start_level(
    first: int,
    last: int,
    foreground: np.ndarray,
    background: np.ndarray,
    coarse_foreground: np.ndarray,
    coarse_background: np.ndarray,
    image: np.ndarray,
    alpha: np.ndarray,
    rows: np.ndarray,
    columns: np.ndarray,
    active: np.ndarray,
    near: np.ndarray,
) -> None:
    """Nearest colours of the level below; in tiles that stay as they are, the picture's own where alpha is 0 or 1."""
    height, width = foreground.shape[:2]
    coarse_height, coarse_width = coarse_foreground.shape[:2]
    for y in range(first, last):
        y0 = y * coarse_height // height
        for x in range(width):
            x0 = x * coarse_width // width
            swept = active[y // TILE, x // TILE]
            a = alpha[rows[y], columns[x]]
            for c in range(3):
                own = image[rows[y], columns[x], c]
                foreground[y, x, c] = own if a == 1 and not swept else coarse_foreground[y0, x0, c]
            if near[y // TILE, x // TILE]:
                for c in range(3):
                    own = image[rows[y], columns[x], c]
                    background[y, x, c] = own if a == 0 and not swept else coarse_background[y0, x0, c]


@njit(fastmath=True)
def _sweep(
    first: int,
    last: int,
    blocks: np.ndarray,
    starts: np.ndarray,
    tiles: np.ndarray,
    foreground: np.ndarray,
    background: np.ndarray,
    image: np.ndarray,
    alpha: np.ndarray,
    rows: np.ndarray,
    columns: np.ndarray,
) -> None:
    """Gauss-Seidel sweeps over the active tiles of some blocks, each in raster order as every pixel sees it."""
    for block in blocks[first:last]:
        for t in range(starts[block], starts[block + 1]):
            _sweep_tile(foreground, background, image, alpha, rows, columns, tiles[t, 0] * TILE, tiles[t, 1] * TILE)


@njit(fastmath=True)
def _sweep_tile(
    foreground: np.ndarray,
    background: np.ndarray,
    image: np.ndarray,
    alpha: np.ndarray,
    rows: np.ndarray,
    columns: np.ndarray,
    top: int,
    left: int,
) -> None:
    height, width = foreground.shape[:2]
    one, zero, regularization = np.float32(1), np.float32(0), np.float32(REGULARIZATION)
    for y in range(top, min(top + TILE, height)):
        up, down = max(y - 1, 0), min(y + 1, height - 1)
        for x in range(left, min(left + TILE, width)):
            west, east = max(x - 1, 0), min(x + 1, width - 1)
            a = alpha[rows[y], columns[x]]
            wu = regularization + abs(a - alpha[rows[up], columns[x]])
            wd = regularization + abs(a - alpha[rows[down], columns[x]])
            ww = regularization + abs(a - alpha[rows[y], columns[west]])
            we = regularization + abs(a - alpha[rows[y], columns[east]])
            total = wu + wd + ww + we
            inverse = one / total
            wu, wd, ww, we = wu * inverse, wd * inverse, ww * inverse, we * inverse
            b = one - a
            pull = one / (total + a * a + b * b)
            for c in range(3):
                f = (wu * foreground[up, x, c] + wd * foreground[down, x, c] + we * foreground[y, east, c]) + (
                    ww * foreground[y, west, c]
                )
                g = (wu * background[up, x, c] + wd * background[down, x, c] + we * background[y, east, c]) + (
                    ww * background[y, west, c]
                )
                r = (image[rows[y], columns[x], c] - a * f - b * g) * pull
                foreground[y, x, c] = min(one, max(zero, f + a * r))
                background[y, x, c] = min(one, max(zero, g + b * r))
