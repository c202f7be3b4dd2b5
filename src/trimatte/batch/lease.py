"""A lock for file systems that have none: a file that its holder writes anew every few seconds.

Clocks of several machines need not agree: a lock is dead if it stays as it is for a while, as the one who waits sees
it. Two that come within the same moment may both get it; they find out at the next beat or sooner, and one stops. What
they have done meanwhile is only done twice.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from trimatte.errors import ArgumentError, ImageReadError, TrimatteError
from trimatte.files import store
from trimatte.files.addresses import join

BEAT = 5.0
"""Seconds between two signs of life."""
DEAD = 4 * BEAT
"""Seconds without one, after which the holder is taken for dead."""
_LOOK, _PAUSE = 1.0, 0.5


@contextlib.contextmanager
def leased(folder: str, name: str, others: str, message: str) -> Iterator[Callable[[], bool]]:
    """Hold the lock `name` in a folder, once no other that matches the pattern `others` is alive.

    The lock of a holder that was killed on this machine is taken at once, any other after `DEAD` seconds.

    Yields
    ------
    held : callable
        Whether the lock is still ours.

    Raises
    ------
    ArgumentError
        With `message`, if another holds it.
    ImageReadError, ImageWriteError
        If the folder cannot be reached.
    """
    address, token = join(folder, name), secrets.token_hex(8)
    _wait_until_dead(folder, {name, others}, message)
    _beat(address, token, 0)
    time.sleep(_PAUSE)  # for whoever came at the same time
    if _holder(address) != token:
        raise ArgumentError(message)
    heart = _Heart(address, token)
    heart.start()
    try:
        yield heart.held
    finally:
        heart.stop()


def _wait_until_dead(folder: str, patterns: set[str], message: str) -> None:
    """Return once every lock that matches is dead or gone. Raises `ArgumentError` at the first that beats."""
    first = _contents(folder, patterns)
    start = time.monotonic()
    while waited_for := {path for path, content in first.items() if not _is_of_the_dead(content)}:
        if time.monotonic() - start > DEAD:
            break
        time.sleep(_LOOK)
        now = _contents(folder, patterns)
        if any(content != first.get(path) for path, content in now.items()):
            raise ArgumentError(message)
        first = {path: content for path, content in first.items() if path in now}
        if waited_for.isdisjoint(first):
            break
    for path in first:
        store.remove(path)


def _contents(folder: str, patterns: set[str]) -> dict[str, bytes]:
    found = {}
    for path in {path for pattern in patterns for path in store.matching(folder, pattern)}:
        with contextlib.suppress(ImageReadError):  # gone since it was listed
            found[path] = store.read(path)
    return found


def _machine() -> str:
    """A name of this machine, or container, until it is started anew."""
    boot = ""
    with contextlib.suppress(OSError):
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return f"{socket.gethostname()} {boot}"


def _is_of_the_dead(content: bytes) -> bool:
    """Whether a lock's holder was a process of this machine that is no more."""
    try:
        about = json.loads(content)
        if about["machine"] != _machine() or hasattr(signal, "CTRL_C_EVENT"):  # os.kill would send that on Windows
            return False
        os.kill(about["process"], 0)
    except ProcessLookupError:
        return True
    except (ValueError, KeyError, TypeError, OSError):
        return False
    return False


def _beat(address: str, token: str, count: int) -> None:
    about = {"token": token, "machine": _machine(), "process": os.getpid(), "beat": count}
    store.write(address, json.dumps(about).encode())


def _holder(address: str) -> str | None:
    try:
        return str(json.loads(store.read(address))["token"])
    except (ImageReadError, ValueError, KeyError, TypeError):
        return None


class _Heart:
    """Beats until it is stopped, or until another has the lock."""

    def __init__(self, address: str, token: str) -> None:
        self._address, self._token = address, token
        self._last, self._lost, self._ended = time.monotonic(), False, threading.Event()
        self._thread = threading.Thread(target=self._run, name="lease", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def held(self) -> bool:
        """Whether the lock is ours, and nobody can have taken us for dead."""
        return not self._lost and time.monotonic() - self._last < DEAD

    def stop(self) -> None:
        """Let go of the lock."""
        self._ended.set()
        self._thread.join()
        with contextlib.suppress(TrimatteError):
            if _holder(self._address) == self._token:
                store.remove(self._address)

    def _run(self) -> None:
        count = 1
        while not self._ended.wait(BEAT):
            with contextlib.suppress(TrimatteError):  # the next beat may get through
                if _holder(self._address) not in (self._token, None):
                    self._lost = True
                    return
                _beat(self._address, self._token, count)
                self._last, count = time.monotonic(), count + 1
