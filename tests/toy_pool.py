"""A pool of no processes, for batches that shall take no time, or see what a test has changed."""

from __future__ import annotations

from collections.abc import Iterator

from trimatte.batch.tasks import Outcome, Settings, Task, perform


class ThisProcess:
    """In place of worker processes, which take a second to start and do not know what a test has changed."""

    def __init__(self, count: int, settings: Settings, *, threads: int, memory: int) -> None:
        self.settings, self.tasks, self.has_room = settings, list[Task](), True

    def __enter__(self) -> ThisProcess:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    @property
    def busy(self) -> int:
        return len(self.tasks)

    def give(self, task: Task) -> None:
        self.tasks.append(task)

    def results(self, timeout: float) -> Iterator[Outcome]:
        while self.tasks:
            yield perform(self.tasks.pop(0), self.settings, lambda size: None)
