"""Evaluation runs: every method on every picture, recorded so that nothing is lost and nothing counted twice."""

from __future__ import annotations

import json
import os
import pickle
import signal
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from itertools import groupby
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Literal, get_args

from trimatte.errors import ArgumentError, ImageWriteError, TrimatteError, message_of
from trimatte.evaluation.alpha_metrics import check_variants
from trimatte.evaluation.datasets import Dataset, open_dataset
from trimatte.evaluation.methods import Function, Method, resolve_methods
from trimatte.evaluation.pictures import MADE, input_hashes, parse_rule
from trimatte.evaluation.records import (
    Fingerprints,
    Key,
    Record,
    append_record,
    fingerprints,
    key,
    locked,
    read_records,
    same_set,
    write_records,
)
from trimatte.evaluation.trials import Task, alpha_path, failed_record, make_folder, run_task
from trimatte.files.atomic import atomic_write
from trimatte.runtime.options import check_flag, check_number
from trimatte.runtime.processes import end_with_parent
from trimatte.runtime.threads import available_threads

_THREAD_LIMITS = ("NUMBA_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")

DATASETS = "datasets.json"

Region = Literal["auto", "unknown", "whole"]
Progress = Callable[[Record, int, int], None]
Started = Callable[[Sequence[tuple[str, str]], int, int], None]
Begin = Callable[[Sequence[Task]], None]


@dataclass(frozen=True)
class Evaluation:
    """The records of a run, ordered by data set, trimap, method and picture; `run` is its folder, if it has one."""

    records: tuple[Record, ...]
    run: str | None = None

    @property
    def failures(self) -> tuple[Record, ...]:
        """Records of pictures that could not be scored."""
        return tuple(record for record in self.records if record["status"] == "failed")

    def mean(self, metric: str, method: str, trimap: str | None = None) -> float:
        """Mean of a metric ("mse", "sad", ...) of one method. Raises ArgumentError if a picture of it failed."""
        chosen = [r for r in self.records if r["method"] == method and trimap in (None, r["trimap"])]
        if not chosen or any(r["status"] == "failed" for r in chosen):
            raise ArgumentError(f"method: {method!r} has {'failures' if chosen else 'no records'}, so no mean")
        return float(sum(r["metrics"][metric] for r in chosen) / len(chosen))


def evaluate(
    dataset: str | os.PathLike[str] | Dataset,
    methods: Sequence[str] | Mapping[str, str | Function] = (),
    *,
    trimaps: Sequence[str] | None = None,
    out: str | os.PathLike[str] | None = None,
    predictions: Mapping[str, str | os.PathLike[str]] | None = None,
    region: Region = "auto",
    variants: Sequence[str] = (),
    jobs: int = 1,
    isolate: bool = False,
    limit: int | None = None,
    retry_failed: bool = False,
    backgrounds: str | os.PathLike[str] | None = None,
    layout: str | None = None,
    progress: Progress | None = None,
    started: Started | None = None,
) -> Evaluation:
    """Score methods on a benchmark.

    Parameters
    ----------
    dataset : str or path or Dataset
        A benchmark's folder (see `trimatte.evaluation.datasets`; also for `backgrounds` and `layout`).
    methods : sequence of str, or mapping of str to str or function, default ()
        Names (see `trimatte.evaluation.methods`), or a mapping of names to functions (image, trimap) -> alpha.
    trimaps : sequence of str, optional
        The set's own by name, or "made[:LOW-HIGH[@SEED]]" from its alpha. By default all of its own; made ones if it
        has none and a method needs one.
    out : str or path, optional
        Folder of the run. What is recorded there already is not computed again unless its inputs have changed.
    predictions : mapping of str to str or path, optional
        Name -> folder with results of another program, PICTURE.png or TRIMAP/PICTURE.png.
    region : {"auto", "unknown", "whole"}, default "auto"
        "unknown" pixels of the trimap, the "whole" picture, or "auto", as the set's papers do.
    variants : sequence of str, default ()
        Gradient and connectivity as published ports compute them, too, by names such as "gradient:gaussian-filter" (see
        `trimatte.evaluation.alpha_metrics.VARIANTS`).
    jobs : int, default 1
        Processes at work at the same time. Times are only comparable with 1.
    isolate : bool, default False
        Run each method, with each trimap, in fresh processes of its own: in one that others share, its memory depends
        on what ran before. Functions must be importable by name, and a script that calls this needs its
        `if __name__ == "__main__"`.
    limit : int, optional
        The first pictures only.
    retry_failed : bool, default False
        Try again what is recorded as failed.
    progress : Progress, optional
        Called with each new record, how many are done and how many there are.
    started : Started, optional
        Called when a method begins with a picture: a pair of names, method and picture, for each that is at work, how
        many are done and how many there are.

    Returns
    -------
    Evaluation
        Alpha mattes are rounded to 8 bits before they are measured, as published results are. A picture that a method
        cannot do is recorded as failed. With `out`, mattes are kept in `out`/alpha.

    Raises
    ------
    ArgumentError
        for an unknown method, trimap, layout, variant, or an empty or unknown folder.
    ImageWriteError
        if `out` cannot be written, say for want of space; what was recorded before stays.
    """
    if region not in get_args(Region):
        raise ArgumentError(f"region: got {region!r}, wanted one of {', '.join(get_args(Region))}")
    check_number("jobs", jobs, least=1, whole=True)
    if limit is not None:
        check_number("limit", limit, least=1, whole=True)
    check_variants(variants)
    check_flag("isolate", isolate)
    check_flag("retry_failed", retry_failed)
    if not isinstance(dataset, (str, os.PathLike, Dataset)):
        raise ArgumentError(f"dataset: got {dataset!r}, wanted a folder")
    if not isinstance(dataset, Dataset):
        dataset = open_dataset(dataset, layout=layout, backgrounds=backgrounds)
    tasks = _tasks(dataset.first(limit), resolve_methods(methods, predictions), trimaps, region, out, jobs)
    tasks = [replace(task, variants=tuple(dict.fromkeys(variants))) for task in tasks]
    with ExitStack() as stack:
        done: dict[Key, Record] = {}
        if out is not None:
            make_folder(Path(out))
            stack.enter_context(locked(out))
            _check_same_set(out, dataset)
            _describe(out, dataset)
            done = _still_valid(out, tasks, retry_failed)
        todo = [task for task in tasks if _key(task) not in done]
        count = len(tasks) - len(todo)

        def begin(at_work: Sequence[Task]) -> None:
            if started is not None:
                started([(task.method.name, task.sample.name) for task in at_work], count, len(tasks))

        for record in _results(todo, jobs, isolate, begin):
            if out is not None:
                append_record(out, record)
            done[key(record)] = record
            count += 1
            if progress is not None:
                progress(record, count, len(tasks))
        if out is not None:
            write_records(out, done.values())
    return Evaluation(tuple(done[k] for k in sorted(_key(task) for task in tasks)), None if out is None else str(out))


