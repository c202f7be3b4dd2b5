"""Which picture goes where."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from trimatte.batch.jobs import plan
from trimatte.errors import ArgumentError


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of photos, as the current one."""
    for name in ("a.jpg", "b.PNG", "in/c.webp", "in/deep/d.jpeg", "in/.git/e.jpg", "in/readme.txt"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def pairs(inputs: list[str], out: str | None, **options: object) -> list[tuple[str, str]]:
    jobs = plan(inputs, out, **{"suffix": ".png", "tag": "-cutout", **options})
    assert not any(job.problem for job in jobs)
    return [(job.source, job.target) for job in jobs]


@pytest.mark.usefixtures("folder")
def test_where_results_go() -> None:
    join = os.path.join
    assert pairs(["a.jpg"], None) == [("a.jpg", "a.png")]
    assert pairs(["b.PNG"], None) == [("b.PNG", "b-cutout.png")]
    assert pairs(["b.PNG"], None, suffix=".webp") == [("b.PNG", "b.webp")]
    assert pairs(["a.jpg"], None, always_tag=True) == [("a.jpg", "a-cutout.png")]
    assert pairs(["a.jpg"], "x.webp") == [("a.jpg", "x.webp")]
    assert pairs(["a.jpg"], "in") == [("a.jpg", join("in", "a.png"))]
    assert pairs(["a.jpg"], "new/") == [("a.jpg", join("new", "a.png"))]
    assert pairs(["a.jpg", "b.PNG"], "new") == [("a.jpg", join("new", "a.png")), ("b.PNG", join("new", "b.png"))]
    assert pairs(["in"], "new") == [
        (join("in", "c.webp"), join("new", "c.png")),
        (join("in", "deep", "d.jpeg"), join("new", "deep", "d.png")),
    ]
    assert pairs(["-"], None) == [("-", "-")]
    assert pairs(["-"], "x.png") == [("-", "x.png")]
    assert pairs(["a.jpg"], "-") == [("a.jpg", "-")]


def test_an_output_folder_inside_the_input_folder_is_not_searched(folder: Path) -> None:
    (folder / "in" / "out").mkdir()
    (folder / "in" / "out" / "other.png").write_bytes(b"x")
    assert len(pairs(["in"], "in/out")) == 2


@pytest.mark.usefixtures("folder")
def test_companions_are_protected_too() -> None:
    Path("a-sheet.png").write_bytes(b"x")
    (job, other) = plan(["a.jpg", "a-sheet.png"], None, suffix=".png", tag="-cutout", companions=["-sheet.png"])
    assert "overwritten" in job.problem
    assert not other.problem


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("inputs", "out"),
    [(["a.jpg", "b.PNG"], "-"), (["in"], "-"), (["a.jpg", "-"], None), (["in"], "a.jpg"), (["in"], "new.png")],
)
def test_what_does_not_go_together(inputs: list[str], out: str | None) -> None:
    with pytest.raises(ArgumentError, match="out: "):
        plan(inputs, out, suffix=".png", tag="-cutout")


@pytest.mark.usefixtures("folder")
def test_what_is_not_read_stands_among_the_jobs_and_takes_no_name() -> None:
    Path("in/c.cr2").write_bytes(b"x")
    jobs = {job.source: job for job in plan(["in"], "new", suffix=".png", tag="-cutout")}
    raw = jobs[os.path.join("in", "c.cr2")]
    assert "raw photo" in raw.problem
    assert raw.target == ""
    assert not jobs[os.path.join("in", "c.webp")].problem
    Path("raw").mkdir()
    Path("raw/a.nef").write_bytes(b"x")
    assert [bool(job.problem) for job in plan(["raw"], "new", suffix=".png", tag="-cutout")] == [True]
