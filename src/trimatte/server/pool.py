"""The worker processes, who waits for them, and what becomes of those that take too long, grow too large or die."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from trimatte.runtime.threads import available_threads
from trimatte.server.problems import Problem, defect
from trimatte.server.settings import Settings
from trimatte.server.worker import Reply, Worker

T = TypeVar("T")

START_SECONDS = 600.0
"""Without a cache of compiled kernels the first start takes minutes on a small machine."""
LONGEST_PAUSE = 30.0

_log = logging.getLogger("trimatte.server")


class Pool:
    """Worker processes behind a bounded queue.

    Parameters
    ----------
    settings : Settings
        How many workers, how many may wait, and for how long.
    module : str, default "trimatte.server.work"
        What the workers do, the name of a module with `run` and `warm_up`.

    Attributes
    ----------
    restarts : Counter
        How many workers were replaced, by reason: "over-time", "memory", "lost" or "defect".
    stopping : bool
        Whether no more requests are taken.
    """

    def __init__(self, settings: Settings, module: str = "trimatte.server.work") -> None:
        self.settings = settings
        self.module = module
        self.restarts: Counter[str] = Counter()
        self.stopping = False
        self._workers: list[Worker] = []
        self._idle: deque[Worker] = deque()
        self._waiting: deque[asyncio.Future[Worker]] = deque()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._running: set[asyncio.Task[Any]] = set()
        self._threads = ThreadPoolExecutor(2 * settings.workers + 2, thread_name_prefix="pool")
        self._seconds = 2.0

    @property
    def ready(self) -> int:
        """Workers that are warmed up and alive."""
        return sum(worker.alive for worker in self._idle) + self.busy

    @property
    def busy(self) -> int:
        """Workers that work on a request."""
        return len(self._running)

    @property
    def waiting(self) -> int:
        """Requests that wait for a worker."""
        return len(self._waiting)

    @property
    def resident(self) -> int:
        """Bytes of memory that all workers hold."""
        return sum(worker.resident for worker in self._workers)

    async def start(self) -> None:
        """Start the workers; requests may come at once, and wait."""
        self._keep(self._start_all())
        self._keep(self._watch())

    def check_room(self) -> None:
        """Raise `Problem` if a request would not be taken now, so that its body need not be read."""
        if self.stopping:
            raise _stopping()
        if self.waiting >= self.settings.queue and not self._idle:
            retry = str(self.retry_after())
            raise Problem("busy", f"{self.waiting} requests are waiting already.", headers={"Retry-After": retry})

    def retry_after(self) -> int:
        """Seconds after which the queue is probably shorter: that many as it takes to work through it."""
        return round(min(60.0, max(1.0, self._seconds * (self.waiting + 1) / self.settings.workers)))

    async def run(self, task: str, files: Mapping[str, bytes | bytearray], values: Mapping[str, Any]) -> Reply:
        """Let a worker do a task.

        Raises `Problem` if the queue is full, no worker becomes free in time, the work takes too long or its worker
        dies. When the caller is cancelled while it waits, it leaves the queue; once a worker has the task, it is
        finished all the same, since to start another worker would cost more.
        """
        self.check_room()
        worker = await self._free_worker()
        if self.stopping:
            raise _stopping()
        running = asyncio.get_running_loop().create_task(self._run_on(worker, task, files, values))
        self._running.add(running)
        running.add_done_callback(self._running.discard)
        running.add_done_callback(_retrieve)
        return await asyncio.shield(running)

    def refuse(self) -> None:
        """Take no more requests, and send those away that wait; what runs goes on."""
        self.stopping = True
        while self._waiting:
            future = self._waiting.popleft()
            if not future.done():
                future.set_exception(_stopping())

    async def stop(self) -> None:
        """Finish what runs, then end all workers."""
        self.refuse()
        if self._running:
            await asyncio.wait(self._running)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.get_running_loop().run_in_executor(None, self.kill)

    def kill(self) -> None:
        """End all workers at once, whatever they do."""
        self.stopping = True
        for worker in [*self._workers]:
            worker.kill()
        self._threads.shutdown()
        for worker in [*self._workers]:  # one may have been started meanwhile
            worker.kill()
            worker.close()
        self._workers.clear()
        self._idle.clear()

    async def _free_worker(self) -> Worker:
        """The next free worker, first come, first served."""
        while self._idle:
            worker = self._idle.popleft()
            if worker.alive:
                return worker
            self._replace(worker, "lost")
        future: asyncio.Future[Worker] = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        try:
            await asyncio.wait({future}, timeout=self.settings.wait_seconds)
        except asyncio.CancelledError:
            if future.done() and not future.exception():
                self._release(future.result())
            raise
        finally:
            with contextlib.suppress(ValueError):
                self._waiting.remove(future)
        if not future.done():
            retry = str(self.retry_after())
            detail = f"No worker became free within {self.settings.wait_seconds:g} s."
            raise Problem("waited-too-long", detail, headers={"Retry-After": retry})
        return future.result()

    def _release(self, worker: Worker) -> None:
        """Give a free worker to who waits first, or keep it idle."""
        while self._waiting:
            future = self._waiting.popleft()
            if not future.done():
                future.set_result(worker)
                return
        self._idle.append(worker)

    async def _run_on(
        self, worker: Worker, task: str, files: Mapping[str, bytes | bytearray], values: Mapping[str, Any]
    ) -> Reply:
        start = time.monotonic()
        exchange = self._in_thread(lambda: worker.exchange(task, files, values))
        done, _ = await asyncio.wait({exchange}, timeout=self.settings.work_seconds)
        if not done:
            worker.kill()
            await asyncio.wait({exchange})
            exchange.exception()
            self._replace(worker, "over-time")
            raise Problem("over-time", f"The picture took more than {self.settings.work_seconds:g} s of work.")
        try:
            reply = exchange.result()
        except (EOFError, ConnectionError) as error:  # the pipe has ended
            killed = await self._in_thread(worker.exit_code) == -9
            self._replace(worker, "lost")
            detail = "The process that worked on the request died"
            detail += "; it may have run out of memory." if killed else "."
            raise Problem("worker-lost", detail, headers={"Retry-After": "5"}) from error
        except Exception as error:  # what came is not what a worker says
            self._replace(worker, "defect")
            _log.error("worker's answer", exc_info=error, extra={"fields": {"event": "defect"}})
            raise defect() from error
        self._seconds += 0.2 * (time.monotonic() - start - self._seconds)
        if reply.resident > self.settings.worker_bytes:
            self._replace(worker, "memory")
        else:
            self._release(worker)
        return reply

    def _replace(self, worker: Worker, reason: str) -> None:
        """End a worker and start another one in its place."""
        self.restarts[reason] += 1
        _log.warning("worker replaced", extra={"fields": {"event": "worker-replaced", "reason": reason}})
        self._keep(self._end(worker))
        if not self.stopping:
            self._keep(self._start_worker())

    async def _end(self, worker: Worker) -> None:
        worker.kill()
        await self._in_thread(worker.close)
        with contextlib.suppress(ValueError):
            self._workers.remove(worker)

    async def _start_all(self) -> None:
        """Start the first worker, and then the others, which find the kernels that it compiled."""
        await self._start_worker()
        for _ in range(self.settings.workers - 1):
            self._keep(self._start_worker())

    async def _start_worker(self) -> None:
        """Start a worker; if it does not come up, try again after ever longer pauses."""
        pause = 1.0
        while not self.stopping:
            try:
                self._release(await self._in_thread(self._spawn))
                return
            except (EOFError, OSError) as error:
                fields = {"event": "worker-not-started", "pause": pause, **getattr(error, "fields", {})}
                _log.error("worker did not start", extra={"fields": fields})
            await asyncio.sleep(pause)
            pause = min(LONGEST_PAUSE, 2 * pause)

    def _spawn(self) -> Worker:
        """A worker that has warmed up."""
        worker = Worker(self.module, max(1, available_threads() // self.settings.workers))
        self._workers.append(worker)
        if self.stopping:
            worker.kill()
        try:
            worker.wait_ready(START_SECONDS)
        except BaseException:
            worker.kill()
            worker.close()
            self._workers.remove(worker)
            raise
        return worker

    async def _watch(self) -> None:
        """Replace idle workers that died, before a request finds out."""
        while True:
            await asyncio.sleep(1)
            for worker in [worker for worker in self._idle if not worker.alive]:
                self._idle.remove(worker)
                self._replace(worker, "lost")

    def _in_thread(self, function: Callable[[], T]) -> asyncio.Future[T]:
        return asyncio.get_running_loop().run_in_executor(self._threads, function)

    def _keep(self, coroutine: Any) -> None:
        """Run a coroutine beside; the event loop itself keeps no reference to it."""
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _stopping() -> Problem:
    return Problem("shutting-down", "The service is shutting down.", headers={"Retry-After": "5"})


def _retrieve(task: asyncio.Task[Reply]) -> None:
    """Fetch the outcome of a request whose client has gone, so that asyncio does not warn of it."""
    if not task.cancelled():
        task.exception()
