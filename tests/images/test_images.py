"""Arrays at the door; pictures read and written. Every file here is made by code."""

from __future__ import annotations

import errno
import io
import os
import stat
import struct
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image, ImageCms, TiffImagePlugin

from trimatte.errors import ArgumentError, ImageReadError, ImageTooLargeError, ImageWarning, ImageWriteError
from trimatte.files.atomic import atomic_write
from trimatte.images import (
    FORMATS,
    as_alpha,
    as_image,
    as_trimap,
    header_size,
    is_marked,
    load_image,
    load_picture,
    output_format,
    read_picture,
    restore_colours,
    save_image,
)
from trimatte.images import encode as _encode
from trimatte.images.animation import frame_count
from trimatte.images.pillow import DAMAGED_TAGS

RNG = np.random.default_rng(7)
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def noise(*shape: int, bits: int = 8) -> np.ndarray:
    return RNG.integers(0, 1 << bits, shape).astype(f"uint{bits}")


def smooth(height: int = 24, width: int = 32) -> np.ndarray:
    """A picture that lossy formats keep well: (H, W, 3) uint8."""
    y, x = np.mgrid[0:height, 0:width]
    return np.stack([x * 255 / width, y * 255 / height, (x + y) * 255 / (width + height)], axis=-1).astype(np.uint8)


def saved(image: Image.Image, format: str, **options) -> bytes:
    stream = io.BytesIO()
    image.save(stream, format, **options)
    return stream.getvalue()


# ---------------------------------------------------------------------------------------------- arrays at the door

AS = {"image": as_image, "alpha": as_alpha, "trimap": as_trimap}


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.dtype(">u2"), np.float16, np.float32, np.float64])
def test_as_image_scales_every_type(dtype):
    white = 1 if np.dtype(dtype).kind == "f" else np.iinfo(dtype).max
    x = np.zeros((2, 3, 3), dtype)
    x[0, 1] = white
    image = as_image(x)
    assert image.dtype == np.float32
    assert image.flags.c_contiguous
    np.testing.assert_array_equal(image, x.astype(np.float64) / white)


@pytest.mark.parametrize("shape", [(4, 5), (4, 5, 1)])
def test_as_image_repeats_grey(shape):
    x = noise(*shape)
    image = as_image(x)
    assert image.shape == (4, 5, 3)
    for channel in range(3):
        np.testing.assert_array_equal(image[..., channel], x.reshape(4, 5) / np.float32(255))


def test_as_image_drops_alpha():
    x = noise(4, 5, 4)
    np.testing.assert_array_equal(as_image(x), as_image(x[..., :3]))


@pytest.mark.parametrize("convert", [as_image, as_alpha])
def test_a_right_array_is_shared_but_cannot_be_written(convert):
    x = RNG.random((4, 5, 3) if convert is as_image else (4, 5), np.float32)
    result = convert(x)
    assert np.shares_memory(result, x)
    with pytest.raises(ValueError, match="read-only"):
        result[0, 0] = 0
    x[0, 0] = 0.5  # the caller's stays the caller's to write


def test_views_become_contiguous():
    x = RNG.random((8, 9, 3), np.float32)
    np.testing.assert_array_equal(as_image(x[::2, ::-1]), x[::2, ::-1])
    assert as_image(x[::2, ::-1]).flags.c_contiguous
    assert as_alpha(x[..., 1]).flags.c_contiguous


ARRAYS = st.one_of(
    hnp.arrays(np.uint8, (3, 4)),
    hnp.arrays(np.uint16, (3, 4)),
    hnp.arrays(np.float32, (3, 4), elements=st.floats(0, 1, width=32)),
    hnp.arrays(np.float64, (3, 4), elements=st.floats(0, 1)),
    hnp.arrays(bool, (3, 4)),
)


@settings(max_examples=60)
@given(ARRAYS)
def test_doors_keep_their_input_and_their_range(x):
    before = x.copy()
    alpha, trimap = as_alpha(x), as_trimap(x)
    assert alpha.dtype == np.float32
    assert 0 <= alpha.min() <= alpha.max() <= 1
    white = 1 if x.dtype.kind in "bf" else np.iinfo(x.dtype).max
    np.testing.assert_array_equal(trimap, np.where(x == 0, 0, np.where(x == white, 255, 128)))
    np.testing.assert_array_equal(alpha, as_alpha(alpha))
    np.testing.assert_array_equal(trimap, as_trimap(trimap))
    if x.dtype != bool:
        assert as_image(x).shape == (3, 4, 3)
    np.testing.assert_array_equal(x, before)


def test_a_float_just_inside_is_unknown():
    near = np.array([[0, np.nextafter(0, 1), np.nextafter(1, 0), 1]])
    np.testing.assert_array_equal(as_trimap(near), [[0, 128, 128, 255]])


@pytest.mark.parametrize("name", AS)
@pytest.mark.parametrize(
    ("x", "got"),
    [
        (np.zeros((2, 2), np.int64), "int64"),
        (np.zeros((2, 2), complex), "complex"),
        (np.zeros((2, 2), object), "object"),
        (np.zeros(4, np.uint8), r"\(4,\)"),
        (np.zeros((2, 2, 2), np.uint8), r"\(2, 2, 2\)"),
        (np.zeros((2, 2, 3, 1), np.uint8), r"\(2, 2, 3, 1\)"),
        (np.zeros((0, 2), np.uint8), r"\(0, 2\)"),
        (np.full((2, 2), np.nan), "NaN"),
        (np.array([[0.5, np.nan]]), "NaN"),
        (np.full((2, 2), 1.5), "1.5"),
        (np.full((2, 2), -0.1), "-0.1"),
        (np.full((2, 2), np.inf), "inf"),
        (None, "object"),
        ([[0.1], [0.1, 0.2]], "no array"),
    ],
)
def test_bad_arrays_are_named(name, x, got):
    with pytest.raises(ArgumentError, match=rf"^{name}: got .*{got}.*; wanted") as caught:
        AS[name](x)
    assert isinstance(caught.value, ValueError)
    with pytest.raises(ArgumentError, match=r"^other: "):
        AS[name](x, name="other")


