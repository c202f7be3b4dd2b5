"""Pictures read, with all that is needed to write their colours back."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike

from trimatte.errors import ImageWarning
from trimatte.images import icc
from trimatte.images.arrays import (
    Array,
    Codes,
    Floats,
    array_of,
    channels_of,
    codes_of,
    floats_of,
    image_of,
    quantised,
    read_only,
)
from trimatte.images.decode import Decoded, Source, decode_source, is_source
from trimatte.images.formats import MAX_PIXELS
from trimatte.images.metadata import Metadata
from trimatte.runtime.options import check_number


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
    orientation : int
        The EXIF orientation of its file, which is undone here; 1 if it has none.
    notes : tuple of str
        What the user should know of how it was read, such as that only the first page was.
    metadata : Metadata
        What the file says beside its pixels: resolution, EXIF, XMP, IPTC, text.
    subject : (H, W) float32 array in [0, 1] or None
        Probability of foreground, where somebody has said what the subject is.
    """

    image: Floats
    pixels: Codes
    alpha: Floats | None
    icc_profile: bytes | None
    bits: int
    format: str
    orientation: int = 1
    notes: tuple[str, ...] = ()
    metadata: Metadata = field(default_factory=Metadata)
    subject: Floats | None = None

    @property
    def stored_shape(self) -> tuple[int, int]:
        """Height and width before the EXIF orientation was applied."""
        height, width = self.image.shape[:2]
        return (width, height) if self.orientation >= 5 else (height, width)


ImageLike = ArrayLike | Source | Picture


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
    source : path, bytes, binary file object, PIL image, array or Picture
        PNG, JPEG (MPO), WebP, TIFF, AVIF, GIF, BMP or PPM, and HEIC with the extra `heic`; of several pages or
        frames the first. 16-bit PNG and TIFF keep their depth, save through a PIL image, which has lost it. EXIF
        orientation is applied. An array is taken as by `as_image`, a fourth channel for alpha; a `Picture` as it is.
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
        If it is missing, damaged, or not a picture of those formats, such as a raw photo.
    ArgumentError
        If an array's shape, type or range is wrong.

    Warns
    -----
    ImageWarning
        If only the first of several pages or frames is read, or its colour profile cannot be used; the colours are
        then taken for sRGB.
    """
    picture = read_picture(source, max_pixels=max_pixels)
    warn_of(picture.notes)
    return picture


def read_picture(source: ImageLike, *, max_pixels: int = MAX_PIXELS) -> Picture:
    """`load_picture` for those who report `Picture.notes` themselves: it warns of nothing."""
    check_number("max_pixels", max_pixels, least=1, whole=True)
    if isinstance(source, Picture):
        return source
    if not is_source(source):
        return _picture_of(array_of(source, "image"))
    return picture_of(decode_source(source, max_pixels))


def picture_of(decoded: Decoded) -> Picture:
    """A decoded picture in sRGB, with all that is needed to write its colours back."""
    notes = list(decoded.notes)
    pixels, image, profile = _colours(decoded, notes)
    alpha = None if decoded.alpha is None else floats_of(decoded.alpha, "alpha")
    bits = 8 * pixels.itemsize
    known = decoded.format, decoded.orientation, tuple(notes), decoded.metadata
    return Picture(image, pixels, alpha, profile, bits, *known)


def warn_of(notes: Iterable[str], name: str = "") -> None:
    """Warn of what was left out of a file, or taken on trust; `name` is what it is if it is not the photo."""
    for note in notes:
        warnings.warn(f"{name}: {note}" if name else note, ImageWarning, stacklevel=3)


def _picture_of(array: Array) -> Picture:
    """An array as a picture in sRGB."""
    channels = channels_of(array, "image")
    image = image_of(array, "image")
    alpha = read_only(floats_of(channels[..., 3], "image")) if channels.shape[2] == 4 else None
    bits = 16 if array.dtype == np.uint16 else 8
    pixels = np.broadcast_to(codes_of(channels[..., :3], bits, "image"), image.shape)
    return Picture(image, read_only(pixels), alpha, None, bits, "")


def _colours(decoded: Decoded, notes: list[str]) -> tuple[Codes, Floats, bytes | None]:
    """The pixels (H, W, 3), the same in sRGB, and the profile if it is kept.

    Colours of a profile that only leads away from it, such as a scanner's, are kept in sRGB.
    """
    codes, profile = decoded.codes, decoded.profile
    try:
        if profile and codes.ndim == 2 and icc.colour_space(profile) == "GRAY":
            codes, profile = icc.grey_to_srgb(profile, 8 * codes.itemsize)[codes], None
        if profile and not icc.is_srgb(profile):
            pixels = _in_rgb(codes)
            image = icc.to_srgb(pixels, profile)
            if icc.converts_back(profile):
                return pixels, image, profile
            return quantised(image, 8 * codes.itemsize), image, None
    except icc.ProfileError as error:
        notes.append(icc.unusable(error))
        profile = None
    pixels = _in_rgb(codes)
    return pixels, floats_of(pixels, "image"), profile


def _in_rgb(codes: Codes) -> Codes:
    return np.repeat(codes[..., None], 3, axis=2) if codes.ndim == 2 else codes
