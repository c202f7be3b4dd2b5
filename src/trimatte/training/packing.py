"""What goes into a packed set: folders of photos with masks, of cut-outs and of backgrounds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from trimatte.errors import ArgumentError
from trimatte.training.augment import Pair
from trimatte.training.cuttings import cut, ground
from trimatte.training.held_out import split
from trimatte.training.packs import Packed
from trimatte.training.segmenter import read_pair

LEVEL, UNKNOWN = 128, 128


@dataclass(frozen=True)
class Folder:
    """A set of photos: `image/` and `mask/` with files of equal stems.

    weight : how often its photos are drawn.
    partly : the grey 128 of its masks is not known; otherwise it is the first that counts as the subject.
    aside : so many of its photos are kept to measure on; nothing else is made of them.
    """

    path: Path
    weight: float = 1.0
    partly: bool = False
    aside: int = 0

    def pairs(self) -> tuple[list[tuple[Path, Path]], list[tuple[Path, Path]]]:
        """Photos and masks to measure on, and those to train on. Raises `ArgumentError` without any of the latter."""
        try:
            masks = {path.stem: path for path in (self.path / "mask").iterdir()}
            photos = [path for path in (self.path / "image").iterdir() if path.stem in masks]
        except FileNotFoundError:
            photos = []
        if len(photos) <= self.aside:
            raise ArgumentError(f"photos: {self.path} has {len(photos)} photos with masks in image/ and mask/, too few")
        aside, kept = split(photos, self.aside)
        return [(p, masks[p.stem]) for p in aside], [(p, masks[p.stem]) for p in kept]

    def read(self, photo: Path, mask: Path) -> Pair:
        """A photo (RGB) and its mask (LA)."""
        grey = {"unknown": UNKNOWN} if self.partly else {"level": LEVEL}
        return read_pair(photo, mask, **grey)


def packed(
    photos: Sequence[Folder],
    *,
    validation: Sequence[Folder] = (),
    cutouts: Sequence[Path] = (),
    backgrounds: Sequence[Path] = (),
    cutting: bool = True,
) -> Iterator[Packed]:
    """All pictures of a set.

    With `cutting`, subjects that can be cut out of the photos to train on are cut-outs, too, and what is empty beside
    them backgrounds. Each folder is a group. Raises `ArgumentError` for a folder without pictures.
    """
    for folder in validation:
        for photo, mask in folder.pairs()[1]:
            yield Packed("validation", *folder.read(photo, mask), group=folder.path.name)
    for folder in photos:
        aside, kept = folder.pairs()
        for photo, mask in aside:
            yield Packed("validation", *folder.read(photo, mask), group=folder.path.name)
        for photo, mask in kept:
            picture, marks = folder.read(photo, mask)
            yield Packed("photo", picture, marks, folder.path.name, folder.weight)
            if cutting:
                yield from _cuttings(folder, picture, mask)
    for path in cutouts:
        for file in _pictures(path, "cutouts"):
            yield Packed("cutout", Image.open(file).convert("RGBA"), group=path.name)
    for path in backgrounds:
        for file in _pictures(path, "backgrounds"):
            yield Packed("background", Image.open(file).convert("RGB"), group=path.name)


def _cuttings(folder: Folder, picture: Image.Image, mask: Path) -> Iterator[Packed]:
    greys = np.asarray(Image.open(mask).convert("L"))
    cutout = cut(picture, greys, unknown=UNKNOWN if folder.partly else None)
    if cutout is not None:
        yield Packed("cutout", cutout, group=folder.path.name)
    empty = ground(picture, greys)
    if empty is not None:
        yield Packed("background", empty, group=folder.path.name)


def _pictures(folder: Path, name: str) -> list[Path]:
    files = sorted(path for path in folder.iterdir() if path.suffix.lower() in (".jpg", ".jpeg", ".png", ".webp"))
    if not files:
        raise ArgumentError(f"{name}: {folder} holds no pictures")
    return files
