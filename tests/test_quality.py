"""Quality in one word."""

from __future__ import annotations

import importlib
from dataclasses import replace

import numpy as np
import pytest

import trimatte
from trimatte.alpha import Matte, quiet_matte
from trimatte.errors import ArgumentError
from trimatte.quality import DRAWN, USUAL, WAYS, Way, apart, chosen
from trimatte.stages import Stages


def test_names_given_override_the_word() -> None:
    assert chosen("fast") == WAYS["fast"]
    assert chosen("best", method="knn") == Way(WAYS["best"].segmenter, "knn")
    assert chosen("best", segmenter="mine") == Way("mine", WAYS["best"].method, WAYS["best"].pixels)


def test_a_drawn_trimap_may_have_a_method_of_its_own() -> None:
    assert chosen("best", drawn=True) == Way("lite", "hybrid", WAYS["best"].pixels)
    assert chosen("best", method="knn", drawn=True) == Way("lite", "knn")
    assert chosen("balanced", drawn=True) == WAYS["balanced"]
    photo, trimap = np.full((40, 40, 3), 0.4, np.float32), np.zeros((40, 40), np.uint8)
    trimap[10:30, 10:30], trimap[15:25, 15:25] = 128, 255
    photo[12:28, 12:28] = 0.9
    assert trimatte.cutout(photo, trimap=trimap, quality="best").report.alpha.method == "hybrid"
    stages = Stages(quality="best")
    assert (stages.way.method, stages.pixels) == ("light-closed-form", WAYS["best"].pixels)


@pytest.mark.parametrize("word", WAYS)
def test_networks_see_the_map_that_a_trimap_was_derived_from(
    word: str, photo: np.ndarray, bright: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = []

    def matte(*args: object, probability: np.ndarray | None = None, **settings: object) -> Matte:
        told.append(probability)
        return quiet_matte(*args, **settings)

    monkeypatch.setattr("trimatte.alpha.reduced.quiet_matte", matte)
    cut = trimatte.cutout(photo, quality=word, segmenter=bright)
    trimatte.cutout(photo, quality=word, trimap=cut.trimap)
    assert cut.probability is not None
    first, drawn = told
    assert drawn is None
    if word == "fast":
        assert first is None
    else:
        np.testing.assert_array_equal(first, cut.probability)


@pytest.mark.parametrize("word", ["good", "", None, 90])
def test_other_words_are_refused_with_those_there_are(word: object) -> None:
    with pytest.raises(ArgumentError, match=r"quality: got .*fast, balanced, best"):
        chosen(word)


def test_a_wide_band_is_solved_on_a_smaller_picture_unless_a_method_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    photo, trimap = np.full((80, 120, 3), 0.4, np.float32), np.zeros((80, 120), np.uint8)
    trimap[20:60, 20:60], trimap[30:50, 30:50] = 128, 255
    photo[20:60, 20:60] = 0.9
    unknown = int((trimap == 128).sum())

    def solver(**options: object) -> str:
        return trimatte.cutout(photo, trimap=trimap, **options).report.alpha.solver

    for pixels, smaller in ((unknown, ""), (unknown // 4, ", at 1/2 of the size")):
        ways = {word: replace(way, pixels=pixels // DRAWN) for word, way in WAYS.items()}
        monkeypatch.setattr("trimatte.quality.WAYS", ways)
        assert solver(quality="balanced") == "network" + smaller
        assert solver(quality="fast").endswith(smaller or "pixels")
        assert solver(method="light") == "network"
        assert solver(quality="fast", epsilon=1e-6).endswith("pixels")


def test_a_number_is_the_files_and_a_word_the_ways() -> None:
    assert apart({"quality": 90, "band": 0.1}) == {"quality": 90, "band": 0.1}
    assert apart({"quality": "best"}) == {"way": "best"}
    assert apart({"quality": 90, "way": "fast"}) == {"quality": 90, "way": "fast"}
    with pytest.raises(ArgumentError, match="way: got 'fast'"):
        apart({"quality": "best", "way": "fast"})


@pytest.mark.parametrize("word", [*WAYS, None])
def test_the_report_says_what_a_word_came_to(word: str | None) -> None:
    y, x = np.mgrid[:96, :128]
    disc = np.hypot(y - 48, x - 64)
    photo = np.where((disc < 30)[..., None], np.float32(0.9), np.float32(0.1)).repeat(3, axis=2)
    trimap = np.where(np.abs(disc - 30) < 4, np.uint8(128), np.where(disc < 30, np.uint8(255), np.uint8(0)))
    report = trimatte.cutout(photo, trimap=trimap, **({} if word is None else {"quality": word})).report
    assert report.quality == (word or USUAL)
    assert report.alpha.method == chosen(word or USUAL, drawn=True).method


@pytest.mark.parametrize("options", [{"method": "closed-form"}, {"method": "light"}, {"refine": "light"}])
@pytest.mark.parametrize("doubted", [True, False])
def test_what_the_segmenter_doubts_over_a_wide_area_is_lowered_to_its_level_by_any_method(
    options: dict[str, str], doubted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    probability = np.zeros((80, 120), np.float32)
    probability[20:60, 20:100], probability[20:60, 60:100] = 1, 0.65 if doubted else 1
    module = importlib.import_module("trimatte.cutout")
    monkeypatch.setattr(module, "segment", lambda image, **_: probability)
    monkeypatch.setattr(module, "decided", lambda image, probability: probability)
    photo = np.random.default_rng(0).random((80, 120, 3), np.float32)
    cut = trimatte.cutout(photo, band_pixels=3, **options)
    assert (cut.report.settled > 0) == doubted
    if doubted:
        assert cut.alpha[30:50, 72:88].mean() < 0.7
    else:
        assert cut.report.settled == 0
