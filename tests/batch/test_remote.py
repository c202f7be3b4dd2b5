"""Batches from and to addresses, in memory and on an S3 server of this machine."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from toy_batch import command, wait_for

from toy_pool import ThisProcess
from trimatte.batch import BatchSummary, lease, manifest, run_batch
from trimatte.batch.lease import leased
from trimatte.batch.plan import relative
from trimatte.batch.review import write_review
from trimatte.batch.run import plan_batch
from trimatte.errors import ArgumentError, ImageReadError, ImageWriteError, MissingExtraError
from trimatte.files import store
from trimatte.files.addresses import is_remote, join, plain, reach

fsspec = pytest.importorskip("fsspec")
Batch = Callable[..., BatchSummary]


@pytest.mark.parametrize(
    ("address", "remote", "file"),
    [
        ("photos", False, "photos/in/a.jpg"),
        ("C://photos", False, "C://photos/in/a.jpg"),
        ("file:///photos", False, "/photos/in/a.jpg"),
        ("s3://bucket/photos/", True, "s3://bucket/photos/in/a.jpg"),
        ("memory://", True, "memory://in/a.jpg"),
        ("zip://inner::s3://bucket/a.zip", True, "zip://inner/in/a.jpg::s3://bucket/a.zip"),
        ("zip::s3://bucket/a.zip", True, "zip://in/a.jpg::s3://bucket/a.zip"),
    ],
)
def test_addresses(address: str, remote: bool, file: str) -> None:
    assert is_remote(address) == remote
    assert join(plain(address), "in/a.jpg") == file
    if "::" not in address:
        assert relative(file, plain(address)) == "in/a.jpg"


def test_what_nothing_reaches(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ArgumentError, match="nonsense"):
        reach("nonsense://bucket")
    monkeypatch.setitem(sys.modules, "gcsfs", None)
    with pytest.raises(MissingExtraError, match="install gcsfs"):
        reach("gs://bucket")
    monkeypatch.setitem(sys.modules, "fsspec", None)
    with pytest.raises(MissingExtraError, match=r"trimatte\[dask\]"):
        reach("s3://bucket")


@pytest.fixture
def memory(photos: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A folder in memory with `photos` in it, and locks that are looked at often."""
    monkeypatch.setattr(lease, "BEAT", 0.1)
    monkeypatch.setattr(lease, "_LOOK", 0.15)
    monkeypatch.setattr(lease, "_PAUSE", 0.01)
    system = fsspec.filesystem("memory")
    upload(photos, "memory://photos")
    yield "memory://photos"
    system.rm("/", recursive=True)


def upload(folder: Path, address: str) -> None:
    for path in folder.rglob("*.*"):
        store.write(join(address, path.relative_to(folder).as_posix()), path.read_bytes())


def download(address: str) -> dict[str, bytes]:
    """The contents of all results."""
    system, base = reach(address)
    paths = [path for path in system.find(base) if path.endswith(".png") and "/.trimatte/" not in path]
    return {path[len(base) + 1 :]: system.cat_file(path) for path in paths}


@pytest.fixture
def batch(memory: str, quick: str) -> Batch:
    """Cut the photos in memory out into memory://out."""
    usual = {"segmenter": quick, "method": quick, "foreground": "keep"}

    def run(source: str | Path = memory, out: str | Path = "memory://out", **options: Any) -> BatchSummary:
        return run_batch(source, out, **{**usual, **options})

    return run


def check_consistent(source: str, out: str) -> None:
    """What the manifest says last of each picture is so, and nothing is left over."""
    last = {record["input"]: record for record in manifest.read_lines(out)}
    for name, record in last.items():
        assert record["done"]
        assert record["sha256"] == hashlib.sha256(store.read(join(source, name))).hexdigest()
        assert record["output_sha256"] == hashlib.sha256(store.read(join(out, record["output"]))).hexdigest()
    assert {record["output"] for record in last.values()} == set(download(out))
    assert store.matching(join(out, ".trimatte/staging"), "*") == []
    assert store.matching(join(out, ".trimatte"), "lock*") == []


