"""Of what kind the pictures of a set are: its own list, or one that is given."""

from __future__ import annotations

import csv
import io
import json
import os
from pathlib import Path
from typing import Any

from trimatte.errors import ArgumentError
from trimatte.evaluation.folders import File, Folder

WANTED = 'wanted CSV lines PICTURE,CATEGORY or JSON {"PICTURE": "CATEGORY", ...}'


def read_categories(path: str | os.PathLike[str]) -> dict[str, str]:
    """Picture -> category of a file: CSV, a line PICTURE,CATEGORY each, or JSON {"PICTURE": "CATEGORY"}.

    Raises ArgumentError for a file that cannot be read or has another form.
    """
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise ArgumentError(f"categories: cannot read {os.fspath(path)!r}: {error.strerror}") from error
    return _parsed(os.fspath(path), content)


def categories_of(folder: Folder) -> dict[str, str]:
    """Those that a set lists itself, in categories.csv or categories.json; of painted scenes, their kinds."""
    for name in ("categories.csv", "categories.json"):
        if name in folder.names:
            return _parsed(name, File(folder.root, name).read())
    if "synthetic.json" in folder.names:
        try:
            scenes = json.loads(File(folder.root, "synthetic.json").read())["scenes"]
            return {str(scene["name"]): str(scene["kind"]) for scene in scenes}
        except (ValueError, KeyError, TypeError):
            return {}  # what is wrong with it shows elsewhere
    return {}


def _parsed(name: str, content: bytes) -> dict[str, str]:
    try:
        text = content.decode("utf-8-sig")
        listed = json.loads(text) if name.lower().endswith(".json") else _rows(text)
    except ValueError as error:
        raise ArgumentError(f"categories: {name}: {error}; {WANTED}") from error
    if not isinstance(listed, dict) or not all(isinstance(kind, str) and kind for kind in listed.values()):
        raise ArgumentError(f"categories: {name} is of another form; {WANTED}")
    return listed


def _rows(text: str) -> dict[str, Any]:
    rows = [[cell.strip() for cell in row] for row in csv.reader(io.StringIO(text)) if any(row)]
    if rows and [cell.lower() for cell in rows[0]] == ["picture", "category"]:
        rows = rows[1:]
    for row in rows:
        if len(row) != 2:
            raise ValueError(f"got the line {','.join(row)!r}")
    return dict(rows)
