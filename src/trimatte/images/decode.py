"""Files, bytes and PIL images to arrays of codes, by Pillow.

Pillow has no images of 16 bits a channel but grey ones; yet its unpackers for 16-bit RGB(A) take the high byte of
each sample in the one byte order and the low byte in the other. So such a picture is decoded twice, once for each
half of its bits, and neither interlaced PNG nor compressed TIFF needs a decoder of ours.
"""

from __future__ import annotations

import contextlib
import io
import logging
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import IO, Any, TypeGuard

import numpy as np
from PIL import Image, ImageFile, TiffImagePlugin

from trimatte.errors import ImageReadError, ImageTooLargeError
from trimatte.files.atomic import reason
from trimatte.images import icc
from trimatte.images.arrays import Codes, quantised
from trimatte.images.colour import profile_of
from trimatte.images.formats import FORMATS, MAX_PIXELS
from trimatte.images.metadata import ORIENTATION, Metadata, metadata_of, metadata_of_tiff
from trimatte.images.pillow import identified, load, tags_heard, unpacked
from trimatte.images.tiff import full_page, is_tiff
from trimatte.images.xmp import DAMAGED_XMP, xmp_tree
from trimatte.runtime.options import check_number

Source = str | os.PathLike[str] | bytes | IO[bytes] | Image.Image

_BITS_PER_SAMPLE, _PHOTOMETRIC, _PLANAR, _SAMPLE_FORMAT = 258, 262, 284, 339
_ICC_PROFILE = 34675

_GREY_STEPS = {"L;2": 85, "L;4": 17}
_DEEP_LAYOUTS = ("LA", "RGB", "RGBX", "RGBA", "RGBa")

CMYK = "its colours are CMYK, and become sRGB of 8 bits"

_SILENT = logging.NullHandler()

_TURNS: dict[int, Callable[[Codes], Codes]] = {  # EXIF orientation -> what undoes it
    2: lambda x: x[:, ::-1],
    3: lambda x: x[::-1, ::-1],
    4: lambda x: x[::-1],
    5: lambda x: x.swapaxes(0, 1),
    6: lambda x: x[::-1].swapaxes(0, 1),
    7: lambda x: x[::-1, ::-1].swapaxes(0, 1),
    8: lambda x: x[:, ::-1].swapaxes(0, 1),
}


@dataclass(frozen=True)
class Decoded:
    """A picture as its file has it, but upright and with palettes and CMYK resolved.

    Attributes
    ----------
    codes : (H, W) or (H, W, 3) uint8 or uint16 array
        Grey or RGB.
    alpha : (H, W) uint8 or uint16 array or None
        Of the depth of `codes`.
    profile : bytes or None
        The colour profile of `codes`.
    format : str
        As in `trimatte.images.FORMATS`; empty for an image made in memory.
    orientation : int
        The EXIF orientation that the file has, 1 to 8, and that is undone here.
    notes : tuple of str
        What the user should know: what of the file was left out, or taken on trust.
    metadata : Metadata
        What the file says beside its pixels.
    """

    codes: Codes
    alpha: Codes | None
    profile: bytes | None
    format: str
    orientation: int = 1
    notes: tuple[str, ...] = ()
    metadata: Metadata = field(default_factory=Metadata)


def is_source(x: object) -> TypeGuard[Source]:
    """Whether `x` is something to decode, rather than an array."""
    return isinstance(x, (str, os.PathLike, bytes, bytearray, Image.Image)) or hasattr(x, "read")


def decode_source(source: Source, max_pixels: int = MAX_PIXELS) -> Decoded:
    """Decode a picture; `trimatte.images.load_picture` says what is read and raised."""
    check_number("max_pixels", max_pixels, least=1, whole=True)
    name = repr(os.fspath(source)) if isinstance(source, (str, os.PathLike)) else "the picture"
    try:
        with tags_heard() as heard:
            decoded = _decoded_source(source, max_pixels)
        packet = decoded.metadata.xmp
        damaged = [DAMAGED_XMP] if packet and xmp_tree(packet) is None else []
        return replace(decoded, notes=(*decoded.notes, *heard, *damaged))
    except ImageReadError as error:
        raise type(error)(f"cannot read {name}: {error}") from error
    except Image.DecompressionBombError as error:
        raise ImageTooLargeError(f"cannot read {name}: {reason(error)}") from error
    except MemoryError as error:
        raise ImageReadError(f"cannot read {name}: not enough memory to decode it") from error
    except OSError as error:
        raise ImageReadError(f"cannot read {name}: {reason(error)}") from error
    except Exception as error:  # damaged files make Pillow's plug-ins raise nearly anything
        raise ImageReadError(f"cannot read {name}: it is damaged or of a rare kind ({reason(error)})") from error


