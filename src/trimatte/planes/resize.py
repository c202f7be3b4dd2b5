"""Pictures at another size, plane by plane, with the support that shrinking needs."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

FILTERS = {
    "nearest": Image.Resampling.NEAREST,
    "box": Image.Resampling.BOX,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}
GAP = 2
"""A picture is averaged in blocks until it is no less than this many times as large as wanted."""

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
    for channel, plane in enumerate(out):
        picture = Image.fromarray(np.ascontiguousarray(planes[..., channel]))
        plane[:] = np.asarray(picture.resize((width, height), FILTERS[how], box))
    if clip and array.dtype != np.uint8 and how in ("bicubic", "lanczos"):
        np.clip(out, 0, 1, out=out)
    return out[0] if array.ndim == 2 else out.transpose(1, 2, 0)


def downsampled(image: Planes, size: tuple[int, int], how: str = "bilinear") -> Planes:
    """Antialiased resize of (H, W, 3) float32 to `size` (height, width); the large are first averaged in blocks."""
    high, wide = (max(1, int(have / wanted / GAP)) for have, wanted in zip(image.shape, size, strict=False))
    smaller = _averaged(_averaged(image, high).swapaxes(0, 1), wide).swapaxes(0, 1)
    return resized(smaller, size, how, box=(0, 0, image.shape[1] / wide, image.shape[0] / high))


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
