"""Multi-class segmentation sets on disk: how their folders look, and which photo belongs to which mask."""

from __future__ import annotations

import json
import os
import re
import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

from trimatte.errors import ArgumentError
from trimatte.evaluation.layouts import PICTURE
from trimatte.training.class_labels import UNCOVERED, CocoLabels, Code, Labels, MaskFile, Region, upright_size
from trimatte.training.coco import read_coco

Split = Literal["train", "val", ""]
_SPLITS: dict[str, Split] = {
    **dict.fromkeys(("train", "training", "train2014", "train2017"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "val2014", "val2017"), "val"),
}


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
VOC_LIKE = ClassLayout(
    "voc-like",
    "Pascal VOC's folders with pictures or classes of its own (JPEGImages, SegmentationClass)",
    rf"JPEGImages/{_PART}(?P<name>.+){PICTURE}",
    rf"SegmentationClass/{_PART}(?P<name>.+){PICTURE}",
)
GENERAL: tuple[ClassLayout, ...] = (
    VOC_LIKE,
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
        if layout.name == "voc" and len(masks) < len(_matching(VOC_LIKE.patterns[1], paths)):
            continue  # VOC with others' pictures among its own
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
    names = known_classes()["names"].get(layout.names, {}) if layout.names else {}
    lists: dict[str, Split] = {}
    if layout.name in ("voc", "voc-like"):
        root = folder / next(iter(masks.values()))[0].rpartition("SegmentationClass/")[0]
        lists = _voc_lists(root)
        # Annotation tools write classes of their own in VOC's layout, with a list of them.
        if (own := own_names(root)) is not None:
            names, layout = own, VOC_LIKE
    found = []
    for key, (mask, *others) in masks.items():
        photo, *more = photos[key]
        if others or more:
            raise ArgumentError(f"data: {folder}: which belong together? {', '.join([photo, *more, mask, *others])}")
        if layout.code == "id" and mask.lower().endswith((".jpg", ".jpeg")):
            raise ArgumentError(f"data: {folder / mask}: JPEG changes the classes of masks; wanted PNG")
        split = lists.get(key[1], _SPLITS.get(key[0], ""))
        found.append(ClassPhoto(folder / photo, MaskFile(folder / mask, layout.code), split))
    if layout.name == "ade20k-full":
        names = _ade_names(folder, [photo.photo for photo in found])
    return ClassSet(layout.name, layout.title, tuple(found), names)


def _voc_lists(root: Path) -> dict[str, Split]:
    """The part of each picture, from ImageSets/Segmentation."""
    parts: dict[str, Split] = {}
    for split in ("train", "val"):
        listed = root / f"ImageSets/Segmentation/{split}.txt"
        if listed.is_file():
            names = (line.strip() for line in listed.read_text("utf-8-sig").splitlines())
            parts |= dict.fromkeys(names, _SPLITS[split])
    return parts


VOID = {"255": "void", "#e0e0c0": "void"}
"""What VOC's masks hold along outlines, as a number and as a colour."""


def own_names(root: Path) -> dict[str, str] | None:
    """The names of the classes that an annotation tool has listed beside masks in VOC's layout; None without a list.

    `labelmap.txt` has a line NAME:R,G,B:PARTS:ACTIONS a class (CVAT, Datumaro), `class_names.txt` a name (labelme). A
    class goes by the number of its line, from 0, and by its colour. Raises `ArgumentError` for a line of another form.
    """
    for file in ("labelmap.txt", "class_names.txt"):
        if (root / file).is_file():
            text = (root / file).read_text("utf-8-sig")
            lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]
            classes = [_listed_class(root / file, line) for line in lines]
            names = {key: name for number, (name, colour) in enumerate(classes) for key in (str(number), colour) if key}
            return VOID | names if names else {}
    return None


def _listed_class(path: Path, line: str) -> tuple[str, str]:
    """A class's name and colour ("#c08080", or nothing) from its line."""
    if path.name != "labelmap.txt":
        return line, ""
    name, colour, *_ = [*line.split(":"), "", ""]
    levels = colour.split(",") if colour else []
    known = [int(level) for level in levels if level.strip().isdecimal() and int(level) < 256]
    if not name or (levels and not len(known) == len(levels) == 3):
        raise ArgumentError(f"data: {path}: got the line {line!r}, wanted NAME:R,G,B:PARTS:ACTIONS")
    return name, "#" + bytes(known).hex() if known else ""


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
            names |= _described(described)
    return names


def _described(path: Path) -> dict[str, str]:
    try:
        things = json.loads(path.read_bytes().decode("utf-8", "replace"))["annotation"]["object"]
        return {str(thing["name_ndx"]): str(thing["name"]) for thing in things}
    except (KeyError, TypeError, ValueError) as error:
        raise ArgumentError(f"{path}: not a json file of ADE20K: {type(error).__name__} {error}") from error


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
