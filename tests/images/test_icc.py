"""Colour profiles, all of them built here from bytes."""

from __future__ import annotations

import io
import struct
import warnings

import numpy as np
import pytest
from PIL import Image, ImageCms

from trimatte.errors import ArgumentError, ImageWarning
from trimatte.images import as_alpha, load_picture, restore_colours, save_image
from trimatte.images import icc as _icc

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()

# Columns are the XYZ of red, green and blue under D50, as profiles have them.
_CREATED = ImageCms.createProfile("sRGB")
SRGB_MATRIX = np.array([_CREATED.red_colorant[0], _CREATED.green_colorant[0], _CREATED.blue_colorant[0]]).T
SRGB_MATRIX = np.rint(SRGB_MATRIX * 65536) / 65536  # as a profile's numbers are rounded
ADOBE = np.array([[0.60974, 0.20528, 0.14919], [0.31111, 0.62567, 0.06322], [0.01947, 0.06087, 0.74457]])
P3 = np.array([[0.51512, 0.29198, 0.15710], [0.24120, 0.69225, 0.06657], [-0.00105, 0.04189, 0.78407]])
WHITE = (0.9642, 1.0, 0.8249)


def fixed(*values: float) -> bytes:
    return struct.pack(f">{len(values)}i", *(round(v * 65536) for v in values))


def gamma_curve(gamma: float) -> bytes:
    return b"curv" + bytes(4) + struct.pack(">IH", 1, round(gamma * 256))


def table_curve(values: np.ndarray) -> bytes:
    return b"curv" + bytes(4) + struct.pack(">I", len(values)) + np.rint(values * 65535).astype(">u2").tobytes()


def para_curve(kind: int, *numbers: float) -> bytes:
    return b"para" + bytes(4) + struct.pack(">HH", kind, 0) + fixed(*numbers)


SRGB_CURVE = para_curve(3, 2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)


def profile(
    tags: dict[bytes, bytes], space: bytes = b"RGB ", kind: bytes = b"mntr", connection: bytes = b"XYZ "
) -> bytes:
    tags = {b"wtpt": b"XYZ " + bytes(4) + fixed(*WHITE), b"cprt": b"text" + bytes(4) + b"none\0", **tags}
    tags[b"desc"] = b"desc" + bytes(4) + struct.pack(">I", 5) + b"test\0" + bytes(78)
    table, data = struct.pack(">I", len(tags)), b""
    for name, tag in tags.items():
        table += struct.pack(">4sII", name, 132 + 12 * len(tags) + len(data), len(tag))
        data += tag + bytes(-len(tag) % 4)
    size = 128 + len(table) + len(data)
    header = struct.pack(">I4sI4s4s4s12s4s", size, b"lcms", 0x02400000, kind, space, connection, bytes(12), b"acsp")
    header += bytes(28) + fixed(*WHITE)
    return header + bytes(128 - len(header)) + table + data


def matrix_profile(matrix: np.ndarray, curve: bytes) -> bytes:
    columns = {name: b"XYZ " + bytes(4) + fixed(*matrix[:, i]) for i, name in enumerate((b"rXYZ", b"gXYZ", b"bXYZ"))}
    return profile({**columns, **dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve)})


def lut16(inputs: int, matrix: np.ndarray, tone_in: np.ndarray, nodes: np.ndarray, tone_out: np.ndarray) -> bytes:
    """An `mft2` tag with a grid of two nodes a side: `nodes` is (2,) * inputs + (3,), in 0..65535."""
    tag = b"mft2" + bytes(4) + bytes([inputs, 3, 2, 0]) + fixed(*matrix.ravel())
    tag += struct.pack(">HH", len(tone_in), len(tone_out))
    for part, times in ((tone_in, inputs), (nodes, 1), (tone_out, 3)):
        tag += np.rint(part).clip(0, 65535).astype(">u2").tobytes() * times
    return tag


