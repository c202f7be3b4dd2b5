"""Colour profiles: from a picture's own RGB to sRGB and back.

Most RGB profiles are a 3x3 matrix and a tone curve for each channel (ICC.1:2022, 8.3.3 and F.3). Pillow's binding of
LittleCMS knows no more than 8 bits a channel, so what needs more is computed here, in float32. A profile made of
look-up tables goes through LittleCMS in 8 bits.
"""

from __future__ import annotations

import functools
import io
import struct
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

from trimatte.images.arrays import Codes, Floats, bands, floats_of, quantised

_CODES = 1 << 16
_ENCODER_STEPS = 1 << 17
_INTENT = ImageCms.Intent.RELATIVE_COLORIMETRIC
_FLAGS = ImageCms.Flags.BLACKPOINTCOMPENSATION
_DIP = 1e-4
"""Of light, that a tone curve may fall where its two parts meet: their numbers are rounded."""
_D50 = (0.9642, 1.0, 0.8249)
_BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])


class ProfileError(Exception):
    """A colour profile that cannot be used."""


class MatrixProfile(NamedTuple):
    """Linear light in XYZ under D50 is `matrix` times the three values that `curves` give for the channels' codes."""

    matrix: NDArray[np.float64]  # (3, 3)
    curves: tuple[Floats, Floats, Floats]  # each (65536,): 16-bit code -> linear light in [0, 1]


def unusable(error: ProfileError) -> str:
    """What to say where a picture's profile is left out."""
    return f"the colour profile cannot be used ({error}); the colours are taken for sRGB"


def colour_space(profile: bytes) -> str:
    """The space whose colours a profile describes, such as "RGB", "GRAY", "CMYK"; "" if it is no profile."""
    return profile[16:20].decode("latin-1").strip() if profile[36:40] == b"acsp" else ""


def is_srgb(profile: bytes) -> bool:
    """Whether the profile differs from sRGB by less than a quarter of an 8-bit level."""
    parsed, srgb = matrix_profile(profile), _srgb()
    if parsed is None or np.abs(parsed.matrix - srgb.matrix).max() > 1e-3:
        return False
    codes, encoder = np.linspace(0, 1, _CODES), _encoder(srgb.curves[0])
    return all(np.abs(_encoded(curve, encoder) - codes).max() < 1 / 1024 for curve in parsed.curves)


def converts_back(profile: bytes) -> bool:
    """Whether colours can be brought from sRGB to the profile; the tables of scanners often lead the other way alone.

    Raises `ProfileError` if it has no tables, and cannot be gone back for another reason.
    """
    try:
        from_srgb(np.zeros((1, 1, 3), np.float32), profile, 8)
    except ProfileError:
        if not any(name.startswith(b"A2B") for name in _tags(profile)):
            raise
        return False
    return True


def to_srgb(pixels: Codes, profile: bytes) -> Floats:
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
        return floats_of(_by_lcms(pixels, _opened(profile), _opened(None)), "pixels")
    image = np.empty(pixels.shape, np.float32)
    _by_matrix(pixels, parsed, _srgb(), image)
    return image


