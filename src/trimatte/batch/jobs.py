"""Many pictures, file to file: which one goes where."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from trimatte.errors import ArgumentError, ImageReadError
from trimatte.files.atomic import reason

if TYPE_CHECKING:
    pass

STREAM = "-"
PICTURES = {".png", ".jpg", ".jpeg", ".jpe", ".webp", ".tif", ".tiff", ".avif", ".gif", ".bmp", ".mpo", ".ppm", ".pgm"}


@dataclass(frozen=True)
class Job:
    """One picture.

    Attributes
    ----------
    source : where it comes from.
    target : where its result goes.
    make_folder : whether the target's folder is made if need be.
    problem : why it cannot be done, if that is known already.
    """

    source: str
    target: str
    make_folder: bool = False
    problem: str = ""

    def companion(self, tag: str) -> str:
        """The path of another result: that of the target, with its suffix replaced by `tag`."""
        return str(Path(self.target).with_suffix("")) + tag


def plan(
    inputs: Sequence[str],
    out: str | None,
    *,
    suffix: str,
    tag: str,
    always_tag: bool = False,
    companions: Sequence[str] = (),
    also_read: Sequence[str] = (),
) -> list[Job]:
    """Say for each picture where its result goes.

    Parameters
    ----------
    inputs : files, folders (searched for pictures, the hidden left out) and "-" for standard input.
    out : a file for one picture; for several, or a folder, a folder in which the folders are mirrored; "-" for
        standard output. None puts each result beside its picture.
    suffix : of the results, such as ".png".
    tag : follows the name of a result beside its picture, if the two had the same suffix or with `always_tag`.
    companions : ends of further files that each result brings, such as "-sheet.png".
    also_read : files that no result may overwrite, besides the pictures themselves.

    Returns
    -------
    list of Job
        A picture whose result would overwrite an input, or another's result, carries this as its problem.

    Raises
    ------
    ArgumentError
        Where `inputs` and `out` do not go together, or there is no picture at all.
    """
    several = len(inputs) > 1 or os.path.isdir(inputs[0])
    found = [pair for name in inputs for pair in _pictures(name, out)]
    if out == STREAM or (out is None and STREAM in inputs):
        if several:
            raise ArgumentError("out: standard output takes one picture; several want a folder")
        if companions:
            raise ArgumentError("out: got standard output, but there is more than one file to write")
        return [Job(found[0][0], STREAM)]
    into_folder = out is not None and (several or os.path.isdir(out) or out.endswith(("/", os.sep)))
    if out is not None and several and (os.path.isfile(out) or Path(out).suffix.lower() in PICTURES):
        raise ArgumentError(f"out: got the file {out!r}, but several pictures want a folder")
    jobs = []
    for source, inner in found:
        if into_folder:
            target = str(Path(out or "", inner).with_suffix("")) + suffix
        elif out is not None:
            target = out
        else:
            path = Path(source)
            target = str(path.with_name(path.stem + (tag if always_tag or path.suffix.lower() == suffix else "")))
            target += suffix
        jobs.append(Job(source, target, make_folder=into_folder))
    return list(_checked(jobs, companions, also_read))


@dataclass(frozen=True)
class Listing:
    """What a folder holds: pictures, linked folders, which are not gone into, and folders that cannot be read.

    All are paths that begin with the folder's own; unreadable folders come with the reason.
    """

    pictures: list[str]
    links: list[str]
    unreadable: dict[str, str]


def list_folder(folder: str, out: str | None = None) -> Listing:
    """Search a folder and its inner ones for pictures, in order; the hidden and the folder `out` are left out."""
    listing = Listing([], [], {})

    def tell(error: OSError) -> None:
        listing.unreadable[str(error.filename)] = reason(error)

    for place, folders, files in os.walk(folder, onerror=tell):
        folders[:] = sorted(f for f in folders if not f.startswith(".") and not _same(os.path.join(place, f), out))
        listing.links.extend(path for f in folders if os.path.islink(path := os.path.join(place, f)))
        listing.pictures.extend(os.path.join(place, file) for file in sorted(files) if is_picture(file))
    return listing


def is_picture(name: str) -> bool:
    """Whether a file's name is that of a picture, and not hidden."""
    return not name.startswith(".") and os.path.splitext(name)[1].lower() in PICTURES


def _pictures(name: str, out: str | None) -> Iterator[tuple[str, str]]:
    """The pictures of an input: the path of each, and its path inside an output folder."""
    if name == STREAM:
        yield STREAM, "stdin"
    elif not os.path.isdir(name):
        yield name, os.path.basename(name)
    else:
        found = list_folder(name, out)
        for folder, why in found.unreadable.items():
            raise ImageReadError(f"cannot read the folder {folder!r}: {why}")
        if not found.pictures:
            raise ArgumentError(f"input: the folder {name!r} holds no picture")
        for path in found.pictures:
            yield path, os.path.relpath(path, name)


def _checked(jobs: Sequence[Job], companions: Sequence[str], also_read: Sequence[str]) -> Iterator[Job]:
    read = {_identity(path): path for path in [*also_read, *(job.source for job in jobs)]}
    written: dict[object, str] = {}
    for job in jobs:
        problem = ""
        for target in [job.target, *(job.companion(tag) for tag in companions)]:
            identity = _identity(target)
            if identity in read:
                problem = f"out: {target!r} is an input; it would be overwritten"
            elif identity in written:
                problem = f"out: {target!r} is already the result of {written[identity]!r}"
        if not problem:
            for target in [job.target, *(job.companion(tag) for tag in companions)]:
                written[_identity(target)] = job.source
        yield replace(job, problem=problem)


def _identity(path: str) -> object:
    """The same for all names of a file, be it there or not."""
    try:
        status = os.stat(path)
        return status.st_dev, status.st_ino
    except OSError:
        return os.path.realpath(path)


def _same(path: str, other: str | None) -> bool:
    return other is not None and _identity(path) == _identity(other)