def lut_profile(matrix: np.ndarray, gamma: float, both_ways: bool = True) -> bytes:
    """The same colours as a matrix profile of that gamma, in look-up tables; XYZ is coded as 1.0 = 32768."""
    steps = np.linspace(0, 1, 1024)
    corners = np.array([[[matrix @ (r, g, b) for b in (0, 1)] for g in (0, 1)] for r in (0, 1)])
    straight = np.array([0, 65535])
    tags = {b"A2B0": lut16(3, np.eye(3), 65535 * steps**gamma, corners * 32768, straight)}
    if both_ways:
        cube = np.array([[[(r, g, b) for b in (0, 1)] for g in (0, 1)] for r in (0, 1)]) * 65535
        inverse = np.linalg.inv(matrix) * 32768 / 65535 * (65535 / 32768)
        # After the tag's matrix light of 1.0 is coded as 32768, which the input table stretches to the whole cube.
        stretch = np.minimum(np.linspace(0, 65535, 4096) * 65535 / 32768, 65535)
        tags[b"B2A0"] = lut16(3, inverse, stretch, cube, 65535 * steps ** (1 / gamma))
    return profile(tags, kind=b"mntr" if both_ways else b"scnr")


CMYK_PROFILE = profile(
    {
        # Paper white without ink; cyan prints as green, so that nobody takes it for the plain conversion.
        b"A2B0": lut16(
            4,
            np.eye(3),
            np.array([0, 65535]),
            np.array(
                [
                    [[[(SRGB_MATRIX @ (1 - c, 1 - m, (1 - c) * (1 - y)) * (1 - k)) for k in (0, 1)] for y in (0, 1)]
                     for m in (0, 1)]
                    for c in (0, 1)
                ]
            ) * 32768,
            np.array([0, 65535]),
        )
    },
    space=b"CMYK",
    kind=b"prtr",
)  # fmt: skip

WIDE = {
    "adobe": matrix_profile(ADOBE, gamma_curve(563 / 256)),
    "p3": matrix_profile(P3, SRGB_CURVE),
    "p3 table": matrix_profile(P3, table_curve(np.linspace(0, 1, 1024) ** 2.2)),
    "look-up": lut_profile(ADOBE, 2.0),
}


def srgb_decode(x: np.ndarray) -> np.ndarray:
    return np.where(x <= 0.04045, x / 12.92, ((x + 0.055) / 1.055) ** 2.4)


def srgb_encode(x: np.ndarray) -> np.ndarray:
    x = np.clip(x, 0, 1)
    return np.where(x <= 0.0031308, x * 12.92, 1.055 * x ** (1 / 2.4) - 0.055)


STEPS = np.linspace(0, 1, 1024)
ROUNDED = np.rint(STEPS**2.2 * 65535) / 65535
BOOK = {  # matrix, code -> light, light -> code; numbers as a profile rounds them
    "adobe": (ADOBE, lambda x: x ** (563 / 256), lambda x: x ** (256 / 563)),
    "p3": (P3, srgb_decode, srgb_encode),
    "p3 table": (P3, lambda x: np.interp(x, STEPS, ROUNDED), lambda x: np.interp(x, ROUNDED, STEPS)),
    "look-up": (ADOBE, lambda x: x**2.0, lambda x: x**0.5),
}


def to_srgb_by_the_book(colours: np.ndarray, name: str) -> np.ndarray:
    """Colours in [0, 1] of a profile in WIDE as sRGB, in float64."""
    matrix, decode, _ = BOOK[name]
    return srgb_encode(decode(colours) @ (np.linalg.inv(SRGB_MATRIX) @ np.rint(matrix * 65536) / 65536).T)


def from_srgb_by_the_book(image: np.ndarray, name: str) -> np.ndarray:
    """sRGB as colours in [0, 1] of a profile in WIDE, in float64."""
    matrix, _, encode = BOOK[name]
    return encode(np.clip(srgb_decode(image) @ (np.linalg.inv(np.rint(matrix * 65536) / 65536) @ SRGB_MATRIX).T, 0, 1))


def colours(bits: int) -> np.ndarray:
    """Greys, saturated corners and noise: (20, 30, 3)."""
    white = (1 << bits) - 1
    x = np.random.default_rng(11).integers(0, white + 1, (20, 30, 3)).astype(f"uint{bits}")  # the same for any order
    x[0] = np.linspace(0, white, 30).astype(x.dtype)[:, None]
    x[1, :8] = np.array([[r, g, b] for r in (0, white) for g in (0, white) for b in (0, white)])
    return x


def encoded(pixels: np.ndarray, icc: bytes, format: str = "png", alpha=None) -> bytes:
    stream = io.BytesIO()
    save_image(stream, pixels, icc_profile=icc, alpha=alpha, format=format)
    return stream.getvalue()


