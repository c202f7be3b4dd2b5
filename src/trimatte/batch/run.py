"""A batch from its folder to its summary: what is to do, who does it, and what is written down."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass, field, replace
from inspect import signature
from multiprocessing import current_process
from typing import Any

from trimatte.batch.folders import pictures
from trimatte.batch.manifest import Known, Manifest, open_manifest, read_manifests
from trimatte.batch.plan import WHOLE, Shard, assign, check_folders, of_shard, parse_shard
from trimatte.batch.tasks import (
    BASE_BYTES,
    BYTES_PER_PIXEL,
    SHEET,
    Outcome,
    Settings,
    State,
    Task,
    lost,
    perform,
    standing,
)
from trimatte.batch.workers import Died, Pool
from trimatte.errors import ArgumentError, ImageWriteError, TrimatteError
from trimatte.files import store
from trimatte.files.addresses import is_remote, join, plain
from trimatte.files.atomic import reason
from trimatte.files.jsonl import line_of
from trimatte.runtime.measure import available_bytes
from trimatte.runtime.threads import available_threads

ATTEMPTS = 3
"""How often a picture is tried that takes its worker along."""
_TICK = 0.5
_SETTLED = 2.0
"""Seconds that a picture in a watched folder must stay as it is before it is read."""
_MOVERS = 16
"""Results that are put in place at the same time where each takes a request."""
_SHARE = 0.8
"""Of the free memory, if nothing else is said."""
_SUFFIXES = {"png": ".png", "webp": ".webp", "tiff": ".tiff", "avif": ".avif", "jpeg": ".jpg"}


@dataclass
class BatchSummary:
    """What became of a batch.

    Attributes
    ----------
    total : pictures of this run, None while a folder is watched.
    done, unchanged, kept : how many were made; were made before; were changed by somebody else since, and left alone.
    failed : pictures that could not be done, or folders that could not be read, and why.
    links : linked folders, which were not gone into.
    seconds : wall time.
    making : of it, the time in which pictures were made; the rest went into finding what was done before.
    """

    total: int | None = None
    done: int = 0
    unchanged: int = 0
    kept: int = 0
    failed: dict[str, str] = field(default_factory=dict)
    links: list[str] = field(default_factory=list)
    seconds: float = 0.0
    making: float = 0.0
    _made_until: float = field(default=0.0, repr=False)

    @property
    def count(self) -> int:
        """Pictures that are dealt with."""
        return self.done + self.unchanged + self.kept + len(self.failed)


Progress = Callable[[Outcome, BatchSummary], None]


def run_batch(
    source: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    workers: int | None = None,
    max_memory: int | None = None,
    shard: str | None = None,
    cluster: Any = None,
    retry_failed: bool = False,
    watch: bool = False,
    review: bool = False,
    progress: Progress | None = None,
    format: str | None = None,
    **options: Any,
) -> BatchSummary:
    """Cut out every picture of a folder into another one, which mirrors it.

    What is done already, by the picture's content and the options, is not done again; so a run that was killed is
    simply started once more. Inputs are only read.

    Parameters
    ----------
    source : folder that is searched for pictures, with its inner folders; hidden ones are left out. A path, or an
        address that fsspec reaches, such as "s3://bucket/photos".
    out : folder of the results and of the manifest, likewise. It may lie inside `source`, not the other way round.
    workers : processes at work; by default as many as there are processors, and fit into memory.
    max_memory : bytes that all of them may take, by estimate; by default most of what is free.
    shard : "i/n": only the i-th of n parts, by the pictures' names, for runs on several machines.
    cluster : address of a Dask scheduler, or a `distributed.Client`: its workers do the pictures, each one at a time.
        They must reach both folders, and have the same trimatte.
    retry_failed : try again what failed before on the same content and options.
    watch : go on waiting for new pictures until interrupted.
    review : at the end write review.html and review.jpg to `out`, which show the least confident results first.
    progress : called after each picture with its outcome and the summary so far.
    format : "png" (by default), "webp", "tiff", "avif" or "jpeg".
    options : `sheet`, `crop`, `background` and `quality` as of the command line, and those of `trimatte.cutout`, of
        types that JSON has.

    Returns
    -------
    BatchSummary
        Of the whole folder, or the shard, whether it was done by this run or before.

    Raises
    ------
    ArgumentError
        If the folders do not go together, hold no picture, or are being written to by another run; if no cluster
        answers.
    ImageReadError
        If an address cannot be reached.
    ImageWriteError
        If the disk is full or read-only; what was done stays and is not done again.
    TrimatteError
        If the cluster goes away, or cannot do the work; what was done stays.
    """
    start = time.monotonic()
    if cluster is not None and (workers or max_memory):
        raise ArgumentError("cluster: it goes without workers and max_memory, which are of this machine")
    folders = folders_of(source, out, format, options, absolute=cluster is not None)
    settings = settings_of(format, options, retry_failed)
    part = parse_shard(shard) if shard else WHOLE
    summary = BatchSummary()
    names = _listed(folders, summary, watch)
    _refuse_while_importing()
    tasks: Iterator[Task | None]
    with ExitStack() as stack:
        manifest = stack.enter_context(open_manifest(folders.out, part))
        if watch:
            tasks = _watched(folders, manifest, part, summary)
        else:
            tasks = _tasks(names, part, folders, manifest)
            summary.total = sum(of_shard(name, part) for name in names) + len(summary.failed)
        stack.callback(_write_quarantine, manifest.quarantine, summary.failed)
        queue = Queue(tasks)
        if cluster is not None:
            from trimatte.batch.cluster import on_cluster

            done = on_cluster(queue, settings, cluster)
        elif any(folder.startswith("memory:") for folder in (folders.source, folders.out)):
            done = _in_this_process(queue, settings)
        else:
            done = _on_this_machine(queue, settings, workers, max_memory)
        try:
            for outcomes in stack.enter_context(closing(done)):
                for outcome in _published(outcomes, manifest, folders):
                    summary.seconds = time.monotonic() - start
                    _count(outcome, summary)
                    if progress is not None:
                        progress(outcome, summary)
        except KeyboardInterrupt:
            if not watch:
                raise
        if review:
            from trimatte.batch.review import write_review

            write_review(folders.source, folders.out)
    summary.seconds = time.monotonic() - start
    return summary


def plan_batch(
    source: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    shard: str | None = None,
    retry_failed: bool = False,
    format: str | None = None,
    **options: Any,
) -> Iterator[tuple[Task, State]]:
    """What `run_batch` would do, without doing or writing anything: each picture, and how it stands.

    The state is "again" for what would be done; see `Outcome` for the others. A folder that cannot be searched stands
    among the pictures, as "failed" and with no result.
    """
    import hashlib

    folders = folders_of(source, out, format, options)
    settings = settings_of(format, options, retry_failed)
    summary = BatchSummary()
    names, part = _listed(folders, summary), parse_shard(shard) if shard else WHOLE
    manifest = Manifest(read_manifests(folders.out), "", "", lambda records: None)
    for folder in summary.failed:
        yield Task(folder, "", join(folders.source, folder), "", ""), "failed"
    for task in _tasks(names, part, folders, manifest):
        try:
            sha256 = hashlib.sha256(store.read(task.source)).hexdigest()
            yield task, standing(task, settings, sha256)
        except TrimatteError:
            yield task, "failed"


@dataclass(frozen=True)
class Folders:
    """From where to where, and in what format. Raises `ArgumentError` if these do not go together."""

    source: str
    out: str
    format: str
    sheet: bool

    def __post_init__(self) -> None:
        if self.format not in _SUFFIXES:
            raise ArgumentError(f"format: got {self.format!r}, wanted one of {', '.join(_SUFFIXES)}")
        check_folders(self.source, self.out)

    @property
    def suffix(self) -> str:
        return _SUFFIXES[self.format]

    def targets(self, names: Sequence[str], known: Mapping[str, Known]) -> dict[str, str]:
        """The result's name of every picture."""
        recorded = {name: known[name].output for name in names if name in known}
        return assign(names, recorded, suffix=self.suffix, companions=[SHEET] if self.sheet else [])