def test_bool_is_no_image():
    with pytest.raises(ArgumentError, match=r"image: got .*bool"):
        as_image(np.zeros((2, 2), bool))


@pytest.mark.parametrize("convert", [as_alpha, as_trimap])
def test_another_size_is_refused(convert):
    x = np.zeros((2, 3), np.uint8)
    assert convert(x, shape=(2, 3)).shape == (2, 3)
    with pytest.raises(ArgumentError, match=r"got shape \(2, 3\).*wanted.*\(3, 2\)"):
        convert(x, shape=(3, 2))
    with pytest.raises(ArgumentError, match=r"wanted.*\(3, 2\)"):
        convert(Image.new("L", (3, 2)), shape=(3, 2))


def test_doors_read_pil_images_and_paths(tmp_path):
    x = noise(5, 6)
    grey = Image.fromarray(x)
    path = tmp_path / "grey.png"
    grey.save(path)
    for source in (grey, path, str(path), path.read_bytes(), io.BytesIO(path.read_bytes())):
        if hasattr(source, "seek"):
            source.seek(0)
        np.testing.assert_array_equal(as_alpha(source), as_alpha(x))
    np.testing.assert_array_equal(as_trimap(grey.convert("RGB")), as_trimap(x))
    np.testing.assert_array_equal(as_image(path), as_image(x))
    assert np.array_equal(np.asarray(grey), x)


def test_alpha_of_a_cut_out_is_its_alpha_channel():
    grey, alpha = noise(5, 6), noise(5, 6)
    both = Image.merge("LA", [Image.fromarray(grey), Image.fromarray(alpha)])
    np.testing.assert_array_equal(as_alpha(both), as_alpha(alpha))
    opaque = Image.merge("LA", [Image.fromarray(grey), Image.new("L", (6, 5), 255)])
    np.testing.assert_array_equal(as_alpha(opaque), as_alpha(grey))


@pytest.mark.parametrize("convert", [as_alpha, as_trimap])
def test_coloured_mattes_are_refused(convert):
    with pytest.raises(ArgumentError, match="colours"):
        convert(Image.fromarray(smooth()))


# ------------------------------------------------------------------------------------------------ pictures are read


def test_every_kind_of_source(tmp_path):
    x = smooth()
    path = tmp_path / "x.png"
    Image.fromarray(x).save(path)
    reader, writer = os.pipe()
    os.write(writer, path.read_bytes())
    os.close(writer)
    with path.open("rb") as file, os.fdopen(reader, "rb") as pipe:
        for source in (path, str(path), path.read_bytes(), bytearray(path.read_bytes()), file, pipe):
            np.testing.assert_array_equal(load_picture(source).pixels, x)
    np.testing.assert_array_equal(load_picture(Image.fromarray(x)).pixels, x)
    np.testing.assert_array_equal(load_image(path), x / np.float32(255))


@pytest.mark.parametrize(
    ("x", "bits"), [(noise(4, 5, 3), 8), (noise(4, 5, 3, bits=16), 16), (noise(4, 5), 8), (RNG.random((4, 5, 3)), 8)]
)
def test_an_array_is_a_picture_too(x, bits):
    picture = load_picture(x)
    np.testing.assert_array_equal(picture.image, as_image(x))
    assert picture.bits == bits == 8 * picture.pixels.itemsize
    np.testing.assert_allclose(picture.pixels / (2**bits - 1), picture.image, atol=0.51 / (2**bits - 1))
    assert picture.alpha is None


def test_an_array_with_alpha():
    x = noise(4, 5, 4)
    picture = load_picture(x)
    np.testing.assert_array_equal(picture.pixels, x[..., :3])
    np.testing.assert_array_equal(picture.alpha, as_alpha(x[..., 3]))


@pytest.mark.parametrize(
    ("format", "options", "tolerance"),
    [
        ("PNG", {}, 0),
        ("BMP", {}, 0),
        ("PPM", {}, 0),
        ("TIFF", {}, 0),
        ("TIFF", {"compression": "tiff_lzw"}, 0),
        ("TIFF", {"compression": "packbits"}, 0),
        ("WEBP", {"lossless": True}, 0),
        ("JPEG", {"quality": 98}, 6),
        ("AVIF", {"quality": 98}, 10),
        ("GIF", {}, 40),
    ],
)
def test_formats(format, options, tolerance):
    picture = load_picture(saved(Image.fromarray(smooth()), format, **options))
    assert np.abs(picture.pixels.astype(int) - smooth()).max() <= tolerance
    assert (picture.format, picture.bits, picture.alpha, picture.icc_profile) == (format, 8, None, None)
    np.testing.assert_array_equal(picture.image, picture.pixels / np.float32(255))
    assert picture.image.dtype == np.float32


@pytest.mark.filterwarnings("ignore::trimatte.errors.ImageWarning")
def test_first_frame():
    frames = [Image.new("RGB", (8, 6), colour) for colour in ("red", "lime")]
    for format in ("GIF", "WEBP", "PNG", "TIFF", "MPO"):
        options = {"lossless": True} if format == "WEBP" else {}
        data = saved(frames[0], format, save_all=True, append_images=frames[1:], **options)
        picture = load_picture(data)
        assert picture.format == format
        assert np.abs(picture.pixels[3, 4].astype(int) - (255, 0, 0)).max() <= 2


