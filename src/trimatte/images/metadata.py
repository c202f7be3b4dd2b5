"""What a picture's file says beside its pixels: resolution, author, camera, place; read, chosen from, and packed.

A file's metadata are taken apart and put together anew: thumbnails, which may show the background that was cut away,
maker notes, whose inner offsets break when they move, and the orientation, which is applied, never come along.
"""

from __future__ import annotations

import contextlib
import io
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import IO, Any
from xml.etree.ElementTree import Element

import numpy as np
from PIL import Image

from trimatte.images import png
from trimatte.images.pillow import tell_damage
from trimatte.images.tiff import first_blocks, layout, unreadable_tags
from trimatte.images.xmp import CREATORS, RIGHTS, cleaned_xmp, extended, xmp_tree, xmp_values

LEVELS = ("none", "copyright", "all", "all+gps")
INCH = 0.0254

DESCRIPTION, MAKE, MODEL, X_DPI, Y_DPI, UNIT, SOFTWARE, TIME, ARTIST, COPYRIGHT = (
    *(270, 271, 272, 282, 283, 296, 305, 306, 315, 33432),
)
ORIENTATION, CAMERA, PLACE = 274, 0x8769, 0x8825
COLOUR_SPACE, WIDTH, HEIGHT = 40961, 40962, 40963
_XP = range(40091, 40096)  # Windows' title, comment, author, keywords, subject, in UTF-16
_XP_AUTHOR = 40093
_BASE = frozenset({DESCRIPTION, MAKE, MODEL, TIME, ARTIST, COPYRIGHT, 316, 18246, 18249, *_XP})
_READ = _BASE | {X_DPI, Y_DPI, UNIT}
_NOT_CAMERA = frozenset({37395, 37500, 40965, COLOUR_SPACE, WIDTH, HEIGHT, 59932, 59933})
"""History, maker note, interoperability, what is of the picture before, padding."""
_XMP_TAG, _IPTC_TAG, _PHOTOSHOP_TAG, _PHOTOSHOP_IPTC = 700, 33723, 34377, 0x0404
_WORDS, _UNICODE = frozenset({37510, 27, 28}), b"UNICODE\0"
"""Comment, and method and area of GPS, whose text may be in UTF-16 of the block's byte order, after that word."""
_MARKS = (b"\xff\xfe", b"\xfe\xff")
_DATASET, _RAW = b"\x1c", "Raw profile type "
_EXIF = b"Exif\0\0"
_XMP_OF_GIF, _MOST_OF_GIF = b"!\xff\x0bXMP DataXMP", 1 << 25
_XMP_EXTENSION = b"http://ns.adobe.com/xmp/extension/\0"
_IPTC_PLACES = frozenset({26, 27, 90, 92, 95, 100, 101})
_IPTC_PREVIEWS = frozenset({200, 201, 202})
_AUTHOR_KEYS = re.compile(r"(?:exif:|tiff:|dc:)?(?:author|artist|creator)", re.IGNORECASE)
_COPYRIGHT_KEYS = re.compile(r"(?:exif:|tiff:|dc:)?(?:copyright|rights)", re.IGNORECASE)
_CREDITS = ((ARTIST, 80, CREATORS, _AUTHOR_KEYS), (COPYRIGHT, 116, RIGHTS, _COPYRIGHT_KEYS))
"""Where credits are: tag of EXIF, dataset of IPTC, properties of XMP, keywords of PNG."""
_PLACE_KEY = re.compile(
    r"(?i:gps|latitude|longitude|location|coordinates|coverage$|address|^position$)"
    r"|(?:^|[^A-Za-z]|(?<=[a-z])(?=[A-Z]))(?i:city|place|state|province|country)(?![a-z])"
)
"""In keywords of PNG; ImageMagick writes EXIF as text, too, such as `exif:GPSLatitude`."""
_MOST_TEXT = 1 << 16
_SHORT = 2000
_MOST_DPI = 1e7
"""Microscopes state hundreds of thousands."""


