"""Photos that EXIF turns when they are read, and masks that may have been drawn on the stored pixels."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from trimatte.images import upright

Plane = NDArray[Any]

CLEAR = 1.1
"""How many times as well a mask must fit one way as the other, to be sure of it."""


def fits_turned(image: Plane, mask: Plane, orientation: int) -> bool | None:
    """Whether a mask was drawn on a photo's pixels before its EXIF orientation turned them.

    A mask's edges lie on edges of its photo; so the photo's gradient along them is compared, both ways.

    Parameters
    ----------
    image : (H, W) or (H, W, 3) array
        The photo upright.
    mask : (H, W) array
        As it is read.
    orientation : int
        The photo's, 1 to 8.

    Returns
    -------
    turned : bool or None
        None if it cannot be told. False without an orientation, and where the mask has the photo's size upright alone.
    """
    turned = upright(mask, orientation)
    if orientation == 1 or turned.shape != image.shape[:2]:
        return False
    if mask.shape != image.shape[:2]:
        return True
    strength = _gradient(image.mean(axis=2) if image.ndim == 3 else image)
    as_it_is, other = _along(strength, mask), _along(strength, turned)
    if other > CLEAR * as_it_is:
        return True
    return False if as_it_is > CLEAR * other else None


def stored_size_note(size: tuple[int, ...], image: tuple[int, ...], orientation: int) -> str:
    """What to add to an error about a mask's size (H, W): that it is the photo's before it was turned."""
    if orientation < 5 or tuple(size) != tuple(image[:2])[::-1]:
        return ""
    return f", the size of the photo's pixels before its EXIF orientation {orientation} turns them"


def _along(strength: Plane, mask: Plane) -> float:
    """The mean of the photo's gradient along the mask's edges."""
    weight = _gradient(mask)
    total = float(weight.sum())
    return float((strength * weight).sum()) / total if total else 0.0


def _gradient(plane: Plane) -> Plane:
    if min(plane.shape) < 2:
        return np.zeros(plane.shape, np.float32)
    down, across = np.gradient(plane.astype(np.float32))
    return np.asarray(np.hypot(down, across))
