"""`njit` for our kernels: compiled when first called, cached on disk where that is possible.

numba refuses to decorate a cached function when it finds no folder that it may write to (a read-only
installation without a home folder); the kernel is then compiled anew in each process instead.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar, cast

# Waiting threads of OpenMP spin for milliseconds by default: kernels of many short parallel loops then take ten times
# as long on a busy machine. Some microseconds are enough: closed form is as fast on a quiet machine with 1000 as with
# ten times that, and a fifth faster with one of two processors taken. It only counts if it is set before OpenMP is
# loaded.
os.environ.setdefault("GOMP_SPINCOUNT", "1000")

import numba

from trimatte.runtime.compiler import KernelCache, KernelCompiler

F = TypeVar("F", bound=Callable[..., Any])

prange = numba.prange
PIECES = 8
"""For each thread, so that one that is held up leaves some to the others."""


def side_by_side(kernel: Callable[..., None], count: int, *arguments: Any) -> None:
    """Call `kernel(first, last, *arguments)` for pieces of range(count), which do not depend on each other.

    Of kernels that run for milliseconds and more: `parallel=True` starts quicker, but takes twice as long to compile.
    """
    threads = numba.get_num_threads()
    pieces = min(count, PIECES * threads)
    if threads == 1 or pieces < 2:
        kernel(0, count, *arguments)
        return
    borders = [count * i // pieces for i in range(pieces + 1)]
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(lambda first, last: kernel(first, last, *arguments), borders, borders[1:]))


def njit(*, parallel: bool = False, fastmath: bool = False, inline: bool = False) -> Callable[[F], F]:
    """Compile a function lazily with numba, without the GIL, division as in NumPy; see `numba.njit` for the options."""
    options: dict[str, Any] = {"parallel": parallel, "fastmath": fastmath, "nogil": True, "error_model": "numpy"}
    if inline:
        options["inline"] = "always"

    def decorate(function: F) -> F:
        kernel = numba.njit(pipeline_class=KernelCompiler, **options)(function)
        try:
            kernel._cache = KernelCache(function)  # type: ignore[no-untyped-call]
        except RuntimeError as error:
            if "locator" not in str(error):
                raise
        return cast(F, kernel)

    return decorate
