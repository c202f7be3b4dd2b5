"""What scenes are put together from, and that their masks are what is meant in them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from trimatte.training.held_out import split
from trimatte.training.scenes import EMPTY, Things, blurred, fitted, page
from trimatte.training.shapes import KINDS, cloth_of, holed

pytest.importorskip("scipy")
from trimatte.training.cuttings import cut, ground

RED, BLUE = (255, 0, 0), (0, 0, 255)


@pytest.fixture
def things(tmp_path):
    """A red square to put before a blue wall."""
    Image.new("RGBA", (40, 30), (*RED, 255)).save(tmp_path / "thing.png")
    Image.new("RGB", (120, 90), BLUE).save(tmp_path / "wall.png")
    return Things([[tmp_path / "thing.png"]], [tmp_path / "wall.png"])


def red(photo):
    values = np.asarray(photo).astype(int)
    return values[..., 0] - values[..., 2]


def test_a_scene_repeats(things):
    first, second = (things.scene((96, 64), np.random.default_rng(3)) for _ in range(2))
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


def test_what_is_in_the_mask_is_the_subject(things, monkeypatch):
    """A red thing alone before a blue wall is all of the mask, and what is red outside of it is smaller or blurred."""
    monkeypatch.setattr("trimatte.training.scenes.HOLED", 0)
    monkeypatch.setattr("trimatte.training.scenes.PLAIN", 0)
    found = 0
    for seed in range(30):
        photo, mask = things.scene((96, 64), np.random.default_rng(seed))
        assert photo.size == mask.size == (96, 64)
        meant, known = np.moveaxis(np.asarray(mask), 2, 0)
        assert known.min() == 255
        found += meant.any()
        sure = meant == 255
        if sure.any():
            assert np.median(red(photo)[sure]) > 50
    assert 30 * (1 - 3 * EMPTY) < found < 30


def test_a_close_subject_is_cut_off_by_the_borders(things, monkeypatch):
    monkeypatch.setattr("trimatte.training.scenes.EMPTY", 0)
    monkeypatch.setattr("trimatte.training.scenes.HOLED", 0)
    close = replace(things, close=1.0)
    for seed in range(10):
        meant = np.asarray(close.scene((96, 64), np.random.default_rng(seed))[1])[..., 0]
        assert any(edge.max() == 255 for edge in (meant[0], meant[-1], meant[:, 0], meant[:, -1]))
        assert (meant == 255).mean() > 0.15


def test_bystanders_stay_behind_the_subject(things):
    rng = np.random.default_rng(0)
    photo = Image.fromarray(rng.integers(0, 60, (64, 96, 3)).astype(np.uint8))
    marks = np.zeros((64, 96, 2), np.uint8)
    marks[..., 1] = 255
    marks[20:40, 30:60, 0] = 255
    marks[40:44, 30:60, 1] = 0
    crowded, mask = things.crowded(photo, Image.fromarray(marks), rng)
    kept = (marks[..., 0] == 255) | (marks[..., 1] == 0)
    assert np.array_equal(np.asarray(crowded)[kept], np.asarray(photo)[kept])
    assert (np.asarray(crowded)[~kept] != np.asarray(photo)[~kept]).any()
    assert np.array_equal(np.asarray(mask), marks)


def test_without_cutouts_or_photos_there_are_drawn_ones():
    photo, mask = Things([], []).scene((64, 48), np.random.default_rng(1))
    assert photo.size == mask.size == (64, 48)


@pytest.mark.parametrize("draw", KINDS)
def test_drawn_things_have_holes_or_leaves(draw, monkeypatch):
    monkeypatch.setattr("trimatte.training.shapes.KINDS", (draw,))
    from scipy.ndimage import binary_closing

    alpha = np.pad(np.asarray(holed(np.random.default_rng(0), 96).getchannel("A")), 12)
    solid = alpha > 127
    assert solid.any()
    assert (binary_closing(solid, iterations=12) & (alpha < 30)).sum() > 10


@given(st.integers(0, 2**32 - 1), st.integers(1, 40), st.integers(1, 40))
@settings(max_examples=20)
def test_cloths_and_pages_are_of_the_wanted_size(seed, width, height):
    rng = np.random.default_rng(seed)
    assert cloth_of(rng, (width, height)).size == page(rng, (width, height)).size == (width, height)


@given(st.floats(0.01, 1), st.integers(1, 60), st.integers(1, 60))
@settings(max_examples=30)
def test_fitted_things_stay_within(share, width, height):
    thing = fitted(Image.new("RGBA", (width, height)), (50, 40), share)
    assert 2 <= thing.width <= 50
    assert 2 <= thing.height <= 40


def test_blur_keeps_colours_and_coverage():
    thing = blurred(Image.new("RGBA", (20, 20), (*RED, 255)), 2.0)
    values = np.asarray(thing).astype(float)
    assert abs(values[..., 3].sum() / 255 - 400) < 12
    assert values[values[..., 3] > 20][:, 0].min() > 240


def test_split_is_of_names_alone(tmp_path):
    files = [tmp_path / f"{name}.png" for name in "abcdefgh"]
    aside, kept = split(files, 3)
    assert len(aside) == 3
    assert sorted(aside + kept) == files
    again, _ = split([tmp_path / "elsewhere" / file.name for file in reversed(files)], 3)
    assert [file.stem for file in again] == [file.stem for file in aside]


def mask_with(rows, columns, size=(100, 120)):
    mask = np.zeros(size, np.uint8)
    mask[rows, columns] = 255
    return mask


def test_cut_keeps_the_subject_and_half_of_its_edge():
    mask = mask_with(slice(20, 80), slice(30, 90))
    mask[17:20, 30:90] = 128
    mask[2:10, 2:10] = 128  # something else
    photo = Image.fromarray(np.where(mask[..., None] == 255, RED, BLUE).astype(np.uint8))
    thing = cut(photo, mask, unknown=128)
    alpha = np.asarray(thing.getchannel("A"))
    assert thing.size == (60, 60)
    assert alpha[5:-5, 5:-5].min() == 255
    assert cut(photo, mask).size == (88, 78)


@pytest.mark.parametrize(
    "mask",
    [
        np.zeros((100, 120), np.uint8),
        mask_with(slice(20, 50), slice(30, 90)),  # too small
        mask_with(slice(0, 80), slice(30, 90)),  # cut off at the top
        mask_with(slice(20, 100), slice(0, 90)),  # and at two sides
    ],
)
def test_what_is_no_good_as_a_cutout(mask):
    assert cut(Image.new("RGB", (120, 100)), mask) is None


def test_two_pieces_are_no_cutout():
    mask = mask_with(slice(10, 90), slice(10, 55)) | mask_with(slice(10, 90), slice(65, 110))
    assert cut(Image.new("RGB", (120, 100)), mask) is None


def test_ground_is_empty():
    mask = mask_with(slice(20, 50), slice(0, 40), (200, 300))
    mask[20:50, 40:44] = 128
    photo = Image.fromarray(np.dstack([mask] * 3))
    part = ground(photo, mask)
    assert part.size == (300, 150)
    assert not np.asarray(part).any()
    assert ground(photo, mask_with(slice(0, 200), slice(100, 200), (200, 300))) is None
    assert ground(photo, np.zeros((200, 300), np.uint8)) is photo
