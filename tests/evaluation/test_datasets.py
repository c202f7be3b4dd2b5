"""Benchmark folders: each layout is recognised and paired, and what is wrong is said."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from trimatte.errors import ArgumentError, ImageReadError, ImageWarning
from trimatte.evaluation.datasets import open_dataset
from trimatte.evaluation.layouts import LAYOUTS
from trimatte.evaluation.pictures import input_hashes, load_trial, made_trimap, parse_rule, paste
from trimatte.evaluation.recipes import recipes
from trimatte.evaluation.verify import verify

# A few files of each layout, and what must be made of them: layout, pictures, trimaps.
TREES = {
    "alphamatting": (
        ["input_training_lowres/GT01.png", "gt_training_lowres/GT01.png", "trimap_training_lowres/Trimap1/GT01.png",
         "trimap_training_lowres/Trimap2/GT01.png"],
        ["GT01"], ["trimap1", "trimap2"],
    ),
    "alphamatting-short": (["input/GT01.png", "gt/GT01.png", "trimap1/GT01.png"], ["GT01"], ["trimap1"]),
    "composition-1k-ready": (["merged/a_0.png", "alpha_copy/a_0.png", "trimaps/a_0.png"], ["a_0"], ["trimap"]),
    "aim-500": (["AIM-500/original/o.jpg", "AIM-500/mask/o.png", "AIM-500/trimap/o.png", "AIM-500/usr/o.png"],
                ["o"], ["trimap"]),
    "am-2k": (["validation/original/m.jpg", "validation/mask/m.png", "validation/trimap/m.png",
               "train/original/t.jpg", "train/mask/t.png"], ["m"], ["trimap"]),
    "p3m-500-np": (
        ["validation/P3M-500-NP/original_image/p.jpg", "validation/P3M-500-NP/mask/p.png",
         "validation/P3M-500-P/blurred_image/q.jpg", "validation/P3M-500-P/mask/q.png"],
        ["p"], [],
    ),
    "p3m-500-p": (["blurred_image/q.jpg", "mask/q.png", "trimap/q.png"], ["q"], ["trimap"]),
    "ppm-100": (["val/fg/1.jpg", "val/alpha/1.jpg"], ["1"], []),
    "him2k": (["images/natural/x.jpg", "alphas/natural/x/00.png", "alphas/natural/x/01.png"], ["natural/x"], []),
    "rwp-636": (["image/r.jpg", "alpha/r.png", "mask/r.png"], ["r"], []),
    "plain": (["image/a.png", "alpha/a.png", "trimap/a.png"], ["a"], ["trimap"]),
    "masks": (["images/a.png", "masks/a.png"], ["a"], []),
}  # fmt: skip
COMPOSED = {
    "composition-1k": (
        ["Test_set/Adobe-licensed images/fg/f.png", "Test_set/Adobe-licensed images/alpha/f.png",
         "Test_set/Adobe-licensed images/trimaps/f_0.png"],
        20,
    ),
    "distinctions-646": (["Test/FG/f.png", "Test/GT/f.png"], 20),
    "transparent-460": (["Test/fg/f.png", "Test/alpha/f.png"], 20),
    "videomatte240k": (["test/fgr/0000/00000.jpg", "test/pha/0000/00000.jpg"], 1),
    "photomatte85": (["f.png"], 1),
}  # fmt: skip


def grey(seed=0, size=(12, 16)):
    return np.random.default_rng(seed).integers(0, 256, size).astype(np.uint8)


def soft_alpha(size=(12, 16)):
    return np.tile(np.linspace(0, 255, size[1]).astype(np.uint8), (size[0], 1))


def put(root, path, array=None):
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    if array is None:
        alpha_like = any(word in path for word in ("alpha", "gt", "GT/", "mask", "matte", "pha", "trimap", "usr"))
        array = soft_alpha() if alpha_like else np.dstack([grey(len(path)), grey(1), grey(2)])
    Image.fromarray(array).save(file)


@pytest.mark.parametrize("name", TREES)
def test_layouts_of_ready_pictures(tmp_path, name):
    files, pictures, trimaps = TREES[name]
    for path in files:
        put(tmp_path, path)
    dataset = open_dataset(tmp_path)
    assert dataset.layout.name == name
    assert [sample.name for sample in dataset.samples] == pictures
    assert dataset.trimaps == trimaps
    trial = load_trial(dataset.samples[0], trimaps[0] if trimaps else None)
    assert trial.image.shape == (12, 16, 3)
    assert trial.hashes == input_hashes(dataset.samples[0], trimaps[0] if trimaps else None)
    assert (trial.trimap is not None) == bool(trimaps)


@pytest.mark.parametrize(
    ("name", "inner"),
    [("am-2k", "validation"), ("composition-1k", "Test_set"), ("distinctions-646", "Test"), ("ppm-100", "val")],
)
def test_the_folder_that_a_layout_begins_with_may_be_given(tmp_path, monkeypatch, name, inner):
    files = TREES[name][0] if name in TREES else COMPOSED[name][0]
    for path in files:
        put(tmp_path, path)
    whole = open_dataset(tmp_path)
    monkeypatch.chdir(next(tmp_path.rglob(inner)))
    part = open_dataset(".")
    assert part.layout.name == whole.layout.name == name
    assert [sample.name for sample in part.samples] == [sample.name for sample in whole.samples]
    assert all(file.read() for sample in part.samples for files in sample.files.values() for file in files)


@pytest.mark.parametrize("name", COMPOSED)
def test_layouts_that_are_composed(tmp_path, name):
    files, copies = COMPOSED[name]
    for path in files:
        rgba = np.dstack([grey(1), grey(2), grey(3), soft_alpha()])
        put(tmp_path / "set", path, rgba if name == "photomatte85" else None)
    for k in range(20):
        put(tmp_path / "bg", f"{k:02d}.png", np.full((30, 30, 3), 10 * k, np.uint8))
    without = open_dataset(tmp_path / "set")
    assert without.layout.name == name
    assert "backgrounds" in without.problems[0]
    assert all(sample.problem for sample in without.samples)
    dataset = open_dataset(tmp_path / "set", backgrounds=tmp_path / "bg")
    assert len(dataset.samples) == copies
    trial = load_trial(dataset.samples[-1])
    level = 10 * (copies - 1)  # the background of that number, seen where alpha is 0
    assert trial.image[0, 0] == pytest.approx(np.full(3, level / 255), abs=1e-6)


def test_every_layout_is_tried_and_has_a_recipe():
    tried = {*TREES, *COMPOSED, "synthetic"}
    assert {layout.name for layout in LAYOUTS} == tried
    known = recipes()
    assert tried - {"alphamatting-short", "composition-1k-ready", "plain", "masks"} == set(known)
    page = (Path(__file__).parents[2] / "data" / "README.md").read_text()
    for name, recipe in known.items():
        assert recipe["licence"]
        assert f"(`{name}`) | {recipe['address']} |" in page


def test_composition_1k_takes_backgrounds_in_the_lists_order(tmp_path):
    base = "Test_set/Adobe-licensed images"
    for name in ("a", "b"):
        put(tmp_path, f"{base}/fg/{name}.png")
        put(tmp_path, f"{base}/alpha/{name}.png")
        for k in range(20):
            put(tmp_path, f"{base}/trimaps/{name}_{k}.png")
    (tmp_path / "test_fg_names.txt").write_text("b.png\na.png\n")
    names = [f"2007_{k:03d}" for k in range(40)][::-1]
    (tmp_path / "test_bg_names.txt").write_text("\n".join(f"{name}.jpg" for name in names) + "\n")
    for name in names[:5] + names[6:]:
        put(tmp_path / "voc", f"{name}.jpg")
    dataset = open_dataset(tmp_path, backgrounds=tmp_path / "voc")
    by_name = {sample.name: sample for sample in dataset.samples}
    assert by_name["b_3"].files["background"][0].name == f"{names[3]}.jpg"
    assert by_name["a_0"].files["background"][0].name == f"{names[20]}.jpg"
    # The missing one leaves a gap and does not shift the rest.
    assert by_name["b_5"].problem == "its background is missing"
    assert by_name["b_6"].files["background"][0].name == f"{names[6]}.jpg"
    assert any("1 of 40 listed backgrounds are missing" in problem for problem in dataset.problems)


def slow_paste(foreground, alpha, background):
    height, width = alpha.shape
    ratio = max(width / background.width, height / background.height)
    if ratio > 1:
        new = (-int(-(background.width * ratio) // 1), -int(-(background.height * ratio) // 1))
        background = background.resize(new, Image.Resampling.BICUBIC)
    behind = np.asarray(background)
    image = np.zeros((height, width, 3), np.uint8)
    for y, x, c in np.ndindex(height, width, 3):
        a = int(alpha[y, x])
        image[y, x, c] = (a * int(foreground[y, x, c]) + (255 - a) * int(behind[y, x, c])) // 255
    return image


@pytest.mark.parametrize("size", [(20, 20), (9, 40), (5, 7)])
def test_paste_equals_its_slow_twin(size):
    rng = np.random.default_rng(0)
    foreground, alpha = rng.integers(0, 256, (12, 16, 3)).astype(np.uint8), grey(3)
    background = Image.fromarray(rng.integers(0, 256, (*size, 3)).astype(np.uint8))
    stream = io.BytesIO()
    background.save(stream, "PNG")
    got = paste(foreground, alpha / np.float32(255), stream.getvalue())
    assert np.array_equal(got, slow_paste(foreground, alpha, background))


def test_instances_are_added_up(tmp_path):
    for path in TREES["him2k"][0]:
        put(tmp_path, path, np.full((12, 16), 150, np.uint8) if "alphas" in path else None)
    trial = load_trial(open_dataset(tmp_path).samples[0])
    assert trial.alpha.max() == trial.alpha.min() == 1


def test_made_trimap_covers_the_mixed_and_no_more():
    alpha = np.zeros((60, 60), np.float32)
    alpha[20:40, 20:40] = 1
    alpha[20, 20:40] = 0.5
    trimap, how = made_trimap(alpha, "x", 3, 6, 0)
    assert 3 <= how["radius"] <= 6
    assert set(np.unique(trimap)) == {0, 128, 255}
    assert (trimap[20, 20:40] == 128).all()
    assert trimap[30, 20 + how["radius"]] == 128  # the edge pixel itself is at distance 0
    assert trimap[30, 21 + how["radius"]] == 255
    assert np.array_equal(made_trimap(alpha, "x", 3, 6, 0)[0], trimap)
    assert len({made_trimap(alpha, f"{k}", 3, 6, 0)[1]["radius"] for k in range(30)}) == 4


@pytest.mark.parametrize("rule", ["made:5", "made:5-2", "made:0-3", "made:a-b"])
def test_bad_rules(rule):
    with pytest.raises(ArgumentError, match="trimap"):
        parse_rule(rule)


def test_fsspec_addresses(tmp_path):
    fsspec = pytest.importorskip("fsspec")
    memory = fsspec.filesystem("memory")
    for path in TREES["plain"][0]:
        put(tmp_path, path)
        memory.pipe_file(f"/bench/{path}", (tmp_path / path).read_bytes())
    dataset = open_dataset("memory://bench")
    assert dataset.trimaps == ["trimap"]
    assert load_trial(dataset.samples[0], "trimap").alpha.shape == (12, 16)
    with pytest.raises(ArgumentError, match="no files"):
        open_dataset("memory://empty")


# -- what is wrong with a folder


@pytest.fixture
def plain(tmp_path):
    for name in ("a", "b"):
        put(tmp_path, f"image/{name}.png", np.dstack([grey(ord(name))] * 3))
        put(tmp_path, f"alpha/{name}.png")
    return tmp_path


def findings(root):
    return [str(finding) for finding in verify(open_dataset(root))]


def test_a_sound_folder_has_no_findings(plain):
    assert findings(plain) == []


def test_no_folder_an_empty_one_and_an_unknown_layout(tmp_path):
    with pytest.raises(ArgumentError, match="no folder"):
        open_dataset(tmp_path / "nowhere")
    with pytest.raises(ArgumentError, match="no files"):
        open_dataset(tmp_path)
    put(tmp_path, "photos/a.png")
    with pytest.raises(ArgumentError) as caught:
        open_dataset(tmp_path)
    message = str(caught.value)
    assert "photos" in message
    assert all(layout.title in message for layout in LAYOUTS)
    assert "gt/*" in message
    assert not any(sign in message for sign in ("?P", "[^", "\\"))
    with pytest.raises(ArgumentError, match=r"layout.*alphamatting"):
        open_dataset(tmp_path, layout="alphamating")
    with pytest.raises(ArgumentError, match="no layout that is known"):
        open_dataset(tmp_path, layout="plain")


def test_an_image_without_its_alpha(plain):
    put(plain, "image/c.png")
    put(plain, "alpha/d.png")
    dataset = open_dataset(plain)
    problems = {sample.name: sample.problem for sample in dataset.samples}
    assert problems["a"] is None
    assert "without an alpha" in problems["c"]
    assert "without an image" in problems["d"]
    with pytest.raises(ArgumentError, match="without an alpha"):
        load_trial(dataset.samples[2])
    assert sum(line.startswith("error") for line in findings(plain)) == 2


def test_two_files_for_one_picture(plain):
    put(plain, "image/a.jpg")
    assert "several files are its image" in open_dataset(plain).samples[0].problem


def test_a_stray_trimap_and_a_missing_one(plain):
    put(plain, "trimap/a.png")
    put(plain, "trimap/z.png")
    problems = open_dataset(plain).problems
    assert "b has no trimap" in problems
    assert "trimap z belongs to no image" in problems
    with pytest.raises(ArgumentError, match="has no trimap"):
        load_trial(open_dataset(plain).samples[1], "trimap")


def test_a_mask_where_an_alpha_should_be(plain):
    put(plain, "alpha/a.png", (soft_alpha() > 99).astype(np.uint8) * 255)
    put(plain, "alpha/b.png", (soft_alpha() > 99).astype(np.uint8))
    lines = findings(plain)
    assert any("warning: a" in line and "a mask, not an alpha" in line for line in lines)
    assert any("error: b" in line and "only 0 and 1" in line for line in lines)
    first, second = open_dataset(plain).samples
    assert set(np.unique(load_trial(first).alpha)) == {0, 1}
    with pytest.raises(ArgumentError, match="mask of classes, not an alpha"):
        load_trial(second)  # else it would be scored as 1/255


def test_sizes_that_differ(plain):
    put(plain, "alpha/a.png", soft_alpha((10, 16)))
    assert any("sizes differ: alpha 16x10, image 16x12" in line for line in findings(plain))
    with pytest.raises(ArgumentError, match="16x12, its alpha 16x10"):
        load_trial(open_dataset(plain).samples[0])


def turned_photo(root, orientation, mask):
    """A photo of a bright corner, upright 16 x 12 or 12 x 16, in a file whose rows have to be turned; and its mask."""
    stored = np.zeros((12, 16, 3), np.uint8)
    stored[1:5, 2:9] = 220
    exif = Image.Exif()
    exif[0x0112] = orientation
    (root / "image").mkdir(parents=True, exist_ok=True)
    Image.fromarray(stored).save(root / "image/a.png", exif=exif)
    put(root, "alpha/a.png", mask(stored[..., 0]))


UPRIGHT = {2: np.fliplr, 3: lambda x: np.rot90(x, 2), 4: np.flipud, 6: lambda x: np.rot90(x, -1), 8: np.rot90}


@pytest.mark.parametrize("orientation", UPRIGHT)
def test_masks_of_a_turned_photo(tmp_path, orientation):
    turned_photo(tmp_path / "right", orientation, UPRIGHT[orientation])
    assert findings_but_masks(tmp_path / "right") == []
    load_trial(open_dataset(tmp_path / "right").samples[0])
    turned_photo(tmp_path / "wrong", orientation, lambda stored: stored)
    told = findings_but_masks(tmp_path / "wrong")
    assert any(f"EXIF orientation {orientation}" in line and line.startswith("error") for line in told)
    (sample,) = open_dataset(tmp_path / "wrong").samples
    if orientation < 5:
        with pytest.warns(ImageWarning, match=f"EXIF orientation {orientation}"):
            load_trial(sample)
    else:
        with pytest.raises(ArgumentError, match=f"before its EXIF orientation {orientation}"):
            load_trial(sample)


def findings_but_masks(root):
    return [line for line in findings(root) if "a mask, not an alpha" not in line]


def test_a_mask_that_fits_both_ways(tmp_path):
    turned_photo(tmp_path, 3, lambda stored: np.pad(np.full((4, 6), 255, np.uint8), ((4, 4), (5, 5))))
    assert any("cannot be told" in line and line.startswith("warning") for line in findings(tmp_path))


def test_a_16_bit_alpha_is_read_in_full(plain):
    codes = (soft_alpha().astype(np.uint16) * 257) ^ 1
    put(plain, "alpha/a.png", codes)
    assert findings(plain) == []
    assert load_trial(open_dataset(plain).samples[0]).alpha == pytest.approx(codes / 65535, abs=1e-6)


def test_an_alpha_with_three_channels(plain):
    put(plain, "alpha/a.png", np.dstack([soft_alpha()] * 3))
    put(plain, "alpha/b.png", np.dstack([soft_alpha(), grey(), grey()]))
    assert [line for line in findings(plain) if line.startswith("error")] == [
        "error: b: alpha/b.png has three channels that differ: a colour picture, not an alpha"
    ]
    first, second = open_dataset(plain).samples
    assert load_trial(first).alpha.shape == (12, 16)
    with pytest.raises(ArgumentError, match="alpha"):
        load_trial(second)


def test_an_alpha_in_the_alpha_channel(plain):
    rgba = np.dstack([np.zeros((12, 16, 3), np.uint8), soft_alpha()])
    put(plain, "alpha/a.png", rgba)
    rgba[..., :3], rgba[..., 3] = soft_alpha()[..., None], 255
    put(plain, "alpha/b.png", rgba)
    assert findings(plain) == []
    for sample in open_dataset(plain).samples:
        assert load_trial(sample).alpha == pytest.approx(soft_alpha() / 255, abs=1e-6)


def test_cutouts_that_are_none(tmp_path):
    put(tmp_path / "set", "a.png", np.dstack([grey(1), grey(2), grey(3), soft_alpha()]))
    put(tmp_path / "set", "b.png", np.dstack([grey(1), grey(2), grey(3)]))
    put(tmp_path / "bg", "0.png")
    lines = [str(finding) for finding in verify(open_dataset(tmp_path / "set", backgrounds=tmp_path / "bg"))]
    assert [line for line in lines if line.startswith("error")] == [
        "error: b: b.png has three channels that differ: a colour picture, not an alpha"
    ]


def test_duplicates_damage_and_odd_trimaps(plain):
    (plain / "image/b.png").write_bytes((plain / "image/a.png").read_bytes())
    (plain / "alpha/b.png").write_bytes(b"no picture")
    put(plain, "trimap/a.png", np.full((12, 16), 255, np.uint8))
    lines = findings(plain)
    assert any("image/b.png is the same picture as image/a.png" in line for line in lines)
    assert any("alpha/b.png cannot be read" in line for line in lines)
    assert any("has no unknown pixel" in line for line in lines)
    assert any("calls" in line and "pixels known" in line for line in lines)
    with pytest.raises(ImageReadError):
        load_trial(open_dataset(plain).samples[1])


def test_counts(tmp_path):
    for path in TREES["p3m-500-p"][0]:
        put(tmp_path, path)
    assert "P3M-500-P has 500 pictures, this folder 1" in open_dataset(tmp_path).problems
