"""Photo after photo, from one thread or several."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import trimatte
from trimatte import Cutout, Cutter
from trimatte.errors import ArgumentError, ImageReadError, TrimatteError

pytestmark = pytest.mark.filterwarnings("ignore::trimatte.cutout.SubjectWarning")


PlugIn = Callable[[str, str], str]

QUICK = """
import numpy as np

def build():
    return lambda image: np.clip(3 * image.mean(axis=2) - 1, 0, 1).astype(np.float32)

def alpha(image, trimap, report, *, converged=True, guess=None, known=None):
    report.converged = converged
    return image.mean(axis=2)
"""


@pytest.fixture
def quick(plug_in: PlugIn) -> dict[str, Any]:
    """Options of a cut-out that takes no time."""
    name = plug_in("quick", QUICK)
    return {"segmenter": name, "method": name, "foreground": "keep"}


def photos(count: int) -> list[np.ndarray]:
    """Bright discs, each in another place."""
    y, x = np.mgrid[:40, :56]
    discs = [np.hypot(y - 20, x - 15 - 2 * i) < 11 for i in range(count)]
    noise = np.random.default_rng(0).normal(0, 3, (40, 56, 3))
    return [np.clip(30 + 200 * disc[..., None] + noise, 0, 255).astype(np.uint8) for disc in discs]


def test_results_are_those_of_cutout(photo_file: Path, bright: str) -> None:
    options = {"segmenter": bright, "band_pixels": 3.0}
    result, expected = Cutter(**options)(photo_file), trimatte.cutout(photo_file, **options)
    np.testing.assert_array_equal(result.rgba(), expected.rgba())


@pytest.mark.parametrize("workers", [1, 3, None])
def test_map_keeps_the_order(workers: int | None, quick: dict[str, Any]) -> None:
    given = photos(7)
    cutter = Cutter(**quick)
    results = list(cutter.map(iter(given), workers=workers))
    for photo, result in zip(given, results, strict=True):
        assert isinstance(result, Cutout)
        np.testing.assert_array_equal(result.picture.pixels, photo)
        np.testing.assert_array_equal(result.alpha, cutter(photo).alpha)


def test_no_more_photos_are_taken_than_are_in_work(quick: dict[str, Any]) -> None:
    taken = []

    def source() -> Iterator[np.ndarray]:
        for i, photo in enumerate(photos(9)):
            taken.append(i)
            yield photo

    results = Cutter(**quick).map(source(), workers=2)
    assert not taken
    for count in (1, 2, 3):
        next(results)
        assert len(taken) == count + 2
    results.close()  # type: ignore[attr-defined]
    assert len(taken) == 5
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("cutter")]


def test_results_that_nobody_takes_may_be_collected_by_a_thread_of_theirs(
    quick: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    cutter, first, done = Cutter(**quick), threading.Event(), threading.Event()
    ends: list[Exception | None] = []

    def cut(photo: int) -> int:
        if photo == 1:
            first.wait(20)
            try:
                results.close()  # type: ignore[attr-defined]
                ends.append(None)
            except Exception as error:
                ends.append(error)
            done.set()
        return photo

    monkeypatch.setattr(cutter, "_cut", cut)
    results = cutter.map(range(4), workers=1, errors="return")
    next(results)
    first.set()
    assert done.wait(20)
    assert ends == [None]


@pytest.mark.parametrize("sequence", [False, True])
def test_a_bad_photo_ends_the_iteration_or_stands_in_the_place_of_its_result(
    quick: dict[str, Any], sequence: bool
) -> None:
    first, second = photos(2)
    cutter = Cutter(**quick, sequence=sequence)
    results = cutter.map([first, b"no picture", second])
    assert isinstance(next(results), Cutout)
    with pytest.raises(ImageReadError):
        next(results)
    one, other, three = cutter.map([first, b"no picture", second], errors="return")
    assert isinstance(one, Cutout)
    assert isinstance(other, ImageReadError)
    assert isinstance(three, Cutout)


def test_one_cutter_for_many_threads(quick: dict[str, Any]) -> None:
    given = photos(4)
    cutter = Cutter(**quick)
    expected = [cutter(photo).alpha for photo in given]
    wrong: list[object] = []

    def work(i: int) -> None:
        for _ in range(3):
            try:
                result = cutter(given[i])
                if not np.array_equal(result.alpha, expected[i]):
                    wrong.append(i)
            except Exception as error:
                wrong.append(error)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_reports_of_threads_are_not_mixed_up(quick: dict[str, Any]) -> None:
    """Each says of its own solve alone whether it converged, and the filters of warnings are as before."""
    before = list(warnings.filters)
    loose, hopeless = Cutter(**quick), Cutter(**quick, converged=False)
    given = photos(4)
    results: dict[int, list[list[str]]] = {0: [], 1: []}

    def work(which: int) -> None:
        for photo in given:
            results[which].append((loose, hopeless)[which](photo).report.warnings)

    threads = [threading.Thread(target=work, args=(i,)) for i in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not any("converged" in text for told in results[0] for text in told)
    assert all(any("converged" in text for text in told) for told in results[1])
    assert list(warnings.filters) == before


def test_what_is_costly_is_made_ready_once(plug_in: PlugIn, quick: dict[str, Any], tmp_path: Path) -> None:
    code = f"""