def _tasks(
    dataset: Dataset,
    methods: Sequence[Method],
    trimaps: Sequence[str] | None,
    region: Region,
    out: str | os.PathLike[str] | None,
    jobs: int,
) -> list[Task]:
    chosen = _trimaps(dataset, methods, trimaps)
    run = None if out is None else os.fspath(out)
    return [
        Task(dataset.name, sample, trimap, method, _region(region, dataset, trimap), run, jobs)
        for trimap in chosen
        for method in methods
        for sample in dataset.samples
    ]


def _trimaps(dataset: Dataset, methods: Sequence[Method], wanted: Sequence[str] | None) -> list[str | None]:
    if wanted is None:
        made = any(method.needs_trimap for method in methods)
        return list(dataset.trimaps) or [MADE if made else None]
    for trimap in wanted:
        if parse_rule(trimap) is None and trimap not in dataset.trimaps:
            there = ", ".join([*dataset.trimaps, f"{MADE}[:LOW-HIGH[@SEED]]"])
            raise ArgumentError(f"trimaps: got {trimap!r}, this data set has {there}")
    return list(dict.fromkeys(wanted)) or [None]


def _region(region: Region, dataset: Dataset, trimap: str | None) -> str:
    if region == "auto":
        return "whole" if trimap is None else dataset.layout.region
    return region


def _key(task: Task) -> Key:
    return (task.dataset, task.trimap or "", task.method.name, task.sample.name)


def _describe(out: str | os.PathLike[str], dataset: Dataset) -> None:
    """Note in RUN/datasets.json where each data set lies, for reports that show its pictures."""
    path, known = Path(out) / DATASETS, _described(out)
    known[dataset.name] = {
        "root": _absolute(dataset.root),
        "layout": dataset.layout.name,
        "backgrounds": dataset.backgrounds and _absolute(dataset.backgrounds),
    }
    with atomic_write(path) as file:
        file.write((json.dumps(known, indent=1, sort_keys=True) + "\n").encode())


def _described(out: str | os.PathLike[str]) -> dict[str, Any]:
    try:
        known = json.loads((Path(out) / DATASETS).read_text())
    except (FileNotFoundError, ValueError):
        return {}
    return known if isinstance(known, dict) else {}