def test_grey_palette_and_bilevel():
    x = noise(6, 7)
    np.testing.assert_array_equal(load_picture(saved(Image.fromarray(x), "PNG")).pixels, np.dstack([x] * 3))
    bilevel = Image.fromarray(x).convert("1")
    for format in ("PNG", "TIFF", "BMP"):
        pixels = load_picture(saved(bilevel, format)).pixels
        np.testing.assert_array_equal(pixels[..., 1], np.where(np.asarray(bilevel), 255, 0))
    palette = Image.fromarray(smooth()).quantize(16)
    np.testing.assert_array_equal(load_picture(saved(palette, "PNG")).pixels, np.asarray(palette.convert("RGB")))


def test_alpha_in_each_of_its_forms():
    grey, alpha, x = noise(6, 7), noise(6, 7), noise(6, 7, 3)
    la = Image.merge("LA", [Image.fromarray(grey), Image.fromarray(alpha)])
    rgba = Image.fromarray(np.dstack([x, alpha]))
    for data, pixels in ((saved(la, "PNG"), np.dstack([grey] * 3)), (saved(la, "TIFF"), np.dstack([grey] * 3)),
                         (saved(rgba, "PNG"), x), (saved(rgba, "TIFF"), x),
                         (saved(rgba, "WEBP", lossless=True, exact=True), x)):  # fmt: skip
        picture = load_picture(data)
        np.testing.assert_array_equal(picture.pixels, pixels)
        np.testing.assert_array_equal(picture.alpha, alpha / np.float32(255))


def test_transparency_of_palettes_and_single_colours():
    indices = np.arange(12, dtype=np.uint8).reshape(3, 4) % 3
    palette = Image.frombytes("P", (4, 3), indices.tobytes())
    palette.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255])
    picture = load_picture(saved(palette, "PNG", transparency=bytes([0, 100, 255])))
    np.testing.assert_array_equal(picture.alpha * 255, np.array([0, 100, 255])[indices])
    np.testing.assert_array_equal(picture.pixels[0, 1], (0, 255, 0))
    picture = load_picture(saved(palette, "GIF", transparency=1))
    np.testing.assert_array_equal(picture.alpha, indices != 1)

    x = smooth()
    key = tuple(int(v) for v in x[3, 4])
    picture = load_picture(saved(Image.fromarray(x), "PNG", transparency=key))
    np.testing.assert_array_equal(picture.alpha == 0, (x == key).all(axis=2))
    grey = noise(6, 7)
    picture = load_picture(saved(Image.fromarray(grey), "PNG", transparency=int(grey[2, 2])))
    np.testing.assert_array_equal(picture.alpha == 0, grey == grey[2, 2])


