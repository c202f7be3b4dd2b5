"""Pillow, and what it lacks: headers read within bounds, other unpackers, room for TIFF without its pixel limit,
and warnings of the picture that is read.

All that trimatte uses of Pillow's private attributes is in this file.
"""

from __future__ import annotations

import contextlib
import logging
import math
import os
import warnings
from collections.abc import Iterator
from contextvars import ContextVar
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile, TiffImagePlugin

from trimatte.errors import ImageFormatError, ImageReadError
from trimatte.images.formats import FORMATS, Format, needs_extra, not_read

logging.getLogger("PIL").addHandler(logging.NullHandler())  # what is wrong is raised, once

HEADER_BYTES = 1 << 25
"""The most bytes of a header that Pillow itself takes apart."""
DAMAGED_TAGS = "some of its EXIF is damaged or of a rare kind, and may be left out"
READS = 1 << 17
"""The most reads of a file, beside one for each `READ_BYTES`; a header made of tiny parts takes millions."""
READ_BYTES = 256

_ROOM = b"ftyp"
_AVIF = {b"avif", b"avis"}
_HEIF = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1", b"mif2"}
_UNREAD = (  # offset, bytes there, what it is
    (0, b"FUJIFILMCCD-RAW", "a raw photo (Fujifilm RAF)"),
    (0, b"IIRO", "a raw photo (Olympus ORF)"),
    (0, b"IIRS", "a raw photo (Olympus ORF)"),
    (0, b"MMOR", "a raw photo (Olympus ORF)"),
    (0, b"IIU\0", "a raw photo (Panasonic RW2)"),
    (0, b"\0MRM", "a raw photo (Minolta MRW)"),
    (0, b"FOVb", "a raw photo (Sigma X3F)"),
    (6, b"HEAPCCDR", "a raw photo (Canon CRW)"),
    (8, b"CR\x02", "a raw photo (Canon CR2)"),
    (4, b"ftypcrx ", "a raw photo (Canon CR3)"),
    (0, b"8BPS", "a Photoshop document"),
    (0, b"\xff\x0a", "JPEG XL"),
    (4, b"JXL \r\n\x87\n", "JPEG XL"),
    (4, b"jP  \r\n\x87\n", "JPEG 2000"),
    (0, b"\xff\x4f\xff\x51", "JPEG 2000"),
    (0, b"v/1\x01", "OpenEXR"),
    (0, b"gimp xcf", "a GIMP document"),
)


_heard: ContextVar[list[str] | None] = ContextVar("_heard", default=None)


class _Warnings:
    """What Pillow's reader of tags has for the module `warnings`, which records for all threads at once or for none."""

    def warn(self, message: str, category: type[Warning] = UserWarning) -> None:
        if _heard.get() is None:  # Pillow is used by others
            warnings.warn(message, category, stacklevel=2)
        tell_damage()


TiffImagePlugin.warnings = _Warnings()  # type: ignore[assignment, attr-defined]


def tell_damage() -> None:
    """Say once of the picture that is read that some of its tags are damaged."""
    heard = _heard.get()
    if heard is not None and not heard:
        heard.append(DAMAGED_TAGS)


@contextlib.contextmanager
def tags_heard() -> Iterator[list[str]]:
    """While a picture is read, a list of what there is to say of its tags, in place of Pillow's warnings of each."""
    heard: list[str] = []
    token = _heard.set(heard)
    try:
        yield heard
    finally:
        _heard.reset(token)


