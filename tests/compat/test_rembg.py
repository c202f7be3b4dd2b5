"""rembg's calls, answered here."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from trimatte.compat.rembg import Session, _trimap, new_session, remove, sessions_names
from trimatte.errors import ArgumentError, TrimatteError
from trimatte.images import as_image, read_picture
from trimatte.images.colour import adobe_rgb


@pytest.fixture
def session(bright: str) -> Session:
    return new_session(bright)


def encoded(photo: np.ndarray, **options: Any) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(photo).save(stream, "PNG", **options)
    return stream.getvalue()


def test_a_result_is_of_the_type_that_came_in(photo: np.ndarray, session: Session) -> None:
    content = remove(encoded(photo), session=session)
    assert isinstance(content, bytes)
    picture = remove(Image.fromarray(photo), session=session)
    assert isinstance(picture, Image.Image)
    array = remove(photo, session=session)
    assert isinstance(array, np.ndarray)
    assert (picture.mode, array.shape) == ("RGBA", (72, 96, 4))
    np.testing.assert_array_equal(np.asarray(picture), array)
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(content))), array)
    assert isinstance(remove(photo, session=session, force_return_bytes=True), bytes)


def test_without_matting_alpha_is_the_mask(photo: np.ndarray, session: Session) -> None:
    mask = remove(photo, session=session, only_mask=True)
    rgba: Any = remove(photo, session=session)
    np.testing.assert_array_equal(rgba[..., 3], mask)
    np.testing.assert_array_equal(rgba[mask == 255][:, :3], photo[mask == 255])
    assert not rgba[mask == 0].any()
    kept: Any = remove(photo, session=session, putalpha=True)
    np.testing.assert_array_equal(kept[..., :3], photo)


def test_matting_solves_between_the_thresholds(photo: np.ndarray, truth: np.ndarray, session: Session) -> None:
    options: dict[str, Any] = {"alpha_matting": True, "alpha_matting_erode_size": 3, "session": session}
    rgba: Any = remove(photo, **options)
    assert np.abs(rgba[..., 3] / 255 - truth).mean() < 0.02
    edge = (rgba[..., 3] > 60) & (rgba[..., 3] < 200)
    assert rgba[edge][:, 0].mean() > 200  # the subject's colour, not the mixed one
    wide: Any = remove(photo, **{**options, "alpha_matting_erode_size": 9})
    assert not np.array_equal(wide, rgba)


@pytest.mark.parametrize(
    "options",
    [
        {"foreground_threshold": 270, "background_threshold": 20, "erode_size": 11},  # of rembg's own page
        {"background_threshold": 0},
        {"background_threshold": 300},
        {"erode_size": 500},
    ],
)
def test_where_nothing_is_known_for_sure_matting_gives_the_mask(
    photo: np.ndarray, session: Session, options: dict[str, int]
) -> None:
    matting: dict[str, Any] = {"alpha_matting": True, **{f"alpha_matting_{key}": of for key, of in options.items()}}
    for further in ({}, {"putalpha": True}):
        plain = remove(photo, session=session, **further)
        np.testing.assert_array_equal(remove(photo, session=session, **matting, **further), plain)


def test_a_post_processed_mask_is_hard(photo: np.ndarray, session: Session) -> None:
    mask: Any = remove(photo, session=session, only_mask=True, post_process_mask=True)
    assert set(np.unique(mask)) == {0, 255}


def test_a_background_colour_has_an_alpha(photo: np.ndarray, session: Session) -> None:
    rgba: Any = remove(photo, session=session, bgcolor=(255, 0, 0, 255))
    assert (rgba[0, 0] == (255, 0, 0, 255)).all()
    assert (rgba[..., 3] == 255).all()
    half: Any = remove(photo, session=session, bgcolor=(0, 0, 0, 128))
    assert half[0, 0, 3] == 128
    assert half[36, 43, 3] == 255


def test_a_photo_is_turned_upright(photo: np.ndarray, session: Session) -> None:
    exif = Image.Exif()
    exif[274] = 6
    turned: Any = Image.open(io.BytesIO(remove(encoded(photo, exif=exif), session=session)))
    assert turned.size == (72, 96)


def test_bytes_and_pil_images_keep_the_resolution(photo: np.ndarray, session: Session) -> None:
    content = encoded(photo, dpi=(300, 150))
    for options in ({}, {"only_mask": True}, {"bgcolor": (255, 0, 0, 255)}):
        made: Any = remove(content, session=session, **options)
        assert read_picture(made).metadata.dpi == (300, 150)
    exif = Image.Exif()
    exif[315] = "Ann"
    image: Any = remove(Image.open(io.BytesIO(encoded(photo, dpi=(300, 300), exif=exif))), session=session)
    assert [round(number) for number in image.info["dpi"]] == [300, 300]
    plain: Any = remove(Image.fromarray(photo), session=session)
    assert "dpi" not in plain.info


@pytest.mark.parametrize("matting", [False, True])
def test_what_is_transparent_stays_so(photo: np.ndarray, session: Session, matting: bool) -> None:
    own = np.full(photo.shape[:2], 255, np.uint8)
    own[:, :40] = 0
    options: dict[str, Any] = {"session": session, "alpha_matting": matting, "alpha_matting_erode_size": 1}
    for data in (np.dstack([photo, own]), Image.fromarray(np.dstack([photo, own])), encoded(np.dstack([photo, own]))):
        result = remove(data, **options)
        rgba = np.asarray(Image.open(io.BytesIO(result)) if isinstance(result, bytes) else result)
        assert not rgba[:, :40, 3].any()
        assert rgba[36, 48, 3] == 255
    mask: Any = remove(np.dstack([photo, own]), session=session, only_mask=True)
    assert not mask[:, :40].any()


def test_sixteen_bits_are_not_clipped(photo: np.ndarray, session: Session) -> None:
    grey = photo.mean(axis=2).astype(np.uint8)
    expected: Any = remove(grey, session=session)
    deep = Image.fromarray(grey.astype(np.uint16) * 257)
    stream = io.BytesIO()
    deep.save(stream, "PNG")
    np.testing.assert_array_equal(np.asarray(remove(deep, session=session)), expected)
    content: Any = remove(stream.getvalue(), session=session)
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(content))), expected)


def test_colours_of_a_profile_come_back_as_srgb(photo: np.ndarray, session: Session) -> None:
    wide = encoded(photo, icc_profile=adobe_rgb())
    content: Any = remove(wide, session=session, putalpha=True)
    np.testing.assert_array_equal(
        np.asarray(Image.open(io.BytesIO(content)))[..., :3], np.round(as_image(wide) * 255).astype(np.uint8)
    )


def test_what_is_not_there_is_refused(photo: np.ndarray, session: Session) -> None:
    refused: list[tuple[dict[str, Any], str]] = [
        ({"bgcolor": (1, 2, 3)}, "bgcolor"),
        ({"bgcolor": "#fff"}, "bgcolor"),
        ({"alpha_matting": 3}, "alpha_matting"),
        ({"alpha_matting_erode_size": -1}, "alpha_matting_erode_size"),
        ({"alpha_matting_foreground_threshold": -1}, "alpha_matting_foreground_threshold"),
        ({"session": "u2net"}, "session: got 'u2net'"),
    ]
    for options, match in refused:
        with pytest.raises(ArgumentError, match=match):
            remove(photo, **{"session": session, **options})
    with pytest.raises(ArgumentError, match="data: got str"):
        remove("photo.jpg")
    with pytest.raises(TypeError, match="sam_prompt"):
        remove(photo, session=session, sam_prompt=[])
    with pytest.raises(TrimatteError, match="u3net"):
        new_session("u3net")
    with pytest.raises(ArgumentError, match="providers"):
        new_session("lite", providers=["CUDAExecutionProvider"])
    assert {"lite", "lite-plus"} <= set(sessions_names())


class Own:
    """A session of one's own that predicts what it is given."""

    def __init__(self, *masks: Any) -> None:
        self.masks = masks

    def predict(self, img: Image.Image) -> list[Any]:
        return list(self.masks)


