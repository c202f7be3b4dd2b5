"""`trimatte cutout FOLDER -o DIR`."""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result
from PIL import Image

from trimatte.batch import BatchSummary
from trimatte.cli import _batch
from trimatte.errors import ClusterWarning

Trimatte = Callable[..., Result]
pytestmark = pytest.mark.cluster


@pytest.fixture
def photos(photo_file: Path) -> Path:
    """A folder of two photos, one of a name in two lines, and a damaged one."""
    photo_file.with_name("in two\nlines.jpg").write_bytes(photo_file.read_bytes())
    photo_file.with_name("bad.jpg").write_bytes(b"no picture")
    return photo_file.parent


def test_a_folder_from_rehearsal_to_review(trimatte: Trimatte, photos: Path, tmp_path: Path, bright: str) -> None:
    out = tmp_path / "out"
    command = ("cutout", photos, "-o", out, "--segmenter", bright, "--workers", 1)
    rehearsal = trimatte(*command, "--dry-run")
    assert rehearsal.exit_code == 0
    assert f"to do: {photos}/photo.jpg -> {out}/photo.png\n" in rehearsal.stdout
    assert "lines.jpg -> " in rehearsal.stdout
    assert rehearsal.stdout.count("\n") == 3
    assert not out.exists()
    result = trimatte(*command, "--review", "--json")
    assert result.exit_code == 1
    lines = {line["input"]: line for line in map(json.loads, result.stdout.splitlines())}
    assert lines[f"{photos}/photo.jpg"]["report"]["subject"]
    assert "not a picture" in lines[f"{photos}/bad.jpg"]["error"]
    assert "Error: 1 of 3 pictures failed:" in result.stderr
    assert {"review.html", "review.jpg", "quarantine.jsonl", "manifest.jsonl"} <= {path.name for path in out.iterdir()}
    again = trimatte(*command)
    assert again.exit_code == 1
    assert again.stdout == ""
    assert "0 made, 2 done before" in again.stderr
    rehearsal = trimatte(*command, "--dry-run", "--json")
    states = [json.loads(line)["state"] for line in rehearsal.stdout.splitlines()]
    assert sorted(states) == ["done before", "done before", "failed before"]


def test_a_script_that_has_no_guard_is_told(photos: Path, tmp_path: Path) -> None:
    import subprocess
    import sys

    script = tmp_path / "script.py"
    script.write_text(f"import trimatte\ntrimatte.run_batch({str(photos)!r}, {str(tmp_path / 'out')!r}, workers=1)\n")
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=120)
    assert done.returncode != 0
    assert "__main__" in done.stderr
    assert "worker processes do not start" in done.stderr


@pytest.mark.parametrize(
    "options",
    [["--shard", "1/2"], ["--dry-run"], ["--watch"], ["--review"], ["--workers", "2"], ["--max-memory", "1G"]],
)
def test_what_only_a_folder_takes(trimatte: Trimatte, photo_file: Path, options: list[str]) -> None:
    result = trimatte("cutout", photo_file, *options)
    assert result.exit_code == 2
    assert f"{options[0]} goes with one folder" in result.stderr


@pytest.mark.parametrize("size", ["much", "-1", "1X", ""])
def test_bad_sizes(trimatte: Trimatte, photos: Path, tmp_path: Path, size: str) -> None:
    result = trimatte("cutout", photos, "-o", tmp_path / "out", "--max-memory", size)
    assert result.exit_code == 2
    assert "1.5G" in result.stderr


@pytest.mark.parametrize(("text", "size"), [("1.5G", 3 << 29), ("800m", 800 << 20), ("12", 12), ("2K", 2048)])
def test_sizes(text: str, size: int) -> None:
    assert _batch._bytes(None, None, text) == size


def test_progress_tells_rate_time_left_and_failures() -> None:
    summary = BatchSummary(total=2000, done=100, unchanged=400, seconds=50, making=50, failed={"a": "b"})
    assert _batch._progress(summary) == "501 of 2000 pictures, 2 a second, 12 min left, 1 failed"
    assert _batch._progress(BatchSummary(total=None, done=1, seconds=4, making=4)) == "1 pictures, 4 seconds each"
    assert (
        _batch._progress(BatchSummary(total=3, done=1, making=123.4)) == "1 of 3 pictures, 123 seconds each, 4 min left"
    )
    assert (
        _batch._progress(BatchSummary(total=900, done=600, making=5)) == "600 of 900 pictures, 120 a second, 2 s left"
    )


def test_a_second_run_says_how_to_try_again_what_failed(
    trimatte: Trimatte, photos: Path, tmp_path: Path, bright: str
) -> None:
    command = ["cutout", photos, "-o", tmp_path / "out", "--segmenter", bright, "--workers", "1"]
    assert "--retry-failed" not in trimatte(*command).stderr
    result = trimatte(*command)
    assert result.exit_code == 1
    assert "1 of them failed before; --retry-failed tries them again" in result.stderr


def test_progress_of_a_resumed_run_is_of_the_pictures_that_it_makes() -> None:
    assert _batch._progress(BatchSummary(total=900, unchanged=800, seconds=34)) == "800 of 900 pictures"
    found = BatchSummary(total=900, done=1, unchanged=800, seconds=36, making=2)
    assert _batch._progress(found) == "801 of 900 pictures, 2 seconds each, 3 min left"


def test_a_trimap_goes_with_one_photo(trimatte: Trimatte, photos: Path, tmp_path: Path) -> None:
    result = trimatte("cutout", photos, "-o", tmp_path / "out", "--trimap", os.devnull)
    assert result.exit_code == 2
    assert "trimap: " in result.stderr


def test_what_is_to_be_said_of_the_run_is_told(
    trimatte: Trimatte, photos: Path, tmp_path: Path, bright: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(*arguments: object, **options: object) -> BatchSummary:
        warnings.warn("the scheduler has no workers", ClusterWarning, stacklevel=1)
        return BatchSummary()

    monkeypatch.setattr("trimatte.batch.run_batch", run)
    result = trimatte("cutout", photos, "-o", tmp_path / "out", "--segmenter", bright)
    assert result.stderr == "warning: the scheduler has no workers\n"


WILD = """
import numpy as np

def build():
    def find(image):
        if image.mean() < 0.05:
            raise SystemExit(0)
        return np.clip(3 * image.mean(axis=2) - 1, 0, 1).astype(np.float32)
    return find
"""


@pytest.mark.parametrize("verb", ["segment", "trimap", "cutout"])
def test_a_plug_in_that_leaves_loses_no_other_picture(
    trimatte: Trimatte, photo_file: Path, tmp_path: Path, plug_in: Callable[[str, str], str], verb: str
) -> None:
    Image.new("RGB", (40, 30)).save(tmp_path / "black.png")
    out = tmp_path / "out"
    wild = plug_in("wild", WILD)
    result = trimatte(verb, tmp_path / "black.png", photo_file, "-o", out, "--segmenter", wild, "--json")
    assert result.exit_code == 1
    failed, done = map(json.loads, result.stdout.splitlines())
    assert (failed["done"], done["done"]) == (False, True)
    assert "unexpected SystemExit" in failed["error"]
    assert "1 of 2 pictures failed" in result.stderr
