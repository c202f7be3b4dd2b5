"""Pictures in and out: the door where arrays are checked, and files read and written.

Inside trimatte an image is sRGB, (H, W, 3) float32 in [0, 1]. A file's own colours, depth and profile are kept
beside it in a `Picture`, so that a cut-out can be written in the colours that came in.
"""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import IO, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from trimatte import _icc
from trimatte._decode import MAX_PIXELS, Codes, Decoded, Source, decode, is_source
from trimatte._encode import DEEP_FORMATS, encode, output_format
from trimatte._files import atomic_write, reason
from trimatte.errors import ArgumentError, ImageWriteError

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

    image: NDArray[np.float32]
    pixels: NDArray[np.uint8] | NDArray[np.uint16]
    alpha: NDArray[np.float32] | None
    icc_profile: bytes | None
    bits: int
    format: str


def as_image(x: ImageLike, *, name: str = "image") -> NDArray[np.float32]:
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
        return _read_only(load_picture(x).image)
    array = _channels(np.asarray(x), name)[..., :3]
    if array.dtype == bool:
        raise _refused(name, array, "uint8, uint16 or float")
    floats = _floats(array, name)
    return _read_only(np.ascontiguousarray(np.repeat(floats, 3, axis=2) if floats.shape[2] == 1 else floats))


def as_alpha(x: ImageLike, *, name: str = "alpha", shape: tuple[int, int] | None = None) -> NDArray[np.float32]:
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
        array = _greys(decoded, name) if decoded.alpha is None or _opaque(decoded.alpha) else decoded.alpha
    else:
        array = np.asarray(x)
    array = _plane(array, name, shape)
    return _read_only(np.ascontiguousarray(_floats(array, name)))


def as_trimap(x: ImageLike, *, name: str = "trimap", shape: tuple[int, int] | None = None) -> NDArray[np.uint8]:
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
    array = _plane(_greys(decode(x), name) if is_source(x) else np.asarray(x), name, shape)
    white = _white(array, name)
    trimap = np.full(array.shape, 128, np.uint8)
    trimap[array == 0] = 0
    trimap[array == white] = 255
    return _read_only(trimap)


def load_image(source: ImageLike, *, max_pixels: int = MAX_PIXELS) -> NDArray[np.float32]:
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
        return _picture_of(np.asarray(source))
    decoded = decode(source, max_pixels)
    pixels, image, profile = _colours(decoded)
    alpha = None if decoded.alpha is None else _icc.as_floats(decoded.alpha)
    return Picture(image, pixels, alpha, profile, 8 * pixels.itemsize, decoded.format)


def restore_colours(
    foreground: ArrayLike, picture: Picture, alpha: ArrayLike | None = None
) -> NDArray[np.uint8] | NDArray[np.uint16]:
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
    shape = picture.pixels.shape
    if foreground.shape != shape:
        raise ArgumentError(f"foreground: got shape {foreground.shape}; wanted the picture's, {shape}")
    if picture.icc_profile is None or _icc.is_srgb(picture.icc_profile):
        colours = _icc.quantised(foreground, picture.bits)
    else:
        colours = _icc.from_srgb(foreground, picture.icc_profile, picture.bits)
    own = (foreground == picture.image).all(axis=2)
    if alpha is not None:
        own |= as_alpha(alpha, shape=shape[:2]) == 1
    np.copyto(colours, picture.pixels, where=own[..., None])
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
        channel is taken for alpha.
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
    array = as_image(image) if is_source(image) else _channels(np.asarray(image), "image")
    if bits is None:
        bits = 16 if array.dtype == np.uint16 and format in DEEP_FORMATS else 8
    codes, opacity = _to_write(array, alpha, bits)
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


def _to_write(array: NDArray[Any], alpha: ImageLike | None, bits: int) -> tuple[Codes, Codes | None]:
    """Codes (H, W, 3) and alpha (H, W) of the depth that is written, untouched where they have it already."""
    if bits not in (8, 16):
        raise ArgumentError(f"bits: got {bits!r}; wanted 8 or 16")
    if alpha is None and array.shape[2] == 4:
        alpha = array[..., 3]
    codes = _codes(array[..., :3], bits, "image")
    codes = np.broadcast_to(codes, (*codes.shape[:2], 3))
    if alpha is None:
        return codes, None
    plane = as_alpha(alpha) if is_source(alpha) else np.asarray(alpha)
    return codes, _codes(_plane(plane, "alpha", codes.shape[:2]), bits, "alpha")


def _codes(array: NDArray[Any], bits: int, name: str) -> Codes:
    """The array as codes of the given depth; itself if it is."""
    return array if array.dtype == f"uint{bits}" else _icc.quantised(_floats(array, name), bits)


