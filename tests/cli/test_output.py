"""What shops, printers and pipelines ask of `trimatte cutout`: presets, metadata, mattes, lists, events."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import Result
from PIL import Image

Trimatte = Callable[..., Result]


def pixels(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path))


@pytest.fixture
def deep_file(tmp_path: Path, photo: np.ndarray) -> Path:
    """The photo at 300 dpi with its author."""
    exif = Image.Exif()
    exif[315] = "Ann"
    path = tmp_path / "photo.jpg"
    Image.fromarray(photo).save(path, quality=95, dpi=(300, 300), exif=exif)
    return path


def test_a_preset_decides_also_on_the_format(trimatte: Trimatte, deep_file: Path, bright: str) -> None:
    small = ("--segmenter", bright, "--preset", "marketplace", "--size", "120x120")
    result = trimatte("cutout", deep_file, *small, "-o", f"{deep_file.parent}/out/")
    assert result.exit_code == 0, result.stderr
    with Image.open(deep_file.parent / "out/photo.jpg") as image:
        assert (image.format, image.size, image.info["dpi"]) == ("JPEG", (120, 120), (300, 300))
        assert image.layer[0][1:3] == (1, 1)  # type: ignore[attr-defined] # no subsampling of colours
        assert not image.getexif()
    rgb = pixels(deep_file.parent / "out/photo.jpg")
    assert (rgb[:6] > 250).all()


def test_the_default_keeps_resolution_and_author(trimatte: Trimatte, deep_file: Path, bright: str) -> None:
    assert trimatte("cutout", deep_file, "--segmenter", bright).exit_code == 0
    with Image.open(deep_file.with_suffix(".png")) as image:
        assert round(image.info["dpi"][0]) == 300
        assert image.getexif()[315] == "Ann"


def test_both_are_the_cut_out_and_its_matte(trimatte: Trimatte, photo_file: Path, bright: str) -> None:
    framing = ("--segmenter", bright, "--crop", "--margin", "10%")
    assert trimatte("cutout", photo_file, *framing, "--output", "both").exit_code == 0
    rgba = pixels(photo_file.with_suffix(".png"))
    np.testing.assert_array_equal(pixels(photo_file.with_name("photo-matte.png")), rgba[..., 3])
    alone = photo_file.with_name("alone.jpg")
    assert trimatte("cutout", photo_file, *framing, "--output", "matte", "-o", alone).exit_code == 0
    assert np.abs(pixels(alone).astype(int) - rgba[..., 3]).max() < 12


def test_a_shadow_that_there_is_not_is_said(trimatte: Trimatte, tmp_path: Path, bright: str) -> None:
    photo = np.zeros((60, 80, 3), np.uint8)
    photo[20:, 30:50] = 240
    (tmp_path / "photos").mkdir()
    Image.fromarray(photo).save(tmp_path / "photos/cut.png")
    made = ("--segmenter", bright, "--cast-shadow", "contact", "--crop", "--margin", "20%", "-o", f"{tmp_path}/out/")
    result = trimatte("cutout", tmp_path / "photos/cut.png", *made, "--json")
    assert "warning: the photo's lower border cuts the subject off" in result.stderr
    assert any("no shadow" in text for text in json.loads(result.stdout)["report"]["warnings"])
    result = trimatte("cutout", tmp_path / "photos", *made, "--workers", 1)
    assert "warning: the photo's lower border cuts the subject off" in result.stderr


def test_a_folders_mattes_in_a_batch(trimatte: Trimatte, photo_file: Path, tmp_path: Path, bright: str) -> None:
    command = ("cutout", photo_file.parent, "-o", tmp_path / "out", "--segmenter", bright, "--output", "both")
    result = trimatte(*command, "--workers", 1, "--preset", "thumbnail", "--json-lines")
    assert result.exit_code == 0, result.stderr
    events = [json.loads(line) for line in result.stdout.splitlines()]
    assert [event["event"] for event in events] == ["start", "picture", "end"]
    assert (events[0]["pictures"], events[2]["done"], events[2]["failed"]) == (1, 1, 0)
    assert pixels(tmp_path / "out/photo.webp").shape == (256, 256, 4)
    assert pixels(tmp_path / "out/photo-matte.png").shape == (256, 256)
    wrong = trimatte(*command, "--json-lines", "--background", "nothing")
    assert (wrong.exit_code, wrong.stdout) == (2, "")


def test_inputs_are_listed_on_standard_input(trimatte: Trimatte, photo_file: Path, tmp_path: Path, bright: str) -> None:
    second = tmp_path / "zweites Foto.jpg"
    second.write_bytes(photo_file.read_bytes())
    listed = f"{photo_file}\n\n{second}\n{tmp_path / 'missing.jpg'}\n".encode()
    command = ("cutout", "--stdin-list", "--segmenter", bright, "-o", tmp_path / "out", "--json-lines")
    result = trimatte(*command, input=listed)
    assert result.exit_code == 1
    events = [json.loads(line) for line in result.stdout.splitlines()]
    assert [event.get("done") for event in events] == [None, True, True, False, 2]
    assert [event.get("number") for event in events] == [None, 1, 2, 3, None]
    assert (tmp_path / "out/zweites Foto.png").exists()


def test_a_list_of_one_goes_to_a_folder_too(trimatte: Trimatte, photo_file: Path, bright: str, tmp_path: Path) -> None:
    command = ("cutout", "--stdin-list", "--segmenter", bright, "-o")
    for out in (tmp_path / "new.png", "-"):
        result = trimatte(*command, out, input=f"{photo_file}\n".encode())
        assert (result.exit_code, "want a folder" in result.stderr) == (2, True)
    for listed, done in ((b"", []), (f"{photo_file}\n".encode(), [f"{photo_file.stem}.png"])):
        result = trimatte(*command, tmp_path / "new", input=listed)
        assert result.exit_code == 0, result.stderr
        assert [path.name for path in (tmp_path / "new").rglob("*")] == done


def test_a_list_may_begin_with_a_byte_order_mark(trimatte: Trimatte, tmp_path: Path) -> None:
    result = trimatte("cutout", "--stdin-list", "-o", tmp_path, input=b"\xef\xbb\xbfmissing.jpg\n")
    assert "cannot read 'missing.jpg'" in result.stderr


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ([], "no input"),
        (["-", "--stdin-list"], "standard input"),
        (["photo.jpg", "--margin", "5"], "no crop"),
        (["photo.jpg", "--margin", "a lot"], "--margin"),
        (["photo.jpg", "--crop", "--margin", "5,10%"], "apart by blanks"),
        (["photo.jpg", "--crop", "--margin", "60%"], "margin: got shares of 100 %"),
        (["photo.jpg", "--crop", "--margin", "200", "--size", "300x300"], "margin: got one that leaves no room"),
        (["photo.jpg", "--crop", "--outline", "50", "--size", "100x100"], "margin: got one that leaves no room"),
        (["photo.jpg", "--background", "missing.png"], "background: cannot read 'missing.png'"),
        (["photo.jpg", "--background", "no.jpg"], "background: cannot read 'no.jpg'"),
        (["photo.jpg", "--background", "glass.png"], "background: got a picture with alpha"),
        (["photo.jpg", "--preset", "narrow.toml"], "narrow.toml' has margin: got one that leaves no room"),
        (["photo.jpg", "--preset", "bare.toml"], "background: cannot read 'missing.png'"),
        ([".", "-o", "out", "--background", "missing.png"], "background: cannot read 'missing.png'"),
        (["photo.jpg", "--size", "huge"], "--size"),
        (["photo.jpg", "--preset", "nothing"], "preset"),
        (["photo.jpg", "--srgb", "--profile", "keep"], "exclude"),
        (["photo.jpg", "--outline-colour", "no"], "--outline-colour"),
        (["photo.jpg", "--method", "nothing"], "method"),
        (["photo.jpg", "--segmenter", "nothing"], "segmenter"),
        (["photo.jpg", "--refine", "nothing"], "refine"),
        (["photo.jpg", "--option", "nothing=1"], "nothing: no option of 'light'"),
        (["photo.jpg", "--option", "probability=0.5"], "probability: got 0.5, wanted an array (H, W)"),
        (["photo.jpg", "--method", "closed-form", "--option", "prior=true"], "prior: got True, wanted an array"),
        (["photo.jpg", "--method", "closed-form", "--option", "epsilon=inf"], "epsilon: got inf, wanted a finite"),
        (["photo.jpg", "--method", "closed-form", "--option", "epsilon=1e400"], "epsilon: got inf, wanted a finite"),
        (
            ["photo.jpg", "--method", "closed-form", "--option", "rtol=1"],
            "rtol: got 1, wanted a finite number, at least",
        ),
        (
            ["photo.jpg", "--method", "closed-form", "--option", "radius=1e30"],
            "radius: got 1e+30, wanted a whole number",
        ),
        (
            ["photo.jpg", "--method", "random-walk", "--option", "sigma=0"],
            "sigma: got 0, wanted a finite number, at least",
        ),
        (["photo.jpg", "--method", "knn", "--option", "neighbours=-1"], "neighbours: got -1, wanted a list of numbers"),
        (
            ["photo.jpg", "--method", "knn", "--option", "neighbours=[20, 1]"],
            "neighbours: got 1, wanted a whole number",
        ),
        (
            ["photo.jpg", "--method", "knn", "--option", "accuracy=high"],
            "accuracy: got 'high', wanted one of exact, fast",
        ),
        (["photo.jpg", "--method", "knn", "--option", "distance_weights=[1e30, 1]"], "distance_weights: got 1e+30"),
        (["photo.jpg", "--method", "large-kernel", "--option", "constraint=-1"], "constraint: got -1"),
        (["photo.jpg", "--method", "closed-form", "--option", "confidence=-1"], "confidence: got -1"),
        (["photo.jpg", "--foreground", ""], "foreground"),
        (["photo.jpg", "--refine", "light", "--refine-option", "sure=0.5"], "sure: got 0.5, wanted a finite number"),
        (["photo.jpg", "--band", "-1"], "band"),
        (["photo.jpg", "--band", "1e9"], "band: got 1000000000.0, wanted a finite number, at least 0 and at most 10"),
        (["photo.jpg", "--band-pixels", "1e30"], "band_pixels"),
        (["photo.jpg", "--speck", "2"], "speck"),
        (["photo.jpg", "--backdrop", "nothing"], "backdrop"),
        (["photo.jpg", "--background", "nothing"], "background"),
        (["photo.jpg", "-o", "b.jpg"], "holds no alpha"),
        (["photo.jpg", "-o", "b.xyz"], "out: got 'b.xyz'"),
        (["photo.jpg", "--format", "webp", "-o", "b.jpg"], "whose suffix is not of the format WEBP"),
        (["photo.jpg", "photo.jpg", "--trimap", "c.png"], "trimap: got one for 2"),
    ],
)
def test_what_is_wrong_is_said_before_any_work(
    trimatte: Trimatte, photo_file: Path, monkeypatch: pytest.MonkeyPatch, options: list[str], match: str
) -> None:
    monkeypatch.chdir(photo_file.parent)
    Path("no.jpg").write_text("Dear all")
    Path("narrow.toml").write_text('crop = true\nmargin = 200\nsize = "300x300"')
    Path("bare.toml").write_text('background = "missing.png"')
    Image.new("RGBA", (4, 4)).save("glass.png")
    result = trimatte("cutout", *options, input=b"\n")
    assert result.exit_code == 2
    assert match in result.stderr
    assert "a defect" not in result.stderr


def test_of_an_empty_list_nothing_fails(trimatte: Trimatte, tmp_path: Path) -> None:
    for out in ("-", tmp_path / "a.png", f"{tmp_path}/out/"):
        result = trimatte("cutout", "--stdin-list", "-o", out, input=b"\n")
        assert (result.exit_code, result.stdout, result.stderr) == (0, "", "")
    result = trimatte("cutout", "--stdin-list", "--json-lines", "-o", tmp_path, input=b"")
    start, end = map(json.loads, result.stdout.splitlines())
    assert (start["event"], start["pictures"], end["event"], end["done"]) == ("start", 0, "end", 0)


def test_alpha_and_composite_pair_folders_by_name(
    trimatte: Trimatte, photo: np.ndarray, trimap: np.ndarray, tmp_path: Path
) -> None:
    for folder in ("photos/inner", "trimaps/inner"):
        (tmp_path / folder).mkdir(parents=True)
    for name in ("a", "inner/b", "lonely"):
        Image.fromarray(photo).save(tmp_path / f"photos/{name}.jpg", quality=95)
    for name in ("a", "inner/b", "other"):
        Image.fromarray(trimap).save(tmp_path / f"trimaps/{name}.png")
    photos, mattes = tmp_path / "photos", tmp_path / "mattes"
    result = trimatte("alpha", photos, tmp_path / "trimaps", "-o", mattes)
    assert result.exit_code == 1
    assert "trimap: got none for 'lonely'" in result.stderr
    assert {path.relative_to(mattes).as_posix() for path in mattes.rglob("*.png")} == {"a.png", "inner/b.png"}
    (photos / "lonely.jpg").unlink()
    result = trimatte("composite", photos, "--alpha", mattes, "--background", "#00ff00", "-o", tmp_path / "over")
    assert result.exit_code == 0, result.stderr
    assert (pixels(tmp_path / "over/inner/b.png")[0, 0] == (0, 255, 0)).all()
    Image.fromarray(trimap).save(tmp_path / "trimaps/a.tif")
    several = trimatte("alpha", photos, tmp_path / "trimaps", "-o", mattes)
    assert "several" in several.stderr
    for wrong in (("alpha", photos / "a.jpg", tmp_path / "trimaps"), ("alpha", photos, tmp_path / "trimaps/a.png")):
        assert "wanted two folders" in trimatte(*wrong, "-o", mattes).stderr
    one = trimatte("composite", photos / "a.jpg", "--alpha", mattes, "--background", "white")
    assert "wanted one folder of photos" in one.stderr


@pytest.mark.parametrize("beside", [("--output", "both"), ("--output", "matte"), ("--sheet",)])
def test_all_frames_go_with_the_cutout_alone(
    trimatte: Trimatte, photo_file: Path, tmp_path: Path, beside: tuple[str, ...]
) -> None:
    result = trimatte("cutout", photo_file.parent, "-o", tmp_path / "out", "--frames", "all", *beside)
    assert result.exit_code == 2
    assert "--frames all goes with none of --sheet" in result.stderr
    assert not (tmp_path / "out").exists()
