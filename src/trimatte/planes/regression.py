"""A plane as a function of the photo's colours, window by window (He et al., "Guided Image Filtering", ECCV 2010)."""

from __future__ import annotations

import numpy as np

from trimatte.runtime.jit import njit, side_by_side

FEW = 4000
"""Fewer pixels are no work for another thread."""


def affine_planes(image: np.ndarray, plane: np.ndarray, radius: int, edge: float) -> np.ndarray:
    """Offset and slopes of a plane as an affine function of colour: the mean of those of all windows about a pixel.

    In each window the function is that of least squares. Beyond the border the border's pixels are repeated.

    Parameters
    ----------
    image : (H, W, 3) array in [0, 1]
        The photo.
    plane : (H, W) array
        What follows its colours.
    radius : int
        Of the windows, in pixels.
    edge : float
        Variance of colour that counts as an edge: where it is less the slopes tend to 0.

    Returns
    -------
    (4, H, W) float64 array
        The offset, then the slopes for red, green and blue.
    """
    image, plane = (np.array(array, np.float32, order="C") for array in (image, plane))  # kernels of one type
    fits: np.ndarray = np.empty((4, *plane.shape))
    means = np.empty_like(fits)
    height, width = plane.shape
    least = max(1, FEW // width)
    side_by_side(_fit, height, image, plane, radius, edge, fits, least=least)
    side_by_side(_average, height, fits, radius, means, least=least)
    return means


def affine_rows(image: np.ndarray, plane: np.ndarray, rows: slice, radius: int, edge: float) -> np.ndarray:
    """`affine_planes` of some rows alone, (4, h, W), the same as of the whole: a large plane takes less memory so."""
    top = max(0, rows.start - 2 * radius)  # the windows of a fit, and of the mean over fits
    part = slice(top, rows.stop + 2 * radius)
    return affine_planes(image[part], plane[part], radius, edge)[:, rows.start - top : rows.stop - top]


def at_colours(image: np.ndarray, fits: np.ndarray) -> np.ndarray:
    """What affine functions of colour, `affine_planes` (4, H, W), are at the colours of image (H, W, 3): (H, W)."""
    offset, *slopes = fits
    values: np.ndarray = offset.copy()
    for slope, channel in zip(slopes, np.moveaxis(image, -1, 0), strict=True):
        values += slope * channel
    return values


@njit()
def _fit(
    first: int, last: int, image: np.ndarray, plane: np.ndarray, radius: int, edge: float, out: np.ndarray
) -> None:
    """Offset and slopes of the window about each pixel of rows `first` to `last`.

    Sums over windows are sums over their columns, of which one comes and one goes from each pixel to the next.
    """
    height, width = plane.shape
    columns, total, pixels = np.empty((width, 13)), np.empty(13), (2 * radius + 1) ** 2
    for y in range(first, last):
        columns[:] = 0
        for row in range(y - radius, y + radius + 1):
            v = min(max(row, 0), height - 1)
            for u in range(width):
                r, g, b = np.float64(image[v, u, 0]), np.float64(image[v, u, 1]), np.float64(image[v, u, 2])
                p, column = np.float64(plane[v, u]), columns[u]
                column[0] += r
                column[1] += g
                column[2] += b
                column[3] += p
                column[4] += r * p
                column[5] += g * p
                column[6] += b * p
                column[7] += r * r
                column[8] += r * g
                column[9] += r * b
                column[10] += g * g
                column[11] += g * b
                column[12] += b * b
        total[:] = 0
        for u in range(-radius, radius):
            total += columns[min(max(u, 0), width - 1)]
        for x in range(width):
            comes, goes = columns[min(x + radius, width - 1)], columns[max(x - radius, 0)]
            for k in range(13):
                total[k] += comes[k]
            r, g, b, p = total[0] / pixels, total[1] / pixels, total[2] / pixels, total[3] / pixels
            rp, gp, bp = total[4] / pixels - r * p, total[5] / pixels - g * p, total[6] / pixels - b * p
            rr, rg, rb = total[7] / pixels - r * r + edge, total[8] / pixels - r * g, total[9] / pixels - r * b
            gg, gb = total[10] / pixels - g * g + edge, total[11] / pixels - g * b
            bb = total[12] / pixels - b * b + edge
            # The symmetric system of three equations, by its adjugate.
            crr, crg, crb = gg * bb - gb * gb, rb * gb - rg * bb, rg * gb - rb * gg
            cgg, cgb, cbb = rr * bb - rb * rb, rg * rb - rr * gb, rr * gg - rg * rg
            determinant = rr * crr + rg * crg + rb * crb
            red = (crr * rp + crg * gp + crb * bp) / determinant
            green = (crg * rp + cgg * gp + cgb * bp) / determinant
            blue = (crb * rp + cgb * gp + cbb * bp) / determinant
            out[0, y, x] = p - red * r - green * g - blue * b
            out[1, y, x], out[2, y, x], out[3, y, x] = red, green, blue
            for k in range(13):
                total[k] -= goes[k]


@njit()
def _average(first: int, last: int, planes: np.ndarray, radius: int, out: np.ndarray) -> None:
    """The mean of each plane over the window about each pixel of rows `first` to `last`."""
    height, width = planes.shape[1:]
    columns, pixels = np.empty(width), (2 * radius + 1) ** 2
    for k in range(len(planes)):
        for y in range(first, last):
            columns[:] = 0
            for row in range(y - radius, y + radius + 1):
                v = min(max(row, 0), height - 1)
                for u in range(width):
                    columns[u] += planes[k, v, u]
            total = 0.0
            for u in range(-radius, radius):
                total += columns[min(max(u, 0), width - 1)]
            for x in range(width):
                total += columns[min(x + radius, width - 1)]
                out[k, y, x] = total / pixels
                total -= columns[max(x - radius, 0)]
