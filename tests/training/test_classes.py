"""The table of verdicts, and the binary sets that it makes."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from tiny_sets import BACKGROUND, COUNT, MAKERS, RIM, SUBJECT, coco_json, parts_of, save_mask, save_photo

from trimatte.cli.train_classes import command
from trimatte.errors import ArgumentError, ImageReadError
from trimatte.training.class_labels import UNCOVERED
from trimatte.training.class_layouts import find_set, known_classes
from trimatte.training.classes import (
    VERDICTS,
    ClassRow,
    ClassTable,
    binary,
    gather,
    read_table,
    survey,
    table_for,
    verdict_of,
    write_table,
)

OWN = {"0": "background", "1": "foreground", "2": "ignore"}
OWN_COLOURS = {"#000000": "background", "#c08000": "foreground", "#ffffff": "ignore"}


def table_of(folder):
    """The table of a set, filled in where we have no verdict."""
    table = survey(find_set(folder))
    own = OWN | OWN_COLOURS
    rows = {key: dataclasses.replace(row, verdict=row.verdict or own[key]) for key, row in table.rows.items()}
    return ClassTable(table.layout, rows)


# Verdicts


def test_every_known_name_has_one_verdict():
    verdicts = known_classes()["verdicts"]
    assert tuple(verdicts) == VERDICTS
    names = [name for listed in verdicts.values() for name in listed]
    assert len(names) == len(set(names))
    for listed in known_classes()["names"].values():
        assert all(verdict_of(name) for name in listed.values())


@pytest.mark.parametrize(("layout", "count"), [("voc", 22), ("cityscapes", 34), ("coco-stuff", 183), ("ade20k", 151)])
def test_known_lists_are_whole(layout, count):
    assert len(known_classes()["names"][layout]) == count


@pytest.mark.parametrize(
    ("name", "verdict"),
    [
        ("person, individual, someone", "foreground"),
        ("Dog", "foreground"),
        ("flower", "foreground"),
        ("windowpane, window ", "background"),
        ("dining table", "background"),
        ("tree-merged", "background"),
        ("food-other-merged", "foreground"),
        ("void", "ignore"),
        ("zeppelin", ""),
        ("", ""),
    ],
)
def test_verdicts(name, verdict):
    assert verdict_of(name) == verdict


# The survey and its table


@pytest.mark.parametrize("name", MAKERS)
def test_survey(make_set, name):
    calls = []
    table = survey(find_set(make_set(name)), lambda: calls.append(1))
    assert len(calls) == COUNT
    assert sum(row.share for row in table.rows.values()) == pytest.approx(1)
    assert all(row.pictures == COUNT for row in table.rows.values())
    shares = [row.share for row in table.rows.values()]
    assert shares == sorted(shares, reverse=True)
    assert shares[0] == pytest.approx(np.mean([np.isin(parts_of(i), top_of(name)) for i in range(COUNT)]))
    assert all(row.verdict for row in table.rows.values()) is not name.startswith(("masks", "voc-like"))


def top_of(name):
    """The parts of the largest class."""
    return (BACKGROUND, RIM) if name == "matte" else (BACKGROUND,)


def test_black_and_white_masks_need_no_names(tmp_path):
    save_photo(tmp_path / "image/0.jpg", 0)
    save_mask(tmp_path / "mask/0.png", 0, [0, 255, 0])
    assert survey(find_set(tmp_path)).verdicts == {"0": "background", "255": "foreground"}


def test_table_round_trip(tmp_path):
    rows = {
        "0": ClassRow('a "quoted" näme, \\ and \x7f', "background", 0.625, 7),
        "#c08000": ClassRow("", "", 0.25, 3),
        UNCOVERED: ClassRow("background", "ignore", 0.125, 1),
    }
    tables = {"some/where.else": ClassTable("masks", rows), "VOC2012": ClassTable("voc", {})}
    write_table(tmp_path / "t.toml", tables)
    assert read_table(tmp_path / "t.toml") == tables
    (tmp_path / "t.toml").write_text("\ufeff" + (tmp_path / "t.toml").read_text("utf-8"), "utf-8")
    assert read_table(tmp_path / "t.toml") == tables


def test_table_for_another_folder():
    voc, masks = ClassTable("voc", {}), ClassTable("masks", {})
    tables = {"a": voc, "b": masks, "c": masks}
    assert table_for("b", "voc", tables) is masks
    assert table_for("elsewhere", "voc", tables) is voc
    with pytest.raises(ArgumentError, match=r"no table for elsewhere \(layout masks\); there are those for a, b, c"):
        table_for("elsewhere", "masks", tables)


# Binary masks


@pytest.mark.parametrize("name", MAKERS)
def test_binary_sets(make_set, name):
    folder = make_set(name)
    (source,), validation = gather({str(folder): 2.0}, {str(folder): table_of(folder)})
    assert (source.weight, validation) == (2.0, None)
    for i, item in enumerate(source.items()):
        photo, mask = item.read()
        grey, known = np.moveaxis(np.asarray(mask), 2, 0)
        assert photo.size == mask.size == item.size == (64, 48)
        assert np.array_equal(known, 255 * ((parts_of(i) != RIM) | (name == "matte")))
        assert np.array_equal(grey[known > 0], 255 * (parts_of(i) == SUBJECT)[known > 0])


def test_large_photos_are_shrunk_with_their_masks(make_set):
    folder = make_set("voc")
    (source,), _ = gather({str(folder): 1.0}, {str(folder): table_of(folder)}, long_side=32)
    photo, mask = source.items()[0].read()
    assert photo.size == mask.size == (32, 24)
    grey, known = np.moveaxis(np.asarray(mask), 2, 0)
    assert (grey[7, 9], known[7, 9]) == (255, 255)
    assert (grey[20, 25], known[20, 25]) == (0, 255)
    assert known[3, 3] < 128


def test_shrinking_takes_the_mean_of_what_is_known():
    """A pixel made of foreground and of what is unknown is foreground, half known."""
    pair = np.zeros((1, 8, 2), np.uint8)
    pair[0, :4] = 255
    small = np.asarray(Image.fromarray(pair).resize((1, 1), Image.Resampling.BOX))
    assert tuple(small[0, 0]) == (255, 128)


def test_the_cup_on_the_table(tmp_path):
    """Where regions overlap, foreground goes before what is ignored, and that before background."""
    save_photo(tmp_path / "a.jpg", 0)
    data = coco_json("polygons", ["a.jpg"])
    data["categories"] = [{"id": i, "name": name} for i, name in enumerate(("cup", "couch", "dining table"))]
    boxes = {0: (10, 10, 20, 20), 1: (15, 10, 30, 20), 2: (5, 5, 40, 40)}
    data["annotations"] = [
        {"id": i, "image_id": 0, "category_id": i, "iscrowd": 0, "segmentation": [[x, y, u, y, u, v, x, v]]}
        for i, (x, y, u, v) in boxes.items()
    ]
    (tmp_path / "a.json").write_text(json.dumps(data))
    found = find_set(tmp_path)
    grey, known = np.moveaxis(binary(found.photos[0], survey(found).verdicts), 2, 0)
    assert (grey[10:20, 10:20] == 255).all()
    assert grey.sum() == 255 * 100
    assert (known[10:20, 20:30] == 0).all()
    assert (known == 0).sum() == 100


def test_mixed_sets_and_validation(make_set):
    voc, city = str(make_set("voc")), str(make_set("cityscapes"))
    tables = {voc: table_of(voc), city: table_of(city)}
    sources, validation = gather({voc: 1.0, city: 3.0}, tables, validation=voc)
    assert [(source.data, source.weight, len(source.photos)) for source in sources] == [(voc, 1, 4), (city, 3, 4)]
    assert len(validation.photos) == 2
    assert not set(validation.photos) & set(sources[0].photos)
    described = sources[1].describe()
    assert (described["data"], described["photos"], described["weight"]) == (city, 4, 3.0)


# What is wrong


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[a", "not a TOML file"),
        ("a = 1", "no table of classes"),
        ("[a]\nlayout = 'voc'", "no table of classes .KeyError 'classes'"),
        ("[a]\nlayout = 'voc'\n[a.classes]\n0 = {name = 'x'}", "KeyError 'verdict'"),
        (
            "[a]\nlayout = 'voc'\n[a.classes]\n0 = {verdict = 'fg'}",
            "a: class 0: got 'fg', wanted foreground, background or",
        ),
    ],
)
def test_bad_tables(tmp_path, text, message):
    (tmp_path / "t.toml").write_text(text)
    with pytest.raises(ArgumentError, match=message):
        read_table(tmp_path / "t.toml")


def test_class_without_a_verdict(make_set):
    folder = str(make_set("masks"))
    table = survey(find_set(folder))
    with pytest.raises(ArgumentError, match=r"classes: 3 without a verdict: .*masks: 0; .*masks: 1; .*masks: 2$"):
        gather({folder: 1.0}, {folder: table})
    with pytest.raises(ArgumentError, match=r"no verdict on class 0, which is in .*0\.jpg"):
        binary(find_set(folder).photos[0], {})


def test_class_that_the_table_does_not_list(make_set):
    folder = str(make_set("masks"))
    table = table_of(folder)
    rows = {key: row for key, row in table.rows.items() if key != "2"}
    with pytest.raises(ArgumentError, match=r"1 without a verdict: .*masks: 2 \(not in the table\)"):
        gather({folder: 1.0}, {folder: ClassTable("masks", rows)})


@pytest.mark.parametrize("wanted", ["foreground", "background"])
def test_nothing_to_learn(make_set, wanted):
    folder = str(make_set("voc"))
    rows = {
        key: dataclasses.replace(row, verdict="ignore" if row.verdict == wanted else row.verdict)
        for key, row in table_of(folder).rows.items()
    }
    with pytest.raises(ArgumentError, match=f"no class that occurs in the data is {wanted}"):
        gather({folder: 1.0}, {folder: ClassTable("voc", rows)})


def test_validation_that_is_trained_on(make_set):
    folder = str(make_set("masks"))
    with pytest.raises(ArgumentError, match=r"validation: .*masks is not split"):
        gather({folder: 1.0}, {folder: table_of(folder)}, validation=folder)


def test_no_photos_of_a_part(make_set):
    root = make_set("voc")
    table = table_of(root)
    (root / "ImageSets/Segmentation/train.txt").write_text("")
    with pytest.raises(ArgumentError, match="has no photos for this part"):
        gather({str(root): 1.0}, {str(root): table})


def test_shades_are_no_classes(tmp_path):
    for i in range(4):
        save_photo(tmp_path / f"image/{i}.jpg", i)
        (tmp_path / "mask").mkdir(exist_ok=True)
        Image.fromarray(np.arange(48 * 64).reshape(48, 64).astype(np.uint8)).save(tmp_path / f"mask/{i}.png")
    with pytest.raises(ArgumentError, match=r"hold 256 greys, which are shades .* call their folder alpha"):
        survey(find_set(tmp_path))


def test_many_classes_are_no_shades(tmp_path):
    for i in range(4):
        save_photo(tmp_path / f"image/{i}.jpg", i)
        (tmp_path / "mask").mkdir(exist_ok=True)
        mask = np.arange(48 * 64).reshape(48, 64) // 15 + 205 * i
        Image.fromarray(mask.astype(np.uint16)).save(tmp_path / f"mask/{i}.png")
    assert len(survey(find_set(tmp_path)).rows) == 205 * 4


def test_damaged_photo(make_set):
    root = make_set("masks")
    whole = (root / "image/2.jpg").read_bytes()
    (root / "image/2.jpg").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ImageReadError, match=r"cannot read .*2\.jpg"):
        survey(find_set(root))


# The command


def call(*options):
    return CliRunner().invoke(command, [str(option) for option in options])


def test_command(make_set, tmp_path):
    voc, masks, out = make_set("voc"), make_set("masks"), tmp_path / "classes.toml"
    result = call("--data", voc, "--data", masks, "--out", out)
    assert result.exit_code == 0, result.output
    assert f"{voc}: Pascal VOC (JPEGImages, SegmentationClass), 6 photos, 3 classes" in result.output
    assert f"{masks}: 3 classes wait for your verdict" in result.output
    tables = read_table(out)
    assert tables[str(voc)].rows["12"] == ClassRow("dog", "foreground", pytest.approx(0.117188), 6)
    assert tables[str(masks)].rows["1"].verdict == ""


def test_command_in_json(make_set, tmp_path):
    masks, out = make_set("masks"), tmp_path / "classes.toml"
    result = call("--data", masks, "--out", out, "--json")
    assert json.loads(result.output) == {"classes": str(out), "without_verdict": {str(masks): ["0", "1", "2"]}}


def test_command_keeps_an_edited_table(make_set, tmp_path):
    (tmp_path / "classes.toml").write_text("edited")
    result = call("--data", make_set("voc"), "--out", tmp_path / "classes.toml")
    assert isinstance(result.exception, ArgumentError)
    assert "is there already" in str(result.exception)
    assert Path(tmp_path / "classes.toml").read_text() == "edited"
