"""The mark in what trimatte writes, by which it knows its own files and replaces no others unasked.

A program that keeps the text and writes something else leaves a file that is no longer trimatte's: in PNG, the format
of trimaps that are corrected by hand, the mark goes with the pixels, in JPEG, WebP and AVIF with the whole file.
"""

from __future__ import annotations

import io
import re
import zlib
from itertools import islice
from typing import IO

from trimatte.images.pillow import identified, tags_heard
from trimatte.images.png import chunks, pixels_sum

MARK = "trimatte"
OPEN = f"{MARK} {0:08x}"
"""The mark with room for the sum of the file that it stands in."""
XMP = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    b'<rdf:Description xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmp:CreatorTool="%s"/></rdf:RDF></x:xmpmeta>'
) % OPEN.encode()
"""The mark of the formats that have nothing simpler."""

_SOFTWARE = 305
_MOST_MARKS = 8
_SEALED = re.compile(rb"%s ([0-9a-f]{8})" % MARK.encode())


def png_mark(pixels: int) -> bytes:
    """The text of a PNG whose pixels have that sum: `trimatte.images.png.pixels_sum`."""
    return f"Software\0{MARK} {pixels:08x}".encode()


def sealed(content: bytes) -> bytes:
    """A file that has the open mark, with the CRC-32 of all of it in there."""
    return content.replace(OPEN.encode(), f"{MARK} {zlib.crc32(content):08x}".encode(), 1)


def _is_sealed(content: bytes) -> bool:
    """Whether any mark in a file has its sum; the photo's own metadata may have brought others along."""
    for mark in islice(_SEALED.finditer(content), _MOST_MARKS):
        start, end = mark.span(1)
        if zlib.crc32(content[:start] + b"0" * 8 + content[end:]) == int(mark[1], 16):
            return True
    return False


@tags_heard()
def is_marked(source: str | bytes) -> bool:
    """Whether a file, given by path or content, is a picture that trimatte wrote; what cannot be read is not."""
    try:
        if isinstance(source, bytes):
            return _marked(io.BytesIO(source))
        with open(source, "rb") as file:
            return _marked(file)
    except Exception:  # damaged files make Pillow's plug-ins raise nearly anything
        return False


def _marked(stream: IO[bytes]) -> bool:
    image = identified(stream)
    if image.format == "PNG":
        return _marked_png(stream)
    if image.format == "TIFF":
        return getattr(image, "tag_v2", {}).get(_SOFTWARE) == MARK
    if image.format not in ("JPEG", "WEBP", "AVIF"):
        return False
    stream.seek(0)
    return _is_sealed(stream.read())


def _marked_png(stream: IO[bytes]) -> bool:
    found = [content for name, content, _ in chunks(stream, most=100) if name == b"tEXt"]
    return png_mark(pixels_sum(stream)) in found