@pytest.mark.parametrize("depth", [2, 4])
def test_transparent_grey_of_few_bits(depth):
    per_byte = 8 // depth
    levels = np.arange(1 << depth).reshape(-1, per_byte)
    rows = [bytes([sum(int(v) << (8 - depth * (i + 1)) for i, v in enumerate(row))]) for row in levels]
    picture = load_picture(png(rows, per_byte, depth, 0, extra=[(b"tRNS", struct.pack(">H", 2))]))
    np.testing.assert_array_equal(picture.pixels[..., 0], levels * (255 // ((1 << depth) - 1)))
    np.testing.assert_array_equal(picture.alpha, levels != 2)


def test_integer_and_float_grey_are_scaled_and_never_clipped():
    x = noise(6, 7, bits=16)
    deep = Image.fromarray(x)
    assert deep.mode == "I;16"
    big = Image.frombytes("I;16B", (7, 6), x.astype(">u2").tobytes())
    whole = Image.fromarray(x.astype(np.int32))
    share = Image.fromarray((x / np.float32(65535)).astype(np.float32))
    assert (whole.mode, share.mode) == ("I", "F")
    sources = [deep, big, whole, share, *(saved(i, "TIFF") for i in (deep, big, whole, share)), saved(deep, "PNG")]
    sources += [saved(deep, "PPM"), saved(deep, "TIFF", compression="tiff_lzw")]
    for source in sources:
        picture = load_picture(source)
        assert picture.bits == 16
        np.testing.assert_array_equal(picture.pixels, np.dstack([x] * 3))
        np.testing.assert_array_equal(as_alpha(source), x / np.float32(65535))


def test_grey_samples_out_of_range_are_refused():
    for values in (np.full((2, 2), 70000, np.int32), np.full((2, 2), -1, np.int32), np.full((2, 2), 2, np.float32)):
        with pytest.raises(ImageReadError, match="samples go from"):
            load_picture(saved(Image.fromarray(values), "TIFF"))


def test_white_is_zero_and_twelve_bits():
    x = noise(6, 7, bits=16)
    stream = io.BytesIO()
    tifffile.imwrite(stream, 65535 - x, photometric="miniswhite")
    np.testing.assert_array_equal(load_picture(stream.getvalue()).pixels[..., 0], x)

    codes = RNG.integers(0, 4096, (4, 6))
    packed = bytearray()
    for first, second in codes.reshape(-1, 2):
        packed += bytes([first >> 4, (first & 15) << 4 | second >> 8, second & 255])
    tags = {256: 6, 257: 4, 258: 12, 259: 1, 262: 1, 277: 1, 278: 4, 279: len(packed)}
    header = struct.pack("<2sHIH", b"II", 42, 8, len(tags) + 1)
    start = 8 + 2 + 12 * (len(tags) + 1) + 4
    entries = {**tags, 273: start}
    ifd = b"".join(struct.pack("<HHII", tag, 4, 1, entries[tag]) for tag in sorted(entries)) + bytes(4)
    pixels = load_picture(header + ifd + bytes(packed)).pixels
    np.testing.assert_array_equal(pixels[..., 0], np.rint(codes * (65535 / 4095)))


def test_cmyk_without_a_profile():
    """JPEG holds CMYK inverted, as Adobe writes it; white must come out white and ink dark."""
    inks = np.zeros((16, 16, 4), np.uint8)
    inks[:8, :, 0] = 255
    cmyk = Image.frombytes("CMYK", (16, 16), inks.tobytes())
    for format in ("JPEG", "TIFF"):
        with pytest.warns(ImageWarning, match="colours are CMYK, and become sRGB"):
            picture = load_picture(saved(cmyk, format))
        assert np.abs(picture.pixels[2, 2].astype(int) - (0, 255, 255)).max() <= 2
        assert picture.pixels[13, 13].min() >= 253
        assert picture.icc_profile is None


# --------------------------------------------------------------------------------------------------- EXIF orientation


def seen(x: np.ndarray, orientation: int) -> np.ndarray:
    """What a viewer shows of rows x stored with that orientation (EXIF 2.32: where row 0 and column 0 are)."""
    return {
        1: x,
        2: np.fliplr(x),
        3: np.rot90(x, 2),
        4: np.flipud(x),
        5: np.swapaxes(x, 0, 1),
        6: np.rot90(x, -1),
        7: np.rot90(np.swapaxes(x, 0, 1), 2),
        8: np.rot90(x),
    }[orientation]


def exif(orientation: int) -> bytes:
    block = Image.Exif()
    block[0x0112] = orientation
    return block.tobytes()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_applied_once(orientation):
    x = smooth(16, 32)
    x[:8, :8] = 255  # no symmetry
    image = Image.fromarray(x)
    for format, options in (
        ("PNG", {}),
        ("TIFF", {}),
        ("TIFF", {"compression": "tiff_lzw"}),
        ("WEBP", {"lossless": True}),
        ("JPEG", {"quality": 98, "subsampling": 0}),
        ("AVIF", {"quality": 98, "subsampling": "4:4:4"}),
    ):
        data = saved(image, format, exif=exif(orientation), **options)
        picture = load_picture(data)
        assert picture.pixels.shape == seen(x, orientation).shape
        assert np.abs(picture.pixels.astype(int) - seen(x, orientation)).max() <= 8, format
        np.testing.assert_array_equal(load_picture(Image.open(io.BytesIO(data))).pixels, picture.pixels)
        again = io.BytesIO()
        save_image(again, picture.pixels, format="png")
        assert Image.open(again).getexif() == {}


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("options", [{}, {"compression": "zlib"}, {"planar": "separate"}])
def test_orientation_of_deep_tiff(orientation, options):
    x = noise(5, 7, 4, bits=16)
    data = tiff(x, extratags=[(274, "H", 1, orientation, True)], **options)
    picture = load_picture(data)
    np.testing.assert_array_equal(picture.pixels, seen(x, orientation)[..., :3])
    np.testing.assert_array_equal(picture.alpha, as_alpha(seen(x, orientation)[..., 3]))


def test_damaged_exif_does_not_matter():
    data = saved(Image.fromarray(smooth()), "JPEG", exif=b"Exif\0\0MM\0*\xff\xff\xff\xff" + bytes(20))
    with pytest.warns(ImageWarning, match="some of its EXIF is damaged"):
        assert load_picture(data).pixels.shape == smooth().shape


def test_of_damaged_exif_each_picture_has_a_note_in_threads_too():
    exif = Image.Exif()
    exif[315] = "Ann" * 20
    data = saved(Image.fromarray(smooth()), "JPEG", exif=exif.tobytes()[:-40])
    with warnings.catch_warnings(record=True) as caught, ThreadPoolExecutor(4) as pool:
        warnings.simplefilter("always")
        pictures = list(pool.map(read_picture, [data] * 16))
        header_size(data), frame_count(data), is_marked(data)
        assert caught == []
        Image.open(io.BytesIO(data)).getexif()  # of others, Pillow warns as ever
    assert {picture.notes for picture in pictures} == {(DAMAGED_TAGS,)}
    assert {warning.filename for warning in caught} == {TiffImagePlugin.__file__}


# ---------------------------------------------------------------------------------------------------------- 16 bits


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(rows: list[bytes], width: int, depth: int, colour_type: int, *, filters=None, step=1, extra=()) -> bytes:
    """A PNG by the book: each row filtered by the next of `filters`, against the row above it."""
    height = len(rows)
    header = struct.pack(">IIBBBBB", width, height, depth, colour_type, 0, 0, 0)
    data = zlib.compress(filtered(rows, filters or [0], step))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        chunk(*c) for c in [(b"IHDR", header), *extra, (b"IDAT", data), (b"IEND", b"")]
    )


def filtered(rows: list[bytes], filters: list[int], step: int) -> bytes:
    out, above = bytearray(), bytes(len(rows[0]))
    for i, row in enumerate(rows):
        kind = filters[i % len(filters)]
        out.append(kind)
        for j, value in enumerate(row):
            a, b, c = (row[j - step], above[j], above[j - step]) if j >= step else (0, above[j], 0)
            nearest = min((a, b, c), key=lambda v: abs(a + b - c - v))
            out.append((value - (0, a, b, (a + b) // 2, nearest)[kind]) % 256)
        above = row
    return bytes(out)


def interlaced(x: np.ndarray, colour_type: int) -> bytes:
    """A 16-bit PNG in the seven passes of Adam7."""
    data = b""
    for top, left, down, across in [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2),
                                    (1, 0, 2, 1)]:  # fmt: skip
        part = x[top::down, left::across]
        if part.size:
            data += filtered([row.astype(">u2").tobytes() for row in part], [1], 2 * x.shape[2])
    header = struct.pack(">IIBBBBB", x.shape[1], x.shape[0], 16, colour_type, 0, 0, 1)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(data)) + chunk(b"IEND", b"")


def tiff(x: np.ndarray, *, planar: str = "contig", alpha: str = "unassalpha", **options) -> bytes:
    colours = 3 if x.shape[2] > 2 else 1
    stream = io.BytesIO()
    x = x[..., 0] if x.shape[2] == 1 else x
    tifffile.imwrite(
        stream,
        np.moveaxis(x, -1, 0) if planar == "separate" and x.ndim == 3 else x,
        photometric="rgb" if colours == 3 else "minisblack",
        planarconfig=planar if x.ndim == 3 else None,
        extrasamples=[alpha] if x.ndim == 3 and x.shape[2] > colours else None,
        metadata=None,
        **options,
    )
    return stream.getvalue()


COLOUR_TYPES = {1: 0, 2: 4, 3: 2, 4: 6}


def check_deep(data: bytes, x: np.ndarray) -> None:
    picture = load_picture(data)
    colours = x[..., :3] if x.shape[2] > 2 else np.repeat(x[..., :1], 3, axis=2)
    assert picture.bits == 16
    assert picture.pixels.dtype == np.uint16
    np.testing.assert_array_equal(picture.pixels, colours)
    np.testing.assert_array_equal(picture.image, colours / np.float32(65535))
    if x.shape[2] in (1, 3):
        assert picture.alpha is None
    else:
        np.testing.assert_array_equal(picture.alpha, x[..., -1] / np.float32(65535))


@pytest.mark.parametrize("channels", COLOUR_TYPES)
def test_deep_png(channels):
    x = noise(11, 9, channels, bits=16)
    rows = [row.astype(">u2").tobytes() for row in x]
    step = 2 * channels
    check_deep(png(rows, 9, 16, COLOUR_TYPES[channels], filters=[0, 1, 2, 3, 4], step=step), x)
    check_deep(interlaced(x, COLOUR_TYPES[channels]), x)


def test_deep_png_with_a_transparent_colour():
    x = noise(5, 6, 3, bits=16)
    x[2, 3] = x[0, 0]
    x[4, 4] = x[0, 0] ^ np.uint16(1)  # the same in its high bytes
    data = png([r.astype(">u2").tobytes() for r in x], 6, 16, 2, extra=[(b"tRNS", x[0, 0].astype(">u2").tobytes())])
    picture = load_picture(data)
    np.testing.assert_array_equal(picture.pixels, x)
    np.testing.assert_array_equal(picture.alpha == 0, (x == x[0, 0]).all(axis=2))
    grey = x[..., :1]
    data = png(
        [r.astype(">u2").tobytes() for r in grey], 6, 16, 0, extra=[(b"tRNS", grey[0, 0].astype(">u2").tobytes())]
    )
    np.testing.assert_array_equal(load_picture(data).alpha == 0, grey[..., 0] == grey[0, 0])


# Pillow reads the counts of a big-endian BigTIFF as of 32 bits, and complains of a damaged EXIF block.
@pytest.mark.filterwarnings("ignore:Corrupt EXIF data:UserWarning")
@pytest.mark.parametrize("channels", COLOUR_TYPES)
@pytest.mark.parametrize("byteorder", ["<", ">"])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"rowsperstrip": 3},
        {"tile": (16, 16)},
        {"compression": "zlib"},
        {"compression": "zlib", "predictor": 2},
        {"compression": "zlib", "tile": (16, 16)},
        {"planar": "separate"},
        {"planar": "separate", "tile": (16, 16)},
        {"bigtiff": True},
    ],
)
def test_deep_tiff(channels, byteorder, options):
    x = noise(21, 19, channels, bits=16)
    data = tiff(x, byteorder=byteorder, **options)
    if channels == 2 and "compression" in options:
        with pytest.raises(ImageReadError, match=r"its samples are compressed \(ADOBE_DEFLATE\)"):
            load_picture(data)
    elif byteorder == ">" and "bigtiff" in options:  # whose tags Pillow reads wrongly
        with pytest.warns(ImageWarning, match="some of its EXIF is damaged or of a rare kind"):
            check_deep(data, x)
    else:
        check_deep(data, x)


