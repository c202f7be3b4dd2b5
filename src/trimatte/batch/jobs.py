"""Many pictures, file to file: which one goes where."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from trimatte.errors import ArgumentError, ImageReadError
from trimatte.files.atomic import reason
from trimatte.images.formats import format_of, is_picture, named_picture, output_format, unread

STREAM = "-"
SHEET, MATTE = "-sheet.png", "-matte.png"
"""Ends of files that a result may bring along."""


@dataclass(frozen=True)
class Job:
    """One picture.

    Attributes
    ----------
    source : str
        Where it comes from.
    target : str
        Where its result goes.
    make_folder : bool
        Whether the target's folder is made if need be.
    problem : str
        Why it cannot be done, if that is known already.
    """

    source: str
    target: str
    make_folder: bool = False
    problem: str = ""

    def companion(self, tag: str) -> str:
        """The path of another result: that of the target, with its suffix replaced by `tag`."""
        return str(Path(self.target).with_suffix("")) + tag


def companions_of(options: Mapping[str, Any]) -> list[str]:
    """Ends of the further files that options ask for."""
    return [*([SHEET] if options.get("sheet") else []), *([MATTE] if options.get("output") == "both" else [])]


def plan(
    inputs: Sequence[str],
    out: str | None,
    *,
    suffix: str,
    tag: str,
    always_tag: bool = False,
    companions: Sequence[str] = (),
    also_read: Sequence[str] = (),
    format: str | None = None,
    force: bool = False,
    listed: bool = False,
) -> list[Job]:
    """Say for each picture where its result goes.

    Parameters
    ----------
    inputs : sequence of str
        Files, folders (searched for pictures, the hidden left out) and "-" for standard input.
    out : a file for one picture; for several, or a folder, a folder in which the folders are mirrored; "-" for
        standard output. None puts each result beside its picture.
    suffix : str
        Of the results, such as ".png".
    tag : str
        Follows the name of a result beside its picture, if the two had the same suffix or with `always_tag`.
    companions : sequence of str, default ()
        Ends of further files that each result brings, such as "-sheet.png".
    also_read : sequence of str, default ()
        Files that no result may overwrite, besides the pictures themselves.
    format : str, optional
        Of the results, if it was said; else the suffix of `out` must be one of a format.
    force : bool, default False
        Replace what bears the name of a result, also if trimatte did not make it. A file that `out` names is replaced
        in any case.
    listed : bool, default False
        Whether `inputs` come of a list, whose results go to a folder however many there are; an empty one is no error.

    Returns
    -------
    list of Job
        A picture whose result would overwrite an input, another's result or a stranger's file carries this as its
        problem, and so does one that is not read.

    Raises
    ------
    ArgumentError
        Where `inputs` and `out` do not go together, `out` has a suffix of no format, or there is no picture at all.
    """
    if not inputs:
        return []
    several = listed or len(inputs) > 1 or any(map(os.path.isdir, inputs))
    found = [entry for name in inputs for entry in _pictures(name, out)]
    if out == STREAM or (out is None and STREAM in inputs):
        if several:
            raise ArgumentError("out: standard output takes one picture; several want a folder")
        if companions:
            raise ArgumentError("out: got standard output, but there is more than one file to write")
        return [Job(source, STREAM) for source, _, _ in found]
    into_folder = out is not None and (several or os.path.isdir(out) or out.endswith(("/", os.sep)))
    if out is not None and several and (os.path.isfile(out) or named_picture(out)):
        raise ArgumentError(f"out: got the file {out!r}, but several pictures want a folder")
    by_name = out is not None and not into_folder
    if out is not None and by_name:
        written, named = output_format(out, format, name="out"), format_of(out)
        if named is not None and named.name != written:
            raise ArgumentError(f"out: got {out!r}, whose suffix is not of the format {written}; wanted both alike")
    jobs = []
    for source, inner, problem in found:
        if problem:
            jobs.append(Job(source, "", problem=problem))
            continue
        if into_folder:
            target = str(Path(out or "", inner).with_suffix("")) + suffix
        elif out is not None:
            target = out
        else:
            path = Path(source)
            target = str(path.with_name(path.stem + (tag if always_tag or path.suffix.lower() == suffix else "")))
            target += suffix
        jobs.append(Job(source, target, make_folder=into_folder))
    taken = _nobodys if force else _taken
    return list(_checked(jobs, companions, also_read, (_nobodys if by_name else taken, taken)))


def with_partners(jobs: Sequence[Job], folder: str, partners: str, what: str) -> list[tuple[Job, str]]:
    """Each job with the picture of its name in another folder; one that has none there carries this as its problem.

    Parameters
    ----------
    jobs : sequence of Job
        Pictures of `folder`.
    folder, partners : str
        Two folders; names are those inside them, without suffix.
    what : str
        What an error message calls a partner, such as "trimap".
    """
    found: dict[str, list[str]] = {}
    for path in list_folder(partners).pictures:
        found.setdefault(os.path.splitext(os.path.relpath(path, partners))[0], []).append(path)
    pairs = []
    for job in jobs:
        name = os.path.splitext(os.path.relpath(job.source, folder))[0]
        there = found.get(name, [])
        if len(there) != 1 and not job.problem:
            several = f"several, {', '.join(map(os.path.basename, there))}" if there else "none"
            job = replace(job, problem=f"{what}: got {several} for {name!r} in {partners!r}; wanted one")
        pairs.append((job, there[0] if there else ""))
    return pairs


@dataclass(frozen=True)
class Listing:
    """What a folder holds: pictures, linked folders, which are not gone into, and what cannot be read.

    All are paths that begin with the folder's own. Unreadable folders, and pictures of formats that are not read, come
    with the reason.
    """

    pictures: list[str]
    links: list[str]
    unreadable: dict[str, str]
    unread: dict[str, str]


def list_folder(folder: str, out: str | None = None) -> Listing:
    """Search a folder and its inner ones for pictures, in order; the hidden and the folder `out` are left out."""
    listing = Listing([], [], {}, {})

    def tell(error: OSError) -> None:
        listing.unreadable[str(error.filename)] = reason(error)

    for place, folders, files in os.walk(folder, onerror=tell):
        folders[:] = sorted(f for f in folders if not f.startswith(".") and not _same(os.path.join(place, f), out))
        listing.links.extend(path for f in folders if os.path.islink(path := os.path.join(place, f)))
        visible = [os.path.join(place, file) for file in sorted(files) if not file.startswith(".")]
        unread_here = {path: why for path in visible if (why := unread(path) or _special(path))}
        listing.pictures.extend(path for path in visible if is_picture(path) and path not in unread_here)
        listing.unread.update(unread_here)
    return listing


def _special(path: str) -> str:
    """Why a file that has a picture's name holds none: a pipe would be waited for. Empty if it may hold one."""
    try:
        ordinary = not is_picture(path) or stat.S_ISREG(os.stat(path).st_mode)
    except OSError:  # told when it is read
        return ""
    return "" if ordinary else "it is not a regular file"


