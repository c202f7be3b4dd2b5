"""Colour profiles: from a picture's own RGB to sRGB and back.

Most RGB profiles are a 3x3 matrix and one tone curve a channel (ICC.1:2022, 8.3.3 and F.3). Those are computed
here in float32, since Pillow's binding of LittleCMS knows no more than 8 bits a channel. A profile made of
look-up tables goes through LittleCMS in 8 bits.
"""

from __future__ import annotations

import functools
import io
import struct
import warnings
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

Array = NDArray[Any]

_BAND_PIXELS = 1 << 18
_CODES = 1 << 16
_ENCODE_STEPS = 1 << 17
_INTENT = ImageCms.Intent.RELATIVE_COLORIMETRIC
_FLAGS = ImageCms.Flags.BLACKPOINTCOMPENSATION


class ProfileError(Exception):
    """A colour profile that cannot be used."""


def warn_unusable(error: ProfileError) -> None:
    """Say that a picture's profile is left out."""
    warnings.warn(f"the colour profile cannot be used ({error}); the colours are taken for sRGB", stacklevel=2)


class MatrixProfile(NamedTuple):
    """Linear light is `matrix @ curves[channel](code)` in XYZ under D50."""

    matrix: Array  # (3, 3)
    curves: tuple[Array, Array, Array]  # each (65536,) float32: 16-bit code -> linear light


def colour_space(profile: bytes) -> str:
    """The space whose colours a profile describes, such as "RGB", "GRAY", "CMYK"; "" if it is no profile."""
    return profile[16:20].decode("latin-1").strip() if profile[36:40] == b"acsp" else ""


def is_srgb(profile: bytes) -> bool:
    """Whether the profile differs from sRGB by less than a quarter of an 8-bit level."""
    parsed = matrix_profile(profile)
    if parsed is None:
        return False
    srgb = _srgb()
    encoder = _encoder(srgb.curves[0])
    codes = np.linspace(0, 1, _CODES, dtype=np.float32)
    same_tones = all(np.abs(_encoded(curve, encoder) - codes).max() < 1 / 1024 for curve in parsed.curves)
    return bool(same_tones and np.abs(parsed.matrix - srgb.matrix).max() < 1e-3)


def check_both_ways(profile: bytes) -> None:
    """Raise `ProfileError` unless the profile converts RGB to sRGB and back."""
    pixel = np.zeros((1, 1, 3), np.float32)
    to_srgb(from_srgb(pixel, profile, 8), profile)


def to_srgb(pixels: Array, profile: bytes) -> NDArray[np.float32]:
    """Convert colours of a profile to sRGB.

    Parameters
    ----------
    pixels : (H, W, 3) uint8 or uint16 array
        Colours in `profile`.
    profile : bytes
        An RGB profile.

    Returns
    -------
    image : (H, W, 3) float32 array in [0, 1]
        sRGB; what lies outside its gamut is clipped.

    Raises
    ------
    ProfileError
        If the profile is damaged or of another kind.
    """
    parsed = matrix_profile(profile)
    if parsed is None or pixels.dtype == np.uint8:
        pixels = _by_lcms(pixels, _opened(profile), _opened(None))
        return as_floats(pixels)
    return _by_matrix(pixels, parsed, _srgb(), np.empty(pixels.shape, np.float32))


def from_srgb(image: Array, profile: bytes, bits: int) -> Array:
    """Convert sRGB to colours of a profile: the way back of `to_srgb`.

    Parameters
    ----------
    image : (H, W, 3) float32 array in [0, 1]
        sRGB.
    profile : bytes
        An RGB profile.
    bits : {8, 16}
        Depth of the result.

    Returns
    -------
    pixels : (H, W, 3) uint8 or uint16 array
        Colours in `profile`. A profile made of look-up tables gives 8-bit steps at any depth.

    Raises
    ------
    ProfileError
        If the profile is damaged or of another kind.
    """
    parsed = matrix_profile(profile)
    if parsed is None:
        pixels = _by_lcms(quantised(image, 8), _opened(None), _opened(profile))
        return pixels if bits == 8 else np.multiply(pixels, 257, dtype=np.uint16)
    pixels = np.empty(image.shape, np.uint8 if bits == 8 else np.uint16)
    return _by_matrix(image, _srgb(), parsed, pixels)