def test_compressed_planes_are_refused():
    with pytest.raises(ImageReadError, match=r"compressed \(ADOBE_DEFLATE\), .* save it uncompressed"):
        load_picture(tiff(noise(4, 5, 3, bits=16), planar="separate", compression="zlib"))


@pytest.mark.parametrize("planar", ["contig", "separate"])
def test_deep_tiff_multiplied_by_alpha(planar):
    straight, alpha = noise(6, 7, 3, bits=16), noise(6, 7, 1, bits=16)
    alpha[0, 0] = 0
    stored = np.rint(straight * (alpha / 65535.0)).astype(np.uint16)
    picture = load_picture(tiff(np.dstack([stored, alpha]), alpha="assocalpha", planar=planar))
    some = alpha[..., 0] > 1000
    np.testing.assert_allclose(picture.pixels[some] / 65535, straight[some] / 65535, atol=0.51 / 1000)
    np.testing.assert_array_equal(picture.alpha, alpha[..., 0] / np.float32(65535))


# ------------------------------------------------------------------------------------------------- what is refused


@pytest.mark.parametrize("format", [f for f in FORMATS if f not in ("MPO", "HEIF")])
def test_the_limit_is_asked_before_decoding(format, monkeypatch):
    data = saved(Image.new("RGB", (40, 30)), format)
    assert load_picture(data, max_pixels=1200).image.shape == (30, 40, 3)
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", lambda self: pytest.fail("decoded"))
    monkeypatch.setattr("PIL.Image.Image.convert", lambda self, mode: pytest.fail("decoded"))
    with pytest.raises(ImageTooLargeError, match=r"40 x 30 pixels, over the limit of 0.001199 megapixels"):
        load_picture(data, max_pixels=1199)


def test_the_limit_holds_for_pil_images_and_rare_tiff():
    for source in (Image.new("L", (40, 30)), tiff(noise(30, 40, 2, bits=16))):
        with pytest.raises(ImageTooLargeError):
            load_picture(source, max_pixels=1199)


def test_a_bomb_is_not_decoded():
    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    data = (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(bytes(10_000)))
        + chunk(b"IEND", b"")
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ImageTooLargeError, match="60000 x 60000"):
            load_picture(data)


