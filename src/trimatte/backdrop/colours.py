"""Foreground colours before a known backdrop, freed of what it reflects onto the subject.

With alpha and B known, alpha F = I - (1 - alpha) B is known too. It is divided by alpha where that is large, and filled
up from what is near where it is small: from one pixel up to full size,

    F = (alpha (I - (1 - alpha) B) + c F') / (alpha^2 + c),

F' being the level below. A coloured backdrop also shines onto the subject's edge. What the edge has more of the
backdrop's hue than the subject's inside is taken out (spill).
"""

from __future__ import annotations

import numpy as np

from trimatte.backdrop.known import depth_of
from trimatte.planes.resize import resized

WEIGHT = 0.05
"""c above."""
COLOURED = 0.2
"""A backdrop is coloured whose strongest channel exceeds the second by so much."""
INSIDE, SPILLED = 0.08, 0.1
"""From the first depth on, relative to the shorter side, the subject's own hue is read; from the second on there is no
spill."""
LEAST_SPILL, MOST_SPILL = 0.02, 0.25
"""Hue in excess up to the first is the subject's own; more of the backdrop than the second is no spill."""


def known_colours(image: np.ndarray, behind: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Foreground colours (H, W, 3) float32 in [0, 1] of a picture before `behind` (H, W, 3), given alpha (H, W)."""
    part = alpha[..., None]
    foreground = filled(part * (image - (1 - part) * behind), part * part)
    np.copyto(foreground, image, where=part >= 1)
    return _without_spill(foreground, behind, alpha)


def filled(values: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Means of `values` (H, W, C), which are multiplied by `weight` (H, W, 1), filled up where the weight is small."""
    levels = [(values, weight)]
    while max(levels[-1][1].shape[:2]) > 1:
        height, width = ((side + 1) // 2 for side in levels[-1][1].shape[:2])
        smaller = [resized(plane, (height, width), "box").reshape(height, width, -1) for plane in levels[-1]]
        levels.append((smaller[0], smaller[1]))
    values, weight = levels.pop()
    filled = np.clip(values / np.maximum(weight, np.float32(1e-6)), 0, 1)
    for values, weight in reversed(levels):
        below = resized(np.ascontiguousarray(filled), weight.shape[:2]).reshape(values.shape)
        filled = np.clip((values + np.float32(WEIGHT) * below) / (weight + np.float32(WEIGHT)), 0, 1)
    return np.ascontiguousarray(filled, np.float32)


def _without_spill(foreground: np.ndarray, behind: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """The colours less what the edge has more of a coloured backdrop's hue than the inside."""
    mean = behind.mean(axis=(0, 1))
    strong = int(np.argmax(mean))
    others = [c for c in range(3) if c != strong]
    if _excess(mean, strong, others) < COLOURED:
        return foreground
    own = _excess(foreground, strong, others)
    depth = depth_of(alpha > 0.5) / np.float32(min(alpha.shape))
    inside = depth > INSIDE
    weight = (inside if inside.any() else alpha > 0.98).astype(np.float32)[..., None]
    usual = filled(np.maximum(own, 0)[..., None] * weight, weight)[..., 0]
    spill = (own - usual - np.float32(LEAST_SPILL)) / np.maximum(_excess(behind, strong, others), np.float32(COLOURED))
    spill = np.clip(spill, 0, MOST_SPILL) * np.clip(1 - depth / np.float32(SPILLED), 0, 1)
    return np.asarray(np.clip(foreground - spill[..., None] * behind, 0, 1))


def _excess(colours: np.ndarray, strong: int, others: list[int]) -> np.ndarray:
    """How far the strong channel of colours (..., 3) exceeds the greater of the others."""
    excess: np.ndarray = colours[..., strong] - colours[..., others].max(axis=-1)
    return excess
