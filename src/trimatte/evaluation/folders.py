"""The files of a benchmark folder, on this machine or wherever fsspec reaches (s3://, hf://, zip://, ...)."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from trimatte.errors import ArgumentError
from trimatte.files.addresses import is_remote, join, reach


@dataclass(frozen=True)
class Folder:
    """A folder and the names of all files below it, relative, with forward slashes, sorted."""

    root: str
    names: tuple[str, ...]


@dataclass(frozen=True)
class File:
    """One file below a root."""

    root: str
    name: str

    def read(self) -> bytes:
        if not is_remote(self.root):
            return (Path(self.root) / self.name).read_bytes()
        system, path = reach(join(self.root, self.name))
        content: bytes = system.cat_file(path)
        return content


def folder_name(root: str) -> str:
    """The last part of a folder's path or address."""
    return root.rstrip("/").rpartition("/")[2] if is_remote(root) else os.path.basename(os.path.abspath(root))


def open_folder(root: str | os.PathLike[str]) -> Folder:
    """List a folder. Raises ArgumentError if there is none or it holds no file."""
    root = os.fspath(root)
    if is_remote(root):
        system, base = reach(root)
        found = [path[len(base) :].lstrip("/") for path in system.find(base)]
    elif not os.path.isdir(root):
        raise ArgumentError(f"dataset: there is no folder {root!r}")
    else:
        found = [path.relative_to(root).as_posix() for path in Path(root).rglob("*") if path.is_file()]
    names = sorted(name for name in found if not any(part.startswith((".", "__MACOSX")) for part in name.split("/")))
    if not names:
        raise ArgumentError(f"dataset: the folder {root!r} holds no files")
    return Folder(root, tuple(names))
