"""Files that are not quite what they seem: raw photos, pages and frames, colours said without a profile, long headers.

Expected colours are computed here by the formulae of the standards, not by the code under test.
"""

from __future__ import annotations

import io
import re
import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from trimatte.errors import ArgumentError, ImageFormatError, ImageReadError, ImageWarning
from trimatte.images import FORMATS, as_alpha, as_trimap, is_marked, load_picture, pillow, save_image
from trimatte.images.background import background_image
from trimatte.images.formats import unread
from trimatte.images.mark import XMP
from trimatte.images.metadata import Metadata

WIDE = np.array([[0.64, 0.33], [0.21, 0.71], [0.15, 0.06]])  # Adobe RGB (1998), 4.3.1.1
REC709 = np.array([[0.64, 0.33], [0.30, 0.60], [0.15, 0.06]])
P3 = np.array([[0.680, 0.320], [0.265, 0.690], [0.150, 0.060]])
REC2020 = np.array([[0.708, 0.292], [0.170, 0.797], [0.131, 0.046]])
D65 = np.array([0.3127, 0.3290])


def to_xyz(primaries: np.ndarray, white: np.ndarray = D65) -> np.ndarray:
    """The matrix from linear RGB to XYZ (SMPTE RP 177)."""

    def lifted(xy: np.ndarray) -> np.ndarray:
        return np.array([xy[0] / xy[1], 1, (1 - xy[0] - xy[1]) / xy[1]])

    columns = np.stack([lifted(xy) for xy in primaries], axis=1)
    return columns * np.linalg.solve(columns, lifted(white))


def srgb_encoded(light: np.ndarray) -> np.ndarray:
    light = np.clip(light, 0, 1)
    return np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)


def srgb_decoded(codes: np.ndarray) -> np.ndarray:
    return np.where(codes <= 0.04045, codes / 12.92, ((codes + 0.055) / 1.055) ** 2.4)


def as_srgb(light: np.ndarray, primaries: np.ndarray) -> np.ndarray:
    """Linear light of primaries with the white D65, as sRGB."""
    return srgb_encoded(light @ (np.linalg.inv(to_xyz(REC709)) @ to_xyz(primaries)).T)


