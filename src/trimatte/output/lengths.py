"""Lengths, sizes and shares, as people write them; read without NumPy."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from trimatte.errors import ArgumentError
from trimatte.runtime.options import shown

Length = tuple[float, str]
"""A number, and "px" or "%"."""
Margins = tuple[Length, Length, Length, Length]
"""Top, right, bottom, left."""

_LENGTH = re.compile(r"(\d{1,5}(?:\.\d{1,4}|,\d)?)(px|%|)")
"""A comma is a number's point before a single digit only: "5,10%" may be meant as two margins."""
_APART = re.compile(r"(?<=\d)\s+(px|%)")
_SEPARATOR = re.compile(r",?\s+")
_SIZE = re.compile(r"(\d{1,5})\s*[x×]\s*(\d{1,5})")
_ASPECT = re.compile(r"(\d{1,4}(?:\.\d{1,4})?)\s*:\s*(\d{1,4}(?:\.\d{1,4})?)")
_LONGEST_TEXT = 64


def parse_margins(value: Any) -> Margins:
    """Four margins of one, two or four: 40, "7.5 %", "10% 5%", "10%, 7,5%", (40, "5%"), in the order of CSS.

    Raises `ArgumentError` for another value.
    """
    wanted = "margin: got {}; wanted 1, 2 or 4 lengths such as 40 or 7.5%, apart by blanks, of at most 99999 or 100%"
    if isinstance(value, str) and len(value) <= _LONGEST_TEXT:
        parts: Sequence[Any] = _SEPARATOR.split(_APART.sub(r"\1", value.strip()))
    elif isinstance(value, Sequence) and not isinstance(value, (str, bytes)):
        parts = value
    else:
        parts = [value]
    found = [None if isinstance(part, bool) else _LENGTH.fullmatch(str(part)[:_LONGEST_TEXT]) for part in parts]
    lengths = [(float(match[1].replace(",", ".")), match[2] or "px") for match in found if match]
    fits = all(number <= 100 if unit == "%" else number == int(number) for number, unit in lengths)
    if None in found or len(lengths) not in (1, 2, 4) or not fits:
        raise ArgumentError(wanted.format(shown(value)))
    top, right, bottom, left = lengths * (4 // len(lengths))
    return top, right, bottom, left


def check_shares(margins: Margins) -> None:
    """Raise `ArgumentError` for margins that leave no room in any canvas."""
    top, right, bottom, left = margins
    if any(share_of(*ends) >= 1 for ends in ((top, bottom), (left, right))):
        raise ArgumentError("margin: got shares of 100 % and more; wanted them to leave room")


def share_of(*lengths: Length) -> float:
    """What the shares among some lengths take of a whole, in [0, 1]."""
    return sum(number / 100 for number, unit in lengths if unit == "%")


def room_within(margins: Margins, canvas: tuple[int, int], inset: int = 0) -> tuple[tuple[int, int], tuple[int, int]]:
    """Where the room within a canvas of (height, width) begins, and its height and width.

    Raises `ArgumentError` if the margins, and within them an inset of so many pixels, leave none.
    """
    top, right, bottom, left = margins
    start = _pixels(top, canvas[0]) + inset, _pixels(left, canvas[1]) + inset
    end = _pixels(bottom, canvas[0]) + inset, _pixels(right, canvas[1]) + inset
    room = canvas[0] - start[0] - end[0], canvas[1] - start[1] - end[1]
    if min(room) < 1:
        raise ArgumentError(f"margin: got one that leaves no room in {canvas[1]} x {canvas[0]} pixels")
    return start, room


def _pixels(length: Length, whole: int) -> int:
    number, unit = length
    return int(number if unit == "px" else number / 100 * whole + 1e-9)


def parse_size(value: Any) -> tuple[int, int]:
    """Width and height of "2000x1500" or (2000, 1500). Raises `ArgumentError` for another value."""
    match = _SIZE.fullmatch(value.strip()) if isinstance(value, str) and len(value) <= _LONGEST_TEXT else None
    sides: Any = (int(match[1]), int(match[2])) if match else value
    good = isinstance(sides, Sequence) and len(sides) == 2 and all(type(side) is int for side in sides)
    if isinstance(sides, (str, bytes)) or not good or not all(1 <= side <= 65535 for side in sides):
        example = f'"{value}x{value}"' if type(value) is int and 1 <= value <= 65535 else "2000x1500"
        raise ArgumentError(f"size: got {shown(value)}; wanted width x height such as {example}, up to 65535 each")
    return sides[0], sides[1]


def parse_aspect(value: Any) -> float:
    """Width by height of "4:5" or 0.8. Raises `ArgumentError` for another value, or one beyond 1:100 and 100:1."""
    match = _ASPECT.fullmatch(value.strip()) if isinstance(value, str) and len(value) <= _LONGEST_TEXT else None
    share = float(match[1]) / float(match[2]) if match and float(match[2]) else value
    if isinstance(share, bool) or not isinstance(share, (int, float)) or not 0.01 <= share <= 100:
        raise ArgumentError(f"aspect: got {shown(value)}; wanted width : height such as 4:5, from 1:100 to 100:1")
    return float(share)
