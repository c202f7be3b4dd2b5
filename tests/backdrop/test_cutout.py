"""Plain backdrops in `cutout`, by a folder, and in the service's table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import trimatte
from trimatte.cutout import SubjectWarning
from trimatte.errors import ArgumentError
from trimatte.images import icc
from trimatte.runtime.parameters import WordOrColour
from trimatte.server.operations import operations
from trimatte.server.problems import Problem


@pytest.fixture
def bag() -> np.ndarray:
    """A light bag (80, 100, 3) uint8 with a handle, before dark blue."""
    picture = np.empty((80, 100, 3), np.uint8)
    picture[:] = (20, 30, 80)
    picture[14:34, 30:70] = (250, 200, 190)
    picture[19:34, 36:64] = (20, 30, 80)
    picture[34:70, 20:80] = (250, 200, 190)
    return picture


def test_auto_takes_a_plain_backdrop_and_says_so(bag: np.ndarray, bright: str) -> None:
    result = trimatte.cutout(bag, segmenter=bright, backdrop="auto")
    report = result.report
    assert (report.backdrop, report.alpha.method, report.warnings) == ("#141e50", "backdrop", [])
    assert "100%" in report.backdrop_note
    assert report.as_dict()["backdrop"] == "#141e50"
    inside = (bag == (250, 200, 190)).all(axis=2)
    np.testing.assert_array_equal(result.alpha > 0.5, inside)
    assert result.alpha[26, 50] == 0
    assert np.abs(result.foreground[inside] - np.array([250, 200, 190]) / 255).max() < 0.02


@pytest.mark.parametrize("colour", ["#141e50", (20, 30, 80), (0.08, 0.12, 0.31), "midnightblue"])
def test_a_colour_is_meant_roughly(bag: np.ndarray, bright: str, colour: Any) -> None:
    result = trimatte.cutout(bag, segmenter=bright, backdrop=colour)
    assert result.report.backdrop == "#141e50"
    assert result.alpha[26, 50] == 0


def test_auto_goes_the_ordinary_way_where_the_background_is_not_plain(photo: np.ndarray, bright: str) -> None:
    noisy = photo.copy()
    noisy[:20] = np.random.default_rng(0).integers(0, 80, (20, *photo.shape[1:]))
    noisy[20:, :10] = (90, 10, 60)
    noisy[20:, -10:] = (10, 90, 60)
    result = trimatte.cutout(noisy, segmenter=bright, backdrop="auto")
    usual = trimatte.cutout(noisy, segmenter=bright)
    assert result.report.backdrop == ""
    assert result.report.backdrop_note
    np.testing.assert_array_equal(result.alpha, usual.alpha)


def test_off_changes_nothing(bag: np.ndarray, bright: str) -> None:
    report = trimatte.cutout(bag, segmenter=bright).report
    assert (report.backdrop, report.backdrop_note) == ("", "")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"backdrop": "yellow"}, "backdrop: got #ffff00, which 0% of the picture's border has"),
        ({"backdrop": "bleu"}, "backdrop: got 'bleu'; wanted a colour"),
        ({"backdrop": "wall.png"}, "backdrop: got 'wall.png'; wanted a colour"),
        ({"backdrop": (1, 2)}, r"backdrop: got \(1, 2\); wanted three"),
        ({"backdrop": None}, "backdrop: got None; wanted a colour"),
        ({"backdrop": "#ff000080"}, "backdrop: got '#ff000080'; wanted an opaque colour"),
        ({"backdrop": "auto", "trimap": np.zeros((80, 100), np.uint8)}, "backdrop: got auto, but a trimap was given"),
        ({"backdrop": "red", "method": "glance"}, "backdrop: got red, but method 'glance' needs no trimap"),
        ({"backdrop": "auto", "shadow": "blur"}, "shadow: got 'blur', wanted drop or keep"),
        ({"shadow": "keep"}, "shadow: got 'keep', but no backdrop"),
    ],
)
def test_bad_backdrops(bag: np.ndarray, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        trimatte.cutout(bag, **options)


def test_an_empty_backdrop_has_no_subject(bright: str) -> None:
    for shape in ((1, 1, 3), (40, 50, 3)):
        with pytest.warns(SubjectWarning, match="no subject found"):
            result = trimatte.cutout(np.full(shape, 30, np.uint8), segmenter=bright, backdrop="auto")
        assert not result.alpha.any()
        assert not result.report.subject


def test_the_photos_depth_and_profile_stay(bag: np.ndarray, bright: str, tmp_path: Path) -> None:
    profile = icc.rgb_profile((0.64, 0.33, 0.21, 0.71, 0.15, 0.06), (0.3127, 0.329), (563 / 256,))
    trimatte.save_image(tmp_path / "bag.png", bag.astype(np.uint16) * 257, icc_profile=profile)
    result = trimatte.cutout(tmp_path / "bag.png", segmenter=bright, backdrop="auto")
    assert result.report.backdrop
    result.save(tmp_path / "cut.png")
    back = trimatte.load_picture(tmp_path / "cut.png")
    assert (back.bits, back.icc_profile) == (16, profile)
    np.testing.assert_array_equal(back.pixels[50, 50], [250 * 257, 200 * 257, 190 * 257])


def test_an_own_alpha_stays_an_upper_bound(bag: np.ndarray, bright: str) -> None:
    own = np.full(bag.shape[:2], 255, np.uint8)
    own[40:60, 30:60] = 100
    with pytest.warns(SubjectWarning):
        result = trimatte.cutout(np.dstack([bag, own]), segmenter=bright, backdrop="auto")
    assert result.alpha[50, 40] == pytest.approx(100 / 255)
    assert result.alpha[38, 70] == 1


def test_kept_colours_are_the_photos(bag: np.ndarray, bright: str) -> None:
    result = trimatte.cutout(bag, segmenter=bright, backdrop="auto", foreground="keep")
    np.testing.assert_array_equal(result.foreground, result.image)


def test_a_cutter_takes_a_backdrop(bag: np.ndarray, bright: str) -> None:
    cutter = trimatte.Cutter(segmenter=bright, backdrop="auto", shadow="keep")
    assert [result.report.backdrop for result in cutter.map([bag, bag])] == ["#141e50"] * 2


def test_a_file_by_the_command_line(bag: np.ndarray, bright: str, tmp_path: Path) -> None:
    from click.testing import CliRunner

    from trimatte.cli import main

    Image.fromarray(bag).save(tmp_path / "bag.png")
    words = ["cutout", str(tmp_path / "bag.png"), "--segmenter", bright, "--backdrop", "auto", "--json"]
    done = CliRunner().invoke(main, words)
    assert done.exit_code == 0, done.output
    assert '"backdrop": "#141e50"' in done.output
    with Image.open(tmp_path / "bag-cutout.png") as made:
        assert made.getpixel((50, 26))[3] == 0
    failed = CliRunner().invoke(main, [*words[:-2], "yellow", "--force"])
    assert failed.exit_code != 0
    assert "backdrop: got #ffff00" in failed.output


def test_the_services_parameters() -> None:
    table = {parameter.name: parameter for parameter in operations()[0].parameters}
    backdrop = table["backdrop"]
    assert isinstance(backdrop.kind, WordOrColour)
    assert [backdrop.kind.parse(text) for text in ("off", "auto", "#00b140")] == ["off", "auto", (0, 177, 64)]
    assert backdrop.schema()["default"] == "off"
    for text in ("wall.png", "on", "#ff000080", ""):
        with pytest.raises(ValueError, match="off, auto or an opaque colour"):
            backdrop.kind.parse(text)
    values = {parameter.name: parameter.default for parameter in operations()[0].parameters}
    with pytest.raises(Problem):
        operations()[0].check({**values, "format": "png", "shadow": "keep"})
