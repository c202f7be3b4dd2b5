"""Kernels compiled once for a whole run of the suite, in two processes side by side."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

CUT_OUT = """
import sys
import numpy as np
import trimatte

y, x = np.mgrid[:240, :320]
distance = np.hypot(y - 120, x - 160) + 8 * np.sin(9 * np.arctan2(y - 120, x - 160))
noise = np.random.default_rng(0).normal(0, 0.05, (240, 320, 3))
colours = np.where((distance < 70)[..., None], [0.8, 0.7, 0.5], [0.2, 0.3, 0.4])
trimap = np.where(distance < 50, 255, np.where(distance > 90, 0, 128)).astype(np.uint8)
result = trimatte.cutout(np.clip(colours + noise, 0, 1).astype(np.float32), trimap=trimap)
np.save(sys.argv[1], result.rgba())
"""
"""Cut a photo out by the default methods, and save what comes of it."""
WARM_UP = """
from trimatte.cli.doctor import _warm_up, warm_ups

for names in warm_ups():
    _warm_up(names)
try:
    import pymatting
except ImportError:
    pass
"""
"""Compile all kernels that are not yet kept beside their sources, also those of pymatting, which takes a minute."""
FOLDER = "TRIMATTE_TESTS_KERNELS"
"""The variable that names the folder of `compile_all` to the processes of the suite."""


def cut_out(folder: Path, name: str) -> None:
    """Save the picture of `CUT_OUT` in a folder, by a process whose cache of kernels lies there, too."""
    _wait_for(_started_apart(folder, name))


def compile_all(folder: Path) -> None:
    """Compile all kernels where later runs find them; cold.npy in the folder is of a process that found none."""
    _wait_for(_started_apart(folder, "cold.npy"), subprocess.Popen([sys.executable, "-c", WARM_UP]))


def _started_apart(folder: Path, name: str) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(folder / "cache")}
    return subprocess.Popen([sys.executable, "-c", CUT_OUT, str(folder / name)], env=environment)


def _wait_for(*processes: subprocess.Popen[bytes]) -> None:
    for process in processes:
        if process.wait() != 0:
            raise RuntimeError(f"a process that compiles kernels ended with {process.returncode}")
