"""At which shapes pictures are seen in training: wide, tall or square, so that none is squashed."""

from __future__ import annotations

import numpy as np

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of the pictures of ImageNet, channel by channel in [0, 1]."""
ZOOMS, OFTEN = (0.8, 1.0, 1.1, 1.35), (0.25, 0.4, 0.2, 0.15)
"""By what a batch's long side differs from the recipe's, and how often."""


def kind_of(size: tuple[float, float]) -> int:
    """Wide (0), tall (1) or square (2), of (width, height)."""
    ratio = size[0] / size[1]
    return 0 if ratio > 1.15 else 1 if ratio < 0.87 else 2


def shape_of(kind: int, long_side: int) -> tuple[int, int]:
    """(width, height), multiples of 32, of a wide (0), tall (1) or square (2) batch."""
    long, short = (max(32, round(side / 32) * 32) for side in (long_side, long_side * 0.72))
    square = max(32, round(long_side * 0.83 / 32) * 32)
    return ((long, short), (short, long), (square, square))[kind]


def random_shape(kind: int, long_side: int, rng: np.random.Generator) -> tuple[int, int]:
    """The shape of a batch, its long side somewhat other than wanted."""
    return shape_of(kind, round(long_side * float(rng.choice(ZOOMS, p=OFTEN))))
