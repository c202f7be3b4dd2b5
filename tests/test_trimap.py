"""Probability to trimap: an exact band, subjects at the border, specks, and a usable trimap whatever comes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from scipy.ndimage import distance_transform_edt

from trimatte import make_trimap
from trimatte.errors import ArgumentError
from trimatte.trimap import TrimapReport, has_subject


def disc(size: int = 81, radius: float = 25, centre: tuple[float, float] | None = None) -> np.ndarray:
    """A probability (size, size) of 0 and 1."""
    y, x = np.mgrid[:size, :size]
    cy, cx = centre or ((size - 1) / 2, (size - 1) / 2)
    return (np.hypot(y - cy, x - cx) <= radius).astype(np.float32)


@pytest.mark.parametrize("half", [1, 2, 3.5, 8])
def test_the_band_is_what_is_near_the_other_side(half: float) -> None:
    probability = disc()
    mask = probability > 0.5
    expected = np.full(mask.shape, 128, np.uint8)
    expected[distance_transform_edt(mask) > half] = 255
    expected[distance_transform_edt(~mask) > half] = 0
    np.testing.assert_array_equal(make_trimap(probability, band_pixels=half), expected)


@settings(max_examples=30)
@given(half=st.floats(1, 20), seed=st.integers(0, 2**32 - 1))
def test_the_band_is_symmetric(half: float, seed: int) -> None:
    probability = (np.random.default_rng(seed).random((24, 31)) > 0.5).repeat(4, 0).repeat(4, 1).astype(np.float32)
    trimap = make_trimap(probability, band_pixels=half)
    for turned in (np.flipud, np.fliplr, np.rot90):
        np.testing.assert_array_equal(turned(trimap), make_trimap(turned(probability), band_pixels=half))


@pytest.mark.parametrize(("mixed", "reach"), [(1, 16), (0.0206, 8), (0.0098, 4), (0, 1)])
def test_an_adaptive_band_is_a_plain_one_where_all_is_alike(mixed: float, reach: float) -> None:
    probability = disc(161, 40)
    adaptive = make_trimap(probability, band_pixels=4, mixed=np.full(probability.shape, mixed, np.float32))
    np.testing.assert_array_equal(adaptive, make_trimap(probability, band_pixels=reach))


@settings(max_examples=30)
@given(half=st.floats(1, 4), share=st.floats(0, 1), seed=st.integers(0, 2**32 - 1))
def test_what_is_more_mixed_is_more_often_unknown(half: float, share: float, seed: int) -> None:
    probability = disc(121, 40)
    mixed = np.random.default_rng(seed).random(probability.shape, np.float32) ** 4
    more = mixed + np.float32(share) * (1 - mixed)
    unknown = [make_trimap(probability, band_pixels=half, mixed=plane) == 128 for plane in (mixed, more)]
    assert (unknown[0] <= unknown[1]).all()
    least, most = (make_trimap(probability, band_pixels=width) == 128 for width in (half / 4, 4 * half))
    assert (least <= unknown[0]).all() or half < 4
    assert (unknown[1] <= most).all()


@settings(max_examples=100)
@given(
    height=st.integers(1, 30),
    width=st.integers(1, 30),
    low=st.floats(0, 1),
    high=st.floats(0, 1),
    band=st.floats(0, 1),
    seed=st.integers(0, 2**32 - 1),
)
def test_what_is_known_lies_on_the_right_side(
    height: int, width: int, low: float, high: float, band: float, seed: int
) -> None:
    noise = np.random.default_rng(seed).random((height, width))
    probability = (min(low, high) + abs(high - low) * noise).astype(np.float32)
    trimap = make_trimap(probability, band=band, speck=0)
    assert set(np.unique(trimap)) <= {0, 128, 255}
    assert (probability[trimap == 255] >= 0.5).all()
    assert (probability[trimap == 0] < 0.5).all()
    if has_subject(probability):
        assert (trimap == 255).any()
        if (probability < 0.5).any():
            assert (trimap == 0).any()


def test_the_default_width_follows_the_subject() -> None:
    narrow, wide = TrimapReport(), TrimapReport()
    make_trimap(disc(81, 20), report=narrow)
    make_trimap(disc(161, 40), report=wide)
    assert wide.band == pytest.approx(2 * narrow.band, rel=0.03)


def test_foreground_at_the_border_stays_foreground() -> None:
    probability = np.zeros((60, 60), np.float32)
    probability[20:, 10:50] = 1
    trimap = make_trimap(probability, band_pixels=4)
    assert (trimap[59, 14:46] == 255).all()
    assert (trimap[59, 6:14] == 128).all()


def test_specks_and_holes_follow_what_surrounds_them() -> None:
    clean = disc(201, 70)
    speckled = clean.copy()
    speckled[100, 100] = 0  # a hole in the subject
    speckled[5, 5] = 1  # an island far from it
    report = TrimapReport()
    trimap = make_trimap(speckled, speck=0.002, report=report)
    np.testing.assert_array_equal(trimap, np.where(speckled == clean, make_trimap(clean), 128))
    assert (report.islands, report.holes, report.specks) == (1, 1, 2)


def test_a_mask_that_was_given_keeps_its_islands_and_holes() -> None:
    """Five birds of 0.12 % of the subject's area each: every one keeps a core, whatever the band."""
    mask = disc(401, 120)
    birds = [(20 + 80 * i, 20) for i in range(5)]
    for y, x in birds:
        mask[y : y + 9, x : x + 6] = 1
    mask[195:198, 195:198] = 0
    for band in (0.01, 0.05, 0.3):
        report = TrimapReport()
        trimap = make_trimap(mask, band=band, report=report)
        assert all((trimap[y : y + 9, x : x + 6] == 255).any() for y, x in birds)
        assert not (trimap[195:198, 195:198] == 255).any()
        assert report.specks == 0
    removed = make_trimap(mask, speck=0.002, report=(report := TrimapReport()))
    assert report.islands == 5
    assert not any((removed[y : y + 9, x : x + 6] == 255).any() for y, x in birds)


