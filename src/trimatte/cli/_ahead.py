"""A fresh process: what the later stages need is loaded while the first picture is read and the subject found.

Importing numba, loading kernels and opening the network for alpha take as long as the rest of the first picture, and a
segmenter leaves Python free meanwhile. Nothing is compiled ahead: it would have to be waited for, needed or not.
"""

from __future__ import annotations

import atexit
import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from math import prod
from threading import Thread, current_thread

from trimatte.runtime.compiling import watched
from trimatte.runtime.threads import available_threads

LARGE = 4_000_000
"""Pictures of more pixels take so long that little is gained, and what another thread loads adds to their memory."""


class _NotCompiledError(Exception):
    """A kernel is not in the cache."""


@contextmanager
def loaded_ahead(picture: str, quality: str) -> Iterator[None]:
    """Within this, another thread loads what a quality's method needs, up to the first kernel that has to be compiled.

    None does where there is one processor, nor for a large picture or what is no file of one, which ends soon.
    """
    from trimatte.images import header_size

    atexit.register(gc.freeze)  # or the process ends with a look at all that was imported, a tenth of a second long
    size = header_size(picture) if available_threads() > 1 and os.path.isfile(picture) else None
    if size is None or prod(size) > LARGE:
        yield
        return
    loading = Thread(target=_load, args=(quality,), name="ahead")

    def stop(name: str) -> None:
        if current_thread() is loading:
            raise _NotCompiledError(name)

    with watched(stop):
        loading.start()
        try:
            yield
        finally:
            loading.join()


def _load(quality: str) -> None:
    """Cut out a small scene whose trimap is given, so that no subject has to be found; decide what is unsure of it."""
    gc.disable()  # next to nothing that imports make is ever given up
    # What goes wrong here goes wrong again where it is reported.
    with suppress(Exception):
        import numpy as np

        from trimatte.cutout import cutout
        from trimatte.segmentation.decide import decided
        from trimatte.trimap import make_trimap

        y, x = np.ogrid[-32:32, -32:32]
        disc = (np.hypot(y, x) < 20).astype(np.float32)
        scene = disc[..., None].repeat(3, axis=2)
        decided(scene, disc)
        cutout(scene, trimap=make_trimap(disc), quality=quality)
    gc.enable()
