"""Arrays of codes to files: PNG by hand, since Pillow has no 16 bits a channel and one thread; TIFF by tifffile."""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import IO, Any

import numpy as np
from PIL import Image, TiffImagePlugin

from trimatte.errors import ArgumentError, ImageWarning, ImageWriteError
from trimatte.files.atomic import reason
from trimatte.images import icc, png
from trimatte.images.arrays import Codes
from trimatte.images.formats import FORMATS, WRITTEN
from trimatte.images.mark import MARK, OPEN, XMP, png_mark, sealed
from trimatte.images.metadata import (
    CAMERA,
    INCH,
    PLACE,
    Metadata,
    photoshop_block,
    undefined,
)
from trimatte.runtime.options import check_number
from trimatte.runtime.threads import available_threads

_BAND_BYTES = 1 << 20
_ICC_TAG = 34675
_SEGMENT, _XMP_HEAD, _MOST_DENSITY = 65533, 29, 65535
"""The most bytes of a JPEG's segment, those that name XMP in one, and the largest resolution outside of EXIF."""
_CHROMA = {"444": "4:4:4", "422": "4:2:2", "420": "4:2:0"}


def encode(
    stream: IO[bytes],
    codes: Codes,
    alpha: Codes | None,
    format: str,
    profile: bytes | None,
    quality: int | None,
    metadata: Metadata | None = None,
    chroma: str = "444",
) -> None:
    """Write codes (H, W, 1 or 3), and alpha (H, W) beside three channels, to a stream that can seek."""
    row = FORMATS[format]
    if alpha is not None and not row.alpha:
        raise ArgumentError(f"alpha: got one for {format}, which holds none; wanted a background, or another format")
    if 8 * codes.itemsize > row.bits:
        deep = ", ".join(other.name for other in WRITTEN.values() if other.bits == 16)
        raise ArgumentError(f"bits: got 16 for {format}; wanted 8, or one of {deep}")
    if quality is not None:
        check_number("quality", quality, least=1, most=100, whole=True)
    if not isinstance(profile, (bytes, type(None))):
        raise ArgumentError(f"icc_profile: got {type(profile).__name__}; wanted bytes")
    if chroma not in _CHROMA:
        raise ArgumentError(f"chroma: got {chroma!r}; wanted one of {', '.join(_CHROMA)}")
    said = Said(metadata or Metadata(), (codes.shape[1], codes.shape[0]), profile is None or icc.is_srgb(profile))
    samples = np.ascontiguousarray(codes)
    if alpha is not None:
        samples = np.empty((*codes.shape[:2], codes.shape[2] + 1), codes.dtype)
        samples[..., :-1], samples[..., -1] = codes, alpha
    try:
        if format == "TIFF":
            _write_tiff(stream, samples, profile, said)
        elif format == "PNG":
            _write_png(stream, samples, profile, said)
        else:
            options = {"quality": quality or FORMATS[format].quality, **beside_pixels(format, said, chroma)}
            options |= {"icc_profile": profile} if profile else {}
            image, file = Image.fromarray(samples[..., 0] if samples.shape[2] == 1 else samples), io.BytesIO()
            image.save(file, format, **options)
            stream.write(sealed(file.getvalue()))
    except (ValueError, struct.error) as error:  # such as a width that the format has no room for
        raise ImageWriteError(
            f"cannot write {format} of {codes.shape[1]} x {codes.shape[0]}: {reason(error)}"
        ) from error


_Band = tuple[bytes, int, int]
"""Packed bytes, their Adler-32, and their length unpacked."""


@dataclass(frozen=True)
class Said:
    """What a file holds beside its pixels, and what writing it needs to know of the pixels."""

    metadata: Metadata
    size: tuple[int, int]
    srgb: bool

    def exif(self, *, always: bool = False, software: str = MARK) -> bytes:
        return self.metadata.exif(self.size, software, srgb=self.srgb, always=always)


def beside_pixels(format: str, said: Said, chroma: str = "444") -> dict[str, Any]:
    """What Pillow is to be told for JPEG, WebP and AVIF."""
    metadata = said.metadata
    if format == "JPEG":
        fits = [round(dpi) for dpi in metadata.dpi or () if dpi <= _MOST_DENSITY]
        whole = fits == list(metadata.dpi or ())  # as it must be outside of EXIF
        known = {**_segments(said, always=not whole), "dpi": metadata.dpi if len(fits) == 2 else None}
        return {"comment": OPEN, "subsampling": _CHROMA[chroma], **{name: word for name, word in known.items() if word}}
    exif = said.exif(always=True, software=OPEN)
    options: dict[str, Any] = {"exif": exif} if exif else {}
    options["xmp"] = metadata.xmp or XMP
    if format == "AVIF":
        # Without the encoder's own word for it, alpha would lose as much as the colours do.
        return options | {"speed": 8, "subsampling": "4:4:4", "codec": "aom", "advanced": {"alpha:lossless": "1"}}
    if exif:
        options["exif"] = exif.removeprefix(b"Exif\0\0")  # which Pillow takes off still pictures alone
    return options | {"exact": True}  # keep the colours where alpha is 0


