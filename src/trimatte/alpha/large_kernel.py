"""Large-kernel matting (He, Sun, Tang, "Fast matting using large kernel matting Laplacian matrices", CVPR 2010).

The matting Laplacian of Levin et al. over large windows is never stored. In a window k of N pixels with mean colour m_k
and covariance C_k, the affine function of colour nearest to p is a_k . I + b_k,

    a_k = (C_k + epsilon / N)^-1 (sum p I / N - m_k sum p / N),   b_k = sum p / N - a_k . m_k,

and (L p)_i is the number of windows around pixel i times p_i less the sum of a_k . I_i + b_k over those windows: box
sums before, box sums after. Both are taken tile by tile, over the tiles that hold unknown pixels, or windows with any.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated, Any

import numpy as np
from scipy.ndimage import maximum_filter1d

from trimatte.images.arrays import UNKNOWN
from trimatte.linalg.cg import conjugate_gradients
from trimatte.linalg.report import SolveReport
from trimatte.runtime.jit import njit
from trimatte.runtime.options import EPSILON, RESIDUAL, Bounds
from trimatte.runtime.threads import available_threads

TILE = 64
ITERATIONS = 3000
GIVING = 2
"""Known pixels up to so many radii from an unknown one may give way; farther away they do not."""

Product = Callable[[np.ndarray, np.ndarray], None]


def large_kernel(
    image: np.ndarray,
    trimap: np.ndarray,
    report: SolveReport,
    *,
    radius: Annotated[int, Bounds(least=1, whole=True)] = 10,
    epsilon: Annotated[float, EPSILON] = 1e-7,
    constraint: Annotated[float, Bounds(above=0, infinite=True)] = 100.0,
    rtol: Annotated[float, RESIDUAL] = 1e-5,
) -> np.ndarray:
    """Alpha (H, W) float64 of image (H, W, 3) and trimap (H, W).

    Unknown pixels that share no window with another pixel (in a picture two pixels high and wide) are 0.5.

    Parameters
    ----------
    radius : int, default 10
        Of the windows, in pixels, at least 1; on each axis cut to what fits in the picture.
    epsilon : float, default 1e-07
        Regularisation of a window's covariance, shared among its pixels, > 0.
    constraint : float, default 100.0
        Weight of a known pixel's value against the windows that cover it, at most 441, > 0. With the reference's 100
        known pixels give way where the windows say so; an infinite one holds them.
    rtol : float, default 1e-05
        Relative residual of the linear system; at the default, alpha has settled to less than half a step of 8 bits.

    Raises
    ------
    ArgumentError
        For a radius, an epsilon, a constraint or an rtol out of range.
    """
    alpha = trimap / 255.0
    unknown = trimap == UNKNOWN
    reach = min(radius, (trimap.shape[0] - 1) // 2), min(radius, (trimap.shape[1] - 1) // 2)
    if reach == (0, 0):
        alpha[unknown] = 0.5
        report.fallbacks.append("the picture is too small for a window: unknown pixels are 0.5")
        return alpha
    free = unknown if constraint == np.inf else _within(unknown, (GIVING * reach[0], GIVING * reach[1]))
    pixels = np.flatnonzero(free)
    with ThreadPoolExecutor(available_threads()) as pool:
        product, tiles = _laplacian(image, free, reach, epsilon, pool)
        report.predicted_bytes = 120 * TILE**2 * tiles + 16 * trimap.size + 64 * len(pixels)
        alpha.ravel()[pixels] = _solve(product, trimap, pixels, reach, constraint, rtol, report)
    return alpha


def _solve(
    product: Product,
    trimap: np.ndarray,
    pixels: np.ndarray,
    reach: tuple[int, int],
    constraint: float,
    rtol: float,
    report: SolveReport,
) -> np.ndarray:
    """Alpha (n,) of the pixels whose flat indices are given; those known are drawn to their values."""
    field, result = (trimap == 255).astype(np.float64), np.zeros(trimap.shape)
    value = field.ravel()[pixels]
    hold = np.where(trimap.ravel()[pixels] == UNKNOWN, 0.0, constraint)
    field.ravel()[pixels] = 0
    product(field, result)
    pull = hold * value - result.ravel()[pixels]
    field[:] = 0
    windows = np.outer(_cover(trimap.shape[0], reach[0]), _cover(trimap.shape[1], reach[1])).ravel()[pixels]
    diagonal = windows + hold  # but for a share of about 4 / N

    def multiply(p: np.ndarray, out: np.ndarray) -> None:
        field.ravel()[pixels] = p
        product(field, result)
        np.multiply(hold, p, out=out)
        out += result.ravel()[pixels]

    def precondition(r: np.ndarray, out: np.ndarray) -> None:
        np.divide(r, diagonal, out=out)

    guess = np.where(hold > 0, value, 0.5)
    x, report.iterations, report.residual = conjugate_gradients(
        multiply, pull, precondition, rtol=rtol, max_iterations=ITERATIONS, x=guess
    )
    report.solver = "conjugate gradients, scaled by the number of windows"
    report.converged = report.residual <= rtol
    return x


def _within(mask: np.ndarray, reach: tuple[int, int]) -> np.ndarray:
    """The pixels (H, W) bool up to so many rows and columns from a set one."""
    near = maximum_filter1d(mask.view(np.uint8), 2 * reach[0] + 1, axis=0)
    return np.asarray(maximum_filter1d(near, 2 * reach[1] + 1, axis=1)).view(bool)


def _cover(size: int, radius: int) -> np.ndarray:
    """For each place on an axis the number of windows inside the picture that cover it."""
    at = np.arange(size)
    return np.minimum(at + radius, size - 1 - radius) - np.maximum(at - radius, radius) + 1.0


def _laplacian(
    image: np.ndarray, unknown: np.ndarray, reach: tuple[int, int], epsilon: float, pool: ThreadPoolExecutor
) -> tuple[Product, int]:
    """A function that writes L p into out, both (H, W), and how many tiles keep their windows."""
    window_tiles, pixel_tiles = _tiles(_within(unknown, reach)), _tiles(unknown)
    # pages of empty arrays that no tile writes to take no memory
    statistics, fits = np.empty((*unknown.shape, 9)), np.zeros((*unknown.shape, 4))

    def each(kernel: Callable[..., None], tiles: np.ndarray, *arrays: Any) -> None:
        parts = np.array_split(tiles, min(len(tiles), 4 * available_threads()))
        list(pool.map(lambda part: kernel(part, *reach, *arrays), parts))

    def product(p: np.ndarray, out: np.ndarray) -> None:
        each(_fit, window_tiles, image, p, statistics, fits)
        each(_apply, pixel_tiles, image, p, fits, out)

    each(_statistics, window_tiles, image, float(epsilon), statistics)
    return product, len(window_tiles)


def _tiles(mask: np.ndarray) -> np.ndarray:
    """Top left corners (n, 2) of the tiles that hold a set pixel."""
    rows, columns = (np.arange(0, size, TILE) for size in mask.shape)
    some = np.maximum.reduceat(np.maximum.reduceat(mask.astype(np.uint8), columns, axis=1), rows, axis=0)
    return np.ascontiguousarray(np.argwhere(some)) * TILE


@njit()
def _statistics(tiles: np.ndarray, ry: int, rx: int, image: np.ndarray, epsilon: float, out: np.ndarray) -> None:
    """Per window the mean (3) and the inverse of N times the regularised covariance (6: 00, 01, 02, 11, 12, 22)."""
    height, width = out.shape[:2]
    area = (2 * ry + 1.0) * (2 * rx + 1.0)
    patch = np.empty((TILE + 2 * ry, TILE + 2 * rx, 9))
    for t in range(len(tiles)):
        top, left = tiles[t]
        r0, g0, b0 = image[top, left]  # colours are taken against the tile's first, so that their squares stay small
        for y in range(len(patch)):
            for x in range(patch.shape[1]):
                # beyond the picture lie no windows: any colour will do
                at = image[min(max(top + y - ry, 0), height - 1), min(max(left + x - rx, 0), width - 1)]
                r, g, b = np.float64(at[0]) - r0, np.float64(at[1]) - g0, np.float64(at[2]) - b0
                patch[y, x, 0], patch[y, x, 1], patch[y, x, 2] = r, g, b
                patch[y, x, 3], patch[y, x, 4], patch[y, x, 5] = r * r, r * g, r * b
                patch[y, x, 6], patch[y, x, 7], patch[y, x, 8] = g * g, g * b, b * b
        sums = _box_sums(patch, ry, rx)
        for y in range(max(top, ry), min(top + TILE, height - ry)):
            for x in range(max(left, rx), min(left + TILE, width - rx)):
                s, v = sums[y - top, x - left], out[y, x]
                r, g, b = s[0] / area, s[1] / area, s[2] / area
                rr, rg, rb = s[3] - s[0] * r + epsilon, s[4] - s[0] * g, s[5] - s[0] * b
                gg, gb, bb = s[6] - s[1] * g + epsilon, s[7] - s[1] * b, s[8] - s[2] * b + epsilon
                # The inverse from triangular factors, M' D^-1 M: by cofactors a window of greys would have hardly a
                # correct digit. No pivot is less than epsilon, but by rounding.
                m10, m20 = -rg / rr, -rb / rr
                d1 = max(gg + m10 * rg, epsilon)
                gb += m20 * rg
                m21 = -gb / d1
                d2 = max(bb + m20 * rb + m21 * gb, epsilon)
                m20 += m21 * m10
                v[0], v[1], v[2] = r + r0, g + g0, b + b0
                v[3], v[4] = 1 / rr + m10 * m10 / d1 + m20 * m20 / d2, m10 / d1 + m20 * m21 / d2
                v[6], v[5], v[7], v[8] = 1 / d1 + m21 * m21 / d2, m20 / d2, m21 / d2, 1 / d2


@njit()
def _fit(
    tiles: np.ndarray, ry: int, rx: int, image: np.ndarray, p: np.ndarray, statistics: np.ndarray, out: np.ndarray
) -> None:
    """Per window the coefficients (a_r, a_g, a_b, b) of the affine function of colour nearest to p."""
    height, width = p.shape
    area = (2 * ry + 1.0) * (2 * rx + 1.0)
    patch = np.zeros((TILE + 2 * ry, TILE + 2 * rx, 4))
    for t in range(len(tiles)):
        top, left = tiles[t]
        for y in range(len(patch)):
            for x in range(patch.shape[1]):
                v, u = min(max(top + y - ry, 0), height - 1), min(max(left + x - rx, 0), width - 1)
                for c in range(3):
                    patch[y, x, c] = p[v, u] * image[v, u, c]
                patch[y, x, 3] = p[v, u]
        sums = _box_sums(patch, ry, rx)
        for y in range(max(top, ry), min(top + TILE, height - ry)):
            for x in range(max(left, rx), min(left + TILE, width - rx)):
                s, v, f = sums[y - top, x - left], statistics[y, x], out[y, x]
                r, g, b = s[0] - v[0] * s[3], s[1] - v[1] * s[3], s[2] - v[2] * s[3]
                f[0] = v[3] * r + v[4] * g + v[5] * b
                f[1] = v[4] * r + v[6] * g + v[7] * b
                f[2] = v[5] * r + v[7] * g + v[8] * b
                f[3] = s[3] / area - f[0] * v[0] - f[1] * v[1] - f[2] * v[2]


@njit()
def _apply(
    tiles: np.ndarray, ry: int, rx: int, image: np.ndarray, p: np.ndarray, fits: np.ndarray, out: np.ndarray
) -> None:
    """The product of the Laplacian with p, from the windows' fits, which are 0 where no window lies."""
    height, width = p.shape
    patch = np.zeros((TILE + 2 * ry, TILE + 2 * rx, 4))
    for t in range(len(tiles)):
        top, left = tiles[t]
        for y in range(len(patch)):
            for x in range(patch.shape[1]):
                v, u = top + y - ry, left + x - rx
                inside = 0 <= v < height and 0 <= u < width
                for c in range(4):
                    patch[y, x, c] = fits[v, u, c] if inside else 0.0
        sums = _box_sums(patch, ry, rx)
        for y in range(top, min(top + TILE, height)):
            rows = min(y + ry, height - 1 - ry) - max(y - ry, ry) + 1
            for x in range(left, min(left + TILE, width)):
                windows = rows * (min(x + rx, width - 1 - rx) - max(x - rx, rx) + 1)
                s = sums[y - top, x - left]
                fitted = s[0] * image[y, x, 0] + s[1] * image[y, x, 1] + s[2] * image[y, x, 2] + s[3]
                out[y, x] = windows * p[y, x] - fitted


@njit()
def _box_sums(patch: np.ndarray, ry: int, rx: int) -> np.ndarray:
    """Sums over all windows inside a patch, down the columns, then along the rows."""
    height, width, channels = patch.shape
    flat = patch.reshape(height, width * channels)
    down = np.zeros((height - 2 * ry, width * channels))
    for y in range(2 * ry + 1):
        for i in range(width * channels):
            down[0, i] += flat[y, i]
    for y in range(1, len(down)):
        for i in range(width * channels):
            down[y, i] = down[y - 1, i] + (flat[y + 2 * ry, i] - flat[y - 1, i])
    out = np.zeros((height - 2 * ry, width - 2 * rx, channels))
    across = out.reshape(len(out), (width - 2 * rx) * channels)
    for y in range(len(out)):
        for x in range(2 * rx + 1):
            for c in range(channels):
                across[y, c] += down[y, x * channels + c]
        for i in range(channels, across.shape[1]):
            across[y, i] = across[y, i - channels] + (down[y, i + 2 * rx * channels] - down[y, i - channels])
    return out