def test_a_session_of_ones_own_may_predict_several_masks(photo: np.ndarray, truth: np.ndarray) -> None:
    mask = np.where(truth > 0.5, np.uint8(255), np.uint8(0))
    session: Any = Own(Image.fromarray(mask), 255 - mask, Image.fromarray(mask).convert("RGB"))
    both: Any = remove(photo, session=session, only_mask=True)
    np.testing.assert_array_equal(both, np.concatenate([mask, 255 - mask, mask]))
    rgba: Any = remove(photo, session=session)
    np.testing.assert_array_equal(rgba[..., 3], both)


@pytest.mark.parametrize(
    "masks",
    [(), (np.zeros((3, 3), np.uint8),), (np.zeros((72, 96, 3), np.uint8),), (np.zeros((72, 96)),), (None,)],
)
def test_masks_of_another_kind_are_refused(photo: np.ndarray, masks: Any) -> None:
    with pytest.raises(ArgumentError, match="session: predict gave"):
        remove(photo, session=Own(*masks))


@pytest.mark.parametrize("colour", [7, "red", (1, 2, 3), (1, 2, 3, 256), (1, 2, 3, None), None])
def test_a_background_of_another_kind_is_refused(photo: np.ndarray, session: Session, colour: Any) -> None:
    if colour is None:
        assert isinstance(remove(photo, session=session, bgcolor=colour), np.ndarray)
        return
    with pytest.raises(ArgumentError, match="bgcolor: got"):
        remove(photo, session=session, bgcolor=colour)


@pytest.mark.parametrize("size", [0, 1, 2, 3, 10, 40, 200, 10**12])
def test_the_known_parts_are_eroded_by_a_square_of_any_size(truth: np.ndarray, size: int) -> None:
    mask = np.rint(255 * truth).astype(np.uint8)
    trimap = _trimap(mask, 240, 10, size)
    square = np.ones((min(size, 200),) * 2, bool) if size else None
    np.testing.assert_array_equal(trimap == 255, ndimage.binary_erosion(mask > 240, square))
    np.testing.assert_array_equal(trimap == 0, ndimage.binary_erosion(mask < 10, square, border_value=1))