def folders_of(
    source: str | os.PathLike[str],
    out: str | os.PathLike[str],
    format: str | None,
    options: Mapping[str, Any],
    *,
    absolute: bool = False,
) -> Folders:
    """The folders that were named; `absolute` for whoever has another working folder. Raises `ArgumentError`."""

    def named(folder: str | os.PathLike[str]) -> str:
        address = plain(os.fspath(folder))
        return os.path.abspath(address) if absolute and not is_remote(address) else address

    return Folders(named(source), named(out), format or "png", bool(options.get("sheet")))


def settings_of(format: str | None, options: Mapping[str, Any], retry_failed: bool) -> Settings:
    """Settings of all pictures, defaults included; raises `ArgumentError` for what no picture could be done with."""
    from trimatte.cutout import check_names, cutout

    defaults = {p.name: p.default for p in signature(cutout).parameters.values() if p.kind is p.KEYWORD_ONLY}
    asked = {**defaults, **options, "format": format or "png"}
    check_names(**{stage: asked[stage] for stage in ("segmenter", "method", "foreground", "refine")})
    if format == "jpeg" and asked.get("background") is None:
        raise ArgumentError("format: got JPEG, which holds no alpha; wanted a background, or another format")
    given = {name: value for name, value in asked.items() if not (value is None or value is False or value == {})}
    return Settings.of(given, retry_failed)