# ---------------------------------------------------------------------------------------------------- tone curves


@pytest.mark.parametrize(
    ("tag", "formula"),
    [
        (b"curv" + bytes(8), lambda x: x),
        (gamma_curve(1.8), lambda x: x ** (round(1.8 * 256) / 256)),
        (table_curve(np.array([0, 0.25, 1])), lambda x: np.interp(x, [0, 0.5, 1], [0, 0.25, 1])),
        (para_curve(0, 2.2), lambda x: x**2.2),
        (para_curve(1, 2.0, 1.25, -0.25), lambda x: np.where(x >= 0.2, (1.25 * x - 0.25) ** 2, 0)),
        (para_curve(2, 2.0, 1.0, -0.25, 0.125), lambda x: np.where(x >= 0.25, (x - 0.25) ** 2, 0) + 0.125),
        (SRGB_CURVE, srgb_decode),
        (
            para_curve(4, 2.0, 0.9, 0.0, 0.5, 0.25, 0.1, 0.0),
            lambda x: np.where(x >= 0.25, (0.9 * x) ** 2 + 0.1, 0.5 * x),
        ),
    ],
)
def test_tone_curves(tag, formula):
    np.testing.assert_allclose(_icc._curve(tag), formula(np.linspace(0, 1, 65536)), atol=3e-5)


@pytest.mark.parametrize(
    "tag",
    [
        b"",
        b"text" + bytes(20),
        b"curv" + bytes(4),
        b"curv" + bytes(4) + struct.pack(">I", 1000) + bytes(10),
        b"curv" + bytes(4) + struct.pack(">I", 2**32 - 1),
        table_curve(np.array([1.0, 0.0])),
        table_curve(np.array([0.0, 0.0])),
        para_curve(5, 1, 1, 1, 1, 1, 1, 1),
        para_curve(0, -2.0),
        para_curve(3, 2.4),
    ],
)
def test_damaged_tone_curves(tag):
    with pytest.raises(_icc.ProfileError):
        _icc._curve(tag)
    assert _icc.matrix_profile(matrix_profile(P3, tag)) is None


# ------------------------------------------------------------------------------------------------------ conversions


def test_what_is_srgb():
    assert _icc.is_srgb(SRGB)
    assert _icc.is_srgb(matrix_profile(SRGB_MATRIX, SRGB_CURVE))
    assert not _icc.is_srgb(matrix_profile(SRGB_MATRIX, gamma_curve(2.2)))
    for icc in (*WIDE.values(), CMYK_PROFILE, b"", b"no profile"):
        assert not _icc.is_srgb(icc)


@pytest.mark.parametrize("name", WIDE)
@pytest.mark.parametrize("bits", [8, 16])
def test_to_srgb(name, bits):
    x = colours(bits)
    image = _icc.to_srgb(x, WIDE[name])
    assert image.dtype == np.float32
    error = np.abs(image - to_srgb_by_the_book(x / ((1 << bits) - 1), name))
    if bits == 16 and name != "look-up":
        assert error.max() < 1e-4
        assert error.mean() < 1e-5
    else:  # LittleCMS, in 8 bits
        assert error.mean() < 0.4 / 255
        assert np.quantile(error, 0.95) < 1.1 / 255


@pytest.mark.parametrize("name", WIDE)
@pytest.mark.parametrize("bits", [8, 16])
def test_from_srgb(name, bits):
    image = np.random.default_rng(11).random((20, 30, 3), np.float32)
    pixels = _icc.from_srgb(image, WIDE[name], bits)
    assert pixels.dtype == f"uint{bits}"
    error = np.abs(pixels / ((1 << bits) - 1) - from_srgb_by_the_book(image, name))
    if name != "look-up":
        assert error.max() < (0.52 / 255 if bits == 8 else 1e-4)
        assert error.mean() < (0.26 / 255 if bits == 8 else 1e-5)
    else:
        assert error.mean() < 0.5 / 255
        assert np.quantile(error, 0.98) < 1.6 / 255


