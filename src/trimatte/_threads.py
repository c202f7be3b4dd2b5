"""How many threads this process may use."""

from __future__ import annotations

import os
from pathlib import Path


def available_threads() -> int:
    """Processors that this process may run on, cut to a container's CPU quota; at least 1."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = _quota(Path("/sys/fs/cgroup/cpu.max"))
    return max(1, min(count, quota)) if quota else max(1, count)


def _quota(file: Path) -> int | None:
    try:
        allowance, period = file.read_text().split()
        return max(1, int(allowance) // int(period))
    except (OSError, ValueError):
        return None


def limit_threads(count: int) -> None:
    """Let numba kernels use at most `count` threads."""
    import numba

    numba.set_num_threads(max(1, min(count, numba.config.NUMBA_NUM_THREADS)))
