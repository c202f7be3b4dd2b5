"""Photo to foreground probability: the embedded network, others by their cards, and `segment`.

A segmenter is a function `segmenter(image) -> probability`: image (H, W, 3) float32 in [0, 1], probability (H, W)
in [0, 1]. The registry maps names to functions that build one; other packages add theirs by the entry point
group `trimatte.segmenters`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from trimatte._registry import known, resolve
from trimatte.images import as_image

SEGMENTERS = {"lite": "trimatte.segmentation.onnx:lite"}
ENTRY_POINTS = "trimatte.segmenters"


def segmenters() -> list[str]:
    """Names of all segmenters."""
    return known(SEGMENTERS, ENTRY_POINTS)


def segment(image: Any, *, segmenter: str = "lite") -> np.ndarray:
    """Find the subject of a picture.

    Parameters
    ----------
    image : (H, W, 3) uint8, uint16 or float in [0, 1], a PIL image or a path.
    segmenter : a name of `segmenters()`.

    Returns
    -------
    (H, W) float32 in [0, 1]
        Probability of foreground, the same function of what is seen for every picture: nothing is stretched, so
        a picture without a subject stays low everywhere.
    """
    run = _built(segmenter)
    probability: np.ndarray = run(as_image(image))
    return probability


@cache
def _built(name: str) -> Callable[[np.ndarray], np.ndarray]:
    return _builder(name)()


def _builder(name: str) -> Callable[[], Callable[[np.ndarray], np.ndarray]]:
    builder: Callable[[], Callable[[np.ndarray], np.ndarray]] = resolve("segmenter", name, SEGMENTERS, ENTRY_POINTS)
    return builder
