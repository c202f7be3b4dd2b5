"""Planes that take memory only where they are written to."""

from __future__ import annotations

import mmap
from contextlib import suppress
from math import prod

import numpy as np


def paged_zeros(shape: tuple[int, ...]) -> np.ndarray:
    """Zeros float32 of a shape, of which a page of some kilobytes takes memory once something is written there.

    Those of NumPy come in pages of megabytes, many rows each: a narrow band touches them all.
    """
    memory = mmap.mmap(-1, max(1, 4 * prod(shape)))
    if hasattr(mmap, "MADV_NOHUGEPAGE"):
        with suppress(OSError):  # a kernel without huge pages
            memory.madvise(mmap.MADV_NOHUGEPAGE)
    return np.frombuffer(memory, np.float32, prod(shape)).reshape(shape)
