"""COCO's json: which regions of which photo belong to which class, as polygons or run lengths.

A region's polygons are in pixels, x to the right and y downwards, with the origin at the corner of the first pixel.
Run lengths (RLE) go down the columns, from left to right, and begin with a run of zeros; as a string they are
compressed: numbers of five bits a character, after the third as the difference to the one before the last.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trimatte.errors import ArgumentError
from trimatte.files.atomic import reason

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Annotation:
    """A region of a class, made of `polygons` (N, 2), else of `runs`; a `crowd` is outlined as a whole."""

    category: str
    polygons: tuple[NDArray[np.float32], ...]
    runs: NDArray[np.int64] | None
    crowd: bool

    def mask(self, height: int, width: int) -> Mask:
        """Its pixels (height, width)."""
        if self.runs is not None:
            return run_mask(self.runs, height, width)
        mask = np.zeros((height, width), np.bool_)
        for points in self.polygons:
            mask |= polygon_mask(points, height, width)
        return mask


@dataclass(frozen=True)
class Annotated:
    """A photo of a json: `name` relative to the folder of photos, `size` (width, height), and its regions."""

    name: str
    size: tuple[int, int]
    annotations: tuple[Annotation, ...]


def read_coco(path: Path) -> tuple[list[Annotated], dict[str, str]]:
    """The photos of a json, and the names of its categories by id.

    Raises `ArgumentError` if it is not json, not COCO's, or contradicts itself.
    """
    try:
        data = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise ArgumentError(f"{path}: not a json file that can be read: {reason(error)}") from error
    try:
        names = {str(entry["id"]): str(entry["name"]) for entry in data["categories"]}
        sizes = {entry["id"]: (int(entry["width"]), int(entry["height"])) for entry in data["images"]}
        regions: dict[Any, list[Annotation]] = {key: [] for key in sizes}
        for entry in data["annotations"]:
            regions[entry["image_id"]].append(_annotation(entry, names, sizes[entry["image_id"]], path))
        photos = [
            Annotated(str(entry["file_name"]), sizes[entry["id"]], tuple(regions[entry["id"]]))
            for entry in data["images"]
        ]
    except (KeyError, TypeError, ValueError) as error:
        if isinstance(error, ArgumentError):
            raise
        raise ArgumentError(f"{path}: not COCO's annotations: {type(error).__name__} {error}") from error
    return photos, names


def _annotation(entry: dict[str, Any], names: dict[str, str], size: tuple[int, int], path: Path) -> Annotation:
    where = f"{path}: annotation {entry.get('id')}"
    category = str(entry["category_id"])
    if category not in names:
        raise ArgumentError(f"{where}: category {category} is none of its categories")
    shape, crowd = entry["segmentation"], bool(entry.get("iscrowd", 0))
    if isinstance(shape, dict):
        if [*map(int, shape["size"])] != [*reversed(size)]:
            raise ArgumentError(f"{where}: run lengths for {shape['size']}, its photo is {[*reversed(size)]}")
        counts = shape["counts"]
        try:
            runs = np.array(unpacked(counts) if isinstance(counts, str) else counts, np.int64)
        except ArgumentError as error:
            raise ArgumentError(f"{where}: {error}") from None
        if (runs < 0).any() or runs.sum() != size[0] * size[1]:
            raise ArgumentError(f"{where}: its run lengths do not add up to the photo's {size[0]} x {size[1]} pixels")
        return Annotation(category, (), runs, crowd)
    if not shape or any(len(points) < 6 or len(points) % 2 for points in shape):
        raise ArgumentError(f"{where}: wanted polygons of three points or more, x and y in turn")
    return Annotation(category, tuple(np.array(points, np.float32).reshape(-1, 2) for points in shape), None, crowd)


def unpacked(text: str) -> list[int]:
    """The run lengths of a compressed string. Raises `ArgumentError` if it is broken off or has other characters."""
    counts: list[int] = []
    value = shift = 0
    for character in text:
        code = ord(character) - 48
        if not 0 <= code < 64:
            raise ArgumentError(f"run lengths: character {character!r} is none of theirs")
        value |= (code & 31) << shift
        shift += 5
        if code & 32:
            continue
        if code & 16:  # the sign of the last five bits
            value -= 1 << shift
        counts.append(value + counts[-2] if len(counts) > 2 else value)
        value = shift = 0
    if shift:
        raise ArgumentError("run lengths: the string is broken off")
    return counts


def run_mask(runs: Sequence[int] | NDArray[np.int64], height: int, width: int) -> Mask:
    """The mask (height, width) of run lengths that add up to its pixels."""
    flat = np.repeat(np.arange(len(runs)) % 2 == 1, runs)
    return np.ascontiguousarray(flat.reshape(width, height).T)


def polygon_mask(points: NDArray[np.floating], height: int, width: int) -> Mask:
    """The pixels (height, width) whose centres lie in a polygon (N, 2) of x and y, by the rule of even and odd.

    Each edge turns over, in the rows of centres that it crosses, all pixels to the right of the crossing.
    """
    start = np.asarray(points, np.float64) - 0.5
    end = np.roll(start, -1, axis=0)
    low, high = np.sort([start[:, 1], end[:, 1]], axis=0)
    first, past = (np.clip(np.ceil(y), 0, height).astype(int) for y in (low, high))
    rows = past - first
    edge = np.repeat(np.arange(len(start)), rows)
    row = np.arange(rows.sum()) - np.repeat(np.cumsum(rows) - rows, rows) + first[edge]
    (x0, y0), (x1, y1) = start[edge].T, end[edge].T
    crossing = x0 + (row - y0) * (x1 - x0) / (y1 - y0)
    turned = np.zeros((height, width + 1), np.uint8)
    np.bitwise_xor.at(turned, (row, np.clip(np.ceil(crossing), 0, width).astype(int)), 1)
    return np.bitwise_xor.accumulate(turned, axis=1)[:, :width].astype(bool)
