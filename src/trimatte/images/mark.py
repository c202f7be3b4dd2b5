"""The mark in what trimatte writes, by which it knows its own files and replaces no others unasked.

In PNG, the format of trimaps that are corrected by hand, it goes with the pixels: a program that keeps the text and
writes other pixels leaves a file that is no longer trimatte's.
"""

from __future__ import annotations

import io
import zlib
from typing import IO

from trimatte.images.pillow import identified
from trimatte.images.png import chunks

MARK = "trimatte"
XMP = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    b'<rdf:Description xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmp:CreatorTool="trimatte"/></rdf:RDF></x:xmpmeta>'
)
"""The mark of the formats that have nothing simpler."""

_SOFTWARE = 305


def png_mark(pixels: int) -> bytes:
    """The text of a PNG whose pixels have that sum: the CRC-32 of the check sums of its IDAT chunks."""
    return f"Software\0{MARK} {pixels:08x}".encode()


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
    info = image.info
    said = [info.get("comment"), getattr(image, "tag_v2", {}).get(_SOFTWARE)]
    if image.format in ("WEBP", "AVIF"):
        said.append(image.getexif().get(_SOFTWARE))
    return info.get("xmp") == XMP or any(text in (MARK, MARK.encode()) for text in said)


def _marked_png(stream: IO[bytes]) -> bool:
    pixels, found = 0, list[bytes]()
    for name, content, checksum in chunks(stream, most=100):
        if name == b"tEXt":
            found.append(content)
        pixels = zlib.crc32(checksum, pixels) if name == b"IDAT" else pixels
    return png_mark(pixels) in found