@pytest.mark.parametrize("format", ["PNG", "JPEG", "TIFF", "BMP", "PPM", "AVIF"])
def test_the_limit_replaces_that_of_pillow(format, monkeypatch):
    """A picture that Pillow would warn of, or refuse, is fine if `max_pixels` says so."""
    data = saved(Image.fromarray(smooth()), format)
    for limit in (smooth()[..., 0].size - 1, 10):
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert load_picture(data).pixels.shape == smooth().shape
        assert limit == Image.MAX_IMAGE_PIXELS


def test_what_cannot_be_opened(tmp_path):
    (tmp_path / "empty.png").write_bytes(b"")
    (tmp_path / "text.png").write_text("This is not a picture, whatever its name says.")
    for name, why in (
        ("missing.png", "No such file"),
        ("", "Is a directory"),
        ("empty.png", "it is empty"),
        ("text.png", "not a picture of a known format"),
        ("bad\0name.png", "null byte"),
    ):
        for read in (load_picture, load_image, as_image, as_alpha, as_trimap):
            with pytest.raises(ImageReadError, match=why) as caught:
                read(os.path.join(tmp_path, name))
            message = str(caught.value)
            assert message.startswith("cannot read ")
            assert "\n" not in message
            assert isinstance(caught.value, OSError)


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may read everything")
def test_unreadable_file(tmp_path):
    path = tmp_path / "x.png"
    path.touch(mode=0o000)
    with pytest.raises(ImageReadError, match="Permission denied"):
        load_picture(path)


