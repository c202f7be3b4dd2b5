"""Animations of WebP (WebP Container Specification) whose encoder joins frames that are alike."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence

from PIL import Image

_HEAD = 12
_ANIMATED, _ALPHA = 0x02, 0x10
"""Flags of the file."""
_DISPOSED, _NOT_BLENDED = 0x01, 0x02
"""Flags of a frame, which stand behind place, size and time."""
_PIXELS = (b"ALPH", b"VP8 ", b"VP8L")


def with_each_time(file: bytes, milliseconds: Sequence[int], loop: int) -> bytes:
    """The animation with a frame for each time, where the encoder joined some; the later of these are transparent.

    Parameters
    ----------
    file : bytes
        In the extended format, as one with metadata is; a still picture if all frames are alike.
    milliseconds : sequence of int
        How long each frame is shown; together, as long as those of the file.
    loop : int
        How often all are; 0 for ever.
    """
    (_, head), *others = _chunks(file)
    times, body = iter(milliseconds), list[bytes]()
    if not any(name == b"ANMF" for name, _ in others):
        others = _animated(head, others, sum(milliseconds), loop)
    for name, data in others:
        body.extend(_chunk(name, part) for part in (_apart(data, times) if name == b"ANMF" else (data,)))
    flags = head[0] | _ANIMATED | (_ALPHA if len(body) > len(others) else 0)
    content = b"WEBP" + _chunk(b"VP8X", bytes((flags,)) + head[1:]) + b"".join(body)
    return b"RIFF" + len(content).to_bytes(4, "little") + content


def _apart(data: bytes, times: Iterator[int]) -> Iterator[bytes]:
    """A frame of the time that comes next, and one for each further time in its own, which changes nothing."""
    place, left, flags, shown = data[:12], int.from_bytes(data[12:15], "little"), data[15], data[16:]
    while left > 0:
        time = next(times, left)
        left -= time
        yield place + time.to_bytes(3, "little") + bytes((flags if left <= 0 else flags & ~_DISPOSED,)) + shown
        if left > 0:
            flags, shown = flags & _DISPOSED, _transparent(place)


def _transparent(place: bytes) -> bytes:
    """The pixels of a transparent frame at a place."""
    width, height = (1 + int.from_bytes(place[at : at + 3], "little") for at in (6, 9))
    Image.new("RGBA", (width, height)).save(stream := io.BytesIO(), "WEBP", lossless=True)
    return b"".join(_chunk(name, data) for name, data in _chunks(stream.getvalue()) if name in _PIXELS)


def _animated(head: bytes, still: list[tuple[bytes, bytes]], time: int, loop: int) -> list[tuple[bytes, bytes]]:
    """The chunks of a still picture as those of an animation of one frame."""
    pixels = b"".join(_chunk(name, data) for name, data in still if name in _PIXELS)
    frame = bytes(6) + head[4:10] + time.to_bytes(3, "little") + bytes((_NOT_BLENDED,)) + pixels
    profile = [(name, data) for name, data in still if name == b"ICCP"]
    words = [(name, data) for name, data in still if name not in (b"ICCP", *_PIXELS)]
    return [*profile, (b"ANIM", bytes(4) + loop.to_bytes(2, "little")), (b"ANMF", frame), *words]


def _chunks(file: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = _HEAD
    while at < len(file):
        end = at + 8 + int.from_bytes(file[at + 4 : at + 8], "little")
        yield file[at : at + 4], file[at + 8 : end]
        at = end + end % 2


def _chunk(name: bytes, data: bytes) -> bytes:
    return name + len(data).to_bytes(4, "little") + data + bytes(len(data) % 2)