def grey_to_srgb(profile: bytes, bits: int) -> Array:
    """The sRGB grey of each code of a grey profile: a (256,) uint8 or (65536,) uint16 table."""
    curve = _tags(profile).get(b"kTRC")
    if curve is None:
        raise ProfileError("it has no grey tone curve")
    light = _curve(curve)
    return quantised(_encoded(light[:: 257 if bits == 8 else 1], _encoder(_srgb().curves[0]))[None], bits)[0]


def cmyk_to_srgb(image: Image.Image, profile: bytes) -> Image.Image:
    """Convert a CMYK picture to sRGB by its profile."""
    try:
        converted = ImageCms.profileToProfile(
            image,
            _opened(profile),
            _opened(None),
            renderingIntent=_INTENT,
            outputMode="RGB",
            flags=_FLAGS,
        )
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError) as error:
        raise ProfileError(str(error)) from error
    assert converted is not None  # only an in-place conversion gives none
    return converted


def as_floats(codes: Array) -> NDArray[np.float32]:
    """uint8 or uint16 codes as float32 in [0, 1]."""
    floats = codes.astype(np.float32)
    floats /= np.float32(np.iinfo(codes.dtype).max)
    return floats


def quantised(floats: Array, bits: int) -> Array:
    """Codes of floats in [0, 1]: rounded to uint8 (`bits` 8) or uint16 (16)."""
    codes = np.empty(floats.shape, np.uint8 if bits == 8 else np.uint16)
    for rows in _bands(floats.shape):
        scaled = floats[rows] * np.float32((1 << bits) - 1)
        scaled += np.float32(0.5)
        codes[rows] = scaled  # the assignment cuts off, so that a half and more is rounded up
    return codes


def _bands(shape: tuple[int, ...]) -> Iterator[slice]:
    """Bands of rows, so that what is computed in between stays small."""
    step = max(1, _BAND_PIXELS // max(1, shape[1]))
    return (slice(top, top + step) for top in range(0, shape[0], step))


@functools.lru_cache(maxsize=8)
def matrix_profile(profile: bytes) -> MatrixProfile | None:
    """Read a profile of matrix and tone curves, or None if it is of another kind or damaged."""
    tags = _tags(profile)
    names = (b"rXYZ", b"gXYZ", b"bXYZ", b"rTRC", b"gTRC", b"bTRC")
    if colour_space(profile) != "RGB" or b"A2B0" in tags or not all(name in tags for name in names):
        return None
    try:
        columns = [np.array(struct.unpack(">3i", tags[name][8:20])) / 65536 for name in names[:3]]
        curves = tuple(_curve(tags[name]) for name in names[3:])
    except (struct.error, ProfileError):
        return None
    matrix = np.stack(columns, axis=1)
    if abs(np.linalg.det(matrix)) < 1e-6:
        return None
    return MatrixProfile(matrix, (curves[0], curves[1], curves[2]))


def _tags(profile: bytes) -> dict[bytes, bytes]:
    """Tag signature -> its bytes, as many as are really there."""
    try:
        (count,) = struct.unpack_from(">I", profile, 128)
        entries = [struct.unpack_from(">4sII", profile, 132 + 12 * i) for i in range(min(count, 256))]
    except struct.error:
        return {}
    return {name: profile[offset : offset + size] for name, offset, size in entries}


def _curve(tag: bytes) -> NDArray[np.float32]:
    """Sample a `curv` or `para` tag at the 65536 codes (ICC.1:2022, 10.6 and 10.18)."""
    x = np.linspace(0, 1, _CODES)
    if tag[:4] == b"curv":
        (count,) = struct.unpack_from(">I", tag, 8)
        values = np.frombuffer(tag, ">u2", count, 12) if 12 + 2 * count <= len(tag) else np.empty(0)
        if len(values) != count:
            raise ProfileError("its tone curve is cut short")
        if count == 0:
            y = x
        elif count == 1:
            y = x ** (values[0] / 256)
        else:
            y = np.interp(x, np.linspace(0, 1, count), values / 65535)
    elif tag[:4] == b"para":
        y = _parametric(tag, x)
    else:
        raise ProfileError("its tone curve is of an unknown type")
    if not np.isfinite(y).all() or y[-1] <= y[0] or (np.diff(y) < 0).any():
        raise ProfileError("its tone curve does not rise")
    return y.clip(0, 1).astype(np.float32)


def _parametric(tag: bytes, x: Array) -> Array:
    (kind,) = struct.unpack_from(">H", tag, 8)
    if kind > 4:
        raise ProfileError("its tone curve is of an unknown type")
    count = (1, 3, 4, 5, 7)[kind]
    g, *rest = (value / 65536 for value in struct.unpack_from(f">{count}i", tag, 12))
    a, b, c, d, e, f = (*rest, *([0.0] * (6 - len(rest)))) if rest else (1.0, 0.0, 0.0, 0.0, 0.0, 0.0)
    if kind in (1, 2):  # (a x + b)^g + c above -b/a, the constant c below
        a, b, c, d, e, f = a, b, 0.0, -b / a if a else 0.0, c, c
    with np.errstate(all="ignore"):
        return np.where(x >= d, np.maximum(a * x + b, 0) ** g + e, c * x + f)


@functools.lru_cache(maxsize=1)
def _srgb() -> MatrixProfile:
    parsed = matrix_profile(_opened(None).tobytes())
    assert parsed is not None
    return parsed


def _opened(profile: bytes | None) -> ImageCms.ImageCmsProfile:
    """The profile as LittleCMS has it; sRGB for None."""
    try:
        return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB") if profile is None else io.BytesIO(profile))
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError) as error:
        raise ProfileError(str(error)) from error


