"""What a TIFF says of its pages (TIFF 6.0; BigTIFF): raw photos, reduced copies, how many pages there are.

Pillow opens the first page, whatever it is. The tags that tell are read here before it does.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import IO

from trimatte.errors import ImageReadError
from trimatte.images.formats import not_read

_SUBFILE, _OLD_SUBFILE, _PHOTOMETRIC, _STRIPS, _TILES, _SUB_PAGES, _DNG = 254, 255, 262, 273, 324, 330, 50706
_CFA, _LINEAR_RAW = 32803, 34892
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 7: 1, 13: 4, 16: 8, 18: 8}  # of a value, by its type
_CODES = {1: "B", 3: "H", 4: "I", 13: "I", 16: "Q", 18: "Q"}
_KINDS = frozenset({*range(1, 14), 16})
"""Types of values that Pillow reads."""
_MOST_PAGES = 4096
_MOST_SUB_PAGES = 16
_MOST_BLOCK = 1 << 20
_MOST_PARTS = 1 << 20
"""Strips or tiles of a page; Pillow makes a Python object of each."""


@dataclass(frozen=True, slots=True)
class Page:
    """A page (image file directory): where it begins, and the first values of its tags of integers."""

    offset: int
    tags: dict[int, tuple[int, ...]]

    def first(self, tag: int) -> int:
        """The first value of a tag, 0 without it."""
        return (self.tags.get(tag) or (0,))[0]

    @property
    def reduced(self) -> bool:
        """Whether it is flagged as a smaller copy of another page, or as a mask."""
        return bool(self.first(_SUBFILE) & 5) or self.first(_OLD_SUBFILE) == 2

    @property
    def raw(self) -> bool:
        """Whether it holds, or belongs to, what a camera's sensor saw."""
        return _DNG in self.tags or self.first(_PHOTOMETRIC) in (_CFA, _LINEAR_RAW)


