"""Which colours a file's numbers stand for, said by something else than an ICC profile; each as an ICC profile."""

from __future__ import annotations

import struct
from typing import IO, Any

from PIL import Image

from trimatte.images import icc

_D65, _C, _DCI = (0.3127, 0.3290), (0.310, 0.316), (0.314, 0.351)
_REC709 = (0.640, 0.330, 0.300, 0.600, 0.150, 0.060)
_PRIMARIES = {  # ITU-T H.273, table 2: x and y of red, green and blue; white
    1: (_REC709, _D65),
    4: ((0.670, 0.330, 0.210, 0.710, 0.140, 0.080), _C),
    5: ((0.640, 0.330, 0.290, 0.600, 0.150, 0.060), _D65),
    6: ((0.630, 0.340, 0.310, 0.595, 0.155, 0.070), _D65),
    7: ((0.630, 0.340, 0.310, 0.595, 0.155, 0.070), _D65),
    9: ((0.708, 0.292, 0.170, 0.797, 0.131, 0.046), _D65),
    11: ((0.680, 0.320, 0.265, 0.690, 0.150, 0.060), _DCI),
    12: ((0.680, 0.320, 0.265, 0.690, 0.150, 0.060), _D65),
    22: ((0.630, 0.340, 0.295, 0.605, 0.155, 0.077), _D65),
}
_SRGB_CURVE = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
_VIDEO_CURVE = (1 / 0.45, 1 / 1.0992968, 0.0992968 / 1.0992968, 1 / 4.5, 0.0812429)
_CURVES = {  # ITU-T H.273, table 3: the numbers of an ICC parametric curve, code to light
    **dict.fromkeys((1, 6, 14, 15), _VIDEO_CURVE),
    4: (2.2,),
    5: (2.8,),
    8: (1.0,),
    13: _SRGB_CURVE,
}
_HDR = {16: "PQ", 18: "HLG"}
_SRGB_GAMMA = 0.45455
"""What writers put into gAMA to mean sRGB, whose curve is no power (PNG specification, third edition, 11.3.2.5)."""

_ADOBE_PRIMARIES = (0.640, 0.330, 0.210, 0.710, 0.150, 0.060)
_COLOUR_SPACE, _EXIF, _INTEROPERABILITY, _INDEX = 0xA001, 0x8769, 0xA005, 1
_UNCALIBRATED, _ADOBE = 0xFFFF, 2


def adobe_rgb() -> bytes:
    """The profile of Adobe RGB (1998)."""
    return icc.rgb_profile(_ADOBE_PRIMARIES, _D65, (563 / 256,))


def profile_of(image: Image.Image, stream: IO[bytes] | None) -> tuple[bytes | None, list[str]]:
    """The colour profile of an opened picture, by whatever its file says, and what the user should know.

    Parameters
    ----------
    image : PIL image
        As opened, before its pixels are decoded.
    stream : binary file object or None
        Its file, where there is one; the place in it is kept.

    Returns
    -------
    profile : bytes or None
        None for sRGB, and where the file says nothing.
    notes : list of str
    """
    embedded = image.info.get("icc_profile") or None
    if image.mode == "CMYK":
        return embedded, []
    notes: list[str] = []
    code = _coded(image, stream) if stream is not None and (image.format == "PNG" or not embedded) else None
    if code is not None:
        try:
            return _but_srgb(_coded_profile(*code)), []
        except icc.ProfileError as error:
            notes = [f"its colours are coded in a way that is not converted ({error}); they are taken for sRGB"]
    if embedded:
        return embedded, []
    if not image.info.keys() & {"srgb", "gamma", "chromaticity"}:
        return exif_profile(image), notes
    try:
        return _but_srgb(_png_profile(image.info)), notes
    except icc.ProfileError as error:
        return None, [*notes, f"its gAMA and cHRM cannot be used ({error}); the colours are taken for sRGB"]


def _but_srgb(profile: bytes | None) -> bytes | None:
    return None if profile is None or icc.is_srgb(profile) else profile


