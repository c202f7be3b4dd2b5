"""A batch on a Dask cluster: its workers do the tasks, this process puts in place what comes of them."""

from __future__ import annotations

import os
import pickle
import queue as queues
import secrets
import threading
import time
import warnings
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from trimatte import __version__
from trimatte.batch.alone import perform_alone
from trimatte.batch.queue import ATTEMPTS, TICK, Outcomes, Queue, given_up
from trimatte.batch.tasks import Outcome, Settings, Task, lost, perform
from trimatte.batch.workers import Died
from trimatte.errors import ArgumentError, ClusterWarning, MissingExtraError, TrimatteError, failure
from trimatte.files.atomic import reason
from trimatte.runtime.threads import limit_threads

AHEAD = 3
"""Tasks that the cluster has at a time for each of its threads, so that none waits for this process."""
_COUNTED = 5.0
"""Seconds between two counts of the workers, and after which it is said that there are none."""
_WORKERLESS = 300.0
"""Seconds without any worker that end the run: a cluster that grows on demand may take minutes."""
_PATIENCE = 10.0
_turn = threading.Lock()
_agreed: set[str] = set()


@dataclass(frozen=True)
class _Work:
    """What a worker is to do, done as it is unpickled.

    The message is made of bytes alone, so that the scheduler needs no trimatte, and a worker that lacks it can say so.
    Dask would drop a worker that cannot read a message, and wait for ever.

    Attributes
    ----------
    alone : bool
        Whether the picture gets a process of its own on the worker, and nothing else of ours is on the cluster.
    losses : int
        How many times Dask has given it up while it was alone.
    """

    task: Task
    settings: Settings
    version: str
    alone: bool = False
    losses: int = 0

    def __reduce__(self) -> tuple[Callable[..., Outcome | Died], tuple[Task, Settings, str, bool]]:
        return _perform, (self.task, self.settings, self.version, self.alone)


def on_cluster(queue: Queue, settings: Settings, cluster: Any) -> Outcomes:
    """Have the workers of a cluster do the tasks; `cluster` is the address of its scheduler, or a client of it.

    Dask gives the tasks of a worker that dies to others, and gives them up after some deaths, those that waited on the
    worker as well. So a task that was given up is but suspected: it is tried again when nothing else of ours is on the
    cluster, in a process of its own. What has ended that process as often as allowed has failed.

    Raises
    ------
    ArgumentError
        If no scheduler answers.
    TrimatteError
        If the cluster goes away, has no workers for minutes, or has workers with another trimatte.
    """
    with _connected(cluster) as client:
        finished: queues.SimpleQueue[Any] = queues.SimpleQueue()
        flying: dict[Any, _Work] = {}
        suspects: deque[_Work] = deque()
        census = _Census(client)

        def submit(work: _Work) -> None:
            key = f"trimatte-{secrets.token_hex(8)}"
            try:
                future = client.submit(pickle.loads, pickle.dumps(work), key=key, pure=False)
            except Exception as error:
                if client.status != "running":
                    raise _gone() from error
                raise
            flying[future.key] = work
            future.add_done_callback(finished.put)

        while queue.open or flying or suspects:
            room = AHEAD * max(1, census.threads())
            one_alone = any(work.alone for work in flying.values())
            while not one_alone and len(flying) < room and (task := queue.take()):
                submit(_Work(task, settings, __version__))
            if suspects and not flying:
                submit(replace(suspects.popleft(), alone=True))
            futures = _waited_for(finished)
            if not futures and client.status != "running":
                raise _gone()
            outcomes = [_outcome(future, flying.pop(future.key), queue, suspects) for future in futures]
            yield [outcome for outcome in outcomes if outcome is not None]


