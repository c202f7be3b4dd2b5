"""Pointing at something in a photo: `segment` with points and a box, and `Selection`."""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import trimatte
from trimatte.errors import ArgumentError
from trimatte.segmentation.prompts import MOST, Prompts, parse_box, parse_point, positions, prompt_maps, read_prompts

DECODERS = files("trimatte.segmentation").joinpath("decoders")
LEFT, RIGHT = (40, 48), (120, 48)
"""Middles of the discs of `discs`."""


def discs(height: int = 96, width: int = 160) -> np.ndarray:
    """Two discs alike, on grey with some texture."""
    y, x = np.mgrid[:height, :width]
    image = np.full((height, width, 3), 0.45) + 0.05 * np.sin(x / 5.0)[..., None]
    for px, py in (LEFT, RIGHT):
        image[np.hypot(x - px, y - py) < 26] = (0.8, 0.3, 0.2)
    return image.astype(np.float32)


def inside(point: tuple[int, int], probability: np.ndarray) -> float:
    """The mean probability near a point."""
    x, y = point
    return float(probability[y - 12 : y + 13, x - 12 : x + 13].mean())


def test_a_point_chooses_one_of_two_things_alike() -> None:
    left = trimatte.segment(discs(), points=[LEFT])
    assert left.shape == (96, 160)
    assert left.dtype == np.float32
    assert inside(LEFT, left) > 0.8
    right = trimatte.segment(discs(), points=[RIGHT], not_points=[LEFT])
    assert inside(RIGHT, right) > inside(LEFT, right) + 0.5


def test_a_box_chooses_what_is_in_it() -> None:
    probability = trimatte.segment(discs(), box=(90, 18, 150, 78))
    assert inside(RIGHT, probability) > inside(LEFT, probability) + 0.5


def test_a_share_of_the_sides_is_a_pixel() -> None:
    by_share = trimatte.segment(discs(), points=[("25%", "50%")], box=("0%", "0%", "50%", "100%"))
    np.testing.assert_array_equal(by_share, trimatte.segment(discs(), points=[(40, 48)], box=(0, 0, 80, 96)))


def test_without_anything_pointed_at_it_is_the_automatic_answer() -> None:
    image = discs()
    automatic = trimatte.segment(image)
    np.testing.assert_array_equal(trimatte.segment(image, points=[], not_points=()), automatic)
    np.testing.assert_array_equal(trimatte.Selection(image).probability, automatic)
    assert not trimatte.Selection(image, automatic=False).probability.any()


def test_a_selection_is_what_segment_says_of_its_first_point() -> None:
    image = discs()
    selection = trimatte.Selection(image, automatic=False).add(*LEFT)
    np.testing.assert_array_equal(selection.probability, trimatte.segment(image, points=[LEFT]))
    assert selection.prompts == Prompts(((*LEFT, 1),))


def test_undo_takes_back_click_by_click() -> None:
    selection = trimatte.Selection(discs())
    before = [selection.probability]
    for point in (LEFT, RIGHT):
        before.append(selection.add(*point).probability)
    before.append(selection.remove(5, 5).box(1, 1, 100, 90).undo().probability)
    selection.undo()
    np.testing.assert_array_equal(selection.probability, before[2])
    selection.undo()
    np.testing.assert_array_equal(selection.probability, before[1])
    np.testing.assert_array_equal(selection.undo().undo().probability, before[0])
    assert not selection.prompts


@settings(max_examples=20)
@given(st.lists(st.tuples(st.integers(0, 63), st.integers(0, 47), st.booleans()), min_size=1, max_size=6))
def test_what_was_clicked_is_as_it_was_said(clicks: list[tuple[int, int, bool]]) -> None:
    selection = trimatte.Selection(discs(48, 64), automatic=False)
    said = {}
    for x, y, keep in clicks:
        (selection.add if keep else selection.remove)(x, y)
        said[x, y] = keep
    assert len(selection.prompts.points) == len(said)
    for (x, y), keep in said.items():
        assert (selection.probability[y, x] > 0.5) == keep


def test_the_probability_is_finite_within_bounds_and_read_only() -> None:
    selection = trimatte.Selection(discs()).add(*LEFT).remove(*RIGHT)
    assert np.isfinite(selection.probability).all()
    assert 0 <= selection.probability.min() <= selection.probability.max() <= 1
    with pytest.raises(ValueError, match="read-only"):
        selection.probability[0, 0] = 1


