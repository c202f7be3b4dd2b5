"""Multi-class segmentation sets on disk: how their folders look, and which pixels of a photo belong to which class.

A class is named by what a mask holds: the number of a grey or palette entry ("15"), a colour ("#c08080"), or the id of
a COCO category. Photos are taken upright, as everywhere in trimatte.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from trimatte._files import reason
from trimatte.errors import ArgumentError, ImageReadError
from trimatte.evaluation.layouts import PICTURE
from trimatte.training.coco import Annotation, Mask, read_coco

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

Split = Literal["train", "val", ""]
Code = Literal["id", "ade20k", "matte"]
Region = tuple[str, Mask, bool]
"""A class, its pixels (H, W), and whether it is a crowd, outlined as a whole."""

MOST_CLASSES = 256
"""No photo shows more; a mask with more values was resized or compressed."""
UNCOVERED = "uncovered"
"""The class of the pixels that no annotation of COCO's covers."""

_SPLITS: dict[str, Split] = {
    **dict.fromkeys(("train", "training", "train2014", "train2017"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "val2014", "val2017"), "val"),
}


class Labels(Protocol):
    """Where the classes of a photo's pixels are written."""

    def regions(self, size: tuple[int, int]) -> Iterator[Region]:
        """The classes of the photo of `size` (width, height). Every pixel is in one region or more."""


@dataclass(frozen=True)
class ClassPhoto:
    """A photo and its labels; `split` is empty in sets that are not split."""

    photo: Path
    labels: Labels
    split: Split = ""

    def regions(self) -> Iterator[Region]:
        """Its classes and their pixels, at the photo's own size."""
        return self.labels.regions(upright_size(self.photo))


@dataclass(frozen=True)
class ClassSet:
    """A set that was found: its layout's name and title, its photos in order, and the names of classes, if known."""

    layout: str
    title: str
    photos: tuple[ClassPhoto, ...]
    names: Mapping[str, str]

    def split(self, wanted: Split) -> tuple[ClassPhoto, ...]:
        """The photos of a part; of a set that is not split, all."""
        if all(photo.split == "" for photo in self.photos):
            return self.photos
        return tuple(photo for photo in self.photos if photo.split == wanted)


# Masks


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
    if classes.max() < 1 << 16:
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


# Photos


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


# Folders


@dataclass(frozen=True)
class ClassLayout:
    """How a set's photos and masks lie: regular expressions over paths within it.

    The groups `name` and `split` pair a photo with its mask. `names` is the list of its classes, if it has one.
    """

    name: str
    title: str
    photo: str
    mask: str
    code: Code = "id"
    names: str | None = None
    patterns: tuple[re.Pattern[str], re.Pattern[str]] = field(init=False)

    def __post_init__(self) -> None:
        compiled = tuple(re.compile(r"(?P<above>(?:.*/)?)" + rule) for rule in (self.photo, self.mask))
        object.__setattr__(self, "patterns", compiled)