COLOURS = np.array(
    [[[200, 60, 50], [60, 180, 80], [40, 60, 190], [128, 128, 128], [240, 220, 200], [20, 20, 20]]], "u1"
)


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(pixels: np.ndarray, *chunks: tuple[bytes, bytes]) -> bytes:
    """A PNG (H, W, 3) of 8 or 16 bits, with chunks before its pixels."""
    deep = pixels.dtype == np.uint16
    rows = b"".join(b"\0" + row.astype(">u2" if deep else np.uint8).tobytes() for row in pixels)
    header = struct.pack(">IIBBBBB", pixels.shape[1], pixels.shape[0], 16 if deep else 8, 2, 0, 0, 0)
    parts = [(b"IHDR", header), *chunks, (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)


def saved(image: Image.Image, format: str, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, format, **options)
    return stream.getvalue()


def read_without_warnings(data: bytes):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return load_picture(data)


# ----------------------------------------------------------------------------------------------- raw photos and pages


def tiff_of(*pages: dict, inner: list[dict] | None = None) -> bytes:
    """A TIFF by tifffile: keyword arguments of `write` for each page; `inner` are sub-pages of the first."""
    stream = io.BytesIO()
    with tifffile.TiffWriter(stream) as tiff:
        for number, page in enumerate(pages):
            more = {"subifds": len(inner)} if inner and number == 0 else {}
            tiff.write(**{"metadata": None, "photometric": "rgb", **page}, **more)
            for sub in inner if inner and number == 0 else ():
                tiff.write(**{"metadata": None, "photometric": "rgb", **sub})
    return stream.getvalue()


SMALL, LARGE = np.full((8, 12, 3), 90, np.uint8), np.full((64, 96, 3), 160, np.uint8)
DNG = [(50706, 1, 4, b"\x01\x04\0\0", True)]


@pytest.mark.parametrize("bigtiff", [False, True])
def test_a_dng_is_refused_and_not_read_as_its_preview(bigtiff):
    data = io.BytesIO()
    with tifffile.TiffWriter(data, bigtiff=bigtiff) as tiff:
        tiff.write(SMALL, photometric="rgb", subfiletype=1, subifds=1, extratags=DNG, metadata=None)
        tiff.write(np.zeros((64, 96), np.uint16), photometric=32803, metadata=None)
    with pytest.raises(ImageReadError, match="raw photo, which must be developed"):
        load_picture(data.getvalue())


@pytest.mark.parametrize("photometric", [32803, 34892])
def test_a_sensors_values_are_refused_wherever_they_lie(photometric):
    shape = (64, 96) if photometric == 32803 else (64, 96, 3)
    sensor = {"data": np.zeros(shape, np.uint16), "photometric": photometric}
    for data in (
        tiff_of({"data": SMALL}, sensor),
        tiff_of({"data": SMALL, "subfiletype": 1}, inner=[sensor]),
        tiff_of(sensor),
    ):
        with pytest.raises(ImageReadError, match="raw photo"):
            load_picture(data)


@pytest.mark.parametrize(
    ("start", "what"),
    [
        (b"II*\0\x10\0\0\0CR\x02\0", "Canon CR2"),
        (b"\0\0\0\x18ftypcrx \0\0\0\x01crx isom", "Canon CR3"),
        (b"FUJIFILMCCD-RAW 0201", "Fujifilm RAF"),
        (b"IIRO\x08\0\0\0", "Olympus ORF"),
        (b"IIU\0\x18\0\0\0", "Panasonic RW2"),
        (b"8BPS\0\x01", "Photoshop document"),
        (b"\xff\x0a\xfa\x1f", "JPEG XL"),
        (b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG 2000"),
    ],
)
def test_other_pictures_are_named_by_what_they_say(start, what):
    with pytest.raises(ImageFormatError, match=what):
        load_picture(start + bytes(300))


def test_the_full_page_is_taken_where_the_first_is_reduced():
    thumbnail, full = {"data": SMALL, "subfiletype": 1}, {"data": LARGE}
    for data in (tiff_of(thumbnail, full), tiff_of(thumbnail, inner=[full]), tiff_of(full, thumbnail)):
        picture = read_without_warnings(data)
        np.testing.assert_array_equal(picture.pixels, LARGE)
    deep = tiff_of(thumbnail, {"data": LARGE.astype(np.uint16) * 257, "compression": "zlib"})
    np.testing.assert_array_equal(load_picture(deep).pixels, LARGE.astype(np.uint16) * 257)


def test_what_is_left_out_is_said():
    colours = [Image.new("RGB", (8, 6), colour) for colour in ("red", "lime", "blue")]
    several = {"save_all": True, "append_images": colours[1:]}
    for format, options, part in (
        ("TIFF", {}, "page"),
        ("GIF", {}, "frame"),
        ("PNG", {}, "frame"),
        ("WEBP", {"lossless": True}, "frame"),
        ("AVIF", {}, "frame"),
    ):
        data = saved(colours[0], format, **several, **options)
        with pytest.warns(ImageWarning, match=f"{part} 1 of 3"):
            picture = load_picture(data)
        assert picture.notes == (f"{part} 1 of 3 is read, and no other",)
        assert picture.pixels[3, 4, 0] > 200
        assert read_without_warnings(saved(colours[0], format, **options)).notes == ()
    with_alpha = {"photometric": "minisblack", "planarconfig": "contig", "extrasamples": ["unassalpha"]}
    deep = tiff_of(*[{"data": np.zeros((4, 4, 2), np.uint16), **with_alpha}] * 2)
    with pytest.warns(ImageWarning, match="page 1 of 2"):
        load_picture(deep)


def test_pages_of_masks_are_said_too():
    grey = [Image.new("L", (8, 6), value) for value in (255, 0)]
    with pytest.warns(ImageWarning, match="page 1 of 2"):
        assert (as_trimap(saved(grey[0], "TIFF", save_all=True, append_images=grey[1:])) == 255).all()


def test_a_warning_says_whose_pages_they_are():
    stream = io.BytesIO()
    planes = [Image.new("L", (4, 4), value) for value in (0, 255)]
    planes[0].save(stream, "TIFF", save_all=True, append_images=planes[1:])
    with pytest.warns(ImageWarning, match="^alpha: page 1 of 2"):
        as_alpha(stream.getvalue())
    with pytest.warns(ImageWarning, match="^trimap: page 1 of 2"):
        as_trimap(stream.getvalue())
    with pytest.warns(ImageWarning, match="^background: page 1 of 2"):
        background_image(stream.getvalue(), (4, 4))
    with pytest.warns(ImageWarning, match="^page 1 of 2"):
        load_picture(stream.getvalue())


def test_the_report_of_a_cut_out_says_that_there_are_pages():
    from trimatte import cutout

    pages = [Image.fromarray(LARGE), Image.fromarray(LARGE)]
    trimap = np.zeros(LARGE.shape[:2], np.uint8)
    trimap[18:42, 18:42], trimap[20:40, 20:40] = 128, 255
    with pytest.warns(UserWarning, match="page 1 of 2") as caught:
        result = cutout(saved(pages[0], "TIFF", save_all=True, append_images=pages[1:]), trimap=trimap)
    assert result.report.warnings[0] == "page 1 of 2 is read, and no other"
    assert sum("page 1 of 2" in str(warning.message) for warning in caught) == 1


# ------------------------------------------------------------------------------------------------ colours by other ways


def test_adobe_rgb_by_exif_alone():
    """DCF 2.0: a camera's Adobe RGB is an uncalibrated colour space with the interoperability index R03."""
    pixels = np.repeat(np.repeat(COLOURS, 16, axis=0), 16, axis=1)
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0xA001] = 65535
    exif.get_ifd(0x8769)[0xA005] = {1: "R03"}
    data = saved(Image.fromarray(pixels), "JPEG", exif=exif, quality=100, subsampling=0)
    assert Image.open(io.BytesIO(data)).getexif().get_ifd(0xA005)[1] == "R03"
    picture = load_picture(data)
    expected = as_srgb((picture.pixels / 255) ** (563 / 256), WIDE)
    assert np.abs(picture.image - expected).mean() < 0.4 / 255
    assert np.abs(picture.image - picture.pixels / 255).max() > 20 / 255
    written = io.BytesIO()
    save_image(written, picture.pixels, icc_profile=picture.icc_profile, format="png")
    again = load_picture(written.getvalue())
    np.testing.assert_array_equal(again.pixels, picture.pixels)
    np.testing.assert_array_equal(again.image, picture.image)
    exif.get_ifd(0x8769)[0xA001] = 1
    srgb = load_picture(saved(Image.fromarray(pixels), "JPEG", exif=exif, quality=100))
    np.testing.assert_array_equal(srgb.image, srgb.pixels / np.float32(255))


def gama(gamma: float) -> tuple[bytes, bytes]:
    return b"gAMA", struct.pack(">I", round(gamma * 100000))


def chrm(primaries: np.ndarray) -> tuple[bytes, bytes]:
    return b"cHRM", struct.pack(">8I", *(round(v * 100000) for v in (*D65, *primaries.ravel())))


def cicp(*codes: int) -> tuple[bytes, bytes]:
    return b"cICP", bytes(codes)


def iccp() -> tuple[bytes, bytes]:
    from trimatte.images.colour import adobe_rgb

    return b"iCCP", b"x\0\0" + zlib.compress(adobe_rgb())


SRGB = b"sRGB", b"\0"
X = COLOURS / 255
BT709 = np.where(X < 0.0812429, X / 4.5, ((X + 0.0992968) / 1.0992968) ** (1 / 0.45))
BY_CHUNKS = {
    "gAMA": ([gama(1 / 1.8)], srgb_encoded(X**1.8)),
    "linear": ([gama(1.0)], srgb_encoded(X)),
    "gAMA and cHRM": ([gama(1 / 2.0), chrm(WIDE)], as_srgb(X**2.0, WIDE)),
    "cHRM": ([chrm(P3)], as_srgb(srgb_decoded(X), P3)),
    "gAMA for sRGB": ([gama(0.45455), chrm(REC709)], X),
    "sRGB over gAMA": ([gama(1.0), chrm(WIDE), SRGB], X),
    "iCCP over sRGB": ([iccp(), SRGB, gama(1.0)], as_srgb(X ** (563 / 256), WIDE)),
    "cICP over iCCP": ([cicp(12, 13, 0, 1), iccp()], as_srgb(srgb_decoded(X), P3)),
    "cICP of sRGB": ([cicp(1, 13, 0, 1), iccp()], X),
    "cICP of BT.2020": ([cicp(9, 14, 0, 1)], as_srgb(BT709, REC2020)),
    "PQ, then iCCP": ([cicp(9, 16, 0, 1), iccp()], as_srgb(X ** (563 / 256), WIDE)),
}


@pytest.mark.parametrize("name", BY_CHUNKS)
@pytest.mark.parametrize("deep", [False, True])
def test_colours_of_png_in_the_order_of_its_specification(name, deep):
    chunks, expected = BY_CHUNKS[name]
    pixels = COLOURS.astype(np.uint16) * 257 if deep else COLOURS
    picture = read_without_warnings(png(pixels, *chunks))
    np.testing.assert_array_equal(picture.pixels, pixels)
    np.testing.assert_allclose(picture.image, expected, atol=4e-4 if deep else 1.6 / 255)


@pytest.mark.parametrize(
    ("chunks", "words"),
    [
        ([cicp(9, 16, 0, 1)], "PQ"),
        ([cicp(9, 18, 0, 1)], "HLG"),
        ([cicp(1, 13, 0, 0)], "video range"),
        ([cicp(200, 13, 0, 1)], "primaries 200"),
        ([gama(1 / 1.8), chrm(np.zeros((3, 2)))], "cHRM cannot be used"),
    ],
)
def test_colours_that_are_not_converted_are_said(chunks, words):
    with pytest.warns(ImageWarning, match=words):
        picture = load_picture(png(COLOURS, *chunks))
    np.testing.assert_array_equal(picture.image, COLOURS / np.float32(255))
    assert picture.icc_profile is None


def with_nclx(data: bytes, primaries: int, transfer: int) -> bytes:
    """An AVIF whose colour property says something else."""
    at = data.index(b"colrnclx") + 8
    return data[:at] + struct.pack(">HH", primaries, transfer) + data[at + 4 :]


def test_code_points_of_avif():
    flat = np.repeat(np.repeat(COLOURS[:, :3], 16, axis=0), 16, axis=1)
    data = saved(Image.fromarray(flat), "AVIF", quality=100, subsampling="4:4:4")
    plain = read_without_warnings(with_nclx(data, 1, 13))
    np.testing.assert_array_equal(plain.image, plain.pixels / np.float32(255))
    wide = read_without_warnings(with_nclx(data, 12, 13))
    np.testing.assert_array_equal(wide.pixels, plain.pixels)
    np.testing.assert_allclose(wide.image, as_srgb(srgb_decoded(plain.pixels / 255), P3), atol=1.6 / 255)
    with pytest.warns(ImageWarning, match="PQ"):
        load_picture(with_nclx(data, 9, 16))


# ------------------------------------------------------------------------------------------------------- backgrounds


def test_a_background_with_alpha_is_refused(tmp_path):
    rgba = np.zeros((6, 8, 4), np.uint8)
    rgba[..., 0] = 255  # the colour that is hidden
    path = tmp_path / "sky.png"
    Image.fromarray(rgba).save(path)
    for background in (path, str(path), rgba, Image.fromarray(rgba)):
        with pytest.raises(ArgumentError, match="background: got a picture with alpha; wanted an opaque one"):
            background_image(background, (6, 8))
    rgba[..., 3] = 255
    Image.fromarray(rgba).save(path)
    for background in (path, rgba):
        assert (background_image(background, (6, 8)) == (1, 0, 0)).all()


# ------------------------------------------------------------------------------------------------------- long headers


def jpeg_with(segment: bytes, times: int) -> bytes:
    data = saved(Image.new("RGB", (8, 8)), "JPEG")
    return data[:2] + segment * times + data[2:]


def gif_with_comments(times: int) -> bytes:
    data = saved(Image.new("P", (8, 8)), "GIF")
    start = 13 + 3 * (2 << (data[10] & 7)) * (data[10] >> 7)
    return data[:start] + b"\x21\xfe\x01x\0" * times + data[start:]


def tiff_with_tags(times: int) -> bytes:
    """A chain of directories of many tags, each of whose values lies elsewhere."""
    tag = struct.pack("<HHII", 65000, 2, 8, 8)
    return b"II*\0\x08\0\0\0" + struct.pack("<H", times) + tag * times + bytes(4)


LONG = {
    "PPM": lambda: b"P6\n#" + b"x" * 3_000_000 + b"\n8 8\n255\n" + bytes(192),
    "PPM of many comments": lambda: b"P6\n" + b"#\n" * 1_500_000 + b"8 8\n255\n" + bytes(192),
    "PNG": lambda: png(COLOURS, *[(b"teSt", b"")] * 250_000),
    "PNG of one long chunk": lambda: png(COLOURS, (b"teSt", bytes(pillow.HEADER_BYTES))),
    "JPEG": lambda: jpeg_with(b"\xff\xe9\0\2", 500_000),
    "JPEG of fill bytes": lambda: jpeg_with(b"\xff", 2_000_000),
    "GIF": lambda: gif_with_comments(300_000),
    "TIFF": lambda: tiff_with_tags(65_000),
}


@pytest.mark.parametrize("name", LONG)
def test_a_long_header_is_given_up(name, monkeypatch):
    """What bounds the time is how often the file is read, by Python code each time."""
    reads = []
    read = pillow.Metered.read

    def counted(self: pillow.Metered, size: int = -1) -> bytes:
        reads.append(size)
        return read(self, size)

    monkeypatch.setattr(pillow.Metered, "read", counted)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(ImageReadError):
            load_picture(LONG[name]())
    assert len(reads) <= 2 * pillow.READS


def test_a_header_as_long_as_real_ones_is_read():
    text = [(b"tEXt", b"Comment\0" + b"x" * 500_000)] * 4
    np.testing.assert_array_equal(load_picture(png(COLOURS, *text)).pixels, COLOURS)
    data = jpeg_with(b"\xff\xe9\xff\xff" + bytes(65533), 100)
    assert load_picture(data).pixels.shape == (8, 8, 3)


# ------------------------------------------------------------------------------------------------ formats and the mark

OTHER_XMP = XMP.replace(b"00000000", b"12345678")
"""Of a photo that trimatte has made, too."""


@pytest.mark.parametrize("name", [name for name, row in FORMATS.items() if row.written])
def test_trimatte_knows_what_it_wrote(tmp_path, name):
    path = tmp_path / f"x{FORMATS[name].suffix}"
    save_image(path, LARGE)
    assert is_marked(path)
    assert is_marked(path.read_bytes())
    Image.open(path).convert("RGB").save(tmp_path / "other.png")
    assert not is_marked(tmp_path / "other.png")


def test_a_png_that_was_changed_by_hand_is_no_longer_trimattes(tmp_path):
    """By a program that keeps the text, as ImageMagick does."""
    from PIL.PngImagePlugin import PngInfo

    path = tmp_path / "x.png"
    save_image(path, np.random.default_rng(0).integers(0, 256, (600, 700, 3), np.uint8))  # of several bands
    assert is_marked(path)
    with Image.open(path) as image:
        image.load()
        text = PngInfo()
        text.add_text("Software", image.info["Software"])
        image.putpixel((3, 3), (1, 2, 3))
        image.save(path, pnginfo=text)
    with Image.open(path) as image:
        image.load()
        assert image.info["Software"].startswith("trimatte ")
    assert not is_marked(path)


@pytest.mark.parametrize("format", ["JPEG", "WEBP", "AVIF"])
def test_any_picture_that_was_changed_by_hand_is_no_longer_trimattes(tmp_path, format):
    """By a program that keeps all that stands beside the pixels."""
    path = tmp_path / f"x{FORMATS[format].suffix}"
    again = Metadata(dpi=(300.0, 300.0), xmp=OTHER_XMP, base={315: "Ann"})
    for metadata in (None, again):
        save_image(path, np.random.default_rng(0).integers(0, 256, (60, 70, 3), np.uint8), metadata=metadata)
        assert is_marked(path)
        with Image.open(path) as image:
            image.load()
            image.putpixel((3, 3), (1, 2, 3))
            kept = {"exif": image.info.get("exif", b""), "xmp": image.info.get("xmp", b"")}
            image.save(path, comment=image.info.get("comment"), **kept)
        assert b"trimatte " in path.read_bytes()
        assert not is_marked(path)
        path.unlink()


@pytest.mark.parametrize("content", [b"", b"no picture", b"P6\n"])
def test_what_is_no_picture_has_no_mark(tmp_path, content):
    (tmp_path / "x.png").write_bytes(content)
    assert not is_marked(tmp_path / "x.png")
    assert not is_marked(tmp_path / "missing.png")


def test_pillows_private_names_are_in_one_file_and_there():
    """A version of Pillow without them must fail here rather than in a user's picture."""
    names = r"\._(mode|im|tile_size)\b"
    root = Path(pillow.__file__).parent.parent
    assert [path.name for path in root.rglob("*.py") if re.search(names, path.read_text())] == ["pillow.py"]
    image = Image.open(io.BytesIO(tiff_of({"data": SMALL})))
    assert (image._mode, image._im, image._tile_size) == ("RGB", None, (12, 8))  # type: ignore[attr-defined]


def test_the_limit_of_pixels_stands_in_one_place():
    root = Path(pillow.__file__).parent.parent
    assert [path.name for path in root.rglob("*.py") if "200_000_000" in path.read_text()] == ["formats.py"]


def test_every_suffix_stands_for_one_format():
    suffixes = [suffix for row in FORMATS.values() for suffix in row.suffixes]
    assert len(set(suffixes)) == len(suffixes)
    assert {row.suffix for row in FORMATS.values()} >= {".png", ".jpg", ".webp", ".tiff", ".avif", ".heic"}


@pytest.mark.parametrize("suffix", [".jfif", ".jif", ".jfi", ".JPE", ".pjpeg", ".pjp"])
def test_a_jpeg_by_another_name(tmp_path, suffix):
    save_image(tmp_path / f"x{suffix}", LARGE)
    assert load_picture(tmp_path / f"x{suffix}").format == "JPEG"


@pytest.mark.parametrize(
    ("name", "what"), [("a.dds", "DDS"), ("a.JXR", "JPEG XR"), ("a.gpr", "a raw photo"), ("a.kra", "Krita")]
)
def test_pictures_of_rare_suffixes_are_named(name, what):
    assert what in unread(name)
    assert unread("a.txt") == unread("a.jpg") == ""


# --------------------------------------------------------------------------------------------------------------- HEIC


def heic(pixels: np.ndarray, **options: object) -> bytes:
    pillow_heif = pytest.importorskip("pillow_heif")
    stream = io.BytesIO()
    pillow_heif.from_pillow(Image.fromarray(pixels)).save(stream, quality=-1, **options)
    return stream.getvalue()


def test_heic_is_read_with_its_extra():
    y, x = np.mgrid[:32, :48]
    smooth = np.stack([5 * x, 7 * y, 2 * (x + y)], axis=-1).astype(np.uint8)
    picture = load_picture(heic(smooth))
    assert picture.format == "HEIF"
    assert np.abs(picture.pixels.astype(int) - smooth).max() <= 8


def test_heic_without_its_extra_says_what_reads_it(monkeypatch):
    data = heic(LARGE)
    monkeypatch.setattr("trimatte.images.formats.find_spec", lambda name: None)
    with pytest.raises(ImageFormatError, match=r"it is HEIC, .* pip install 'trimatte\[heic\]'"):
        load_picture(data)


def test_a_truncated_heic():
    data = heic(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8))
    with pytest.raises(ImageReadError):
        load_picture(data[: len(data) // 2])
