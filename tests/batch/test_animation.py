"""Animations are cut out frame by frame."""

from __future__ import annotations

import io
import json
import shutil
import struct
import subprocess
import warnings
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageSequence, PngImagePlugin

from trimatte.batch.one import cut_out
from trimatte.batch.run import run_batch
from trimatte.batch.tasks import BYTES_PER_PIXEL_OF_FRAMES, estimated_bytes
from trimatte.errors import ArgumentError, ImageReadError, ImageTooLargeError
from trimatte.images import as_image, is_marked, read_picture, save_image
from trimatte.images.animation import Animation, encode_animation, frame_count, read_animation
from trimatte.images.colour import adobe_rgb
from trimatte.images.metadata import Metadata

DESCRIPTION, ORIENTATION, ARTIST, COPYRIGHT = 270, 274, 315, 33432
PLACE = 0x8825
XMP = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    b'<rdf:Description xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmp:Rating="4"/></rdf:RDF></x:xmpmeta>'
)


def animated(format: str, **words: Any) -> bytes:
    """Three frames of a light disc that moves, of different times."""
    y, x = np.mgrid[:48, :64]
    frames = []
    for left in (24, 30, 36):
        disc = np.hypot(y - 24, x - left) < 12
        frames.append(Image.fromarray(np.where(disc[..., None], np.uint8(230), np.uint8(20)).repeat(3, axis=2)))
    stream = io.BytesIO()
    options: dict[str, Any] = {"lossless": True} if format == "WEBP" else {}
    frames[0].save(
        stream, format, save_all=True, append_images=frames[1:], duration=[50, 100, 200], loop=3, **options, **words
    )
    return stream.getvalue()


def test_an_animation_that_was_changed_by_hand_is_no_longer_trimattes() -> None:
    animation = read_animation(animated("PNG"))
    assert animation is not None
    frames = [np.full((48, 64, 3), 40 * number, np.uint8) for number in range(3)]
    content = encode_animation(frames, animation, "PNG", profile=None, quality=None, metadata=Metadata())
    assert is_marked(content)
    times = content.find(b"fcTL", content.find(b"IDAT"))
    changed = bytearray(content)
    changed[times + 24 : times + 28] = struct.pack(">HH", 1, 50)
    changed[times + 30 : times + 34] = struct.pack(">I", zlib.crc32(changed[times : times + 30]))
    assert not is_marked(bytes(changed))


def test_sixtieths_of_a_second_add_up() -> None:
    content = bytearray(animated("PNG"))
    at = content.find(b"fcTL")
    while at > 0:  # name, 20 bytes, numerator and denominator of the time, 2 bytes, checksum
        content[at + 24 : at + 28] = struct.pack(">HH", 1, 60)
        content[at + 30 : at + 34] = struct.pack(">I", zlib.crc32(content[at : at + 30]))
        at = content.find(b"fcTL", at + 4)
    animation = read_animation(bytes(content))
    assert animation is not None
    assert animation.milliseconds == [17, 16, 17]


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize(("source", "target"), [("GIF", "PNG"), ("PNG", "WEBP"), ("WEBP", "PNG")])
def test_each_frame_is_cut_out_and_keeps_its_time(source: str, target: str, bright: str) -> None:
    stream = io.BytesIO()
    cut_out(animated(source), stream, frames="all", segmenter=bright, format=target)
    made: Any = Image.open(stream)
    assert made.info["loop"] == (4 if source == "GIF" else 3)  # GIF counts repetitions
    assert is_marked(stream.getvalue())
    for frame, left, duration in zip(frames(stream), (24, 30, 36), (50, 100, 200), strict=True):
        alpha = np.asarray(frame)[..., 3]
        assert frame.info["duration"] == duration
        assert alpha[24, left] == 255
        assert alpha[24, left - 20] == alpha[2, 2] == 0
        columns = np.nonzero(alpha[24] > 128)[0]
        assert abs(columns.mean() - left) < 1.5


def shown_of(alike: str) -> list[np.ndarray]:
    """Five frames, (24, 32, 3 or 4), of which some are alike."""
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 256, (2, 3, 4, 4), np.uint8).repeat(8, axis=1).repeat(8, axis=2)
    b[:, 16:] = a[:, 16:]
    nothing = np.zeros_like(a)
    order = {
        "nothing": 5 * [nothing],
        "all": 5 * [a],
        "some": [a, a, b, nothing, nothing],
        "ends": [nothing, a, b, b, b],
    }
    return [frame[..., :3] for frame in order["some"]] if alike == "opaque" else order[alike]


