"""A batch from its folder to its summary: what is to do, who does it, and what is written down."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing
from typing import Any

from trimatte.batch.folders import arriving_tasks, folders_of, listed, tasks_of, unread_task, watch_over
from trimatte.batch.manifest import Manifest, open_manifest, read_manifests
from trimatte.batch.one import checked_options
from trimatte.batch.plan import WHOLE, of_shard, parse_shard
from trimatte.batch.summary import BatchSummary
from trimatte.batch.tasks import Outcome, Settings, State, Task, standing
from trimatte.errors import ArgumentError, TrimatteError
from trimatte.files import store
from trimatte.files.jsonl import line_of
from trimatte.runtime.options import check_flag, check_number

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
    force: bool = False,
    watch: bool = False,
    review: bool = False,
    begun: Callable[[BatchSummary], None] | None = None,
    progress: Progress | None = None,
    format: str | None = None,
    prompts: str | os.PathLike[str] | None = None,
    **options: Any,
) -> BatchSummary:
    """Cut out every picture of a folder into another one, which mirrors it.

    What is done already, by the picture's content and the options, is not done again; so a run that was killed is
    simply started once more. Inputs are only read.

    Parameters
    ----------
    source : str or path
        Folder that is searched for pictures, with its inner folders; hidden ones are left out. A path, or an address
        that fsspec reaches, such as "s3://bucket/photos".
    out : str or path
        Folder of the results and of the manifest, likewise. It may lie inside `source`, not the other way round.
    workers : int, optional
        Processes at work; by default as many as there are processors, and fit into memory.
    max_memory : int, optional
        Bytes that all of them may take, by estimate; by default most of what is free.
    shard : str, optional
        "i/n": only the i-th of n parts, by the pictures' names, for runs on several machines.
    cluster : str or Client, optional
        Address of a Dask scheduler, or a `distributed.Client`: its workers do the pictures, each one at a time. They
        must reach both folders, and have the same trimatte.
    retry_failed : bool, default False
        Try again what failed before on the same content and options.
    force : bool, default False
        Also replace files in `out` that bear a result's name and that trimatte did not make.
    watch : bool, default False
        Go on waiting for new pictures until interrupted.
    review : bool, default False
        At the end write review.html and review.jpg to `out`, which show the least confident results first.
    begun : callable, optional
        Called once, before the first picture, with the summary, which says how many there are.
    progress : Progress, optional
        Called after each picture with its outcome and the summary so far.
    format : str, optional
        "png" (by default), "webp", "tiff", "avif" or "jpeg".
    prompts : str or path, optional
        File that says what to cut out of which picture (see `trimatte.batch.pointed`).
    **options : Any
        `sheet`, `output` ("cutout", "matte" or "both"), `frames` ("first" or "all") and `preset` as of the command
        line, those of `trimatte.output.options.Output`, and those of `trimatte.cutout`, of types that JSON has.

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
    for name, value in (("source", source), ("out", out)):
        if not isinstance(value, (str, os.PathLike)):
            raise ArgumentError(f"{name}: got {value!r}, wanted a folder")
    for name, count in (("workers", workers), ("max_memory", max_memory)):
        if count is not None:
            check_number(name, count, least=1, whole=True)
    for name, flag in (("retry_failed", retry_failed), ("force", force), ("watch", watch), ("review", review)):
        check_flag(name, flag)
    if not isinstance(shard, (str, type(None))):
        raise ArgumentError(f"shard: got {shard!r}, wanted 'i/n'")
    if cluster is not None and (workers or max_memory):
        raise ArgumentError("cluster: it goes without workers and max_memory, which are of this machine")
    format, options = _with_preset(format, options)
    folders = folders_of(source, out, format, options, prompts, absolute=cluster is not None)
    settings = settings_of(format, options, retry_failed, force)
    part = parse_shard(shard) if shard else WHOLE
    summary = BatchSummary()
    names = listed(folders, summary, part, watch)
    _refuse_while_importing()
    arrivals = watch_over(folders, part, summary) if watch else None
    tasks: Iterator[Task | None]
    with ExitStack() as stack:
        manifest = stack.enter_context(open_manifest(folders.out, part))
        if arrivals is not None:
            tasks = arriving_tasks(arrivals, folders, manifest)
        else:
            tasks = tasks_of(names, part, folders, manifest)
            summary.total = sum(of_shard(name, part) for name in names) + len(summary.failed)
        stack.callback(_write_quarantine, manifest.quarantine, summary.failed)
        if begun is not None:
            begun(summary)
        if progress is not None:
            for name, why in list(summary.failed.items()):
                progress(Outcome(unread_task(name, folders), "failed", error=why), summary)
        from trimatte.batch.local import in_this_process, on_this_machine
        from trimatte.batch.publish import published
        from trimatte.batch.queue import Queue

        queue = Queue(tasks)
        if cluster is not None:
            from trimatte.batch.cluster import on_cluster

            done = on_cluster(queue, settings, cluster)
        elif any(folder.startswith("memory:") for folder in (folders.source, folders.out)):
            done = in_this_process(queue, settings)
        else:
            done = on_this_machine(queue, settings, workers, max_memory)
        try:
            for outcomes in stack.enter_context(closing(done)):
                known = outcomes if arrivals is None else arrivals.whole(outcomes)
                for outcome in published(known, manifest, folders):
                    summary.seconds = time.monotonic() - start
                    summary.add(outcome)
                    if progress is not None:
                        progress(outcome, summary)
        except KeyboardInterrupt:
            if arrivals is None:
                raise
            for name, why in arrivals.unfinished.items():
                summary.failed[name] = f"it had not arrived as a whole: {why}"
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
    force: bool = False,
    format: str | None = None,
    prompts: str | os.PathLike[str] | None = None,
    **options: Any,
) -> Iterator[tuple[Task, State]]:
    """What `run_batch` would do, without doing or writing anything: each picture, and how it stands.

    The state is "again" for what would be done; see `Outcome` for the others. A folder that cannot be searched stands
    among the pictures, as "failed" and with no result.
    """
    import hashlib

    format, options = _with_preset(format, options)
    folders = folders_of(source, out, format, options, prompts)
    settings = settings_of(format, options, retry_failed, force)
    summary = BatchSummary()
    part = parse_shard(shard) if shard else WHOLE
    names = listed(folders, summary, part)
    manifest = Manifest(read_manifests(folders.out), "", "", lambda records: None)
    for name in summary.failed:
        yield unread_task(name, folders), "failed"
    for task in tasks_of(names, part, folders, manifest):
        try:
            sha256 = hashlib.sha256(store.read(task.source)).hexdigest()
            yield task, standing(task, settings.with_prompts(task.prompts), sha256)
        except TrimatteError:
            yield task, "failed"


