"""`njit` for our kernels: compiled when first called, cached on disk where that is possible.

numba refuses to decorate a cached function when it finds no folder that it may write to (a read-only
installation without a home folder); the kernel is then compiled anew in each process instead.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, TypeVar, cast

# Waiting threads of OpenMP spin for milliseconds by default: kernels of many short parallel loops then take ten times
# as long on a busy machine. A few microseconds are enough. It only counts if it is set before OpenMP is loaded.
os.environ.setdefault("GOMP_SPINCOUNT", "10000")

import numba

F = TypeVar("F", bound=Callable[..., Any])

prange = numba.prange


def njit(*, parallel: bool = False, fastmath: bool = False, inline: bool = False) -> Callable[[F], F]:
    """Compile a function lazily with numba, without the GIL, division as in NumPy; see `numba.njit` for the options."""
    options: dict[str, Any] = {"parallel": parallel, "fastmath": fastmath, "nogil": True, "error_model": "numpy"}
    if inline:
        options["inline"] = "always"

    def decorate(function: F) -> F:
        try:
            return cast(F, numba.njit(cache=True, **options)(function))
        except RuntimeError as error:
            if "locator" not in str(error):
                raise
            return cast(F, numba.njit(**options)(function))

    return decorate
