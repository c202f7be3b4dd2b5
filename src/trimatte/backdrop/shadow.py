"""Shadows on a plain backdrop: the backdrop itself, darker.

A shadow has the backdrop's colour times a factor below 1 that changes slowly, hangs together with the backdrop, and is
not what the segmenter takes for the subject.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from trimatte.backdrop.colours import filled
from trimatte.backdrop.field import SIGMAS
from trimatte.backdrop.known import CODE, picture_edge
from trimatte.planes.regions import regions

DARKEST = 0.25
HUE = 0.04
"""How far a shadow's colour may be off that of the backdrop, in each channel."""
STEEPEST, ACROSS = 0.02, 6.0
"""Change of a shadow's factor from a pixel to the next: up to the first, or the second over the shorter side."""
SOFT = 2.0
"""The factor is averaged over so many pixels about each."""


def find_shade(image: np.ndarray, behind: np.ndarray, noise: np.ndarray, probability: np.ndarray) -> np.ndarray:
    """The factor (H, W) float32 in (0, 1] by which shadows darken the backdrop `behind` (H, W, 3); 1 outside them."""
    factor = np.einsum("hwc,hwc->hw", image, behind) / np.maximum(np.einsum("hwc,hwc->hw", behind, behind), 1e-4)
    slack = SIGMAS * noise + np.float32(CODE)
    off = np.abs(image - factor[..., None] * behind) > slack + np.float32(HUE) * np.clip(1 - factor, 0, 1)[..., None]
    smooth = ndimage.gaussian_filter(factor, 1.5, mode="nearest")
    level = float(np.sqrt(np.einsum("hwc,hwc->hw", behind, behind).mean() / 3))
    unsteady = float(noise.max()) / max(level, 0.05) / 3
    rise = np.hypot(*(ndimage.sobel(smooth, axis, mode="nearest") / 8 for axis in (0, 1)))
    steepest = max(STEEPEST, ACROSS / min(factor.shape)) + unsteady
    like = (factor >= DARKEST) & (factor < 1.1) & ~off.any(axis=-1) & (rise < steepest) & (probability < 0.5)
    found = regions(like)
    shaded = np.zeros(like.shape, bool)
    found.paint(found.touched(picture_edge(like.shape)), True, shaded)
    weight = ndimage.gaussian_filter(shaded.astype(np.float32), SOFT, mode="nearest")
    total = ndimage.gaussian_filter(np.where(shaded, factor, np.float32(0)), SOFT, mode="nearest")
    shade = np.clip(total / np.maximum(weight, np.float32(1e-6)), 0, 1)
    darker = shaded & (shade < 1 - 2 * float(slack.max()) / max(level, 0.05))
    if not ndimage.binary_opening(darker, iterations=3).any():
        return np.ones(like.shape, np.float32)
    known = shaded.astype(np.float32)[..., None]
    shade = np.where(shaded, shade, filled(np.where(shaded, shade, np.float32(0))[..., None], known)[..., 0])
    return np.ascontiguousarray(shade, np.float32)
