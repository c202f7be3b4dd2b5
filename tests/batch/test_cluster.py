"""Batches on a Dask cluster of this machine."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from toy_batch import KILLER, QUICK, command, write_photo

from trimatte.batch import BatchSummary, run_batch
from trimatte.errors import ArgumentError, MissingExtraError, TrimatteError

distributed = pytest.importorskip("distributed")
pytestmark = pytest.mark.cluster
PlugIn = Callable[[str, str], str]
Batch = Callable[..., BatchSummary]

SLOW = QUICK.replace("return image.mean(axis=2)", "import time; time.sleep(0.3); return image.mean(axis=2)")


@pytest.fixture
def slow(plug_in: PlugIn, monkeypatch: pytest.MonkeyPatch) -> str:
    """A plug-in that takes a third of a second."""
    name = plug_in("slow", SLOW)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(path for path in sys.path if "segmenter" in path))
    return name


@pytest.fixture
def cluster(slow: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Three worker processes, each replaced when it dies; they work elsewhere than this process."""
    (tmp_path / "elsewhere").mkdir()
    with (
        distributed.LocalCluster(
            n_workers=3,
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

    def run(**options: Any) -> BatchSummary:
        usual = {"segmenter": slow, "method": slow, "foreground": "keep", "cluster": cluster.scheduler_address}
        return run_batch(photos, tmp_path / "out", **{**usual, **options})

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
    while not results(tmp_path / "out"):
        assert first.poll() is None, first.communicate()
        time.sleep(0.05)
    first.kill()
    first.communicate()
    assert len(results(tmp_path / "out")) < 12

    with distributed.Client(cluster) as client:
        victim = next(iter(client.run(os.getpid).values()))
    second = subprocess.Popen(asked, stderr=subprocess.PIPE, text=True)
    time.sleep(2)
    os.kill(victim, signal.SIGKILL)
    told = second.communicate(timeout=100)[1]
    assert second.returncode == 0, told
    done = results(tmp_path / "out")
    assert len(done) == 12
    assert not list((tmp_path / "out/.trimatte/staging").iterdir())
    assert batch().unchanged == 12
    run_batch(photos, tmp_path / "whole", segmenter=slow, method=slow, foreground="keep", workers=2)
    assert results(tmp_path / "whole") == done


def test_a_picture_that_kills_every_worker_is_given_up(
    batch: Batch, photos: Path, tmp_path: Path, plug_in: PlugIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRIES", str(tmp_path / "tries"))
    write_photo(photos / "heavy.jpg", width=50)
    name = plug_in("killer", KILLER)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(path for path in sys.path if "segmenter" in path))
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address="127.0.0.1:0", silence_logs=logging.CRITICAL
    ) as other:
        summary = batch(segmenter=name, cluster=other.scheduler_address)
    assert summary.done == 12
    assert list(summary.failed) == ["heavy.jpg"]
    assert "each worker that tried it died" in summary.failed["heavy.jpg"]


def test_options_that_name_files_are_of_the_same_files(batch: Batch, cluster: Any, tmp_path: Path) -> None:
    background = tmp_path / "teal.png"
    write_photo(background)
    assert batch(background=str(background)).done == 12
    with distributed.Client(cluster) as client:
        client.run(_other_content, str(background))
        with pytest.raises(TrimatteError, match="not the same files"):
            batch(background=str(background), band_pixels=3.0)
        client.run(_other_version)
        with pytest.raises(TrimatteError, match=r"has trimatte 0\.0, wanted"):
            batch(cluster=client, band_pixels=4.0)


def _other_content(path: str) -> None:
    """Let this worker read another file in place of `path`."""
    from trimatte.files import store

    usual = store.digest
    store.digest = lambda address: "other" if address == path else usual(address)


def _other_version() -> None:
    import trimatte.batch.cluster as module

    module.__version__ = "0.0"  # type: ignore[attr-defined]


def test_workers_without_trimatte_and_a_cluster_that_goes_away(batch: Batch, cluster: Any, tmp_path: Path) -> None:
    with distributed.Client(cluster) as client:
        client.run(_forget)
        with pytest.raises(TrimatteError, match=r"cannot do the work.*trimatte"):
            batch()
        client.restart()

    def close() -> None:
        while not results(tmp_path / "out"):
            time.sleep(0.02)
        cluster.close()

    closing = threading.Thread(target=close, daemon=True)
    closing.start()
    with pytest.raises(TrimatteError, match="gone away"):
        batch()
    closing.join()


def _forget() -> None:
    """Make trimatte impossible to import in this worker."""
    for name in [name for name in sys.modules if name.partition(".")[0] == "trimatte"]:
        del sys.modules[name]
    sys.modules["trimatte"] = None  # type: ignore[assignment]


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