class Metered:
    """A binary stream that ends a parser which reads too much of a header, or in far too small parts.

    Parameters
    ----------
    stream : binary file object
        That can seek.
    header_bytes : float
        The most bytes that are read until `header_read` is called.
    """

    def __init__(self, stream: IO[bytes], header_bytes: float) -> None:
        self._stream, self._bytes = stream, header_bytes
        self._reads = READS + stream.seek(0, os.SEEK_END) // READ_BYTES
        stream.seek(0)

    def read(self, size: int = -1) -> bytes:
        """Read as from the stream. Raises `ImageReadError` over the bounds."""
        data = self._stream.read(size)
        self._reads -= 1
        self._bytes -= len(data)
        if self._reads < 0 or self._bytes < 0:
            raise ImageReadError("its header is too long, or made of too many parts")
        return data

    def header_read(self, format: str) -> None:
        """Let the pixels be read, as many bytes as they have."""
        self._bytes = math.inf
        if format == "BMP":  # whose packed pixels Pillow reads one by one
            self._reads = 1 << 62

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def identified(stream: IO[bytes]) -> ImageFile.ImageFile:
    """Open a picture of one of `FORMATS`, like `Image.open`.

    Pillow's own pixel limit, a global that does not know of `max_pixels`, is not asked.

    Raises
    ------
    ImageFormatError
        If it is of no format that is read; the message says of which, if that can be told.
    ImageReadError
        If it is empty, or its header is too long.
    """
    stream.seek(0)
    prefix = stream.read(256)
    if not prefix:
        raise ImageReadError("it is empty")
    format = _format_of(prefix)
    factory = _factory(format)
    metered = Metered(stream, math.inf if format.whole or format.name == "TIFF" else HEADER_BYTES)
    image: ImageFile.ImageFile = factory(metered, "")
    metered.header_read(format.name)
    return image


def unpacked(image: ImageFile.ImageFile, mode: str, raw_mode: str) -> NDArray[np.uint8]:
    """Decode with another unpacker than the one that Pillow chose."""
    image._mode = mode
    image.tile = [
        tile._replace(args=(raw_mode, *tile.args[1:]) if isinstance(tile.args, tuple) else raw_mode)
        for tile in image.tile
    ]
    load(image)
    return np.asarray(image)


def load(image: Image.Image) -> None:
    """Decode the pixels. Raises `ImageReadError` if a TIFF lacks some of them, which Pillow would leave black."""
    if isinstance(image, TiffImagePlugin.TiffImageFile) and image.tile and image._im is None:
        parts = (tile.extents for tile in image.tile)
        if sum((x1 - x0) * (y1 - y0) for x0, y0, x1, y1 in filter(None, parts)) < image.width * image.height:
            raise ImageReadError("some of its strips or tiles are missing")
        # Where it makes room for a TIFF, Pillow asks its own pixel limit; so the room is made here.
        image.im = Image.new(image.mode, image._tile_size).im
    image.load()


def _format_of(prefix: bytes) -> Format:
    """The format of a file that begins so."""
    for offset, magic, what in _UNREAD:
        if prefix[offset:].startswith(magic):
            raise ImageFormatError(not_read(what))
    if prefix[4:8] == _ROOM:
        brands = _brands(prefix)
        if brands & _AVIF:
            return FORMATS["AVIF"]
        if brands & _HEIF:
            return FORMATS["HEIF"]
    for load_plugins in (Image.preinit, Image.init):  # the common formats first: all take a twentieth of a second
        load_plugins()
        for name, row in FORMATS.items():
            _, accepts = Image.OPEN.get(name, (None, None))
            if accepts is not None and accepts(prefix[:16]) is True:
                return row
    raise ImageFormatError(f"it is not a picture of a known format ({', '.join(FORMATS)})")


def _brands(prefix: bytes) -> set[bytes]:
    """The brands of an ISO base media file (ISO/IEC 14496-12, 4.3), of which AVIF and HEIC are two kinds."""
    size = min(int.from_bytes(prefix[:4], "big"), len(prefix))
    return {prefix[at : at + 4] for at in (8, *range(16, size - 3, 4))}


def _factory(format: Format) -> Any:
    if not format.readable:
        raise ImageFormatError(needs_extra(format))
    if format.name == "HEIF":
        from pillow_heif import HeifImageFile

        return HeifImageFile
    Image.preinit()
    if format.name not in Image.OPEN:
        Image.init()
    return Image.OPEN[format.name][0]
