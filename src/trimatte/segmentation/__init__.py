"""Photo to foreground probability: the embedded network, others by their cards, and `segment`.

A segmenter is a function `segmenter(image) -> probability`: image (H, W, 3) float32 in [0, 1], probability (H, W)
in [0, 1]. One that can be pointed at has a method `open(image, automatic=...)`, which gives an `OpenPhoto`. A name
stands for a function that builds one, of this package or of another (by the entry point group
`trimatte.segmenters`), or for a model of the registry (see `trimatte.segmentation.registry`).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, Protocol

import numpy as np

from trimatte.errors import ArgumentError
from trimatte.images.hidden import visible_image
from trimatte.runtime.plugins import check_name
from trimatte.segmentation.prompts import Prompts, read_prompts


class OpenPhoto(Protocol):
    """A photo that a segmenter has seen, to be asked again and again.

    Attributes
    ----------
    found : array or None
        Logits of the segmenter's own answer, at a size of its own; None unless it was opened with `automatic`.
    """

    found: np.ndarray | None

    def answer(self, prompts: Prompts, before: np.ndarray | None) -> np.ndarray:
        """Logits of what is pointed at; `before` are those of the answer before, None if there is none."""

    def probability(self, logits: np.ndarray | None, prompts: Prompts) -> np.ndarray:
        """Probability (H, W) of an answer, as the prompts want it at their pixels; before any, the segmenter's or 0."""


OPEN = "open"
"""The method of a segmenter that can be pointed at."""


def segmenters() -> list[str]:
    """Names of all segmenters that can be used now."""
    from trimatte.segmentation import registry

    return registry.segmenters()


def segment(
    image: Any, *, segmenter: str = "lite", points: Any = None, not_points: Any = None, box: Any = None
) -> np.ndarray:
    """Find the subject of a picture, or what is pointed at in it.

    Parameters
    ----------
    image : image-like
        (H, W, 3) uint8, uint16 or float in [0, 1], a PIL image or a path. Colours under an alpha of 0 are not used.
    segmenter : str, default "lite"
        A name of `segmenters()`.
    points, not_points : sequence of (x, y), optional
        Pixels of the upright picture, x to the right and y down, that belong to what is wanted, and that do not; "30%"
        for a share of its width or height. With `not_points` alone the subject is found as ever, and corrected.
    box : (float, float, float, float), optional
        Left, top, right and bottom of a box about what is wanted, likewise.

    Returns
    -------
    (H, W) float32 in [0, 1]
        Probability of foreground, the same function of what is seen for every picture: nothing is stretched, so
        a picture without a subject stays low everywhere.

    Raises
    ------
    ArgumentError, ModelError
        For a name that there is not, or a model that is not added yet; the message says what to do. For points outside
        of the picture, a box without area, or a segmenter that cannot be pointed at.
    """
    if not read_prompts(points, not_points, box):
        probability: np.ndarray = _found(segmenter)(visible_image(image))
        return probability
    check_prompted(segmenter)
    photo = visible_image(image)
    prompts = read_prompts(points, not_points, box, photo.shape)
    opened = open_photo(photo, segmenter, automatic=prompts.only_drops)
    return opened.probability(opened.answer(prompts, opened.found), prompts)


def open_photo(image: np.ndarray, segmenter: str, *, automatic: bool) -> OpenPhoto:
    """A photo (H, W, 3) float32 in [0, 1] that can be pointed at.

    Raises `ArgumentError` for a segmenter that takes no prompts.
    """
    check_prompted(segmenter)
    opened: OpenPhoto = getattr(_found(segmenter), OPEN)(image, automatic=automatic)
    return opened


def check_prompted(segmenter: str) -> None:
    """Raise `ArgumentError` for a segmenter that cannot be pointed at."""
    if not hasattr(_found(segmenter), OPEN):
        from trimatte.segmentation.registry import EMBEDDED

        wanted = " or ".join(EMBEDDED)
        raise ArgumentError(f"segmenter: {segmenter!r} takes no points and no box; wanted {wanted}")


def _found(name: str) -> Callable[[np.ndarray], np.ndarray]:
    from trimatte.segmentation.registry import stamp

    check_name("segmenter", name)
    return _built(name, stamp(name))


@cache
def _built(name: str, stamp: int) -> Callable[[np.ndarray], np.ndarray]:
    return find_segmenter(name)()


def find_segmenter(name: str) -> Callable[[], Callable[[np.ndarray], np.ndarray]]:
    """The function that builds a segmenter. Raises `ArgumentError` or `ModelError` for one that there is not."""
    from trimatte.segmentation import registry

    return registry.find_segmenter(name)
