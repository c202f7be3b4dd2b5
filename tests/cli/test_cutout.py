"""`trimatte cutout`: where results go, and what they look like."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import Result
from PIL import Image

Trimatte = Callable[..., Result]


def pixels(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path))


def test_the_cut_out_lands_beside_the_photo(
    trimatte: Trimatte, photo_file: Path, truth: np.ndarray, bright: str
) -> None:
    result = trimatte("cutout", photo_file, "--segmenter", bright)
    assert result.exit_code == 0, result.stderr
    assert result.stdout == f"{photo_file.with_suffix('.png')}\n"
    cut = pixels(photo_file.with_suffix(".png"))
    assert cut.shape == (72, 96, 4)
    assert np.abs(cut[..., 3] / 255 - truth).mean() < 0.03
    assert set(photo_file.parent.iterdir()) == {photo_file, photo_file.with_suffix(".png")}


def test_a_png_is_not_overwritten(trimatte: Trimatte, photo_file: Path, bright: str) -> None:
    png = photo_file.with_name("a.png")
    Image.open(photo_file).save(png)
    before = png.read_bytes()
    assert trimatte("cutout", png, "--segmenter", bright).exit_code == 0
    assert png.read_bytes() == before
    assert pixels(photo_file.with_name("a-cutout.png")).shape[2] == 4


@pytest.mark.parametrize(("suffix", "format"), [("png", "PNG"), ("webp", "WEBP"), ("tiff", "TIFF"), ("avif", "AVIF")])
def test_the_suffix_says_the_format(
    trimatte: Trimatte, photo_file: Path, tmp_path: Path, bright: str, suffix: str, format: str
) -> None:
    out = tmp_path / f"cut.{suffix}"
    assert trimatte("cutout", photo_file, "--segmenter", bright, "--out", out).exit_code == 0
    with Image.open(out) as image:
        assert (image.format, image.mode) == (format, "RGBA")


def test_format_chooses_the_default_name(trimatte: Trimatte, photo_file: Path, bright: str) -> None:
    assert trimatte("cutout", photo_file, "--segmenter", bright, "--format", "webp").exit_code == 0
    assert photo_file.with_suffix(".webp").exists()


def test_a_folder_is_mirrored(trimatte: Trimatte, photo_file: Path, tmp_path: Path, bright: str) -> None:
    inner = photo_file.parent / "a" / "b"
    inner.mkdir(parents=True)
    (inner / "second.jpg").write_bytes(photo_file.read_bytes())
    (inner / "notes.txt").write_text("no picture")
    (inner / ".hidden.jpg").write_bytes(photo_file.read_bytes())
    out = tmp_path / "out"
    result = trimatte("cutout", photo_file.parent, "--segmenter", bright, "-o", out)
    assert result.exit_code == 0, result.stderr
    assert set(out.rglob("*.png")) == {out / "photo.png", out / "a" / "b" / "second.png"}


def test_standard_input_to_standard_output(trimatte: Trimatte, photo_file: Path, bright: str) -> None:
    result = trimatte("cutout", "-", "--segmenter", bright, input=photo_file.read_bytes())
    assert result.exit_code == 0, result.stderr
    assert Image.open(io.BytesIO(result.stdout_bytes)).mode == "RGBA"


def test_ones_own_trimap(trimatte: Trimatte, photo_file: Path, tmp_path: Path) -> None:
    mine = np.zeros((72, 96), np.uint8)
    mine[20:50, 30:50] = 255
    Image.fromarray(mine).save(tmp_path / "mine.png")
    assert trimatte("cutout", photo_file, "--trimap", tmp_path / "mine.png").exit_code == 0
    np.testing.assert_array_equal(pixels(photo_file.with_suffix(".png"))[..., 3], mine)


def test_crop_leaves_the_subject_and_a_margin(
    trimatte: Trimatte, photo_file: Path, tmp_path: Path, bright: str
) -> None:
    whole, tight, wide = (tmp_path / f"{name}.png" for name in ("whole", "tight", "wide"))
    trimatte("cutout", photo_file, "--segmenter", bright, "-o", whole)
    assert trimatte("cutout", photo_file, "--segmenter", bright, "--crop", "-o", tight).exit_code == 0
    assert trimatte("cutout", photo_file, "--segmenter", bright, "--crop", "--margin", 3, "-o", wide).exit_code == 0
    alpha = pixels(tight)[..., 3]
    for edge in (alpha[0], alpha[-1], alpha[:, 0], alpha[:, -1]):
        assert edge.max() >= 16
    assert np.count_nonzero(alpha > 16) == np.count_nonzero(pixels(whole)[..., 3] > 16)
    assert pixels(wide).shape[0] == alpha.shape[0] + 6
    np.testing.assert_array_equal(pixels(wide)[3:-3, 3:-3], pixels(tight))
    assert not pixels(wide)[..., 3][[0, 1, 2, -3, -2, -1]].any()


def test_a_background_replaces_alpha(
    trimatte: Trimatte, photo_file: Path, tmp_path: Path, bright: str, truth: np.ndarray
) -> None:
    out = tmp_path / "shop.png"
    assert trimatte("cutout", photo_file, "--segmenter", bright, "--background", "#00ff00", "-o", out).exit_code == 0
    picture = pixels(out)
    assert picture.shape == (72, 96, 3)
    assert (picture[0, 0] == (0, 255, 0)).all()
    np.testing.assert_array_equal(picture[truth == 1], pixels(photo_file)[truth == 1])


def test_a_picture_as_background_stays_in_place_when_cropped(
    trimatte: Trimatte, photo_file: Path, tmp_path: Path, bright: str
) -> None:
    ramp = np.repeat(np.arange(96, dtype=np.uint8)[None, :, None], 72, axis=0).repeat(3, axis=2)
    Image.fromarray(ramp).save(tmp_path / "ramp.png")
    common = ("cutout", photo_file, "--segmenter", bright, "--background", tmp_path / "ramp.png")
    assert trimatte(*common, "-o", tmp_path / "whole.png").exit_code == 0
    assert trimatte(*common, "--crop", "-o", tmp_path / "cut.png").exit_code == 0
    whole, cut = pixels(tmp_path / "whole.png"), pixels(tmp_path / "cut.png")
    left = int(cut[0, 0, 0])  # in the corner the ramp shows, which counts columns
    top = next(y for y in range(72) if (whole[y : y + cut.shape[0], left : left + cut.shape[1]] == cut).all())
    assert 0 < top < 36


def test_quality_makes_smaller_files(trimatte: Trimatte, photo_file: Path, tmp_path: Path, bright: str) -> None:
    for quality in (20, 95):
        out = tmp_path / f"{quality}.jpg"
        command = ("cutout", photo_file, "--segmenter", bright, "--background", "white")
        assert trimatte(*command, "--quality", quality, "-o", out).exit_code == 0
    assert (tmp_path / "20.jpg").stat().st_size < (tmp_path / "95.jpg").stat().st_size


def test_json_has_a_line_for_each_picture(trimatte: Trimatte, photo_file: Path, bright: str) -> None:
    second = photo_file.with_name("second.jpg")
    second.write_bytes(photo_file.read_bytes())
    result = trimatte("cutout", photo_file, second, "--segmenter", bright, "--json")
    assert result.exit_code == 0
    records = [json.loads(line) for line in result.stdout.splitlines()]
    assert [record["input"] for record in records] == [str(photo_file), str(second)]
    assert [record["output"] for record in records] == [str(p.with_suffix(".png")) for p in (photo_file, second)]
    for record in records:
        assert record["done"]
        assert record["report"]["segmenter"] == "bright"
        assert (record["report"]["quality"], record["report"]["alpha"]["method"]) == ("balanced", "light")
        assert record["report"]["alpha"]["unknown"] > 0
        assert set(record["report"]["seconds"]) >= {"read", "segment", "trimap", "alpha", "foreground"}


def test_a_sheet_shows_every_stage(trimatte: Trimatte, photo_file: Path, bright: str) -> None:
    assert trimatte("cutout", photo_file, "--segmenter", bright, "--sheet").exit_code == 0
    sheet = pixels(photo_file.with_name("photo-sheet.png"))
    assert sheet.shape[0] > 72
    assert sheet.shape[1] >= 5 * 96


def test_colours_are_kept_on_request(trimatte: Trimatte, photo_file: Path, tmp_path: Path, bright: str) -> None:
    for choice in ("--keep-colours", "--decontaminate", "--foreground=closed-form"):
        assert (
            trimatte("cutout", photo_file, "--segmenter", bright, choice, "-o", tmp_path / f"{choice}.png").exit_code
            == 0
        )
    kept, clean = (pixels(tmp_path / f"{choice}.png") for choice in ("--keep-colours", "--decontaminate"))
    exact = pixels(tmp_path / "--foreground=closed-form.png")
    np.testing.assert_array_equal(exact[..., 3], clean[..., 3])
    assert 0 < np.abs(exact[..., :3].astype(int) - clean[..., :3])[clean[..., 3] > 60].max() < 60
    np.testing.assert_array_equal(kept[..., :3], pixels(photo_file))
    soft = (kept[..., 3] > 60) & (kept[..., 3] < 200)
    assert clean[soft].mean() > kept[soft].mean() + 20  # the subject is lighter than the background


def test_colours_cannot_be_kept_and_estimated(trimatte: Trimatte, photo_file: Path) -> None:
    refused = trimatte("cutout", photo_file, "--keep-colours", "--foreground", "closed-form")
    assert (refused.exit_code, "goes without --foreground" in refused.stderr) == (2, True)


def test_a_photo_without_subject_is_transparent_with_a_warning_and_an_error_if_strict(
    trimatte: Trimatte, tmp_path: Path, bright: str
) -> None:
    dark = tmp_path / "dark.jpg"
    Image.new("RGB", (60, 40), (5, 10, 20)).save(dark)
    strict = trimatte("cutout", dark, "--segmenter", bright, "--strict")
    assert strict.exit_code == 1
    assert strict.stderr == "Error: no subject found\n"
    assert not dark.with_suffix(".png").exists()
    loose = trimatte("cutout", dark, "--segmenter", bright)
    assert loose.exit_code == 0
    assert "warning: no subject found" in loose.stderr
    assert not pixels(dark.with_suffix(".png"))[..., 3].any()


def test_verbose_tells_stages(trimatte: Trimatte, photo_file: Path, bright: str) -> None:
    result = trimatte("cutout", photo_file, "--segmenter", bright, "-v", "--threads", 1)
    assert result.exit_code == 0
    assert "light: " in result.stderr
    assert "segment 0." in result.stderr


def test_a_narrower_band_leaves_less_unknown(trimatte: Trimatte, photo_file: Path, bright: str) -> None:
    def unknown(*options: object) -> int:
        result = trimatte("cutout", photo_file, "--segmenter", bright, "--json", *options)
        return int(json.loads(result.stdout)["report"]["alpha"]["unknown"])

    assert unknown("--band-pixels", 2) < unknown("--band-pixels", 8)
    assert unknown("--band", 0.05) < unknown("--band", 0.2)


def test_the_embedded_network_finds_the_astronaut(trimatte: Trimatte, tmp_path: Path) -> None:
    import skimage.data

    path = tmp_path / "astronaut.png"
    Image.fromarray(skimage.data.astronaut()[::2, ::2]).save(path)
    assert trimatte("segment", path).exit_code == 0
    probability = pixels(tmp_path / "astronaut-probability.png")
    assert probability[60, 110] > 200  # the face
    assert probability[220:, 80:140].mean() > 200  # the suit
    assert probability[10, 10] < 50


def test_options_reach_the_method(trimatte: Trimatte, photo_file: Path, bright: str) -> None:
    result = trimatte(
        "cutout", photo_file, "--segmenter", bright, "--quality", "fast", "--option", "rtol=1e-3", "--json"
    )
    assert result.exit_code == 0, result.stderr
    residual = json.loads(result.stdout)["report"]["alpha"]["residual"]
    given = ["--method", "closed-form", "--option", "rtol=1e-9"]
    finer = trimatte("cutout", photo_file, "--segmenter", bright, *given, "--json")
    assert json.loads(finer.stdout)["report"]["alpha"]["residual"] < 1e-8 < residual


def test_quality_is_a_word_for_the_way_a_number_for_the_file_or_both(
    trimatte: Trimatte, photo_file: Path, bright: str, tmp_path: Path
) -> None:
    def cut(name: str, *given: object) -> dict[str, Any]:
        out = ["-o", tmp_path / name, "--force", "--background", "red", "--json"]
        result = trimatte("cutout", photo_file, "--segmenter", bright, *out, *given)
        assert result.exit_code == 0, result.stderr
        report: dict[str, Any] = json.loads(result.stdout)["report"]
        return report

    assert cut("a.jpg", "--quality", "fast")["alpha"]["method"] == "closed-form"
    assert cut("b.jpg", "--quality", 20)["quality"] == "balanced"
    both = cut("c.jpg", "--quality", "fast", "--quality", 20)
    assert both["quality"] == "fast"
    sizes = {name: (tmp_path / name).stat().st_size for name in ("a.jpg", "b.jpg", "c.jpg")}
    assert max(sizes["b.jpg"], sizes["c.jpg"]) < sizes["a.jpg"]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["--quality", "good"], "fast, balanced, best, or a number of 1 to 100"),
        (["--quality", "101"], "fast, balanced, best, or a number of 1 to 100"),
        (["--quality", "fast", "--quality", "best"], "a word, a number, or one of each"),
    ],
)
def test_other_qualities_are_refused(trimatte: Trimatte, photo_file: Path, given: list[str], said: str) -> None:
    result = trimatte("cutout", photo_file, *given)
    assert result.exit_code != 0
    assert said in " ".join(result.stderr.replace("│", " ").split())


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--option", "rtol"], "NAME=VALUE"),
        (["--option", "wind=1"], "wind"),
        (["--refine", "magic"], "deep-image-matting"),
    ],
)
def test_bad_options_are_told(
    trimatte: Trimatte, photo_file: Path, bright: str, arguments: list[str], said: str
) -> None:
    result = trimatte("cutout", photo_file, "--segmenter", bright, *arguments)
    assert result.exit_code != 0
    assert said in result.stderr
    assert not photo_file.with_suffix(".png").exists()


@pytest.mark.torch
def test_a_refiner_redoes_what_is_unsure(trimatte: Trimatte, photo_file: Path, bright: str, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    from trimatte.networks.checkpoints import save_checkpoint
    from trimatte.networks.dim import DIM, TINY

    torch.manual_seed(0)
    weights = tmp_path / "dim.pt"
    save_checkpoint(weights, DIM(TINY), "deep-image-matting")
    plain = trimatte("cutout", photo_file, "--segmenter", bright, "--out", tmp_path / "plain.png")
    refined = trimatte(
        "cutout", photo_file, "--segmenter", bright, "--out", tmp_path / "refined.png",
        "--refine", "deep-image-matting", "--refine-option", f"weights={weights}", "--refine-option", "device=cpu",
    )  # fmt: skip
    assert plain.exit_code == refined.exit_code == 0, refined.stderr
    before, after = pixels(tmp_path / "plain.png")[..., 3], pixels(tmp_path / "refined.png")[..., 3]
    assert (before != after).any()
    sure = (before == 0) | (before == 255)
    assert (before[sure] == after[sure]).mean() > 0.5


def test_a_refiner_without_weights_says_how_to_add_them(trimatte: Trimatte, photo_file: Path, bright: str) -> None:
    result = trimatte("cutout", photo_file, "--segmenter", bright, "--refine", "deep-image-matting")
    assert result.exit_code != 0
    assert "weights" in result.stderr or "trimatte[torch]" in result.stderr


def test_a_methods_memory_is_not_that_of_a_folder(
    trimatte: Trimatte, photo_file: Path, bright: str, tmp_path: Path
) -> None:
    given = ["--quality", "fast", "--option", "max_memory=10"]
    said = trimatte("cutout", photo_file, "--segmenter", bright, *given)
    assert said.exit_code != 0
    assert "unknown pixels take at least" in said.stderr
    folder = trimatte("cutout", photo_file.parent, "--out", tmp_path / "out", *given)
    assert folder.exit_code != 0
    assert "--max-memory" in folder.stderr
