"""Colours that a picture hides under its own alpha: they are never used, nor written."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from trimatte.images.arrays import Floats, channels_of
from trimatte.images.convert import as_image
from trimatte.images.decode import is_source
from trimatte.images.read import Picture, load_picture


def without_hidden(picture: Picture) -> Picture:
    """The picture with the colours of its visible pixels alone.

    What is computed with goes on under transparency as the nearest visible pixel, so that no edge arises there; black
    if nothing is visible. The colours to be written are 0 there.
    """
    if picture.alpha is None or (visible := picture.alpha > 0).all():
        return picture
    shown = np.where(visible[..., None], picture.pixels, 0).astype(picture.pixels.dtype)
    return replace(picture, image=_continued(picture.image, visible), pixels=shown)


def visible_image(x: Any, *, name: str = "image") -> Floats:
    """`as_image`, without colours that are hidden under an alpha of 0."""
    if is_source(x) or channels_of(x, name).shape[2] == 4:
        return without_hidden(load_picture(x)).image
    return as_image(x, name=name)


def _continued(image: Floats, visible: np.ndarray) -> Floats:
    """Image (H, W, 3) with the colour of the nearest visible pixel where none is visible."""
    if not visible.any():
        return np.zeros_like(image)
    from scipy.ndimage import distance_transform_edt

    rows, columns = distance_transform_edt(~visible, return_distances=False, return_indices=True)
    continued: Floats = image[rows, columns]
    return continued