def _check_same_set(out: str | os.PathLike[str], dataset: Dataset) -> None:
    """Another set of the same name would replace what is recorded, or mix with it."""
    root = _described(out).get(dataset.name, {}).get("root")
    recorded = fingerprints(read_records(out)).get(dataset.name)
    if not recorded or root in (None, _absolute(dataset.root)):
        return
    here: Fingerprints = {}
    for sample in dataset.samples:
        if sample.name in recorded and not sample.problem:
            hashes = input_hashes(sample, None)
            here[sample.name] = (hashes.get("image"), hashes.get("alpha"))
    if not same_set(recorded, here):
        message = f"has figures of {dataset.name} in {root!r}, and the pictures in {dataset.root!r} are others"
        raise ArgumentError(f"out: {os.fspath(out)!r} {message}; wanted a folder of its own for this set")


def _absolute(path: str) -> str:
    return path if "://" in path else os.path.abspath(path)


def _still_valid(out: str | os.PathLike[str], tasks: Sequence[Task], retry_failed: bool) -> dict[Key, Record]:
    """Records to be kept. Those whose inputs have changed since are dropped, and the file is put in order."""
    records = {key(record): record for record in read_records(out)}
    for task in tasks:
        record = records.get(_key(task))
        if record is not None and not _holds(record, task, retry_failed):
            del records[_key(task)]
    write_records(out, records.values())
    return records


def _holds(record: Record, task: Task, retry_failed: bool) -> bool:
    try:
        inputs = input_hashes(task.sample, task.trimap) | task.method.inputs(task.sample.name, task.trimap)
    except TrimatteError:
        return False
    if record["inputs"] != inputs or record["region"] != task.region:
        return False
    if record["status"] == "failed":
        return not retry_failed
    if not set(task.variants) <= set(record["metrics"]):
        return False
    return alpha_path(task.run or "", task.trimap, task.method.name, task.sample.name).exists()


def _results(tasks: Sequence[Task], jobs: int, isolate: bool, begin: Begin) -> Iterator[Record]:
    if not isolate:
        yield from _here(tasks, begin) if jobs == 1 or len(tasks) < 2 else _by_workers(tasks, jobs, begin)
        return
    for _, group in groupby(tasks, key=lambda task: (task.trimap, task.method.name)):
        alone = [replace(task, isolated=True) for task in group]
        # What another program has made costs nothing here.
        yield from _by_workers(alone, jobs, begin) if alone[0].method.measured else _here(alone, begin)


def _here(tasks: Sequence[Task], begin: Begin) -> Iterator[Record]:
    for task in tasks:
        begin([task])
        yield run_task(task)


def _by_workers(tasks: Sequence[Task], jobs: int, begin: Begin) -> Iterator[Record]:
    """The records of tasks that fresh processes do."""
    _check_portable(tasks)
    lost = yield from _in_parallel(tasks, jobs, begin)
    # A process that dies takes its pool and others' work with it; each of those gets a process of its own.
    for task in lost:
        again = yield from _in_parallel([task], 1, begin)
        if again:
            yield failed_record(task, "the process died while at it (out of memory?)")


def _in_parallel(tasks: Sequence[Task], jobs: int, begin: Begin) -> Generator[Record, None, list[Task]]:
    """Yields records as they come; returns the tasks that were lost with a process."""
    lost = []
    with ExitStack() as stack:
        stack.enter_context(_threads_shared_by(jobs))
        pool = stack.enter_context(ProcessPoolExecutor(jobs, mp_context=get_context("spawn"), initializer=_begin))
        stack.callback(pool.shutdown, wait=True, cancel_futures=True)
        futures = {pool.submit(run_task, task): task for task in tasks}
        undone = list(futures)  # processes take them in this order
        begin(tasks[:jobs])
        for future in as_completed(futures):
            undone.remove(future)
            try:
                yield future.result()
            except BrokenProcessPool:
                lost.append(futures[future])
            except ImageWriteError:
                raise
            except Exception as error:  # what came could not be read, say
                yield failed_record(futures[future], f"{type(error).__name__}: {message_of(error)}")
            if undone:
                begin([futures[other] for other in undone[:jobs]])
    return lost


def _begin() -> None:
    """A worker ends with its parent, and at once, without a word, when Ctrl-C is pressed."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    end_with_parent()


def _check_portable(tasks: Sequence[Task]) -> None:
    try:
        pickle.dumps(tasks)
    except Exception as error:
        message = f"methods: with jobs above 1 or isolate functions must be importable by name ({error})"
        raise ArgumentError(message) from error


@contextmanager
def _threads_shared_by(jobs: int) -> Iterator[None]:
    """Workers started meanwhile share the processors instead of each taking all of them."""
    share = str(max(1, available_threads() // jobs))
    before = {name: os.environ.get(name) for name in _THREAD_LIMITS}
    os.environ.update({name: share for name, value in before.items() if value is None})
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
