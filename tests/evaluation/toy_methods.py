"""Methods that a worker process can import by name."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import numpy as np

from trimatte.evaluation.runs import evaluate


def by_brightness(image, trimap):
    """Quick and no good."""
    alpha = np.clip(image.mean(axis=2), 0, 1)
    if trimap is not None:
        alpha = np.where(trimap == 0, 0, np.where(trimap == 255, 1, alpha))
    return alpha.astype(np.float32)


def half(image, trimap):
    return np.full(image.shape[:2], 0.5, np.float32)


def dies_on_tall(image, trimap):
    """Takes its process with it where the picture's first pixel says so."""
    if image[0, 0, 0] == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return half(image, trimap)


def sleepy(image, trimap):
    """Says which process it is in, and takes its time."""
    Path(os.environ["SLEEPY"], f"{os.getpid()}.pid").touch()
    time.sleep(60)


class Panic(BaseException):
    """As libraries in Rust raise it."""


def leaves_or_panics(image, trimap):
    """Goes wrong in ways that are no `Exception`, by the picture's first pixel."""
    if image[0, 0, 0] == 1:
        raise SystemExit(3)
    raise Panic("no Exception")


def which_process(image, trimap):
    """Tells the process apart that it is run in, by its alpha."""
    return np.full(image.shape[:2], os.getpid() % 251 / 255, np.float32)


def evaluate_toys(benchmark, out):
    """An evaluation that can be the whole work of a process."""
    evaluate(benchmark, {"bright": by_brightness, "half": half}, out=out)
