"""Backgrounds: colours and pictures that a subject is laid over."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import ImageColor

from trimatte.errors import ArgumentError, ImageReadError
from trimatte.images.arrays import Floats, channels_of, floats_of, image_of
from trimatte.images.decode import is_source
from trimatte.images.formats import MAX_PIXELS
from trimatte.images.read import ImageLike, read_picture, warn_of
from trimatte.planes.resize import resized


def background_image(background: ImageLike, shape: Sequence[int]) -> NDArray[np.float32]:
    """A background, as `composite` takes it, as a read-only image (H, W, 3) of the height and width given."""
    height, width = shape[:2]
    colour = _colour(background)
    if colour is not None:
        return np.broadcast_to(colour, (height, width, 3))
    image = opaque_image(background)
    return image if image.shape[:2] == (height, width) else _covering(image, height, width)


def opaque_image(background: ImageLike, *, max_pixels: int = MAX_PIXELS) -> Floats:
    """A picture (H, W, 3) to lay something over. Raises `ArgumentError` if it is transparent in part."""
    if is_source(background):
        picture = read_picture(background, max_pixels=max_pixels)
        warn_of(picture.notes, "background")
        image, alpha = picture.image, picture.alpha
    else:
        channels = channels_of(background, "background")
        alpha = floats_of(channels[..., 3], "background") if channels.shape[2] == 4 else None
        image = image_of(background, "background")
    _check_opaque(alpha)
    return image


def check_background(background: Any) -> None:
    """Raise `ArgumentError` for a word, or the path of a file, that is no background; others are not read."""
    path = isinstance(background, (str, os.PathLike))
    if not path or (isinstance(background, str) and named_colour(background, "background") is not None):
        return
    try:
        _check_opaque(read_picture(background).alpha)
    except ImageReadError as error:
        raise ArgumentError(f"background: {error}") from error


def _check_opaque(alpha: Floats | None) -> None:
    if alpha is not None and alpha.min() < 1:
        raise ArgumentError("background: got a picture with alpha; wanted an opaque one")


def lay_over(foreground: Floats, alpha: Floats, behind: Floats) -> Floats:
    """alpha F + (1 - alpha) B of images (H, W, 3) and alpha (H, W), all float32 in [0, 1]."""
    image: Floats = foreground - behind
    image *= alpha[..., None]
    image += behind
    return np.clip(image, 0, 1, out=image)  # rounding may leave the range by a bit


def as_colour(colour: Any, name: str, also: str = "") -> NDArray[np.float32]:
    """An opaque colour (3,) float32 in [0, 1] from a word, three integers of 0 to 255 or three floats in [0, 1].

    Raises `ArgumentError`, which calls it by `name` and ends with what else is allowed, for what is none.
    """
    try:
        values = _colour(colour, name)
    except ArgumentError as error:
        raise ArgumentError(f"{error}{also}") from None
    if values is None:
        raise ArgumentError(f"{name}: got {colour!r}; wanted a colour such as 'white' or '#1e90ff'{also}")
    return values


def _colour(background: Any, name: str = "background") -> NDArray[np.float32] | None:
    """The three values of a colour, or None if it is a picture."""
    if isinstance(background, str):
        return named_colour(background, name)
    if is_source(background):
        return None
    values = np.asarray(background)
    if values.ndim != 1:
        return None
    white = 255 if values.dtype.kind in "iu" else 1
    if values.shape != (3,) or values.dtype.kind not in "iuf" or not ((values >= 0) & (values <= white)).all():
        raise ArgumentError(f"{name}: got {background!r}; wanted three integers of 0 to 255, or three floats in [0, 1]")
    return (values / white).astype(np.float32)


def named_colour(word: str, name: str) -> NDArray[np.float32] | None:
    """The three values of a colour's word; None for what may be the path of a picture, where one may stand.

    Raises `ArgumentError` for another word.
    """
    try:
        values = ImageColor.getrgb(word)
    except ValueError:
        could_be_path = name == "background" and (os.path.splitext(word)[1] or os.path.exists(word))
        if could_be_path and not word.startswith(("#", "rgb(", "rgba(", "hsl(", "hsv(", "hsb(")):
            return None
        wanted = "a colour such as 'white' or '#1e90ff'" + (", or a path" if name == "background" else "")
        raise ArgumentError(f"{name}: got {word!r}; wanted {wanted}") from None
    if max(values) > 255:
        raise ArgumentError(f"{name}: got {word!r}; wanted values of 0 to 255")
    if len(values) == 4 and values[3] != 255:
        raise ArgumentError(f"{name}: got {word!r}; wanted an opaque colour")
    return np.asarray(values[:3], np.float32) / np.float32(255)


def _covering(image: NDArray[np.float32], height: int, width: int) -> NDArray[np.float32]:
    """The image scaled so that it covers (height, width), and cut about its middle."""
    own_height, own_width = image.shape[:2]
    scale = max(height / own_height, width / own_width)
    cut_height, cut_width = min(height / scale, own_height), min(width / scale, own_width)  # but for rounding, no more
    left, top = (own_width - cut_width) / 2, (own_height - cut_height) / 2
    box = (left, top, min(left + cut_width, own_width), min(top + cut_height, own_height))
    return np.ascontiguousarray(resized(image, (height, width), "lanczos", box=box))