@pytest.mark.filterwarnings("ignore::trimatte.errors.SubjectWarning")
@pytest.mark.parametrize("size", [(1, 1), (1, 300), (700, 2)])
def test_a_photo_of_hardly_any_pixels(size: tuple[int, int]) -> None:
    image = np.full((*size, 3), 0.5, np.float32)
    selection = trimatte.Selection(image).add(0, 0)
    assert selection.probability.shape == size
    assert selection.probability[0, 0] > 0.5
    assert selection.box(0, 0, size[1], size[0]).cutout().alpha.shape == size


def test_points_are_of_the_upright_photo(tmp_path: Path) -> None:
    stored = Image.fromarray(np.rint(255 * discs()).astype(np.uint8)).transpose(Image.Transpose.ROTATE_90)
    exif = Image.Exif()
    exif[274] = 6  # turn by 90 degrees clockwise to see it
    stored.save(tmp_path / "turned.png", exif=exif)
    selection = trimatte.Selection(tmp_path / "turned.png", automatic=False).add(*RIGHT)
    assert selection.probability.shape == (96, 160)
    assert inside(RIGHT, selection.probability) > 0.8


def test_deep_and_profiled_photos(tmp_path: Path) -> None:
    from PIL import ImageCms

    codes = np.rint(65535 * discs()).astype(np.uint16)
    deep = trimatte.Selection(codes, automatic=False).add(*LEFT)
    np.testing.assert_allclose(deep.probability, trimatte.segment(discs(), points=[LEFT]), atol=0.02)
    assert deep.cutout().picture.bits == 16
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    Image.fromarray((codes >> 8).astype(np.uint8)).save(tmp_path / "profiled.png", icc_profile=profile)
    assert inside(LEFT, trimatte.segment(tmp_path / "profiled.png", points=[LEFT])) > 0.8


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"points": [(160, 5)]}, r"points\[0\]: got \(160.0, 5.0\), outside of the photo of 160 x 96 pixels"),
        ({"not_points": [(5, 5), (5, -1)]}, r"not_points\[1\]: .*outside"),
        ({"points": [(5,)]}, r"points\[0\]: got \(5,\), wanted a point"),
        ({"points": [(5, float("nan"))]}, r"points\[0\]: got nan"),
        ({"points": [(5, True)]}, r"points\[0\]: got True"),
        ({"points": (5, 5)}, r"points\[0\]: got 5, wanted a point"),
        ({"points": "5,5"}, "points: got '5,5'"),
        ({"points": 5}, "points: got 5"),
        ({"points": [("101%", "5%")]}, "wanted pixels, or 0% to 100%"),
        ({"points": [("5", "5%")]}, "got '5', wanted pixels"),
        ({"points": [(5.2, 5)], "not_points": [(5.7, 5)]}, r"not_points: got \(5, 5\), which is in points, too"),
        ({"points": [(1, 1)] * MOST, "not_points": [(5, 5)]}, f"points: got {MOST + 1} with not_points"),
        ({"box": (10, 10, 10, 20)}, "box: .*wanted left < right and top < bottom"),
        ({"box": (30, 10, 10, 20)}, "box: .*wanted left < right"),
        ({"box": ("30%", 10, "20%", 20)}, "box: .*wanted left < right"),
        ({"box": (0, 0, 161, 20)}, "box: .*not within 160 x 96 pixels"),
        ({"box": (0, 0, 20)}, "box: .*wanted .left, top, right, bottom"),
        ({"box": "1,2,3,4"}, "box: got '1,2,3,4'"),
    ],
)
def test_prompts_that_cannot_be_are_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        trimatte.segment(discs(), **given)
    with pytest.raises(ArgumentError, match=message):
        trimatte.cutout(discs(), **given)


def test_a_selection_refuses_too_many_points_and_takes_no_harm() -> None:
    few = Prompts(tuple((float(x), 0.0, 1) for x in range(MOST)))
    with pytest.raises(ArgumentError, match=f"more than {MOST}"):
        few.with_more(read_prompts([(0, 1)], None, None))
    assert len(few.with_more(read_prompts(None, [(0, 0)], None)).points) == MOST
    selection = trimatte.Selection(discs()).add(*LEFT)
    before = selection.probability
    with pytest.raises(ArgumentError, match="outside"):
        selection.add(500, 5)
    np.testing.assert_array_equal(selection.probability, before)


