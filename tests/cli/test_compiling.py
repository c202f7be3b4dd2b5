"""That kernels are being compiled is shown on a terminal, and another process takes a part."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import numpy as np
import pytest

from trimatte.alpha import shared
from trimatte.cli import _compiling
from trimatte.cli._compiling import shown_compiling
from trimatte.runtime import compiling, threads


class Helper:
    """A process that compiles along, as far as it is seen from here."""

    def __init__(self, *arguments: object, **options: object) -> None:
        self.ends: list[str] = []
        started.append(self)

    def kill(self) -> None:
        self.ends.append("killed")

    def wait(self) -> None:
        self.ends.append("waited for")


started: list[Helper] = []


@pytest.fixture(autouse=True)
def helpers(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Helper]]:
    """The processes that were started."""
    monkeypatch.setattr("subprocess.Popen", Helper)
    monkeypatch.setattr(threads, "available_threads", lambda: 2)
    yield started
    started.clear()


def test_a_terminal_shows_how_far_it_is(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    with shown_compiling(usual=False):
        compiling.announce("_first")
        compiling.announce("_second")
    shown = capsys.readouterr().err.replace("\x1b[K", "").split("\r")
    total = max(2, len(compiling.kernels))
    assert shown == ["", f"compiling kernels, once: 1 of {total}", f"compiling kernels, once: 2 of {total}", ""]


def test_nothing_is_shown_where_there_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with shown_compiling(usual=True):
        compiling.announce("_first")
    compiling.announce("_later")
    assert capsys.readouterr().err == ""


def test_the_usual_way_is_compiled_by_two_processes(helpers: list[Helper]) -> None:
    with shown_compiling(usual=True):
        assert not helpers
        compiling.announce("_first")
        compiling.announce("_second")
        assert [helper.ends for helper in helpers] == [[]]
    assert [helper.ends for helper in helpers] == [["killed", "waited for"]]


def test_no_other_process_without_a_processor_for_it_nor_on_other_ways(
    monkeypatch: pytest.MonkeyPatch, helpers: list[Helper]
) -> None:
    with shown_compiling(usual=False):
        compiling.announce("_first")
    monkeypatch.setattr(threads, "available_threads", lambda: 1)
    with shown_compiling(usual=True):
        compiling.announce("_first")
    assert not helpers


def test_what_the_other_process_compiles_is_what_pictures_need(photo: np.ndarray, trimap: np.ndarray) -> None:
    from trimatte import estimate_alpha, estimate_foreground
    from trimatte.foreground import multilevel

    _compiling.main()
    last = [shared._smooth, shared._refine]
    colours = [multilevel._mixed, multilevel._add_up, multilevel._start_level, multilevel._sweep]
    before = [list(kernel.signatures) for kernel in (*last, *colours)]  # type: ignore[attr-defined]
    assert all(before)
    matte = estimate_alpha(photo, trimap, method="light")
    estimate_foreground(photo, matte.alpha)
    assert [list(kernel.signatures) for kernel in (*last, *colours)] == before  # type: ignore[attr-defined]
    assert [len(kernel.signatures) for kernel in last] == [1, 1]  # type: ignore[attr-defined]  # whatever ran before
