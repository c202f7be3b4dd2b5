"""Memory that the process holds, and what it gives back."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from trimatte.runtime.measure import give_back_memory, resident_bytes

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells, and only glibc gives back")
SIZE = 100_000
"""Less than what malloc takes from the system by itself."""


def gaps() -> list[np.ndarray]:
    """Arrays, of which each second is gone again: free memory between what is not."""
    arrays = [np.ones(SIZE, np.uint8) for _ in range(2000)]
    return arrays[::2]


def test_free_memory_is_given_back() -> None:
    kept = gaps()
    before = resident_bytes()
    give_back_memory()
    assert before - resident_bytes() > len(kept) * SIZE / 2


def test_it_is_kept_where_the_process_holds_little() -> None:
    kept = gaps()
    before = resident_bytes()
    give_back_memory(above=2 * before)
    assert before - resident_bytes() < len(kept) * SIZE / 4
    give_back_memory(above=before // 2)
    assert before - resident_bytes() > len(kept) * SIZE / 2
