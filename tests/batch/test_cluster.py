"""Batches on a Dask cluster of this machine."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from toy_batch import command, wait_for, wait_until, write_photo

from toy_pool import ThisProcess
from trimatte.batch import BatchSummary, run_batch
from trimatte.batch.cluster import _await_nanny, on_cluster
from trimatte.batch.queue import Queue
from trimatte.batch.tasks import Settings, Task
from trimatte.errors import ArgumentError, ClusterWarning, MissingExtraError, TrimatteError

distributed = pytest.importorskip("distributed")
dask = pytest.importorskip("dask")
busy_machines = "ignore:the scheduler answers but has no workers"  # while a dead one is replaced
pytestmark = [pytest.mark.cluster, pytest.mark.filterwarnings(busy_machines)]
PlugIn = Callable[[str, str], str]
Batch = Callable[..., BatchSummary]

PATIENT = {"distributed.deploy.lost-worker-timeout": "1 hour"}
"""As it is, this kind of cluster replaces a worker no more that is missing 15 s after one was lost."""
TOY = """
import os, signal, sys, time
import numpy as np
from trimatte import AlphaMethod

def bright(image):
    return np.clip(3 * image.mean(axis=2) - 1, 0, 1).astype(np.float32)

def build():
    return bright

def act(image):
{act}

def matte(image, trimap, report):
    act(image)
    return bright(image)

alpha = AlphaMethod(function=matte, label="Toy", needs_trimap=False)
"""
"""A method that needs no trimap, so that a worker need not load kernels."""
SLOW = """
    time.sleep(0.3)
"""
KILLER = """
    if image.shape[1] == 50:
        with open(os.environ["TRIES"], "a") as file:
            file.write("among " if "distributed" in sys.modules else "alone ")
        os.kill(os.getpid(), signal.SIGKILL)
"""
UNLUCKY = """
    with open(os.environ["TRIES"], "a+") as file:
        file.write("x")
        file.seek(0)
        lost = len(file.read()) <= 3
    if lost:
        os.kill(os.getpid() if "distributed" in sys.modules else os.getppid(), signal.SIGKILL)
"""


@pytest.fixture
def slow(plug_in: PlugIn, monkeypatch: pytest.MonkeyPatch) -> str:
    """A plug-in that takes a third of a second."""
    name = plug_in("slow", TOY.format(act=SLOW))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(path for path in sys.path if "segmenter" in path))
    return name


@pytest.fixture
def cluster(slow: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Two worker processes, each replaced when it dies; they work elsewhere than this process."""
    (tmp_path / "elsewhere").mkdir()
    with (
        dask.config.set(PATIENT),
        distributed.LocalCluster(
            n_workers=2,
            threads_per_worker=1,
            dashboard_address="127.0.0.1:0",
            silence_logs=logging.CRITICAL,
            local_directory=str(tmp_path / "elsewhere"),
        ) as cluster,
    ):
        yield cluster


@pytest.fixture
def batch(cluster: Any, slow: str, photos: Path, tmp_path: Path) -> Batch:
    """Cut a dozen photos out into `out` on the cluster."""
    for seed in range(8):
        write_photo(photos / f"more{seed}.jpg", seed)

    def run(out: Path = tmp_path / "out", **options: Any) -> BatchSummary:
        usual = {"segmenter": slow, "method": slow, "foreground": "keep", "cluster": cluster.scheduler_address}
        return run_batch(photos, out, **{**usual, **options})

    return run


def results(out: Path) -> dict[str, bytes]:
    found = (path for path in out.rglob("*.png") if ".trimatte" not in path.parts)
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in found}