_PART = r"(?:(?P<split>train|training|val|valid|validation)/)?"
PUBLISHED: tuple[ClassLayout, ...] = (
    ClassLayout(
        "cityscapes",
        "Cityscapes (leftImg8bit, gtFine labelIds)",
        r"leftImg8bit/(?P<split>train|val)/(?P<name>.+)_leftImg8bit\.png",
        r"gtFine/(?P<split>train|val)/(?P<name>.+)_gtFine_labelIds\.png",
        names="cityscapes",
    ),
    ClassLayout(
        "ade20k",
        "ADE20K SceneParsing (images, annotations)",
        r"images/(?P<split>training|validation)/(?P<name>ADE_(?:train|val)_\d+)\.jpg",
        r"annotations/(?P<split>training|validation)/(?P<name>ADE_(?:train|val)_\d+)\.png",
        names="ade20k",
    ),
    ClassLayout(
        "ade20k-full",
        "ADE20K, the full set (_seg.png)",
        r"(?P<split>training|validation)/(?P<name>(?:.+/)?ADE_(?:train|val)_\d+)\.jpg",
        r"(?P<split>training|validation)/(?P<name>(?:.+/)?ADE_(?:train|val)_\d+)_seg\.png",
        code="ade20k",
    ),
    ClassLayout(
        "voc",
        "Pascal VOC (JPEGImages, SegmentationClass)",
        r"JPEGImages/(?P<name>(?:\d{4}_)?\d{6})\.jpg",
        r"SegmentationClass/(?P<name>(?:\d{4}_)?\d{6})\.png",
        names="voc",
    ),
    ClassLayout(
        "coco-stuff",
        "COCO-Stuff (stuffthingmaps)",
        r"(?P<split>train2017|val2017)/(?P<name>\d{12})\.jpg",
        r"(?P<split>train2017|val2017)/(?P<name>\d{12})\.png",
        names="coco-stuff",
    ),
)
GENERAL: tuple[ClassLayout, ...] = (
    ClassLayout(
        "masks",
        "photos and masks of class ids or colours (image, mask)",
        rf"(?:images?|photos?|JPEGImages)/{_PART}(?P<name>.+){PICTURE}",
        rf"(?:masks?|labels?|annotations|SegmentationClass)/{_PART}(?P<name>.+){PICTURE}",
    ),
    ClassLayout(
        "matte",
        "photos and mattes (image, alpha)",
        rf"images?/{_PART}(?P<name>.+){PICTURE}",
        rf"alphas?/{_PART}(?P<name>.+){PICTURE}",
        code="matte",
        names="matte",
    ),
)


def find_set(folder: str | Path) -> ClassSet:
    """Recognise a set: a folder in one of the layouts above, a folder with COCO's json, or such a json itself.

    Raises `ArgumentError` if it is none, or if photos are missing.
    """
    folder = Path(folder)
    if folder.suffix.lower() == ".json":
        return _coco_set([folder])
    if not folder.is_dir():
        raise ArgumentError(f"data: {folder} is not a folder")
    paths = sorted(_walk(folder))
    jsons = [path for path in paths if re.fullmatch(r"(?:[^/]+/)?[^/]+\.json", path)]
    official = [path for path in jsons if Path(path).name.startswith("instances_")]
    found = _first(PUBLISHED, folder, paths)
    if found is None and official:
        found = _coco_set([folder / path for path in official])
    found = found or _first(GENERAL, folder, paths)
    if found is None and jsons:
        found = _coco_set([folder / path for path in jsons])
    if found is None:
        known = "; ".join([*(layout.title for layout in (*PUBLISHED, *GENERAL)), "COCO's json"])
        raise ArgumentError(f"data: {folder} is in no layout that is known: {known}")
    return found


def _first(layouts: Sequence[ClassLayout], folder: Path, paths: Sequence[str]) -> ClassSet | None:
    for layout in layouts:
        photos, masks = (_matching(pattern, paths) for pattern in layout.patterns)
        if photos and masks:
            return _folder_set(layout, folder, photos, masks)
    return None


@cache
def known_classes() -> dict[str, Any]:
    """The names of well-known sets' classes, and the verdicts on them."""
    return tomllib.loads(files("trimatte.training").joinpath("known_classes.toml").read_text("utf-8"))


def _walk(folder: Path) -> Iterator[str]:
    for where, _, names in os.walk(folder, followlinks=True):
        inner = Path(where).relative_to(folder).as_posix()
        yield from (name if inner == "." else f"{inner}/{name}" for name in names)


Key = tuple[str, str]
"""What pairs a photo with its mask: part and name."""


def _matching(pattern: re.Pattern[str], paths: Sequence[str]) -> dict[Key, list[str]]:
    found: dict[Key, list[str]] = {}
    for path in paths:
        if match := pattern.fullmatch(path):
            above = match["above"].rstrip("/").rpartition("/")[2]
            part = match.groupdict().get("split") or (above if above in _SPLITS else "")
            found.setdefault((part, match["name"]), []).append(path)
    return found


