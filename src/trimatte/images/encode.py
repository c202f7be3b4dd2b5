"""Arrays of codes to files: PNG by hand, since Pillow has no 16 bits a channel and one thread; TIFF by tifffile."""

from __future__ import annotations

import struct
import zlib
from concurrent.futures import ThreadPoolExecutor
from typing import IO, Any

import numpy as np
from PIL import Image

from trimatte.errors import ArgumentError, ImageWriteError
from trimatte.files.atomic import reason
from trimatte.images.arrays import Codes
from trimatte.images.formats import FORMATS, WRITTEN
from trimatte.images.mark import MARK, XMP, png_mark
from trimatte.runtime.options import check_number
from trimatte.runtime.threads import available_threads

_BAND_BYTES = 1 << 20
_ICC_TAG = 34675


def encode(
    stream: IO[bytes], codes: Codes, alpha: Codes | None, format: str, profile: bytes | None, quality: int | None
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
    samples = np.ascontiguousarray(codes) if alpha is None else np.dstack([codes, alpha])
    try:
        _write(stream, samples, format, profile, quality)
    except (ValueError, struct.error) as error:  # such as a width that the format has no room for
        raise ImageWriteError(
            f"cannot write {format} of {codes.shape[1]} x {codes.shape[0]}: {reason(error)}"
        ) from error


def _write(stream: IO[bytes], samples: Codes, format: str, profile: bytes | None, quality: int | None) -> None:
    if format == "TIFF":
        _write_tiff(stream, samples, profile)
    elif format == "PNG":
        _write_png(stream, samples, profile)
    else:
        options: dict[str, Any] = {"icc_profile": profile} if profile else {}
        options["quality"] = quality or FORMATS[format].quality
        if format == "AVIF":
            # Without the encoder's own word for it, alpha would lose as much as the colours do.
            options.update(speed=8, subsampling="4:4:4", codec="aom", advanced={"alpha:lossless": "1"})
        options |= {"comment": MARK} if format == "JPEG" else {"xmp": XMP}
        if format == "WEBP":
            options["exact"] = True  # keep the colours where alpha is 0
        Image.fromarray(samples[..., 0] if samples.shape[2] == 1 else samples).save(stream, format, **options)


def _write_tiff(stream: IO[bytes], samples: Codes, profile: bytes | None) -> None:
    import tifffile

    tifffile.imwrite(
        stream,
        samples[..., 0] if samples.shape[2] == 1 else samples,
        photometric="minisblack" if samples.shape[2] == 1 else "rgb",
        extrasamples=["unassalpha"] if samples.shape[2] == 4 else None,
        compression="zlib",
        compressionargs={"level": 1},
        predictor=2,
        rowsperstrip=max(1, _BAND_BYTES // samples[0].nbytes),
        extratags=[(_ICC_TAG, 7, len(profile), profile, True)] if profile else None,
        metadata=None,
        software=MARK,
    )


def _write_png(stream: IO[bytes], samples: Codes, profile: bytes | None) -> None:
    """PNG (PNG Specification, third edition), its bands of rows packed side by side."""
    height, width, channels = samples.shape
    bits = 8 * samples.itemsize

    def chunk(name: bytes, data: bytes) -> bytes:
        sums = struct.pack(">I", zlib.crc32(name + data))
        stream.write(struct.pack(">I", len(data)) + name + data + sums)
        return sums

    stream.write(b"\x89PNG\r\n\x1a\n")
    chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, {1: 0, 3: 2, 4: 6}[channels], 0, 0, 0))
    if profile:
        chunk(b"iCCP", b"ICC profile\0\0" + zlib.compress(profile))
    rows = max(1, _BAND_BYTES // samples[0].nbytes)
    pixels = 0
    checksum, start = 1, b"\x78\x01"  # of a zlib stream: deflate, packed fast
    with ThreadPoolExecutor(available_threads()) as pool:
        for packed, own, length in pool.map(lambda top: _packed(samples, top, rows), range(0, height, rows)):
            checksum = _joined(checksum, own, length)
            pixels = zlib.crc32(chunk(b"IDAT", start + packed), pixels)
            start = b""
    pixels = zlib.crc32(chunk(b"IDAT", struct.pack(">I", checksum)), pixels)
    chunk(b"tEXt", png_mark(pixels))
    chunk(b"IEND", b"")


def _packed(samples: Codes, top: int, rows: int) -> tuple[bytes, int, int]:
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