def is_tiff(prefix: bytes) -> bool:
    """Whether a file that begins so is a TIFF or BigTIFF."""
    return prefix[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def full_page(stream: IO[bytes]) -> tuple[IO[bytes], int]:
    """The TIFF as if it began with its first full page, and how many full pages it has.

    Parameters
    ----------
    stream : binary file object
        That can seek; itself is given back if its first page is the full one.

    Raises
    ------
    ImageReadError
        If it is a raw photo, or has far too many parts.
    """
    reader = _Reader(stream)
    pages = list(reader.pages())
    inner = [page for outer in pages[:_MOST_SUB_PAGES] for page in reader.sub_pages(outer)]
    if any(page.raw for page in (*pages, *inner)):
        raise ImageReadError(not_read("a raw photo"))
    if any(count > _MOST_PARTS for page in pages for count in reader.parts.get(page.offset, ())):
        raise ImageReadError(f"a page has more than {_MOST_PARTS} strips or tiles")
    full = [page for page in pages if not page.reduced]
    chosen = next(iter(full or [page for page in inner if not page.reduced] or pages), None)
    if chosen is None or chosen is pages[0]:
        return stream, len(full)
    return reader.beginning_with(chosen), len(full)


def first_blocks(stream: IO[bytes], *tags: int) -> dict[int, bytes]:
    """The content of these tags of the first page, as it lies in the file, whatever its type; without what is damaged.

    Parameters
    ----------
    stream : binary file object
        That can seek.
    *tags : int
        Of which those of more than a megabyte or so are left out.
    """
    try:
        return _Reader(stream).blocks(tags)
    except (struct.error, OSError, OverflowError, ValueError):
        return {}


def layout(stream: IO[bytes]) -> tuple[str, bool, int]:
    """Byte order ("<" or ">") of a TIFF, whether it is a BigTIFF, and where its first page is."""
    return _Reader(stream).layout


def unreadable_tags(stream: IO[bytes]) -> set[int] | None:
    """Tags of the first page whose values are of a type that Pillow passes over, and does not tell; None of no TIFF."""
    try:
        stream.seek(0)
        return _Reader(stream).of_rare_types() if is_tiff(stream.read(4)) else None
    except (struct.error, OSError, OverflowError, ValueError):  # which Pillow tells
        return set()


class _Reader:
    """Reads directories of tags; what is damaged ends the list of pages."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        stream.seek(0)
        head = stream.read(16)
        self._order = "<" if head[:2] == b"II" else ">"
        self._big = b"+" in head[2:4]
        self._at, self._offset, self._size = (8, "Q", 20) if self._big else (4, "I", 12)
        self._first = self._number(head, self._at, self._offset)
        self.layout = self._order, self._big, self._first
        self.parts: dict[int, list[int]] = {}

    def pages(self) -> Iterator[Page]:
        seen, offset = set[int](), self._first
        while offset and offset not in seen and len(seen) < _MOST_PAGES:
            seen.add(offset)
            page, offset = self._page(offset)
            if page is not None:
                yield page

    def blocks(self, tags: Sequence[int]) -> dict[int, bytes]:
        """The bytes of tags of the first page."""
        found = dict[int, bytes]()
        for tag, kind, count, data in self._fields(self._entries(self._first)):
            length = count * _SIZES.get(kind, 0)
            if tag in tags and tag not in found and 0 < length <= _MOST_BLOCK:
                found[tag] = self._content(data, length)
        return found

    def of_rare_types(self) -> set[int]:
        """Tags of the first page of types that Pillow does not read."""
        return {tag for tag, kind, *_ in self._fields(self._entries(self._first)) if kind not in _KINDS}

    def sub_pages(self, page: Page) -> Iterator[Page]:
        for offset in page.tags.get(_SUB_PAGES, ())[:_MOST_SUB_PAGES]:
            inner, _ = self._page(offset)
            if inner is not None:
                yield inner

    def beginning_with(self, page: Page) -> IO[bytes]:
        """A copy of the file whose first page is another."""
        self._stream.seek(0)
        copy = bytearray(self._stream.read())
        struct.pack_into(self._order + self._offset, copy, self._at, page.offset)
        return io.BytesIO(copy)

    def _page(self, offset: int) -> tuple[Page | None, int]:
        """A page and where the next one is, 0 if there is none."""
        try:
            entries = self._entries(offset)
            tags = dict(self._tags(entries, offset))
            return Page(offset, tags), self._number(entries, len(entries) - struct.calcsize(self._offset), self._offset)
        except (struct.error, OSError, OverflowError, ValueError):
            return None, 0

    def _entries(self, offset: int) -> bytes:
        """The entries of a page, and where the next page is."""
        count_code = "Q" if self._big else "H"
        count = self._number(self._read(offset, struct.calcsize(count_code)), 0, count_code)
        start = offset + struct.calcsize(count_code)
        return self._read(start, min(count, 1 << 16) * self._size + struct.calcsize(self._offset))

    def _tags(self, entries: bytes, page: int) -> Iterator[tuple[int, tuple[int, ...]]]:
        for tag, kind, count, data in self._fields(entries):
            if tag in (_STRIPS, _TILES):
                self.parts.setdefault(page, []).append(count)
            elif tag in (_SUBFILE, _OLD_SUBFILE, _PHOTOMETRIC, _SUB_PAGES, _DNG) and kind in _CODES and count:
                count = min(count, _MOST_SUB_PAGES)
                content = self._content(data, count * _SIZES[kind])
                yield tag, struct.unpack_from(f"{self._order}{count}{_CODES[kind]}", content)

    def _fields(self, entries: bytes) -> Iterator[tuple[int, int, int, bytes]]:
        """Tag, type and count of each entry, and what it holds: the values, or where they are."""
        size, room = self._size, self._at
        for at in range(0, len(entries) - size + 1 - room, size):
            tag, kind, count = struct.unpack_from(self._order + "HH" + self._offset, entries, at)
            yield tag, kind, count, entries[at + size - room : at + size]

    def _content(self, data: bytes, length: int) -> bytes:
        """The values of an entry, of that many bytes."""
        return data[:length] if length <= len(data) else self._read(self._number(data, 0, self._offset), length)

    def _read(self, offset: int, size: int) -> bytes:
        self._stream.seek(offset)
        data = self._stream.read(size)
        if len(data) < size:
            raise ValueError("cut short")
        return data

    def _number(self, data: bytes, at: int, code: str) -> int:
        (number,) = struct.unpack_from(self._order + code, data, at)
        return int(number)