@pytest.mark.parametrize("target", ["PNG", "WEBP"])
@pytest.mark.parametrize("alike", ["nothing", "all", "some", "ends", "opaque"])
@pytest.mark.parametrize("profile", [None, adobe_rgb()])
def test_frames_that_are_alike_stay_frames(target: str, alike: str, profile: bytes | None) -> None:
    times = [40, 50, 60, 70, 80]
    animation = Animation([], times, 3, Metadata())
    shown = shown_of(alike)
    content = encode_animation(
        shown, animation, target, profile=profile, quality=100, metadata=Metadata(dpi=(300, 300))
    )
    assert is_marked(content)
    image: Any = Image.open(io.BytesIO(content))
    assert (image.info["loop"], image.info.get("icc_profile")) == (3, profile)
    for frame, wanted, time in zip(frames(io.BytesIO(content)), shown, times, strict=True):
        read = np.asarray(frame.convert("RGBA" if shown[0].shape[2] == 4 else "RGB")).astype(int)
        assert frame.info["duration"] == time  # which Pillow knows of a WebP once it is decoded
        hidden = 1 if read.shape[2] == 3 else wanted[..., 3:] > 0
        assert np.abs((read - wanted) * hidden)[..., :3].mean() < (1 if target == "PNG" else 20)
        assert (read[..., 3:] == wanted[..., 3:]).all()


@pytest.mark.parametrize("target", ["PNG", "WEBP"])
def test_without_a_subject_all_frames_are_kept(target: str, bright: str) -> None:
    frames_in = [Image.new("RGB", (64, 48), (20, 20, 20 + number)) for number in range(3)]
    frames_in[0].save(stream := io.BytesIO(), "GIF", save_all=True, append_images=frames_in[1:], duration=[50, 0, 200])
    with pytest.warns(UserWarning, match="no subject found"):
        cut_out(stream.getvalue(), made := io.BytesIO(), frames="all", segmenter=bright, format=target)
    found = [(np.asarray(frame).max(), frame.info["duration"]) for frame in frames(made)]
    assert found == [(0, 50), (0, 100), (0, 200)]


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_background_and_a_size_are_the_same_for_all(bright: str) -> None:
    stream = io.BytesIO()
    cut_out(animated("GIF"), stream, frames="all", segmenter=bright, format="png", background="#00ff00", size="32x24")
    for frame in frames(stream):
        assert np.asarray(frame).shape == (24, 32, 3)
        assert frame.getpixel((0, 0)) == (0, 255, 0)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"crop": True}, "crop: got one, as presets ask for, for an animation"),
        ({"format": "jpeg", "background": "white"}, "format: got JPEG for an animation"),
        ({"format": "avif"}, "format: got AVIF for an animation"),
        ({"bits": 16}, "bits: got 16 for an animation"),
        ({"output": "matte"}, "frames: got 'all' beside a matte"),
    ],
)
def test_what_an_animation_cannot_be(options: dict[str, Any], match: str, bright: str, tmp_path: Path) -> None:
    options = {"frames": "all", "segmenter": bright, "format": "png", **options}
    with pytest.raises(ArgumentError, match=match):
        cut_out(animated("GIF"), io.BytesIO(), **options)
    (photos := tmp_path / "photos").mkdir()
    (photos / "a.gif").write_bytes(animated("GIF"))
    with pytest.raises(ArgumentError, match=match):  # before a picture is read
        run_batch(photos, tmp_path / "out", **options)


