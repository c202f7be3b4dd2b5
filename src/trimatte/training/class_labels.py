"""The labels of a photo: which of its pixels belong to which class.

A class is named by what a mask holds: the number of a grey or palette entry ("15"), a colour ("#c08080"), or the id of
a COCO category. Photos are taken upright, as everywhere in trimatte.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from trimatte.errors import ArgumentError, ImageReadError
from trimatte.files.atomic import reason
from trimatte.training.coco import Annotation, Mask

Code = Literal["id", "ade20k", "matte"]
Region = tuple[str, Mask, bool]
"""A class, its pixels (H, W), and whether it is a crowd, outlined as a whole."""

MOST_CLASSES = 256
"""No photo shows more; a mask with more values was resized or compressed."""
UNCOVERED = "uncovered"
"""The class of the pixels that no annotation of COCO's covers."""


class Labels(Protocol):
    """Where the classes of a photo's pixels are written."""

    def regions(self, size: tuple[int, int]) -> Iterator[Region]:
        """The classes of the photo of `size` (width, height). Every pixel is in one region or more."""


@dataclass(frozen=True)
class MaskFile:
    """A picture whose pixels say their class, in the code of its layout."""

    path: Path
    code: Code = "id"

    def regions(self, size: tuple[int, int]) -> Iterator[Region]:
        with _open(self.path) as mask:
            if mask.size != size:
                wanted = f"the photo {size[0]} x {size[1]}"
                raise ArgumentError(f"{self.path}: the mask is {mask.width} x {mask.height}, {wanted}")
            try:
                classes, coloured = _classes(mask, self.code, self.path)
            except OSError as error:
                raise ImageReadError(f"cannot read {self.path}: {reason(error)}") from error
        numbers = _distinct(classes)
        if len(numbers) > MOST_CLASSES:
            raise ArgumentError(f"{self.path}: {len(numbers)} values in one mask, which are no classes")
        for number in numbers:
            yield f"#{number:06x}" if coloured else str(number), classes == number, False


def _classes(mask: Image.Image, code: Code, path: Path) -> tuple[NDArray[np.int64], bool]:
    """The class of each pixel as a number (H, W), and whether the numbers are colours."""
    if mask.mode in ("1", "RGBA", "LA", "PA"):
        mask = mask.convert({"1": "L", "RGBA": "RGB", "LA": "L", "PA": "P"}[mask.mode])
    pixels = np.asarray(mask).astype(np.int64)
    if code == "ade20k" and mask.mode == "RGB":
        return pixels[..., 0] // 10 * 256 + pixels[..., 1], False
    if code == "matte" and mask.mode == "L":
        return 255 * (pixels >= 128), False
    if code == "id" and mask.mode == "RGB":
        return pixels @ np.array([1 << 16, 1 << 8, 1]), True
    if code == "id" and mask.mode in ("L", "P", "I", "I;16", "I;16B"):
        return pixels, False
    raise ArgumentError(f"{path}: a mask of mode {mask.mode}, which is not that of its layout")


def _distinct(classes: NDArray[np.int64]) -> list[int]:
    if classes.min() >= 0 and classes.max() < 1 << 16:
        return [int(number) for number in np.flatnonzero(np.bincount(classes.ravel()))]
    return [int(number) for number in np.unique(classes)]


@dataclass(frozen=True)
class CocoLabels:
    """The regions of a photo in COCO's json."""

    size: tuple[int, int]
    annotations: tuple[Annotation, ...]
    path: Path

    def regions(self, size: tuple[int, int]) -> Iterator[Region]:
        if size != self.size:
            wanted = f"{self.size[0]} x {self.size[1]} in its json"
            raise ArgumentError(f"{self.path}: the photo is {size[0]} x {size[1]}, {wanted}")
        covered = np.zeros(size[::-1], np.bool_)
        for annotation in self.annotations:
            mask = annotation.mask(size[1], size[0])
            covered |= mask
            yield annotation.category, mask, annotation.crowd
        yield UNCOVERED, ~covered, False


def upright_size(path: Path) -> tuple[int, int]:
    """(width, height) of a photo as it is looked at, from its header."""
    with _open(path) as photo:
        turned = photo.getexif().get(0x0112, 1) >= 5
        return photo.size[::-1] if turned else photo.size


def read_photo(path: Path, long_side: int) -> Image.Image:
    """A photo (RGB), upright, its long side no more than `long_side` pixels."""
    with _open(path) as photo:
        try:
            photo.draft("RGB", (long_side, long_side))  # a JPEG is decoded no larger than needed
            upright = ImageOps.exif_transpose(photo).convert("RGB")
        except OSError as error:
            raise ImageReadError(f"cannot read {path}: {reason(error)}") from error
    upright.thumbnail((long_side, long_side), Image.Resampling.BICUBIC)
    return upright


def _open(path: Path) -> Image.Image:
    try:
        return Image.open(path)
    except OSError as error:
        raise ImageReadError(f"cannot read {path}: {reason(error)}") from error
