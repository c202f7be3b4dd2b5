"""What became of a batch."""

from __future__ import annotations

from dataclasses import dataclass, field

from trimatte.batch.tasks import Outcome


@dataclass
class BatchSummary:
    """What became of a batch.

    Attributes
    ----------
    total : int or None
        Pictures of this run, None while a folder is watched.
    done, unchanged, kept : int
        How many were made; were made before; were changed by somebody else since, and left alone.
    failed : dict of str to str
        Pictures that could not be done, or folders that could not be read, and why.
    untried : set of str
        Those of `failed` that failed before, and were not tried again.
    links : list of str
        Linked folders, which were not gone into.
    seconds : float
        Wall time.
    making : float
        Of it, the time in which pictures were made; the rest went into finding what was done before.
    """

    total: int | None = None
    done: int = 0
    unchanged: int = 0
    kept: int = 0
    failed: dict[str, str] = field(default_factory=dict)
    untried: set[str] = field(default_factory=set)
    links: list[str] = field(default_factory=list)
    seconds: float = 0.0
    making: float = 0.0
    _made_until: float = field(default=0.0, repr=False)

    @property
    def count(self) -> int:
        """Pictures that are dealt with."""
        return self.done + self.unchanged + self.kept + len(self.failed)

    def add(self, outcome: Outcome) -> None:
        """Count what became of a picture; it may have failed before, when a watched folder had another of that name."""
        self.failed.pop(outcome.task.name, None)
        self.untried.discard(outcome.task.name)
        if outcome.state == "done":
            self.done += 1
            began = max(self.seconds - outcome.took, self._made_until)  # others were made at the same time
            self.making += self.seconds - began
            self._made_until = self.seconds
        elif outcome.state == "unchanged":
            self.unchanged += 1
        elif outcome.state == "kept":
            self.kept += 1
        else:
            self.failed[outcome.task.name] = outcome.error
            if outcome.state == "failed before":
                self.untried.add(outcome.task.name)
