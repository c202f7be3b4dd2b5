"""Bad input: one clear line on standard error, a non-zero exit code, a typed exception, and no half-written file."""

from __future__ import annotations

import io
import json
import logging
import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
from click.testing import Result
from PIL import Image

from trimatte.cutout import cutout
from trimatte.errors import ArgumentError, ImageReadError, ImageTooLargeError, MissingExtraError, TrimatteError
from trimatte.images import load_image

Trimatte = Callable[..., Result]


def bomb() -> bytes:
    """A PNG of a few bytes that says it has 60000 x 60000 pixels."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0)
    pixels = zlib.compress(bytes(1 << 16))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def jpeg(width: int = 96, height: int = 72) -> bytes:
    stream = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    Image.fromarray(noise).save(stream, "JPEG")
    return stream.getvalue()


FILES = {
    "no picture": (b"#!/bin/sh\necho hello\n", ImageReadError, "not a picture"),
    "truncated": (jpeg()[: len(jpeg()) // 2], ImageReadError, "truncated"),
    "empty": (b"", ImageReadError, "empty"),
    "bomb": (bomb(), ImageTooLargeError, "60000 x 60000"),
}


def check_failed(result: Result, *words: str) -> None:
    """One line, no traceback, a failing exit code."""
    assert result.exit_code != 0
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    assert result.stderr.startswith("Error: ")
    assert result.stderr.count("\n") == 1, result.stderr
    for word in words:
        assert word in result.stderr


@pytest.mark.parametrize("case", FILES)
@pytest.mark.parametrize("verb", ["cutout", "segment", "trimap"])
def test_bad_files(trimatte: Trimatte, tmp_path: Path, bright: str, verb: str, case: str) -> None:
    content, _, words = FILES[case]
    path = tmp_path / "photo.jpg"
    path.write_bytes(content)
    check_failed(trimatte(verb, path, "--segmenter", bright), words)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("case", FILES)
def test_bad_files_in_python(tmp_path: Path, bright: str, case: str) -> None:
    content, exception, words = FILES[case]
    path = tmp_path / "photo.jpg"
    path.write_bytes(content)
    with pytest.raises(exception, match=words):
        cutout(path, segmenter=bright)


def test_bad_standard_input(trimatte: Trimatte, bright: str) -> None:
    result = trimatte("cutout", "-", "--segmenter", bright, input=b"no picture")
    check_failed(result, "not a picture")
    assert result.stdout_bytes == b""


@pytest.mark.parametrize("size", [(1, 1), (1, 5000), (5000, 1), (2, 2)])
@pytest.mark.parametrize("grey", [0, 255])
def test_tiny_and_thin_pictures_have_a_result(
    trimatte: Trimatte, tmp_path: Path, bright: str, size: tuple[int, int], grey: int
) -> None:
    path = tmp_path / "thin.png"
    Image.new("RGB", size, (grey, grey, grey)).save(path)
    result = trimatte("cutout", path, "--segmenter", bright)
    assert result.exit_code == 0, result.stderr
    alpha = np.asarray(Image.open(tmp_path / "thin-cutout.png"))[..., 3]
    assert alpha.shape == size[::-1]
    assert (alpha == (255 if grey else 0)).all()


@pytest.mark.parametrize("size", [(1, 5000), (5000, 1)])
def test_a_thin_picture_with_a_boundary(tmp_path: Path, bright: str, size: tuple[int, int]) -> None:
    image = np.zeros((size[1], size[0], 3), np.uint8)
    image.reshape(5000, 3)[1000:3000] = 250
    alpha = cutout(image, segmenter=bright).alpha.ravel()
    assert alpha.shape == (5000,)
    assert alpha[0] == 0
    assert alpha[2000] == 1


@pytest.mark.parametrize(
    ("image", "words"),
    [
        (np.full((4, 4, 3), np.nan), "image: .*NaN"),
        (np.full((4, 4, 3), 1.5), "image: .*1.5"),
        (np.full((4, 4, 3), -0.1), "image: .*-0.1"),
        (np.full((4, 4, 3), np.inf), "image: "),
        (np.zeros((4, 4, 2), np.uint8), r"image: .*\(4, 4, 2\)"),
        (np.zeros((2, 4, 4, 3), np.uint8), r"image: .*\(2, 4, 4, 3\)"),
        (np.zeros(4, np.uint8), r"image: .*\(4,\)"),
        (np.zeros((0, 4, 3), np.uint8), r"image: .*\(0, 4, 3\)"),
        (np.zeros((4, 4, 3), complex), "image: .*complex"),
    ],
)
def test_bad_arrays(bright: str, image: np.ndarray, words: str) -> None:
    with pytest.raises(ArgumentError, match=words) as error:
        cutout(image, segmenter=bright)
    assert isinstance(error.value, ValueError)
    assert isinstance(error.value, TrimatteError)


def test_a_trimap_of_another_size(trimatte: Trimatte, photo_file: Path, tmp_path: Path) -> None:
    Image.new("L", (50, 60)).save(tmp_path / "trimap.png")
    for verb in (("cutout", photo_file, "--trimap"), ("alpha", photo_file)):
        check_failed(trimatte(*verb, tmp_path / "trimap.png"), "trimap: ", "(60, 50)", "(72, 96)")
    assert list(photo_file.parent.iterdir()) == [photo_file]


@pytest.mark.parametrize("verb", ["cutout", "segment", "trimap", "alpha", "composite"])
def test_a_missing_photo(trimatte: Trimatte, tmp_path: Path, verb: str) -> None:
    photo = tmp_path / "none.jpg"
    more = {"alpha": [photo], "composite": ["--background", "white"]}.get(verb, [])
    check_failed(trimatte(verb, photo, *more), "none.jpg", "No such file")
    assert not list(tmp_path.iterdir())


def test_a_missing_trimap(trimatte: Trimatte, photo_file: Path) -> None:
    check_failed(trimatte("cutout", photo_file, "--trimap", "no.png"), "no.png", "No such file")
    check_failed(trimatte("alpha", photo_file), "trimap: ", "closed-form")


@pytest.mark.parametrize(
    ("out", "words"),
    [
        ("missing/cut.png", "no folder"),
        ("photos/", "photo.png"),
        ("cut.xyz", "out: got"),
        ("cut", ".webp"),
        ("cut.gif", "out: got"),
        ("cut.cr2", "out: got"),
    ],
)
def test_an_output_that_cannot_be_written(
    trimatte: Trimatte, photo_file: Path, tmp_path: Path, bright: str, out: str, words: str
) -> None:
    (photo_file.parent / "photo.png").mkdir()
    check_failed(trimatte("cutout", photo_file, "--segmenter", bright, "-o", f"{tmp_path}/{out}"), words)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [photo_file]


def test_a_folder_that_may_not_be_written_to(
    trimatte: Trimatte, photo_file: Path, bright: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.access", lambda path, mode: False)  # the superuser may write anywhere
    check_failed(trimatte("cutout", photo_file, "--segmenter", bright), "read-only")


def test_a_full_disk_leaves_what_was_there(
    trimatte: Trimatte, photo_file: Path, bright: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = photo_file.with_suffix(".png")
    old.write_bytes(b"old")
    command = ("cutout", photo_file, "--segmenter", bright, "-o", old)

    def full(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("trimatte.images.write.encode", full)
    check_failed(trimatte(*command), "No space left on device")
    assert old.read_bytes() == b"old"
    assert set(photo_file.parent.iterdir()) == {photo_file, old}


def test_output_equal_to_input(trimatte: Trimatte, photo_file: Path, tmp_path: Path, bright: str) -> None:
    before = photo_file.read_bytes()
    link = tmp_path / "link.jpg"
    link.symlink_to(photo_file)
    for out in (photo_file, link, photo_file.parent / ".." / "photos" / "photo.jpg"):
        command = ("cutout", photo_file, "--segmenter", bright, "--background", "white", "-o", out)
        check_failed(trimatte(*command), "overwritten")
    mine = tmp_path / "mine.png"
    Image.new("L", (96, 72)).save(mine)
    check_failed(trimatte("cutout", photo_file, "--trimap", mine, "-o", mine), "overwritten")
    assert photo_file.read_bytes() == before


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--method", "closed-from"], ["closed-form", "knn", "did you mean"]),
        (["--segmenter", "nobody"], ["lite"]),
        (["--method", "pymatting:none"], ["cf"]),
        (["--background", "no-such-colour"], ["background: ", "white"]),
        (["--band", "-1"], ["band: ", "-1"]),
        (["--format", "jpeg"], ["JPEG", "background"]),
        (["--max-pixels", "100"], ["96 x 72"]),
    ],
)
def test_bad_options(trimatte: Trimatte, photo_file: Path, options: list[str], words: list[str], bright: str) -> None:
    result = trimatte("cutout", photo_file, "--segmenter", bright, *options)
    check_failed(result, *words)
    assert list(photo_file.parent.iterdir()) == [photo_file]


@pytest.mark.parametrize(
    "options",
    [["--margin", "3"], ["--quality", "0"], ["--format", "gif"], ["--threads", "0"], ["--unheard-of"], []],
)
def test_wrong_usage(trimatte: Trimatte, photo_file: Path, options: list[str]) -> None:
    result = trimatte("cutout", *([photo_file] if options else []), *options)
    assert result.exit_code == 2
    assert "Error: " in result.stderr
    assert list(photo_file.parent.iterdir()) == [photo_file]


@pytest.mark.parametrize("name", ["cutuot", "models2"])
def test_an_unknown_verb(trimatte: Trimatte, name: str) -> None:
    result = trimatte(name)
    assert result.exit_code == 2
    assert name in result.stderr


def test_a_missing_extra_says_what_to_install(
    trimatte: Trimatte, photo_file: Path, trimap: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from trimatte import alpha

    def needs_more(image: np.ndarray, trimap: np.ndarray, report: object) -> np.ndarray:
        raise MissingExtraError("needs PyTorch: pip install 'trimatte[torch]'")

    monkeypatch.setitem(alpha.METHODS, "needs-more", alpha.AlphaMethod(function=needs_more))
    Image.fromarray(trimap).save(tmp_path / "trimap.png")
    result = trimatte("cutout", photo_file, "--trimap", tmp_path / "trimap.png", "--method", "needs-more")
    check_failed(result, "pip install 'trimatte[torch]'")


def test_good_pictures_are_done_and_bad_ones_listed_at_the_end(
    trimatte: Trimatte, photo_file: Path, tmp_path: Path, bright: str
) -> None:
    names = {"a.jpg": b"", "z.jpg": b"no picture"}
    for name, content in names.items():
        (photo_file.parent / name).write_bytes(content)
    out = tmp_path / "out"
    result = trimatte("cutout", photo_file.parent, "--segmenter", bright, "-o", out)
    assert result.exit_code == 1
    head, first, second = result.stderr.splitlines()
    assert "2 of 3 pictures failed" in head
    assert "a.jpg: " in first
    assert "empty" in first
    assert "z.jpg: " in second
    assert [path.name for path in out.glob("*.png")] == ["photo.png"]


def test_json_tells_of_failures(trimatte: Trimatte, photo_file: Path, bright: str) -> None:
    bad = photo_file.with_name("bad.jpg")
    bad.write_bytes(b"")
    result = trimatte("cutout", bad, photo_file, "--segmenter", bright, "--json")
    assert result.exit_code == 1
    first, second = (json.loads(line) for line in result.stdout.splitlines())
    assert not first["done"]
    assert "empty" in first["error"]
    assert second["done"]


def test_a_defect_does_not_lose_the_other_pictures(
    trimatte: Trimatte, photo_file: Path, bright: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from trimatte import segmentation

    second = photo_file.with_name("second.jpg")
    second.write_bytes(photo_file.read_bytes())
    find, calls = segmentation.find_segmenter(bright)(), []

    def broken_once(image: np.ndarray) -> np.ndarray:
        calls.append(1)
        if len(calls) == 1:
            raise KeyError("oops")
        return find(image)

    monkeypatch.setattr(segmentation, "_built", lambda name, stamp: broken_once)
    result = trimatte("cutout", photo_file, second, "--segmenter", bright)
    assert result.exit_code == 1
    assert "unexpected KeyError" in result.stderr
    assert second.with_suffix(".png").exists()


def test_two_pictures_do_not_overwrite_each_others_results(
    trimatte: Trimatte, photo_file: Path, tmp_path: Path, bright: str
) -> None:
    second = photo_file.with_suffix(".webp")
    second.write_bytes(photo_file.read_bytes())
    result = trimatte("cutout", photo_file, second, "--segmenter", bright, "-o", tmp_path / "out")
    assert result.exit_code == 1
    assert "already the result of" in result.stderr
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["photo.png"]


@pytest.mark.parametrize("out", ["cut.png", "-", "photos/photo.jpg"])
def test_several_pictures_want_a_folder(trimatte: Trimatte, photo_file: Path, tmp_path: Path, out: str) -> None:
    target = out if out == "-" else tmp_path / out
    check_failed(trimatte("cutout", photo_file.parent, "-o", target), "folder")


def test_an_empty_folder(trimatte: Trimatte, tmp_path: Path) -> None:
    check_failed(trimatte("cutout", tmp_path, "-o", tmp_path / "out"), "no picture")


def test_json_and_a_picture_do_not_share_standard_output(trimatte: Trimatte, photo_file: Path, bright: str) -> None:
    result = trimatte("cutout", photo_file, "--segmenter", bright, "-o", "-", "--json")
    assert result.exit_code == 2
    assert "--json" in result.stderr
    assert result.stdout_bytes == b""


@pytest.mark.parametrize("verb", ["cutout", "segment", "trimap", "alpha", "composite"])
def test_an_unusable_suffix_is_refused_before_the_work(
    trimatte: Trimatte, photo_file: Path, verb: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def work(*arguments: object, **options: object) -> None:
        pytest.fail("the picture was read")

    monkeypatch.setattr("trimatte.images.decode.decode_source", work)
    more = {"alpha": [photo_file], "composite": ["--background", "white"]}.get(verb, [])
    check_failed(trimatte(verb, photo_file, *more, "-o", photo_file.parent / "x.xyz"), "out: got", "x.xyz", ".png")


def test_a_trimap_is_not_written_with_loss(trimatte: Trimatte, photo_file: Path, bright: str) -> None:
    for name in ("x.jpg", "x.webp"):
        result = trimatte("trimap", photo_file, "--segmenter", bright, "-o", photo_file.parent / name)
        check_failed(result, "out: ", "wanted PNG or TIFF")
    assert list(photo_file.parent.iterdir()) == [photo_file]


IMPLICIT = {
    "cutout": ("photo.png", []),
    "segment": ("photo-probability.png", []),
    "trimap": ("photo-trimap.png", []),
    "alpha": ("photo-alpha.png", ["trimap.png"]),
    "composite": ("photo-composite.png", ["--alpha", "trimap.png", "--background", "white"]),
}


@pytest.mark.parametrize("verb", IMPLICIT)
def test_a_strangers_file_is_not_replaced_unasked(
    trimatte: Trimatte, photo_file: Path, trimap: np.ndarray, bright: str, verb: str
) -> None:
    name, more = IMPLICIT[verb]
    Image.fromarray(trimap).save(photo_file.with_name("trimap.png"))
    more = [photo_file.with_name(word) if word.endswith(".png") else word for word in more]
    if verb in ("cutout", "segment", "trimap"):
        more += ["--segmenter", bright]
    target = photo_file.with_name(name)
    Image.new("RGB", (3, 3), "red").save(target)
    before = target.read_bytes()
    check_failed(trimatte(verb, photo_file, *more), "out: ", name, "trimatte did not make it", "--force", "-o")
    assert target.read_bytes() == before
    assert trimatte(verb, photo_file, *more, "--force").exit_code == 0
    made = target.read_bytes()
    assert made != before
    again = trimatte(verb, photo_file, *more)  # our own is replaced
    assert again.exit_code == 0, again.stderr
    target.write_bytes(before)
    assert trimatte(verb, photo_file, *more, "-o", target).exit_code == 0  # and so is what was named
    assert target.read_bytes() == made


def test_a_strangers_sheet_and_folders_are_left_alone(
    trimatte: Trimatte, photo_file: Path, tmp_path: Path, bright: str
) -> None:
    command = ("cutout", photo_file, "--segmenter", bright)
    sheet = photo_file.with_name("x-sheet.png")
    sheet.write_bytes(b"mine")
    check_failed(trimatte(*command, "-o", photo_file.with_name("x.png"), "--sheet"), "x-sheet.png", "--force")
    out = tmp_path / "out"
    out.mkdir()
    (out / "photo.png").write_bytes(b"mine")
    check_failed(trimatte(*command, "-o", out), "photo.png", "--force")
    second = photo_file.with_name("second.jpg")
    second.write_bytes(photo_file.read_bytes())
    result = trimatte(*command, second, "-o", out)
    assert result.exit_code == 1
    assert (out / "second.png").exists()
    assert (out / "photo.png").read_bytes() == sheet.read_bytes() == b"mine"


def test_a_folder_lists_the_pictures_that_are_not_read(
    trimatte: Trimatte, photo_file: Path, bright: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trimatte.images.formats.find_spec", lambda name: None)
    folder = photo_file.parent
    photo_file.rename(folder / "photo.jfif")
    for name in ("a.heic", "b.CR2", "c.psd", "notes.txt", ".hidden.heic"):
        (folder / name).write_bytes(b"x")
    result = trimatte("cutout", folder, "--segmenter", bright, "--json")
    assert result.exit_code == 1
    assert (folder / "photo.png").exists()
    records = {Path(line["input"]).name: line for line in map(json.loads, result.stdout.splitlines())}
    assert {name: line["done"] for name, line in records.items()} == {
        "photo.jfif": True, "a.heic": False, "b.CR2": False, "c.psd": False
    }  # fmt: skip
    assert "pip install 'trimatte[heic]'" in records["a.heic"]["error"]
    assert "raw photo" in records["b.CR2"]["error"]
    assert "Photoshop" in records["c.psd"]["error"]
    assert "3 of 4 pictures failed" in result.stderr


def test_a_pipe_in_a_folder_is_not_waited_for(trimatte: Trimatte, photo_file: Path, bright: str) -> None:
    os.mkfifo(photo_file.with_name("pipe.jpg"))
    (photo_file.parent / "zero.jpg").symlink_to("/dev/zero")
    result = trimatte("cutout", photo_file.parent, "--segmenter", bright)
    assert result.exit_code == 1
    assert photo_file.with_suffix(".png").exists()
    assert "pipe.jpg': it is not a regular file" in result.stderr
    assert "zero.jpg': it is not a regular file" in result.stderr


def damaged_tags() -> bytes:
    """A JPEG whose EXIF has a text that lies beyond its end, and more tags than there are."""
    exif = Image.Exif()
    exif.update({315: "Ann" * 20, 33432: "All of Ann" * 9})
    Image.fromarray(np.full((24, 32, 3), 90, np.uint8)).save(stream := io.BytesIO(), "JPEG", exif=exif)
    content = stream.getvalue()
    content = content.replace(struct.pack(">HHI", 33432, 2, 91), struct.pack(">HHI", 33432, 2, 5000))
    return content.replace(b"MM\0*\0\0\0\x08\0\2", b"MM\0*\0\0\0\x08\3\2")


@pytest.mark.parametrize("verb", ["cutout", "composite"])
def test_of_damaged_tags_one_line_of_ours_is_printed(trimatte: Trimatte, tmp_path: Path, verb: str) -> None:
    (tmp_path / "a.jpg").write_bytes(damaged_tags())
    with pytest.warns(UserWarning, match="larger than file|Corrupt"):
        Image.open(io.BytesIO(damaged_tags())).getexif()
    mask = np.zeros((24, 32), np.uint8)
    mask[6:18, 8:24] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    given = {"cutout": "--trimap", "composite": "--alpha"}[verb]
    more = ("--background", "white") if verb == "composite" else ()
    result = trimatte(verb, tmp_path / "a.jpg", given, tmp_path / "mask.png", *more, "-o", tmp_path / "b.png")
    assert result.exit_code == 0, result.stderr
    assert result.stderr.count("a.jpg: warning: some of its EXIF is damaged") == 1
    assert "larger than file" not in result.stderr


def test_of_damaged_tags_the_reports_tell_too(trimatte: Trimatte, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.jpg").write_bytes(damaged_tags())
    told = "some of its EXIF is damaged"
    alone = trimatte("cutout", tmp_path / "in" / "a.jpg", "--quality", "fast", "--json", "-o", tmp_path / "b.png")
    assert told in " ".join(json.loads(alone.stdout)["report"]["warnings"]), alone.stdout
    trimatte("cutout", tmp_path / "in", "--quality", "fast", "-o", tmp_path / "out")
    (record,) = map(json.loads, (tmp_path / "out" / "manifest.jsonl").read_text().splitlines()[-1:])
    assert told in " ".join(record["report"]["warnings"])


def test_what_pillow_logs_is_not_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    tifffile.imwrite(
        stream := io.BytesIO(), np.zeros((8, 8, 9), np.uint8), photometric="minisblack", planarconfig="contig"
    )
    monkeypatch.setattr(logging.root, "handlers", [])
    monkeypatch.setattr(logging, "lastResort", logging.StreamHandler(printed := io.StringIO()))
    with pytest.raises(ImageReadError, match="of a rare kind"):
        load_image(stream.getvalue())
    assert printed.getvalue() == ""