class _Census:
    """Counts the threads of a cluster now and then, and says if it has no workers."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self._threads, self._counted, self._since = 0, float("-inf"), time.monotonic()
        self._warned = False

    def threads(self) -> int:
        """Threads of all workers. Raises `TrimatteError` if no scheduler answers, or there are none for minutes."""
        now = time.monotonic()
        if now - self._counted >= _COUNTED:
            try:
                self._threads, self._counted = sum(self._client.nthreads().values()), now
            except OSError as error:
                raise _gone() from error
            if self._threads:
                self._since, self._warned = now, False
            elif now - self._since >= _WORKERLESS:
                raise TrimatteError(
                    f"the cluster has had no workers for {_WORKERLESS:g} s; what is done stays, "
                    "the same command goes on once there are some"
                )
            elif now - self._since >= _COUNTED and not self._warned:
                self._warned = True
                warnings.warn(
                    f"the scheduler answers but has no workers; they are waited for, {_WORKERLESS:g} s at most",
                    ClusterWarning,
                    stacklevel=2,
                )
        return self._threads


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
        futures.append(finished.get(timeout=TICK))
        while True:
            futures.append(finished.get_nowait())
    return futures


def _outcome(future: Any, work: _Work, queue: Queue, suspects: deque[_Work]) -> Outcome | None:
    """What became of a task, None if it is to be tried again."""
    from distributed import KilledWorker

    if future.status == "cancelled":
        raise _gone()
    task = work.task
    try:
        result: Outcome | Died = future.result()
    except KilledWorker:
        losses = work.losses + work.alone
        if losses >= ATTEMPTS:
            return lost(task, work.settings, "workers died whenever it was tried, though alone")
        suspects.append(replace(work, losses=losses))
        return None
    except TrimatteError:
        raise
    except (ImportError, AttributeError) as error:  # of a worker that lacks a module
        raise TrimatteError(f"the cluster cannot do the work: {type(error).__name__}: {reason(error)}") from error
    except Exception as error:  # of Dask itself, where an answer could not be sent, say
        return lost(task, work.settings, failure(error))
    if isinstance(result, Died):
        if task.attempt >= ATTEMPTS:
            return given_up(result, work.settings)
        suspects.append(replace(work, task=replace(task, attempt=task.attempt + 1)))
        return None
    if result.state == "again":
        return None if queue.try_again(task) else given_up(result, work.settings)
    return result


def _gone() -> TrimatteError:
    return TrimatteError("the cluster has gone away; what is done stays, the same command goes on")


def _perform(task: Task, settings: Settings, version: str, alone: bool) -> Outcome | Died:
    """What a worker does with a task: one after the other, on as many processors as the worker has threads.

    Its result goes to a name of its own, lest another attempt at the same task, on a worker that was taken for dead,
    write there as well.
    """
    from distributed import get_worker

    worker = get_worker()
    with _turn:
        _check(settings, version, worker.address)
        _await_nanny()
        stem, suffix = os.path.splitext(task.staged)
        task = replace(task, staged=f"{stem}-{secrets.token_hex(8)}{suffix}")
        if alone:
            result = perform_alone(task, settings, worker.state.nthreads)
            if isinstance(result, Outcome) or result.ready:
                return result
        limit_threads(worker.state.nthreads)
        return perform(task, settings, lambda size: None)


@cache
def _await_nanny() -> None:
    """Wait until the nanny of this worker knows that it has started, as it replaces none that dies before."""
    from distributed import get_worker
    from distributed.utils import sync

    worker: Any = get_worker()
    if worker.nanny:
        with suppress(OSError):  # a nanny that is no more replaces nobody
            sync(worker.loop, worker.rpc(worker.nanny).instantiate)


def _check(settings: Settings, version: str, worker: str) -> None:
    """Raise `TrimatteError` if this worker would do something else than was asked for."""
    if version != __version__:
        raise TrimatteError(f"the worker {worker} has trimatte {__version__}, wanted {version}")
    if settings.digest not in _agreed:
        if Settings.of(settings.options).digest != settings.digest:
            raise TrimatteError(f"the worker {worker} has not the same files that the options name")
        _agreed.add(settings.digest)