def test_a_true_hole_remains() -> None:
    probability = disc(201, 80) - disc(201, 20)
    trimap = make_trimap(probability, band_pixels=5)
    assert trimap[100, 100] == 0
    assert trimap[100, 100 + 20] == 128
    assert trimap[100, 100 + 50] == 255


def test_unsure_pixels_are_unknown() -> None:
    probability = disc(101, 40)
    probability[48:53, 48:53] = 0.7
    probability[2:5, 2:5] = 0.3
    trimap = make_trimap(probability, band_pixels=2)
    assert (trimap[48:53, 48:53] == 128).all()
    assert (trimap[2:5, 2:5] == 128).all()


def test_a_thin_subject_keeps_foreground_with_a_note() -> None:
    probability = np.zeros((60, 60), np.float32)
    probability[29:32] = 1
    report = TrimapReport()
    trimap = make_trimap(probability, band_pixels=10, speck=0.002, report=report)
    assert (trimap == 255).any()
    assert (trimap == 0).any()
    assert any("foreground" in note for note in report.notes)


def test_no_subject_leaves_everything_unknown_and_says_so() -> None:
    report = TrimapReport()
    trimap = make_trimap(np.zeros((10, 12), np.float32), report=report)
    assert (trimap == 128).all()
    assert not report.subject
    assert report.notes == ["no subject found"]


def test_what_is_never_sure_is_no_subject() -> None:
    probability = 0.85 * disc()
    report = TrimapReport()
    trimap = make_trimap(probability, report=report)
    assert not report.subject
    np.testing.assert_array_equal(trimap == 128, probability > 0.1)
    assert not (trimap == 255).any()
    make_trimap(probability, sure=0.8, report=(report := TrimapReport()))
    assert report.subject


@pytest.mark.parametrize(("pixels", "subject"), [(0, False), (4, False), (5, True), (400, True)])
def test_a_subject_is_more_than_a_few_pixels(pixels: int, subject: bool) -> None:
    probability = np.full((200, 200), 0.3, np.float32)
    probability.flat[:pixels] = 0.9
    assert has_subject(probability) == subject
    make_trimap(probability, report=(report := TrimapReport()))
    assert report.subject == subject


