"""Locks on folders: who may hold one beside whom."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import portalocker
import pytest

from trimatte.errors import ArgumentError, ImageWriteError
from trimatte.files.jsonl import locked

HOLD = """
import sys
from trimatte.files.jsonl import locked
with locked(sys.argv[1], ""):
    print(flush=True)
    sys.stdin.read()
"""


@pytest.mark.parametrize(("first", "second"), [(False, False), (False, True), (True, False)])
def test_a_lock_keeps_others_out_until_it_ends(tmp_path: Path, first: bool, second: bool) -> None:
    path = tmp_path / "lock"
    with locked(path, "", shared=first), pytest.raises(ArgumentError, match="taken"):  # noqa: SIM117
        with locked(path, "taken", shared=second):
            pytest.fail("two hold it")
    with locked(path, "taken", shared=second):
        pass


def test_shared_locks_go_together(tmp_path: Path) -> None:
    with locked(tmp_path / "lock", "taken", shared=True), locked(tmp_path / "lock", "taken", shared=True):
        pass


def test_a_lock_ends_with_its_process(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        other.stdout.readline()
        with pytest.raises(ArgumentError, match="taken"), locked(path, "taken"):
            pytest.fail("two hold it")
        other.kill()
        other.wait()
        with locked(path, "taken"):
            pass


def test_a_file_system_without_locks_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise portalocker.LockException("no locks available")

    monkeypatch.setattr(portalocker, "lock", refuse)
    with pytest.raises(ImageWriteError, match="no locks available"), locked(tmp_path / "lock", "taken"):
        pytest.fail("it is not held")


def test_a_lock_in_no_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ImageWriteError, match="cannot lock"), locked(tmp_path / "none" / "lock", "taken"):
        pytest.fail("it is not held")
