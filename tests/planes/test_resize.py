"""Pictures at another size, held against Pillow plane by plane."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from trimatte.planes import resize
from trimatte.planes.resize import FILTERS, downsampled, resized, strips


@settings(max_examples=40)
@given(
    shape=st.tuples(st.integers(1, 300), st.integers(1, 300)),
    size=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    seed=st.integers(0, 99),
)
def test_large_pictures_are_averaged_in_blocks_as_pillow_does(
    shape: tuple[int, int], size: tuple[int, int], seed: int
) -> None:
    image = np.random.default_rng(seed).random((*shape, 3), np.float32)
    channels = (Image.fromarray(np.ascontiguousarray(image[..., c])) for c in range(3))
    wanted = [channel.resize(size[::-1], Image.Resampling.BILINEAR, reducing_gap=2.0) for channel in channels]
    np.testing.assert_allclose(downsampled(image, size), np.stack(wanted, -1), atol=1e-5)


@pytest.mark.parametrize("how", FILTERS)
@pytest.mark.parametrize("channels", [(), (1,), (3,), (4,)])
@pytest.mark.parametrize("size", [(7, 9), (40, 13), (1, 1)])
def test_resized_is_pillow_plane_by_plane(how: str, channels: tuple[int, ...], size: tuple[int, int]) -> None:
    picture = np.random.default_rng(0).random((20, 30, *channels), np.float32)
    planes = picture.reshape(20, 30, -1).transpose(2, 0, 1)
    wanted = np.stack([Image.fromarray(p.copy()).resize(size[::-1], FILTERS[how]) for p in planes], -1).clip(0, 1)
    np.testing.assert_array_equal(resized(picture, size, how), wanted.reshape(*size, *channels))


def test_a_part_of_the_picture() -> None:
    picture = np.random.default_rng(1).random((20, 30, 3), np.float32)
    np.testing.assert_allclose(
        resized(picture, (10, 10), "box", box=(5, 0, 25, 20))[2, 3], picture[4:6, 11:13].mean((0, 1))
    )


def test_bytes_stay_bytes_and_the_right_size_stays_itself() -> None:
    trimap = np.array([[0, 255], [128, 0]], np.uint8)
    assert resized(trimap, (2, 2), "nearest") is trimap
    np.testing.assert_array_equal(resized(trimap, (4, 4), "nearest"), trimap.repeat(2, 0).repeat(2, 1))


def test_no_value_leaves_its_range() -> None:
    edge = np.zeros((16, 16), np.float32)
    edge[:, 8:] = 1
    assert resized(edge, (37, 41), "lanczos").min() == 0
    assert resized(edge, (37, 41), "bicubic").max() == 1


@given(height=st.integers(1, 50), width=st.integers(1, 50), pixels=st.integers(1, 400))
def test_strips_are_all_rows_once(height: int, width: int, pixels: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(resize, "STRIP", pixels)
        rows = [row for part in strips((height, width)) for row in range(height)[part]]
    assert rows == list(range(height))


@pytest.mark.parametrize("how", ["bilinear", "bicubic", "lanczos"])
@pytest.mark.parametrize("box", [None, (3.5, 2.25, 25, 19)])
def test_a_large_result_is_made_in_strips(
    how: str, box: tuple[float, ...] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture = np.random.default_rng(3).random((20, 30, 3), np.float32)
    whole = resized(picture, (97, 61), how, box=box)
    monkeypatch.setattr(resize, "STRIP", 500)
    np.testing.assert_allclose(resized(picture, (97, 61), how, box=box), whole, atol=2e-5)
