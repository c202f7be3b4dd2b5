"""Where a subject stands on its canvas."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import trimatte
from trimatte.errors import ArgumentError, ImageReadError
from trimatte.images import icc, save_image
from trimatte.images.read import read_picture
from trimatte.output.finish import finished
from trimatte.output.framing import framed, visible_box
from trimatte.output.lengths import parse_aspect, parse_margins, parse_size
from trimatte.output.options import NAMES, output_of, presets, with_preset

COLOUR = (200, 40, 90)


def rectangle(top: int = 30, left: int = 40, height: int = 50, width: int = 20, shape: Any = (120, 100)) -> np.ndarray:
    """A matte with one opaque rectangle."""
    alpha = np.zeros(shape, np.float32)
    alpha[top : top + height, left : left + width] = 1
    return alpha


def cut_of(alpha: np.ndarray) -> trimatte.Cutout:
    """A cut-out of a subject of one colour."""
    image = np.broadcast_to(np.uint8(COLOUR), (*alpha.shape, 3)).copy()
    picture = read_picture(image)
    report = trimatte.CutoutReport()
    return trimatte.Cutout(picture.image, None, None, alpha.astype(np.float32), picture.image, report, picture)


def made(alpha: np.ndarray, **options: Any) -> np.ndarray:
    """RGBA uint8 of it, written and read by Pillow."""
    stream = io.BytesIO()
    cut_of(alpha).save(stream, **{"format": "png", **options})
    return np.asarray(Image.open(stream))


def box_of(alpha: np.ndarray) -> tuple[int, int, int, int]:
    """Top, bottom, left, right margins about what is visible."""
    rows, columns = np.nonzero(alpha > 16)
    height, width = alpha.shape
    return rows.min(), height - 1 - rows.max(), columns.min(), width - 1 - columns.max()


def test_haze_and_specks_do_not_count() -> None:
    alpha = rectangle()
    alpha += np.float32(1 / 255) * (alpha == 0)
    alpha[3, 5] = alpha[110, 95] = 1
    assert visible_box(alpha) == (slice(30, 80), slice(40, 60))


def test_several_subjects_are_one_and_near_wisps_belong_to_theirs() -> None:
    alpha = rectangle(shape=(900, 1000)) + rectangle(700, 600, 40, 50, (900, 1000))
    alpha[82, 50] = 0.2  # a hair's end beyond a gap
    assert visible_box(alpha) == (slice(30, 740), slice(40, 650))
    alpha[700:] = 0
    assert visible_box(alpha) == (slice(30, 83), slice(40, 60))


def test_nothing_visible_has_no_box_and_is_not_cropped() -> None:
    assert visible_box(np.full((9, 9), 0.05, np.float32)) is None
    assert made(np.zeros((30, 20)), crop=True).shape == (30, 20, 4)


@pytest.mark.parametrize(
    ("margin", "wanted"),
    [
        (7, (7, 7, 7, 7)),
        ("7px", (7, 7, 7, 7)),
        ("3 5", (3, 3, 5, 5)),
        ((1, 2, 3, 4), (1, 3, 4, 2)),
        (500, (500, 500, 500, 500)),
        ("10%", (6, 7, 2, 3)),  # of 63 x 25; what is over goes to the lower right
    ],
)
def test_a_margin_is_kept_on_all_sides_also_beyond_the_photo(margin: Any, wanted: tuple[int, ...]) -> None:
    rgba = made(rectangle(), crop=True, margin=margin)
    assert box_of(rgba[..., 3]) == wanted
    assert (rgba[rgba[..., 3] == 255] == (200, 40, 90, 255)).all()
    assert not rgba[rgba[..., 3] == 0].any()


def test_a_crop_by_a_number_is_that_with_a_margin() -> None:
    np.testing.assert_array_equal(made(rectangle(), crop=4), made(rectangle(), crop=True, margin=4))


@pytest.mark.parametrize(("size", "margin"), [("200x200", "7.5%"), ((80, 120), 10), ("300x60", 0)])
def test_a_size_is_filled_as_far_as_the_margins_let_it(size: Any, margin: Any) -> None:
    rgba = made(rectangle(), crop=True, size=size, margin=margin)
    width, height = parse_size(size)
    assert rgba.shape[:2] == (height, width)
    share = 0.075 if margin == "7.5%" else 0
    pixels = (share * height, share * width) if share else (margin, margin)
    top, bottom, left, right = box_of(rgba[..., 3])
    assert min(abs(top - pixels[0]), abs(left - pixels[1])) <= 1
    assert abs(top - bottom) <= 2
    assert abs(left - right) <= 2


def test_a_marketplace_subject_takes_85_per_cent_of_the_frame() -> None:
    rgb = made(rectangle(), preset="marketplace", format="png")
    assert rgb.shape == (2000, 2000, 3)
    seen = np.nonzero((rgb != 255).any(axis=2))
    assert 1698 <= np.ptp(seen[0]) + 1 <= 1704
    assert (rgb[0] == 255).all()


def test_an_aspect_enlarges_and_bottom_stands_on_the_margin() -> None:
    rgba = made(rectangle(), crop=True, margin=5, aspect="4:5")
    assert abs(rgba.shape[1] / rgba.shape[0] - 0.8) < 0.02
    assert box_of(rgba[..., 3])[:2] == (5, 5)
    low = made(rectangle(), crop=True, margin=5, aspect="1:4", align="bottom")
    top, bottom, *sides = box_of(low[..., 3])
    assert (bottom, sides) == (5, [5, 5])
    assert top > 50


def test_the_whole_photo_is_fitted_without_a_crop() -> None:
    rgba = made(rectangle(), size="50x50")
    assert rgba.shape == (50, 50, 4)
    top, bottom, left, right = box_of(rgba[..., 3])
    assert abs(top - 30 * 50 / 120) <= 1
    assert abs(bottom - 40 * 50 / 120) <= 1
    assert abs(left - (4 + 40 * 50 / 120)) <= 1
    assert abs(right - left) <= 1


def test_scaling_averages_light_and_leaves_no_fringe() -> None:
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[:, ::2] = 255
    picture = read_picture(stripes)
    output = output_of(size="16x16")
    result = finished(picture.image, np.ones((64, 64), np.float32), picture, output)
    middle = result.colours[4:12, 4:12].astype(int)
    assert abs(middle - 188).max() <= 1  # half the light is sRGB 188, not 128
    rgba = made(rectangle(30, 40, 51, 23), size="47x39", crop=True)
    assert (abs(rgba[rgba[..., 3] > 8][:, :3].astype(int) - (200, 40, 90)) <= 1).all()


def test_a_hard_edge_leaves_no_ghost_when_scaled() -> None:
    alpha = made(rectangle(0, 0, 120, 50), size="230x276", background=None)[..., 3]
    assert not alpha[:, 122:].any()
    assert (alpha[:, :110] == 255).all()


def test_light_and_back_is_exact() -> None:
    for bits, dtype in ((8, np.uint8), (16, np.uint16)):
        codes = np.arange(1 << bits, dtype=dtype).reshape(1, -1, 1).repeat(3, axis=2)
        for profile in (None, ADOBE):
            back = icc.from_light(icc.to_light(codes, profile), profile, bits)
            assert np.abs(back.astype(int) - codes).max() <= (0 if bits == 8 else 40)


ADOBE = icc.rgb_profile((0.64, 0.33, 0.21, 0.71, 0.15, 0.06), (0.3127, 0.329), (563 / 256,))


@given(
    height=st.integers(1, 300),
    width=st.integers(1, 300),
    margins=st.lists(st.tuples(st.floats(0, 24.5), st.sampled_from(["px", "%"])), min_size=4, max_size=4),
    size=st.none() | st.tuples(st.integers(120, 500), st.integers(120, 500)),
    aspect=st.none() | st.floats(0.1, 10),
    align=st.sampled_from(["center", "bottom"]),
    inset=st.integers(0, 5),
)
def test_any_frame_holds_its_part_within_the_margins(
    height: int, width: int, margins: Any, size: Any, aspect: Any, align: str, inset: int
) -> None:
    box = slice(7, 7 + height), slice(3, 3 + width)
    frame = framed(box, margins=margins, size=size, aspect=None if size else aspect, align=align, inset=inset)
    (rows, columns), canvas = frame.within, frame.canvas
    lengths = [int(n if unit == "px" else n / 100 * canvas[i % 2]) for i, (n, unit) in enumerate(margins)]
    assert rows.start >= lengths[0] + inset
    assert canvas[1] - columns.stop >= lengths[1] + inset
    assert canvas[0] - rows.stop >= lengths[2] + inset
    assert columns.start >= lengths[3] + inset
    if size:
        assert canvas == size[::-1]
    else:
        assert frame.shape == (height, width)
    if aspect and not size:
        assert abs(canvas[1] - canvas[0] * aspect) <= 1 + aspect


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"margin": 5}, "margin: got 5, but no crop"),
        ({"crop": True, "margin": "50%"}, "margin: got shares of 100 %"),
        ({"crop": True, "margin": 60, "size": "100x100"}, "margin: got one that leaves no room in 100 x 100"),
        ({"crop": 60, "size": "100x100"}, "margin: got one that leaves no room in 100 x 100"),
        ({"size": "60000x60000"}, "size: got a result of 60000 x 60000 pixels"),
        ({"size": "100x100", "aspect": "1:1"}, "aspect: got '1:1' beside a size"),
        ({"aspect": "1000:1"}, "aspect: got '1000:1'"),
        ({"output": "both"}, "output: got 'both'"),
        ({"banana": 1}, "banana: no option of 'save'"),
    ],
)
def test_what_does_not_go_together_is_refused(options: dict[str, Any], match: str) -> None:
    with pytest.raises(ArgumentError, match=match):
        made(rectangle(), **options)


@given(text=st.text(max_size=80) | st.from_regex(r"[0-9.x:% ]{1,12}"))
def test_any_text_is_taken_apart_or_refused(text: str) -> None:
    for parse in (parse_margins, parse_size, parse_aspect):
        with contextlib.suppress(ArgumentError):
            parse(text)


def test_a_preset_of_ones_own_extends_another(tmp_path: Path) -> None:
    mine = tmp_path / "mine.toml"
    mine.write_text('about = "smaller"\nextends = "marketplace"\nsize = "300x200"\nformat = "png"\n')
    rgb = made(rectangle(), preset=mine)
    assert rgb.shape == (200, 300, 3)
    assert made(rectangle(), preset=mine, size="90x90").shape == (90, 90, 3)


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("sizes = 3", "has 'sizes'; wanted about, extends, crop"),
        ('size = "huge"', "has size: got 'huge'"),
        ("size = 800", 'has size: got 800; wanted width x height such as "800x800"'),
        ('extends = "nothing"', "extends: got 'nothing'"),
        ('extends = ["marketplace"]', "extends: got"),
        ("extends = {a = 1}", "extends: got"),
        ("background = 5", "has background: got 5"),
        ("background = [255, 0]", "has background: got"),
        ('background = "nowhere"', "has background: got 'nowhere'"),
        ('format = ["png"]', "has format: got"),
        ('format = "bmp"', "has format: got 'bmp'"),
        ('background = "rgb(300, 0, 0)"', r"has background: got 'rgb\(300, 0, 0\)'"),
        ("outline_colour = {a = 1}", "has outline_colour: got"),
        ("outline_colour = [1, 2]", "has outline_colour: got"),
        ("chroma = 444", "has chroma: got 444; wanted text, one of '444', '422', '420'"),
        ("format = 3", "has format: got 3; wanted text, one of 'png'"),
        ('crop = "yes"', "has crop: got 'yes'; wanted true, false, or a margin"),
        ("crop = -1", "has crop: got -1; wanted true, false, or a margin"),
        ("crop = 1.5", "has crop: got 1.5; wanted true, false, or a margin"),
        ('aspect = "1:1"\nsize = "9x9"', "has aspect: got '1:1' beside a size"),
        ("size = ", "is no TOML"),
        ("\udcff", "is no TOML"),
    ],
)
def test_a_bad_preset_is_refused_by_what_is_wrong(tmp_path: Path, text: str, match: str) -> None:
    path = tmp_path / "bad.toml"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(ArgumentError, match=match):
        made(rectangle(), preset=str(path))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("value", ["[1]", "[[1]]", "{a = 1}", "1979-05-27", "true", "nan", "-1", "1e300", '""', '"x"'])
def test_any_value_in_a_preset_is_taken_or_refused(tmp_path: Path, name: str, value: str) -> None:
    path = tmp_path / "odd.toml"
    path.write_text(f"crop = true\n{name} = {value}\n" if name != "crop" else f"crop = {value}\n")
    with contextlib.suppress(ArgumentError, ImageReadError):
        made(rectangle(), preset=path)


@pytest.mark.parametrize("colour", ['"#ff8000"', "[255, 128, 0]", "[1.0, 0.502, 0.0]"])
def test_a_presets_background_is_a_colour_in_any_way(tmp_path: Path, colour: str) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(f"background = {colour}\n")
    np.testing.assert_array_equal(made(rectangle(), preset=path)[0, 0], (255, 128, 0))


@pytest.mark.parametrize(
    ("preset", "given", "gone"),
    [
        ("marketplace", {"aspect": "4:5"}, "size"),
        ("passport", {"aspect": "4:5", "dpi": 300}, "size"),
        ('aspect = "4:5"', {"size": "90x90"}, "aspect"),
        ("marketplace", {"crop": False}, "margin"),
        ("marketplace", {"crop": 12}, "margin"),
        ('extends = "marketplace"\ncrop = false', {}, "margin"),
        ('extends = "marketplace"\naspect = "4:5"', {}, "size"),
        ('extends = "marketplace"\naspect = "4:5"', {"size": "90x90"}, "aspect"),
    ],
)
def test_what_does_not_go_beside_what_is_given_goes(
    preset: str, given: dict[str, Any], gone: str, tmp_path: Path
) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(preset)
    options = with_preset(path if "=" in preset else preset, given)
    assert gone not in options
    assert {**options, **given} == options
    assert made(rectangle(), preset=path if "=" in preset else preset, **given).shape[2] in (3, 4)


def test_both_of_what_does_not_go_together_are_refused_where_both_are_given() -> None:
    clashes: tuple[dict[str, Any], ...] = ({"aspect": "4:5", "size": "9x9"}, {"crop": False, "margin": 3})
    for both in clashes:
        options = with_preset("marketplace", both)
        with pytest.raises(ArgumentError, match=r"^(aspect|margin): got"):
            output_of(**options)


def test_a_preset_may_begin_with_a_byte_order_mark(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text("outline = 3\n", encoding="utf-8-sig")
    assert with_preset(path, {}) == {"outline": 3}


def test_a_presets_format_is_named_as_options_name_it(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    for name, wanted in (("PNG", "png"), ("jpg", "jpeg"), ("WebP", "webp")):
        path.write_text(f'format = "{name}"\n')
        assert with_preset(path, {})["format"] == wanted


def test_a_presets_picture_lies_beside_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "presets"
    folder.mkdir()
    save_image(folder / "behind.png", np.full((6, 6, 3), 99, np.uint8))
    (folder / "mine.toml").write_text('background = "behind.png"\n')
    monkeypatch.chdir(tmp_path)
    assert (made(rectangle(), preset="presets/mine.toml")[0, 0] == 99).all()


def test_every_preset_can_be_written() -> None:
    for name, options in presets().items():
        output = output_of(**options)
        rgba = made(rectangle(), preset=name, format=output.format or "png")
        assert rgba.shape[1::-1] == parse_size(output.size)


def test_a_presets_size_in_print_stays_with_another_resolution(tmp_path: Path) -> None:
    mine = tmp_path / "mine.toml"
    mine.write_text('extends = "passport"\ndpi = 150\n')
    assert with_preset("passport", {})["size"] == "827x1063"
    for sizes in (with_preset("passport", {"dpi": 300})["size"], with_preset(mine, {"dpi": 300})["size"]):
        assert np.allclose(np.array(sizes) / 300 * 25.4, (35, 45), atol=0.1)
    assert with_preset("passport", {"dpi": 300, "size": "10x20"})["size"] == "10x20"
    assert with_preset("marketplace", {"dpi": 300})["size"] == "2000x2000"
    for dpi in (0, float("nan"), float("inf"), "many"):
        with pytest.raises(ArgumentError, match=r"^dpi: "):
            with_preset("passport", {"dpi": dpi})


def test_the_suffix_has_the_say_over_the_presets_format(tmp_path: Path) -> None:
    cut_of(rectangle()).save(tmp_path / "named.png", preset="marketplace")
    assert (tmp_path / "named.png").read_bytes().startswith(b"\x89PNG")


def test_a_picture_behind_covers_a_frame_beyond_the_photo(tmp_path: Path) -> None:
    save_image(tmp_path / "behind.png", np.full((60, 60, 3), 99, np.uint8))
    for options in ({"margin": 80}, {"size": "64x32"}, {"aspect": "3:1"}):
        rgb = made(rectangle(), crop=True, background=tmp_path / "behind.png", **options)
        assert (rgb[0, 0] == 99).all()
        assert (rgb[-1, -1] == 99).all()


@pytest.mark.parametrize("text", ["10 7.5% 10 7.5%", "10, 7.5%", "10 px, 7,5 %", " 10px  7,5%, 10, 7.5% "])
def test_margins_may_have_commas(text: str) -> None:
    assert parse_margins(text) == ((10, "px"), (7.5, "%"), (10, "px"), (7.5, "%"))


@pytest.mark.parametrize("text", ["10,20", "5,10%", "7,25%", "10,,20", "10;20", ", 10", "10, 20, 30"])
def test_margins_that_are_none(text: str) -> None:
    with pytest.raises(ArgumentError, match="margin: got"):
        parse_margins(text)
