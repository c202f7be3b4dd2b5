"""The sessions of a server, bounded in number, memory and age."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable
from typing import Any

from trimatte.errors import TrimatteError
from trimatte.server.editor.session import Session


class NoSessionError(TrimatteError):
    """There is no session of that id, or it has ended."""


class SessionsFullError(TrimatteError):
    """No further session fits the server's bounds now."""


class Sessions:
    """The sessions of a server, by ids that cannot be guessed.

    Parameters
    ----------
    most : int, default 16
        How many there may be.
    max_bytes : int, default 1 << 30
        Memory that all may keep together.
    idle_seconds : float or None, default 1800.0
        A session ends if it is not used for so long. None: never.
    spare_seconds : float, default 120.0
        If there is no room, the session that has been idle longest ends, once it was so for this long.
    clock : callable, default time.monotonic
        Seconds that never go back.
    """

    def __init__(
        self,
        *,
        most: int = 16,
        max_bytes: int = 1 << 30,
        idle_seconds: float | None = 1800.0,
        spare_seconds: float = 120.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._most, self._max_bytes, self._clock = most, max_bytes, clock
        self._idle_seconds, self._spare_seconds = idle_seconds, spare_seconds
        self._kept: dict[str, Session] = {}
        self._used: dict[str, float] = {}
        self._lock = threading.Lock()

    def open(self, body: bytes, name: str = "photo", **options: Any) -> str:
        """Start a session; arguments as of `Session`. Returns its id.

        Raises
        ------
        SessionsFullError
            If there is no room, and none can be made.
        """
        id = secrets.token_urlsafe(18)
        with self._lock:
            self._make_room(1)
            self._used[id] = self._clock()  # takes the place before the work is done
        try:
            session = Session(body, name, **options)
            with self._lock:
                self._make_room(0, session.nbytes())
                self._kept[id], self._used[id] = session, self._clock()
        except BaseException:
            self.close(id)
            raise
        return id

    def __getitem__(self, id: str) -> Session:
        with self._lock:
            self._end_idle()
            if id not in self._kept:
                raise NoSessionError("this session has ended; open the photo again")
            self._used[id] = self._clock()
            return self._kept[id]

    def __len__(self) -> int:
        return len(self._kept)

    def close(self, id: str) -> None:
        """End a session, if it is there."""
        with self._lock:
            self._end(id)

    def _end(self, id: str) -> None:
        self._kept.pop(id, None)
        self._used.pop(id, None)

    def _end_idle(self) -> None:
        if self._idle_seconds is not None:
            for id in [id for id in self._kept if self._clock() - self._used[id] > self._idle_seconds]:
                self._end(id)

    def _make_room(self, places: int, nbytes: int = 0) -> None:
        """End what is idle until so many places, and bytes, are free."""
        self._end_idle()
        while len(self._used) + places > self._most or self._nbytes() + nbytes > self._max_bytes:
            idle = min(self._kept, key=self._used.__getitem__, default=None)
            if idle is None or self._clock() - self._used[idle] < self._spare_seconds:
                raise SessionsFullError("all places are taken; try again in a few minutes")
            self._end(idle)

    def _nbytes(self) -> int:
        return sum(session.nbytes() for session in self._kept.values())
