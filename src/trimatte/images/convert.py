"""The door for arrays: what a caller may pass, in the one form that is computed with.

Inside trimatte an image is sRGB, (H, W, 3) float32 in [0, 1].
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from trimatte.errors import ArgumentError
from trimatte.images.arrays import UNKNOWN, Array, Codes, Floats, floats_of, image_of, plane_of, read_only, white_of
from trimatte.images.decode import Decoded, decode_source, is_source
from trimatte.images.formats import MAX_PIXELS
from trimatte.images.read import ImageLike, Picture, load_picture, warn_of


def as_image(x: ImageLike, *, name: str = "image") -> Floats:
    """Convert what a caller may pass for an image to the one form that is computed with.

    Parameters
    ----------
    x : array, PIL image, path, bytes or binary file object
        (H, W), (H, W, 1), (H, W, 3) or (H, W, 4): uint8 or uint16, or float in [0, 1], taken for sRGB. Grey is
        repeated for each channel, and alpha is left out. What is not an array is read by `load_picture`.
    name : str
        What an error message calls it.

    Returns
    -------
    image : (H, W, 3) float32 array in [0, 1]
        C-contiguous and read-only, since it may share the memory of `x`.

    Raises
    ------
    ArgumentError
        If the shape, type or range is another.
    ImageReadError
        If a file cannot be read.
    """
    return read_only(load_picture(x).image) if is_source(x) else image_of(x, name)


def as_alpha(x: ImageLike, *, name: str = "alpha", shape: tuple[int, int] | Picture | None = None) -> Floats:
    """Convert what a caller may pass for an alpha matte or a probability to the one form that is computed with.

    Parameters
    ----------
    x : array, PIL image, path, bytes or binary file object
        (H, W) or (H, W, 1): bool, uint8 or uint16, or float in [0, 1]. Of a file the greys are taken as they
        are, whatever its colour profile; if it has an alpha channel that is not opaque all over, that one.
    name : str
        What an error message calls it.
    shape : (int, int) or Picture, optional
        The height and width it must have, or the picture that it must fit.

    Returns
    -------
    alpha : (H, W) float32 array in [0, 1]
        C-contiguous and read-only, since it may share the memory of `x`.

    Raises
    ------
    ArgumentError
        If the shape, type or range is another.
    ImageReadError
        If a file cannot be read.
    """
    if is_source(x):
        decoded = decode_source(x)
        warn_of(decoded.notes, name)
        x = _greys(decoded, name) if decoded.alpha is None or _opaque(decoded.alpha) else decoded.alpha
    return read_only(floats_of(fitting_plane(x, name, shape), name))


def as_trimap(
    x: ImageLike, *, name: str = "trimap", shape: tuple[int, int] | Picture | None = None, max_pixels: int = MAX_PIXELS
) -> NDArray[np.uint8]:
    """Convert what a caller may pass for a trimap to the one form that is computed with.

    Parameters
    ----------
    x : array, PIL image, path, bytes or binary file object
        (H, W) or (H, W, 1): bool, uint8 or uint16, or float in [0, 1]. The least value is background, the
        greatest foreground, and all between is unknown. Of a file the greys are taken, without its alpha.
    name : str
        What an error message calls it.
    shape : (int, int) or Picture, optional
        The height and width it must have, or the picture that it must fit.
    max_pixels : int
        The most pixels of a file that are decoded.

    Returns
    -------
    trimap : (H, W) uint8 array
        0 background, 255 foreground, 128 unknown; C-contiguous and read-only.

    Raises
    ------
    ArgumentError
        If the shape, type or range is another.
    ImageReadError
        If a file cannot be read.
    """
    if is_source(x):
        decoded = decode_source(x, max_pixels)
        warn_of(decoded.notes, name)
        x = _greys(decoded, name)
    plane = fitting_plane(x, name, shape)
    white = white_of(plane, name)
    trimap = np.full(plane.shape, UNKNOWN, np.uint8)
    trimap[plane == 0] = 0
    trimap[plane == white] = 255
    return read_only(trimap)


def fitting_plane(x: ImageLike, name: str, shape: tuple[int, int] | Picture | None) -> Array:
    """A plane (H, W) of the size that it must have."""
    if not isinstance(shape, Picture):
        return plane_of(x, name, shape)
    plane = plane_of(x, name, None)
    if plane.shape == shape.stored_shape != shape.image.shape[:2]:
        raise ArgumentError(
            f"{name}: got shape {plane.shape}, the size of the photo's pixels as they are stored; wanted "
            f"{shape.image.shape[:2]}, that of the photo as its EXIF orientation {shape.orientation} turns it"
        )
    return plane_of(plane, name, shape.image.shape[:2])


def _greys(decoded: Decoded, name: str) -> Codes:
    codes = decoded.codes
    if codes.ndim == 2:
        return codes
    if (codes[..., :1] != codes[..., 1:]).any():
        raise ArgumentError(f"{name}: got a picture with colours; wanted a grey one")
    return codes[..., 0]


def _opaque(alpha: Codes) -> bool:
    return bool(alpha.min() == np.iinfo(alpha.dtype).max)
