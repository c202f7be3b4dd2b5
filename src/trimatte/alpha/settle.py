"""Where nothing known is near, alpha is what the segmenter's probability says.

A method spreads what is known over the unknown band. Inside a region that is unknown as a whole, half of a bush or a
fringe, nothing known is near, and what it finds there is worth less than what the segmenter thinks: so the further
a pixel lies from known ones, in half widths of the band, the less the method counts. Networks that are given a
trimap see more than what is near, and are better left alone: with them the error was larger on all sets of pictures.
"""

from __future__ import annotations

import numpy as np

from trimatte.images.arrays import UNKNOWN
from trimatte.planes.resize import strips

NEAR, FAR = 1.0, 2.0
"""In half widths of the band: up to the first the method alone counts, from the second on the probability alone."""


def settled(alpha: np.ndarray, probability: np.ndarray, trimap: np.ndarray, reach: float) -> tuple[np.ndarray, float]:
    """Alpha that passes into the probability far from known pixels.

    Parameters
    ----------
    alpha, probability : (H, W) float32 array in [0, 1]
        A method's, and the segmenter's.
    trimap : (H, W) uint8 array
        That the method was given.
    reach : float
        Half width of the band in pixels.

    Returns
    -------
    alpha : (H, W) float32 array in [0, 1]
        Known pixels, and unknown ones near them, are as they were.
    counted : float
        In pixels, how much the probability counts: each from 0 where known pixels are near to 1 where none is.
    """
    from trimatte.planes.distance import squared_distance

    distance, result = squared_distance(trimap != UNKNOWN, int(np.ceil(FAR * reach)) + 1), np.array(alpha)
    counted = 0.0
    for rows in strips(result.shape):
        share = np.clip((np.sqrt(distance[rows]) / np.float32(reach) - NEAR) / (FAR - NEAR), 0, 1)
        counted += float(share.sum(dtype=np.float64))
        # Nearer to 0 and 1 than the probability itself: it hesitates longer than it is wrong.
        p = probability[rows]
        result[rows] += share * (p * p * (3 - 2 * p) - result[rows])
        np.clip(result[rows], 0, 1, out=result[rows])
    return result, counted
