"""A watched folder: pictures are read once they are there as a whole, and fail only after some patience."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from toy_batch import write_photo

from toy_pool import ThisProcess
from trimatte.batch import BatchSummary, run_batch
from trimatte.batch.tasks import Outcome, Settings, Task, perform
from trimatte.batch.watch import PATIENCE, SETTLED, Watch
from trimatte.runtime.measure import KEPT_BYTES


class Folder:
    """Files with marks that change with their content, and the time."""

    def __init__(self) -> None:
        self.now = 0.0
        self.marks: dict[str, int] = {}
        self.watch = Watch(lambda: list(self.marks), self.signatures, clock=lambda: self.now)
        self.rounds = iter(self.watch)

    def signatures(self, names: Sequence[str]) -> dict[str, tuple[Any, ...]]:
        return {name: (self.marks[name],) for name in names}

    def after(self, seconds: float) -> list[tuple[str, bool]]:
        self.now += seconds
        return next(self.rounds)


def test_a_picture_is_read_once_it_has_stayed_the_same() -> None:
    folder = Folder()
    assert folder.after(0) == []
    folder.marks["a"] = 1
    assert folder.after(SETTLED) == []
    folder.marks["a"] = 2
    assert folder.after(SETTLED) == []
    assert folder.after(SETTLED) == [("a", True)]
    assert folder.after(10 * PATIENCE) == []
    folder.marks["a"] = 3
    assert folder.after(SETTLED) == []
    assert folder.after(SETTLED / 2) == []
    assert folder.after(SETTLED / 2) == [("a", True)]


def test_one_that_cannot_be_read_is_read_again_when_it_changes_or_after_long() -> None:
    folder = Folder()
    folder.marks["a"] = folder.marks["b"] = 1
    folder.after(0)
    assert folder.after(SETTLED) == [("a", True), ("b", True)]
    folder.watch.unfinished |= {"a": "truncated", "b": "truncated"}
    folder.marks["a"] = 2
    assert folder.after(SETTLED) == []
    assert folder.after(SETTLED) == [("a", True)]
    assert folder.watch.unfinished == {"b": "truncated"}
    assert folder.after(PATIENCE) == [("b", False)]
    assert folder.watch.unfinished == {}
    assert folder.after(PATIENCE) == []


def test_one_that_goes_away_is_not_waited_for() -> None:
    folder = Folder()
    folder.marks["a"] = 1
    folder.after(0)
    folder.after(SETTLED)
    folder.watch.unfinished["a"] = "truncated"
    del folder.marks["a"]
    assert folder.after(SETTLED) == []
    assert folder.watch.unfinished == {}


@given(st.lists(st.tuples(st.floats(0.1, 100), st.booleans()), max_size=30))
def test_no_picture_is_given_up_within_patience_of_its_last_change(steps: list[tuple[float, bool]]) -> None:
    folder, changed = Folder(), 0.0
    folder.marks["a"] = 0
    folder.after(0)
    for seconds, changes in steps:
        if changes:
            folder.marks["a"] += 1
            changed = folder.now
        for name, arriving in folder.after(seconds):
            assert folder.now - changed >= SETTLED
            assert arriving or folder.now - changed >= PATIENCE
            folder.watch.unfinished[name] = "truncated"


@pytest.fixture
def photo(tmp_path: Path) -> bytes:
    write_photo(tmp_path / "whole.jpg")
    return (tmp_path / "whole.jpg").read_bytes()


PARTS: dict[str, Callable[[bytes], bytes]] = {
    "slow": lambda whole: whole[: len(whole) // 2],
    "preallocated": lambda whole: whole[: len(whole) // 2].ljust(len(whole), b"\0"),
    "all zeros": lambda whole: bytes(len(whole)),
    "empty": lambda whole: b"",
}


@pytest.mark.parametrize("part", PARTS)
def test_a_part_of_a_picture_is_unfinished_while_it_arrives(
    tmp_path: Path, photo: bytes, quick: str, part: str
) -> None:
    settings = Settings.of({"segmenter": quick, "method": quick, "foreground": "keep", "format": "png"})
    source = tmp_path / "part.jpg"
    source.write_bytes(PARTS[part](photo))
    task = Task("part.jpg", "part.png", str(source), "", str(tmp_path / "0.png"), arriving=True)
    outcome = perform(task, settings, lambda size: None)
    assert (outcome.state, outcome.record) == ("unfinished", {})
    assert outcome.error
    source.write_bytes(photo)
    assert perform(task, settings, lambda size: None).state == "done"


class Arriving(ThisProcess):
    """After a picture that was unfinished more of it arrives."""

    parts: tuple[bytes, ...] = ()

    def results(self, timeout: float) -> Iterator[Outcome]:
        for outcome in super().results(timeout):
            if outcome.state == "unfinished" and self.parts:
                Path(outcome.task.source).write_bytes(self.parts[0])
                self.parts = self.parts[1:]
            yield outcome


@pytest.fixture
def watched(
    tmp_path: Path, quick: str, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., tuple[list[str], BatchSummary]]:
    """Watch a folder into which one picture arrives in parts, until something becomes of it."""

    def run(*parts: bytes, patience: float = 1e9) -> tuple[list[str], BatchSummary]:
        (tmp_path / "photos").mkdir()
        (tmp_path / "photos" / "a.jpg").write_bytes(parts[0])
        monkeypatch.setattr(Arriving, "parts", parts[1:])
        monkeypatch.setattr("trimatte.batch.local.Pool", Arriving)
        monkeypatch.setattr("trimatte.batch.watch.SETTLED", 0.01)
        monkeypatch.setattr("trimatte.batch.watch.PATIENCE", patience)
        states: list[str] = []

        def interrupt(outcome: Outcome, summary: BatchSummary) -> None:
            states.append(outcome.state)
            raise KeyboardInterrupt

        options = {"segmenter": quick, "method": quick, "foreground": "keep", "watch": True, "progress": interrupt}
        return states, run_batch(tmp_path / "photos", tmp_path / "out", **options)

    return run


def test_a_picture_that_arrives_in_parts_never_fails(watched: Any, photo: bytes, tmp_path: Path) -> None:
    states, summary = watched(*(part(photo) for part in PARTS.values()), photo)
    assert states == ["done"]
    assert not summary.failed
    assert (tmp_path / "out" / "manifest.jsonl").read_text().count("\n") == 1


def test_a_picture_that_stays_damaged_fails_in_the_end(watched: Any, photo: bytes) -> None:
    states, summary = watched(photo[:-100], patience=0.05)
    assert states == ["failed"]
    assert "cannot read" in summary.failed["a.jpg"]


def test_what_has_not_arrived_when_the_watch_ends_has_failed(
    watched: Any, photo: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = Watch.whole

    def end_at_an_unfinished_one(watch: Watch, outcomes: Sequence[Outcome]) -> list[Outcome]:
        assert whole(watch, outcomes) == []
        raise KeyboardInterrupt

    monkeypatch.setattr(Watch, "whole", end_at_an_unfinished_one)
    states, summary = watched(photo[:-100])
    assert states == []
    assert "had not arrived as a whole: cannot read" in summary.failed["a.jpg"]


def test_what_has_arrived_and_is_damaged_fails_at_once(tmp_path: Path, photo: bytes, quick: str) -> None:
    settings = Settings.of({"segmenter": quick, "method": quick, "format": "png"})
    (tmp_path / "a.jpg").write_bytes(photo[:-100])
    task = Task("a.jpg", "a.png", str(tmp_path / "a.jpg"), "", str(tmp_path / "0.png"))
    assert perform(task, settings, lambda size: None).state == "failed"


def test_each_picture_gives_back_what_it_left(
    tmp_path: Path, photo: bytes, quick: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    bounds: list[int] = []
    monkeypatch.setattr("trimatte.batch.tasks.give_back_memory", lambda *, above: bounds.append(above))
    settings = Settings.of({"segmenter": quick, "method": quick, "foreground": "keep", "format": "png"})
    states = []
    for content in (photo, b"no picture"):
        (tmp_path / "a.jpg").write_bytes(content)
        task = Task("a.jpg", "a.png", str(tmp_path / "a.jpg"), "", str(tmp_path / "0.png"))
        states.append(perform(task, settings, lambda size: None).state)
    assert states == ["done", "failed"]
    assert bounds == [KEPT_BYTES, KEPT_BYTES]