def _segments(said: Said, *, always: bool) -> dict[str, bytes]:
    """EXIF, XMP and IPTC as JPEG holds them, in one segment each; of what is longer author and copyright are left."""
    metadata = said.metadata
    exif = said.exif(always=always and metadata.dpi is not None)
    iptc = photoshop_block(metadata.iptc) if metadata.iptc else b""
    long = {"EXIF": len(exif) > _SEGMENT, "XMP": len(metadata.xmp) > _SEGMENT - _XMP_HEAD}
    long["IPTC"] = bool(metadata.iptc) and not iptc
    if any(long.values()):
        names = " and ".join(name for name, is_long in long.items() if is_long)
        text = f"{names}: longer than a JPEG can hold; author and copyright alone are kept of it"
        warnings.warn(text, ImageWarning, stacklevel=2)
    if long["EXIF"]:
        exif = replace(said, metadata=Metadata(metadata.dpi, metadata.credits)).exif()
    return {"exif": exif, "xmp": b"" if long["XMP"] else metadata.xmp, "extra": iptc}


def _write_tiff(stream: IO[bytes], samples: Codes, profile: bytes | None, said: Said) -> None:
    import tifffile

    metadata = said.metadata
    tags: list[Any] = [(_ICC_TAG, 7, len(profile), profile, True)] if profile else []
    tags += [(tag, kind, len(block), block, True) for tag, kind, block in _blocks(metadata) if block]
    inner = [tag for tag, block in ((CAMERA, metadata.camera), (PLACE, metadata.place)) if block]
    target = io.BytesIO() if inner else stream  # what leads to them is read again, which not every stream allows
    tags += _plain_tags(metadata)
    tifffile.imwrite(
        target,
        samples[..., 0] if samples.shape[2] == 1 else samples,
        photometric="minisblack" if samples.shape[2] == 1 else "rgb",
        extrasamples=["unassalpha"] if samples.shape[2] == 4 else None,
        compression="zlib",
        compressionargs={"level": 1},
        predictor=2,
        rowsperstrip=max(1, _BAND_BYTES // samples[0].nbytes),
        resolution=metadata.dpi,
        resolutionunit="INCH" if metadata.dpi else None,
        extratags=tags or None,
        metadata=None,
        byteorder="<",
        software=MARK,
    )
    if isinstance(target, io.BytesIO) and inner:
        _add_directories(target, inner, said)
        stream.write(target.getbuffer())


def _plain_tags(metadata: Metadata) -> Iterator[tuple[int, int, int, bytes | int, bool]]:
    """What tifffile is to write of EXIF's first directory: texts, Windows' words as bytes, and ratings."""
    for tag, value in metadata.base.items():
        if isinstance(value, str):
            yield tag, 2, 0, value.encode("utf-8"), True
        elif isinstance(value, (bytes, tuple)) and all(isinstance(part, int) for part in value):
            yield tag, 1, len(value), bytes(part & 0xFF for part in value), True
        elif isinstance(value, int):
            yield tag, 3, 1, min(max(value, 0), 0xFFFF), True


def _blocks(metadata: Metadata) -> tuple[tuple[int, int, bytes], ...]:
    """Tag, type and content of what TIFF holds as a whole: XMP as bytes, IPTC as undefined."""
    return (700, 1, metadata.xmp), (33723, 7, metadata.iptc)


def _add_directories(stream: IO[bytes], inner: Sequence[int], said: Said) -> None:
    """Write the tags of the camera and of the place behind a TIFF, and a first page that says where they are.

    tifffile writes no tags that lead to others. Of a BigTIFF, which is larger than 4 GB, they are left out.
    """
    stream.seek(2)
    magic, first = _unpacked(stream, "<HI")
    if magic != 42:
        return
    stream.seek(first)
    (count,) = _unpacked(stream, "<H")
    entries = [stream.read(12) for _ in range(count)]
    exif = Image.Exif()
    exif.load(said.exif())
    for tag in inner:
        directory = TiffImagePlugin.ImageFileDirectory_v2(group=tag)
        for name, value in undefined(exif.get_ifd(tag)).items():
            directory[name] = value
        at = _at_even_end(stream)
        stream.write(directory.tobytes(at))
        entries.append(struct.pack("<HHII", tag, 4, 1, at))
    entries.sort(key=lambda entry: struct.unpack_from("<H", entry))
    at = _at_even_end(stream)
    stream.write(struct.pack("<H", len(entries)) + b"".join(entries) + bytes(4))
    stream.seek(4)
    stream.write(struct.pack("<I", at))
    stream.seek(0, 2)


def _unpacked(stream: IO[bytes], layout: str) -> tuple[Any, ...]:
    return struct.unpack(layout, stream.read(struct.calcsize(layout)))


def _at_even_end(stream: IO[bytes]) -> int:
    """The end of a stream, made even, as TIFF wants the places of directories."""
    end = stream.seek(0, 2)
    return end + stream.write(bytes(end % 2))


def _write_png(stream: IO[bytes], samples: Codes, profile: bytes | None, said: Said) -> None:
    """PNG (PNG Specification, third edition), its bands of rows packed side by side."""
    height, width, channels = samples.shape
    bits = 8 * samples.itemsize

    def chunk(name: bytes, data: bytes) -> bytes:
        whole = png.chunk(name, data)
        stream.write(whole)
        return whole[-4:]

    stream.write(b"\x89PNG\r\n\x1a\n")
    chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, {1: 0, 3: 2, 4: 6}[channels], 0, 0, 0))
    for name, data in png_words(said, profile):
        chunk(name, data)
    mark = stream.tell()
    chunk(b"tEXt", png_mark(0))  # before the pixels, where programs look for text, and known after them
    rows = max(1, _BAND_BYTES // samples[0].nbytes)
    pixels = 0
    checksum, start = 1, b"\x78\x01"  # of a zlib stream: deflate, packed fast
    for packed, own, length in _side_by_side(lambda top: _packed(samples, top, rows), range(0, height, rows)):
        checksum = _joined(checksum, own, length)
        pixels = zlib.crc32(chunk(b"IDAT", start + packed), pixels)
        start = b""
    pixels = zlib.crc32(chunk(b"IDAT", struct.pack(">I", checksum)), pixels)
    chunk(b"IEND", b"")
    end = stream.tell()
    stream.seek(mark)
    chunk(b"tEXt", png_mark(pixels))
    stream.seek(end)


def _side_by_side(pack: Callable[[int], _Band], tops: Sequence[int]) -> Iterator[_Band]:
    """What is made of each band, in their order; a single one is no work for threads."""
    if len(tops) < 2:
        yield from map(pack, tops)
        return
    with ThreadPoolExecutor(available_threads()) as pool:
        yield from pool.map(pack, tops)


def png_words(said: Said, profile: bytes | None) -> Iterator[tuple[bytes, bytes]]:
    """Name and content of the chunks that say something beside the pixels, in the order that they must have."""
    metadata = said.metadata
    if profile:
        yield b"iCCP", b"ICC profile\0\0" + zlib.compress(profile)
    if metadata.dpi:
        yield b"pHYs", struct.pack(">IIB", *(round(dpi / INCH) for dpi in metadata.dpi), 1)
    if exif := said.exif():
        yield b"eXIf", exif.removeprefix(b"Exif\0\0")
    if metadata.xmp:
        yield b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + metadata.xmp
    for key, value in metadata.text:
        keyword = key.encode("latin-1", "ignore")[:79]
        if keyword:
            yield b"iTXt", keyword + b"\0\0\0\0\0" + value.encode("utf-8")


def _packed(samples: Codes, top: int, rows: int) -> _Band:
    """A band of rows deflated, each row as its difference to the one above; the band's Adler-32 and length unpacked."""
    deep = samples.dtype == np.uint16
    band = samples[max(0, top - 1) : top + rows]
    values = (band.astype(">u2") if deep else band).view(np.uint8).reshape(len(band), -1)
    filtered = np.full((len(values) - (top > 0), 1 + values.shape[1]), 2, np.uint8)  # each row's filter: 2, "up"
    if top == 0:
        filtered[0, 1:] = values[0]
    np.subtract(values[1:], values[:-1], out=filtered[len(filtered) - len(values) + 1 :, 1:])
    deflate = zlib.compressobj(1 if deep else 2, wbits=-15, strategy=zlib.Z_FILTERED if deep else 0)
    packed = deflate.compress(filtered.data) + deflate.flush(
        zlib.Z_FINISH if top + rows >= len(samples) else zlib.Z_SYNC_FLUSH
    )
    return packed, zlib.adler32(filtered.data), filtered.size


def _joined(checksum: int, other: int, length: int) -> int:
    """Adler-32 of what has `checksum` followed by `length` bytes that have `other`."""
    low, high = checksum & 0xFFFF, checksum >> 16
    both = (low + (other & 0xFFFF) - 1) % 65521
    return ((high + (other >> 16) + length * (low - 1)) % 65521) << 16 | both