def test_a_worker_killed_midway_and_a_client_started_anew(
    batch: Batch, cluster: Any, photos: Path, tmp_path: Path, slow: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    asked = [*command("photos", "out", slow)[:-3], "--keep-colours", "--cluster", cluster.scheduler_address]
    first = subprocess.Popen(asked, stderr=subprocess.PIPE)
    wait_for(lambda: len(results(tmp_path / "out")) > 0, first)
    first.kill()
    first.communicate()
    assert len(results(tmp_path / "out")) < 12

    with distributed.Client(cluster) as client:
        address, victim = client.run(os.getpid).popitem()
    second = subprocess.Popen(asked, stderr=subprocess.PIPE, text=True)
    wait_for(lambda: len(cluster.scheduler.workers[address].processing) > 0, second)
    os.kill(victim, signal.SIGKILL)
    told = second.communicate(timeout=100)[1]
    assert second.returncode == 0, told
    done = results(tmp_path / "out")
    assert len(done) == 12
    assert not list((tmp_path / "out/.trimatte/staging").iterdir())
    assert batch().unchanged == 12
    monkeypatch.setattr("trimatte.batch.local.Pool", ThisProcess)
    run_batch(photos, tmp_path / "whole", segmenter=slow, method=slow, foreground="keep", workers=1)
    assert results(tmp_path / "whole") == done


@pytest.fixture
def one_worker(plug_in: PlugIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """One worker of one thread, whose death makes Dask give up all that was sent to it; it finds the plug-ins."""
    plug_in("killer", TOY.format(act=KILLER))
    plug_in("unlucky", TOY.format(act=UNLUCKY))
    monkeypatch.setenv("TRIES", str(tmp_path / "tries"))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(path for path in sys.path if "segmenter" in path))
    (tmp_path / "here").mkdir()
    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 0, **PATIENT}),
        distributed.LocalCluster(
            n_workers=1,
            threads_per_worker=1,
            dashboard_address="127.0.0.1:0",
            silence_logs=logging.CRITICAL,
            local_directory=str(tmp_path / "here"),
        ) as cluster,
    ):
        yield cluster