def test_a_grey_profile():
    x = np.arange(256, dtype=np.uint8).reshape(16, 16)
    linear = profile({b"kTRC": gamma_curve(1.0)}, space=b"GRAY")
    for image in (Image.fromarray(x), Image.merge("LA", [Image.fromarray(x), Image.fromarray(x)])):
        stream = io.BytesIO()
        image.save(stream, "PNG", icc_profile=linear)
        picture = load_picture(stream.getvalue())
        np.testing.assert_allclose(picture.pixels[..., 0], 255 * srgb_encode(x / 255), atol=0.51)
        assert picture.icc_profile is None  # an RGB picture cannot carry it
    stream = io.BytesIO()
    deep = x.astype(np.uint16) * 257
    Image.fromarray(deep).save(stream, "PNG", icc_profile=linear)
    picture = load_picture(stream.getvalue())
    np.testing.assert_allclose(picture.pixels[..., 1], 65535 * srgb_encode(x / 255), atol=1.5)
    np.testing.assert_array_equal(as_alpha(stream.getvalue()), x / np.float32(255))  # a matte is no colour


def test_a_cmyk_profile():
    inks = np.zeros((8, 8, 4), np.uint8)
    inks[:4, :, 0] = 255
    for format in ("TIFF", "JPEG"):
        stream = io.BytesIO()
        Image.frombytes("CMYK", (8, 8), inks.tobytes()).save(stream, format, icc_profile=CMYK_PROFILE)
        with pytest.warns(ImageWarning, match="colours are CMYK, and become sRGB"):
            picture = load_picture(stream.getvalue())
        assert np.abs(picture.pixels[1, 1].astype(int) - (0, 255, 0)).max() < 12
        assert picture.pixels[6, 6].min() > 250
        assert picture.icc_profile is None


# -------------------------------------------------------------------------------------------------- whole pictures


@pytest.mark.parametrize("name", WIDE)
@pytest.mark.parametrize(("format", "bits"), [("png", 8), ("png", 16), ("tiff", 8), ("tiff", 16)])
def test_a_cut_out_keeps_profile_and_colours(name, format, bits):
    x = colours(bits)
    alpha = np.linspace(0, 0.99, 600, dtype=np.float32).reshape(20, 30)
    picture = load_picture(encoded(x, WIDE[name], format))
    np.testing.assert_array_equal(picture.pixels, x)
    assert picture.icc_profile == WIDE[name]
    foreground = picture.image.copy()
    foreground[10:] *= np.float32(0.5)
    written = restore_colours(foreground, picture, alpha)
    np.testing.assert_array_equal(written[:10], x[:10])  # untouched, gamut or not
    np.testing.assert_array_equal(restore_colours(picture.image, picture), x)
    again = load_picture(encoded(written, picture.icc_profile, format, alpha))
    assert again.icc_profile == WIDE[name]
    np.testing.assert_array_equal(again.pixels, written)
    error = np.abs(again.image - foreground)
    if bits == 16 and name != "look-up":
        assert error.max() < 1e-4
    else:
        assert error.mean() < 1 / 255
        assert np.quantile(error, 0.95) < 3.1 / 255
    np.testing.assert_allclose(again.alpha, alpha, atol=0.51 / ((1 << bits) - 1))


@pytest.mark.parametrize("format", ["jpeg", "webp", "avif"])
def test_lossy_formats_carry_the_profile(format):
    x = np.zeros((32, 32, 3), np.uint8)
    x[...] = (200, 120, 60)
    picture = load_picture(encoded(x, WIDE["p3"], format))
    assert picture.icc_profile == WIDE["p3"]
    np.testing.assert_allclose(picture.image, to_srgb_by_the_book(x / 255, "p3"), atol=0.03)


def test_an_srgb_profile_changes_nothing_and_is_kept():
    x = colours(8)
    picture = load_picture(encoded(x, SRGB))
    np.testing.assert_array_equal(picture.image, x / np.float32(255))
    assert picture.icc_profile == SRGB


def test_a_grey_picture_may_have_an_rgb_profile():
    x = np.arange(256, dtype=np.uint8).reshape(16, 16)
    stream = io.BytesIO()
    Image.fromarray(x).save(stream, "PNG", icc_profile=WIDE["adobe"])
    picture = load_picture(stream.getvalue())
    assert picture.icc_profile == WIDE["adobe"]
    np.testing.assert_allclose(
        picture.image[..., 2], to_srgb_by_the_book(np.dstack([x / 255] * 3), "adobe")[..., 2], atol=0.01
    )