def _folder_set(
    layout: ClassLayout, folder: Path, photos: dict[Key, list[str]], masks: dict[Key, list[str]]
) -> ClassSet:
    missing = [paths[0] for key, paths in masks.items() if key not in photos]
    if missing:
        raise ArgumentError(f"data: {folder}: {len(missing)} masks have no photo, such as {missing[0]}")
    lists = _voc_lists(folder, masks) if layout.name == "voc" else {}
    found = []
    for key, (mask, *others) in masks.items():
        photo, *more = photos[key]
        if others or more:
            raise ArgumentError(f"data: {folder}: which belong together? {', '.join([photo, *more, mask, *others])}")
        if layout.code == "id" and mask.lower().endswith((".jpg", ".jpeg")):
            raise ArgumentError(f"data: {folder / mask}: JPEG changes the classes of masks; wanted PNG")
        split = lists.get(key[1], _SPLITS.get(key[0], ""))
        found.append(ClassPhoto(folder / photo, MaskFile(folder / mask, layout.code), split))
    names = known_classes()["names"].get(layout.names, {}) if layout.names else {}
    if layout.name == "ade20k-full":
        names = _ade_names(folder, [photo.photo for photo in found])
    return ClassSet(layout.name, layout.title, tuple(found), names)


def _voc_lists(folder: Path, masks: dict[Key, list[str]]) -> dict[str, Split]:
    """The part of each picture, from ImageSets/Segmentation."""
    root = folder / next(iter(masks.values()))[0].rpartition("SegmentationClass/")[0]
    parts: dict[str, Split] = {}
    for split in ("train", "val"):
        listed = root / f"ImageSets/Segmentation/{split}.txt"
        if listed.is_file():
            parts |= dict.fromkeys(listed.read_text().split(), _SPLITS[split])
    return parts


def _ade_names(folder: Path, photos: Sequence[Path]) -> dict[str, str]:
    """The names of the full set's classes: from index_ade20k.mat, or from the json beside each photo."""
    index = next(folder.rglob("index_ade20k.mat"), None)
    if index:
        from scipy.io import loadmat

        listed = loadmat(index, simplify_cells=True)["index"]["objectnames"]
        return {str(number): str(name) for number, name in enumerate(listed, 1)} | {"0": "other"}
    names = {"0": "other"}
    for path in photos:
        described = path.with_suffix(".json")
        if described.is_file():
            data = _json(described)
            names |= {str(thing["name_ndx"]): str(thing["name"]) for thing in data["annotation"]["object"]}
    return names


def _json(path: Path) -> Any:
    content = path.read_bytes()
    try:
        return json.loads(content.decode("utf-8", "replace"))
    except ValueError as error:
        raise ArgumentError(f"{path}: not a json file that can be read: {error}") from error


# COCO


def _coco_set(jsons: Sequence[Path]) -> ClassSet:
    names = {UNCOVERED: "background"}
    photos: list[ClassPhoto] = []
    for path in jsons:
        annotated, categories = read_coco(path)
        other = [key for key, name in categories.items() if names.get(key, name) != name]
        if other:
            raise ArgumentError(f"{path}: category {other[0]} is called otherwise in another json of the set")
        names |= categories
        where = _photo_folder(path, [photo.name for photo in annotated])
        for photo in annotated:
            labels = CocoLabels(photo.size, photo.annotations, where / photo.name)
            photos.append(ClassPhoto(where / photo.name, labels, _part(path)))
    return ClassSet("coco", "COCO's json", tuple(photos), names)


def _part(path: Path) -> Split:
    for word in (*re.split(r"[_.]", path.stem), path.parent.name):
        if word in _SPLITS:
            return _SPLITS[word]
    return ""


def _photo_folder(path: Path, names: Sequence[str]) -> Path:
    """Where a json's photos lie: instances_train2017.json has them in train2017/ or images/train2017/, or beside it."""
    if not names:
        raise ArgumentError(f"{path}: it names no photos")
    root = path.parent.parent if path.parent.name == "annotations" else path.parent
    part = path.stem.partition("_")[2]
    places = [root / "images" / part, root / part, root / "images", root / "image", root]
    counted = Counter({place: sum((place / name).is_file() for name in names) for place in dict.fromkeys(places)})
    best, count = counted.most_common(1)[0]
    if count < len(names):
        first = next(name for name in names if not (best / name).is_file())
        raise ArgumentError(f"{path}: {len(names) - count} of its {len(names)} photos are missing, such as {first}")
    return best
