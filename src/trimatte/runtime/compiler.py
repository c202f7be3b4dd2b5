"""How numba compiles and keeps our kernels, so that a kernel gives the same bits whoever compiled it.

numba links the functions that a kernel calls, and the bodies of its parallel loops, as weak symbols. In the process
that compiles them the first copy serves everybody; in one that loads the kernel from the cache it is the kernel's own
copy, which was optimised in other surroundings and, with `fastmath`, rounds differently. Here each kernel keeps its
copies to itself.
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable, Iterator
from types import CodeType
from typing import Any

import numpy as np
from llvmlite.binding import Linkage
from numba.core.caching import FunctionCache
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import Compiler
from numba.core.dispatcher import Dispatcher
from numba.core.runtime.nrt import rtsys

from trimatte.errors import CacheWarning
from trimatte.runtime.compiling import announce


class Library(JITCodeLibrary):
    """A kernel's machine code, with what it takes from other libraries private to it."""

    def _optimize_final_module(self) -> None:
        for function in self._final_module.functions:
            if function.linkage in (Linkage.linkonce_odr, Linkage.weak_odr):
                function.linkage = "internal"
        super()._optimize_final_module()  # type: ignore[no-untyped-call]


class KernelCompiler(Compiler):
    """numba's compiler, that makes a `Library`."""

    def define_pipelines(self) -> Any:
        self.state.library = Library(self.state.targetctx.codegen(), self.state.func_id.func_qualname)  # type: ignore[no-untyped-call]
        self.state.library.enable_object_caching()
        return super().define_pipelines()  # type: ignore[no-untyped-call]


class KernelCache(FunctionCache):
    """numba's cache of machine code on the disk, which may be damaged, read-only or full: a kernel is then compiled.

    A kernel is compiled anew also if another that it calls has changed, or a constant that it names.
    """

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        found = None
        rtsys.initialize(target_context)
        try:
            # Not numba's `load_overload`, which first loads all that it needs to compile, for a quarter of a second.
            found = self._load_overload(sig, target_context)  # type: ignore[no-untyped-call]
        except Exception:  # whatever a file makes pickle or LLVM raise that was torn when the machine went down
            self._keep(self.flush)
        if found is None:
            announce(self._py_func.__qualname__)
        return found

    def save_overload(self, sig: Any, data: Any) -> None:
        self._keep(lambda: super(KernelCache, self).save_overload(sig, data))  # type: ignore[no-untyped-call]

    def _keep(self, write: Callable[[], None]) -> None:
        try:
            write()
        except Exception as error:
            why = getattr(error, "strerror", None) or error
            warnings.warn(
                f"compiled kernels cannot be kept in {self.cache_path!r}, so that each process compiles them: {why}; "
                "if there is room, delete that folder",
                CacheWarning,
                stacklevel=2,
            )

    def _index_key(self, sig: Any, codegen: Any) -> tuple[Any, ...]:
        state = hashlib.sha256()
        for piece in _ingredients(self._py_func, set()):
            state.update(piece)
        return (*super()._index_key(sig, codegen), state.hexdigest())  # type: ignore[no-untyped-call]


def _ingredients(function: Any, seen: set[Any]) -> Iterator[bytes]:
    """What decides on a kernel's machine code: its code, that of the kernels that it calls, and the constants."""
    if function in seen:
        return
    seen.add(function)
    yield function.__code__.co_code
    # Of an inner function its code: its text names an address, which is another in each process.
    consts = function.__code__.co_consts
    yield repr([const.co_code if isinstance(const, CodeType) else const for const in consts]).encode()
    for name in function.__code__.co_names:
        value = function.__globals__.get(name)
        if isinstance(value, Dispatcher):
            yield from _ingredients(value.py_func, seen)
        elif isinstance(value, np.ndarray):
            yield value.tobytes()
        elif isinstance(value, (bool, int, float, str, tuple, np.generic)):
            yield f"{name} {value!r}".encode()
