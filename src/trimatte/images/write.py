"""Pictures written, in the colours that came in."""

from __future__ import annotations

import io
import os
from typing import IO, Any

import numpy as np
from numpy.typing import ArrayLike

from trimatte.errors import ArgumentError, ImageWriteError
from trimatte.files.atomic import atomic_write, reason
from trimatte.images import icc
from trimatte.images.arrays import Array, Codes, bands, channels_of, codes_of, floats_of, plane_of, quantised
from trimatte.images.background import background_image, lay_over
from trimatte.images.convert import as_alpha, as_image
from trimatte.images.decode import is_source
from trimatte.images.encode import encode
from trimatte.images.formats import FORMATS, output_format
from trimatte.images.metadata import Metadata
from trimatte.images.read import ImageLike, Picture
from trimatte.runtime.threads import for_each


def restore_colours(foreground: ArrayLike, picture: Picture, alpha: ArrayLike | None = None) -> Codes:
    """Bring computed colours back to a picture's own profile and depth.

    Parameters
    ----------
    foreground : (H, W, 3) array
        sRGB, as for `as_image`.
    picture : Picture
        The picture that the colours were computed from.
    alpha : (H, W) array, optional
        As for `as_alpha`. Where it is 1 the foreground is the picture, whose own colours are taken.

    Returns
    -------
    colours : (H, W, 3) uint8 or uint16 array
        To be written with `picture.icc_profile`. Where the foreground equals `picture.image`, exactly
        `picture.pixels`: neither the way through sRGB nor its narrower gamut touches them.

    Raises
    ------
    ArgumentError
        If the sizes differ, or a type or range is wrong.
    """
    foreground = as_image(foreground, name="foreground")
    if foreground.shape != picture.image.shape:
        raise ArgumentError(f"foreground: got shape {foreground.shape}; wanted the picture's, {picture.image.shape}")
    covered = None if alpha is None else as_alpha(alpha, shape=foreground.shape[:2])
    if picture.icc_profile is None or icc.is_srgb(picture.icc_profile):
        colours = quantised(foreground, picture.bits)
    else:
        colours = np.ascontiguousarray(icc.from_srgb(foreground, picture.icc_profile, picture.bits))

    def restore(rows: slice) -> None:
        same = foreground[rows] == picture.image[rows]
        own = same[..., 0] & same[..., 1] & same[..., 2]
        if covered is not None:
            own |= covered[rows] == 1
        places = np.flatnonzero(own)  # numpy is slower by a mask of two axes
        colours[rows].reshape(-1, 3)[places] = picture.pixels[rows].reshape(-1, 3).take(places, axis=0)

    for_each(restore, bands(colours.shape))
    return colours


def save_image(
    path: str | os.PathLike[str] | IO[bytes],
    image: ArrayLike,
    *,
    alpha: ArrayLike | None = None,
    icc_profile: bytes | None = None,
    bits: int | None = None,
    quality: int | None = None,
    format: str | None = None,
    background: Any = None,
    metadata: Metadata | None = None,
    chroma: str = "444",
) -> None:
    """Write a picture; a file appears only once it is complete.

    Without `metadata` none is written but the colour profile and that trimatte made it: EXIF may tell places and names.

    Parameters
    ----------
    path : path or binary file object
        Its suffix chooses the format: .png, .webp, .tif, .tiff, .avif, .jpg, .jpeg.
    image : (H, W), (H, W, 3) or (H, W, 4) array
        As for `as_image`; uint8 and uint16 codes of the depth that is written are written unchanged. The fourth
        channel is taken for alpha. Grey without alpha or profile is written as one channel.
    alpha : (H, W) array, optional
        As for `as_alpha`.
    icc_profile : bytes, optional
        The RGB profile that the colours are in, kept in the file; sRGB without.
    bits : {8, 16}, optional
        Depth of a channel; 16 for PNG and TIFF only. By default 16 for uint16 in those formats, else 8.
    quality : int, optional
        1 to 100, for JPEG (95 by default), WebP (90) and AVIF (80). PNG and TIFF lose nothing and heed none.
    format : str, optional
        "PNG", "WebP", "TIFF", "AVIF" or "JPEG", instead of the suffix; needed for a file object.
    background : colour, array or path, optional
        As for `composite`: what the picture is laid over, instead of keeping its alpha.
    metadata : Metadata, optional
        What the file says beside its pixels, such as `load_picture(photo).metadata.kept("copyright")`.
    chroma : {'444', '422', '420'}
        Of JPEG: colours at full resolution, or at half of it across, or across and down.

    Raises
    ------
    ArgumentError
        If an argument is of another shape, type or range, or JPEG is asked to hold alpha.
    ImageWriteError
        If the file cannot be written; nothing is left behind, and a file that was there is left alone.
    """
    format = output_format(path, format)
    array = as_image(image) if is_source(image) else channels_of(image, "image")
    if bits is None:
        bits = FORMATS[format].bits if array.dtype == np.uint16 else 8
    codes, opacity = _to_write(array, alpha, bits)
    if opacity is not None or icc_profile is not None:
        codes = np.broadcast_to(codes, (*codes.shape[:2], 3))
    if opacity is not None and background is not None:
        codes, opacity = laid_over(codes, opacity, background, icc_profile), None
    if isinstance(path, (str, os.PathLike)):
        with atomic_write(path) as file:
            encode(file, codes, opacity, format, icc_profile, quality, metadata, chroma)
        return
    buffer = io.BytesIO()  # a pipe cannot be gone back in, as TIFF does
    encode(buffer, codes, opacity, format, icc_profile, quality, metadata, chroma)
    try:
        path.write(buffer.getbuffer())
    except OSError as error:
        raise ImageWriteError(f"cannot write the picture: {reason(error)}") from error


def _to_write(array: Array, alpha: ImageLike | None, bits: int) -> tuple[Codes, Codes | None]:
    """Codes (H, W, 1 or 3) and alpha (H, W) of the depth that is written, untouched where they have it already."""
    if bits not in (8, 16):
        raise ArgumentError(f"bits: got {bits!r}; wanted 8 or 16")
    if alpha is None and array.shape[2] == 4:
        alpha = array[..., 3]
    codes = codes_of(array[..., :3], bits, "image")
    if alpha is None:
        return codes, None
    plane = plane_of(as_alpha(alpha) if is_source(alpha) else alpha, "alpha", codes.shape[:2])
    return codes, codes_of(plane, bits, "alpha")


def laid_over(codes: Codes, opacity: Codes, background: Any, profile: bytes | None) -> Codes:
    """The picture over a background, whose colours are first brought to the picture's profile."""
    canvas = background_image(background, opacity.shape)
    bits = 8 * codes.itemsize
    if profile is not None and not icc.is_srgb(profile):
        try:
            canvas = floats_of(icc.from_srgb(canvas, profile, bits), "background")
        except icc.ProfileError as error:
            raise ArgumentError(f"icc_profile: got one that cannot be used ({error}); wanted an RGB profile") from error
    return quantised(lay_over(floats_of(codes, "image"), floats_of(opacity, "alpha"), canvas), bits)
