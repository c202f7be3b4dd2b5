"""Pictures at another size, plane by plane, with the support that shrinking needs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from trimatte.runtime.threads import for_each

FILTERS = {
    "nearest": Image.Resampling.NEAREST,
    "box": Image.Resampling.BOX,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}
GAP = 2
"""A picture is averaged in blocks until it is no less than this many times as large as wanted, by default."""
STRIP = 1 << 18
"""Pixels of a strip, in which large planes are worked on: what a step needs beside them then stays in the cache, where
planes of its own would be fresh memory, which takes longer to get than the step itself."""

Planes = NDArray[Any]
Area = tuple[float, float, float, float]
"""Left, top, right and bottom, in pixels."""


def resized(
    array: Planes, size: tuple[int, ...], how: str = "bilinear", *, box: Area | None = None, clip: bool = True
) -> Planes:
    """A plane or picture at another size; itself if that is its size.

    Parameters
    ----------
    array : (H, W) or (H, W, C) array
        float32 in [0, 1], or uint8.
    size : (int, int)
        Height and width of the result.
    how : str, default "bilinear"
        One of `FILTERS`. All but "nearest" are antialiased where the picture becomes smaller.
    box : (float, float, float, float), optional
        Take this part of the picture alone: left, top, right and bottom in pixels.
    clip : bool, default True
        Whether what a filter with negative lobes overshoots is clipped.

    Returns
    -------
    array : (h, w) or (h, w, C) array
        Of the same type and, with `clip`, range. Channels lie one behind the other in memory, as networks want them.
    """
    height, width = size[:2]
    if box is None and array.shape[:2] == (height, width):
        return array
    planes = array[..., None] if array.ndim == 2 else array
    out = np.empty((planes.shape[2], height, width), array.dtype)

    def fill(channel: int) -> None:
        picture = Image.fromarray(np.ascontiguousarray(planes[..., channel]))
        for rows, part in _parts(size[:2], array.shape[:2], box):
            out[channel, rows] = np.asarray(picture.resize((width, rows.stop - rows.start), FILTERS[how], part))

    if max(array.size, out.size) > STRIP:
        for_each(fill, range(len(out)))
    else:
        for channel in range(len(out)):
            fill(channel)
    if clip and array.dtype != np.uint8 and how in ("bicubic", "lanczos"):
        np.clip(out, 0, 1, out=out)
    return out[0] if array.ndim == 2 else out.transpose(1, 2, 0)


def strips(shape: tuple[int, ...]) -> Iterator[slice]:
    """The rows of a plane of a shape (H, W), from top to bottom, in slices of about `STRIP` pixels."""
    height, width = shape[:2]
    count = max(1, STRIP // max(1, width))
    for top in range(0, height, count):
        yield slice(top, min(top + count, height))


def _parts(size: tuple[int, ...], source: tuple[int, ...], box: Area | None) -> Iterator[tuple[slice, Area | None]]:
    """Rows of a result of a size, and of what part of the source they are made; all at once unless it is enlarged."""
    height, width = size
    left, top, right, bottom = box or (0, 0, source[1], source[0])
    if height * width <= STRIP or height < bottom - top:
        yield slice(0, height), box
        return
    step = (bottom - top) / height
    for rows in strips(size):
        yield rows, (left, top + rows.start * step, right, top + rows.stop * step)


def downsampled(image: Planes, size: tuple[int, int], how: str = "bilinear", *, gap: int = GAP) -> Planes:
    """Antialiased resize of (H, W, 3) float32 to `size` (height, width); the large are first averaged in blocks.

    They are then still `gap` times as large as wanted, or more.
    """
    high, wide = (max(1, int(have / wanted / gap)) for have, wanted in zip(image.shape, size, strict=False))
    smaller = block_means(image, high, wide)
    return resized(smaller, size, how, box=(0, 0, image.shape[1] / wide, image.shape[0] / high))


def block_means(image: Planes, high: int, wide: int) -> Planes:
    """Means (h, w[, 3]) over blocks of so many rows and columns of (H, W[, 3]) float32; the last may be smaller."""
    return _averaged(_averaged(image, high).swapaxes(0, 1), wide).swapaxes(0, 1)


def _averaged(rows: Planes, count: int) -> Planes:
    """Means over each `count` of the rows (n, ...); the last over what is left."""
    if count == 1:
        return rows
    mean = rows[::count].copy()
    for first in range(1, count):
        part = rows[first::count]
        mean[: len(part)] += part
    mean /= np.float32(count)
    if rest := len(rows) % count:
        mean[-1] *= np.float32(count / rest)
    return mean
