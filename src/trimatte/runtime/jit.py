"""`njit` for our kernels, and `side_by_side`, which runs one on all threads.

Kernels are compiled when they are first called, and cached on disk where that is possible. numba refuses to decorate
a cached function when it finds no folder that it may write to (a read-only installation without a home folder); the
kernel is then compiled anew in each process instead.

numba's own threads (`parallel=True`) are not used: such a loop takes most of a second to compile, and no two threads
may start one where numba has only its own pool (`takes_turns`).
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable
from itertools import pairwise
from queue import SimpleQueue
from threading import Lock, Thread
from typing import Any, TypeVar, cast

import numba

from trimatte.runtime.compiler import KernelCache, KernelCompiler
from trimatte.runtime.compiling import kernels
from trimatte.runtime.threads import available_threads

F = TypeVar("F", bound=Callable[..., Any])

PIECES = 4
"""Pieces of work for each thread: when one thread is held up, the others take some of its pieces."""


def side_by_side(kernel: Callable[..., object], over: int | range, *arguments: Any, least: int = 1) -> None:
    """Call `kernel(first, last, *arguments)` for pieces of a range, which do not depend on each other.

    Each thread begins with a share of its own, the same in each call, so that its processor's cache may hold what it
    works on; who has done takes over pieces of others. An exception of the kernel is raised once all pieces are done.

    Parameters
    ----------
    kernel : callable
        Of a tenth of a millisecond and more altogether, as it takes as long to wake a thread.
    over : int or range
        The range, or the end of one from 0 on.
    least : int
        What a piece has at least.
    """
    threads = min(numba.get_num_threads(), available_threads())  # numba's limit is that of the calling thread alone
    start, count = (over.start, len(over)) if isinstance(over, range) else (0, over)
    pieces = min(count // least, PIECES * threads)
    if threads == 1 or pieces < 2:
        kernel(start, start + count, *arguments)
        return
    borders = list(pairwise(start + count * i // pieces for i in range(pieces + 1)))
    threads = min(threads, pieces)
    shares = [deque(borders[pieces * i // threads : pieces * (i + 1) // threads]) for i in range(threads)]
    done: SimpleQueue[BaseException | None] = SimpleQueue()

    def work(number: int) -> None:
        own = number % threads
        for share in shares[own:] + shares[:own]:
            take = share.popleft if share is shares[own] else share.pop
            while share:
                try:
                    first, last = take()
                except IndexError:  # another thread was quicker
                    break
                try:
                    kernel(first, last, *arguments)
                except BaseException as error:
                    done.put(error)
                else:
                    done.put(None)

    _helpers.call(work, threads - 1)
    work(0)
    errors = [error for error in (done.get() for _ in range(pieces)) if error]
    if errors:
        raise errors[0]


class _Helpers:
    """Threads that wait for calls; started when they are first wanted, and anew in a forked process."""

    def __init__(self) -> None:
        self._calls: SimpleQueue[Callable[[int], None]] = SimpleQueue()
        self._started = 0
        self._starting = Lock()

    def call(self, function: Callable[[int], None], times: int) -> None:
        """Let this many helpers call the function, each with its number from 1 on, as soon as they are free."""
        if self._started < times:
            with self._starting:
                while self._started < times:
                    self._started += 1
                    Thread(target=self._run, args=(self._started,), name="trimatte-kernels", daemon=True).start()
        for _ in range(times):
            self._calls.put(function)

    def _run(self, number: int) -> None:
        while True:
            self._calls.get()(number)


_helpers = _Helpers()


def _after_fork() -> None:
    global _helpers
    _helpers = _Helpers()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def takes_turns() -> bool:
    """Whether numba's threads serve one caller at a time: its own pool ends the process if two call at once.

    Our kernels do not use them, but those of other libraries may, such as pymatting's.
    """
    from numba.np.ufunc.parallel import threading_layer

    try:
        return bool(threading_layer() == "workqueue")  # type: ignore[no-untyped-call]
    except ValueError:  # no parallel kernel has run
        return False


def njit(*, fastmath: bool = False, inline: bool = False) -> Callable[[F], F]:
    """Compile a function lazily with numba, without the GIL, division as in NumPy.

    Parameters
    ----------
    fastmath : bool
        Sums may be taken in another order, and products fused with them.
    inline : bool
        Put the function into the kernels that call it, before they are compiled; Python must not call it.
    """
    options: dict[str, Any] = {"fastmath": fastmath, "nogil": True, "error_model": "numpy", "no_cfunc_wrapper": True}
    if inline:
        options["inline"] = "always"

    def decorate(function: F) -> F:
        if not inline:
            kernels.append(function.__qualname__)
        kernel = numba.njit(pipeline_class=KernelCompiler, **options)(function)
        try:
            kernel._cache = KernelCache(function)  # type: ignore[no-untyped-call]
        except RuntimeError as error:
            if "locator" not in str(error):
                raise
        return cast(F, kernel)

    return decorate