def test_a_batch_elsewhere_is_that_of_this_machine(batch: Batch, photos: Path, memory: str, tmp_path: Path) -> None:
    summary = batch()
    assert (summary.total, summary.done, summary.failed) == (4, 4, {})
    check_consistent(memory, "memory://out")
    batch(photos, tmp_path / "out", workers=1)
    here = {path.relative_to(tmp_path / "out").as_posix(): path for path in (tmp_path / "out").rglob("*.png")}
    assert download("memory://out") == {name: path.read_bytes() for name, path in here.items()}
    ours = (tmp_path / "out/manifest.jsonl").read_text().splitlines()
    assert {record["input"]: sorted(record) for record in manifest.read_lines("memory://out")} == {
        record["input"]: sorted(record) for record in map(json.loads, ours)
    }


def test_only_what_is_new_or_has_changed_is_done_again(batch: Batch, memory: str) -> None:
    batch()
    again = batch()
    assert (again.done, again.unchanged) == (0, 4)
    store.write("memory://photos/d.jpg", store.read("memory://photos/in/b.jpg"))
    store.write("memory://photos/a.jpg", store.read("memory://photos/in/b.jpg"))
    store.remove("memory://out/in/b.png")
    retouched = store.read("memory://out/a.png.png")
    store.write("memory://out/in/deep/c.png", retouched)
    states = {task.name: state for task, state in plan_batch(memory, "memory://out", **OPTIONS)}
    assert states == {"a.jpg": "again", "a.png": "unchanged", "d.jpg": "again"} | {
        "in/b.jpg": "again",
        "in/deep/c.jpg": "kept",
    }
    third = batch()
    assert (third.done, third.unchanged, third.kept) == (3, 1, 1)
    assert store.read("memory://out/in/deep/c.png") == retouched
    assert len(download("memory://out")) == 5


OPTIONS = {"segmenter": "quick", "method": "quick", "foreground": "keep"}


def test_what_fails_is_listed_until_it_is_mended(batch: Batch) -> None:
    store.write("memory://photos/bad.jpg", b"no picture")
    summary = batch(sheet=True)
    assert summary.done == 4
    assert "not a picture" in summary.failed["bad.jpg"]
    listed = json.loads(store.read("memory://out/quarantine.jsonl"))
    assert listed == {"input": "bad.jpg", "error": summary.failed["bad.jpg"]}
    assert batch(sheet=True).failed == summary.failed
    store.remove("memory://photos/bad.jpg")
    store.remove("memory://out/in/b-sheet.png")
    assert batch(sheet=True).done == 1
    assert not store.exists("memory://out/quarantine.jsonl")


