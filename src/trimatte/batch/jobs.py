"""Many pictures, file to file: which one goes where, and one photo's whole way."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from trimatte.errors import ArgumentError, ImageReadError, ImageWriteError
from trimatte.files.atomic import reason

if TYPE_CHECKING:
    from trimatte.cutout import Cutout, CutoutReport

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


def opened(source: str) -> str | IO[bytes]:
    """What to read a source from: itself, or standard input."""
    return sys.stdin.buffer if source == STREAM else source


def writable(job: Job) -> str | IO[bytes]:
    """What to write a job's target to: itself, if that is possible, or standard output.

    Raises `ImageWriteError` before any work is spent on a result that has nowhere to go.
    """
    target = job.target
    if target == STREAM:
        return sys.stdout.buffer
    folder = os.path.dirname(target) or "."
    if job.make_folder:
        try:
            os.makedirs(folder, exist_ok=True)
        except OSError as error:
            raise ImageWriteError(f"cannot make the folder {folder!r}: {error.strerror}") from error
    if os.path.isdir(target):
        raise ImageWriteError(f"cannot write {target!r}: it is a folder")
    if not os.path.isdir(folder):
        raise ImageWriteError(f"cannot write {target!r}: there is no folder {folder!r}")
    if not os.access(folder, os.W_OK):
        raise ImageWriteError(f"cannot write {target!r}: its folder is read-only")
    return target


def format_of(job: Job, format: str | None) -> str | None:
    """The format to write a result in: the one asked for, PNG on standard output, else None: by the suffix."""
    return format or ("PNG" if job.target == STREAM else None)


def cut_out_file(job: Job, *, sheet: bool = False, format: str | None = None, **options: Any) -> CutoutReport:
    """Cut out one photo, file to file.

    Parameters
    ----------
    job : where from and where to.
    sheet : also write the sheet of all stages, beside the target as `NAME-sheet.png`.
    format, options : of `cut_out`.

    Raises
    ------
    TrimatteError
        Whatever is wrong; no half-written file is left.
    """
    result = cut_out(opened(job.source), writable(job), format=format_of(job, format), **options)
    if sheet:
        from trimatte.images import save_image
        from trimatte.sheet import make_sheet

        save_image(job.companion("-sheet.png"), make_sheet(result))
    return result.report


def cut_out(
    source: str | bytes | IO[bytes],
    target: str | IO[bytes],
    *,
    crop: int | None = None,
    background: str | None = None,
    quality: int | None = None,
    format: str | None = None,
    **options: Any,
) -> Cutout:
    """Cut out one photo and write the result.

    Parameters
    ----------
    source, target : of `trimatte.cutout` and `trimatte.save_image`.
    crop : cut to the subject with a margin of so many pixels.
    background, quality, format : as of `trimatte.save_image`.
    options : of `trimatte.cutout`.
    """
    from trimatte.cutout import cutout
    from trimatte.images import output_format

    if background is None and output_format(target, format) == "JPEG":
        raise ArgumentError("format: got JPEG, which holds no alpha; wanted a background, or another format")
    result = cutout(source, **options)
    result.save(target, crop=crop, background=background, quality=quality, format=format)
    return result