def _by_lcms(pixels: Array, source: ImageCms.ImageCmsProfile, target: ImageCms.ImageCmsProfile) -> Array:
    """Convert (H, W, 3) pixels by LittleCMS, to uint8."""
    try:
        transform = ImageCms.buildTransform(source, target, "RGB", "RGB", _INTENT, flags=_FLAGS)
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError) as error:
        raise ProfileError(str(error)) from error
    converted = np.empty(pixels.shape, np.uint8)
    for rows in _bands(pixels.shape):
        band = pixels[rows] if pixels.dtype == np.uint8 else quantised(as_floats(pixels[rows]), 8)
        converted[rows] = np.asarray(transform.apply(Image.fromarray(band)))
    return converted


def _by_matrix(colours: Array, source: MatrixProfile, target: MatrixProfile, out: Array) -> Array:
    """Convert (H, W, 3) codes or floats by tone curve, matrix and inverse tone curve, to the type of `out`."""
    # Float32 light is precise to 2**-24 of white, which is finer than a 16-bit code's step but in the deepest shadow.
    matrix = np.linalg.solve(target.matrix, source.matrix).astype(np.float32)
    encoders = [_encoder(curve) for curve in target.curves]
    for rows in _bands(colours.shape):
        codes = colours[rows] if colours.dtype == np.uint16 else quantised(colours[rows], 16)
        light = np.stack([curve[codes[..., i]] for i, curve in enumerate(source.curves)], axis=-1) @ matrix.T
        for channel, encoder in enumerate(encoders):
            encoded = _encoded(light[..., channel], encoder)
            out[rows, :, channel] = encoded if out.dtype == np.float32 else quantised(encoded, 8 * out.itemsize)
    return out


def _encoder(curve: NDArray[np.float32]) -> NDArray[np.float32]:
    """The inverse of a tone curve, sampled evenly in the square root of light, where it is nearly straight."""
    root = np.linspace(0, 1, _ENCODE_STEPS + 1)
    return np.interp(root * root, curve, np.linspace(0, 1, _CODES)).astype(np.float32)


def _encoded(light: NDArray[np.float32], encoder: NDArray[np.float32]) -> NDArray[np.float32]:
    root = np.sqrt(light.clip(0, 1))
    root *= np.float32(_ENCODE_STEPS)
    root += np.float32(0.5)
    return encoder[root.astype(np.int32)]
