"""What a trimap knows of alpha: kept in a network's answer, and grown by what another method is sure of."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from trimatte.images.arrays import FOREGROUND, UNKNOWN


def keep_known(alpha: NDArray[np.float32], trimap: NDArray[np.uint8] | None) -> NDArray[np.float32]:
    """Alpha (H, W) float32, exactly 0 or 1 where the trimap, if there is one, is known."""
    if trimap is None:
        return alpha
    return np.where(trimap == UNKNOWN, alpha, trimap / np.float32(255)).astype(np.float32)


def narrow_trimap(
    trimap: NDArray[np.uint8], alpha: NDArray[np.float32], *, sure: float = 0.98, margin: int = 8
) -> NDArray[np.uint8]:
    """Shrink a trimap's unknown band to where `alpha` lies between `1 - sure` and `sure`, and `margin` pixels about it.

    Pixels that leave the band become what alpha says they are. `sure` is above 0.5 and at most 1, `margin` at least 0.
    """
    from trimatte.planes.distance import squared_distance

    unknown = trimap == UNKNOWN
    unsure = unknown & (alpha > 1 - sure) & (alpha < sure)
    keep = unknown & (squared_distance(unsure, margin) <= margin**2)
    narrow = trimap.astype(np.uint8)
    np.multiply(alpha >= 0.5, np.uint8(FOREGROUND), out=narrow, where=unknown & ~keep)
    return narrow