@pytest.mark.parametrize("probability", [0.9, 0.95, 1.0])
@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (2, 2), (40, 50)])
def test_a_subject_that_fills_the_picture_is_foreground(shape: tuple[int, int], probability: float) -> None:
    report = TrimapReport()
    trimap = make_trimap(np.full(shape, probability, np.float32), report=report)
    assert report.subject
    assert report.notes == ["the subject fills the picture"]
    assert (trimap == 255).any()
    assert not (trimap == 0).any()
    if shape != (1, 1):
        assert (trimap == 128).any()


@pytest.mark.parametrize(
    ("probability", "options", "words"),
    [
        (np.zeros((3, 3, 3), np.float32), {}, "probability: "),
        (np.full((3, 3), 2.0), {}, "probability: "),
        (np.full((3, 3), np.nan), {}, "probability: "),
        (np.zeros((3, 3)), {"band": -0.1}, "band: got -0.1"),
        (np.zeros((3, 3)), {"band_pixels": float("nan")}, "band_pixels: got nan"),
        (np.zeros((3, 3)), {"speck": -1}, "speck: got -1"),
        (np.zeros((3, 3)), {"speck": "no"}, "speck: got 'no'"),
        (np.zeros((3, 3)), {"band": 0.1, "band_pixels": 3}, "band_pixels: got 3, but band is 0.1"),
        (np.zeros((3, 3)), {"band": True}, "band: got True"),
        (np.zeros((3, 3)), {"sure": 0.5}, "sure: got 0.5"),
        (np.zeros((3, 3)), {"mixed": np.zeros((3, 4), np.float32)}, "mixed: "),
        (np.zeros((3, 3)), {"mixed": np.full((3, 3), 2.0)}, "mixed: "),
    ],
)
def test_bad_arguments(probability: np.ndarray, options: dict[str, Any], words: str) -> None:
    with pytest.raises(ArgumentError, match=words):
        make_trimap(probability, **options)


def test_the_input_is_not_changed() -> None:
    probability = disc()
    before = probability.copy()
    make_trimap(probability)
    np.testing.assert_array_equal(probability, before)


@pytest.mark.parametrize("widths", [{"band": None, "band_pixels": None}, {"band": None, "band_pixels": 20.0}])
def test_a_large_map_in_blocks_gives_the_same_band_but_for_a_blocks_width(
    widths: dict[str, float | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    from trimatte.trimap import coarse_trimap

    y, x = np.mgrid[:301, :400]
    probability = np.clip(0.5 + (110 - np.hypot(y - 150, x - 190)) / 12, 0, 1).astype(np.float32)
    exact, reports = make_trimap(probability, **widths), (TrimapReport(), TrimapReport())
    np.testing.assert_array_equal(coarse_trimap(probability, **widths, speck=0.0, report=reports[0]), exact)
    monkeypatch.setattr("trimatte.trimap.MAP_PIXELS", 301 * 400 // 4)
    found = coarse_trimap(probability, **widths, speck=0.0, report=reports[1])
    assert found.shape == exact.shape
    assert 0 < np.count_nonzero(found != exact) < 0.02 * found.size
    assert reports[1].band == pytest.approx(reports[0].band, rel=0.02)
    other = ndimage.grey_dilation(exact, (5, 5)), ndimage.grey_erosion(exact, (5, 5))
    assert (found <= other[0]).all()
    assert (found >= other[1]).all()


def test_a_narrow_band_of_a_large_map_is_drawn_at_its_own_size(monkeypatch: pytest.MonkeyPatch) -> None:
    from trimatte.trimap import coarse_trimap

    probability = np.zeros((60, 80), np.float32)
    probability[20:40, 20:60] = 1
    monkeypatch.setattr("trimatte.trimap.MAP_PIXELS", 1200)
    for width in (2.0, 7.9):
        found = coarse_trimap(probability, band=None, band_pixels=width, speck=0.0, report=TrimapReport())
        np.testing.assert_array_equal(found, make_trimap(probability, band_pixels=width))
