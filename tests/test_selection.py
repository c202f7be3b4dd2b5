"""Cut-outs of what is pointed at: `cutout`, `Cutter`, `Selection.cutout`, and the command line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

import trimatte
from trimatte.cli import main
from trimatte.cutout import find_trimap
from trimatte.errors import ArgumentError, SubjectWarning
from trimatte.images import load_picture
from trimatte.stages import Stages
from trimatte.trimap import TrimapReport

LEFT, RIGHT = (36, 40), (104, 40)


@pytest.fixture(scope="module")
def pair() -> np.ndarray:
    """A photo (80, 140, 3) uint8 of two discs alike."""
    y, x = np.mgrid[:80, :140]
    image = np.full((80, 140, 3), 110.0) + 12 * np.sin(x / 5)[..., None]
    for px, py in (LEFT, RIGHT):
        image[np.hypot(x - px, y - py) < 22] = (205, 80, 50)
    return np.rint(image).astype(np.uint8)


def share(alpha: np.ndarray, point: tuple[int, int]) -> float:
    """How much of a disc is in the cut-out."""
    y, x = np.mgrid[: alpha.shape[0], : alpha.shape[1]]
    return float(alpha[np.hypot(x - point[0], y - point[1]) < 20].mean())


def test_a_cutout_is_of_what_is_pointed_at(pair: np.ndarray) -> None:
    cut = trimatte.cutout(pair, points=[LEFT], not_points=[RIGHT])
    assert share(cut.alpha, LEFT) > 0.8
    assert share(cut.alpha, RIGHT) < 0.2
    np.testing.assert_array_equal(cut.probability, trimatte.segment(pair, points=[LEFT], not_points=[RIGHT]))
    assert cut.report.segmenter == "lite"


def test_a_selection_is_cut_out_as_it_is(pair: np.ndarray) -> None:
    selection = trimatte.Selection(pair, automatic=False).add(*RIGHT).remove(*LEFT)
    cut = selection.cutout(band_pixels=2, foreground="keep")
    assert share(cut.alpha, RIGHT) > share(cut.alpha, LEFT) + 0.5
    np.testing.assert_array_equal(cut.probability, selection.probability)
    assert cut.report.band == 2
    np.testing.assert_array_equal(np.rint(255 * cut.image), pair)


@pytest.mark.parametrize("name", ["segmenter", "trimap", "points", "not_points", "box", "max_pixels"])
def test_a_selection_has_settled_what_the_subject_is(pair: np.ndarray, name: str) -> None:
    with pytest.raises(ArgumentError, match=f"{name}: got .*the selection says"):
        trimatte.Selection(pair, automatic=False).cutout(**{name: 1})


def test_one_of_several_things_of_a_picture_that_is_cut_out_already(pair: np.ndarray) -> None:
    y, x = np.mgrid[:80, :140]
    both = np.minimum(np.hypot(x - LEFT[0], y - LEFT[1]), np.hypot(x - RIGHT[0], y - RIGHT[1])) < 22
    cut_already = np.dstack([pair, np.uint8(255) * both])
    with pytest.warns(SubjectWarning, match="own alpha is kept"):
        kept = trimatte.cutout(cut_already)
    assert share(kept.alpha, LEFT) == share(kept.alpha, RIGHT) == 1
    with pytest.warns(SubjectWarning, match="own alpha is an upper bound"):
        one = trimatte.cutout(cut_already, points=[LEFT], not_points=[RIGHT])
    assert one.report.own_alpha == "bound"
    assert share(one.alpha, LEFT) > share(one.alpha, RIGHT) + 0.5
    assert not one.alpha[~both].any()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"points": [LEFT], "trimap": "trimap"}, "points: got .*but a trimap was given"),
        ({"box": (1, 1, 9, 9), "method": "glance"}, "box: got .*but method 'glance' needs no trimap"),
        ({"not_points": [RIGHT], "method": "glance"}, "not_points: got .*needs no trimap"),
    ],
)
def test_prompts_that_nothing_would_come_of(pair: np.ndarray, options: dict[str, Any], message: str) -> None:
    if "trimap" in options:
        options["trimap"] = np.full((80, 140), 128, np.uint8)
    with pytest.raises(ArgumentError, match=message):
        trimatte.cutout(pair, **options)
    with pytest.raises(ArgumentError, match=message):
        trimatte.Cutter(**options)


def test_a_cutter_takes_prompts_for_all_photos_or_for_each(pair: np.ndarray) -> None:
    cutter = trimatte.Cutter(points=[LEFT], not_points=[RIGHT])
    assert share(cutter(pair).alpha, LEFT) > share(cutter(pair).alpha, RIGHT) + 0.5
    other = cutter(pair, points=[RIGHT], not_points=[LEFT])
    assert share(other.alpha, RIGHT) > share(other.alpha, LEFT) + 0.5
    (mapped,) = cutter.map([pair])
    np.testing.assert_array_equal(mapped.alpha, cutter(pair).alpha)


def test_a_sequence_takes_prompts(pair: np.ndarray) -> None:
    (cut,) = trimatte.Cutter(sequence=True, points=[LEFT], not_points=[RIGHT]).map([pair])
    assert share(cut.alpha, LEFT) > share(cut.alpha, RIGHT) + 0.5


def test_a_trimap_of_what_is_pointed_at(pair: np.ndarray) -> None:
    stages = Stages(band_pixels=3, points=[LEFT], not_points=[RIGHT])
    _, trimap = find_trimap(load_picture(pair), stages, report=TrimapReport())
    assert trimap[LEFT[1], LEFT[0]] == 255
    assert trimap[RIGHT[1], RIGHT[0]] != 255


@pytest.fixture
def file(tmp_path: Path, pair: np.ndarray) -> Path:
    """The photo in a folder of its own."""
    path = tmp_path / "photos" / "pair.png"
    path.parent.mkdir()
    Image.fromarray(pair).save(path)
    return path


def command(*arguments: object) -> Any:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


POINTED = ["--point", "36,50%", "--not-point", "104,40"]


@pytest.mark.parametrize("verb", ["cutout", "segment", "trimap"])
def test_the_command_line_takes_points(file: Path, pair: np.ndarray, verb: str) -> None:
    out = file.with_name("out.png")
    result = command(verb, file, "-o", out, *POINTED)
    assert result.exit_code == 0, result.output
    plane = np.asarray(Image.open(out).convert("RGBA" if verb == "cutout" else "L"), np.float32) / 255
    plane = plane[..., 3] if verb == "cutout" else plane
    assert share(plane, LEFT) > share(plane, RIGHT) + 0.5
    if verb == "segment":
        wanted = trimatte.segment(pair, points=[LEFT], not_points=[RIGHT])
        np.testing.assert_allclose(plane, wanted, atol=1 / 255)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--point", "5"], "got '5', wanted X,Y"),
        (["--box", "1,2,3"], "wanted X0,Y0,X1,Y1"),
        (["--point", "900,5"], "outside of the photo of 140 x 80 pixels"),
        (["--point", "-3,5"], "outside of the photo"),
        (["--box", "9,9,9,20"], "wanted left < right"),
        (["--point", "5,5", "--segmenter", "nobody"], "there is no 'nobody'"),
        (["--prompts", "a.jsonl"], "--prompts goes with one folder"),
    ],
)
def test_bad_points_on_the_command_line(file: Path, options: list[str], message: str) -> None:
    result = command("cutout", file, "-o", file.with_name("out.png"), *options)
    assert result.exit_code != 0
    assert message in result.output
    assert not file.with_name("out.png").exists()


def test_points_need_the_photo(file: Path) -> None:
    result = command("trimap", file, "--from-probability", *POINTED)
    assert result.exit_code == 2
    assert "need the photo" in result.output


def folder_of(pair: np.ndarray, folder: Path) -> Path:
    (folder / "in").mkdir(parents=True)
    for name in ("a.png", "b.png", "in/c.png"):
        Image.fromarray(pair).save(folder / name)
    return folder


Write = Callable[[Path], None]


def write_lines(path: Path) -> None:
    rows: list[dict[str, object]] = [{"name": "a.png", "points": [[36, "50%"]], "not_points": [[104, 40]]}]
    rows += [{"name": "in/c.png", "box": [82, 18, 126, 62]}]
    path.write_text("\n" + "\n".join(map(json.dumps, rows)) + "\n")


def write_table(path: Path) -> None:
    path.write_text(
        '\ufeffname,points,not_points,box\na.png,"36,50%","104,40",\n\nin/c.png,,,"82,18,126,62"\n', "utf-8"
    )


@pytest.mark.parametrize(("name", "write"), [("p.jsonl", write_lines), ("p.csv", write_table)])
def test_each_picture_of_a_folder_has_its_prompts(
    pair: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, write: Write
) -> None:
    from toy_pool import ThisProcess

    monkeypatch.setattr("trimatte.batch.local.Pool", ThisProcess)
    photos, out = folder_of(pair, tmp_path / "photos"), tmp_path / "out"
    write(tmp_path / name)
    options: dict[str, Any] = {"prompts": tmp_path / name, "workers": 1, "foreground": "keep", "method": "light"}
    assert trimatte.run_batch(photos, out, **options).done == 3
    alphas = {n: np.asarray(Image.open(out / n))[..., 3] / 255 for n in ("a.png", "b.png", "in/c.png")}
    assert share(alphas["a.png"], LEFT) > share(alphas["a.png"], RIGHT) + 0.5
    assert share(alphas["in/c.png"], RIGHT) > share(alphas["in/c.png"], LEFT) + 0.5
    records = [json.loads(line) for line in (out / "manifest.jsonl").read_text().splitlines()]
    recorded = {record["input"]: record["options"] for record in records}
    assert recorded["a.png"]["points"] == [[36, "50%"]]
    assert recorded["a.png"]["not_points"] == [[104, 40]]
    assert recorded["in/c.png"]["box"] == [82, 18, 126, 62]
    assert not {"points", "not_points", "box"} & set(recorded["b.png"])
    assert trimatte.run_batch(photos, out, **options).unchanged == 3
    (tmp_path / "p.jsonl").write_text('{"name": "b.png", "points": [[104, 40]]}\n{"name": "in/c.png"}\n')
    again = trimatte.run_batch(photos, out, **{**options, "prompts": tmp_path / "p.jsonl"})
    assert (again.done, again.unchanged) == (3, 0)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("p.jsonl", '{"name": "a.png"}\n{"name": "d.png", "points": [[1, 2]]}', "the folder has no picture 'd.png'"),
        ("p.jsonl", '{"name": "in/d.png"}', "did you mean 'in/c.png'"),
        ("p.jsonl", '{"name": "a.png"}\n\n{"name": "a.png"}', "line 3: 'a.png' is there more than once"),
        ("p.jsonl", '{"points": [[1, 2]]}', "line 1: it names no picture"),
        ("p.jsonl", '{"name": "a.png", "point": [[1, 2]]}', "line 1: there is no 'point', wanted name, points"),
        ("p.jsonl", '{"name": "a.png", "points": [[1]]}', r"line 1: points\[0\]: got \[1\]"),
        ("p.jsonl", '{"name": "a.png", "box": [5, 5, 1, 9]}', "line 1: box: got"),
        ("p.jsonl", "a.png", "line 1: Expecting value"),
        ("p.jsonl", "[1]", "line 1: wanted a JSON object"),
        ("p.csv", "name,points\na.png", "line 2: got 1 fields, wanted 2"),
        ("p.csv", 'name,points\na.png,"1,2,3"', "line 2: got '1,2,3', wanted X,Y"),
        ("p.csv", 'name,points\na.png,"1,2', "line 2: unexpected end of data"),
        ("p.csv", "name,colour\na.png,red", "line 2: there is no 'colour'"),
    ],
)
def test_a_bad_file_of_prompts(pair: np.ndarray, tmp_path: Path, name: str, text: str, message: str) -> None:
    photos = folder_of(pair, tmp_path / "photos")
    (tmp_path / name).write_text(text)
    with pytest.raises(ArgumentError, match=message):
        trimatte.run_batch(photos, tmp_path / "out", prompts=tmp_path / name)
    assert not (tmp_path / "out").exists()


def test_a_missing_file_of_prompts_and_one_that_is_no_text(pair: np.ndarray, tmp_path: Path) -> None:
    photos = folder_of(pair, tmp_path / "photos")
    with pytest.raises(trimatte.ImageReadError, match=r"none\.jsonl"):
        trimatte.run_batch(photos, tmp_path / "out", prompts=tmp_path / "none.jsonl")
    with pytest.raises(ArgumentError, match=r"a\.png', line 1"):
        trimatte.run_batch(photos, tmp_path / "out", prompts=photos / "a.png")
