"""The two folders of a batch: what is in the one, and where it goes in the other."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from trimatte.batch.jobs import companions_of, list_folder
from trimatte.batch.manifest import Known, Manifest
from trimatte.batch.plan import Shard, assign, check_folders, of_shard, relative
from trimatte.batch.pointed import check_known, read_prompt_file
from trimatte.batch.summary import BatchSummary
from trimatte.batch.tasks import Task
from trimatte.batch.watch import Watch
from trimatte.errors import ArgumentError
from trimatte.files import store
from trimatte.files.addresses import is_remote, join, plain
from trimatte.images.formats import WRITTEN, is_picture, unread


@dataclass(frozen=True)
class Folders:
    """From where to where, in what format, and what is pointed at in which picture.

    Raises `ArgumentError` if these do not go together.
    """

    source: str
    out: str
    format: str
    companions: tuple[str, ...]
    prompts: Mapping[str, Any]

    def __post_init__(self) -> None:
        if self.format not in WRITTEN:
            raise ArgumentError(f"format: got {self.format!r}, wanted one of {', '.join(WRITTEN)}")
        check_folders(self.source, self.out)

    @property
    def suffix(self) -> str:
        return WRITTEN[self.format].suffix

    def targets(self, names: Sequence[str], known: Mapping[str, Known]) -> dict[str, str]:
        """The result's name of every picture."""
        recorded = {name: known[name].output for name in names if name in known}
        return assign(names, recorded, suffix=self.suffix, companions=self.companions)


def folders_of(
    source: str | os.PathLike[str],
    out: str | os.PathLike[str],
    format: str | None,
    options: Mapping[str, Any],
    prompts: str | os.PathLike[str] | None = None,
    *,
    absolute: bool = False,
) -> Folders:
    """The folders that were named; `absolute` for whoever has another working folder. Raises `ArgumentError`."""

    def named(folder: str | os.PathLike[str]) -> str:
        address = plain(os.fspath(folder))
        return os.path.abspath(address) if absolute and not is_remote(address) else address

    return Folders(named(source), named(out), format or "png", tuple(companions_of(options)), read_prompt_file(prompts))


def listed(folders: Folders, summary: BatchSummary, shard: Shard, watch: bool = False) -> list[str]:
    """The names of all pictures in order; what else was found goes to the summary."""
    names, left_out, unreadable, summary.links = pictures(folders.source, folders.out)
    if not (names or left_out or unreadable or watch):
        raise ArgumentError(f"input: the folder {folders.source!r} holds no picture")
    for folder, why in unreadable.items():
        summary.failed[folder] = f"cannot read the folder: {why}"
    summary.failed.update((name, why) for name, why in left_out.items() if of_shard(name, shard))
    if not watch:
        check_known(folders.prompts, names)
    return names


def tasks_of(names: Sequence[str], shard: Shard, folders: Folders, manifest: Manifest) -> Iterator[Task]:
    """Tasks for the pictures of a shard; where results go depends on all names, lest shards disagree."""
    targets = folders.targets(names, manifest.known)
    for number, name in enumerate(names):
        if of_shard(name, shard):
            yield _task(name, targets[name], number, folders, manifest)


def watch_over(folders: Folders, shard: Shard, summary: BatchSummary) -> Watch:
    """A watch over the pictures of a shard."""

    def signatures(names: Sequence[str]) -> dict[str, tuple[Any, ...]]:
        return store.signatures(folders.source, [name for name in names if of_shard(name, shard)])

    return Watch(lambda: listed(folders, summary, shard, watch=True), signatures)


def arriving_tasks(watch: Watch, folders: Folders, manifest: Manifest) -> Iterator[Task | None]:
    """Tasks for pictures as they arrive; None while there is none."""
    number = 0
    for ready in watch:
        targets = folders.targets(watch.names, manifest.known) if ready else {}
        for name, arriving in ready:
            yield replace(_task(name, targets[name], number, folders, manifest), arriving=arriving)
            number += 1
        if not ready:
            yield None


def unread_task(name: str, folders: Folders) -> Task:
    """What stands for a folder or a picture that is not read."""
    return Task(name, "", join(folders.source, name), "", "")


def _task(name: str, target: str, number: int, folders: Folders, manifest: Manifest) -> Task:
    return Task(
        name,
        target,
        join(folders.source, name),
        join(folders.out, target),
        join(manifest.staging, f"{number}{folders.suffix}"),
        manifest.known.get(name),
        prompts=folders.prompts.get(name, {}),
    )


def pictures(folder: str, out: str) -> tuple[list[str], dict[str, str], dict[str, str], list[str]]:
    """What a folder holds, without hidden files and the folder `out`.

    Returns
    -------
    names : list of str
        Of all pictures in order, inside the folder, with forward slashes.
    unread : dict of str to str
        Pictures of formats that are not read, likewise, and why.
    unreadable : dict of str to str
        Folders that cannot be searched, and why.
    links : list of str
        Linked folders, which are not gone into.
    """
    if is_remote(folder):
        inner = f"{relative(out, folder)}/" if is_remote(out) and out.startswith(join(folder, "")) else None
        shown = sorted(n for n in store.found(folder) if _is_shown(n) and not (inner and n.startswith(inner)))
        return [n for n in shown if is_picture(n)], {n: why for n in shown if (why := unread(n))}, {}, []
    listing = list_folder(folder, out)
    unreadable = {relative(path, folder): why for path, why in listing.unreadable.items()}
    left_out = {relative(path, folder): why for path, why in listing.unread.items()}
    return sorted(relative(path, folder) for path in listing.pictures), left_out, unreadable, listing.links


def _is_shown(name: str) -> bool:
    return not any(part.startswith(".") for part in name.split("/"))
