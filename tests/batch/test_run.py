"""A batch: every picture is done once, whatever happens meanwhile."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from toy_batch import KILLER, RASCAL, RASCALS, command, wait_for, wait_until, write_photo

from toy_pool import ThisProcess
from trimatte.batch import BatchSummary, run_batch
from trimatte.batch.run import plan_batch
from trimatte.batch.tasks import Outcome, Task
from trimatte.errors import ArgumentError, ImageWriteError

pytestmark = pytest.mark.cluster
Batch = Callable[..., BatchSummary]
PlugIn = Callable[[str, str], str]


@pytest.fixture
def in_processes(photos: Path, tmp_path: Path, quick: str) -> Batch:
    """Cut `photos` out into `out`."""
    usual = {"segmenter": quick, "method": quick, "foreground": "keep", "workers": 1}

    def run(source: Path = photos, out: Path = tmp_path / "out", **options: Any) -> BatchSummary:
        return run_batch(source, out, **{**usual, **options})

    return run


@pytest.fixture
def batch(in_processes: Batch, monkeypatch: pytest.MonkeyPatch) -> Batch:
    """The same without worker processes."""
    monkeypatch.setattr("trimatte.batch.local.Pool", ThisProcess)
    return in_processes


def results(out: Path) -> dict[str, bytes]:
    found = (path for path in out.rglob("*.png") if ".trimatte" not in path.parts)
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in found}


def records(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "manifest.jsonl").read_bytes().splitlines()]


def check_consistent(source: Path, out: Path) -> None:
    """What the manifest says last of each picture is so."""
    last = {record["input"]: record for record in records(out)}
    assert len({record["output"] for record in last.values()}) == len(last)
    for name, record in last.items():
        assert record["done"]
        assert record["sha256"] == hashlib.sha256((source / name).read_bytes()).hexdigest()
        assert record["output_sha256"] == hashlib.sha256((out / record["output"]).read_bytes()).hexdigest()


def test_each_picture_has_its_result_and_its_record(in_processes: Batch, photos: Path, tmp_path: Path) -> None:
    before = {path: path.read_bytes() for path in photos.rglob("*.*")}
    summary = in_processes()
    out = tmp_path / "out"
    assert (summary.total, summary.done, summary.failed) == (4, 4, {})
    assert set(results(out)) == {"a.jpg.png", "a.png.png", "in/b.png", "in/deep/c.png"}
    check_consistent(photos, out)
    assert records(out)[0]["report"]["segmenter"] == "quick"
    assert {path: path.read_bytes() for path in photos.rglob("*.*")} == before
    assert not (out / "quarantine.jsonl").exists()


def test_only_what_is_new_or_has_changed_is_done_again(batch: Batch, photos: Path, tmp_path: Path) -> None:
    batch()
    again = batch()
    assert (again.done, again.unchanged) == (0, 4)
    write_photo(photos / "a.jpg", seed=10)
    write_photo(photos / "d.jpg", seed=11)
    (tmp_path / "out/in/b.png").unlink()
    third = batch()
    assert (third.done, third.unchanged) == (3, 2)
    other = batch(band_pixels=3.0)
    assert (other.done, other.unchanged) == (5, 0)
    check_consistent(photos, tmp_path / "out")


def test_a_damaged_result_is_made_anew_and_a_retouched_one_kept(batch: Batch, tmp_path: Path) -> None:
    batch()
    torn, retouched = tmp_path / "out/in/b.png", tmp_path / "out/in/deep/c.png"
    whole = torn.read_bytes()
    torn.write_bytes(whole[:-5])
    Image.new("RGBA", (5, 5)).save(retouched)
    mine = retouched.read_bytes()
    told: list[Outcome] = []
    summary = batch(progress=lambda outcome, summary: told.append(outcome))
    assert (summary.done, summary.kept, summary.unchanged) == (1, 1, 2)
    assert torn.read_bytes() == whole
    assert retouched.read_bytes() == mine
    assert any("changed since" in text for outcome in told for text in outcome.told)


def test_how_many_there_are_is_told_before_the_first(batch: Batch) -> None:
    told = list[Any]()
    batch(begun=lambda summary: told.append((summary.total, summary.count)), progress=lambda *_: told.append("done"))
    assert told == [(4, 0), *["done"] * 4]


def test_a_manifest_that_is_cut_in_a_line_or_lost_costs_work_but_nothing_else(
    batch: Batch, photos: Path, tmp_path: Path
) -> None:
    batch()
    manifest, before = tmp_path / "out/manifest.jsonl", results(tmp_path / "out")
    manifest.write_bytes(manifest.read_bytes()[:-50])
    assert batch().unchanged == 3
    assert b"".join(manifest.read_bytes().splitlines(keepends=True)[3:]).count(b"\n") == 1
    manifest.write_bytes(b"\xff no json\n" + manifest.read_bytes().splitlines(keepends=True)[0])
    assert batch().unchanged == 1
    manifest.unlink()
    assert batch().done == 4
    assert results(tmp_path / "out") == before
    check_consistent(photos, tmp_path / "out")


def test_bad_pictures_are_listed_and_not_tried_again_unless_asked(batch: Batch, photos: Path, tmp_path: Path) -> None:
    (photos / "bad.jpg").write_bytes(b"no picture")
    summary = batch()
    assert summary.done == 4
    assert "not a picture" in summary.failed["bad.jpg"]
    quarantine = tmp_path / "out/quarantine.jsonl"
    assert json.loads(quarantine.read_text()) == {"input": "bad.jpg", "error": summary.failed["bad.jpg"]}
    count = len(records(tmp_path / "out"))
    assert batch().failed == summary.failed
    assert len(records(tmp_path / "out")) == count
    assert batch(retry_failed=True).failed == summary.failed
    assert len(records(tmp_path / "out")) == count + 1
    write_photo(photos / "bad.jpg")
    assert batch().failed == {}
    assert not quarantine.exists()


def test_a_picture_that_gets_its_workers_killed_is_given_up_and_the_others_are_done(
    in_processes: Batch, photos: Path, tmp_path: Path, plug_in: PlugIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries = tmp_path / "tries"
    monkeypatch.setenv("TRIES", str(tries))
    write_photo(photos / "heavy.jpg", width=50)
    summary = in_processes(segmenter=plug_in("killer", KILLER), workers=2)
    assert summary.done == 4
    assert list(summary.failed) == ["heavy.jpg"]
    assert "killed by signal 9" in summary.failed["heavy.jpg"]
    assert tries.read_text() == "xxx"
    assert in_processes(segmenter="killer").failed == summary.failed
    assert tries.read_text() == "xxx"


@pytest.mark.parametrize("processes", [False, True])
def test_whatever_a_picture_does_the_others_are_done(
    processes: bool, request: pytest.FixtureRequest, photos: Path, tmp_path: Path, plug_in: PlugIn
) -> None:
    run = request.getfixturevalue("in_processes" if processes else "batch")
    name = plug_in("rascal", RASCAL)
    for width in [*RASCALS, 59]:
        write_photo(photos / f"{width}.jpg", width=width)
    summary = run(segmenter=name, method=name)
    assert summary.done == 5
    assert set(summary.failed) == {f"{width}.jpg" for width in RASCALS}
    for width, why in RASCALS.items():
        assert why in summary.failed[f"{width}.jpg"]
    by_name = {record["input"]: record for record in records(tmp_path / "out")}
    assert by_name["59.jpg"]["report"]["alpha"]["seconds"]["numpy"] == 1.5
    assert by_name["50.jpg"]["error"] == summary.failed["50.jpg"]
    assert run(segmenter=name, method=name).failed == summary.failed


FULL = """
import trimatte.files.atomic