@pytest.fixture
def late(monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes long until it is known that a worker has started, as on a busy machine."""
    monkeypatch.setattr("distributed.nanny.WorkerProcess._init_msg_interval", 1.0)


@pytest.mark.usefixtures("late")
def test_only_pictures_that_kill_their_workers_are_given_up(one_worker: Any, photos: Path, tmp_path: Path) -> None:
    for seed in range(2):
        write_photo(photos / f"m{seed}.jpg", seed)
    names = ["l0.jpg", "l1.jpg"]
    for name in names:
        write_photo(photos / name, width=50)
    summary = run_batch(
        photos,
        tmp_path / "out",
        method="killer",
        foreground="keep",
        cluster=one_worker.scheduler_address,
    )
    assert summary.done == 6
    assert sorted(summary.failed) == names
    for why in summary.failed.values():
        assert "killed by signal 9" in why
        assert "each of 3 attempts" in why
    tries = (tmp_path / "tries").read_text().split()
    assert tries.count("alone") == 3 * 2
    assert len(tries) <= 4 * 2  # once each among others


def test_a_worker_lost_for_outside_reasons_condemns_nothing(one_worker: Any, photos: Path, tmp_path: Path) -> None:
    summary = run_batch(
        photos,
        tmp_path / "out",
        method="unlucky",
        foreground="keep",
        cluster=one_worker.scheduler_address,
    )
    assert (summary.done, summary.failed) == (4, {})


@pytest.fixture
def no_worker(slow: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A cluster that has no workers yet, whose workers are counted often."""
    monkeypatch.setattr("trimatte.batch.cluster._COUNTED", 0.1)
    with distributed.LocalCluster(
        n_workers=0, threads_per_worker=1, dashboard_address="127.0.0.1:0", silence_logs=logging.CRITICAL
    ) as cluster:
        yield cluster


def test_a_worker_begins_when_its_nanny_knows_that_it_has_started(
    no_worker: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("distributed.nanny.WorkerProcess._init_msg_interval", 2.0)
    with distributed.Client(no_worker) as client:
        begun = client.submit(_await_nanny)
        no_worker.scale(1)
        begun.result()
        assert no_worker.workers[0].status is distributed.Status.running


def test_a_scheduler_without_workers_is_said_and_ends_the_run(
    no_worker: Any, photos: Path, tmp_path: Path, slow: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trimatte.batch.cluster._WORKERLESS", 1.0)
    with (
        pytest.warns(ClusterWarning, match="has no workers"),
        pytest.raises(TrimatteError, match="no workers for 1 s"),
    ):
        run_batch(photos, tmp_path / "out", segmenter=slow, method=slow, cluster=no_worker.scheduler_address)


def test_workers_that_come_late_do_the_work(no_worker: Any, photos: Path, tmp_path: Path, slow: str) -> None:
    with pytest.warns(ClusterWarning) as said:  # noqa: PT031
        coming = threading.Thread(target=lambda: wait_until(lambda: len(said) > 0) or no_worker.scale(1))
        coming.start()
        summary = run_batch(photos, tmp_path / "out", segmenter=slow, method=slow, cluster=no_worker.scheduler_address)
    coming.join()
    assert (summary.done, len(said)) == (4, 1)


def test_workers_that_would_do_something_else_and_a_cluster_that_goes_away(
    batch: Batch, cluster: Any, tmp_path: Path
) -> None:
    background = tmp_path / "teal.png"
    write_photo(background)
    assert batch(background=str(background)).done == 12
    with distributed.Client(cluster) as client:
        for spoil, arguments, words in (
            (_other_content, [str(background)], "not the same files"),
            (_other_version, [], r"has trimatte 0\.0, wanted"),
            (_forget, [], r"cannot do the work.*trimatte"),
        ):
            client.run(spoil, *arguments)
            with pytest.raises(TrimatteError, match=words):
                batch(background=str(background), cluster=client, crop=len(words))
        client.run(_recall)

    with pytest.raises(TrimatteError, match="gone away"):
        batch(out=tmp_path / "other", progress=lambda outcome, summary: cluster.close())
    assert len(results(tmp_path / "other")) < 12


def _other_content(path: str) -> None:
    """Let this worker read another file in place of `path`."""
    from trimatte.files import store

    usual = store.digest
    store.digest = lambda address: "other" if address == path else usual(address)


def _other_version() -> None:
    import trimatte.batch.cluster as module

    module.__version__ = "0.0"  # type: ignore[attr-defined]


class Lost:
    """A client that finds its scheduler gone when it counts the workers, or when it gives one a task."""

    status = "closed"

    def __init__(self, counts: bool) -> None:
        self.counts = counts

    def nthreads(self) -> dict[str, int]:
        if self.counts:
            return {"worker": 1}
        raise OSError("Timed out trying to connect after 10 s")

    def submit(self, *arguments: Any, **options: Any) -> None:
        raise RuntimeError("Client is closed")


@pytest.mark.parametrize("counts", [False, True])
def test_a_scheduler_that_goes_away_at_any_moment(counts: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trimatte.batch.cluster._connected", contextlib.nullcontext)
    queue = Queue(iter([Task("a.jpg", "a.png", "a.jpg", "a.png", "0.png")]))
    with pytest.raises(TrimatteError, match="gone away"):
        next(on_cluster(queue, Settings.of({"format": "png"}), Lost(counts)))


def _forget() -> None:
    """Make trimatte impossible to import in this worker."""
    for name in [name for name in sys.modules if name.partition(".")[0] == "trimatte"]:
        del sys.modules[name]
    sys.modules["trimatte"] = None  # type: ignore[assignment]


def _recall() -> None:
    """Let this worker import trimatte again, all of it anew."""
    del sys.modules["trimatte"]


def test_no_scheduler_and_no_dask(photos: Path, tmp_path: Path, quick: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trimatte.batch.cluster._PATIENCE", 0.5)
    for address in ("tcp://127.0.0.1:9", "nonsense"):
        with pytest.raises(ArgumentError, match="no Dask scheduler answers"):
            run_batch(photos, tmp_path / "out", cluster=address, segmenter=quick)
    with pytest.raises(ArgumentError, match="without workers"):
        run_batch(photos, tmp_path / "out", cluster="tcp://127.0.0.1:9", workers=2)
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(MissingExtraError, match=r"trimatte\[dask\]"):
        run_batch(photos, tmp_path / "out", cluster="tcp://127.0.0.1:9", segmenter=quick)
