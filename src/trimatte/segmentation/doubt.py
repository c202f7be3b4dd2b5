"""How much a segmenter has found, and how much of it is in doubt."""

from __future__ import annotations

import numpy as np

NOTHING = 1e-3
"""A picture of a mean probability below this shows no subject to be in doubt about."""
SEEN = 512
"""Of a large picture pixels are taken apart, about so many along its long side."""


EDGE = 2 / 3
"""The mean of 4 p (1 - p) over pixels that the outline of a sure subject crosses anywhere: of p uniform in [0, 1]."""


def found_and_doubt(probability: np.ndarray) -> tuple[float, float]:
    """Means of p and of 4 p (1 - p) over a plane (H, W) in [0, 1]."""
    step = max(1, max(probability.shape) // SEEN)
    p = probability[::step, ::step].astype(np.float32, copy=False)
    found = float(p.sum(dtype=np.float64))
    return found / p.size, max(4 * (found - float(np.vdot(p, p))) / p.size, 0.0)


def doubt_of_outline(probability: np.ndarray) -> float:
    """The part of `found_and_doubt`'s doubt that any outline has, since pixels on it are mixed; in [0, 1].

    The length of the outline, the sum of p's gradient, is little beside the area of a subject, but for small pictures.
    """
    step = max(1, max(probability.shape) // SEEN)
    p = probability[::step, ::step].astype(np.float32, copy=False)
    down, right = np.diff(p, axis=0, append=p[-1:]), np.diff(p, axis=1, append=p[:, -1:])
    length: float = float(np.hypot(down, right).mean(dtype=np.float64)) / step
    return EDGE * length


def is_in_doubt(probability: np.ndarray, least: float, most: float = np.inf) -> bool:
    """Whether there is a subject and the sum of 4 p (1 - p) over that of p is above `least`, but not above `most`."""
    found, doubt = found_and_doubt(probability)
    return found > NOTHING and least < doubt / found <= most
