"""Photos and plug-ins for batches that take no time."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image


def write_photo(path: Path, seed: int = 0, width: int = 48) -> None:
    """A noisy picture with a bright disc."""
    y, x = np.mgrid[:36, :width]
    disc = np.hypot(y - 18, x - 24) < 11
    noise = np.random.default_rng(seed).normal(0, 3, (36, width, 3))
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.clip(30 + 200 * disc[..., None] + noise, 0, 255).astype(np.uint8)).save(path)


RASCAL = """
import numpy as np

class Mute(Exception):
    def __str__(self):
        raise ValueError("no text")

class Panic(BaseException):
    pass

ACTS = {50: SystemExit(3), 51: Panic("as of Rust"), 52: Mute(), 53: MemoryError(), 54: OSError(28, "No space left"),
        55: RecursionError("too deep"), 56: UnicodeDecodeError("utf-8", bytes(3), 0, 1, "bad")}

def build():
    return lambda image: np.clip(3 * image.mean(axis=2) - 1, 0, 1).astype(np.float32)

def alpha(image, trimap, report):
    width = image.shape[1]
    if width in ACTS:
        raise ACTS[width]
    if width == 57:
        report.fallbacks.append(object())
    if width == 58:
        report.iterations = "many"
    if width == 59:
        report.seconds["numpy"] = np.float32(1.5)
    return image.mean(axis=2)
"""
RASCALS = {
    50: "SystemExit",
    51: "Panic: as of Rust",
    52: "Mute",
    53: "not enough memory",
    54: "No space left",
    55: "RecursionError",
    56: "UnicodeDecodeError",
    57: "no plain type",
    58: "ValueError",
}
"""Widths of the pictures that go wrong, and what is said of each."""


QUICK = """
import numpy as np

def build():
    return lambda image: np.clip(3 * image.mean(axis=2) - 1, 0, 1).astype(np.float32)

def alpha(image, trimap, report):
    return image.mean(axis=2)
"""


KILLER = """
import os, signal
import numpy as np

def build():
    def find(image):
        if image.shape[1] == 50:
            with open(os.environ["TRIES"], "a") as file:
                file.write("x")
            os.kill(os.getpid(), signal.SIGKILL)
        return np.clip(3 * image.mean(axis=2) - 1, 0, 1).astype(np.float32)
    return find
"""


def command(photos: str | Path, out: str | Path, quick: str) -> list[str]:
    words = ["cutout", photos, "-o", out, "--segmenter", quick, "--method", quick, "--workers", "2", "--keep-colours"]
    return [sys.executable, "-m", "trimatte", *map(str, words)]


def wait_until(true: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.02)


def wait_for(there: Callable[[], bool], process: subprocess.Popen[bytes], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not there():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.1)
