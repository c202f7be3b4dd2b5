"""How much a segmenter has found, and how much of it is in doubt."""

from __future__ import annotations

import numpy as np

NOTHING = 1e-3
"""A picture of a mean probability below this shows no subject to be in doubt about."""
SEEN = 512
"""Of a large picture pixels are taken apart, about so many along its long side."""


def found_and_doubt(probability: np.ndarray) -> tuple[float, float]:
    """Means of p and of 4 p (1 - p) over a plane (H, W) in [0, 1]."""
    step = max(1, max(probability.shape) // SEEN)
    p = probability[::step, ::step].astype(np.float32, copy=False)
    found = float(p.sum(dtype=np.float64))
    return found / p.size, max(4 * (found - float(np.vdot(p, p))) / p.size, 0.0)


def is_in_doubt(probability: np.ndarray, least: float, most: float = np.inf) -> bool:
    """Whether there is a subject and the sum of 4 p (1 - p) over that of p is above `least`, but not above `most`."""
    found, doubt = found_and_doubt(probability)
    return found > NOTHING and least < doubt / found <= most
