"""Two networks asked of one photo: the mean of what they say, as logits.

Networks of other makes, that learnt from other photos, err on other ones. Their mean, as logits, follows the one that
is surer of a pixel; and since a share of each logit is kept, what one of them is sure of alone stays on its side.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from trimatte.planes.resize import strips

LEAST = 1e-3
"""Probabilities are kept so far from 0 and 1 before their logit is taken."""

Segmenter = Callable[[np.ndarray], np.ndarray]


def agreed(first: Segmenter, second: Segmenter, share: float) -> Segmenter:
    """A segmenter by two: `share` of the second's logits, the rest of the first's."""

    def run(image: np.ndarray) -> np.ndarray:
        probability, other = first(image), second(image)
        for rows in strips(probability.shape):
            logits = (1 - np.float32(share)) * _logits(probability[rows]) + np.float32(share) * _logits(other[rows])
            probability[rows] = 1 / (1 + np.exp(-logits))
        return probability

    return run


def _logits(probability: np.ndarray) -> np.ndarray:
    p = np.clip(probability, np.float32(LEAST), np.float32(1 - LEAST))
    logits: np.ndarray = np.log(p / (1 - p))
    return logits