def _pictures(name: str, out: str | None) -> Iterator[tuple[str, str, str]]:
    """The pictures of an input: the path of each, its path inside an output folder, and why it is not read."""
    if name == STREAM:
        yield STREAM, "stdin", ""
    elif not os.path.isdir(name):
        yield name, os.path.basename(name), ""
    else:
        found = list_folder(name, out)
        for folder, why in found.unreadable.items():
            raise ImageReadError(f"cannot read the folder {folder!r}: {why}")
        if not (found.pictures or found.unread):
            raise ArgumentError(f"input: the folder {name!r} holds no picture")
        for path in found.pictures:
            yield path, os.path.relpath(path, name), ""
        for path, why in found.unread.items():
            yield path, os.path.relpath(path, name), f"cannot read {path!r}: {why}"


Check = Callable[[str], str]


def _checked(
    jobs: Sequence[Job], companions: Sequence[str], also_read: Sequence[str], checks: tuple[Check, Check]
) -> Iterator[Job]:
    """The jobs with what is wrong with their results' names; `checks` are of a target and of a companion."""
    read = {_identity(path): path for path in [*also_read, *(job.source for job in jobs)]}
    written: dict[object, str] = {}
    for job in jobs:
        if job.problem:
            yield job
            continue
        problem = ""
        for number, target in enumerate([job.target, *(job.companion(tag) for tag in companions)]):
            identity = _identity(target)
            if identity in read:
                problem = f"out: {target!r} is an input; it would be overwritten"
            elif identity in written:
                problem = f"out: {target!r} is already the result of {written[identity]!r}"
            else:
                problem = problem or checks[number > 0](target)
        if not problem:
            for target in [job.target, *(job.companion(tag) for tag in companions)]:
                written[_identity(target)] = job.source
        yield replace(job, problem=problem)


def _taken(target: str) -> str:
    """Why a result may not have this name: a file has it that trimatte did not make."""
    if not os.path.isfile(target):
        return ""
    from trimatte.images import is_marked

    return "" if is_marked(target) else stranger(target)


def _nobodys(target: str) -> str:
    return ""


def stranger(target: str) -> str:
    """What to say of a file in a result's place that trimatte did not make."""
    return f"out: {target!r} is there, and trimatte did not make it; --force replaces it, -o takes another place"


def _identity(path: str) -> object:
    """The same for all names of a file, be it there or not."""
    try:
        status = os.stat(path)
        return status.st_dev, status.st_ino
    except OSError:
        return os.path.realpath(path)


def _same(path: str, other: str | None) -> bool:
    return other is not None and _identity(path) == _identity(other)