def _laid_over(codes: Codes, opacity: Codes, background: Any, profile: bytes | None) -> Codes:
    """The picture over a background, whose colours are first brought to the picture's profile."""
    from trimatte.composite import background_image, composite

    canvas = background_image(background, opacity.shape)
    bits = 8 * codes.itemsize
    if profile is not None and not _icc.is_srgb(profile):
        try:
            canvas = _icc.as_floats(_icc.from_srgb(canvas, profile, bits))
        except _icc.ProfileError as error:
            raise ArgumentError(f"icc_profile: got one that cannot be used ({error}); wanted an RGB profile") from error
    return _icc.quantised(composite(codes, opacity, canvas), bits)


def _picture_of(array: NDArray[Any]) -> Picture:
    channels = _channels(array, "image")
    image = as_image(array)
    alpha = as_alpha(channels[..., 3], name="the image's alpha") if channels.shape[2] == 4 else None
    bits = 16 if array.dtype == np.uint16 else 8
    pixels = _codes(channels[..., :3], bits, "image")
    pixels = np.ascontiguousarray(np.broadcast_to(pixels, image.shape))
    return Picture(image, _read_only(pixels), alpha, None, bits, "")


def _colours(decoded: Decoded) -> tuple[Codes, NDArray[np.float32], bytes | None]:
    """The pixels (H, W, 3), the same in sRGB, and the profile of the pixels, if it is to be kept."""
    codes, profile = decoded.codes, decoded.profile
    grey = codes.ndim == 2
    try:
        if profile is not None and grey and _icc.colour_space(profile) == "GRAY":
            codes, profile = _icc.grey_to_srgb(profile, 8 * codes.itemsize)[codes], None
        if grey:
            codes = np.repeat(codes[..., None], 3, axis=2)
        if profile is None or _icc.is_srgb(profile):
            return codes, _icc.as_floats(codes), profile
        _icc.check_both_ways(profile)
        return codes, _icc.to_srgb(codes, profile), profile
    except _icc.ProfileError as error:
        _icc.warn_unusable(error)
        codes = np.repeat(codes[..., None], 3, axis=2) if codes.ndim == 2 else codes
        return codes, _icc.as_floats(codes), None


def _greys(decoded: Decoded, name: str) -> Codes:
    codes = decoded.codes
    if codes.ndim == 2:
        return codes
    if (codes[..., :1] != codes[..., 1:]).any():
        raise ArgumentError(f"{name}: got a picture with colours; wanted a grey one")
    return codes[..., 0]


def _opaque(alpha: Codes) -> bool:
    return bool(alpha.min() == np.iinfo(alpha.dtype).max)


def _channels(array: NDArray[Any], name: str) -> NDArray[Any]:
    """The array as (H, W, 1), (H, W, 3) or (H, W, 4)."""
    channels = array[..., None] if array.ndim == 2 else array
    if channels.ndim != 3 or channels.shape[2] not in (1, 3, 4) or channels.size == 0:
        raise _refused(name, array, "shape (H, W), (H, W, 1), (H, W, 3) or (H, W, 4)")
    return channels


def _plane(array: NDArray[Any], name: str, shape: Sequence[int] | None) -> NDArray[Any]:
    """The array as (H, W), of the height and width asked for."""
    plane = array[..., 0] if array.ndim == 3 and array.shape[2] == 1 else array
    if plane.ndim != 2 or plane.size == 0:
        raise _refused(name, array, "shape (H, W) or (H, W, 1)")
    if shape is not None and plane.shape != tuple(shape):
        raise _refused(name, array, f"the size of the image, {tuple(shape)}")
    return plane


def _white(array: NDArray[Any], name: str) -> int:
    """The value that stands for 1, once the type and range are found right."""
    if array.dtype in (np.uint8, np.uint16):
        return int(np.iinfo(array.dtype).max)
    if array.dtype == bool:
        return 1
    if array.dtype.kind != "f":
        raise _refused(name, array, "uint8, uint16 or float")
    low, high = array.min(), array.max()
    if np.isnan(low):
        raise ArgumentError(f"{name}: got NaN; wanted floats in [0, 1]")
    if low < 0 or high > 1:
        raise ArgumentError(f"{name}: got floats from {low:g} to {high:g}; wanted them in [0, 1]")
    return 1


def _floats(array: NDArray[Any], name: str) -> NDArray[np.float32]:
    """The array as float32 in [0, 1]; itself if it is."""
    white = _white(array, name)
    floats = array.astype(np.float32, copy=False)
    if white > 1:
        floats /= np.float32(white)
    return floats


def _refused(name: str, array: NDArray[Any], wanted: str) -> ArgumentError:
    return ArgumentError(f"{name}: got shape {array.shape}, type {array.dtype}; wanted {wanted}")


def _read_only(array: NDArray[Any]) -> NDArray[Any]:
    view = array.view()
    view.flags.writeable = False
    return view
