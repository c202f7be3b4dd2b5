"""Where the subject is in doubt over a wide area, alpha is no higher than the segmenter's probability.

A method decides every unknown pixel by colours and by what is known about it. Along an outline that is right: there the
probability is soft only since the segmenter sees a small picture. But where it hesitates over an area, a second dog
behind the first or half of a bush, the colours do not say which things belong to the subject. The method still decides,
for 0 or 1, and is often wrong where the segmenter was in doubt. So how soft the probability is about a pixel, over a
quarter of the subject's size, says how much the segmenter counts there: alpha keeps its detail, and where its mean over
a few pixels is higher than the probability's, it is lowered to that. Towards known pixels this fades, so that there is
no seam. Nowhere is alpha raised: what a method found to be background would come back as a fog over it.
"""

from __future__ import annotations

import numpy as np
from PIL import Image

from trimatte.images.arrays import UNKNOWN
from trimatte.planes import filters
from trimatte.planes.resize import resized, strips

AREA, LEVEL = 0.25, 0.025
"""Standard deviations of the windows over which the doubt and the levels are averaged, in sizes of the subject."""
FIRST, FULL = 0.18, 0.25
"""Up to the first doubt, a mean of 4 p (1 - p), the method alone decides; from the second on the level is no higher
than the probability's. An outline that is soft over less than a seventh of the subject's size has less than the
first."""
SEEN, CELLS, COARSER = 512, 128, 2
"""Of a large picture pixels are taken apart, about so many along its long side, and averaged until no more than twice
as many as the second remain; the doubt, smooth as it is, on so many times fewer."""


def settled(alpha: np.ndarray, probability: np.ndarray, trimap: np.ndarray) -> tuple[np.ndarray, float]:
    """Alpha that is no higher than the probability where the subject is in doubt over a wide area.

    Parameters
    ----------
    alpha, probability : (H, W) float32 array in [0, 1]
        A method's, and the segmenter's.
    trimap : (H, W) uint8 array
        That the method was given.

    Returns
    -------
    alpha : (H, W) float32 array in [0, 1]
        Known pixels are as they were; all are, where the probability is sure.
    lowered : float
        By how much, in the mean over unknown pixels: from 0 to 1.
    """
    step = max(1, max(alpha.shape) // SEEN)
    factor = max(1, max(alpha.shape) // step // CELLS)
    p, a, unknown = (
        _reduced(plane[::step, ::step].astype(np.float32), factor) for plane in (probability, alpha, trimap == UNKNOWN)
    )
    size = float(np.sqrt(np.count_nonzero(p >= 0.5)))
    weight = counting(p, size)
    if not weight.any():
        return alpha, 0.0
    weight *= np.clip(2 * _blurred(unknown, LEVEL * size) - 1, 0, 1)  # 0 at a straight border of what is known
    change = weight * np.minimum(_blurred(p - a, LEVEL * size), 0)
    lowered = abs(float((change * unknown).sum())) / max(float(unknown.sum()), 1e-6)
    cell, result = step * factor, alpha.copy()
    for rows in strips(alpha.shape):
        box = (0, rows.start / cell, alpha.shape[1] / cell, rows.stop / cell)
        moved = alpha[rows] + resized(change, (rows.stop - rows.start, alpha.shape[1]), box=box)
        np.copyto(result[rows], np.clip(moved, 0, 1, out=moved), where=trimap[rows] == UNKNOWN)
    return result, lowered


def counting(probability: np.ndarray, size: float) -> np.ndarray:
    """How much a probability (h, w) counts beside a method, from 0 to 1, where the subject has a size in pixels."""
    doubt = _blurred(_reduced(4 * probability * (1 - probability), COARSER), AREA * size / COARSER)
    height, width = probability.shape
    doubt = resized(doubt, probability.shape, box=(0, 0, width / COARSER, height / COARSER))
    weight: np.ndarray = np.clip((doubt - np.float32(FIRST)) / np.float32(FULL - FIRST), 0, 1)
    return weight


def _reduced(plane: np.ndarray, factor: int) -> np.ndarray:
    """Means over blocks of so many rows and columns; the last blocks may be smaller."""
    means: np.ndarray = np.asarray(Image.fromarray(plane).reduce(factor))
    return means


def _blurred(plane: np.ndarray, sigma: float) -> np.ndarray:
    return filters.gaussian(plane, sigma) if sigma > 0.1 else plane
