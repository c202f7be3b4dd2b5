"""The manifest of a batch: what was done with each picture, one JSON object a line, only ever appended to.

A record goes onto the disk before its result is put in place. Whatever moment a run is killed at, each result is then
one that the manifest tells of, and what it tells is checked against the results before any is taken for done.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trimatte._files import reason
from trimatte._jsonl import append_record, cut_torn_line, locked
from trimatte.batch.plan import WHOLE, Shard
from trimatte.errors import ImageWriteError

Record = dict[str, Any]
PRIVATE = ".trimatte"


@dataclass(frozen=True, slots=True)
class Known:
    """What the manifest says of a picture.

    Attributes
    ----------
    output : its result's path inside the output folder.
    sha256, options : of the last attempt, digests of its content and of what was asked.
    error : why that failed, empty if it was done.
    results : digests of all results that it has had, the last one at the end.
    """

    output: str
    sha256: str
    options: str
    error: str
    results: tuple[str, ...]


@dataclass(frozen=True)
class Manifest:
    """A manifest that is being written.

    Attributes
    ----------
    path : the file that this run appends to.
    known : what all manifests of the folder say, by picture.
    staging : an empty folder on the file system of the results.
    """

    path: Path
    known: dict[str, Known]
    staging: Path

    def append(self, record: Record) -> None:
        """Add a record, on the disk before this returns. Raises `ImageWriteError`."""
        append_record(self.path, record)
        note(self.known, record)


def note(known: dict[str, Known], record: Record) -> None:
    """Take a record into what is known."""
    name = record["input"]
    before = known.get(name)
    results = before.results if before and before.output == record["output"] else ()
    if record["done"]:
        results = (*(r for r in results if r != record["output_sha256"]), record["output_sha256"])
    error = "" if record["done"] else record["error"]
    known[name] = Known(record["output"], record["sha256"], record["options_sha256"], error, results)


def read_manifests(out: str | os.PathLike[str]) -> dict[str, Known]:
    """What the manifests of an output folder say, by picture.

    A line that is no record, torn by a kill or damaged, is passed over: its picture is then done once more.
    """
    known: dict[str, Known] = {}
    for path in sorted(Path(out).glob("manifest*.jsonl")):
        with open(path, "rb") as file:
            for line in file:
                try:
                    note(known, json.loads(line))
                except (ValueError, KeyError, TypeError):
                    continue
    return known


@contextmanager
def open_manifest(out: str, shard: Shard) -> Iterator[Manifest]:
    """Open the manifest of an output folder, which is made if need be, for this run alone.

    The parts of a batch may write to one folder at the same time, each to a manifest of its own.

    Raises
    ------
    ArgumentError
        If another run is writing there.
    ImageWriteError
        If the folder cannot be made or written to.
    """
    part = "" if shard == WHOLE else f"-{shard[0]}-of-{shard[1]}"
    private = Path(out) / PRIVATE
    path = Path(out) / f"manifest{part}.jsonl"
    message = f"out: another run is writing to {out!r}; wait for its end, or choose another folder"
    with ExitStack() as stack:
        try:
            private.mkdir(parents=True, exist_ok=True)
            stack.enter_context(locked(private / "lock", message, shared=bool(part)))
            if part:
                stack.enter_context(locked(private / f"lock{part}", message))
            cut_torn_line(path)
            manifest = Manifest(path, read_manifests(out), _emptied(private / f"staging{part}"))
        except OSError as error:
            raise ImageWriteError(f"cannot write to {out!r}: {reason(error)}") from error
        yield manifest


def _emptied(folder: Path) -> Path:
    """A folder without the unfinished results of a killed run."""
    folder.mkdir(exist_ok=True)
    for file in folder.iterdir():
        file.unlink(missing_ok=True)
    return folder
