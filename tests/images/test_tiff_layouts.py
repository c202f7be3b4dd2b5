"""TIFFs of layouts that Pillow does not read, written by tifffile; each is read, or refused by its reason."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

import trimatte
from trimatte.errors import ImageReadError, ImageWarning, SubjectWarning
from trimatte.images.read import read_picture

RNG = np.random.default_rng(0)


def codes(channels: int, kind: Any) -> np.ndarray:
    return RNG.integers(0, np.iinfo(kind).max, (11, 13, channels), kind, endpoint=True)


def written(x: np.ndarray, photometric: str, *, planes: bool = False, **options: Any) -> bytes:
    stream = io.BytesIO()
    tifffile.imwrite(
        stream,
        np.moveaxis(x, -1, 0) if planes else x,
        photometric=photometric,
        planarconfig="separate" if planes else None,
        metadata=None,
        **options,
    )
    return stream.getvalue()


def naive(cmyk: np.ndarray) -> np.ndarray:
    """Colours of CMYK without a profile."""
    share = cmyk / np.iinfo(cmyk.dtype).max
    return (1 - share[..., :3]) * (1 - share[..., 3:4])


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
@pytest.mark.parametrize("alpha", [False, True])
@pytest.mark.parametrize(
    "options", [{}, {"planes": True}, {"byteorder": ">"}, {"bigtiff": True}, {"tile": (16, 16)}], ids=str
)
def test_cmyk(kind: Any, alpha: bool, options: dict[str, Any]) -> None:
    x = codes(4 + alpha, kind)
    extra = {"extrasamples": ["unassalpha"]} if alpha else {}
    picture = read_picture(written(x, "separated", **options, **extra))
    np.testing.assert_allclose(picture.image, naive(x), atol=2.1 / 255)
    assert "its colours are CMYK, and become sRGB of 8 bits" in picture.notes
    assert (picture.alpha is not None) == alpha
    if alpha:
        np.testing.assert_allclose(picture.alpha, x[..., 4] / np.iinfo(kind).max, atol=0.51 / 255)


def test_cmyk_compressed_with_a_predictor() -> None:
    x = codes(4, np.uint16)
    picture = read_picture(written(x, "separated", compression="zlib", predictor=2))
    np.testing.assert_allclose(picture.image, naive(x), atol=2.1 / 255)


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("planes", [False, True])
def test_floats(kind: Any, channels: int, planes: bool) -> None:
    x = RNG.random((11, 13, channels)).astype(kind)
    extra = {"extrasamples": ["unassalpha"]} if channels == 4 else {}
    data = written(
        x[..., 0] if channels == 1 else x,
        "rgb" if channels > 1 else "minisblack",
        planes=planes and channels > 1,
        **extra,
    )
    picture = read_picture(data)
    assert picture.bits == 16
    np.testing.assert_allclose(picture.image, np.broadcast_to(x[..., :3], picture.image.shape), atol=1e-5)
    if channels == 4:
        np.testing.assert_allclose(picture.alpha, x[..., 3], atol=1e-5)
    if channels > 1:
        with pytest.warns(ImageWarning, match="floats without a colour profile; the colours are taken for sRGB"):
            trimatte.load_image(data)


@pytest.mark.parametrize("extra", [["unassalpha", "unspecified"], ["unspecified", "unspecified"]])
def test_further_channels_are_left_out(extra: list[str]) -> None:
    x = codes(5, np.uint16)
    picture = read_picture(written(x, "rgb", extrasamples=extra))
    np.testing.assert_array_equal(picture.pixels, x[..., :3])
    assert (picture.alpha is not None) == (extra[0] == "unassalpha")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (
            lambda: written(RNG.random((5, 6, 3)).astype(np.float32) + 1, "rgb"),
            r"its samples go from 1\S* to 1\S*; wanted 0 to 1",
        ),
        (lambda: written(np.full((5, 6, 3), np.nan, np.float32), "rgb"), "its samples go from nan to nan"),
        (lambda: written(codes(3, np.uint32), "rgb"), "its samples are of type uint32; wanted 8 or 16 bits"),
        (lambda: written(np.full((5, 6), 3_000_000_000, np.uint32), "minisblack"), r"its samples go from 3e\+09 to"),
        (lambda: written(codes(3, np.int8), "rgb"), "its samples are of type int8"),
        (lambda: written(RNG.random((5, 6, 4)).astype(np.float32), "separated"), "of type float32"),
        (
            lambda: written(codes(9, np.uint8), "rgb", extrasamples=["unspecified"] * 6),
            "its colours are of a rare kind",
        ),
        (lambda: written(codes(5, np.uint8), "separated", extrasamples=["unassalpha"])[:-400], "cut short"),
        (
            lambda: written(RNG.random((5, 6, 3)).astype(np.float32), "rgb", compression="zlib"),
            r"its samples are compressed \(ADOBE_DEFLATE\), .* save it uncompressed",
        ),
    ],
)
def test_refused_by_the_reason(data: Any, words: str) -> None:
    with pytest.raises(ImageReadError, match=words):
        read_picture(data())


def test_what_such_a_file_says_beside_its_pixels_is_kept(tmp_path: Path) -> None:
    data = written(
        codes(5, np.uint16),
        "separated",
        extrasamples=["unassalpha"],
        resolution=(300, 300),
        resolutionunit="inch",
        extratags=[(315, 2, 0, "Anna", True)],
    )
    picture = read_picture(data)
    dpi, names = picture.metadata.dpi, picture.metadata.credits
    assert dpi == (300.0, 300.0)
    assert names == {315: "Anna"}
    trimap = np.repeat(np.array([0, 128, 255], np.uint8), [4, 5, 4])[None].repeat(11, 0)
    with pytest.warns(SubjectWarning):
        cut = trimatte.cutout(data, trimap=trimap)
    cut.save(tmp_path / "cut.png")
    with Image.open(tmp_path / "cut.png") as image:
        assert [round(x) for x in image.info["dpi"]] == [300, 300]