def _listed(folders: Folders, summary: BatchSummary, watch: bool = False) -> list[str]:
    """The names of all pictures in order; what else was found goes to the summary."""
    names, unreadable, summary.links = pictures(folders.source, folders.out)
    if not (names or unreadable or watch):
        raise ArgumentError(f"input: the folder {folders.source!r} holds no picture")
    for folder, why in unreadable.items():
        summary.failed[folder] = f"cannot read the folder: {why}"
    return names


def _refuse_while_importing() -> None:
    """A script without a guard runs once more in each worker, which would start workers of its own."""
    if getattr(current_process(), "_inheriting", False):
        raise TrimatteError(
            "a batch was started by a worker's import of the main script: put it under `if __name__ == '__main__':`"
        )


def _tasks(names: Sequence[str], shard: Shard, folders: Folders, manifest: Manifest) -> Iterator[Task]:
    """Tasks for the pictures of a shard; where results go depends on all names, lest shards disagree."""
    targets = folders.targets(names, manifest.known)
    for number, name in enumerate(names):
        if of_shard(name, shard):
            yield _task(name, targets[name], number, folders, manifest)


def _watched(folders: Folders, manifest: Manifest, shard: Shard, summary: BatchSummary) -> Iterator[Task | None]:
    """Tasks for pictures that are there, come or change, each once it has stayed the same for a while; else None."""
    number, seen = 0, dict[str, tuple[Any, ...]]()
    before: dict[str, tuple[Any, ...]] = {}
    while True:
        names = _listed(folders, summary, watch=True)
        now = store.signatures(folders.source, [name for name in names if of_shard(name, shard)])
        settled = [name for name in now if now[name] == before.get(name) != seen.get(name)]
        targets = folders.targets(names, manifest.known) if settled else {}
        for name in settled:
            seen[name] = now[name]
            yield _task(name, targets[name], number, folders, manifest)
            number += 1
        before, looked = now, time.monotonic()
        while time.monotonic() - looked < _SETTLED:
            yield None


def _task(name: str, target: str, number: int, folders: Folders, manifest: Manifest) -> Task:
    return Task(
        name,
        target,
        join(folders.source, name),
        join(folders.out, target),
        join(manifest.staging, f"{number}{folders.suffix}"),
        manifest.known.get(name),
    )


class Queue:
    """The tasks to come; a task None stands for nothing to do at the moment. Those to be tried again go first."""

    def __init__(self, tasks: Iterator[Task | None]) -> None:
        self._tasks, self._again, self._ended = tasks, deque[Task](), False

    @property
    def open(self) -> bool:
        """Whether there may be more."""
        return bool(self._again) or not self._ended

    def take(self) -> Task | None:
        """The next task, None if there is none, or none now."""
        if self._again:
            return self._again.popleft()
        for task in self._tasks:
            return task
        self._ended = True
        return None

    def put_back(self, task: Task) -> None:
        """Have a task done that was not even begun."""
        self._again.append(task)

    def try_again(self, task: Task) -> bool:
        """Have a task tried once more, unless that was done often enough."""
        if task.attempt >= ATTEMPTS:
            return False
        self._again.append(replace(task, attempt=task.attempt + 1))
        return True


Outcomes = Generator[Sequence[Outcome], None, None]
"""What becomes of the tasks of a queue, as it comes."""