@dataclass(frozen=True)
class Metadata:
    """What a file says beside its pixels.

    Attributes
    ----------
    dpi : (float, float) or None
        Pixels per inch, across and down.
    base, camera, place : mapping of int to object
        EXIF by its tags: of the picture, of the camera, and GPS.
    xmp : bytes
        An XMP packet.
    iptc : bytes
        IPTC-IIM datasets.
    text : tuple of (str, str)
        Of PNG.
    """

    dpi: tuple[float, float] | None = None
    base: Mapping[int, Any] = field(default_factory=dict)
    camera: Mapping[int, Any] = field(default_factory=dict)
    place: Mapping[int, Any] = field(default_factory=dict)
    xmp: bytes = b""
    iptc: bytes = b""
    text: tuple[tuple[str, str], ...] = ()

    def kept(self, level: str) -> Metadata:
        """What is written at a level of `LEVELS`; the resolution always is."""
        if level == "none":
            return Metadata(dpi=self.dpi)
        if level == "copyright":
            return Metadata(dpi=self.dpi, base=self.credits)
        with_place, packet = level == "all+gps", xmp_tree(self.xmp)
        return replace(
            self,
            base={**self.base, **self._credits(packet)},  # before the tree is changed
            text=tuple(pair for pair in self.text if with_place or not _PLACE_KEY.search(pair[0])),
            place=self.place if with_place else {},
            xmp=cleaned_xmp(packet, place=with_place),
            iptc=_cleaned_iptc(self.iptc, place=with_place),
        )

    def turned(self, orientation: Any) -> Metadata:
        """Of the upright picture: if it lay on its side, resolutions across and down change places."""
        return replace(self, dpi=self.dpi[::-1]) if self.dpi and orientation in (5, 6, 7, 8) else self

    @property
    def credits(self) -> dict[int, str]:
        """Authors and copyright as EXIF has them, from wherever the file has them; of authors, the longest list."""
        return self._credits(xmp_tree(self.xmp))

    def _credits(self, packet: Element | None) -> dict[int, str]:
        datasets, named = list(_datasets(self.iptc)), dict[int, str]()
        for tag, number, names, keys in _CREDITS:
            lines = [value for found, value in datasets if found == number and value]
            texts = [value for key, value in self.text if keys.fullmatch(key)]
            # IPTC comes late, for it cuts names after 32 letters and notices after 128.
            values = [self.base.get(tag), xmp_values(packet, names), b"; ".join(lines), "; ".join(texts)]
            if tag == ARTIST:
                values.append(_utf16(self.base.get(_XP_AUTHOR)))
            words = [found for value in values if (found := _words(value))]
            if words:
                named[tag] = max(words, key=lambda text: text.count(";")) if tag == ARTIST else words[0]
        return named

    def exif(self, size: tuple[int, int], software: str, *, srgb: bool, always: bool = False) -> bytes:
        """An EXIF block of it, empty if there is nothing to say.

        Parameters
        ----------
        size : (int, int)
            Width and height of the picture that it goes with.
        software : str
            That writes it.
        srgb : bool
            Whether the colours are sRGB.
        always : bool, default False
            Say the resolution here, too, for formats that have no other place for it.
        """
        if not (self.base or self.camera or self.place or (always and (self.dpi or self.xmp))):
            return b""
        exif = Image.Exif()
        exif.endian = "<"  # as TIFF has it, too, and `_unpacked` the text
        exif.update({**_packed(self.base), SOFTWARE: software})
        if self.dpi:
            exif.update({X_DPI: self.dpi[0], Y_DPI: self.dpi[1], UNIT: 2})
        if self.camera:
            whole = {**_packed(self.camera), COLOUR_SPACE: 1 if srgb else 0xFFFF, WIDTH: size[0], HEIGHT: size[1]}
            exif.get_ifd(CAMERA).update(undefined(whole))
        if self.place:
            exif.get_ifd(PLACE).update(undefined(_packed(self.place)))
        try:
            return exif.tobytes()
        except Exception:  # what a damaged block was read as may not be written
            if not (self.camera or self.place):
                return b""
            return Metadata(self.dpi, self.credits).exif(size, software, srgb=srgb, always=always)


class _Text(str):
    """Text of EXIF that is written in UTF-8, where Pillow would put a question mark for what is not ASCII."""

    __slots__ = ()

    def encode(self, encoding: str = "utf-8", errors: str = "strict") -> bytes:
        return super().encode("utf-8", "replace")


def _packed(tags: Mapping[int, Any]) -> dict[int, Any]:
    return {tag: _Text(value) if isinstance(value, str) else value for tag, value in tags.items()}


