"""Segmentation sets: each layout is recognised, split, and read pixel by pixel; what is wrong is refused."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat
from tiny_sets import BACKGROUND, COUNT, HEIGHT, MAKERS, RIM, SUBJECT, WIDTH, coco_json, parts_of, save_mask, save_photo

from trimatte.errors import ArgumentError, ImageReadError
from trimatte.training.class_labels import UNCOVERED, MaskFile, read_photo, upright_size
from trimatte.training.class_layouts import find_set

CLASSES = {
    "voc": ("0", "12", "255"),
    "cityscapes": ("7", "26", "0"),
    "ade20k": ("1", "127", "0"),
    "ade20k-full": ("2978", "689", "0"),
    "coco-stuff": ("156", "17", "255"),
    "coco polygons": (UNCOVERED, "18", "18"),
    "coco runs": (UNCOVERED, "18", "18"),
    "coco packed runs": (UNCOVERED, "18", "18"),
    "masks": ("0", "1", "2"),
    "masks of colours": ("#000000", "#c08000", "#ffffff"),
    "voc-like": ("0", "1", "2"),
    "masks in parts": ("0", "1", "2"),
    "matte": ("0", "255", "0"),
}
"""What each set calls the background, the subject and its rim."""


@pytest.mark.parametrize("name", MAKERS)
def test_layouts(make_set, name):
    found = find_set(make_set(name))
    assert found.layout == name.partition(" ")[0]
    split = name not in ("masks", "masks of colours", "voc-like", "matte")
    assert [len(found.split("train")), len(found.split("val"))] == ([4, 2] if split else [COUNT, COUNT])
    for i, photo in enumerate(found.photos):
        wanted: dict[tuple[str, bool], np.ndarray] = {}
        for part, key in zip((BACKGROUND, SUBJECT, RIM), CLASSES[name], strict=True):
            crowd = part == RIM and found.layout == "coco"
            wanted[key, crowd] = wanted.get((key, crowd), False) | (parts_of(i) == part)
        regions = {(key, crowd): mask for key, mask, crowd in photo.regions()}
        assert regions.keys() == wanted.keys()
        assert all(np.array_equal(regions[key], wanted[key]) for key in wanted)


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("voc", {"12": "dog", "255": "void"}),
        ("cityscapes", {"26": "car", "7": "road"}),
        ("ade20k", {"1": "wall", "150": "flag", "127": "animal"}),
        ("ade20k-full", {"2978": "wall", "689": "dog, domestic dog, Canis familiaris"}),
        ("coco-stuff", {"17": "dog", "156": "sky-other", "181": "wood"}),
        ("coco runs", {"18": "dog", UNCOVERED: "background"}),
        ("masks", {}),
    ],
)
def test_names(make_set, name, known):
    names = find_set(make_set(name)).names
    assert {key: names[key] for key in known} == known
    assert bool(names) is bool(known)


def test_names_of_the_older_full_ade20k(make_set):
    root = make_set("ade20k-full")
    for path in root.rglob("*.json"):
        path.unlink()
    savemat(root / "index_ade20k.mat", {"index": {"objectnames": np.array(["abacus", "wall"], object)}})
    assert find_set(root).names == {"0": "other", "1": "abacus", "2": "wall"}


LABELMAP = "# label:color_rgb:parts:actions\nbackground:0,0,0::\n\nzeppelin:192,128,0::\ncup and saucer::handle:\n"


@pytest.mark.parametrize(
    ("listed", "content", "names"),
    [
        ("labelmap.txt", LABELMAP, {"0": "background", "1": "zeppelin", "2": "cup and saucer", "#c08000": "zeppelin"}),
        ("class_names.txt", "_background_\nzeppelin\n", {"0": "_background_", "1": "zeppelin", "255": "void"}),
        ("class_names.txt", "", {}),
    ],
)
def test_other_classes_in_the_layout_of_voc(make_set, listed, content, names):
    """What annotation tools export is not called by the names of VOC, nor judged by another set's verdicts."""
    root = make_set("voc")
    (root / listed).write_text(content)
    found = find_set(root)
    assert found.layout == "voc-like"
    assert {key: found.names[key] for key in names} == names
    assert "dog" not in found.names.values()
    assert len(found.split("train")) == 4


