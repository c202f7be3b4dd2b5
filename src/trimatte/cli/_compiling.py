"""The first picture ever: a terminal shows how far the compiling is, and another process takes a part of it.

Run as a program, this is that process. It compiles what a cut-out by the usual way needs last, from behind, and leaves
it in the cache on the disk, where the one that cuts out finds it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import TYPE_CHECKING

from trimatte.runtime.compiling import kernels, watched

if TYPE_CHECKING:
    import subprocess

_MODULES = [
    f"trimatte.{name}"
    for name in ("planes.regression", "planes.distance", "planes.regions", "alpha.light", "foreground.multilevel")
]
"""Those with the kernels of the usual way."""


@contextmanager
def shown_compiling(*, usual: bool) -> Iterator[None]:
    """Within this, the compiling of kernels is shown on a terminal; if the way is the usual one, it is shared."""
    shows = sys.stderr.isatty()
    compiled: list[str] = []
    helpers: list[subprocess.Popen[bytes]] = []

    def show(name: str) -> None:
        if usual and not compiled:
            helpers.extend(_helper())
            for module in _MODULES:
                import_module(module)
        compiled.append(name)
        if shows:
            total = max(len(kernels), len(compiled))
            print(f"\r\x1b[Kcompiling kernels, once: {len(compiled)} of {total}", end="", file=sys.stderr, flush=True)

    try:
        with watched(show):
            yield
    finally:
        if shows and compiled:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
        for helper in helpers:  # all that it was to compile has been compiled
            helper.kill()
            helper.wait()


def _helper() -> Iterator[subprocess.Popen[bytes]]:
    """A process that compiles along, if there is a processor for it."""
    import subprocess

    from trimatte.runtime.threads import available_threads

    if available_threads() > 1:
        quiet = subprocess.DEVNULL
        yield subprocess.Popen([sys.executable, "-m", __name__], stdin=quiet, stdout=quiet, stderr=quiet)


def main() -> None:
    """Compile from behind: foreground colours, then the last kernels of shared matting."""
    import numpy as np

    from trimatte import estimate_foreground
    from trimatte.alpha.shared import compile_last

    ramp = np.linspace(0, 1, 40 * 40, dtype=np.float32).reshape(40, 40)
    estimate_foreground(ramp[..., None].repeat(3, axis=2), ramp)
    compile_last()


if __name__ == "__main__":
    main()
