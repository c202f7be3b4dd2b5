"""Wall time of stages and the process's peak memory."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

KEPT_BYTES = 500_000_000
"""A process that holds more gives back what is free of it before colours and after each picture of a batch: thousands
of pictures, of which each leaves gaps of its own, then take no more memory than ten."""


@contextmanager
def timed(seconds: dict[str, float], stage: str) -> Iterator[None]:
    """Add the wall time of the block to `seconds[stage]`."""
    start = time.perf_counter()
    try:
        yield
    finally:
        seconds[stage] = seconds.get(stage, 0.0) + time.perf_counter() - start


def peak_bytes() -> int:
    """Greatest resident memory of this process so far, 0 where the system does not tell."""
    try:
        import resource
    except ImportError:
        return 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def resident_bytes(process: int | str = "self") -> int:
    """Bytes of memory that a process holds, 0 where the system does not tell."""
    try:
        import resource

        return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * resource.getpagesize()
    except (OSError, ImportError, IndexError):
        return 0


def give_back_memory(*, above: int = 0) -> None:
    """Let glibc return to the system what it keeps of arrays that are gone, if the process holds more than so much.

    What is given back takes time to get again, a tenth of that of an ordinary photo.
    """
    if sys.platform == "linux" and (not above or resident_bytes() > above):
        import ctypes

        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)


def available_bytes() -> int:
    """Memory that can be taken without swapping: the machine's, or what a container leaves of it."""
    free = [2 << 30]  # where the system does not tell
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        free = [int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")] or free
        group = Path("/sys/fs/cgroup")
        limit = int((group / "memory.max").read_text())  # "max" if there is none
        used = int((group / "memory.current").read_text())
        cache = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
        free.append(limit - used + int(cache.get("inactive_file", 0)))
    except (OSError, ValueError):
        pass
    return max(0, min(free))