@pytest.mark.parametrize("line", [":1,2,3::", "cup:1,2::", "cup:1,2,256::", "cup:red::"])
def test_a_label_map_of_another_form(make_set, line):
    root = make_set("voc")
    (root / "labelmap.txt").write_text(f"background:0,0,0::\n{line}\n")
    with pytest.raises(ArgumentError, match=r"labelmap\.txt: got the line .* wanted NAME:R,G,B"):
        find_set(root)


def test_names_with_spaces_in_the_lists_of_voc(make_set):
    root = make_set("voc-like")
    for path in (*root.glob("JPEGImages/p0.*"), *root.glob("SegmentationClass/p0.*")):
        path.rename(path.with_stem("my photo 0"))
    (root / "ImageSets/Segmentation").mkdir(parents=True, exist_ok=True)
    (root / "ImageSets/Segmentation/train.txt").write_text("my photo 0 \np1\n", "utf-8-sig")
    assert {photo.photo.stem for photo in find_set(root).split("train")} == {"my photo 0", "p1"}


def test_names_of_its_own_in_the_layout_of_voc(make_set):
    root = make_set("voc-like")
    (root / "ImageSets/Segmentation").mkdir(parents=True)
    (root / "ImageSets/Segmentation/train.txt").write_text("p0\np1\n")
    (root / "ImageSets/Segmentation/val.txt").write_text("p2\n")
    found = find_set(root)
    assert (found.layout, found.names) == ("voc-like", {})
    assert [photo.photo.stem for photo in found.split("train")] == ["p0", "p1"]
    assert [photo.photo.stem for photo in found.split("val")] == ["p2"]


def test_other_pictures_among_those_of_voc(make_set):
    root = make_set("voc")
    save_photo(root / "JPEGImages/mine.jpg", 1)
    save_mask(root / "SegmentationClass/mine.png", 1, [0, 1, 2])
    found = find_set(root)
    assert (found.layout, len(found.photos)) == ("voc-like", COUNT + 1)


def test_a_json_by_itself(make_set):
    root = make_set("coco runs")
    found = find_set(root / "annotations/instances_val2017.json")
    assert [photo.photo.name for photo in found.photos] == ["000000000004.jpg", "000000000005.jpg"]


def test_a_json_beside_its_photos(tmp_path):
    save_photo(tmp_path / "set/train/a.jpg", 0)
    (tmp_path / "set/train/_annotations.coco.json").write_text(json.dumps(coco_json("polygons", ["a.jpg"])))
    (photo,) = find_set(tmp_path / "set").photos
    assert (photo.photo, photo.split) == (tmp_path / "set/train/a.jpg", "train")


def test_a_set_in_a_folder_of_its_own(make_set, tmp_path):
    make_set("voc").rename(tmp_path / "inner")
    (tmp_path / "outer").mkdir()
    (tmp_path / "inner").rename(tmp_path / "outer/VOC2012")
    assert len(find_set(tmp_path / "outer").split("train")) == 4


def test_photos_are_read_upright(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.zeros((40, 60, 3), np.uint8)).save(tmp_path / "a.jpg", exif=exif)
    assert upright_size(tmp_path / "a.jpg") == (40, 60)
    assert read_photo(tmp_path / "a.jpg", 30).size == (20, 30)


def test_16_bit_and_bilevel_masks(tmp_path):
    parts = parts_of(0)
    Image.fromarray(parts.astype(np.uint16) * 300).save(tmp_path / "deep.png")
    Image.fromarray(parts == SUBJECT).save(tmp_path / "flat.png")
    keys = {
        name: [key for key, _, _ in MaskFile(tmp_path / name).regions((WIDTH, HEIGHT))]
        for name in ("deep.png", "flat.png")
    }
    assert keys == {"deep.png": ["0", "300", "600"], "flat.png": ["0", "255"]}


# What is wrong


def test_no_folder(tmp_path):
    with pytest.raises(ArgumentError, match=r"data: .*nothing is not a folder"):
        find_set(tmp_path / "nothing")


def test_no_layout(tmp_path):
    save_photo(tmp_path / "a.jpg", 0)
    with pytest.raises(ArgumentError, match=r"in no layout that is known: Cityscapes .*COCO's json"):
        find_set(tmp_path)