def test_a_thousand_points_are_taken() -> None:
    points = [(x, y) for x in range(15, 65, 2) for y in range(28, 68)][:MOST]
    probability = trimatte.segment(discs(), points=points)
    assert (probability[tuple(np.transpose(points)[::-1])] > 0.5).all()


def test_a_segmenter_that_takes_no_prompts_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    from trimatte.segmentation import registry

    monkeypatch.setitem(registry.SEGMENTERS, "deaf", f"{__name__}:deaf")
    for call in (
        lambda: trimatte.segment(discs(), segmenter="deaf", points=[LEFT]),
        lambda: trimatte.cutout(discs(), segmenter="deaf", box=(1, 1, 9, 9)),
        lambda: trimatte.Selection(discs(), segmenter="deaf"),
    ):
        with pytest.raises(ArgumentError, match="segmenter: 'deaf' takes no points and no box; wanted lite"):
            call()


def deaf() -> Callable[[np.ndarray], np.ndarray]:
    """A segmenter that finds everything."""
    return lambda image: np.ones(image.shape[:2], np.float32)


def test_another_packages_segmenter_can_take_prompts(monkeypatch: pytest.MonkeyPatch) -> None:
    from trimatte.segmentation import registry

    monkeypatch.setitem(registry.SEGMENTERS, "obedient", f"{__name__}:Obedient")
    probability = trimatte.segment(discs(), segmenter="obedient", points=[LEFT], box=(0, 0, 80, 96))
    assert probability.sum() == 1
    assert probability[LEFT[1], LEFT[0]] == 1


class Obedient:
    """A segmenter to which a point is a pixel."""

    found = None

    def __call__(self, image: np.ndarray) -> np.ndarray:
        return np.zeros(image.shape[:2], np.float32)

    def open(self, image: np.ndarray, *, automatic: bool) -> Obedient:
        self.shape = image.shape[:2]
        return self

    def answer(self, prompts: Prompts, before: np.ndarray | None) -> np.ndarray:
        logits = np.full(self.shape, -9, np.float32)
        for x, y, _ in prompts.points:
            logits[int(y), int(x)] = 9
        return logits

    def probability(self, logits: np.ndarray, prompts: Prompts) -> np.ndarray:
        return (logits > 0).astype(np.float32)


def test_maps_are_as_their_formulas_say() -> None:
    maps = prompt_maps((32, 64), np.array([[10.0, 6.0]]), np.array([-1.0]), (0, 0, 8, 32), np.full((16, 32), 2.0, "f"))
    assert maps.shape == (6, 8, 16)
    assert not maps[:2].any()
    assert maps[2, 1, 2] == pytest.approx(1)
    assert maps[3, 1, 6] == pytest.approx(np.exp(-16 / 64))
    np.testing.assert_array_equal(maps[4][:, [1, 2]], np.tile([1, -1], (8, 1)))
    np.testing.assert_allclose(maps[5], np.tanh(0.5), rtol=1e-6)
    np.testing.assert_array_equal(positions((32, 64), np.array([[10.0, 6.0], [64.0, 32.0]])), [1, 31])


def test_points_and_boxes_as_text() -> None:
    assert parse_point("120, 80.5") == [120, 80.5]
    assert parse_point("30%,40%") == ["30%", "40%"]
    assert parse_box("1,2,3,100%") == [1, 2, 3, "100%"]
    for text in ("1", "1,2,3", "a,b", ""):
        with pytest.raises(ArgumentError, match="wanted X,Y"):
            parse_point(text)


def test_the_card_is_of_the_weights_and_they_are_small() -> None:
    card = tomllib.loads(DECODERS.joinpath("clicks.toml").read_text("utf-8"))
    weights = DECODERS.joinpath(card["file"]).read_bytes()
    segmenter = files("trimatte.segmentation").joinpath("weights", "lite.onnx").read_bytes()
    assert card["sha256"] == hashlib.sha256(weights).hexdigest()
    assert card["segmenter"] == hashlib.sha256(segmenter).hexdigest()
    assert {"purpose", "weak", "licence", "data", "recipe", "figures"} <= set(card)
    assert len(weights) <= 3e6