@tags_heard()
def header_size(source: str | os.PathLike[str] | bytes | IO[bytes]) -> tuple[int, int] | None:
    """(width, height) as a picture's header says, without decoding it; None if the header does not tell."""
    try:
        with _stream(source) as stream:
            return identified(_full_page(stream)[0]).size
    except Exception:  # whatever is wrong will be told by `decode_source`
        return None


def _decoded_source(source: Source, max_pixels: int) -> Decoded:
    if isinstance(source, Image.Image):
        _check_size(source.size, max_pixels)
        return _decoded(source, None, _plain_samples)
    with _stream(source) as stream:
        return _decoded_stream(stream, max_pixels)


@contextlib.contextmanager
def _stream(source: str | os.PathLike[str] | bytes | bytearray | IO[bytes]) -> Iterator[IO[bytes]]:
    """The source as a stream that can be read again from its start, as Pillow needs it."""
    if isinstance(source, (str, os.PathLike)):
        with open(source, "rb") as file:
            yield file if file.seekable() else io.BytesIO(file.read())
    elif isinstance(source, (bytes, bytearray)):
        yield io.BytesIO(source)
    else:
        yield io.BytesIO(source.read())


def _decoded_stream(stream: IO[bytes], max_pixels: int) -> Decoded:
    stream, pages = _full_page(stream)
    try:
        image = identified(stream)
    except SyntaxError:
        if not pages:
            raise
        return _plain_tiff(stream, max_pixels, pages)
    _check_size(image.size, max_pixels)
    if _tag(image, _PLANAR) == 2 and (_tag(image, _BITS_PER_SAMPLE) or ())[1:2] == (16,):
        return _plain_tiff(stream, max_pixels, pages)  # Pillow takes each plane for 8 bits
    raw_mode = _raw_mode(image)
    if raw_mode in _GREY_STEPS and "transparency" in image.info:  # Pillow scales the greys, yet not the transparent one
        image.info["transparency"] *= _GREY_STEPS[raw_mode]
    layout, deep, order = raw_mode.partition(";16")
    notes = _parts(image, stream, pages)
    if not deep or layout not in _DEEP_LAYOUTS:
        return _decoded(image, stream, _plain_samples, notes)
    return _decoded(image, stream, lambda image, notes: _deep_samples(image, stream, layout, order), notes)


def _full_page(stream: IO[bytes]) -> tuple[IO[bytes], int]:
    """The stream, of a TIFF from its first full page on; and how many of these a TIFF has, else 0."""
    stream.seek(0)
    return full_page(stream) if is_tiff(stream.read(4)) else (stream, 0)


def _parts(image: ImageFile.ImageFile, stream: IO[bytes], pages: int) -> list[str]:
    """What to say of a file of which only a part is read."""
    part = FORMATS[image.format or ""].parts
    if part == "page":
        count = str(pages)
    elif part == "frame" and getattr(image, "is_animated", False):
        try:
            count = str(getattr(identified(stream), "n_frames", 1))  # GIF is searched to its end
        except Exception:  # a damaged one, or one of very many frames
            count = "many"
    else:
        count = "1"
    return [] if count in ("0", "1") else [f"{part} 1 of {count} is read, and no other"]


def _check_size(size: tuple[int, int], max_pixels: int) -> None:
    width, height = size
    if width * height == 0:
        raise ImageReadError("it has no pixels")
    if width * height > max_pixels:
        raise ImageTooLargeError(f"it has {width} x {height} pixels, over the limit of {max_pixels / 1e6:g} megapixels")


Sampler = Callable[[Any, list[str]], tuple[Codes, Codes | None]]


def _decoded(image: Image.Image, stream: IO[bytes] | None, sampler: Sampler, notes: Sequence[str] = ()) -> Decoded:
    """The picture by a function that gives its codes and alpha and may add notes."""
    told = list(notes)
    stored = _tag(image, ORIENTATION)  # Pillow turns a TIFF by itself, and forgets it then
    codes, alpha = sampler(image, told)
    profile, more = profile_of(image, stream)
    if image.mode == "CMYK":  # its profile has been made use of
        profile = None
    codes, alpha, turned = _turned(codes, alpha, _orientation(image))
    orientation = stored or turned
    found = metadata_of(image, stream).turned(orientation)
    return Decoded(codes, alpha, profile, image.format or "", orientation, (*told, *more), found)


def _orientation(image: Image.Image) -> Any:
    """The EXIF orientation; to be asked after decoding, since Pillow turns a TIFF by itself."""
    try:
        return image.getexif().get(ORIENTATION, 1)
    except Exception:  # a damaged EXIF block, of which Pillow says little, does not make the picture unreadable
        return 1


def upright(codes: Codes, orientation: int) -> Codes:
    """A plane or picture, stored with an EXIF orientation, as it is meant to be seen."""
    turn = _TURNS.get(orientation)
    return codes if turn is None else np.ascontiguousarray(turn(codes))