def with_words(format: str) -> bytes:
    """An animation of a profile, with author, resolution, place, XMP and, of PNG, text."""
    exif = Image.Exif()
    exif.update({ARTIST: "Ann", COPYRIGHT: "(c) Ann", DESCRIPTION: "A disc", 282: 300, 283: 300, 296: 2})
    exif.get_ifd(PLACE).update({1: "N", 2: (52.0, 30.0, 0.0)})
    words: dict[str, Any] = {"exif": exif, "icc_profile": adobe_rgb()}
    if format == "WEBP":
        return animated(format, **words, xmp=XMP)
    text = PngImagePlugin.PngInfo()
    text.add_itxt("XML:com.adobe.xmp", XMP.decode())
    text.add_text("Title", "Disc")
    return animated(format, **words, pnginfo=text, dpi=(300, 300))


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize(("source", "target"), [("PNG", "WEBP"), ("WEBP", "PNG"), ("PNG", "PNG")])
def test_metadata_and_profile_are_those_of_a_still_picture(source: str, target: str, bright: str) -> None:
    def said(**options: Any) -> Any:
        stream = io.BytesIO()
        cut_out(with_words(source), stream, segmenter=bright, format=target, **options)
        image: Any = Image.open(stream)
        assert getattr(image, "n_frames", 1) == (3 if options.get("frames") == "all" else 1)
        assert is_marked(stream.getvalue())
        return read_picture(stream.getvalue()), image.getexif().get(305)

    for options in (
        {},
        {"metadata": "none"},
        {"metadata": "all"},
        {"metadata": "all+gps", "dpi": 150},
        {"profile": "srgb"},
    ):
        (still, mark), (moving, same_mark) = said(**options), said(frames="all", **options)
        assert moving.metadata == still.metadata
        assert moving.metadata.dpi == ((150, 150) if "dpi" in options else (300, 300))
        assert (moving.icc_profile, str(same_mark)[:8]) == (still.icc_profile, str(mark)[:8])
    whole = moving_metadata = said(frames="all", metadata="all+gps")[0].metadata
    assert moving_metadata.credits == {ARTIST: "Ann", COPYRIGHT: "(c) Ann"}
    assert b"Rating" in whole.xmp
    assert whole.place
    assert whole.text == ((("Title", "Disc"),) if source == target == "PNG" else ())


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.skipif(shutil.which("exiftool") is None, reason="needs exiftool")
def test_exiftool_reads_the_same(bright: str, tmp_path: Path) -> None:
    paths = [tmp_path / "a.png", tmp_path / "a.webp"]
    for path in paths:
        cut_out(with_words("PNG"), str(path), frames="all", segmenter=bright, metadata="all+gps")
    command = ["exiftool", "-json", "-n", *map(str, paths)]
    for read in json.loads(subprocess.run(command, capture_output=True, check=True).stdout):
        assert "Warning" not in read or "after APNG IDAT" in read["Warning"]
        assert (read["Artist"], read["Copyright"], read["GPSLatitude"], read["Rating"]) == ("Ann", "(c) Ann", 52.5, 4)
        assert read.get("AnimationFrames", 3) == read.get("FrameCount", 3) == 3
        assert round(read.get("XResolution") or read["PixelsPerUnitX"] * 0.0254) == 300
        assert "Adobe" in read["ProfileDescription"] or read["ProfileConnectionSpace"] == "XYZ "


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_colours_of_a_profile_are_seen_and_kept(bright: str) -> None:
    wide, stream, converted = animated("PNG", icc_profile=adobe_rgb()), io.BytesIO(), io.BytesIO()
    options: dict[str, Any] = {"frames": "all", "segmenter": bright, "format": "png"}
    cut = cut_out(wide, stream, **options)
    np.testing.assert_array_equal(cut.image, as_image(wide))
    cut_out(wide, converted, profile="srgb", **options)
    kept, srgb = (np.asarray(next(frames(made)))[24, 24] for made in (stream, converted))
    assert kept[:3].tolist() == [230, 230, 230]
    assert np.abs(srgb[:3] / 255 - as_image(wide)[24, 24]).max() <= 0.5 / 255
    green = {"background": "#008000", **options}
    cut_out(wide, stream := io.BytesIO(), **green)
    np.testing.assert_allclose(read_picture(stream.getvalue()).image[0, 0], [0, 128 / 255, 0], atol=0.01)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_frames_are_turned_upright(bright: str) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    cut_out(animated("WEBP", exif=exif), stream := io.BytesIO(), frames="all", segmenter=bright, format="png")
    made = Image.open(stream)
    assert made.size == (48, 64)
    assert ORIENTATION not in made.getexif()
    for frame, top in zip(frames(stream), (24, 30, 36), strict=True):
        assert np.asarray(frame)[top, 23, 3] == 255


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_the_picture_for_those_who_know_no_animations_is_no_frame(bright: str) -> None:
    stream = io.BytesIO()
    cut_out(animated("PNG", default_image=True), stream, frames="all", segmenter=bright, format="png")
    assert len(list(frames(stream))) == 2


def test_the_one_frame_beside_a_stand_in_picture_is_read() -> None:
    stand_in, frame = (Image.new("RGB", (8, 8), colour) for colour in ("red", "blue"))
    stand_in.save(stream := io.BytesIO(), "PNG", save_all=True, append_images=[frame], default_image=True)
    animation = read_animation(stream.getvalue())
    assert animation is not None
    assert [frame.codes[0, 0].tolist() for frame in animation.frames] == [[0, 0, 255]]