import numpy as np

def build():
    with open({str(tmp_path / "built")!r}, "a") as file:
        file.write("x")
    return lambda image: np.clip(3 * image.mean(axis=2) - 1, 0, 1).astype(np.float32)
"""
    cutter = Cutter(**{**quick, "segmenter": plug_in("costly", code)})
    assert (tmp_path / "built").read_text() == "x"
    list(cutter.map(photos(3), workers=2))
    assert (tmp_path / "built").read_text() == "x"


def test_where_kernels_take_turns_threads_do(quick: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trimatte.runtime.jit.takes_turns", lambda: True)
    cutter = Cutter(**quick)
    now, most = 0, 0

    def cutout(photo: object, **options: object) -> None:
        nonlocal now, most
        now += 1
        most = max(most, now)
        threading.Event().wait(0.01)
        now -= 1

    monkeypatch.setattr("trimatte.cutter.cutout", cutout)
    list(cutter.map(range(8), workers=4))
    assert most == 1


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"method": "none"}, "method: "),
        ({"segmenter": "none"}, "segmenter: "),
        ({"method": "shared", "sequence": True}, "sequence: "),
        ({"unheard_of": 1}, "unheard_of"),
    ],
)
def test_what_fits_no_photo_is_told_at_once(options: dict[str, object], words: str) -> None:
    with pytest.raises(ArgumentError, match=words):
        Cutter(**options)


@pytest.mark.parametrize("options", [{"workers": 0}, {"errors": "ignore"}])
def test_what_map_does_not_take(options: dict[str, object], quick: dict[str, Any]) -> None:
    with pytest.raises(ArgumentError):
        Cutter(**quick).map([], **options)


def test_strict_is_for_photos_and_not_for_what_warms_up(quick: dict[str, Any], photo: np.ndarray) -> None:
    cutter = Cutter(**quick, strict=True)
    with pytest.raises(TrimatteError, match="no subject"):
        cutter(np.zeros_like(photo))


def test_frames_of_a_sequence_keep_what_has_not_changed(bright: str) -> None:
    (photo,) = photos(1)
    other = photo.copy()
    other[:, 50:] += 20  # far from the disc
    results = list(Cutter(segmenter=bright, sequence=True).map([photo, photo, other, photo[:, 5:]]))
    assert [result.report.alpha.unknown > 0 for result in results] == [True, False, False, True]
    np.testing.assert_array_equal(results[1].alpha, results[0].alpha)
    assert results[3].alpha.shape == (40, 51)


WILD = """
import numpy as np

def build():
    def find(image):
        if image.mean() < 0.1:
            raise ZeroDivisionError("who foresaw this")
        return np.clip(3 * image.mean(axis=2) - 1, 0, 1).astype(np.float32)
    return find
"""


def test_an_unforeseen_error_of_one_photo_does_not_lose_the_others(plug_in: PlugIn, quick: dict[str, Any]) -> None:
    cutter = Cutter(**{**quick, "segmenter": plug_in("wild", WILD)})
    given = [photos(1)[0], np.zeros((40, 56, 3), np.uint8), photos(1)[0]]
    one, other, three = cutter.map(given, errors="return")
    assert isinstance(one, Cutout)
    assert isinstance(three, Cutout)
    assert type(other) is TrimatteError
    assert str(other) == "unexpected ZeroDivisionError: who foresaw this"
    with pytest.raises(ZeroDivisionError, match="foresaw"):
        list(cutter.map(given))
