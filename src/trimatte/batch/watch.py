"""Pictures that come into a folder while a batch runs, and when each is there as a whole.

Whoever copies a picture writes it bit by bit, may pause, and may have made the file in its full length before. So a
picture that cannot be read yet is no failure until it has stayed the same for long.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from trimatte.batch.tasks import Outcome

SETTLED = 2.0
"""Seconds that a picture must stay as it is before it is read."""
PATIENCE = 60.0
"""Seconds that a picture which cannot be read must stay as it is before it has failed."""

Signature = tuple[Any, ...]


class Watch:
    """Goes round by round through what has arrived, without an end.

    Parameters
    ----------
    list_names : callable
        Gives the names of all pictures in the folder.
    signatures : callable
        Gives for some names, of those that are there, what changes with their content.
    clock : callable
        Seconds that never go back.

    Attributes
    ----------
    names : list of str
        All pictures of the last round.
    unfinished : dict of str
        Why a picture could not be read yet, by its name.
    """

    def __init__(
        self,
        list_names: Callable[[], list[str]],
        signatures: Callable[[Sequence[str]], Mapping[str, Signature]],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.names: list[str] = []
        self.unfinished: dict[str, str] = {}
        self._list_names, self._signatures, self._clock = list_names, signatures, clock
        self._taken: dict[str, Signature] = {}
        self._since: dict[str, tuple[Signature, float]] = {}

    def __iter__(self) -> Iterator[list[tuple[str, bool]]]:
        """The pictures to read now, maybe none, and of each whether it may still be arriving."""
        while True:
            self.names = self._list_names()
            now, moment = self._signatures(self.names), self._clock()
            self._since = {
                name: before if (before := self._since.get(name)) and before[0] == mark else (mark, moment)
                for name, mark in now.items()
            }
            yield self._ready(moment)
            while self._clock() - moment < SETTLED:
                yield []

    def whole(self, outcomes: Sequence[Outcome]) -> list[Outcome]:
        """The outcomes but those of pictures that could not be read yet, which are kept back."""
        self.unfinished |= {outcome.task.name: outcome.error for outcome in outcomes if outcome.state == "unfinished"}
        return [outcome for outcome in outcomes if outcome.state != "unfinished"]

    def _ready(self, moment: float) -> list[tuple[str, bool]]:
        ready = []
        for name, (mark, since) in self._since.items():
            again = PATIENCE if name in self.unfinished else math.inf
            due = SETTLED if mark != self._taken.get(name) else again
            if moment - since >= due:
                ready.append((name, moment - since < PATIENCE))
                self._taken[name] = mark
        kept = self._since.keys() - {name for name, _ in ready}
        self.unfinished = {name: why for name, why in self.unfinished.items() if name in kept}
        return ready
