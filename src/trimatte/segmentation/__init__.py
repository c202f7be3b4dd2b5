"""Photo to foreground probability: the embedded network, others by their cards, and `segment`.

A segmenter is a function `segmenter(image) -> probability`: image (H, W, 3) float32 in [0, 1], probability (H, W)
in [0, 1]. A name stands for a function that builds one, of this package or of another (by the entry point group
`trimatte.segmenters`), or for a model of the registry (see `trimatte.segmentation.registry`).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from trimatte.errors import ArgumentError
from trimatte.images import as_image
from trimatte.runtime.plugins import known, resolve

SEGMENTERS = {
    "lite": "trimatte.segmentation.registry:lite",
    "lite-plus": "trimatte.segmentation.registry:lite_plus",
}
ENTRY_POINTS = "trimatte.segmenters"


def segmenters() -> list[str]:
    """Names of all segmenters that can be used now."""
    from trimatte.segmentation import registry

    names = known(SEGMENTERS, ENTRY_POINTS)
    return [*names, *(name for name in registry.added() if name not in names)]


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

    Raises
    ------
    ArgumentError, ModelError
        For a name that there is not, or a model that is not added yet; the message says what to do.
    """
    from trimatte.segmentation.registry import stamp

    run = _built(segmenter, stamp(segmenter))
    probability: np.ndarray = run(as_image(image))
    return probability


@cache
def _built(name: str, stamp: int) -> Callable[[np.ndarray], np.ndarray]:
    return _builder(name)()


def _builder(name: str) -> Callable[[], Callable[[np.ndarray], np.ndarray]]:
    from trimatte.segmentation import registry

    if name not in known(SEGMENTERS, ENTRY_POINTS) and registry.knows(name):
        return registry.builder(name)
    try:
        builder: Callable[[], Callable[[np.ndarray], np.ndarray]] = resolve("segmenter", name, SEGMENTERS, ENTRY_POINTS)
    except ArgumentError as error:
        raise ArgumentError(f"{error}; `trimatte models list` shows those that can be added") from None
    return builder
