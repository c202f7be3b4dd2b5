"""That kernels are being compiled, for who wants to show it; this imports no numba."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

kernels: list[str] = []
"""Names of the kernels of the modules that are imported."""
_watchers: list[Callable[[str], None]] = []


@contextmanager
def watched(watcher: Callable[[str], None]) -> Iterator[None]:
    """Call `watcher` with the name of each kernel that this process compiles, before it does, from any thread."""
    _watchers.append(watcher)
    try:
        yield
    finally:
        _watchers.remove(watcher)


def announce(name: str) -> None:
    """Tell the watchers that a kernel is about to be compiled."""
    for watcher in tuple(_watchers):
        watcher(name)
