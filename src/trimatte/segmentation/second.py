"""A second network, of another make, asked of a photo: what it says is evidence beside the first one's.

Networks that learnt from other photos err on other ones. A logit is evidence for foreground; the second's counts less
than the first's, and the more the surer it is, so that what the first is sure of stays on its side.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from threading import Lock

import numpy as np

from trimatte.planes.resize import strips
from trimatte.segmentation.doubt import is_in_doubt

LEAST = 1e-3
"""Probabilities are kept so far from 0 and 1 before their logit is taken."""

SMALLEST = 128
"""Pixels of the long side of pictures that it is asked of: smaller ones it would see more than twice enlarged."""

Segmenter = Callable[[np.ndarray], np.ndarray]


def seconded(first: Segmenter, second: Callable[[], Segmenter], weight: float, doubt: tuple[float, float]) -> Segmenter:
    """A segmenter by two: the first's logits and `weight` times the second's.

    The second, which `second` gives when it is first wanted, is asked of pictures whose `doubt`, the sum of 4 p (1 - p)
    over the sum of p, lies between these: in less it could change little, and in more there hardly is a subject. It is
    not asked of pictures smaller than `SMALLEST`.
    """

    def run(image: np.ndarray) -> np.ndarray:
        probability = first(image)
        if max(probability.shape) < SMALLEST or not is_in_doubt(probability, *doubt):
            return probability
        other = second()(image)
        for rows in strips(probability.shape):
            logits = _logits(probability[rows]) + np.float32(weight) * _logits(other[rows])
            probability[rows] = 1 / (1 + np.exp(-logits))
        return probability

    return run


def once(build: Callable[[], Segmenter]) -> Callable[[], Segmenter]:
    """A function that builds a segmenter when it is first called, for all threads the same."""
    built, lock = cache(build), Lock()

    def get() -> Segmenter:
        with lock:
            return built()

    return get


def _logits(probability: np.ndarray) -> np.ndarray:
    p = np.clip(probability, np.float32(LEAST), np.float32(1 - LEAST))
    logits: np.ndarray = np.log(p / (1 - p))
    return logits