@pytest.mark.parametrize(("format", "wanted"), [("WEBP", 65535), ("PNG", 100000)])
def test_a_format_is_shown_as_often_as_it_can_say(format: Any, wanted: int) -> None:
    first, second = (Image.new("RGB", (8, 8), colour) for colour in ("red", "blue"))
    first.save(stream := io.BytesIO(), "PNG", save_all=True, append_images=[second], loop=100000)
    animation = read_animation(stream.getvalue())
    assert animation is not None
    codes = [frame.codes for frame in animation.frames]
    made = encode_animation(codes, animation, format, profile=None, quality=None, metadata=animation.metadata)
    with Image.open(io.BytesIO(made)) as written:
        assert written.info["loop"] == wanted


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("kind", ["photo", "pages", "once"])
def test_a_picture_of_one_frame_goes_the_usual_way(kind: str, bright: str, photo: np.ndarray) -> None:
    source = io.BytesIO()
    if kind == "photo":
        save_image(source, photo.astype(np.uint16) * 257, format="png")
    else:
        pages: dict[str, Any] = {"append_images": [Image.fromarray(photo)], "save_all": True} if kind == "pages" else {}
        Image.fromarray(photo).save(source, "TIFF" if pages else "GIF", **pages)
    made = [io.BytesIO(), io.BytesIO()]
    cut_out(source.getvalue(), made[0], segmenter=bright, format="png")
    cut_out(source.getvalue(), made[1], frames="all", segmenter=bright, format="png")
    assert made[0].getvalue() == made[1].getvalue()


def test_a_gif_that_is_shown_once_stays_so() -> None:
    stream = io.BytesIO()
    first, second = (Image.new("RGB", (8, 8), colour) for colour in ("red", "blue"))
    first.save(stream, "GIF", save_all=True, append_images=[second])
    once = read_animation(stream.getvalue())
    first.save(stream := io.BytesIO(), "GIF", save_all=True, append_images=[second], loop=0)
    for_ever = read_animation(stream.getvalue())
    assert once is not None
    assert for_ever is not None
    assert (once.loop, for_ever.loop) == (1, 0)


def test_what_the_frames_say_is_said_once(bright: str) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        cut = cut_out(animated("GIF"), io.BytesIO(), frames="all", segmenter=bright, format="png", way="best")
    texts = [str(warning.message) for warning in caught if issubclass(warning.category, UserWarning)]
    assert "quality 'best' has no effect on an animation" in texts[0]
    assert len(texts) == len(set(texts))
    assert set(texts) <= set(cut.report.warnings)


@pytest.mark.parametrize("format", ["GIF", "PNG", "WEBP"])
def test_each_frame_counts_in_the_memory_of_a_batch(format: str) -> None:
    content = animated(format)
    assert frame_count(content) == 3
    assert frame_count(content[:9]) == 1
    still, moving = (estimated_bytes(content, animated=animated) for animated in (False, True))
    assert moving - still == 2 * BYTES_PER_PIXEL_OF_FRAMES * 48 * 64


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize(("empty", "number"), [(0, 1), (1, 2)])
def test_a_frame_without_a_subject_is_named(bright: str, empty: int, number: int) -> None:
    light, dark = np.full((48, 64, 3), 20, np.uint8), np.full((48, 64, 3), 20, np.uint8)
    light[12:36, 20:44] = 230
    pictures = [Image.fromarray(dark if index == empty else light) for index in range(3)]
    pictures[0].save(stream := io.BytesIO(), "WEBP", save_all=True, append_images=pictures[1:], lossless=True)
    report = cut_out(stream.getvalue(), io.BytesIO(), frames="all", segmenter=bright, format="png").report
    assert f"frame {number}: no subject found" in report.warnings
    assert report.subject
    assert report.confidence == 0


def frames(stream: io.BytesIO) -> Any:
    """The frames of an animation, as Pillow has them."""
    return ImageSequence.Iterator(Image.open(io.BytesIO(stream.getvalue())))


def test_what_cannot_be_read_is_said(tmp_path: Path) -> None:
    with pytest.raises(ImageTooLargeError, match="3 frames"):
        read_animation(animated("GIF"), max_pixels=5000)
    for content in (b"", b"no picture", animated("WEBP")[:200], animated("GIF")[:-200]):
        with pytest.raises(ImageReadError, match="cannot read the animation"):
            read_animation(content)
    with pytest.raises(ImageReadError, match=r"cannot read '.*missing.gif': No such file"):
        cut_out(str(tmp_path / "missing.gif"), io.BytesIO(), frames="all", format="png")
