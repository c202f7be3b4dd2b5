"""Alpha of a picture made smaller, brought back to the photo's size along the photo's own colours.

A band that a segmenter's map has drawn is wide, and most of it is plain inside or plain outside: a large picture says
little there that a smaller one does not. Where alpha changes, it is locally an affine function of colour (Levin et al.,
2006); fitted on the small picture and applied to the large one, that function gives back what averaging has taken, as
the fast guided filter does (He and Sun, 2015).
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import reduce
from math import ceil, sqrt
from typing import Any

import numpy as np

from trimatte.alpha import Matte, quiet_matte
from trimatte.images import as_alpha
from trimatte.images.arrays import BACKGROUND, FOREGROUND, UNKNOWN, bounding_box
from trimatte.planes.resize import block_means, resized, strips
from trimatte.runtime.measure import timed
from trimatte.runtime.threads import available_threads

EDGE = 1e-4
"""Variance of colour, in a window of 3 x 3 pixels of the small picture, that counts as an edge."""
ROWS = 128
"""Rows that are brought back at a time."""
LEAST = 16
"""The small picture's sides are no shorter, unless the picture's own are."""


def reduced_matte(image: np.ndarray, trimap: np.ndarray, *, pixels: int, **settings: Any) -> Matte:
    """`trimatte.alpha.quiet_matte` with at most about so many unknown pixels.

    Parameters
    ----------
    image : (H, W, 3) float32 array in [0, 1]
        The photo, sRGB.
    trimap : (H, W) uint8 array
        Values 0, 128 and 255.
    pixels : int
        The picture is made smaller by a whole number until no more of its pixels are unknown than that.
    **settings : Any
        Of `quiet_matte`; of the method's options that are planes there may be `probability` alone.

    Returns
    -------
    Matte
        At the photo's size; known pixels are exactly 0 or 1.
    """
    unknown = int(np.count_nonzero(trimap == UNKNOWN))
    factor, coarse = reduction(trimap, pixels)
    if factor == 1:
        return quiet_matte(image, trimap, **settings)
    small = reduced_image(image, factor)
    if settings.get("probability") is not None:
        told = as_alpha(settings["probability"], name="probability", shape=trimap.shape)
        settings["probability"] = reduced_image(told, factor)
    matte = quiet_matte(small, coarse, **settings)
    report = matte.report
    report.reduction = factor
    report.unknown, report.undetermined = unknown, min(unknown, report.undetermined * factor**2)
    report.solver += f", at 1/{factor} of the size"
    with timed(report.seconds, "enlarge"):
        alpha = enlarged(matte.alpha, small, image, trimap, factor)
    return Matte(alpha, report)


def reduction(trimap: np.ndarray, pixels: int) -> tuple[int, np.ndarray]:
    """The factor that leaves about this many unknown pixels at most, and the trimap at that size.

    Less where the small trimap would know no foreground, or no background, any more.
    """
    kinds = [value for value in (FOREGROUND, BACKGROUND) if (trimap == value).any()]
    unknown = int(np.count_nonzero(trimap == UNKNOWN))
    factor = min(ceil(sqrt(unknown / pixels)), min(trimap.shape) // LEAST)
    while factor > 1:
        coarse = reduced_trimap(trimap, factor)
        if all((coarse == value).any() for value in kinds):
            return factor, coarse
        factor -= 1
    return 1, trimap


def reduced_image(image: np.ndarray, factor: int) -> np.ndarray:
    """Means (h, w[, 3]) over blocks of `factor` rows and columns; the last blocks may be smaller."""
    means: np.ndarray = np.ascontiguousarray(block_means(image, factor, factor))
    return np.clip(means, 0, 1, out=means)


def reduced_trimap(trimap: np.ndarray, factor: int) -> np.ndarray:
    """Known where all of a block's pixels are known and agree."""
    whole = np.pad(trimap, [(0, -side % factor) for side in trimap.shape], mode="edge")
    low, high = (_over_blocks(extreme, whole, factor) for extreme in (np.minimum, np.maximum))
    return np.where(low == high, low, np.uint8(UNKNOWN))


def _over_blocks(extreme: np.ufunc, plane: np.ndarray, factor: int) -> np.ndarray:
    """The least or greatest of each block of a plane whose sides are multiples of `factor`."""
    rows: np.ndarray = reduce(extreme, (plane[first::factor] for first in range(factor)))
    blocks: np.ndarray = reduce(extreme, (rows[:, first::factor] for first in range(factor)))
    return blocks


def enlarged(alpha: np.ndarray, small: np.ndarray, image: np.ndarray, trimap: np.ndarray, factor: int) -> np.ndarray:
    """Alpha (H, W) of image (H, W, 3), from alpha (h, w) of the small picture (h, w, 3); exact where known."""
    offset, *slope = affine(small, alpha)
    out: np.ndarray = (trimap == FOREGROUND).astype(np.float32)

    def fill(part: tuple[slice, slice]) -> None:
        rows, columns = part
        size = rows.stop - rows.start, columns.stop - columns.start
        box = tuple(place / factor for place in (columns.start, rows.start, columns.stop, rows.stop))
        found = resized(offset, size, box=box).copy()
        for channel, plane in enumerate(slope):
            found += resized(plane, size, box=box) * image[(*part, channel)]
        np.copyto(out[part], np.clip(found, 0, 1), where=trimap[part] == UNKNOWN)

    with ThreadPoolExecutor(available_threads()) as pool:
        list(pool.map(fill, _strips(trimap == UNKNOWN)))
    return out


def affine(image: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Offset and three slopes (4, h, w) float32 of alpha as an affine function of colour about each pixel.

    At the pixel itself the function gives its alpha. Large pictures are fitted strip by strip, which takes less memory.
    """
    from trimatte.planes.regression import affine_rows  # brings numba

    planes = np.empty((4, *alpha.shape), np.float32)
    for rows in strips(alpha.shape):
        fitted = affine_rows(image, alpha, rows, 1, EDGE)
        planes[1:, rows] = fitted[1:]
        planes[0, rows] = alpha[rows] - np.einsum("cij,ijc->ij", fitted[1:], image[rows])
    return planes


def _strips(mask: np.ndarray) -> Iterator[tuple[slice, slice]]:
    """Parts of a few rows each that hold all set pixels."""
    box = bounding_box(mask)
    if box is None:
        return
    for top in range(box[0].start, box[0].stop, ROWS):
        rows = slice(top, min(top + ROWS, box[0].stop))
        columns = np.flatnonzero(mask[rows].any(axis=0))
        if len(columns):
            yield rows, slice(int(columns[0]), int(columns[-1]) + 1)