def test_a_manifest_goes_on_in_another_file_when_one_is_full(
    batch: Batch, memory: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(manifest, "RECORDS", 3)
    batch()
    names = [path.rpartition("/")[2] for path in store.matching("memory://out", "manifest*")]
    assert names == ["manifest.000001.jsonl", "manifest.000002.jsonl"]
    store.write("memory://out/manifest.000001.jsonl", b'{"torn": \n[]\n')
    summary = batch()
    assert (summary.done, summary.unchanged) == (3, 1)
    assert len(store.matching("memory://out", "manifest*")) == 3
    check_consistent(memory, "memory://out")


def test_results_inside_the_input_folder_are_no_inputs(batch: Batch) -> None:
    store.write("memory://photos/.hidden/a.jpg", b"")
    assert batch(out="memory://photos/out").done == 4
    assert batch(out="memory://photos/out").unchanged == 4


def test_results_that_cannot_be_put_in_place_fail(batch: Batch, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(source: str, target: str) -> None:
        raise ImageWriteError(f"cannot write {target!r}: no")

    with monkeypatch.context() as patch:
        patch.setattr(store, "move", refuse)
        assert batch().failed["a.jpg"] == "cannot write 'memory://out/a.jpg.png': no"
    assert batch(retry_failed=True).done == 4


def test_folders_that_do_not_go_together(batch: Batch, memory: str) -> None:
    for source, out, words in [
        (memory, "memory://photos/", "input folder itself"),
        ("memory://photos/in", memory, "holds the input folder"),
        (memory, "memory://out.png", "want a folder"),
        (memory, "zip://::memory://out.zip", "replaced one by one"),
        ("memory://empty", "memory://out", "holds no picture"),
    ]:
        with pytest.raises(ArgumentError, match=words):
            batch(source, out)


def test_a_watched_folder_elsewhere(batch: Batch, memory: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trimatte.batch.watch.SETTLED", 0.1)
    monkeypatch.setattr("trimatte.batch.local.TICK", 0.05)

    def interrupt_at_the_fifth(outcome: Any, summary: BatchSummary) -> None:
        if summary.done == 4:
            store.write("memory://photos/late.jpg", store.read("memory://photos/a.jpg"))
        if summary.done == 5:
            raise KeyboardInterrupt

    assert batch(watch=True, progress=interrupt_at_the_fifth).done == 5
    check_consistent(memory, "memory://out")


def test_the_page_for_review_links_to_where_the_pictures_are(batch: Batch, photos: Path) -> None:
    batch(photos)
    assert write_review(str(photos), "memory://out") == "memory://out/review.html"
    page = store.read("memory://out/review.html").decode()
    assert 'href="in/deep/c.png"' in page
    assert f'href="{photos}/in/deep/c.jpg"' in page
    assert store.read("memory://out/review.jpg").startswith(b"\xff\xd8")


def others_lock(name: str = "lock", **about: Any) -> str:
    address = f"memory://out/.trimatte/{name}"
    store.write(address, json.dumps({"token": "x", "machine": "another", "process": 1, "beat": 0} | about).encode())
    return address


def test_a_second_run_is_refused_while_the_first_lives(batch: Batch, monkeypatch: pytest.MonkeyPatch) -> None:
    address, ended = others_lock(), threading.Event()

    def beat() -> None:
        count = 0
        while not ended.wait(0.05):
            others_lock(beat=(count := count + 1))

    other = threading.Thread(target=beat)
    other.start()
    try:
        with pytest.raises(ArgumentError, match="another run is writing"):
            batch()
        with pytest.raises(ArgumentError, match="another run is writing"):
            batch(shard="1/2")
    finally:
        ended.set()
        other.join()
    monkeypatch.setattr(lease, "DEAD", 0.6)
    with leased("memory://out/.trimatte", "lock", "lock*", "no"):  # once it is dead
        monkeypatch.setattr(lease, "DEAD", 60)
    assert batch().done == 4
    assert not store.exists(address)


def test_the_lock_of_a_process_that_is_no_more_is_taken_at_once(batch: Batch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "DEAD", 1e9)
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    others_lock(machine=lease._machine(), process=gone.pid)
    assert batch().done == 4
    store.write("memory://out/.trimatte/lock", b"damaged")
    monkeypatch.setattr(lease, "DEAD", 0.2)
    assert batch().unchanged == 4


def test_a_run_whose_lock_was_taken_over_writes_nothing_more(batch: Batch) -> None:
    def take_over(outcome: Any, summary: BatchSummary) -> None:
        while any(thread.name == "lease" for thread in threading.enumerate()):  # a beat may write over it once
            others_lock()
            time.sleep(0.01)

    with pytest.raises(ImageWriteError, match="taken it over"):
        batch(progress=take_over)
    assert len(download("memory://out")) == 1
    assert json.loads(store.read("memory://out/.trimatte/lock"))["token"] == "x"


def test_of_two_that_come_at_the_same_time_only_one_stays(memory: str, monkeypatch: pytest.MonkeyPatch) -> None:
    held, refused, both, beat = [], threading.Event(), threading.Barrier(2), lease._beat

    def beat_together(address: str, token: str, count: int) -> None:
        if count == 0:
            both.wait()  # neither has seen the other
        beat(address, token, count)
        if count == 0:
            both.wait()

    monkeypatch.setattr(lease, "_beat", beat_together)

    def come() -> None:
        try:
            with leased("memory://out/.trimatte", "lock", "lock*", "no"):
                held.append(1)
                refused.wait(60)
        except ArgumentError:
            refused.set()

    threads = [threading.Thread(target=come) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(held), refused.is_set()) == (1, True)


def test_shards_elsewhere(batch: Batch, memory: str) -> None:
    parts = [batch(shard=f"{i}/3") for i in (1, 2, 3)]
    assert sum(part.done for part in parts) == 4
    assert batch().unchanged == 4
    check_consistent(memory, "memory://out")


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A bucket of an S3 server on this machine, which worker processes find by the environment."""
    server_module = pytest.importorskip("moto.server")
    s3fs = pytest.importorskip("s3fs")
    server = server_module.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    s3fs.S3FileSystem.clear_instance_cache()
    name = f"bucket-{uuid.uuid4()}"
    s3fs.S3FileSystem().mkdir(name)
    yield f"s3://{name}"
    server.stop()
    s3fs.S3FileSystem.clear_instance_cache()


@pytest.mark.cluster
def test_on_s3_with_worker_processes_killed_and_resumed(
    bucket: str, photos: Path, tmp_path: Path, with_plug_ins: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, out = f"{bucket}/photos/", f"{bucket}/cut"
    upload(photos, f"{bucket}/photos")
    alone = [*command(source, out, with_plug_ins), "--workers", "1"]
    process = subprocess.Popen(alone, stderr=subprocess.PIPE)
    wait_for(lambda: bool(store.matching(out, "*.png")), process)
    process.kill()
    process.communicate()
    done = subprocess.run(command(source, out, with_plug_ins), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    check_consistent(f"{bucket}/photos", out)
    names = set(download(out))
    assert names == {"a.jpg.png", "a.png.png", "in/b.png", "in/deep/c.png"}
    monkeypatch.setattr("trimatte.batch.local.Pool", ThisProcess)
    usual = {"segmenter": with_plug_ins, "method": with_plug_ins, "foreground": "keep"}
    again = run_batch(source, out, **usual)
    assert (again.done, again.unchanged) == (0, 4)
    assert run_batch(photos, tmp_path / "out", **usual).done == 4
    assert download(out) == {name: (tmp_path / "out" / name).read_bytes() for name in names}


@pytest.mark.cluster
def test_a_server_that_does_not_answer_and_a_bucket_that_is_not_there(
    bucket: str, quick: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import s3fs

    with pytest.raises((ArgumentError, ImageReadError), match="nowhere"):
        run_batch("s3://nowhere/photos", f"{bucket}/cut", segmenter=quick)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    monkeypatch.setattr(s3fs.S3FileSystem, "retries", 1)
    s3fs.S3FileSystem.clear_instance_cache()
    with pytest.raises(ImageReadError, match=f"cannot read '{bucket}/photos'"):
        run_batch(f"{bucket}/photos", f"{bucket}/cut", segmenter=quick)


def test_no_signal_is_sent_where_a_question_would_be_one(monkeypatch: pytest.MonkeyPatch) -> None:
    about = json.dumps({"machine": lease._machine(), "process": 1}).encode()
    monkeypatch.setattr(signal, "CTRL_C_EVENT", 0, raising=False)  # as on Windows, where os.kill(n, 0) sends it
    monkeypatch.setattr(os, "kill", lambda *_: pytest.fail("a signal was sent"))
    assert not lease._is_of_the_dead(about)
