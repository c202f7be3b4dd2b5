"""What lies under a subject: an outline about it, and how a layer is laid there."""

from __future__ import annotations

import numpy as np

from trimatte.images.arrays import Codes, Floats, floats_of, quantised

_SOLID = 0.5


def outline(alpha: Floats, width: int) -> Floats:
    """Coverage (H, W) of a matte's solid part and of all within `width` pixels of it."""
    from trimatte.planes.distance import squared_distance

    distance = np.sqrt(squared_distance(np.ascontiguousarray(alpha >= _SOLID), width + 1))
    covered: Floats = np.clip(np.float32(width + 1) - distance, 0, 1)
    return covered


def laid_under(codes: Codes, alpha: Floats, colour: Floats, coverage: Floats) -> tuple[Codes, Floats]:
    """Colours and alpha of a picture over a layer of one colour: Porter and Duff's over, on the stored values.

    Parameters
    ----------
    codes : (H, W, 3) uint8 or uint16 array
        Straight colours.
    alpha : (H, W) float32 array in [0, 1]
        Of the picture.
    colour : (3,) float32 array in [0, 1]
        Of the layer, in the same space as `codes`.
    coverage : (H, W) float32 array in [0, 1]
        Of the layer.

    Returns
    -------
    codes, alpha : arrays
        Colours are untouched where the picture is opaque.
    """
    share = coverage * (1 - alpha)
    whole = alpha + share
    seen = share > 0
    if not seen.any():
        return codes, alpha
    mixed = floats_of(codes[seen], "codes") * alpha[seen, None] + colour * share[seen, None]
    mixed /= whole[seen, None]
    result = codes.copy()
    result[seen] = quantised(np.minimum(mixed, 1)[None], 8 * codes.itemsize)[0]
    return result, np.minimum(whole, 1)