def _with_preset(format: str | None, options: Mapping[str, Any]) -> tuple[str | None, dict[str, Any]]:
    """Format and options, with those of a preset among them."""
    from trimatte.output.options import with_preset
    from trimatte.quality import apart

    options = apart(options)
    preset = options.get("preset")
    whole = with_preset(preset, {**{k: v for k, v in options.items() if k != "preset"}, "format": format})
    return whole.pop("format", None), whole


def settings_of(format: str | None, options: Mapping[str, Any], retry_failed: bool, force: bool = False) -> Settings:
    """Settings of all pictures, defaults included; raises `ArgumentError` for what no picture could be done with."""
    return Settings.of(checked_options(format, options), retry_failed, force)


def _refuse_while_importing() -> None:
    """A script without a guard runs once more in each worker, which would start workers of its own."""
    from multiprocessing import current_process

    if getattr(current_process(), "_inheriting", False):
        raise TrimatteError(
            "a batch was started by a worker's import of the main script: put it under `if __name__ == '__main__':`"
        )


def _write_quarantine(address: str, failed: Mapping[str, str]) -> None:
    """List what could not be done beside the manifest, one JSON object a line; no list if there is nothing to list."""
    if failed:
        lines = (line_of({"input": name, "error": failed[name]}) for name in sorted(failed))
        store.write(address, b"".join(lines))
    else:
        store.remove(address)