@pytest.mark.parametrize("format", ["jpeg", "png"])
def test_a_background_is_seen_as_asked_for(format):
    """A colour is sRGB, and in a picture of a wider gamut it must be written as other numbers."""
    stream = io.BytesIO()
    x = np.zeros((32, 32, 3), np.uint8)
    options = {"alpha": np.zeros((32, 32)), "background": "#c06030", "icc_profile": WIDE["adobe"]}
    save_image(stream, x, format=format, **options)
    picture = load_picture(stream.getvalue())
    np.testing.assert_allclose(picture.image, np.broadcast_to(np.array([192, 96, 48]) / 255, x.shape), atol=0.015)
    assert np.abs(picture.pixels.astype(int) - (192, 96, 48)).max() > 8


def test_a_background_needs_a_usable_profile():
    with pytest.raises(ArgumentError, match="icc_profile: got one"):
        save_image(io.BytesIO(), colours(8), alpha=np.zeros((20, 30)), background="red", icc_profile=b"x", format="png")


@pytest.mark.parametrize("bits", [8, 16])
def test_a_scanners_profile_is_converted_and_srgb_is_written(bits):
    """It has tables that lead from its colours to XYZ, and none that lead back."""
    x = colours(bits)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        picture = load_picture(encoded(x, lut_profile(ADOBE, 2.0, both_ways=False)))
    expected = to_srgb_by_the_book(x / ((1 << bits) - 1), "look-up")
    error = np.abs(picture.image - expected)
    assert error.mean() < 0.4 / 255
    assert np.quantile(error, 0.95) < 1.1 / 255
    assert picture.icc_profile is None
    assert picture.bits == bits
    np.testing.assert_allclose(picture.pixels / ((1 << bits) - 1), picture.image, atol=0.51 / 255)


# --------------------------------------------------------------------------------------------------- bad profiles

BAD = {
    "garbage": b"this is no profile",
    "cut short": WIDE["adobe"][:200],
    "CMYK": CMYK_PROFILE,
    "grey": profile({b"kTRC": gamma_curve(1.0)}, space=b"GRAY"),
    "no light": matrix_profile(np.zeros((3, 3)), gamma_curve(2.2)),
}


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("name", BAD)
def test_a_bad_profile_is_told_and_left_out(name, bits):
    x = colours(bits)
    with pytest.warns(UserWarning, match="colour profile cannot be used"):
        picture = load_picture(encoded(x, BAD[name]))
    np.testing.assert_array_equal(picture.pixels, x)
    np.testing.assert_array_equal(picture.image, x / np.float32((1 << bits) - 1))
    assert picture.icc_profile is None


@pytest.mark.filterwarnings("ignore:its colours are CMYK")
@pytest.mark.parametrize("name", ["garbage", "cut short"])
def test_a_bad_profile_of_grey_and_cmyk(name):
    for mode in ("L", "CMYK"):
        stream = io.BytesIO()
        Image.new(mode, (8, 8)).save(stream, "TIFF", icc_profile=BAD[name])
        with pytest.warns(UserWarning, match="colour profile cannot be used"):
            picture = load_picture(stream.getvalue())
        assert picture.icc_profile is None


def test_a_grey_profile_of_a_rare_kind():
    stream = io.BytesIO()
    Image.new("L", (8, 8), 99).save(stream, "PNG", icc_profile=profile({}, space=b"GRAY"))
    with pytest.warns(UserWarning, match="rare kind"):
        assert (load_picture(stream.getvalue()).pixels == 99).all()


def test_mutated_profiles():
    rng = np.random.default_rng(5)
    image = Image.fromarray(colours(8))
    deep = colours(16)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for icc in (*WIDE.values(), SRGB):
            for _ in range(10):
                bad = bytearray(icc)
                for _ in range(rng.integers(1, 8)):
                    bad[rng.integers(len(bad)) if rng.random() < 0.3 else rng.integers(min(300, len(bad)))] = (
                        rng.integers(256)
                    )
                stream = io.BytesIO()
                image.save(stream, "TIFF", icc_profile=bytes(bad))
                for data in (stream.getvalue(), encoded(deep, bytes(bad), "tiff")):
                    picture = load_picture(data)
                    assert 0 <= picture.image.min() <= picture.image.max() <= 1
                    np.testing.assert_array_equal(restore_colours(picture.image, picture), picture.pixels)
