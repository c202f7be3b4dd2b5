"""Prompts for the pictures of a folder, in one file.

JSON lines, one picture a line, such as {"name": "a/cup.jpg", "points": [[120, 80]], "not_points": [["30%", "40%"]],
"box": [10, 10, 300, 200]}, of which only the name must be there. Or, in a file that ends in .csv, a table with those
columns; points are written as "120,80 30%,40%", a box as "10,10,300,200".
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from trimatte.errors import ArgumentError
from trimatte.files import store
from trimatte.runtime.plugins import meant

KINDS = ("points", "not_points", "box")
Prompts = dict[str, Any]


def read_prompt_file(path: str | os.PathLike[str] | None) -> dict[str, Prompts]:
    """Options of `trimatte.cutout` by the pictures' names; none without a file.

    Raises `ArgumentError`, which names the line, for one that is not as it should be, and `ImageReadError` if the file
    cannot be read.
    """
    if path is None:
        return {}
    if not isinstance(path, (str, os.PathLike)):
        raise ArgumentError(f"prompts: got {path!r}, wanted a file")
    address = os.fspath(path)
    found: dict[str, Prompts] = {}
    number = 0
    try:
        lines = store.read(address).decode("utf-8-sig").splitlines()
        read = _table_row(lines) if address.lower().endswith(".csv") else _json_row
        for line in lines:
            number += 1
            if not line.strip() or (number == 1 and read is not _json_row):
                continue
            name, prompts = _checked(read(line))
            if name in found:
                raise ArgumentError(f"{name!r} is there more than once")
            found[name] = prompts
    except ValueError as error:  # no UTF-8, no JSON, no such prompts
        raise ArgumentError(f"prompts: {address!r}, line {max(1, number)}: {error}") from error
    return found


def check_known(prompts: Mapping[str, Any], names: Sequence[str]) -> None:
    """Raise `ArgumentError` for prompts of pictures that there are not."""
    unknown = sorted(set(prompts) - set(names))
    if unknown:
        hint = meant(unknown[0], names)
        more = f", and {len(unknown) - 1} more that there are not" if len(unknown) > 1 else ""
        raise ArgumentError(f"prompts: the folder has no picture {unknown[0]!r}{hint}{more}")


def _json_row(line: str) -> Prompts:
    row = json.loads(line)
    if not isinstance(row, dict):
        raise ArgumentError("wanted a JSON object")
    return row


def _table_row(lines: Sequence[str]) -> Callable[[str], Prompts]:
    """Reads a line below the first, which has the names of the columns."""
    import csv

    from trimatte.segmentation.prompts import parse_box, parse_point

    columns = next(csv.reader(lines[:1]), [])

    def read(line: str) -> Prompts:
        try:
            fields = next(csv.reader([line], strict=True))
        except csv.Error as error:
            raise ArgumentError(str(error)) from error
        if len(fields) != len(columns):
            raise ArgumentError(f"got {len(fields)} fields, wanted {len(columns)} as in the first line")
        row: Prompts = {name.strip(): text for name, text in zip(columns, fields, strict=True) if text.strip()}
        for name in row.keys() & {"points", "not_points"}:
            row[name] = [parse_point(text) for text in row[name].split()]
        return row | ({"box": parse_box(row["box"])} if "box" in row else {})

    return read


def _checked(row: Prompts) -> tuple[str, Prompts]:
    from trimatte.segmentation.prompts import read_prompts

    name = row.pop("name", None)
    if not (isinstance(name, str) and name):
        raise ArgumentError("it names no picture")
    for key in row:
        if key not in KINDS:
            raise ArgumentError(f"there is no {key!r}, wanted name, {', '.join(KINDS)}")
    prompts = {key: value for key, value in row.items() if value not in (None, [])}
    read_prompts(*(prompts.get(kind) for kind in KINDS))
    return name, prompts
