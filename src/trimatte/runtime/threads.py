"""How many threads this process may use."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

_limit: int | None = None


def available_threads() -> int:
    """Processors that this process may run on, cut to a container's CPU quota and `limit_threads`; at least 1."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(count, _quota() or count, _limit or count))


def for_each(work: Callable[[Any], None], parts: Iterable[Any]) -> None:
    """Do the work of each part, side by side where there is more than one; for work that NumPy does without the GIL."""
    parts = list(parts)
    if len(parts) < 2:
        for part in parts:
            work(part)
        return
    with ThreadPoolExecutor(available_threads()) as pool:
        list(pool.map(work, parts))


@cache
def _quota() -> int | None:
    """Processors of this process's CPU quota when it is first asked for, since files tell it; None without one.

    Rounded down: with more threads than the quota has processors, all are halted for the rest of each period.
    """
    quota = min(_quotas(Path("/")), default=None)
    return None if quota is None else max(1, int(quota))


def _quotas(root: Path) -> Iterator[float]:
    """Processors that each control group of this process, and each group above it, allows (cgroups v1 and v2)."""
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:  # not Linux
        return
    mounted = root / "sys/fs/cgroup"
    for line in lines:
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if not controllers:  # v2
            hierarchy, read = mounted, _unified
        elif "cpu" in controllers.split(","):
            hierarchy, read = mounted / "cpu", _legacy
        else:
            continue
        # Within a container the path may be that of the host, but the container's own group is mounted at the top.
        group = hierarchy / path.strip("/")
        for folder in (group, *group.parents):
            with suppress(OSError, ValueError, ZeroDivisionError):
                yield read(folder)
            if folder == hierarchy:
                break


def _unified(group: Path) -> float:
    allowance, period = (group / "cpu.max").read_text().split()
    return int(allowance) / int(period)  # "max" is no number: no limit


def _legacy(group: Path) -> float:
    allowance = int((group / "cpu.cfs_quota_us").read_text())
    if allowance < 0:
        raise ValueError("no limit")
    return allowance / int((group / "cpu.cfs_period_us").read_text())


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