def undefined(tags: Mapping[int, Any]) -> dict[int, Any]:
    """Tags of a camera or place whose bytes Pillow writes as of type UNDEFINED, unless it knows theirs.

    It guesses BYTE of `bytes`, and takes what is neither these nor numbers nor text as it is.
    """
    return {tag: (bytearray(value),) if isinstance(value, bytes) else value for tag, value in tags.items()}


def _unpacked(tags: Mapping[int, Any], endian: str | None = None) -> dict[int, Any]:
    """Tags of EXIF whose text, which Pillow takes for Latin-1, is in UTF-8 if it can be, or in little-endian UTF-16."""
    found = dict[int, Any]()
    for tag, value in tags.items():
        found[tag] = _text(value.encode("latin-1", "replace")) if isinstance(value, str) else value
        if tag in _WORDS and isinstance(value, bytes) and value.startswith(_UNICODE):
            words = value.removeprefix(_UNICODE)
            coding = "utf-16" if words[:2] in _MARKS else "utf-16-le" if endian == "<" else "utf-16-be"
            found[tag] = _UNICODE + words.decode(coding, "replace").encode("utf-16-le", "replace")
    return found


def _text(words: bytes) -> str:
    try:
        return words.decode("utf-8")
    except UnicodeDecodeError:
        return words.decode("latin-1")


def metadata_of(image: Image.Image, stream: IO[bytes] | None) -> Metadata:
    """What an opened and decoded picture's file, `stream` if it is at hand, says; what is damaged is left out."""
    try:
        return _metadata_of(image, stream)
    except Exception:  # no damage beside the pixels makes the picture unreadable
        tell_damage()
        return Metadata()


def _metadata_of(image: Image.Image, stream: IO[bytes] | None) -> Metadata:
    info, exif = image.info, Image.Exif()
    with _damage_told():
        exif = image.getexif()
    _tell_of_passed_over(_tags_of(image, stream))
    texts, raw = _texts(image, stream)
    xmp = extended(info.get("xmp") or raw.get("xmp") or _xmp_of_gif(image, stream), _segments(image))
    iptc = _iptc_of(image, info, stream) or raw.get("iptc", b"")
    return _found(exif, _header_dpi(image), xmp, iptc, texts)


@contextlib.contextmanager
def _damage_told() -> Iterator[None]:
    """End quietly at damaged tags, of which a note of the picture tells."""
    try:
        yield
    except Exception:  # damaged tags make Pillow raise nearly anything
        tell_damage()


def _tags_of(image: Image.Image, stream: IO[bytes] | None) -> IO[bytes] | None:
    """Where a picture's file has EXIF, which is laid out as a TIFF; None if there is nothing."""
    if image.format == "TIFF":
        return stream
    block = image.info.get("exif")
    if not isinstance(block, bytes):
        return None
    while block.startswith(_EXIF):
        block = block.removeprefix(_EXIF)
    return io.BytesIO(block) if block else None


def _tell_of_passed_over(tags: IO[bytes] | None) -> None:
    """Tell of a block of EXIF that is none, or has tags which Pillow leaves out in silence."""
    passed_over = set[int]() if tags is None else unreadable_tags(tags)
    if passed_over is None or passed_over & {*_READ, ORIENTATION, CAMERA, PLACE}:
        tell_damage()


def metadata_of_tiff(stream: IO[bytes]) -> Metadata:
    """What is said by the first page of a TIFF that Pillow does not open."""
    exif = Image.Exif()
    try:
        exif.endian, exif.bigtiff, offset = layout(stream)  # of BigTIFF, Pillow itself reads half a head
        exif.load_from_fp(stream, offset)
        _tell_of_passed_over(stream)
        return _found(exif, None, exif.get(_XMP_TAG), _iptc_of_tiff(stream), ())
    except Exception:
        tell_damage()
        return Metadata()


def _found(
    exif: Image.Exif, dpi: tuple[float, float] | None, xmp: Any, iptc: bytes, texts: Iterable[tuple[str, str]]
) -> Metadata:
    stored: dict[int, Any] = {}
    camera: dict[int, Any] = {}
    place: dict[int, Any] = {}
    with _damage_told():
        stored = _unpacked({tag: exif[tag] for tag in exif if tag in _READ})  # of others, Pillow may warn
        camera = _unpacked(
            {tag: value for tag, value in exif.get_ifd(CAMERA).items() if tag not in _NOT_CAMERA}, exif.endian
        )
        place = _unpacked(exif.get_ifd(PLACE), exif.endian)
    xmp = xmp or b""
    return Metadata(
        dpi=_finer(dpi, _exif_dpi(stored)),
        base={tag: value for tag, value in stored.items() if tag in _BASE},
        camera=camera,
        place=place,
        xmp=xmp if isinstance(xmp, bytes) else str(xmp).encode(),
        iptc=iptc,
        text=tuple(texts),
    )