def _turned(codes: Codes, alpha: Codes | None, orientation: Any) -> tuple[Codes, Codes | None, int]:
    """Codes and alpha upright, and the orientation if it is one."""
    known = orientation if isinstance(orientation, int) and orientation in _TURNS else 1
    return upright(codes, known), None if alpha is None else upright(alpha, known), known


def _plain_samples(image: Image.Image, notes: list[str]) -> tuple[Codes, Codes | None]:
    """Codes and alpha of what Pillow can hold: 8 bits, or grey of more."""
    load(image)
    mode, transparent = image.mode, image.has_transparency_data
    if mode.startswith("I") or mode == "F":
        return _deep_grey(image)
    if mode == "CMYK":
        return np.asarray(_rgb_of_cmyk(image, notes)), None
    if mode in ("1", "L", "LA", "La"):
        samples = np.asarray(image.convert("LA" if transparent else "L"))
        return (samples[..., 0].copy(), samples[..., 1].copy()) if transparent else (samples, None)
    samples = np.asarray(image.convert("RGBA" if transparent else "RGB"))
    return (samples[..., :3].copy(), samples[..., 3].copy()) if transparent else (samples, None)


def _deep_grey(image: Image.Image) -> tuple[Codes, Codes | None]:
    """Grey of more than 8 bits as uint16."""
    samples = np.asarray(image)
    if _tag(image, _BITS_PER_SAMPLE) == (32,) and _tag(image, _SAMPLE_FORMAT) in (None, (1,)):
        samples = samples.view(np.uint32)  # which Pillow takes for signed
    full = 1.0 if image.mode == "F" else _full_scale(image)
    _check_range(samples.min(), samples.max(), full)
    key = image.info.get("transparency")
    alpha = None if key is None else np.where(samples == key, 0, 65535).astype(np.uint16)
    codes = samples.astype(np.uint16) if full == 65535 else quantised(np.divide(samples, full, dtype=np.float32), 16)
    if _tag(image, _PHOTOMETRIC) == 0:  # white is zero, which Pillow heeds for 8 bits only
        np.subtract(65535, codes, out=codes)
    return codes, alpha


def _full_scale(image: Image.Image) -> int:
    """The integer that is white."""
    bits = _tag(image, _BITS_PER_SAMPLE)
    if bits == (12,):
        return 4095
    if bits == (16,) and _tag(image, _SAMPLE_FORMAT) == (2,):
        return 32767
    return 65535  # of 32-bit integers too: Pillow and others keep 16-bit values in them


def _rgb_of_cmyk(image: Image.Image, notes: list[str]) -> Image.Image:
    notes.append(CMYK)
    profile = image.info.get("icc_profile")
    if profile:
        try:
            return icc.cmyk_to_srgb(image, profile)
        except icc.ProfileError as error:
            notes.append(icc.unusable(error))
    return image.convert("RGB")


def _raw_mode(image: ImageFile.ImageFile) -> str:
    """How Pillow would unpack the samples, such as "RGB;16B"."""
    if not image.tile:
        return ""
    args = image.tile[0].args
    return str(args if isinstance(args, str) else args[0] if args else "")


def _tag(image: Image.Image, tag: int) -> Any:
    return image.tag_v2.get(tag) if isinstance(image, TiffImagePlugin.TiffImageFile) else None


def _deep_samples(image: ImageFile.ImageFile, stream: IO[bytes], layout: str, order: str) -> tuple[Codes, Codes | None]:
    """Codes and alpha of a picture of 16 bits a channel, read from `stream` once as `image` and once more."""
    if layout == "LA":  # its two samples of two bytes are unpacked like four of one
        pairs = np.ascontiguousarray(unpacked(image, "RGBA", "RGBA")).view(">u2").astype(np.uint16)
        return pairs[..., 0].copy(), pairs[..., 1].copy()
    mode = "RGB" if layout == "RGB" else "RGBA"
    little = order == "L" or (order == "N" and sys.byteorder == "little")
    samples = unpacked(image, mode, f"{mode};16{'L' if little else 'B'}").astype(np.uint16)
    samples <<= 8
    samples |= unpacked(identified(stream), mode, f"{mode};16{'B' if little else 'L'}")
    key = image.info.get("transparency")
    if layout == "RGB":
        alpha = None if key is None else np.where((samples == np.array(key)).all(axis=-1), 0, 65535).astype(np.uint16)
        return samples, alpha
    codes, alpha = samples[..., :3].copy(), samples[..., 3].copy()
    if layout == "RGBX":
        return codes, None
    return (_straight(codes, alpha) if layout == "RGBa" else codes), alpha


