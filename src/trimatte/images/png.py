"""Chunks of PNG (PNG Specification, third edition): written, walked through, and the text in them."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from typing import IO

MOST_TEXT = 1 << 20
"""The most bytes of a text that is read, packed or not."""
_MOST_CHUNKS = 1 << 16
_SHOWN = (b"IDAT", b"fdAT", b"fcTL")
_TEXTS = (b"tEXt", b"zTXt", b"iTXt")


def chunk(name: bytes, data: bytes) -> bytes:
    """A chunk of PNG, which ends in its checksum of four bytes."""
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def chunks(stream: IO[bytes], most: int = 0) -> Iterator[tuple[bytes, bytes, bytes]]:
    """Name, content and checksum of each chunk of a file, up to its end or damage.

    Of pixels, and of what is longer than `most` bytes, the content is left empty.
    """
    stream.seek(8)
    for _ in range(_MOST_CHUNKS):
        head = stream.read(8)
        if len(head) < 8:
            return
        length, name = struct.unpack(">I4s", head)
        content = b""
        if length <= most and name != b"IDAT":
            content = stream.read(length)
        else:
            stream.seek(length, 1)
        yield name, content, stream.read(4)


def pixels_sum(stream: IO[bytes]) -> int:
    """The CRC-32 of the checksums of all chunks that decide what is shown, frames and their times among them."""
    total = 0
    for name, _, checksum in chunks(stream):
        total = zlib.crc32(checksum, total) if name in _SHOWN else total
    return total


def texts(stream: IO[bytes]) -> Iterator[tuple[str, str]]:
    """Keyword and text of each chunk that has one, however often a keyword comes; what is damaged is left out."""
    for name, content, _ in chunks(stream, MOST_TEXT):
        if name not in _TEXTS:
            continue
        keyword, _, text = content.partition(b"\0")
        packed, coding = name == b"zTXt", "latin-1"
        if name == b"iTXt":
            packed, coding = text[:1] == b"\1", "utf-8"
            text = text[2:].split(b"\0", 2)[-1]
        elif packed:
            text = text[1:]
        try:
            yield keyword.decode("latin-1"), (_unpacked(text) if packed else text).decode(coding)
        except (zlib.error, UnicodeDecodeError):
            continue


def _unpacked(text: bytes) -> bytes:
    """What was deflated; its first part if it is longer than any text. Raises `zlib.error` if it is damaged."""
    inflate = zlib.decompressobj()
    unpacked = inflate.decompress(text, MOST_TEXT)
    if not (inflate.eof or inflate.unconsumed_tail):
        raise zlib.error("the stream is cut off")
    return unpacked
