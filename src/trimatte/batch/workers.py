"""Worker processes of a batch: each does one picture at a time, and one that dies is replaced.

Processes are spawned, never forked: OpenMP hangs in a process that was forked after the first use of a kernel.
"""

from __future__ import annotations

import contextlib
import signal
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

from trimatte.batch.tasks import Outcome, Settings, Task, perform
from trimatte.errors import TrimatteError
from trimatte.runtime.processes import end_with_parent
from trimatte.runtime.threads import limit_threads

READY = "ready"
_STARTS = 3
_LAST_SECONDS = 5.0
"""Those of a worker whose pipe has ended: threads of a plug-in may keep it from ending."""


@dataclass(frozen=True)
class Died:
    """A worker is no more: what it was at, whether it had begun at all, and its exit code (-9: killed)."""

    task: Task
    ready: bool
    exit_code: int | None


def serve(connection: Connection, settings: Settings, threads: int) -> None:
    """What a worker process does: tasks, one after the other, until there are no more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what an interrupt means
    end_with_parent()
    limit_threads(threads)
    connection.send(READY)

    def ask(size: int) -> None:
        connection.send(size)
        connection.recv()

    with contextlib.suppress(EOFError):
        while (task := connection.recv()) is not None:
            connection.send(perform(task, settings, ask))


@dataclass(eq=False)
class Worker:
    """A worker process as its parent sees it: whether it has begun, its task, the bytes it has asked for and has."""

    process: BaseProcess
    connection: Connection
    ready: bool = False
    task: Task | None = None
    wanted: int | None = None
    granted: int = 0

    def send(self, message: Any) -> None:
        """Say something to it. Should it be dead, `Pool.messages` tells."""
        with contextlib.suppress(OSError):
            self.connection.send(message)


class Pool:
    """Workers that share memory fairly, started as they are needed.

    Parameters
    ----------
    count : int
        The most processes.
    threads : int
        Of each.
    memory : int
        Bytes that the pictures in work may take together; one that takes more is done alone.
    """

    def __init__(self, count: int, settings: Settings, *, threads: int, memory: int) -> None:
        self._count, self._settings, self._threads, self._memory = count, settings, threads, memory
        self._workers: list[Worker] = []
        self._queue: deque[Worker] = deque()  # those that wait for memory; none overtakes another
        self._failed_starts = 0

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, *error: object) -> None:
        for worker in self._workers:
            worker.process.terminate()
        for worker in self._workers:
            worker.process.join()

    @property
    def busy(self) -> int:
        """How many workers are at a task."""
        return sum(worker.task is not None for worker in self._workers)

    @property
    def has_room(self) -> bool:
        """Whether another task can be given."""
        return self.busy < self._count

    def give(self, task: Task) -> None:
        """Let a worker that has nothing to do, or a new one, do a task."""
        worker = next((worker for worker in self._workers if worker.task is None), None) or self._started()
        worker.task = task
        worker.send(task)

    def results(self, timeout: float) -> Iterator[Outcome | Died]:
        """Wait for the workers, and give what became of tasks."""
        ready: Sequence[Any] = wait([worker.connection for worker in self._workers], timeout)
        for worker in [worker for worker in self._workers if worker.connection in ready]:
            try:
                message = worker.connection.recv()
            except Exception:  # the pipe has ended, or a library wrote into it
                yield from self._buried(worker)
                continue
            if message == READY:
                worker.ready, self._failed_starts = True, 0
            elif isinstance(message, Outcome):
                worker.task, worker.granted = None, 0
                yield message
            else:
                alone = worker.task is not None and worker.task.attempt > 1
                worker.wanted = max(message, self._memory) if alone else message
                self._queue.append(worker)
        self._grant()

    def _grant(self) -> None:
        while self._queue:
            worker, used = self._queue[0], sum(worker.granted for worker in self._workers)
            wanted = max(1, worker.wanted or 0)
            if used and used + wanted > self._memory:
                return
            self._queue.popleft()
            worker.granted, worker.wanted = wanted, None
            worker.send(True)

    def _started(self) -> Worker:
        context = get_context("spawn")
        here, there = context.Pipe()
        process = context.Process(target=serve, args=(there, self._settings, self._threads), daemon=True)
        process.start()
        there.close()
        worker = Worker(process, here)
        self._workers.append(worker)
        return worker

    def _buried(self, worker: Worker) -> Iterator[Died]:
        self._workers.remove(worker)
        if worker in self._queue:
            self._queue.remove(worker)
        worker.connection.close()
        worker.process.join(_LAST_SECONDS)
        if worker.process.is_alive():
            worker.process.kill()
            worker.process.join()
        if not worker.ready:
            self._failed_starts += 1
            if self._failed_starts >= _STARTS:
                raise TrimatteError("worker processes do not start; what they say is on standard error")
        if worker.task is not None:
            yield Died(worker.task, worker.ready, worker.process.exitcode)