def _straight(codes: Codes, alpha: Codes) -> Codes:
    """Colours that were stored multiplied by alpha, divided by it."""
    share = codes / np.maximum(alpha, 1)[..., None].astype(np.float32)
    return quantised(np.minimum(share, np.float32(1)), 8 * codes.itemsize)


def _plain_tiff(stream: IO[bytes], max_pixels: int, pages: int) -> Decoded:
    """Read a TIFF whose layout Pillow does not know: planes of 16 bits, CMYK with alpha, floats; uncompressed only."""
    import tifffile

    logging.getLogger("tifffile").addHandler(_SILENT)  # what is wrong is raised, once
    size = stream.seek(0, os.SEEK_END)
    stream.seek(0)
    with tifffile.TiffFile(stream) as tiff:
        page = tiff.pages.first
        _check_size((page.imagewidth, page.imagelength), max_pixels)
        _check_plain(page, size)
        channels, colours = page.samplesperpixel, _COLOURS[page.photometric]
        samples = page.asarray()
        planes = page.planarconfig == 2 and channels > 1
        samples = np.moveaxis(samples, 0, -1) if planes else samples.reshape(*samples.shape[:2], channels)
        notes = [f"page 1 of {pages} is read, and no other"] if pages > 1 else []
        profile = page.tags.valueof(_ICC_PROFILE)
        if samples.dtype.kind == "f":
            samples = _of_floats(samples[..., : colours + 1])
            if profile is None:
                notes.append("its samples are floats without a colour profile; the colours are taken for sRGB")
        if page.photometric == 0:  # white is zero
            samples[..., 0] = ~samples[..., 0]
        codes, alpha = samples[..., :colours], None
        if page.extrasamples and page.extrasamples[0] in (1, 2):
            alpha = samples[..., colours].copy()
            codes = _straight(codes, alpha) if page.extrasamples[0] == 1 else codes
        if colours == 4:
            codes, alpha = _cmyk_codes(codes, alpha, profile, notes)
            profile = None
        codes = np.ascontiguousarray(codes if codes.shape[2] == 3 else codes[..., 0])
        codes, alpha, orientation = _turned(codes, alpha, page.tags.valueof(ORIENTATION, 1))
        found = metadata_of_tiff(stream).turned(orientation)
        return Decoded(codes, alpha, profile, "TIFF", orientation, tuple(notes), found)


_COLOURS = {0: 1, 1: 1, 2: 3, 5: 4}
"""Channels of colour, by TIFF's photometric interpretation: grey whose white is 0, grey, RGB, CMYK."""


def _check_plain(page: Any, size: int) -> None:
    """Raise `ImageReadError` for a TIFF page, of a file of `size` bytes, that `_plain_tiff` does not read."""
    kinds = (np.uint8, np.uint16, np.float16, np.float32, np.float64)
    colours = _COLOURS.get(page.photometric)
    if colours is None or page.imagedepth != 1 or not colours <= page.samplesperpixel <= colours + 4:
        wrong = "its colours are of a rare kind; wanted grey, RGB or CMYK"
    elif page.dtype not in kinds or (page.photometric in (0, 5) and page.dtype.kind == "f"):
        wrong = f"its samples are of type {page.dtype}; wanted 8 or 16 bits, or floats of grey or RGB"
    elif page.compression != 1:
        wrong = f"its samples are compressed ({page.compression.name}), which is not read of its layout: "
        wrong += "save it uncompressed"
    elif page.nbytes > size:
        wrong = "it is cut short"
    else:
        return
    raise ImageReadError(wrong)


def _of_floats(samples: np.ndarray) -> Codes:
    """Codes of 16 bits. Raises `ImageReadError` beyond [0, 1]."""
    _check_range(samples.min(), samples.max(), 1.0)
    return quantised(samples.astype(np.float32, copy=False), 16)


def _check_range(low: float, high: float, full: float) -> None:
    if not (low >= 0 and high <= full):
        raise ImageReadError(f"its samples go from {low:g} to {high:g}; wanted 0 to {full:g}")


def _cmyk_codes(
    codes: Codes, alpha: Codes | None, profile: bytes | None, notes: list[str]
) -> tuple[Codes, Codes | None]:
    """RGB of 8 bits of CMYK (H, W, 4), and its alpha."""
    planes = np.ascontiguousarray(np.moveaxis(_of_8_bits(codes), -1, 0))
    image = Image.merge("CMYK", [Image.fromarray(plane) for plane in planes])
    if profile:
        image.info["icc_profile"] = profile
    return np.asarray(_rgb_of_cmyk(image, notes)), None if alpha is None else _of_8_bits(alpha)


def _of_8_bits(codes: Codes) -> Codes:
    return codes if codes.dtype == np.uint8 else quantised(np.divide(codes, 65535, dtype=np.float32), 8)
