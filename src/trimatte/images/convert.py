"""Pictures in and out: the door where arrays are checked, and files read and written.

Inside trimatte an image is sRGB, (H, W, 3) float32 in [0, 1]. A file's own colours, depth and profile are kept
beside it in a `Picture`, so that a cut-out can be written in the colours that came in.
"""

from __future__ import annotations

import io
import os
from dataclasses import dataclass
from typing import IO, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from trimatte.errors import ArgumentError, ImageWriteError
from trimatte.files.atomic import atomic_write, reason
from trimatte.images import icc
from trimatte.images.arrays import (
    UNKNOWN,
    Array,
    Codes,
    Floats,
    array_of,
    bands,
    channels_of,
    codes_of,
    floats_of,
    plane_of,
    quantised,
    read_only,
    white_of,
)
from trimatte.images.decode import MAX_PIXELS, Decoded, Source, decode, is_source
from trimatte.images.encode import DEEP_FORMATS, encode, output_format
from trimatte.runtime.threads import for_each

__all__ = [
    "MAX_PIXELS",
    "Picture",
    "as_alpha",
    "as_image",
    "as_trimap",
    "load_image",
    "load_picture",
    "output_format",
    "restore_colours",
    "save_image",
]

ImageLike = ArrayLike | Source


@dataclass(frozen=True, eq=False)
class Picture:
    """A decoded picture: what is computed with, and what came in.

    Attributes
    ----------
    image : (H, W, 3) float32 array in [0, 1]
        sRGB, for the computation.
    pixels : (H, W, 3) uint8 or uint16 array
        The colours as decoded, upright, in the profile `icc_profile`.
    alpha : (H, W) float32 array in [0, 1] or None
        The picture's own alpha, if it has any.
    icc_profile : bytes or None
        The RGB profile of `pixels`; None for sRGB. Grey and CMYK profiles are resolved when the picture is read.
    bits : int
        8 or 16, the depth of `pixels`.
    format : str
        Such as "JPEG"; empty for an image made in memory.
    """

    image: Floats
    pixels: Codes
    alpha: Floats | None
    icc_profile: bytes | None
    bits: int
    format: str


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
    if is_source(x):
        return read_only(load_picture(x).image)
    floats = floats_of(channels_of(x, name)[..., :3], name)
    return read_only(np.repeat(floats, 3, axis=2) if floats.shape[2] == 1 else floats)


def as_alpha(x: ImageLike, *, name: str = "alpha", shape: tuple[int, int] | None = None) -> Floats:
    """Convert what a caller may pass for an alpha matte or a probability to the one form that is computed with.

    Parameters
    ----------
    x : array, PIL image, path, bytes or binary file object
        (H, W) or (H, W, 1): bool, uint8 or uint16, or float in [0, 1]. Of a file the greys are taken as they
        are, whatever its colour profile; if it has an alpha channel that is not opaque all over, that one.
    name : str
        What an error message calls it.
    shape : (int, int), optional
        The height and width it must have.

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
        decoded = decode(x)
        x = _greys(decoded, name) if decoded.alpha is None or _opaque(decoded.alpha) else decoded.alpha
    return read_only(floats_of(plane_of(x, name, shape), name))


def as_trimap(
    x: ImageLike, *, name: str = "trimap", shape: tuple[int, int] | None = None, max_pixels: int = MAX_PIXELS
) -> NDArray[np.uint8]:
    """Convert what a caller may pass for a trimap to the one form that is computed with.

    Parameters
    ----------
    x : array, PIL image, path, bytes or binary file object
        (H, W) or (H, W, 1): bool, uint8 or uint16, or float in [0, 1]. The least value is background, the
        greatest foreground, and all between is unknown. Of a file the greys are taken, without its alpha.
    name : str
        What an error message calls it.
    shape : (int, int), optional
        The height and width it must have.
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
    plane = plane_of(_greys(decode(x, max_pixels), name) if is_source(x) else x, name, shape)
    white = white_of(plane, name)
    trimap = np.full(plane.shape, UNKNOWN, np.uint8)
    trimap[plane == 0] = 0
    trimap[plane == white] = 255
    return read_only(trimap)


def load_image(source: ImageLike, *, max_pixels: int = MAX_PIXELS) -> Floats:
    """Read a picture's colours.

    Parameters
    ----------
    source : path, bytes, binary file object, PIL image or array
        See `load_picture`, which also gives alpha, depth and profile.
    max_pixels : int
        The most pixels that are decoded.

    Returns
    -------
    image : (H, W, 3) float32 array in [0, 1]
        sRGB.

    Raises
    ------
    ImageReadError
        If it cannot be read; `ImageTooLargeError` if it has more than `max_pixels`.
    """
    return load_picture(source, max_pixels=max_pixels).image


