"""Quality in one word."""

from __future__ import annotations

import numpy as np
import pytest

import trimatte
from trimatte.errors import ArgumentError
from trimatte.quality import USUAL, WAYS, Way, apart, chosen


def test_names_given_override_the_word() -> None:
    assert chosen("fast") == WAYS["fast"]
    assert chosen("best", method="knn") == Way(WAYS["best"].segmenter, "knn")
    assert chosen("best", segmenter="mine") == Way("mine", WAYS["best"].method)


@pytest.mark.parametrize("word", ["good", "", None, 90])
def test_other_words_are_refused_with_those_there_are(word: object) -> None:
    with pytest.raises(ArgumentError, match=r"quality: got .*fast, balanced, best"):
        chosen(word)


def test_a_large_band_is_solved_as_fast_does_unless_a_method_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    photo, trimap = np.full((40, 60, 3), 0.4, np.float32), np.zeros((40, 60), np.uint8)
    trimap[10:30, 10:30], trimap[15:25, 15:25] = 128, 255
    photo[10:30, 10:30] = 0.9
    unknown = int((trimap == 128).sum())
    for limit, method in ((unknown + 1, "light"), (unknown, "closed-form")):
        monkeypatch.setattr("trimatte.quality.LARGE", limit)
        assert trimatte.cutout(photo, trimap=trimap).report.alpha.method == method
        assert trimatte.cutout(photo, trimap=trimap, quality="best").report.alpha.method == "hybrid"
        assert trimatte.cutout(photo, trimap=trimap, method="light").report.alpha.method == "light"


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
    assert report.alpha.method == WAYS[word or USUAL].method