def exif_profile(image: Image.Image) -> bytes | None:
    """The profile that EXIF tells of (DCF 2.0, 4.1): Adobe RGB where a camera says so, else None."""
    try:
        exif = image.getexif()
        space = exif.get_ifd(_EXIF).get(_COLOUR_SPACE)
        index = exif.get_ifd(_INTEROPERABILITY).get(_INDEX)
    except Exception:  # a damaged EXIF block, of which Pillow says little, does not make the picture unreadable
        return None
    text = index.decode("latin-1") if isinstance(index, bytes) else str(index)
    optional = text.strip("\0 ") == "R03"
    return adobe_rgb() if space == _ADOBE or (space == _UNCALIBRATED and optional) else None


def _png_profile(info: dict[Any, Any]) -> bytes | None:
    """The profile of a PNG without cICP and iCCP: sRGB, else gAMA with cHRM (third edition, 13.13 and 13.14)."""
    gamma, points = info.get("gamma"), info.get("chromaticity")
    if "srgb" in info or (gamma is None and points is None):
        return None
    if gamma is not None and not 0.01 <= gamma <= 10:
        raise icc.ProfileError(f"gAMA is {gamma:g}")
    white, primaries = (tuple(points[:2]), tuple(points[2:])) if points else (_D65, _REC709)
    curve = _SRGB_CURVE if gamma is None or abs(gamma - _SRGB_GAMMA) < 0.005 else (1 / gamma,)
    return icc.rgb_profile(primaries, white, curve)


def _coded_profile(primaries: int, transfer: int, full_range: bool) -> bytes | None:
    """The profile of code points for primaries and transfer (ITU-T H.273)."""
    if primaries == 1 and transfer == 13 and full_range:
        return None
    if transfer in _HDR:
        raise icc.ProfileError(f"{_HDR[transfer]}, for HDR screens")
    if not full_range:
        raise icc.ProfileError("video range")
    if primaries not in _PRIMARIES or transfer not in _CURVES:
        raise icc.ProfileError(f"primaries {primaries}, transfer {transfer}")
    return icc.rgb_profile(*_PRIMARIES[primaries], _CURVES[transfer])


def _coded(image: Image.Image, stream: IO[bytes]) -> tuple[int, int, bool] | None:
    """The code points of a PNG's cICP or an AVIF's or HEIC's `nclx`, if there are any that say something."""
    place = stream.tell()
    try:
        if image.format == "PNG":
            return _cicp(stream)
        return _nclx(stream) if image.format in ("AVIF", "HEIF") else None
    except struct.error:
        return None
    finally:
        stream.seek(place)


def _cicp(stream: IO[bytes]) -> tuple[int, int, bool] | None:
    stream.seek(8)
    for _ in range(1024):  # chunks before the pixels
        length, name = struct.unpack(">I4s", stream.read(8))
        if name in (b"IDAT", b"IEND"):
            break
        if name == b"cICP" and length == 4:
            primaries, transfer, _, full_range = stream.read(4)
            return primaries, transfer, bool(full_range)
        stream.seek(length + 4, 1)
    return None


def _nclx(stream: IO[bytes]) -> tuple[int, int, bool] | None:
    """Of the first colour property (ISO/IEC 23008-12); its matrix and range are the decoder's business."""
    properties = stream
    start, end = 0, stream.seek(0, 2)
    for name in (b"meta", b"iprp", b"ipco", b"colr"):
        found = _box(properties, start, end, name)
        if found is None:
            return None
        start, end = found
        start += 4 if name == b"meta" else 0  # version and flags
    stream.seek(start)
    kind, primaries, transfer = struct.unpack(">4sHH", stream.read(8))
    if kind != b"nclx" or primaries == 2 or transfer == 2:  # 2: unspecified
        return None
    # Video's own curve is shown as sRGB's by all that show stills.
    return primaries, 13 if transfer in (1, 6, 14, 15) else transfer, True


def _box(stream: IO[bytes], start: int, end: int, wanted: bytes) -> tuple[int, int] | None:
    """Where the content of the first box of a name begins and ends."""
    for _ in range(1024):
        if start + 8 > end:
            break
        stream.seek(start)
        size, name = struct.unpack(">I4s", stream.read(8))
        head = 8
        if size == 1:
            (size,), head = struct.unpack(">Q", stream.read(8)), 16
        stop = end if size == 0 else start + size
        if stop < start + head or stop > end:
            break
        if name == wanted:
            return start + head, stop
        start = stop
    return None
