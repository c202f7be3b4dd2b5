"""The manifest of a batch: what was done with each picture, one JSON object a line, only ever added to.

A record is stored before its result is put in place. Whatever moment a run is killed at, each result is then one that
the manifest tells of, and what it tells is checked against the results before any is taken for done.

Where nothing can be appended to a file, as on S3, a manifest is a row of files; only the last of them is written anew.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trimatte.batch.plan import WHOLE, Shard
from trimatte.errors import ImageWriteError
from trimatte.files import store
from trimatte.files.addresses import is_remote, join
from trimatte.files.atomic import reason
from trimatte.files.jsonl import append_record, cut_torn_line, line_of, locked

Record = dict[str, Any]
PRIVATE = ".trimatte"
RECORDS = 256
"""In a file of a manifest that cannot be appended to."""
READERS = 16
"""Files that are read at the same time."""


@dataclass(frozen=True, slots=True)
class Known:
    """What the manifest says of a picture.

    Attributes
    ----------
    output : str
        Its result's path inside the output folder.
    sha256, options : str
        Of the last attempt, digests of its content and of what was asked.
    error : str
        Why that failed, empty if it was done.
    results : tuple of str
        Digests of all results that it has had, the last one at the end.
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
    known : dict of str to Known
        What all manifests of the folder say, by picture.
    staging : str
        An empty folder on the file system of the results.
    quarantine : str
        The file for what could not be done.
    write : callable
        Adds records and stores them for good before it returns.
    """

    known: dict[str, Known]
    staging: str
    quarantine: str
    write: Callable[[Sequence[Record]], None]

    def append(self, records: Sequence[Record]) -> None:
        """Add records, stored for good before this returns. Raises `ImageWriteError`."""
        if records:
            self.write(records)
        for record in records:
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


def read_lines(out: str) -> Iterator[Record]:
    """The records of all manifests of an output folder; a line that is none, torn by a kill or damaged, is passed over.

    Raises `ImageReadError` if the folder cannot be reached.
    """
    paths = store.matching(out, "manifest*.jsonl")
    with ThreadPoolExecutor(READERS) as pool:
        for content in pool.map(store.read, paths):
            for line in content.splitlines():
                with suppress(ValueError):
                    record = json.loads(line)
                    if isinstance(record, dict):
                        yield record


def read_manifests(out: str) -> dict[str, Known]:
    """What the manifests of an output folder say, by picture; what is no whole record is done once more."""
    known: dict[str, Known] = {}
    for record in read_lines(out):
        with suppress(KeyError, TypeError):
            note(known, record)
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
    message = f"out: another run is writing to {out!r}; wait for its end, or choose another folder"
    opened = _remote if is_remote(out) else _local
    with opened(out, part, message) as (staging, write):
        _clear(staging)  # of the unfinished results of a killed run
        yield Manifest(read_manifests(out), staging, join(out, f"quarantine{part}.jsonl"), write)
        _clear(staging)  # of results that workers lost, or did twice


def _clear(folder: str) -> None:
    for file in store.matching(folder, "*"):
        store.remove(file)


Write = Callable[[Sequence[Record]], None]


@contextmanager
def _local(out: str, part: str, message: str) -> Iterator[tuple[str, Write]]:
    """On this machine: a file that is appended to, and locks of the system."""
    private = Path(out) / PRIVATE
    path, staging = Path(out) / f"manifest{part}.jsonl", private / f"staging{part}"

    def write(records: Sequence[Record]) -> None:
        for record in records:
            append_record(path, record)

    with ExitStack() as stack:
        try:
            staging.mkdir(parents=True, exist_ok=True)
            stack.enter_context(locked(private / "lock", message, shared=bool(part)))
            if part:
                stack.enter_context(locked(private / f"lock{part}", message))
            cut_torn_line(path)
        except OSError as error:
            raise ImageWriteError(f"cannot write to {out!r}: {reason(error)}") from error
        yield str(staging), write


@contextmanager
def _remote(out: str, part: str, message: str) -> Iterator[tuple[str, Write]]:
    """Elsewhere: files of many records each, and a lease."""
    from trimatte.batch.lease import leased

    private = join(out, PRIVATE)
    others = "lock" if part else "lock*"
    with leased(private, f"lock{part}", others, message) as held:
        written = store.matching(out, f"manifest{part}.*.jsonl")
        number = max((int(n) for path in written if (n := path.split(".")[-2]).isdecimal()), default=0)
        lines: list[bytes] = []

        def write(records: Sequence[Record]) -> None:
            nonlocal number, lines
            if not held():
                raise ImageWriteError(f"cannot write to {out!r}: another run has taken it over")
            if not lines or len(lines) >= RECORDS:
                number, lines = number + 1, []
            added = [*lines, *map(line_of, records)]
            store.write(join(out, f"manifest{part}.{number:06}.jsonl"), b"".join(added))
            lines = added

        yield join(private, f"staging{part}"), write
