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

from trimatte.images.hidden import visible_image
from trimatte.runtime.plugins import check_name


def segmenters() -> list[str]:
    """Names of all segmenters that can be used now."""
    from trimatte.segmentation import registry

    return registry.segmenters()


def segment(image: Any, *, segmenter: str = "lite") -> np.ndarray:
    """Find the subject of a picture.

    Parameters
    ----------
    image : image-like
        (H, W, 3) uint8, uint16 or float in [0, 1], a PIL image or a path. Colours under an alpha of 0 are not used.
    segmenter : str, default "lite"
        A name of `segmenters()`.

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

    check_name("segmenter", segmenter)
    run = _built(segmenter, stamp(segmenter))
    probability: np.ndarray = run(visible_image(image))
    return probability


@cache
def _built(name: str, stamp: int) -> Callable[[np.ndarray], np.ndarray]:
    return find_segmenter(name)()


def find_segmenter(name: str) -> Callable[[], Callable[[np.ndarray], np.ndarray]]:
    """The function that builds a segmenter. Raises `ArgumentError` or `ModelError` for one that there is not."""
    from trimatte.segmentation import registry

    return registry.find_segmenter(name)
