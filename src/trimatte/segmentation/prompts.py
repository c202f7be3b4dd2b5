"""Prompts: where a person points, checked, and as maps over the photo as the network of clicks sees it."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trimatte.errors import ArgumentError
from trimatte.networks.lite_maps import PROMPTS
from trimatte.runtime.options import check_number, check_sequence

Floats = NDArray[np.float32]
Point = tuple[float, float]
Area = tuple[float, float, float, float]
"""Left, top, right and bottom, in pixels."""
MOST = 1000
"""Points that a photo may have, of both kinds together."""
CELL = 4
"""Pixels of the network's input for one of a map, each way."""
NEAR, FAR = 6.0, 64.0
"""Reach of a click in the two maps of its distance, in pixels of the network's input."""
STEEP = 4.0
"""Logits of the answer before enter as the hyperbolic tangent of their part of this."""


@dataclass(frozen=True)
class Prompts:
    """What was pointed at, in pixels of the upright photo, x to the right and y down.

    Attributes
    ----------
    points : tuple of (x, y, sign)
        In the order in which they came; the sign is 1 for what belongs to the subject, -1 for what does not.
    box : (float, float, float, float) or None
        Left, top, right and bottom of a box about the subject.
    """

    points: tuple[tuple[float, float, int], ...] = ()
    box: Area | None = None

    def __bool__(self) -> bool:
        return bool(self.points) or self.box is not None

    def with_more(self, new: Prompts) -> Prompts:
        """These and newer ones, which hold where both speak of one pixel; a newer box replaces the one before."""
        said = {_pixel(point) for point in new.points}
        kept = tuple(point for point in self.points if _pixel(point) not in said)
        if len(kept) + len(new.points) > MOST:
            raise ArgumentError(f"points: got more than {MOST}, the most that a photo may have")
        return Prompts(kept + new.points, self.box if new.box is None else new.box)

    @property
    def only_drops(self) -> bool:
        """Whether nothing says what the subject is, but only what it is not."""
        return self.box is None and all(sign < 0 for *_, sign in self.points)


def read_prompts(points: Any, not_points: Any, box: Any, shape: Sequence[int] | None = None) -> Prompts:
    """Prompts from a caller's arguments, for a photo of shape (H, W); None where there are none.

    A coordinate is a number of pixels, or text such as "30%" of the photo's width or height; those are 0 as long as no
    shape is given. Raises `ArgumentError` for what can be right in no photo, or in none of that shape.
    """
    kept, dropped = (_points(name, given, shape) for name, given in (("points", points), ("not_points", not_points)))
    if len(kept) + len(dropped) > MOST:
        raise ArgumentError(f"points: got {len(kept) + len(dropped)} with not_points, wanted at most {MOST}")
    both = {_pixel(point) for point in kept} & {_pixel(point) for point in dropped}
    if shape is not None and both:
        raise ArgumentError(f"not_points: got {min(both)}, which is in points, too")
    signed = [(x, y, 1) for x, y in kept] + [(x, y, -1) for x, y in dropped]
    return Prompts(tuple(signed), None if box is None else _box(box, shape))


def _points(name: str, given: Any, shape: Sequence[int] | None) -> list[Point]:
    if given is None:
        return []
    check_sequence(name, given, "points (x, y)")
    points: list[Point] = []
    for number, point in enumerate(given):
        called = f"{name}[{number}]"
        check_sequence(called, point, "a point (x, y)")
        if len(point) != 2:
            raise ArgumentError(f"{called}: got {point!r}, wanted a point (x, y)")
        x, y = (_coordinate(called, value, axis, shape) for axis, value in enumerate(point))
        if shape is not None:
            height, width = shape[:2]
            # All of the width is its last pixel.
            x = min(x, width - 1) if _is_share(point[0]) else x
            y = min(y, height - 1) if _is_share(point[1]) else y
            if not (0 <= x < width and 0 <= y < height):
                raise ArgumentError(f"{called}: got {(x, y)}, outside of the photo of {width} x {height} pixels")
        points.append((x, y))
    return points