def test_mask_of_another_size(make_set):
    root = make_set("masks")
    Image.new("L", (WIDTH, HEIGHT + 1)).save(root / "mask/3.png")
    with pytest.raises(ArgumentError, match=r"3\.png: the mask is 64 x 49, the photo 64 x 48"):
        list(find_set(root).photos[3].regions())


def test_photo_of_another_size_than_in_the_json(make_set):
    root = make_set("coco runs")
    Image.new("RGB", (WIDTH, HEIGHT + 1)).save(root / "train2017/000000000000.jpg")
    with pytest.raises(ArgumentError, match=r"000000000000\.jpg: the photo is 64 x 49, 64 x 48 in its json"):
        list(find_set(root).photos[0].regions())


@pytest.mark.parametrize(("name", "photo"), [("masks", "image/3.jpg"), ("voc", "JPEGImages/2007_000003.jpg")])
def test_missing_photo_of_a_mask(make_set, name, photo):
    root = make_set(name)
    (root / photo).unlink()
    with pytest.raises(ArgumentError, match=r"1 masks have no photo, such as .*3\.png"):
        find_set(root)


def test_missing_photo_of_a_json(make_set):
    root = make_set("coco runs")
    (root / "val2017/000000000005.jpg").unlink()
    with pytest.raises(ArgumentError, match=r"1 of its 2 photos are missing, such as 000000000005\.jpg"):
        find_set(root)


def test_json_without_photos(tmp_path):
    (tmp_path / "x.json").write_text(json.dumps(coco_json("runs", [])))
    with pytest.raises(ArgumentError, match="names no photos"):
        find_set(tmp_path / "x.json")


def test_jsons_that_disagree(make_set):
    root = make_set("coco runs")
    path = root / "annotations/instances_val2017.json"
    path.write_text(path.read_text().replace("dog", "cat"))
    with pytest.raises(ArgumentError, match="category 18 is called otherwise"):
        find_set(root)


@pytest.mark.parametrize("text", ["{", "[]", "{}"])
def test_damaged_json_of_ade20k(make_set, text):
    root = make_set("ade20k-full")
    next(root.rglob("*.json")).write_text(text)
    with pytest.raises(ArgumentError, match=r"\.json: not a json file of ADE20K"):
        find_set(root)


def test_two_photos_for_a_mask(make_set):
    root = make_set("masks")
    save_photo(root / "image/3.png", 3)
    with pytest.raises(ArgumentError, match=r"which belong together\? image/3\.jpg, image/3\.png, mask/3\.png"):
        find_set(root)


def test_masks_of_jpeg(make_set):
    root = make_set("masks")
    (root / "mask/3.png").unlink()
    save_mask(root / "mask/3.jpg", 3, [0, 1, 2])
    with pytest.raises(ArgumentError, match=r"3\.jpg: JPEG changes the classes"):
        find_set(root)


def test_masks_that_were_resized(tmp_path):
    noise = np.random.default_rng(0).integers(0, 255, (40, 40, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / "a.png")
    with pytest.raises(ArgumentError, match="values in one mask, which are no classes"):
        list(MaskFile(tmp_path / "a.png").regions((40, 40)))


def test_masks_of_another_mode(tmp_path):
    Image.fromarray(np.zeros((4, 4), np.float32)).save(tmp_path / "a.tif")
    with pytest.raises(ArgumentError, match=r"a\.tif: a mask of mode F"):
        list(MaskFile(tmp_path / "a.tif").regions((4, 4)))
    Image.new("L", (4, 4)).save(tmp_path / "b.png")
    with pytest.raises(ArgumentError, match=r"b\.png: a mask of mode L"):
        list(MaskFile(tmp_path / "b.png", "ade20k").regions((4, 4)))


def test_damaged_pictures(make_set):
    root = make_set("masks")
    whole = (root / "mask/0.png").read_bytes()
    (root / "mask/0.png").write_bytes(whole[: len(whole) // 2])
    (root / "image/1.jpg").write_bytes(b"nothing")
    photos = find_set(root).photos
    with pytest.raises(ImageReadError, match=r"cannot read .*0\.png"):
        list(photos[0].regions())
    with pytest.raises(ImageReadError, match=r"cannot read .*1\.jpg"):
        read_photo(photos[1].photo, 100)
