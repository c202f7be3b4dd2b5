"""The tasks to come of a batch, whoever does them."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterator, Sequence
from dataclasses import replace

from trimatte.batch.tasks import Outcome, Settings, Task, lost
from trimatte.batch.workers import Died

ATTEMPTS = 3
"""How often a picture is tried that takes its worker along."""
TICK = 0.5
"""Seconds after which whoever does the tasks asks for new ones."""


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


def given_up(result: Outcome | Died, settings: Settings) -> Outcome:
    """The outcome of a task that was tried as often as allowed, by how the last attempt ended."""
    if isinstance(result, Outcome):
        return replace(result, state="failed")
    code = result.exit_code or 0
    how = f"was killed by signal {-code} (out of memory?)" if code < 0 else f"ended with code {code}"
    return lost(result.task, settings, f"its process {how} at each of {ATTEMPTS} attempts")