def test_formats_off_the_list_are_refused():
    for format in ("TGA", "PCX", "ICO", "EPS"):
        with pytest.raises(ImageReadError, match="known format"):
            load_picture(saved(Image.fromarray(smooth()), format))


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF", "GIF", "BMP", "PPM"])
def test_a_truncated_file(format):
    data = saved(Image.fromarray(noise(64, 64, 3)), format)
    with pytest.raises(ImageReadError):
        load_picture(data[: len(data) // 2])


def test_a_tiff_that_lacks_strips():
    """Of which Pillow would leave the rest black."""
    data = tiff(noise(8, 4, 3, bits=16), rowsperstrip=8)
    height = struct.pack("<HHI", 257, 4, 1)
    assert height + struct.pack("<I", 8) in data
    data = data.replace(height + struct.pack("<I", 8), height + struct.pack("<I", 80))
    with pytest.raises(ImageReadError, match="missing"):
        load_picture(data)


def mutated(data: bytes, rng: np.random.Generator) -> bytes:
    """The bytes with some flipped, cut out or repeated, most of them near the header."""
    out = bytearray(data)
    for _ in range(rng.integers(1, 6)):
        at = int(len(out) * rng.random() ** 2)
        kind = rng.integers(4)
        if kind == 0:
            del out[at : at + rng.integers(1, 20)]
        elif kind == 1:
            out[at:at] = out[at : at + rng.integers(1, 20)]
        else:
            out[at : at + 1] = bytes([rng.choice([0, 1, 127, 128, 255, rng.integers(256)])])
    return bytes(out)


def test_mutated_files_are_read_or_refused():
    x = smooth()
    deep = noise(12, 14, 4, bits=16)
    cmyk = Image.fromarray(x).convert("CMYK")
    seeds = [
        saved(Image.fromarray(x), format) for format in ("PNG", "JPEG", "WEBP", "TIFF", "AVIF", "GIF", "BMP", "PPM")
    ]
    seeds += [
        saved(Image.fromarray(x), "JPEG", exif=exif(6), icc_profile=SRGB),
        saved(Image.fromarray(x), "PNG", exif=exif(6), icc_profile=SRGB),
        saved(Image.fromarray(x).quantize(8), "PNG", transparency=bytes(range(8))),
        saved(cmyk, "JPEG"),
        saved(Image.fromarray(x), "TIFF", compression="tiff_lzw"),
        png([r.astype(">u2").tobytes() for r in deep], 14, 16, 6, filters=[1, 4], step=8),
        interlaced(deep, 6),
        tiff(deep),
        tiff(deep, compression="zlib"),
        tiff(deep, planar="separate"),
        tiff(deep[..., :2]),
    ]
    rng = np.random.default_rng(20)
    outcomes = {"read": 0, "refused": 0}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for data in seeds:
            for _ in range(25):
                try:
                    picture = load_picture(mutated(data, rng), max_pixels=1_000_000)
                except ImageReadError as error:
                    outcomes["refused" if "\n" not in str(error) else "in many words"] += 1
                else:
                    assert picture.image.shape == picture.pixels.shape
                    assert 0 <= picture.image.min() <= picture.image.max() <= 1
                    outcomes["read"] += 1
    assert min(outcomes.values()) > 50


# ---------------------------------------------------------------------------------------------- pictures are written


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("suffix", [".png", ".tif", ".tiff", ".PNG"])
@pytest.mark.parametrize("with_alpha", [True, False])
def test_lossless_formats_keep_every_bit(tmp_path, bits, suffix, with_alpha):
    x, alpha = noise(70, 50, 3, bits=bits), noise(70, 50, bits=bits) if with_alpha else None
    path = tmp_path / f"x{suffix}"
    save_image(path, x, alpha=alpha, bits=bits)
    picture = load_picture(path)
    np.testing.assert_array_equal(picture.pixels, x)
    assert picture.bits == bits
    if alpha is None:
        assert picture.alpha is None
    else:
        np.testing.assert_array_equal(picture.alpha, as_alpha(alpha))


@settings(max_examples=40)
@given(st.integers(1, 9), st.integers(1, 9), st.sampled_from([8, 16]), st.sampled_from(["png", "tiff"]), st.booleans(),
       st.integers(0, 2**32 - 1))  # fmt: skip
def test_round_trip_of_any_size(height, width, bits, format, with_alpha, seed):
    x = np.random.default_rng(seed).integers(0, 1 << bits, (height, width, 3 + with_alpha)).astype(f"uint{bits}")
    before = x.copy()
    stream = io.BytesIO()
    save_image(stream, x, bits=bits, format=format)
    picture = load_picture(stream.getvalue())
    np.testing.assert_array_equal(picture.pixels, x[..., :3])
    assert (picture.alpha is not None) == with_alpha
    if with_alpha:
        np.testing.assert_array_equal(picture.alpha, as_alpha(x[..., 3]))
    np.testing.assert_array_equal(x, before)


def test_a_deep_png_of_several_bands(monkeypatch):
    monkeypatch.setattr(_encode, "_BAND_BYTES", 1000)
    x = noise(37, 20, 4, bits=16)
    stream = io.BytesIO()
    save_image(stream, x, format="png")
    check_deep(stream.getvalue(), x)
    ours = Image.open(io.BytesIO(stream.getvalue()))
    ours.verify()  # Pillow checks the sums of all chunks


@pytest.mark.parametrize(("suffix", "tolerance"), [("webp", 0.05), ("avif", 0.05)])
def test_lossy_formats_keep_alpha(tmp_path, suffix, tolerance):
    alpha = np.linspace(0, 1, 24 * 32, dtype=np.float32).reshape(24, 32)
    path = tmp_path / f"x.{suffix}"
    save_image(path, smooth(), alpha=alpha, quality=95)
    picture = load_picture(path)
    np.testing.assert_array_equal(picture.alpha * 255, np.rint(alpha * 255))
    np.testing.assert_allclose(picture.image[alpha > 0.1], (smooth() / 255)[alpha > 0.1], atol=tolerance)


def test_webp_keeps_colours_where_alpha_is_zero(tmp_path):
    save_image(tmp_path / "x.webp", smooth(), alpha=np.zeros((24, 32)), quality=100)
    assert load_picture(tmp_path / "x.webp").pixels.max() > 200


def test_depth_follows_the_array(tmp_path):
    x = noise(4, 5, 3, bits=16)
    for suffix, bits in (("png", 16), ("tiff", 16), ("webp", 8)):
        save_image(tmp_path / f"x.{suffix}", x)
        assert load_picture(tmp_path / f"x.{suffix}").bits == bits
    save_image(tmp_path / "x.png", x, bits=8)
    np.testing.assert_array_equal(load_picture(tmp_path / "x.png").pixels, np.rint(x / 257))
    save_image(tmp_path / "x.png", x / 65535)
    assert load_picture(tmp_path / "x.png").bits == 8
    save_image(tmp_path / "x.png", x / 65535, bits=16)
    np.testing.assert_array_equal(load_picture(tmp_path / "x.png").pixels, x)


@pytest.mark.parametrize(
    ("format", "bits"), [("png", 8), ("png", 16), ("tiff", 8), ("tiff", 16), ("webp", 8), ("avif", 8), ("jpeg", 8)]
)
def test_grey_is_written_as_one_channel(format, bits):
    x = np.add.outer(np.arange(24), np.arange(32)).astype(np.uint8) * 4
    stream = io.BytesIO()
    save_image(stream, x.astype(np.uint16) * 257 if bits == 16 else x, format=format)
    picture = load_picture(stream.getvalue())
    assert picture.bits == bits
    tolerance = 0 if format in ("png", "tiff") else 0.04
    np.testing.assert_allclose(picture.image, np.dstack([x] * 3) / np.float32(255), atol=tolerance)
    if format not in ("webp", "avif"):  # which Pillow gives as RGB
        with Image.open(stream) as image:
            assert len(image.getbands()) == 1


def test_grey_pil_and_file_sources(tmp_path):
    x = noise(4, 5)
    save_image(tmp_path / "grey.png", x, alpha=Image.fromarray(x))
    picture = load_picture(tmp_path / "grey.png")
    np.testing.assert_array_equal(picture.pixels, np.dstack([x] * 3))
    np.testing.assert_array_equal(picture.alpha, as_alpha(x))
    save_image(tmp_path / "again.png", tmp_path / "grey.png")
    np.testing.assert_array_equal(load_picture(tmp_path / "again.png").pixels, picture.pixels)


def test_jpeg_needs_a_background(tmp_path):
    alpha = np.zeros((24, 32))
    alpha[:, 16:] = 1
    path = tmp_path / "x.jpg"
    with pytest.raises(ArgumentError, match="background"):
        save_image(path, smooth(), alpha=alpha)
    assert not path.exists()
    save_image(path, smooth(), alpha=alpha, background="lime")
    picture = load_picture(path)
    assert np.abs(picture.pixels[12, 4].astype(int) - (0, 255, 0)).max() < 12
    assert np.abs(picture.pixels[12, 28].astype(int) - smooth()[12, 28]).max() < 12
    save_image(path, smooth())
    assert load_picture(path).format == "JPEG"


def test_a_background_takes_the_place_of_alpha(tmp_path):
    save_image(tmp_path / "x.png", smooth(), alpha=np.zeros((24, 32)), background=(10, 20, 30))
    picture = load_picture(tmp_path / "x.png")
    assert picture.alpha is None
    assert (picture.pixels == (10, 20, 30)).all()


def test_no_metadata_is_written(tmp_path):
    for suffix in ("png", "jpg", "tiff", "webp"):
        path = tmp_path / f"x.{suffix}"
        save_image(path, smooth())
        with Image.open(path) as image:
            assert image.info.get("exif") is None
        assert str(tmp_path).encode() not in path.read_bytes()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"path": "x.xyz"}, "path: got 'x.xyz'"),
        ({"path": "x"}, "path: got 'x'"),
        ({"format": "bmp"}, "format: got 'bmp'"),
        ({"bits": 12}, "bits: got 12"),
        ({"bits": 16, "path": "x.webp"}, "bits: got 16 for WEBP"),
        ({"bits": 16, "path": "x.jpg"}, "bits: got 16 for JPEG"),
        ({"quality": 0, "path": "x.jpg"}, "quality: got 0"),
        ({"quality": 101, "path": "x.jpg"}, "quality: got 101"),
        ({"alpha": np.zeros((3, 3))}, "alpha: got shape"),
        ({"alpha": np.full((24, 32), 2.0)}, "alpha: got floats"),
        ({"image": np.full((24, 32, 3), np.nan)}, "image: got NaN"),
        ({"image": np.zeros((24, 32, 5), np.uint8)}, "image: got shape"),
    ],
)
def test_bad_arguments_of_save(tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    arguments = {"path": "x.png", "image": smooth(), **arguments}
    with pytest.raises(ArgumentError, match=f"^{message}.*[;,] wanted"):
        save_image(**arguments)
    assert list(tmp_path.iterdir()) == []


def test_output_format():
    assert output_format("a/b.JPG") == "JPEG"
    assert output_format("x.png", "WebP") == "WEBP"
    assert output_format(io.BytesIO(), "tif") == "TIFF"
    with pytest.raises(ArgumentError, match="file object"):
        output_format(io.BytesIO())


def test_a_stream_that_cannot_seek():
    reader, writer = os.pipe()
    with os.fdopen(writer, "wb") as sink:
        save_image(sink, smooth(), format="tiff")
    with os.fdopen(reader, "rb") as source:
        np.testing.assert_array_equal(load_picture(source).pixels, smooth())


def test_a_stream_that_is_closed_early():
    reader, writer = os.pipe()
    os.close(reader)
    with pytest.raises(ImageWriteError), os.fdopen(writer, "wb", buffering=0) as sink:
        save_image(sink, smooth(), format="png")


# ----------------------------------------------------------------------------------------------------- atomic writes


@pytest.mark.parametrize(
    ("suffix", "bits"), [("png", 8), ("png", 16), ("tiff", 8), ("tiff", 16), ("jpg", 8), ("webp", 8), ("avif", 8)]
)
def test_a_full_disk_leaves_the_old_file(tmp_path, monkeypatch, suffix, bits):
    path = tmp_path / f"x.{suffix}"
    path.write_bytes(b"old")
    written = []

    def full(self, *args, **kwargs):
        written.append(args)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Image.Image, "save", full)
    monkeypatch.setattr(tifffile, "imwrite", full)
    monkeypatch.setattr(_encode, "_write_png", full)
    with pytest.raises(ImageWriteError, match=r"cannot write .*No space left"):
        save_image(path, noise(8, 9, 3, bits=bits))
    assert written
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == [path.name]


