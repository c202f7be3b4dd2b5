"""Tiny segmentation sets in every layout, of the same photos: a light subject with a rim that is nobody's."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

HEIGHT, WIDTH, COUNT = 48, 64, 6
BACKGROUND, SUBJECT, RIM = 0, 1, 2

Box = tuple[int, int, int, int]


def box_of(index: int) -> Box:
    """Left, top, right and bottom of the subject of photo `index`."""
    x, y = 8 + 3 * index, 6 + 2 * index
    return x, y, x + 20, y + 18


def parts_of(index: int) -> np.ndarray:
    """What each pixel (H, W) of photo `index` is: background, subject, or the rim between them."""
    x0, y0, x1, y1 = box_of(index)
    parts = np.full((HEIGHT, WIDTH), BACKGROUND, np.uint8)
    parts[y0 - 2 : y1 + 2, x0 - 2 : x1 + 2] = RIM
    parts[y0:y1, x0:x1] = SUBJECT
    return parts


def runs_of(mask: np.ndarray) -> list[int]:
    """Run lengths down the columns of a mask, counted one pixel at a time."""
    runs, value = [0], False
    for pixel in mask.T.ravel():
        if pixel != value:
            runs.append(0)
            value = not value
        runs[-1] += 1
    return runs


def packed(runs: list[int]) -> str:
    """Run lengths as COCO's compressed string."""
    text = ""
    for i, run in enumerate(runs):
        value = run - runs[i - 2] if i > 2 else run
        while True:
            five, value = value & 31, value >> 5
            done = value == (-1 if five & 16 else 0)
            text += chr(48 + five + (0 if done else 32))
            if done:
                break
    return text


def coco_json(shape: str, names: list[str], first: int = 0) -> dict:
    """COCO's json of photos: the subject as `shape`, its rim as a crowd of the same class."""
    images: list[dict[str, object]] = []
    annotations: list[dict[str, object]] = []
    for i, name in enumerate(names, first):
        parts = parts_of(i)
        x0, y0, x1, y1 = box_of(i)
        runs = runs_of(parts == SUBJECT)
        segmentation = {
            "polygons": [[x0, y0, x1, y0, x1, y1, x0, y1]],
            "runs": {"size": [HEIGHT, WIDTH], "counts": runs},
            "packed runs": {"size": [HEIGHT, WIDTH], "counts": packed(runs)},
        }[shape]
        crowd = {"size": [HEIGHT, WIDTH], "counts": runs_of(parts == RIM)}
        images.append({"id": i, "file_name": name, "height": HEIGHT, "width": WIDTH})
        for region, is_crowd in ((segmentation, 0), (crowd, 1)):
            number = len(annotations)
            entry = {"id": number, "image_id": i, "category_id": 18, "segmentation": region, "iscrowd": is_crowd}
            annotations.append(entry)
    return {"images": images, "annotations": annotations, "categories": [{"id": 18, "name": "dog"}]}


def save_photo(path: Path, index: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(index)
    photo = rng.integers(0, 90, (HEIGHT, WIDTH, 3)) + 150 * (parts_of(index) == SUBJECT)[..., None]
    Image.fromarray(photo.astype(np.uint8)).save(path)


def save_mask(path: Path, index: int, values: list) -> None:
    """A mask with the given values for background, subject and rim; a palette if the name says so."""
    path.parent.mkdir(parents=True, exist_ok=True)
    mask = Image.fromarray(np.array(values, np.uint8)[parts_of(index)])
    if "SegmentationClass" in path.parts:
        mask.putpalette([level for number in range(256) for level in (number, 255 - number, 7)])
    mask.save(path)


def _coco(shape: str) -> Callable[[Path], None]:
    def make(root: Path) -> None:
        (root / "annotations").mkdir()
        for part, numbers in (("train2017", range(4)), ("val2017", range(4, COUNT))):
            names = [f"{i:012}.jpg" for i in numbers]
            for i, name in zip(numbers, names, strict=True):
                save_photo(root / part / name, i)
            (root / f"annotations/instances_{part}.json").write_text(json.dumps(coco_json(shape, names, numbers[0])))
            (root / f"annotations/captions_{part}.json").write_text("{}")

    return make


def _folders(photo: str, mask: str, values: list, *, parts: tuple[str, str] = ("", "")) -> Callable[[Path], None]:
    def make(root: Path) -> None:
        for i in range(COUNT):
            fields = {"i": i, "part": parts[i >= 4]}
            save_photo(root / photo.format(**fields), i)
            save_mask(root / mask.format(**fields), i, values)

    return make


def _voc(root: Path) -> None:
    _folders("JPEGImages/2007_{i:06}.jpg", "SegmentationClass/2007_{i:06}.png", [0, 12, 255])(root)
    save_photo(root / "JPEGImages/2007_000099.jpg", 0)  # most photos of VOC have no mask
    (root / "ImageSets/Segmentation").mkdir(parents=True)
    for part, numbers in (("train", range(4)), ("val", range(4, COUNT))):
        (root / f"ImageSets/Segmentation/{part}.txt").write_text("".join(f"2007_{i:06}\n" for i in numbers))


def _ade_full(root: Path) -> None:
    colours = [[2978 // 256 * 10, 2978 % 256, 0], [689 // 256 * 10, 689 % 256, 40], [0, 0, 0]]
    where = "images/ADE/{part}/home/den/ADE_train_0000000{i}"
    _folders(where + ".jpg", where + "_seg.png", colours, parts=("training", "validation"))(root)
    things = [{"name": "wall", "name_ndx": 2978}, {"name": "dog, domestic dog, Canis familiaris", "name_ndx": 689}]
    for path in root.rglob("*.jpg"):
        path.with_suffix(".json").write_text(json.dumps({"annotation": {"object": things}}))


MAKERS: dict[str, Callable[[Path], None]] = {
    "voc": _voc,
    "cityscapes": _folders(
        "leftImg8bit/{part}/ulm/ulm_{i}_leftImg8bit.png",
        "gtFine/{part}/ulm/ulm_{i}_gtFine_labelIds.png",
        [7, 26, 0],
        parts=("train", "val"),
    ),
    "ade20k": _folders(
        "images/{part}/ADE_train_0000000{i}.jpg",
        "annotations/{part}/ADE_train_0000000{i}.png",
        [1, 127, 0],
        parts=("training", "validation"),
    ),
    "ade20k-full": _ade_full,
    "coco-stuff": _folders(
        "images/{part}/{i:012}.jpg", "stuffthingmaps/{part}/{i:012}.png", [156, 17, 255], parts=("train2017", "val2017")
    ),
    "coco polygons": _coco("polygons"),
    "coco runs": _coco("runs"),
    "coco packed runs": _coco("packed runs"),
    "masks": _folders("image/{i}.jpg", "mask/{i}.png", [0, 1, 2]),
    "masks of colours": _folders("images/{i}.jpg", "masks/{i}.png", [[0, 0, 0], [192, 128, 0], [255, 255, 255]]),
    "voc-like": _folders("JPEGImages/p{i}.jpg", "SegmentationClass/p{i}.png", [0, 1, 2]),
    "masks in parts": _folders("{part}/image/{i}.jpg", "{part}/mask/{i}.png", [0, 1, 2], parts=("train", "val")),
    "matte": _folders("image/{i}.jpg", "alpha/{i}.png", [0, 255, 100]),
}
"""Sets by name; what stands before the first space is the layout's."""