def load_picture(source: ImageLike, *, max_pixels: int = MAX_PIXELS) -> Picture:
    """Read a picture with all that is needed to write its colours back.

    Parameters
    ----------
    source : path, bytes, binary file object, PIL image or array
        PNG, JPEG (MPO), WebP, TIFF, AVIF, GIF (its first frame), BMP or PPM. 16-bit PNG and TIFF keep their
        depth, save through a PIL image, which has lost it. EXIF orientation is applied. An array is taken as
        by `as_image`, a fourth channel for alpha.
    max_pixels : int
        The most pixels that are decoded; the header is asked, before any memory is spent.

    Returns
    -------
    picture : Picture

    Raises
    ------
    ImageTooLargeError
        If the picture has more than `max_pixels`.
    ImageReadError
        If it is missing, damaged, or not a picture of those formats.
    ArgumentError
        If an array's shape, type or range is wrong.

    Warns
    -----
    UserWarning
        If its colour profile cannot be used; the colours are then taken for sRGB.
    """
    if not is_source(source):
        return _picture_of(array_of(source, "image"))
    decoded = decode(source, max_pixels)
    pixels, image, profile = _colours(decoded)
    alpha = None if decoded.alpha is None else floats_of(decoded.alpha, "alpha")
    return Picture(image, pixels, alpha, profile, 8 * pixels.itemsize, decoded.format)


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
        colours = icc.from_srgb(foreground, picture.icc_profile, picture.bits)

    def restore(rows: slice) -> None:
        same = foreground[rows] == picture.image[rows]
        own = same[..., 0] & same[..., 1] & same[..., 2]
        if covered is not None:
            own |= covered[rows] == 1
        np.copyto(colours[rows], picture.pixels[rows], where=own[..., None])

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
) -> None:
    """Write a picture; a file appears only once it is complete.

    No metadata but the colour profile is written: EXIF may tell places and names.

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
        bits = 16 if array.dtype == np.uint16 and format in DEEP_FORMATS else 8
    codes, opacity = _to_write(array, alpha, bits)
    if opacity is not None or icc_profile is not None:
        codes = np.broadcast_to(codes, (*codes.shape[:2], 3))
    if opacity is not None and background is not None:
        codes, opacity = _laid_over(codes, opacity, background, icc_profile), None
    if isinstance(path, (str, os.PathLike)):
        with atomic_write(path) as file:
            encode(file, codes, opacity, format, icc_profile, quality)
        return
    buffer = io.BytesIO()  # a pipe cannot be gone back in, as TIFF does
    encode(buffer, codes, opacity, format, icc_profile, quality)
    try:
        path.write(buffer.getbuffer())
    except OSError as error:
        raise ImageWriteError(f"cannot write the picture: {reason(error)}") from error


def _picture_of(array: Array) -> Picture:
    """An array as a picture in sRGB."""
    channels = channels_of(array, "image")
    image = as_image(array)
    alpha = as_alpha(channels[..., 3], name="image") if channels.shape[2] == 4 else None
    bits = 16 if array.dtype == np.uint16 else 8
    pixels = np.broadcast_to(codes_of(channels[..., :3], bits, "image"), image.shape)
    return Picture(image, read_only(pixels), alpha, None, bits, "")


def _colours(decoded: Decoded) -> tuple[Codes, Floats, bytes | None]:
    """The pixels (H, W, 3), the same in sRGB, and the profile of the pixels, if it is to be kept."""
    codes, profile = decoded.codes, decoded.profile
    try:
        if profile and codes.ndim == 2 and icc.colour_space(profile) == "GRAY":
            codes, profile = icc.grey_to_srgb(profile, 8 * codes.itemsize)[codes], None
        if profile and not icc.is_srgb(profile):
            pixels = _in_rgb(codes)
            icc.check_both_ways(profile)
            return pixels, icc.to_srgb(pixels, profile), profile
    except icc.ProfileError as error:
        icc.warn_unusable(error)
        profile = None
    pixels = _in_rgb(codes)
    return pixels, floats_of(pixels, "image"), profile


def _in_rgb(codes: Codes) -> Codes:
    return np.repeat(codes[..., None], 3, axis=2) if codes.ndim == 2 else codes


def _greys(decoded: Decoded, name: str) -> Codes:
    codes = decoded.codes
    if codes.ndim == 2:
        return codes
    if (codes[..., :1] != codes[..., 1:]).any():
        raise ArgumentError(f"{name}: got a picture with colours; wanted a grey one")
    return codes[..., 0]


def _opaque(alpha: Codes) -> bool:
    return bool(alpha.min() == np.iinfo(alpha.dtype).max)


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


def _laid_over(codes: Codes, opacity: Codes, background: Any, profile: bytes | None) -> Codes:
    """The picture over a background, whose colours are first brought to the picture's profile."""
    from trimatte.composite import background_image, composite

    canvas = background_image(background, opacity.shape)
    bits = 8 * codes.itemsize
    if profile is not None and not icc.is_srgb(profile):
        try:
            canvas = floats_of(icc.from_srgb(canvas, profile, bits), "background")
        except icc.ProfileError as error:
            raise ArgumentError(f"icc_profile: got one that cannot be used ({error}); wanted an RGB profile") from error
    return quantised(composite(codes, opacity, canvas), bits)
