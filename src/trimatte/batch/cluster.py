"""A batch on a Dask cluster: its workers do the tasks, this process puts in place what comes of them."""

from __future__ import annotations

import os
import pickle
import queue as queues
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any

from trimatte import __version__
from trimatte.batch.queue import Outcomes, Queue
from trimatte.batch.tasks import Outcome, Settings, Task, lost, perform
from trimatte.errors import ArgumentError, MissingExtraError, TrimatteError
from trimatte.files.atomic import reason
from trimatte.runtime.threads import limit_threads

AHEAD = 3
"""Tasks that the cluster has at a time for each of its threads, so that none waits for this process."""
_TICK, _COUNTED, _PATIENCE = 0.5, 5.0, 10.0
_turn = threading.Lock()
_agreed: set[str] = set()


def on_cluster(queue: Queue, settings: Settings, cluster: Any) -> Outcomes:
    """Have the workers of a cluster do the tasks; `cluster` is the address of its scheduler, or a client of it.

    Dask gives the task of a worker that dies to another, three times at most.

    Raises
    ------
    ArgumentError
        If no scheduler answers.
    TrimatteError
        If the cluster goes away, or its workers have another trimatte.
    """
    with _connected(cluster) as client:
        finished: queues.SimpleQueue[Any] = queues.SimpleQueue()
        flying: dict[Any, Task] = {}
        room, counted = 0, float("-inf")
        while queue.open or flying:
            if time.monotonic() - counted > _COUNTED:
                room, counted = AHEAD * max(1, sum(client.nthreads().values())), time.monotonic()
            while len(flying) < room and (task := queue.take()):
                work = pickle.dumps(_Work(task, settings, __version__))
                future = client.submit(pickle.loads, work, key=f"trimatte-{secrets.token_hex(8)}", pure=False)
                flying[future.key] = task
                future.add_done_callback(finished.put)
            futures = _waited_for(finished)
            if not futures and client.status != "running":
                raise _gone()
            outcomes = [_outcome(future, flying.pop(future.key), settings, queue) for future in futures]
            yield [outcome for outcome in outcomes if outcome is not None]


@contextmanager
def _connected(cluster: Any) -> Iterator[Any]:
    try:
        from distributed import Client
    except ImportError as error:
        raise MissingExtraError("a cluster needs Dask: pip install 'trimatte[dask]'") from error
    if isinstance(cluster, Client):
        yield cluster
        return
    try:
        client = Client(cluster, timeout=_PATIENCE, set_as_default=False)  # type: ignore[no-untyped-call]
    except (OSError, ValueError, TypeError) as error:
        raise ArgumentError(f"cluster: no Dask scheduler answers at {cluster!r}: {reason(error)}") from error
    with client:
        yield client


def _waited_for(finished: queues.SimpleQueue[Any]) -> list[Any]:
    """The futures that are finished, after waiting a moment for the first."""
    futures: list[Any] = []
    with suppress(queues.Empty):
        futures.append(finished.get(timeout=_TICK))
        while True:
            futures.append(finished.get_nowait())
    return futures


def _outcome(future: Any, task: Task, settings: Settings, queue: Queue) -> Outcome | None:
    """What became of a task, None if it is to be tried again."""
    from distributed import KilledWorker

    if future.status == "cancelled":
        raise _gone()
    try:
        outcome: Outcome = future.result()
    except KilledWorker as error:
        return lost(task, settings, f"each worker that tried it died, the last one {error.last_worker.address}")
    except TrimatteError:
        raise
    except Exception as error:  # whatever a worker that lacks a module raises
        raise TrimatteError(f"the cluster cannot do the work: {type(error).__name__}: {reason(error)}") from error
    if outcome.state == "again":
        return None if queue.try_again(task) else replace(outcome, state="failed")
    return outcome


def _gone() -> TrimatteError:
    return TrimatteError("the cluster has gone away; what is done stays, the same command goes on")


@dataclass(frozen=True)
class _Work:
    """What a worker is to do, done as it is unpickled.

    The message is made of bytes alone, so that the scheduler needs no trimatte, and a worker that lacks it can say so.
    Dask would drop a worker that cannot read a message, and wait for ever.
    """

    task: Task
    settings: Settings
    version: str

    def __reduce__(self) -> tuple[Callable[..., Outcome], tuple[Task, Settings, str]]:
        return _perform, (self.task, self.settings, self.version)


def _perform(task: Task, settings: Settings, version: str) -> Outcome:
    """What a worker does with a task: one after the other, on as many processors as the worker has threads.

    Its result goes to a name of its own, lest another attempt at the same task, on a worker that was taken for dead,
    write there as well.
    """
    from distributed import get_worker

    worker = get_worker()
    with _turn:
        _check(settings, version, worker.address)
        limit_threads(worker.state.nthreads)
        stem, suffix = os.path.splitext(task.staged)
        return perform(replace(task, staged=f"{stem}-{secrets.token_hex(8)}{suffix}"), settings, lambda size: None)


def _check(settings: Settings, version: str, worker: str) -> None:
    """Raise `TrimatteError` if this worker would do something else than was asked for."""
    if version != __version__:
        raise TrimatteError(f"the worker {worker} has trimatte {__version__}, wanted {version}")
    if settings.digest not in _agreed:
        if Settings.of(settings.options).digest != settings.digest:
            raise TrimatteError(f"the worker {worker} has not the same files that the options name")
        _agreed.add(settings.digest)