def from_srgb(image: Floats, profile: bytes, bits: int) -> Codes:
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
        Colours in `profile`. A profile made of look-up tables gives steps of 8 bits at any depth.

    Raises
    ------
    ProfileError
        If the profile is damaged or of another kind.
    """
    parsed = matrix_profile(profile)
    if parsed is None:
        codes = _by_lcms(quantised(image, 8), _opened(None), _opened(profile))
        return codes if bits == 8 else np.multiply(codes, 257, dtype=np.uint16)
    pixels = np.empty(image.shape, f"uint{bits}")
    _by_matrix(image, _srgb(), parsed, pixels)
    return pixels


def to_light(pixels: Codes, profile: bytes | None) -> Floats:
    """Linear light (H, W, 3) float32 in [0, 1] of colours of a profile, or of sRGB, by its own primaries.

    A profile without tone curves is taken to have those of sRGB.
    """
    light = np.empty(pixels.shape, np.float32)
    step = 257 if pixels.dtype == np.uint8 else 1
    for channel, curve in enumerate(_curves(profile)):
        light[..., channel] = curve[::step][pixels[..., channel]]
    return light


def from_light(light: Floats, profile: bytes | None, bits: int) -> Codes:
    """Codes (H, W, 3) of linear light (H, W, 3): the way back of `to_light`; what is outside of [0, 1] is clipped."""
    codes = np.empty(light.shape, f"uint{bits}")
    for channel, curve in enumerate(_curves(profile)):
        codes[..., channel] = quantised(_encoded(light[..., channel], _encoder(curve)), bits)
    return codes


def _curves(profile: bytes | None) -> tuple[Floats, Floats, Floats]:
    parsed = matrix_profile(profile) if profile else None
    return (parsed or _srgb()).curves


def grey_to_srgb(profile: bytes, bits: int) -> Codes:
    """The sRGB grey of each code of a grey profile: a (256,) uint8 or (65536,) uint16 table."""
    curve = _tags(profile).get(b"kTRC")
    if curve is None or profile[20:24] != b"XYZ ":
        raise ProfileError("it is a grey one of a rare kind")
    light = _curve(curve)[None, :: 257 if bits == 8 else 1]
    return quantised(_encoded(light, _encoder(_srgb().curves[0])), bits).ravel()


def cmyk_to_srgb(image: Image.Image, profile: bytes) -> Image.Image:
    """Convert a CMYK picture to sRGB by its profile."""
    try:
        transform = ImageCms.buildTransform(_opened(profile), _opened(None), "CMYK", "RGB", _INTENT, flags=_FLAGS)
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError) as error:
        raise ProfileError(str(error)) from error
    return transform.apply(image)


def rgb_profile(primaries: Sequence[float], white: Sequence[float], curve: Sequence[float]) -> bytes:
    """Make a profile of matrix and tone curve (ICC.1:2022, 8.3.3; version 4).

    Parameters
    ----------
    primaries : six floats
        Chromaticities x and y of red, green and blue.
    white : two floats
        The white's; it is adapted to D50 as the standard says (annex E, the matrix of Bradford).
    curve : one to seven floats
        The numbers of a parametric curve, code to light (10.18): (g,) is a power.

    Raises
    ------
    ProfileError
        If these are no three colours that mix to white.
    """
    corners, neutral = _xyz(np.reshape(primaries, (3, 2)).astype(np.float64)), _xyz(np.array([white], np.float64))
    if not (np.isfinite(corners).all() and np.isfinite(neutral).all() and abs(np.linalg.det(corners)) > 1e-6):
        raise ProfileError("its primaries are no three colours")
    matrix = corners * np.linalg.solve(corners, neutral)[:, 0]
    cones = (_BRADFORD @ np.array(_D50)) / (_BRADFORD @ neutral[:, 0])
    adapted = np.linalg.inv(_BRADFORD) @ np.diag(cones) @ _BRADFORD @ matrix
    if np.abs(adapted).max() > 4:
        raise ProfileError("its primaries do not mix to white")
    kind = {1: 0, 3: 1, 4: 2, 5: 3, 7: 4}[len(curve)]
    tone = b"para" + bytes(4) + struct.pack(">HH", kind, 0) + _fixed(curve)
    tags = {b"wtpt": b"XYZ " + bytes(4) + _fixed(_D50)}
    tags |= {name: b"XYZ " + bytes(4) + _fixed(adapted[:, i]) for i, name in enumerate((b"rXYZ", b"gXYZ", b"bXYZ"))}
    tags |= dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), tone)
    tags |= {b"desc": _text("RGB"), b"cprt": _text("CC0"), b"chad": b"sf32" + bytes(4) + _fixed(_adaptation(cones))}
    return _assembled(tags)


def _xyz(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """XYZ with Y = 1, as columns, of chromaticities (N, 2)."""
    x, y = points.T
    with np.errstate(all="ignore"):
        return np.stack([x / y, np.ones_like(y), (1 - x - y) / y])


def _adaptation(cones: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.linalg.inv(_BRADFORD) @ np.diag(cones) @ _BRADFORD).ravel()


def _fixed(values: Iterable[float]) -> bytes:
    """Numbers as s15Fixed16."""
    return b"".join(struct.pack(">i", round(float(value) * 65536)) for value in values)


def _text(text: str) -> bytes:
    """A multi-localised text of one language."""
    encoded = text.encode("utf-16-be")
    return b"mluc" + struct.pack(">IIIHHII", 0, 1, 12, 0x656E, 0x5553, len(encoded), 28) + encoded


def _assembled(tags: dict[bytes, bytes]) -> bytes:
    """A display profile of those tags; equal ones are stored once."""
    start, data = 132 + 12 * len(tags), b""
    places: dict[bytes, int] = {}
    table = struct.pack(">I", len(tags))
    for name, tag in tags.items():
        if tag not in places:
            places[tag] = start + len(data)
            data += tag + bytes(-len(tag) % 4)
        table += struct.pack(">4sII", name, places[tag], len(tag))
    size = start + len(data)
    header = struct.pack(">I4sI4s4s4s12s4s", size, bytes(4), 0x04200000, b"mntr", b"RGB ", b"XYZ ", bytes(12), b"acsp")
    header += bytes(28) + _fixed(_D50)
    return header + bytes(128 - len(header)) + table + data


@functools.lru_cache(maxsize=8)
def matrix_profile(profile: bytes) -> MatrixProfile | None:
    """Read a profile of matrix and tone curves, or None if it is of another kind or damaged."""
    tags = _tags(profile)
    names = (b"rXYZ", b"gXYZ", b"bXYZ", b"rTRC", b"gTRC", b"bTRC")
    tables = any(name[:3] in (b"A2B", b"B2A", b"D2B", b"B2D") for name in tags)  # these come before the matrix
    if colour_space(profile) != "RGB" or tables or not all(name in tags for name in names):
        return None
    try:
        columns = [np.array(struct.unpack(">3i", tags[name][8:20])) / 65536 for name in names[:3]]
        red, green, blue = (_curve(tags[name]) for name in names[3:])
    except (struct.error, ProfileError):
        return None
    matrix = np.stack(columns, axis=1)
    return MatrixProfile(matrix, (red, green, blue)) if abs(np.linalg.det(matrix)) > 1e-6 else None


def _tags(profile: bytes) -> dict[bytes, bytes]:
    """Tag signature -> its bytes, as many as are really there."""
    try:
        (count,) = struct.unpack_from(">I", profile, 128)
        entries = [struct.unpack_from(">4sII", profile, 132 + 12 * i) for i in range(min(count, 256))]
    except struct.error:
        return {}
    return {name: profile[offset : offset + size] for name, offset, size in entries}


def _curve(tag: bytes) -> Floats:
    """Sample a `curv` or `para` tag at the 65536 codes (ICC.1:2022, 10.6 and 10.18)."""
    x = np.linspace(0, 1, _CODES)
    try:
        with np.errstate(all="ignore"):
            y = {b"curv": _sampled, b"para": _parametric}[tag[:4]](tag, x)
    except (KeyError, struct.error) as error:
        raise ProfileError("a tone curve is damaged") from error
    if not np.isfinite(y).all() or y[-1] <= y[0] or (np.diff(y) < -_DIP).any():
        raise ProfileError("a tone curve does not rise")
    return np.maximum.accumulate(y).clip(0, 1).astype(np.float32)


def _sampled(tag: bytes, x: NDArray[np.float64]) -> NDArray[np.float64]:
    (count,) = struct.unpack_from(">I", tag, 8)
    values = np.array(struct.unpack_from(f">{count}H", tag, 12), np.float64)
    if count == 0:
        return x
    if count == 1:
        return np.asarray(x ** (values[0] / 256))
    return np.interp(x, np.linspace(0, 1, count), values / 65535)


def _parametric(tag: bytes, x: NDArray[np.float64]) -> NDArray[np.float64]:
    """(a x + b)^g + e from x = d on, c x + f below."""
    (kind,) = struct.unpack_from(">H", tag, 8)
    count = {0: 1, 1: 3, 2: 4, 3: 5, 4: 7}[kind]
    numbers = [value / 65536 for value in struct.unpack_from(f">{count}i", tag, 12)]
    g, a, b, c, d, e, f = numbers + [1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0][count:]
    if kind in (1, 2):  # the third number is what is added, and below -b / a all that there is
        c, d, e, f = 0.0, -b / a if a else 0.0, c, c
    return np.asarray(np.where(x >= d, np.maximum(a * x + b, 0) ** g + e, c * x + f))


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


def _by_lcms(pixels: Codes, source: ImageCms.ImageCmsProfile, target: ImageCms.ImageCmsProfile) -> NDArray[np.uint8]:
    """Convert (H, W, 3) pixels by LittleCMS, in 8 bits."""
    try:
        transform = ImageCms.buildTransform(source, target, "RGB", "RGB", _INTENT, flags=_FLAGS)
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError) as error:
        raise ProfileError(str(error)) from error
    converted = np.empty(pixels.shape, np.uint8)
    for rows in bands(pixels.shape):
        band = pixels[rows] if pixels.dtype == np.uint8 else quantised(floats_of(pixels[rows], "pixels"), 8)
        converted[rows] = np.asarray(transform.apply(Image.fromarray(band)))
    return converted


def _by_matrix(colours: Floats | Codes, source: MatrixProfile, target: MatrixProfile, out: Floats | Codes) -> None:
    """Convert (H, W, 3) floats or 16-bit codes by tone curves, matrix and inverse tone curves, into `out`."""
    matrix = np.linalg.solve(target.matrix, source.matrix).astype(np.float32)
    encoders = [_encoder(curve) for curve in target.curves]
    for rows in bands(colours.shape):
        codes = colours[rows] if colours.dtype == np.uint16 else quantised(colours[rows], 16)
        light = np.stack([curve[codes[..., i]] for i, curve in enumerate(source.curves)], axis=-1) @ matrix.T
        for channel, encoder in enumerate(encoders):
            encoded = _encoded(light[..., channel], encoder)
            out[rows, :, channel] = encoded if out.dtype == np.float32 else quantised(encoded, 8 * out.itemsize)


def _encoder(curve: Floats) -> Floats:
    """The inverse of a tone curve, sampled evenly in the square root of light, where it is nearly straight."""
    root = np.linspace(0, 1, _ENCODER_STEPS + 1)
    return np.interp(root * root, curve, np.linspace(0, 1, _CODES)).astype(np.float32)


def _encoded(light: Floats, encoder: Floats) -> Floats:
    root = np.sqrt(light.clip(0, 1))
    root *= np.float32(_ENCODER_STEPS)
    root += np.float32(0.5)
    return np.asarray(encoder[root.astype(np.int32)])