def test_nothing_is_seen_before_it_is_complete(tmp_path):
    path = tmp_path / "x.bin"
    with atomic_write(path) as file:
        file.write(b"whole")
        assert not path.exists()
        assert len(os.listdir(tmp_path)) == 1
    assert path.read_bytes() == b"whole"
    assert os.listdir(tmp_path) == ["x.bin"]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, ArgumentError])
def test_an_error_within_passes_through(tmp_path, error):
    def half() -> None:
        with atomic_write(tmp_path / "x.bin") as file:
            file.write(b"half")
            raise error

    with pytest.raises(error):
        half()
    assert os.listdir(tmp_path) == []


@pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX")
def test_permissions_follow_the_umask(tmp_path):
    before = os.umask(0o027)
    try:
        save_image(tmp_path / "x.png", smooth())
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "x.png").stat().st_mode) == 0o640


def test_a_link_keeps_pointing(tmp_path):
    (tmp_path / "real.png").write_bytes(b"old")
    link = tmp_path / "link.png"
    link.symlink_to("real.png")
    save_image(link, smooth())
    assert link.is_symlink()
    np.testing.assert_array_equal(load_picture(tmp_path / "real.png").pixels, smooth())


def test_a_device_is_written_to_and_not_replaced(tmp_path):
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    with atomic_write(fifo) as file:
        file.write(b"through")
    assert os.read(reader, 100) == b"through"
    os.close(reader)
    assert stat.S_ISFIFO(fifo.stat().st_mode)


def test_where_nothing_can_be_written(tmp_path):
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "file").write_bytes(b"")
    for name, why in (
        ("missing/x.png", "No such file"),
        ("folder.png", "it is a folder"),
        ("file/x.png", "Not a directory"),
        ("bad\0.png", "null byte"),
    ):
        with pytest.raises(ImageWriteError, match=why):
            save_image(os.path.join(tmp_path, name), smooth())
    assert sorted(os.listdir(tmp_path)) == ["file", "folder.png"]


@pytest.mark.parametrize("suffix", ["webp", "jpg"])
def test_a_size_that_the_format_cannot_hold(tmp_path, suffix):
    with pytest.raises(ImageWriteError, match="cannot write"):
        save_image(tmp_path / f"x.{suffix}", np.zeros((1, 70_000, 3), np.uint8))
    assert os.listdir(tmp_path) == []


# -------------------------------------------------------------------------------------- colours without a profile


@pytest.mark.parametrize("bits", [8, 16])
def test_restored_colours_are_the_pixels(bits):
    picture = load_picture(noise(30, 40, 3, bits=bits))
    np.testing.assert_array_equal(restore_colours(picture.image, picture), picture.pixels)
    changed = picture.image * np.float32(0.5)
    alpha = np.zeros((30, 40))
    alpha[:15] = 1
    colours = restore_colours(changed, picture, alpha)
    np.testing.assert_array_equal(colours[:15], picture.pixels[:15])
    np.testing.assert_allclose(colours[15:], picture.pixels[15:] / 2, atol=0.51)
    assert colours.dtype == picture.pixels.dtype


def test_restoring_another_size_is_refused():
    picture = load_picture(smooth())
    with pytest.raises(ArgumentError, match="foreground: got shape"):
        restore_colours(np.zeros((3, 3, 3)), picture)
    with pytest.raises(ArgumentError, match="alpha: got shape"):
        restore_colours(picture.image, picture, np.zeros((3, 3)))