def _box(given: Any, shape: Sequence[int] | None) -> Area:
    check_sequence("box", given, "(left, top, right, bottom)")
    if len(given) != 4:
        raise ArgumentError(f"box: got {given!r}, wanted (left, top, right, bottom)")
    left, top, right, bottom = (_coordinate("box", value, axis % 2, shape) for axis, value in enumerate(given))
    relative = shape is None and any(map(_is_share, given))
    if not relative and (left >= right or top >= bottom):
        raise ArgumentError(f"box: got {(left, top, right, bottom)}, wanted left < right and top < bottom")
    if shape is not None and (left < 0 or top < 0 or right > shape[1] or bottom > shape[0]):
        raise ArgumentError(f"box: got {(left, top, right, bottom)}, not within {shape[1]} x {shape[0]} pixels")
    return left, top, right, bottom


def _coordinate(name: str, given: Any, axis: int, shape: Sequence[int] | None) -> float:
    """A number of pixels along the width (`axis` 0) or the height (1)."""
    if not _is_share(given):
        check_number(name, given)
        return float(given)
    if not re.fullmatch(r"\s*\d+(\.\d*)?\s*%", given) or float(given.strip()[:-1]) > 100:
        raise ArgumentError(f"{name}: got {given!r}, wanted pixels, or 0% to 100%")
    return 0.0 if shape is None else float(given.strip()[:-1]) / 100 * shape[1 - axis]


def _is_share(given: Any) -> bool:
    return isinstance(given, str)


def _pixel(point: Sequence[float]) -> tuple[int, int]:
    return math.floor(point[0]), math.floor(point[1])


def parse_point(text: str) -> list[float | str]:
    """A point from text such as "120,80" or "30%,40%". Raises `ArgumentError`."""
    return _coordinates(text, 2, "X,Y in pixels or percent, such as 120,80 or 30%,40%")


def parse_box(text: str) -> list[float | str]:
    """A box from text such as "10,20,300,200", also in percent. Raises `ArgumentError`."""
    return _coordinates(text, 4, "X0,Y0,X1,Y1 in pixels or percent, such as 10,20,300,200")


def _coordinates(text: str, count: int, wanted: str) -> list[float | str]:
    parts = [part.strip() for part in text.split(",")]
    try:
        values = [part if part.endswith("%") else float(part) for part in parts]
    except ValueError:
        values = []
    if len(values) != count:
        raise ArgumentError(f"got {text!r}, wanted {wanted}")
    return values


def prompt_maps(
    size: tuple[int, int],
    points: NDArray[np.floating],
    signs: NDArray[np.floating],
    box: Area | None = None,
    before: Floats | None = None,
) -> Floats:
    """Maps (`PROMPTS`, H / 4, W / 4) of the prompts, for a photo that the network takes at `size` (H, W).

    Parameters
    ----------
    size : (int, int)
        Height and width, multiples of 32.
    points : (K, 2) float
        x and y of the clicks, in pixels of that size.
    signs : (K,) float
        1 to keep what is there, -1 to drop it.
    box : (float, float, float, float), optional
        Left, top, right and bottom of what to keep.
    before : (H / 2, W / 2) float32, optional
        Logits of the answer before.
    """
    rows, columns = (side // CELL for side in size)
    y, x = ((np.arange(count, dtype=np.float32) + 0.5) * CELL for count in (rows, columns))
    maps = np.zeros((PROMPTS, rows, columns), np.float32)
    for first, kind in ((0, 1), (2, -1)):
        square = np.full((rows, columns), np.inf, np.float32)
        for px, py in points[signs == kind]:
            np.minimum(square, (y[:, None] - np.float32(py)) ** 2 + (x - np.float32(px)) ** 2, out=square)
        maps[first] = np.exp(-square / np.float32(NEAR**2))
        maps[first + 1] = np.exp(-np.sqrt(square) / np.float32(FAR))
    if box is not None:
        left, top, right, bottom = box
        inside = ((y >= top) & (y <= bottom))[:, None] & ((x >= left) & (x <= right))
        maps[4] = np.where(inside, 1, -1)
    if before is not None:
        maps[5] = np.tanh(before / np.float32(STEEP)).reshape(rows, 2, columns, 2).mean((1, 3))
    return maps


def positions(size: tuple[int, int], points: NDArray[np.floating]) -> NDArray[np.int64]:
    """Where each click lies in the rows of a map at an eighth of `size` (H, W), (K,)."""
    rows, columns = size[0] // 8, size[1] // 8
    cell = np.clip(np.asarray(points) // 8, 0, (columns - 1, rows - 1)).astype(np.int64)
    where: NDArray[np.int64] = cell[:, 1] * columns + cell[:, 0]
    return where
