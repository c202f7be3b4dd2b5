"""Which picture of a folder goes where in the other."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePosixPath

from trimatte.errors import ArgumentError
from trimatte.files.addresses import is_remote, join
from trimatte.images.formats import named_picture

Shard = tuple[int, int]
WHOLE: Shard = (1, 1)


def parse_shard(text: str) -> Shard:
    """(i, n) of "i/n", the i-th of n parts, counted from 1. Raises `ArgumentError`."""
    index, slash, count = text.partition("/")
    if not (slash and index.isdecimal() and count.isdecimal() and 1 <= int(index) <= int(count)):
        raise ArgumentError(f"shard: got {text!r}, wanted I/N with 1 <= I <= N, such as 1/8")
    return int(index), int(count)


def of_shard(name: str, shard: Shard) -> bool:
    """Whether a picture belongs to a part; this depends on its name alone, not on what else is in the folder."""
    index, count = shard
    if count == 1:
        return True
    part = int.from_bytes(hashlib.sha256(os.fsencode(name)).digest()[:8], "big") % count
    return part == index - 1


def check_folders(source: str, out: str) -> None:
    """Raise `ArgumentError` unless results can go from the one folder to the other without meeting the inputs."""
    if not (is_remote(source) or os.path.isdir(source)):
        raise ArgumentError(f"input: there is no folder {source!r}")
    if out.startswith("zip:") or ("::" in out and is_remote(out)):
        raise ArgumentError(f"out: got {out!r}, whose files cannot be replaced one by one")
    is_file = not is_remote(out) and os.path.exists(out) and not os.path.isdir(out)
    if is_file or (named_picture(out) and not os.path.isdir(out)):
        raise ArgumentError(f"out: got the file {out!r}, but several pictures want a folder")
    inside, outside = (folder if is_remote(folder) else os.path.realpath(folder) for folder in (source, out))
    if inside == outside:
        raise ArgumentError(f"out: {out!r} is the input folder itself; wanted another")
    if inside.startswith(join(outside, "")):
        raise ArgumentError(f"out: {out!r} holds the input folder {source!r}; wanted one apart from it, or inside it")


def assign(
    names: Sequence[str], recorded: Mapping[str, str], *, suffix: str, companions: Sequence[str] = ()
) -> dict[str, str]:
    """A result's name for every picture, all different also where case does not count.

    "a.jpg" becomes "a.png", but "a.jpg.png" if the folder has "a.tif" as well. The same names give the same results,
    and a picture keeps the result that it has, whatever is added to the folder later.

    Parameters
    ----------
    names : sequence of str
        Paths inside the input folder, with forward slashes, sorted.
    recorded : mapping of str to str
        Results by picture, as they were.
    suffix : str
        Of the results, such as ".png".
    companions : sequence of str, default ()
        Ends of further files of each result, such as "-sheet.png".
    """
    short = {name: str(PurePosixPath(name).with_suffix("")) + suffix for name in names}
    sharing = Counter(target.casefold() for target in short.values())
    taken = {str(folder).casefold() for name in names for folder in PurePosixPath(name).parents}

    def files(target: str) -> list[str]:
        stem = target.removesuffix(suffix)
        return [file.casefold() for file in (target, *(stem + tag for tag in companions))]

    targets = {}
    for name in names:
        target = recorded.get(name, "")
        if target.endswith(suffix) and taken.isdisjoint(files(target)):
            targets[name] = target
            taken.update(files(target))
    for name in names:
        if name not in targets:
            free = (target for target in _candidates(name, short[name], sharing, suffix))
            targets[name] = next(target for target in free if taken.isdisjoint(files(target)))
            taken.update(files(targets[name]))
    return targets


def _candidates(name: str, short: str, sharing: Counter[str], suffix: str) -> Iterator[str]:
    if sharing[short.casefold()] == 1:
        yield short
    yield name + suffix
    number = 2
    while True:
        yield f"{name}-{number}{suffix}"
        number += 1


def relative(path: str, folder: str) -> str:
    """A path inside a folder, with forward slashes."""
    if is_remote(path):
        return path.removeprefix(folder).lstrip("/")
    return os.path.relpath(path, folder).replace(os.sep, "/")


def shown(path: str) -> str:
    """A path for people: with line breaks, control codes and bytes that are no text escaped."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in path)
