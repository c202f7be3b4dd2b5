"""A batch on this machine: its tasks are done by worker processes, or by this one."""

from __future__ import annotations

import time

from trimatte.batch.queue import TICK, Outcomes, Queue, given_up
from trimatte.batch.tasks import BASE_BYTES, BYTES_PER_PIXEL, Outcome, Settings, perform
from trimatte.batch.workers import Died, Pool
from trimatte.runtime.measure import available_bytes
from trimatte.runtime.threads import available_threads

_SHARE = 0.8
"""Of the free memory, if nothing else is said."""


def on_this_machine(queue: Queue, settings: Settings, workers: int | None, max_memory: int | None) -> Outcomes:
    """Have worker processes do the tasks."""
    memory = max_memory if max_memory is not None else round(_SHARE * available_bytes())
    fitting = max(1, memory // (BASE_BYTES + 1_000_000 * BYTES_PER_PIXEL))
    count = min(workers or available_threads(), fitting)
    left, threads = memory - count * BASE_BYTES, max(1, available_threads() // count)
    with Pool(count, settings, threads=threads, memory=max(0, left)) as pool:
        while queue.open or pool.busy:
            _give(queue, pool)
            done = [outcome for result in pool.results(TICK) if (outcome := _settled(result, queue, settings))]
            _give(queue, pool)  # the workers go on while the caller writes down what is done
            for outcome in done:
                yield [outcome]


def _give(queue: Queue, pool: Pool) -> None:
    """Let each worker that has nothing to do take a task."""
    while pool.has_room and (task := queue.take()):
        pool.give(task)


def _settled(result: Outcome | Died, queue: Queue, settings: Settings) -> Outcome | None:
    """What became of a task, None if it is to be done once more."""
    if isinstance(result, Died) and not result.ready:
        queue.put_back(result.task)
    elif isinstance(result, Outcome) and result.state != "again":
        return result
    elif not queue.try_again(result.task):
        return given_up(result, settings)
    return None


def in_this_process(queue: Queue, settings: Settings) -> Outcomes:
    """Do the tasks one by one, for folders that no other process sees."""
    while queue.open:
        if (task := queue.take()) is None:
            time.sleep(TICK if queue.open else 0)
            continue
        outcome = perform(task, settings, lambda size: None)
        if outcome.state != "again":
            yield [outcome]
        elif not queue.try_again(task):
            yield [given_up(outcome, settings)]
