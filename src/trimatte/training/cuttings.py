"""Cut-outs and empty backgrounds from photos with masks, to put scenes together from."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

RIM = 4
"""A cut-out's edge lies within so many pixels of its mask; what is unknown further off belongs to something else."""
SIDE = 320
"""Cut-outs are no larger than this."""
WHOLE = 0.85
"""The least share of a subject that its largest piece has to be."""


def cut(photo: Image.Image, mask: NDArray[np.uint8], *, unknown: int | None = None) -> Image.Image | None:
    """The subject of a photo (RGB) as an RGBA picture of its size and no more, or None if it is no good as one.

    Good is what is large enough, in one piece, and touches no more than one side of the photo. Pixels of the grey
    `unknown` beside the subject are its edge.
    """
    sure = mask >= 128 if unknown is None else mask > unknown
    soft = mask / np.float32(255)
    if unknown is not None:
        near = ndimage.binary_dilation(sure, iterations=RIM)
        soft = np.where(sure, 1, np.where((mask == unknown) & near, 0.5, 0)).astype(np.float32)
        soft = np.clip((ndimage.gaussian_filter(soft, 1.2) - 0.35) / 0.3, 0, 1)
    labels, count = ndimage.label(sure)
    if not count or np.bincount(labels.ravel())[1:].max() < WHOLE * sure.sum():
        return None
    sides = [edge.mean() > 0.02 for edge in (sure[0], sure[-1], sure[:, 0], sure[:, -1])]
    rows, columns = (np.flatnonzero(sure.any(axis)) for axis in (1, 0))
    high, wide = rows[-1] + 1 - rows[0], columns[-1] + 1 - columns[0]
    if sum(sides) > 1 or min(high, wide) < 40 or sides[0]:
        return None
    thing = photo.convert("RGB")
    thing.putalpha(Image.fromarray(np.rint(255 * soft).astype(np.uint8)))
    cutout = thing.crop((columns[0], rows[0], columns[-1] + 1, rows[-1] + 1))
    cutout.thumbnail((SIDE, SIDE))
    return cutout


def ground(photo: Image.Image, mask: NDArray[np.uint8], least: int = 120) -> Image.Image | None:
    """The largest part of a photo, from one side to another, without anything of its mask; None if it is too small."""
    rows, columns = (np.flatnonzero((mask > 0).any(axis)) for axis in (1, 0))
    if not len(rows):
        return photo
    width, height = photo.size
    boxes = [
        (0, 0, width, int(rows[0])),
        (0, int(rows[-1]) + 1, width, height),
        (0, 0, int(columns[0]), height),
        (int(columns[-1]) + 1, 0, width, height),
    ]
    left, top, right, bottom = max(boxes, key=lambda box: min(box[2] - box[0], 2 * (box[3] - box[1])))
    if min(right - left, bottom - top) < least:
        return None
    return photo.crop((left, top, right, bottom))
