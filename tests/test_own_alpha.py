"""Pictures that have alpha already: what is hidden never counts, and one on transparent ground keeps its own alpha."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw

import trimatte
from trimatte.errors import SubjectNotFoundError, SubjectWarning
from trimatte.trimap import is_matte

SIZE = 64, 80


def drawing(smooth: bool = True) -> np.ndarray:
    """A white face with a black outline on transparent ground, (H, W, 4) uint8."""
    factor = 4 if smooth else 1
    large = Image.new("RGBA", (SIZE[1] * factor, SIZE[0] * factor), (0, 0, 0, 0))
    box = [16 * factor, 8 * factor, 64 * factor, 56 * factor]
    ImageDraw.Draw(large).ellipse(box, fill=(255, 255, 255, 255), outline=(0, 0, 0, 255), width=3 * factor)
    return np.asarray(large.resize(SIZE[::-1], Image.Resampling.BOX))


def corners(photo: np.ndarray) -> np.ndarray:
    """A photo with a strip of its background erased, (H, W, 4) uint8."""
    own = np.full(photo.shape[:2], 255, np.uint8)
    own[:6, :9] = own[-6:, -9:] = 0
    return np.dstack([photo, own])


def with_hidden(picture: np.ndarray, colours: np.ndarray) -> np.ndarray:
    """The picture with other colours where its alpha is 0."""
    return np.where(picture[..., 3:] == 0, np.dstack([colours, picture[..., 3]]), picture)


def same(one: trimatte.Cutout, other: trimatte.Cutout) -> bool:
    """Whether two cut-outs are the same bits, in the file too."""
    files = [io.BytesIO(), io.BytesIO()]
    for cut, file in zip((one, other), files, strict=True):
        cut.save(file, format="PNG")
    pairs = [(one.image, other.image), (one.alpha, other.alpha), (one.foreground, other.foreground)]
    return files[0].getvalue() == files[1].getvalue() and all(np.array_equal(a, b) for a, b in pairs)


@pytest.mark.parametrize("smooth", [True, False])
def test_a_drawing_on_transparent_ground_keeps_its_outline(smooth: bool) -> None:
    picture = drawing(smooth)
    with pytest.warns(SubjectWarning, match="own alpha is kept"):
        result = trimatte.cutout(picture)
    np.testing.assert_array_equal(result.alpha, picture[..., 3] / np.float32(255))
    np.testing.assert_array_equal(
        np.round(result.foreground * 255)[result.alpha > 0], picture[..., :3][result.alpha > 0]
    )
    assert result.report.own_alpha == "kept"
    assert result.report.as_dict()["own_alpha"] == "kept"
    assert not result.foreground[result.alpha == 0].any()


def test_a_cut_out_that_is_cut_again_stays_what_it_is(photo: np.ndarray, trimap: np.ndarray, tmp_path: Path) -> None:
    trimatte.cutout(photo, trimap=trimap).save(tmp_path / "once.png")
    with pytest.warns(SubjectWarning, match="own alpha is kept"):
        trimatte.cutout(tmp_path / "once.png").save(tmp_path / "twice.png")
    once, twice = (np.asarray(Image.open(tmp_path / f"{name}.png")) for name in ("once", "twice"))
    np.testing.assert_array_equal(once[..., 3], twice[..., 3])
    np.testing.assert_array_equal(once[once[..., 3] > 0], twice[once[..., 3] > 0])


@pytest.mark.filterwarnings("ignore::trimatte.SubjectWarning")
@settings(max_examples=12)
@given(seed=st.integers(0, 2**32 - 1), depth=st.sampled_from([np.uint8, np.uint16]))
def test_hidden_colours_never_count(seed: int, depth: type) -> None:
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    disc = np.hypot(y - 30, x - 40) < 18
    photo = np.where(disc[..., None], np.uint8(220), np.uint8(40)) + rng.integers(0, 20, (*SIZE, 3), np.uint8)
    noise = rng.integers(0, 256, (*SIZE, 3), np.uint8)
    trimap = np.where(np.abs(np.hypot(y - 30, x - 40) - 18) < 5, 128, np.where(disc, 255, 0)).astype(np.uint8)
    for picture, options in ((drawing(), {}), (corners(photo), {"trimap": trimap}), (drawing(), {"trimap": trimap})):
        scale = np.iinfo(depth).max // 255
        one, other = (p.astype(depth) * depth(scale) for p in (picture, with_hidden(picture, noise)))
        assert same(trimatte.cutout(one, **options), trimatte.cutout(other, **options))


@pytest.mark.filterwarnings("ignore::trimatte.SubjectWarning")
@pytest.mark.parametrize("method", ["closed-form", "glance"])
def test_hidden_colours_never_count_for_networks(method: str, photo: np.ndarray) -> None:
    picture = corners(photo)
    noise = np.random.default_rng(0).integers(0, 256, photo.shape, np.uint8)
    other = with_hidden(picture, noise)
    assert same(trimatte.cutout(picture, method=method), trimatte.cutout(other, method=method))
    np.testing.assert_array_equal(trimatte.segment(picture), trimatte.segment(other))


def test_erased_corners_are_background_and_the_rest_is_cut_out(photo: np.ndarray, bright: str) -> None:
    picture = corners(photo)
    with pytest.warns(SubjectWarning, match="upper bound"):
        result = trimatte.cutout(picture, segmenter=bright)
    plain = trimatte.cutout(photo, segmenter=bright)
    hidden = picture[..., 3] == 0
    assert result.report.own_alpha == "bound"
    assert result.trimap is not None
    assert not result.trimap[hidden].any()
    assert not result.alpha[hidden].any()
    assert np.abs(result.alpha - plain.alpha)[~hidden].mean() < 0.01


def test_an_opaque_alpha_is_none(photo: np.ndarray, bright: str) -> None:
    opaque = np.dstack([photo, np.full(photo.shape[:2], 255, np.uint8)])
    result, plain = (trimatte.cutout(picture, segmenter=bright) for picture in (opaque, photo))
    assert result.report.own_alpha == ""
    assert same(result, plain)


@pytest.mark.filterwarnings("ignore:the trimap has no unknown pixel")
def test_a_trimap_cuts_a_picture_on_transparent_ground_further() -> None:
    picture = drawing()
    trimap = np.zeros(SIZE, np.uint8)
    trimap[:, :40] = 255
    with pytest.warns(SubjectWarning, match="upper bound"):
        result = trimatte.cutout(picture, trimap=trimap)
    np.testing.assert_array_equal(result.alpha[:, :40], picture[:, :40, 3] / np.float32(255))
    assert not result.alpha[:, 40:].any()


@pytest.mark.filterwarnings("ignore:the picture's own alpha is kept")
def test_a_picture_of_which_nothing_is_visible_has_no_subject() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (*SIZE, 4), np.uint8)
    picture[..., 3] = 0
    with pytest.warns(SubjectWarning, match="no subject found"):
        result = trimatte.cutout(picture)
    assert not result.report.subject
    assert not result.image.any()
    with pytest.raises(SubjectNotFoundError):
        trimatte.cutout(picture, strict=True)


@pytest.mark.parametrize(
    ("alpha", "matte"),
    [
        (drawing()[..., 3], True),
        (np.full(SIZE, 255, np.uint8), False),
        (np.full(SIZE, 128, np.uint8), False),
        (np.zeros(SIZE, np.uint8), True),
        (corners(np.zeros((*SIZE, 3), np.uint8))[..., 3], False),
    ],
)
def test_an_own_alpha_is_a_matte_if_its_ground_is_transparent(alpha: np.ndarray, matte: bool) -> None:
    assert is_matte(alpha) is matte
    assert not is_matte(None)


@pytest.mark.filterwarnings("ignore::trimatte.SubjectWarning")
@pytest.mark.parametrize("foreground", ["multilevel", "keep"])
def test_no_background_is_left_in_the_file_where_there_is_no_subject(
    foreground: str, bright: str, tmp_path: Path
) -> None:
    dark = np.full((30, 40, 3), 60, np.uint8)
    for name, options in (("none", {"segmenter": bright}), ("trimap", {"trimap": np.zeros((30, 40), np.uint8)})):
        trimatte.cutout(dark, foreground=foreground, **options).save(tmp_path / f"{name}.png")
        assert not np.asarray(Image.open(tmp_path / f"{name}.png")).any()


@pytest.mark.filterwarnings("ignore:the picture's own alpha is an upper bound")
@pytest.mark.filterwarnings("ignore:the trimap has no unknown pixel")
def test_the_editor_takes_it_the_same(tmp_path: Path) -> None:
    from trimatte.server.editor.session import Session

    Image.fromarray(drawing()).save(tmp_path / "drawing.png")
    session = Session((tmp_path / "drawing.png").read_bytes())
    np.testing.assert_array_equal(session.paint(0, 0, np.ones((1, 1), np.uint8)).alpha, drawing()[..., 3])
    cut = np.asarray(Image.open(io.BytesIO(session.download("cutout.png").body)))
    np.testing.assert_array_equal(cut[..., 3], drawing()[..., 3])