def build():
    def full(*arguments):
        raise OSError(28, "No space left on device")
    trimatte.files.atomic.os.replace = full
    return lambda image: image.mean(axis=2)
"""


def test_a_full_disk_ends_the_batch_without_blaming_pictures(
    in_processes: Batch, tmp_path: Path, plug_in: PlugIn
) -> None:
    with pytest.raises(ImageWriteError, match="No space left on device"):
        in_processes(segmenter=plug_in("full", FULL))
    assert not results(tmp_path / "out")
    assert not (tmp_path / "out/manifest.jsonl").exists()
    assert in_processes().done == 4


def test_a_manifest_that_cannot_be_written_ends_the_batch(batch: Batch, tmp_path: Path) -> None:
    def fill(outcome: Outcome, summary: BatchSummary) -> None:
        (tmp_path / "out/manifest.jsonl").unlink()
        (tmp_path / "out/manifest.jsonl").symlink_to("/dev/full")

    with pytest.raises(ImageWriteError, match=r"manifest\.jsonl.*No space left"):
        batch(progress=fill)
    assert len(results(tmp_path / "out")) == 1


def test_two_runs_at_once_on_one_output_folder(batch: Batch, tmp_path: Path) -> None:
    def second(outcome: Outcome, summary: BatchSummary) -> None:
        with pytest.raises(ArgumentError, match="another run is writing"):
            batch()
        with pytest.raises(ArgumentError, match="another run is writing"):
            batch(shard="1/2")

    assert batch(progress=second).done == 4


def test_names_of_all_kinds(in_processes: Batch, photos: Path, tmp_path: Path) -> None:
    names = ["with space.jpg", "two\nlines.jpg", "“quotes” & 'more'.jpg", os.fsdecode(b"not-utf8-\xff.jpg")]
    for name in names:
        write_photo(photos / "in" / name)
    assert in_processes(shard="1/1").failed == {}
    out = tmp_path / "out"
    assert {record["input"] for record in records(out)} >= {f"in/{name}" for name in names}
    assert all((out / "in" / name).with_suffix(".png").is_file() for name in names)
    assert in_processes().unchanged == 8


def test_what_cannot_be_read_fails_and_nothing_waits_for_it(batch: Batch, photos: Path, tmp_path: Path) -> None:
    (photos / "gone.jpg").symlink_to(tmp_path / "nowhere.jpg")
    (photos / "loop.jpg").symlink_to(photos / "loop.jpg")
    os.mkfifo(photos / "pipe.jpg")
    (photos / "in" / "loop").symlink_to(photos)
    summary = batch()
    assert summary.done == 4
    assert set(summary.failed) == {"gone.jpg", "loop.jpg", "pipe.jpg"}
    assert f"it is a link to {str(tmp_path / 'nowhere.jpg')!r}, which is not there" in summary.failed["gone.jpg"]
    assert summary.failed["pipe.jpg"] == "it is not a regular file"
    assert summary.links == [str(photos / "in" / "loop")]


def test_a_folder_that_may_not_be_searched(batch: Batch, photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scan = os.scandir

    def forbidden(path: str) -> Any:
        if os.fspath(path).endswith("deep"):
            raise PermissionError(13, "Permission denied", path)
        return scan(path)

    monkeypatch.setattr("os.scandir", forbidden)  # the superuser may search anywhere
    assert batch().failed == {"in/deep": "cannot read the folder: Permission denied"}
    rehearsed = {task.name: (task.target, state) for task, state in plan_batch(photos, photos / "out")}
    assert rehearsed["in/deep"] == ("", "failed")


@pytest.mark.parametrize(("source", "out"), [("photos", "."), ("photos", "photos"), ("photos/in", "photos")])
def test_inputs_do_not_lie_among_outputs(
    batch: Batch, photos: Path, tmp_path: Path, source: str, out: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ArgumentError, match="out: "):
        batch(Path(source), Path(out))
    assert not (tmp_path / ".trimatte").exists()


def test_results_inside_the_input_folder_are_no_inputs(batch: Batch, photos: Path) -> None:
    for expected in ((4, 0), (0, 4)):
        summary = batch(out=photos / "done")
        assert (summary.done, summary.unchanged) == expected


def test_a_link_in_the_output_folder_does_not_lead_to_the_inputs(batch: Batch, photos: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out/in").symlink_to(photos / "in")
    (tmp_path / "out/a.jpg.png").symlink_to(photos / "a.png")
    before = results(photos)
    assert set(batch().failed) == {"a.jpg", "in/b.jpg", "in/deep/c.jpg"}
    assert results(photos) == before
    assert set(batch(force=True, retry_failed=True).failed) == {"in/b.jpg", "in/deep/c.jpg"}
    assert results(photos) == before
    assert not (tmp_path / "out/a.jpg.png").is_symlink()


def test_no_folder_and_no_picture(batch: Batch, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for name, words in (("empty", "holds no picture"), ("none", "no folder")):
        with pytest.raises(ArgumentError, match=words):
            batch(tmp_path / name)
    assert not (tmp_path / "out").exists()


def test_shards_do_every_picture_once_and_resume_from_each_other(batch: Batch, photos: Path, tmp_path: Path) -> None:
    for seed in range(8):
        write_photo(photos / f"more{seed}.jpg", seed)
    counts = [batch(shard=f"{i}/3").done for i in (1, 2, 3)]
    assert sum(counts) == 12
    assert max(counts) < 12
    whole = batch()
    assert (whole.done, whole.unchanged) == (0, 12)


@pytest.mark.parametrize("shard", ["0/2", "3/2", "1", "a/b", "1/0", "-1/2", "1/2/3"])
def test_bad_shards(batch: Batch, shard: str) -> None:
    with pytest.raises(ArgumentError, match="shard: "):
        batch(shard=shard)


def test_a_very_large_picture_is_done_alone(in_processes: Batch, photos: Path, tmp_path: Path) -> None:
    # Each picture is too large for the memory that is allowed: they are done one at a time, none is refused.
    assert in_processes(workers=2, max_memory=1).done == 4


def test_damaged_exif_data_is_no_reason_to_print_anything(batch: Batch, photos: Path) -> None:
    with Image.open(photos / "a.jpg") as image:
        image.save(photos / "odd.jpg", exif=b"Exif\0\0II*\0\x08\0\0\0\xff\xff" + bytes(range(64)))
    told: dict[str, tuple[str, ...]] = {}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        summary = batch(progress=lambda outcome, summary: told.update({outcome.task.name: outcome.told}))
    assert (summary.failed, caught) == ({}, [])
    assert any("EXIF" in text for text in told["odd.jpg"])


def test_a_sheet_for_each_picture(batch: Batch, photos: Path, tmp_path: Path) -> None:
    write_photo(photos / "in/b-sheet.jpg")
    assert batch(sheet=True).done == 5
    names = set(results(tmp_path / "out"))
    assert {"in/b-sheet.png", "in/b-sheet-sheet.png", "in/b.jpg.png", "in/b.jpg-sheet.png"} <= names
    (tmp_path / "out/in/b.jpg-sheet.png").unlink()
    assert batch(sheet=True).done == 1


def test_what_fits_no_picture_is_told_before_the_first(batch: Batch, tmp_path: Path) -> None:
    for options in ({"format": "jpeg"}, {"format": "gif"}, {"method": "none"}, {"segmenter": "none"}):
        with pytest.raises(ArgumentError):
            batch(**options)
    assert not (tmp_path / "out").exists()


def test_killed_at_any_moment_and_resumed_the_results_are_those_of_one_run(
    batch: Batch, photos: Path, tmp_path: Path, with_plug_ins: str
) -> None:
    for seed in range(12):
        write_photo(photos / f"more{seed}.jpg", seed)
    batch(out=tmp_path / "whole", band_pixels=None)
    out = tmp_path / "out"
    for there in (0, 5, 10):  # while nothing is done yet, and twice in the middle
        process = subprocess.Popen(command(photos, out, with_plug_ins), stdout=subprocess.DEVNULL)
        wait_until(lambda there=there: out.exists() and len(results(out)) >= there)
        process.send_signal(signal.SIGKILL)
        process.wait()
    done = subprocess.run(command(photos, out, with_plug_ins), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert results(out) == results(tmp_path / "whole")
    check_consistent(photos, out)
    assert not list((out / ".trimatte/staging").iterdir())


@pytest.mark.parametrize(("end", "late"), [(signal.SIGINT, ["late"]), (signal.SIGTERM, [])], ids=["SIGINT", "SIGTERM"])
def test_watching_takes_what_comes(
    photos: Path, tmp_path: Path, with_plug_ins: str, end: signal.Signals, late: list[str]
) -> None:
    out = tmp_path / "out"
    process = subprocess.Popen(
        [*command(photos, out, with_plug_ins), "--watch", "--workers", "1"], stderr=subprocess.PIPE
    )
    try:
        wait_for(lambda: len(results(out)) == 4, process)
        for name in late:
            write_photo(photos / f"{name}.jpg", 5)
            wait_for((out / f"{name}.png").exists, process)
        process.send_signal(end)
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.communicate()
    assert len(records(out)) == 4 + len(late)


def test_an_interrupt_ends_the_batch_in_order(photos: Path, tmp_path: Path, with_plug_ins: str) -> None:
    for seed in range(30):
        write_photo(photos / f"more{seed}.jpg", seed)
    process = subprocess.Popen(command(photos, tmp_path / "out", with_plug_ins), stderr=subprocess.PIPE, text=True)
    wait_for(lambda: len(results(tmp_path / "out")) > 1, process)
    process.send_signal(signal.SIGINT)
    assert "goes on" in process.communicate(timeout=20)[1]
    assert process.returncode == 130
    assert np.all([len(png) > 0 for png in results(tmp_path / "out").values()])


def test_the_time_of_making_leaves_out_what_was_done_before(batch: Batch) -> None:
    task, summary = Task("a.jpg", "a.png", "a.jpg", "a.png", "0.png"), BatchSummary()
    for seconds, state, took in ((30, "unchanged", 0), (34, "done", 3), (35, "done", 3), (60, "unchanged", 0)):
        summary.seconds = seconds
        summary.add(Outcome(task, state, took=took))
    assert (summary.done, summary.making) == (2, 4)
    first, again = batch(), batch()
    assert 0 < first.making <= first.seconds
    assert (again.done, again.making) == (0, 0)


def test_what_is_not_read_is_listed_and_counted(batch: Batch, photos: Path, tmp_path: Path) -> None:
    for name in ("a.nef", "in/x.psd", ".b.nef"):
        (photos / name).write_bytes(b"x")
    told: dict[str, str] = {}
    summary = batch(progress=lambda outcome, summary: told.update({outcome.task.name: outcome.error}))
    assert (summary.total, summary.done) == (6, 4)
    assert set(summary.failed) == {"a.nef", "in/x.psd"}
    assert "raw photo" in told["a.nef"]
    assert "Photoshop" in told["in/x.psd"]
    assert set(results(tmp_path / "out")) == {"a.jpg.png", "a.png.png", "in/b.png", "in/deep/c.png"}
    lines = (tmp_path / "out" / "quarantine.jsonl").read_bytes().splitlines()
    quarantine = [json.loads(line)["input"] for line in lines]
    assert quarantine == ["a.nef", "in/x.psd"]
    parts = [batch(out=tmp_path / "shards", shard=f"{i}/2").failed for i in (1, 2)]
    assert sorted(name for part in parts for name in part) == ["a.nef", "in/x.psd"]


def test_a_strangers_file_in_the_folder_of_results_is_kept(batch: Batch, photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    (out / "in").mkdir(parents=True)
    (out / "in" / "b.png").write_bytes(b"mine")
    states = {task.name: state for task, state in plan_batch(photos, out)}
    assert states["in/b.jpg"] == "taken"
    summary = batch()
    assert summary.done == 3
    assert set(summary.failed) == {"in/b.jpg"}
    assert "--force" in summary.failed["in/b.jpg"]
    assert (out / "in" / "b.png").read_bytes() == b"mine"
    assert batch().failed.keys() == {"in/b.jpg"}
    assert batch(force=True).failed == {}
    assert (out / "in" / "b.png").read_bytes() != b"mine"
    check_consistent(photos, out)
    (out / "manifest.jsonl").unlink()  # which told of what is ours; the files themselves do as well
    assert batch().done == 4
