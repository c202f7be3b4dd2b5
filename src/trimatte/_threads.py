"""How many threads this process may use."""

from __future__ import annotations

import os
import sys
from pathlib import Path

_limit: int | None = None


def available_threads() -> int:
    """Processors that this process may run on, cut to a container's CPU quota and `limit_threads`; at least 1."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = _quota(Path("/sys/fs/cgroup/cpu.max"))
    return max(1, min(count, quota or count, _limit or count))


def _quota(file: Path) -> int | None:
    try:
        allowance, period = file.read_text().split()
        return max(1, int(allowance) // int(period))
    except (OSError, ValueError):
        return None


def limit_threads(count: int) -> None:
    """Let the numerical libraries of this process use at most `count` threads.

    Those not imported yet read the environment; numba and onnxruntime heed it later, too.
    """
    global _limit
    _limit = max(1, count)
    for library in ("OMP", "OPENBLAS", "MKL", "VECLIB"):
        os.environ[f"{library}_NUM_THREADS"] = str(_limit)
    if "numba" in sys.modules:
        from numba import config, set_num_threads

        set_num_threads(min(_limit, config.NUMBA_NUM_THREADS))  # type: ignore[attr-defined]
    else:
        os.environ["NUMBA_NUM_THREADS"] = str(_limit)