def _header_dpi(image: Image.Image) -> tuple[float, float] | None:
    """What stands outside of EXIF.

    Of a JPEG that says nothing there Pillow takes EXIF's number across for both, whatever its unit, or else 72; of a
    TIFF, whose tags are read as EXIF, 1.
    """
    if image.format == "TIFF":
        return None
    unit = image.info.get("jfif_unit", 0 if image.format in ("JPEG", "MPO") else 1)
    return _dpi(image.info.get("dpi")) if unit in (1, 2) or "exif" not in image.info else None


def _dpi(value: Any) -> tuple[float, float] | None:
    try:
        x, y = (float(number) for number in value)
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    if not (1 <= x <= _MOST_DPI and 1 <= y <= _MOST_DPI):
        return None
    return _whole(x), _whole(y)


def _finer(outside: tuple[float, float] | None, exif: tuple[float, float] | None) -> tuple[float, float] | None:
    """The resolution of two: EXIF's, where what stands outside of it is that, rounded, or but says 1 by 1: square.

    Per inch or centimetre, for many programs know no other way to say so.
    """
    if outside is None or exif is None:
        return outside or exif
    rounded = all(abs(one - other) < 1 for one, other in zip(outside, exif, strict=True))
    return exif if rounded or max(outside) <= 2.54 else outside


def _whole(dpi: float) -> float:
    """Without the rounding of files that count in metres."""
    return float(round(dpi)) if abs(dpi - round(dpi)) < 0.02 else dpi


def _exif_dpi(stored: Mapping[int, Any]) -> tuple[float, float] | None:
    scale = {2: 1.0, 3: 2.54}.get(stored.get(UNIT, 2))
    found = _dpi((stored.get(X_DPI), stored.get(Y_DPI)))
    return None if scale is None or found is None else (_whole(found[0] * scale), _whole(found[1] * scale))


def _iptc_of(image: Image.Image, info: Mapping[Any, Any], stream: IO[bytes] | None) -> bytes:
    blocks = info.get("photoshop")
    found = blocks.get(_PHOTOSHOP_IPTC, b"") if isinstance(blocks, Mapping) else b""
    if not found and image.format == "TIFF" and stream is not None:
        return _iptc_of_tiff(stream)
    return found if isinstance(found, bytes) else b""


