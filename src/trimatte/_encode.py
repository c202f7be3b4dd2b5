"""Arrays of codes to files: by Pillow, and by hand or tifffile for the 16 bits a channel that Pillow lacks."""

from __future__ import annotations

import os
import struct
import zlib
from typing import IO, Any

import numpy as np
from PIL import Image

from trimatte._arrays import Codes
from trimatte._files import reason
from trimatte.errors import ArgumentError, ImageWriteError

SUFFIXES = {
    ".png": "PNG",
    ".webp": "WEBP",
    ".tif": "TIFF",
    ".tiff": "TIFF",
    ".avif": "AVIF",
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
}
FORMATS = tuple(dict.fromkeys(SUFFIXES.values()))
DEEP_FORMATS = ("PNG", "TIFF")

_QUALITY = {"JPEG": 95, "WEBP": 90, "AVIF": 80}
_BAND_BYTES = 1 << 20
_ICC_TAG = 34675


def output_format(path: object, format: str | None = None) -> str:
    """The format a picture is written in: the one asked for, else by the path's suffix.

    Parameters
    ----------
    path : path or file object
    format : str, optional
        "PNG", "WebP", "TIFF", "AVIF" or "JPEG" in capitals or not, also as a suffix such as "tif".

    Returns
    -------
    format : str
        One of "PNG", "WEBP", "TIFF", "AVIF", "JPEG".

    Raises
    ------
    ArgumentError
        If it is another, or there is neither a format nor a suffix to go by.
    """
    if format is not None:
        found = SUFFIXES.get("." + format.lower().lstrip("."))
        if found is None:
            raise ArgumentError(f"format: got {format!r}; wanted one of {', '.join(FORMATS)}")
        return found
    if not isinstance(path, (str, os.PathLike)):
        raise ArgumentError(f"format: got none for a file object; wanted one of {', '.join(FORMATS)}")
    suffix = os.path.splitext(os.fspath(path))[1].lower()
    if suffix not in SUFFIXES:
        raise ArgumentError(f"path: got {os.fspath(path)!r}; wanted a name that ends in one of {', '.join(SUFFIXES)}")
    return SUFFIXES[suffix]


def encode(
    stream: IO[bytes], codes: Codes, alpha: Codes | None, format: str, profile: bytes | None, quality: int | None
) -> None:
    """Write codes (H, W, 1 or 3), and alpha (H, W) beside three channels, to a stream that can seek."""
    if alpha is not None and format == "JPEG":
        raise ArgumentError("alpha: got one for JPEG, which holds none; wanted a background, or another format")
    if codes.dtype == np.uint16 and format not in DEEP_FORMATS:
        raise ArgumentError(f"bits: got 16 for {format}; wanted 8, or one of {', '.join(DEEP_FORMATS)}")
    if quality is not None and not 1 <= quality <= 100:
        raise ArgumentError(f"quality: got {quality!r}; wanted 1 to 100")
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
    elif format == "PNG" and samples.dtype == np.uint16:
        _write_deep_png(stream, samples, profile)
    else:
        options: dict[str, Any] = {"icc_profile": profile} if profile else {}
        if format == "PNG":
            options["compress_level"] = 2
        else:
            options["quality"] = quality or _QUALITY[format]
        if format == "AVIF":
            # Without the encoder's own word for it, alpha would lose as much as the colours do.
            options.update(speed=8, subsampling="4:4:4", codec="aom", advanced={"alpha:lossless": "1"})
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
        software=False,
    )


def _write_deep_png(stream: IO[bytes], samples: Codes, profile: bytes | None) -> None:
    """PNG of 16 bits a channel (PNG Specification, third edition): each row as its difference to the one above."""
    height, width, channels = samples.shape

    def chunk(name: bytes, data: bytes) -> None:
        stream.write(struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)))

    stream.write(b"\x89PNG\r\n\x1a\n")
    chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 16, {1: 0, 3: 2, 4: 6}[channels], 0, 0, 0))
    if profile:
        chunk(b"iCCP", b"ICC profile\0\0" + zlib.compress(profile))
    deflate = zlib.compressobj(1, strategy=zlib.Z_FILTERED)
    above = np.zeros((1, 2 * channels * width), np.uint8)
    rows = max(1, _BAND_BYTES // above.nbytes)
    for top in range(0, height, rows):
        band = samples[top : top + rows].astype(">u2").view(np.uint8).reshape(-1, above.size)
        filtered = np.full((len(band), 1 + above.size), 2, np.uint8)  # each row begins with its filter: 2, "up"
        np.subtract(band, np.concatenate([above, band[:-1]]), out=filtered[:, 1:])
        above = band[-1:]
        packed = deflate.compress(filtered.data)
        if packed:
            chunk(b"IDAT", packed)
    chunk(b"IDAT", deflate.flush())
    chunk(b"IEND", b"")
