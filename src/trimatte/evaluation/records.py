"""The records of a run: one JSON object a line, one line a picture, method and trimap.

Lines are only ever appended whole, so that a run that is killed leaves at most its last line torn. When a run is
complete its records are put into one order, whichever way it came about.
"""

from __future__ import annotations

import csv
import json
import os
import warnings
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from trimatte.errors import ArgumentError, MissingExtraError
from trimatte.files import jsonl
from trimatte.files.atomic import atomic_write

Record = dict[str, Any]
Key = tuple[str, str, str, str]
Fingerprints = dict[str, tuple[Any, Any]]  # picture -> hashes of photo and true alpha

FILE = "records.jsonl"


def key(record: Record) -> Key:
    """What a record is about: (dataset, trimap, method, picture)."""
    return (record["dataset"], record["trimap"] or "", record["method"], record["picture"])


def read_records(run: str | os.PathLike[str]) -> list[Record]:
    """The records of a run's folder, or of a file of records; none if it has no records yet.

    A torn last line is what a killed run leaves and is passed over; any other line that is no record, or a second
    record of one picture and method, is passed over with a warning that names the line.
    """
    path = Path(run) if Path(run).suffix == ".jsonl" else Path(run) / FILE
    if not path.exists():
        return []
    lines = path.read_bytes().split(b"\n")
    records: dict[Key, Record] = {}
    for number, line in enumerate(lines[:-1], start=1):  # what follows the last newline is torn, or nothing
        try:
            record = json.loads(line)
            about = key(record)
            if not isinstance(record["metrics"], dict) or record["status"] not in ("ok", "failed"):
                raise ValueError("not a record")
        except (ValueError, KeyError, TypeError):
            warnings.warn(f"{path}, line {number} is damaged and is passed over", stacklevel=2)
            continue
        if about in records:
            warnings.warn(f"{path}, line {number} repeats {' '.join(about)} and is passed over", stacklevel=2)
            continue
        records[about] = record
    return list(records.values())


def fingerprints(records: Iterable[Record]) -> dict[str, Fingerprints]:
    """For each set and each of its pictures the fingerprints of photo and true alpha."""
    sets: dict[str, Fingerprints] = {}
    for record in records:
        if inputs := record.get("inputs"):  # a process that died left none
            sets.setdefault(record["dataset"], {})[record["picture"]] = (inputs.get("image"), inputs.get("alpha"))
    return sets


def same_set(one: Fingerprints, other: Fingerprints) -> bool:
    """Whether two sets of one name have pictures in common, and these are alike."""
    common = one.keys() & other.keys()
    return bool(common) and all(one[picture] == other[picture] for picture in common)


def write_records(run: str | os.PathLike[str], records: Iterable[Record]) -> None:
    """Replace a run's records, in order."""
    with atomic_write(Path(run) / FILE) as file:
        for record in sorted(records, key=key):
            file.write(jsonl.line_of(record))


def append_record(run: str | os.PathLike[str], record: Record) -> None:
    """Add one record, on the disk before this returns.

    Raises ImageWriteError if that fails (a full disk, say); the file is then as it was before.
    """
    jsonl.append_record(Path(run) / FILE, record)


def locked(run: str | os.PathLike[str]) -> AbstractContextManager[None]:
    """Keep a second process from writing to the same run; the system lets go when this one ends, however it ends."""
    return jsonl.locked(Path(run) / ".lock", f"out: another process is writing to {os.fspath(run)!r}")


def export(records: Sequence[Record], path: str | os.PathLike[str]) -> None:
    """Write records as a flat table, .csv or .parquet (the latter needs pyarrow)."""
    rows = [_flat(record) for record in records]
    columns = list(dict.fromkeys(column for row in rows for column in row))
    suffix = Path(path).suffix
    if suffix == ".csv":
        with atomic_write(path) as file:
            lines = csv.DictWriter(_Text(file), columns, restval="", lineterminator="\n")
            lines.writeheader()
            lines.writerows(rows)
    elif suffix == ".parquet":
        try:
            import pyarrow  # type: ignore[import-untyped]
            from pyarrow import parquet
        except ImportError as error:
            raise MissingExtraError("Parquet needs pyarrow: pip install 'trimatte[eval]'") from error
        with atomic_write(path) as file:
            parquet.write_table(pyarrow.table({c: [row.get(c) for row in rows] for c in columns}), file)
    else:
        raise ArgumentError(f"path: got {os.fspath(path)!r}, wanted a name that ends in .csv or .parquet")


class _Text:
    """What the csv module writes to, as bytes."""

    def __init__(self, file: Any) -> None:
        self.file = file

    def write(self, text: str) -> None:
        self.file.write(text.encode())


def _flat(record: Record, prefix: str = "") -> dict[str, Any]:
    """Nested keys joined with dots; lists as JSON."""
    flat: dict[str, Any] = {}
    for name, value in record.items():
        if isinstance(value, dict):
            flat.update(_flat(value, f"{prefix}{name}."))
        else:
            flat[prefix + name] = json.dumps(value) if isinstance(value, list) else value
    return flat