def _iptc_of_tiff(stream: IO[bytes]) -> bytes:
    """IPTC of a TIFF's own tag, or among Photoshop's blocks: where it says more.

    Pillow is not asked: of a tag of 32-bit numbers, which many programs make of it, it has the first alone.
    """
    blocks = first_blocks(stream, _IPTC_TAG, _PHOTOSHOP_TAG)
    found = blocks.get(_IPTC_TAG, b"")
    if found[:1] != _DATASET and found[3:4] == _DATASET:  # numbers of the other byte order
        found = np.frombuffer(found[: len(found) // 4 * 4], ">u4").astype("<u4").tobytes()
    return max(found, _photoshop_iptc(blocks.get(_PHOTOSHOP_TAG, b"")), key=lambda iptc: len(list(_datasets(iptc))))


def _photoshop_iptc(blocks: bytes) -> bytes:
    """IPTC among Photoshop's image resource blocks; what is damaged ends them."""
    at = 0
    while blocks[at : at + 4] == b"8BIM" and at + 12 <= len(blocks):
        name = (1 + blocks[at + 6]) + (1 + blocks[at + 6]) % 2
        start = at + 6 + name + 4
        length = int.from_bytes(blocks[start - 4 : start], "big")
        if int.from_bytes(blocks[at + 4 : at + 6], "big") == _PHOTOSHOP_IPTC:
            return blocks[start : start + length]
        at = start + length + length % 2
    return b""


def _texts(image: Image.Image, stream: IO[bytes] | None) -> tuple[list[tuple[str, str]], dict[str, bytes]]:
    """Keywords and texts of a PNG, and the blocks that ImageMagick writes as text, by their names."""
    if image.format != "PNG":
        return [], {}
    found = list(getattr(image, "text", {}).items())
    if stream is not None:
        with contextlib.suppress(OSError, ValueError):  # Pillow has but the last text of each keyword
            found = list(png.texts(stream))
    words, raw = list[tuple[str, str]](), dict[str, bytes]()
    for key, value in found:
        if key.startswith(_RAW):
            raw[key.removeprefix(_RAW)] = _raw(value)
        elif key != "Software" and not key.startswith(("XML:", "Thumb::")) and len(value) <= _MOST_TEXT:
            words.append((str(key), str(value)))
    blocks = raw.get("iptc") or raw.get("8bim", b"")
    return words, {**raw, "iptc": blocks if blocks[:1] == _DATASET else _photoshop_iptc(blocks)}


def _segments(image: Image.Image) -> Iterator[bytes]:
    """What a JPEG holds of an XMP packet that is longer than a segment, each with its head."""
    for name, segment in getattr(image, "applist", ()):
        if name == "APP1" and segment.startswith(_XMP_EXTENSION):
            yield segment.removeprefix(_XMP_EXTENSION)


def _xmp_of_gif(image: Image.Image, stream: IO[bytes] | None) -> bytes:
    """The packet in a GIF's application block, which lies there as it is, up to a trailer that leads readers out."""
    if image.format != "GIF" or stream is None:
        return b""
    with contextlib.suppress(OSError, ValueError):
        stream.seek(0)
        content = stream.read(_MOST_OF_GIF)
        start = content.find(_XMP_OF_GIF) + len(_XMP_OF_GIF)
        end = content.find(b"\x01\xff\xfe\xfd", start)
        if len(_XMP_OF_GIF) <= start < end:
            return content[start:end]
    return b""


def _raw(text: str) -> bytes:
    """A block of ImageMagick: its name, its length, and its bytes in hexadecimal."""
    try:
        return bytes.fromhex("".join(text.split()[2:]))
    except ValueError:
        return b""


def _utf16(value: Any) -> str:
    """Words of Windows, as bytes or as a tuple of them."""
    try:
        return bytes(value).decode("utf-16-le", "replace") if isinstance(value, (bytes, tuple)) else ""
    except (TypeError, ValueError):
        return ""


def _words(value: Any) -> str:
    """A name or notice as text, its parts (EXIF has the photographer's and the editor's) apart by semicolons.

    It is cut where it is as long as none is.
    """
    if isinstance(value, bytes):
        value = _text(value)
    parts = value.split("\0") if isinstance(value, str) else []
    return "; ".join(stripped for part in parts if (stripped := part.strip()))[:_SHORT]


def _datasets(iptc: bytes) -> Iterator[tuple[int, bytes]]:
    """Number and value of each dataset of record 2 (IPTC-IIM 4.2); what is damaged ends them."""
    yield from ((number, iptc[value:end]) for number, _, value, end in _spans(iptc) if number >= 0)


def _spans(iptc: bytes) -> Iterator[tuple[int, int, int, int]]:
    """Of each dataset its number, -1 in another record, and where it, its value and the next begin."""
    at = 0
    while at + 5 <= len(iptc) and iptc[at] == 0x1C:
        value, length = at + 5, int.from_bytes(iptc[at + 3 : at + 5], "big")
        if length & 0x8000:  # extended: of so many bytes is the length that follows
            value += length & 0x7FFF
            length = int.from_bytes(iptc[at + 5 : value], "big")
        end = value + length
        if end > len(iptc):
            return
        yield (iptc[at + 2] if iptc[at + 1] == 2 else -1), at, value, end
        at = end


def _cleaned_iptc(iptc: bytes, *, place: bool) -> bytes:
    left_out = _IPTC_PREVIEWS if place else _IPTC_PREVIEWS | _IPTC_PLACES
    return b"".join(iptc[start:end] for number, start, _, end in _spans(iptc) if number not in left_out)


def photoshop_block(iptc: bytes) -> bytes:
    """IPTC as an APP13 segment of JPEG has it."""
    body = b"Photoshop 3.0\0" + b"8BIM" + _PHOTOSHOP_IPTC.to_bytes(2, "big") + b"\0\0"
    body += len(iptc).to_bytes(4, "big") + iptc + b"\0" * (len(iptc) % 2)
    return b"\xff\xed" + (len(body) + 2).to_bytes(2, "big") + body if len(body) < 65533 else b""
