"""Masks of photos that have none: what several segmenters say together, as far as they agree.

A network that learns from the mean of several others, which err apart, learns more than each of them knows (Hinton et
al., 2015); where they contradict each other nothing is known.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from trimatte.files.atomic import atomic_write
from trimatte.images import load_image

Teacher = Callable[[NDArray[np.float32]], NDArray[np.float32]]
"""Probability (H, W) of a photo (H, W, 3), both in [0, 1]."""
AGREED, APART = 0.25, 0.6
"""Spreads of the teachers' probabilities up to which a pixel is wholly known, and from which it is unknown."""
COMMON = 0.6
"""The least IoU of any two teachers; a photo on which they have less in common gets no mask."""


def label(photos: Sequence[Path], teachers: Sequence[Teacher], out: Path) -> int:
    """Write a mask (LA: the mean, and how far it is known) for each photo on which teachers agree; their number.

    Photos whose mask lies in `out` already are passed over; those without a common subject get an empty file's place,
    a mask of which nothing is known.
    """
    out.mkdir(parents=True, exist_ok=True)
    made = 0
    for photo in photos:
        target = out / f"{photo.stem}.png"
        if target.exists():
            continue
        image = load_image(photo)
        mask = common(np.stack([teacher(image) for teacher in teachers]))
        with atomic_write(target) as file:
            Image.fromarray(mask).save(file, "PNG")
        made += 1
    return made


def common(answers: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Mean (H, W, 2) of answers (N, H, W) in [0, 1] and how far it is known, both in [0, 255]."""
    spread = answers.max(0) - answers.min(0)
    known = np.clip((APART - spread) / (APART - AGREED), 0, 1)
    found = answers > 0.5
    overlaps = [iou(a, b) for i, a in enumerate(found) for b in found[:i]]
    if overlaps and min(overlaps) < COMMON:
        known = np.zeros_like(known)
    codes: NDArray[np.uint8] = np.rint(255 * np.stack([answers.mean(0), known], -1)).astype(np.uint8)
    return codes


def iou(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> float:
    """Intersection over union, 0 if both are empty."""
    return float((first & second).sum() / max((first | second).sum(), 1))
