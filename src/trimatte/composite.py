"""A subject over a new background."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import ImageColor

from trimatte.errors import ArgumentError
from trimatte.images import ImageLike, as_alpha, as_image
from trimatte.images.decode import is_source
from trimatte.planes.resize import resized

__all__ = ["background_image", "checkerboard", "composite"]

Background = ImageLike


def composite(foreground: ImageLike, alpha: ImageLike, background: Background) -> NDArray[np.float32]:
    """Lay a foreground over a background: alpha F + (1 - alpha) B (Porter and Duff 1984), on sRGB values.

    Parameters
    ----------
    foreground : (H, W, 3) array
        Straight colours, as for `as_image`.
    alpha : (H, W) array
        As for `as_alpha`.
    background : str, tuple, array, PIL image or path
        A colour: a name or code that PIL's ImageColor knows ("white", "#1e90ff", "hsl(120, 50%, 50%)"), or three
        numbers, integers of 0 to 255 or floats in [0, 1]. Or a picture, as for `as_image`: of another size it is
        scaled to cover the foreground and its middle is taken. A str that is no colour is a path.

    Returns
    -------
    image : (H, W, 3) float32 array in [0, 1]

    Raises
    ------
    ArgumentError
        If the sizes of foreground and alpha differ, an array's type or range is wrong, or a colour is unknown.
    ImageReadError
        If the background is a file that cannot be read.
    """
    foreground = as_image(foreground, name="foreground")
    alpha = as_alpha(alpha, shape=foreground.shape[:2])
    behind = background_image(background, alpha.shape)
    image = foreground - behind
    image *= alpha[..., None]
    image += behind
    np.clip(image, 0, 1, out=image)  # rounding may leave the range by a bit
    return image


def background_image(background: Background, shape: Sequence[int]) -> NDArray[np.float32]:
    """A background, as `composite` takes it, as a read-only image (H, W, 3) of the height and width given."""
    height, width = shape[:2]
    colour = _colour(background)
    if colour is not None:
        return np.broadcast_to(colour, (height, width, 3))
    image = as_image(background, name="background")
    return image if image.shape[:2] == (height, width) else _covering(image, height, width)


def checkerboard(
    shape: Sequence[int], *, size: int = 16, colours: tuple[float, float] = (1.0, 0.8)
) -> NDArray[np.float32]:
    """The grey squares that show transparency.

    Parameters
    ----------
    shape : (int, int, ...)
        Height and width.
    size : int
        Side of a square in pixels.
    colours : (float, float)
        The two greys in [0, 1], that of the first square first.

    Returns
    -------
    image : (H, W, 3) float32 array in [0, 1]

    Raises
    ------
    ArgumentError
        If `size` is not positive or a grey is outside [0, 1].
    """
    if size < 1:
        raise ArgumentError(f"size: got {size}; wanted 1 or more")
    if not all(0 <= grey <= 1 for grey in colours):
        raise ArgumentError(f"colours: got {colours}; wanted greys in [0, 1]")
    height, width = shape[:2]
    odd = (np.arange(height)[:, None] // size + np.arange(width) // size) % 2
    greys = np.asarray(colours, np.float32)[odd]
    return np.repeat(greys[..., None], 3, axis=2)


def _colour(background: Any) -> NDArray[np.float32] | None:
    """The three values of a colour, or None if it is a picture."""
    if isinstance(background, str):
        return _named_colour(background)
    if is_source(background):
        return None
    values = np.asarray(background)
    if values.ndim != 1:
        return None
    white = 255 if values.dtype.kind in "iu" else 1
    if values.shape != (3,) or values.dtype.kind not in "iuf" or not ((values >= 0) & (values <= white)).all():
        raise ArgumentError(
            f"background: got {background!r}; wanted three integers of 0 to 255, or three floats in [0, 1]"
        )
    return (values / white).astype(np.float32)


def _named_colour(name: str) -> NDArray[np.float32] | None:
    try:
        values = ImageColor.getrgb(name)
    except ValueError:
        could_be_path = os.path.splitext(name)[1] or os.path.exists(name)
        if could_be_path and not name.startswith(("#", "rgb(", "rgba(", "hsl(", "hsv(", "hsb(")):
            return None
        wanted = "a colour such as 'white' or '#1e90ff', or a path"
        raise ArgumentError(f"background: got {name!r}; wanted {wanted}") from None
    if len(values) == 4 and values[3] != 255:
        raise ArgumentError(f"background: got {name!r}; wanted an opaque colour")
    return np.asarray(values[:3], np.float32) / np.float32(255)


def _covering(image: NDArray[np.float32], height: int, width: int) -> NDArray[np.float32]:
    """The image scaled so that it covers (height, width), and cut about its middle."""
    own_height, own_width = image.shape[:2]
    scale = max(height / own_height, width / own_width)
    cut_height, cut_width = min(height / scale, own_height), min(width / scale, own_width)  # but for rounding, no more
    left, top = (own_width - cut_width) / 2, (own_height - cut_height) / 2
    box = (left, top, min(left + cut_width, own_width), min(top + cut_height, own_height))
    return np.ascontiguousarray(resized(image, (height, width), "lanczos", box=box))