def _on_this_machine(queue: Queue, settings: Settings, workers: int | None, max_memory: int | None) -> Outcomes:
    """Have worker processes do the tasks."""
    memory = max_memory if max_memory is not None else round(_SHARE * available_bytes())
    fitting = max(1, memory // (BASE_BYTES + 1_000_000 * BYTES_PER_PIXEL))
    count = min(workers or available_threads(), fitting)
    left, threads = memory - count * BASE_BYTES, max(1, available_threads() // count)
    with Pool(count, settings, threads=threads, memory=max(0, left)) as pool:
        while queue.open or pool.busy:
            while pool.has_room and (task := queue.take()):
                pool.give(task)
            for result in pool.results(_TICK):
                if isinstance(result, Died) and not result.ready:
                    queue.put_back(result.task)
                elif isinstance(result, Outcome) and result.state != "again":
                    yield [result]
                elif not queue.try_again(result.task):
                    yield [_given_up(result, settings)]


def _in_this_process(queue: Queue, settings: Settings) -> Outcomes:
    """Do the tasks one by one, for folders that no other process sees."""
    while queue.open:
        if (task := queue.take()) is None:
            time.sleep(_TICK if queue.open else 0)
            continue
        outcome = perform(task, settings, lambda size: None)
        if outcome.state != "again":
            yield [outcome]
        elif not queue.try_again(task):
            yield [_given_up(outcome, settings)]


def _given_up(result: Outcome | Died, settings: Settings) -> Outcome:
    if isinstance(result, Outcome):
        return replace(result, state="failed")
    code = result.exit_code or 0
    how = f"was killed by signal {-code} (out of memory?)" if code < 0 else f"ended with code {code}"
    return lost(result.task, settings, f"its process {how} at each of {ATTEMPTS} attempts")


def _published(outcomes: Sequence[Outcome], manifest: Manifest, folders: Folders) -> list[Outcome]:
    """The outcomes after their records are written and their results are in place, in this order.

    Only this process, which holds the lock, does so: what a worker of a killed run still finishes is never seen.
    """
    going = [outcome for outcome in outcomes if outcome.state != "stop"]
    manifest.append([outcome.record for outcome in going if outcome.record])
    if is_remote(folders.out) and len(going) > 1:
        with ThreadPoolExecutor(_MOVERS) as pool:
            placed = list(pool.map(lambda outcome: _placed(outcome, folders.out), going))
    else:
        placed = [_placed(outcome, folders.out) for outcome in going]
    manifest.append([after.record for before, after in zip(going, placed, strict=True) if after is not before])
    for outcome in outcomes:
        if outcome.state == "stop":
            raise ImageWriteError(f"{outcome.error}; what is done stays, the same command goes on")
    return placed


def _placed(outcome: Outcome, out: str) -> Outcome:
    """The outcome after its files were moved to where they belong, or what it is if they cannot be."""
    target = outcome.task.target
    try:
        if outcome.staged and not is_remote(out):
            _make_folder(os.path.dirname(target), out)
        for staged, final in outcome.staged.items():
            store.move(staged, final)
    except OSError as error:
        why = str(error) if isinstance(error, ImageWriteError) else f"cannot write {target!r}: {reason(error)}"
        failed = {**outcome.record, "done": False, "output_sha256": None, "report": None, "error": why}
        return replace(outcome, state="failed", record=failed, error=why, staged={})
    return outcome


def _make_folder(folder: str, out: str) -> None:
    """Make the folder of a result; refuse one that a link leads out of the output folder."""
    os.makedirs(folder, exist_ok=True)
    inside, root = os.path.realpath(folder), os.path.realpath(out)
    if inside != root and not inside.startswith(os.path.join(root, "")):
        raise OSError(f"its folder is a link out of {out!r}")


def _count(outcome: Outcome, summary: BatchSummary) -> None:
    summary.failed.pop(outcome.task.name, None)
    if outcome.state == "done":
        summary.done += 1
        began = max(summary.seconds - outcome.took, summary._made_until)  # others were made at the same time
        summary.making += summary.seconds - began
        summary._made_until = summary.seconds
    elif outcome.state == "unchanged":
        summary.unchanged += 1
    elif outcome.state == "kept":
        summary.kept += 1
    else:
        summary.failed[outcome.task.name] = outcome.error


def _write_quarantine(address: str, failed: Mapping[str, str]) -> None:
    """List what could not be done beside the manifest, one JSON object a line; no list if there is nothing to list."""
    if failed:
        lines = (line_of({"input": name, "error": failed[name]}) for name in sorted(failed))
        store.write(address, b"".join(lines))
    else:
        store.remove(address)
