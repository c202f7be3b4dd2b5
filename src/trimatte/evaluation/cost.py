"""What a method takes (wall time, memory) and on what it ran."""

from __future__ import annotations

import gc
import os
import platform
import subprocess
import time
from collections.abc import Callable
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, TypeVar

from trimatte.runtime.measure import give_back_memory

T = TypeVar("T")

PACKAGES = ("trimatte", "numpy", "scipy", "numba", "pymatting", "onnxruntime", "torch")


def metered(function: Callable[[], T]) -> tuple[T, dict[str, Any]]:
    """Run a function; its result, and {"seconds", "peak_bytes", "base_bytes"}.

    peak_bytes is the greatest resident memory of the process meanwhile and base_bytes the one just before, once what is
    no longer used has been given back; both are None where the system cannot tell (Linux can).
    """
    gc.collect()
    give_back_memory()
    base = _resident("VmRSS") if _reset_peak() else None
    start = time.perf_counter()
    result = function()
    seconds = time.perf_counter() - start
    peak = _resident("VmHWM") if base is not None else None
    return result, {"seconds": round(seconds, 4), "peak_bytes": peak, "base_bytes": base}


def _reset_peak() -> bool:
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return False
    return True


def _resident(field: str) -> int | None:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) * 1024
    return None


@cache
def surroundings() -> dict[str, Any]:
    """Versions, machine and commit: {"versions": {..}, "machine": {..}, "commit": str or None}."""
    return {"versions": _versions(), "machine": _machine(), "commit": _commit()}


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    from trimatte import __version__

    return found | {"trimatte": __version__}


def _machine() -> dict[str, Any]:
    from trimatte.runtime.threads import available_threads

    return {"system": platform.system(), "processor": _processor(), "threads": available_threads()}


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _commit() -> str | None:
    """The commit of the checkout that this package runs from, with "+" if files differ; None outside of a checkout."""
    here = os.path.dirname(os.path.dirname(__file__))

    def git(*words: str) -> str:
        done = subprocess.run(["git", "-C", here, *words], capture_output=True, text=True, timeout=10)
        return done.stdout.strip() if done.returncode == 0 else ""

    try:
        commit = git("rev-parse", "--short=12", "HEAD")
        return commit + ("+" if commit and git("status", "--porcelain", "--", here) else "") or None
    except (OSError, subprocess.TimeoutExpired):
        return None
