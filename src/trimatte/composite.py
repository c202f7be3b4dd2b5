"""A subject over a new background."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from trimatte.errors import ArgumentError
from trimatte.images import ImageLike, as_alpha, as_image, background_image
from trimatte.images.background import lay_over
from trimatte.runtime.options import check_number, check_sequence

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
    return lay_over(foreground, alpha, background_image(background, alpha.shape))


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
        If `size` or a side is not positive, or a grey is outside [0, 1].
    """
    check_number("size", size, least=1, whole=True)
    check_sequence("colours", colours, "two greys in [0, 1]")
    if len(colours) != 2:
        raise ArgumentError(f"colours: got {colours!r}; wanted two greys in [0, 1]")
    for grey in colours:
        check_number("colours", grey, least=0, most=1)
    check_sequence("shape", shape, "height and width")
    if len(shape) < 2:
        raise ArgumentError(f"shape: got {shape!r}; wanted height and width")
    height, width = shape[:2]
    for side in (height, width):
        check_number("shape", side, least=1, whole=True)
    odd = (np.arange(height)[:, None] // size + np.arange(width) // size) % 2
    greys = np.asarray(colours, np.float32)[odd]
    return np.repeat(greys[..., None], 3, axis=2)
