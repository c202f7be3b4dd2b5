"""The verbs of single stages, and that they fit together."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import Result
from PIL import Image

Trimatte = Callable[..., Result]


def pixels(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path))


def test_segment_writes_a_grey_picture_beside_the_photo(trimatte: Trimatte, photo_file: Path, bright: str) -> None:
    result = trimatte("segment", photo_file, "--segmenter", bright)
    assert result.exit_code == 0, result.stderr
    probability = pixels(photo_file.with_name("photo-probability.png"))
    expected = np.clip(3 * pixels(photo_file).mean(axis=2) / 255 - 1, 0, 1)
    np.testing.assert_allclose(probability / 255, expected, atol=0.01)


def test_trimap_of_a_photo_and_of_its_probability_agree(
    trimatte: Trimatte, photo_file: Path, tmp_path: Path, bright: str
) -> None:
    probability = tmp_path / "probability.png"
    assert trimatte("segment", photo_file, "--segmenter", bright, "-o", probability).exit_code == 0
    assert trimatte("trimap", photo_file, "--segmenter", bright, "-o", tmp_path / "a.png").exit_code == 0
    assert trimatte("trimap", probability, "--from-probability", "-o", tmp_path / "b.png").exit_code == 0
    trimap = pixels(tmp_path / "a.png")
    assert set(np.unique(trimap)) == {0, 128, 255}
    assert (trimap != pixels(tmp_path / "b.png")).mean() < 0.01


def test_trimap_says_how_wide_the_band_is(trimatte: Trimatte, photo_file: Path, bright: str) -> None:
    result = trimatte("trimap", photo_file, "--segmenter", bright, "--band-pixels", 5, "--json")
    report = json.loads(result.stdout)["report"]
    assert 0 <= report.pop("decided") < 0.01
    assert 0.5 < report.pop("trust") < 1
    assert report == {
        "subject": True,
        "band": 5.0,
        "islands": 0,
        "holes": 0,
        "notes": [],
    }
    assert photo_file.with_name("photo-trimap.png").exists()


def test_trimap_may_follow_what_the_photo_shows(trimatte: Trimatte, photo_file: Path, tmp_path: Path) -> None:
    for name, options in (("plain", ()), ("adaptive", ("--adaptive-band",))):
        assert trimatte("trimap", photo_file, *options, "-o", tmp_path / f"{name}.png").exit_code == 0
    assert (pixels(tmp_path / "plain.png") != pixels(tmp_path / "adaptive.png")).any()
    refused = trimatte("trimap", tmp_path / "plain.png", "--from-probability", "--adaptive-band")
    assert refused.exit_code == 2
    assert "--adaptive-band needs the photo" in refused.stderr


def test_trimap_without_subject(trimatte: Trimatte, tmp_path: Path, bright: str) -> None:
    Image.new("RGB", (20, 10)).save(tmp_path / "dark.png")
    assert "no subject found" in trimatte("trimap", tmp_path / "dark.png", "--segmenter", bright).stderr
    strict = trimatte("trimap", tmp_path / "dark.png", "--segmenter", bright, "--strict")
    assert strict.exit_code == 1
    assert strict.stderr == "Error: no subject found\n"


@pytest.mark.parametrize("method", ["closed-form", "knn"])
def test_alpha_of_a_photo_and_its_trimap(
    trimatte: Trimatte, photo_file: Path, tmp_path: Path, trimap: np.ndarray, truth: np.ndarray, method: str
) -> None:
    Image.fromarray(trimap).save(tmp_path / "trimap.png")
    result = trimatte("alpha", photo_file, tmp_path / "trimap.png", "--method", method, "--json")
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["report"]["unknown"] == np.count_nonzero(trimap == 128)
    matte = Image.open(photo_file.with_name("photo-alpha.png"))
    assert matte.mode == "L"
    alpha = np.asarray(matte)
    assert (alpha[trimap == 255] == 255).all()
    assert (alpha[trimap == 0] == 0).all()
    assert np.abs(alpha / 255 - truth)[trimap == 128].mean() < 0.2


def test_alpha_takes_its_photo_from_standard_input(
    trimatte: Trimatte, photo_file: Path, tmp_path: Path, trimap: np.ndarray
) -> None:
    Image.fromarray(trimap).save(tmp_path / "trimap.png")
    result = trimatte("alpha", "-", tmp_path / "trimap.png", input=photo_file.read_bytes())
    assert result.exit_code == 0, result.stderr
    assert Image.open(io.BytesIO(result.stdout_bytes)).size == (96, 72)
    both = trimatte("alpha", "-", "-", input=photo_file.read_bytes())
    assert both.exit_code == 2
    assert "standard input" in both.stderr


def test_a_cut_out_over_a_colour(trimatte: Trimatte, tmp_path: Path) -> None:
    rgba = np.zeros((4, 6, 4), np.uint8)
    rgba[..., 0], rgba[:, :3, 3], rgba[:, 3, 3] = 200, 255, 102
    Image.fromarray(rgba).save(tmp_path / "cut.png")
    assert trimatte("composite", tmp_path / "cut.png", "--background", "blue").exit_code == 0
    picture = pixels(tmp_path / "cut-composite.png")
    assert picture.shape == (4, 6, 3)
    assert (picture[:, :3] == (200, 0, 0)).all()
    assert (picture[:, 3] == (80, 0, 153)).all()
    assert (picture[:, 4:] == (0, 0, 255)).all()


def test_a_photo_with_its_matte_over_a_picture(
    trimatte: Trimatte, photo_file: Path, tmp_path: Path, truth: np.ndarray
) -> None:
    Image.fromarray(np.round(truth * 255).astype(np.uint8)).save(tmp_path / "alpha.png")
    Image.new("RGB", (10, 10), (250, 250, 250)).save(tmp_path / "sky.png")
    command = ("composite", photo_file, "--alpha", tmp_path / "alpha.png", "--background", tmp_path / "sky.png")
    result = trimatte(*command, "-o", tmp_path / "over.png")
    assert result.exit_code == 0, result.stderr
    picture = pixels(tmp_path / "over.png")
    assert (picture[truth == 0] == 250).all()
    np.testing.assert_array_equal(picture[truth == 1], pixels(photo_file)[truth == 1])
    assert picture[(truth > 0.3) & (truth < 0.7)].min() > 150  # no fringe of the dark background


def test_every_result_has_the_resolution_of_its_photo(
    trimatte: Trimatte, tmp_path: Path, photo: np.ndarray, trimap: np.ndarray, bright: str
) -> None:
    exif = Image.Exif()
    exif.update({315: "Ann", 271: "Maker"})
    Image.fromarray(photo).save(tmp_path / "photo.jpg", dpi=(300, 300), exif=exif)
    Image.fromarray(trimap).save(tmp_path / "trimap.png")
    source, found = tmp_path / "photo.jpg", {}
    for format in ("png", "tif"):
        maps = tmp_path / f"alpha.{format}"
        for command in (
            ("segment", source, "--segmenter", bright, "-o", tmp_path / f"probability.{format}"),
            ("trimap", source, "--segmenter", bright, "-o", tmp_path / f"trimap-of-it.{format}"),
            ("alpha", source, tmp_path / "trimap.png", "-o", maps),
            ("composite", source, "--alpha", maps, "--background", "white", "-o", tmp_path / f"over.{format}"),
        ):
            result = trimatte(*command)
            assert result.exit_code == 0, result.stderr
            with Image.open(command[-1]) as image:
                assert round(float(image.info["dpi"][0])) == 300, command[0]
                found[Path(command[-1]).name] = set(image.getexif()) & {315, 271}
    assert {name for name, tags in found.items() if tags} == {"over.png", "over.tif"}
    for level, kept in (("none", set()), ("copyright", {315}), ("all", {315, 271})):
        over = tmp_path / f"{level}.jpg"
        command = ("composite", source, "--alpha", tmp_path / "alpha.png", "--background", "white", "-o", over)
        assert trimatte(*command, "--metadata", level).exit_code == 0
        with Image.open(over) as image:
            assert image.info["dpi"] == (300, 300)
            assert set(image.getexif()) & {315, 271} == kept


def test_composite_wants_an_alpha(trimatte: Trimatte, photo_file: Path) -> None:
    result = trimatte("composite", photo_file, "--background", "white")
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: alpha: ")
    assert trimatte("composite", photo_file).exit_code == 2
    for background in ("nothing", "missing.png"):
        assert trimatte("composite", photo_file, "--background", background).exit_code == 2


def test_doctor_tells_versions_threads_caches_and_the_card(trimatte: Trimatte) -> None:
    result = trimatte("doctor")
    assert result.exit_code == 0, result.stderr
    for words in ("numpy", "onnxruntime", "threads", "kernels", "network", "lite.onnx"):
        assert words in result.stdout
    findings = json.loads(trimatte("doctor", "--json").stdout)
    assert findings["versions"]["trimatte"] == "0.1.0"
    assert findings["threads"]["usable"] >= 1
    assert findings["network"]["input"]["long_side"] > 0
    assert "cpu" in findings["devices"]["onnxruntime"].split(", ")
    assert findings["devices"]["chosen"].startswith("auto: ")
    assert findings["problems"] == []


def test_doctor_begins_all_lines_of_a_value_in_one_column(trimatte: Trimatte, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "first line\nsecond line " + "and more " * 20
    card = {"weak": text, "data": {"a name longer than others": "703 photos"}, "file": "/a/path " + "x" * 200}
    monkeypatch.setattr("trimatte.cli.doctor._network", lambda: card)
    monkeypatch.setenv("COLUMNS", "60")
    lines = trimatte("doctor").stdout.partition("network\n")[2].splitlines()
    end = lines.index("  data")
    assert all(re.match(r"  (weak  |      )          \S", line) and len(line) <= 60 for line in lines[:end])
    assert " ".join(line[18:] for line in lines[:end]) == " ".join(text.split())
    assert "    a name longer than others  703 photos" in lines
    assert f"{'':<18}{'x' * 200}" in lines


def test_doctor_fails_where_the_network_is_damaged(trimatte: Trimatte, monkeypatch: pytest.MonkeyPatch) -> None:
    from trimatte.errors import ModelError

    def damaged(name: str) -> None:
        raise ModelError(f"{name}.onnx: not a network")

    monkeypatch.setattr("trimatte.segmentation.registry.verify", damaged)
    result = trimatte("doctor")
    assert result.exit_code == 1
    assert result.stderr == "Error: network: lite.onnx: not a network\n"
    assert "numpy" in result.stdout
