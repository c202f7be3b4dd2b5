"""What lies under a subject: an outline, and a shadow that is made for it."""

from __future__ import annotations

import numpy as np

from trimatte.images.arrays import Codes, Floats, bounding_box, floats_of, quantised

_SOLID = 0.5
_DROP = (2.0, 1.0)
"""How far a shadow falls down and to the right, in multiples of its blur."""
_FLAT = 0.12
"""Height of the shadow on the ground by the subject's width."""
_FEET = 0.2
"""The lowest part of the subject, by its height, that stands on the ground."""


def outline(alpha: Floats, width: int) -> Floats:
    """Coverage (H, W) of a matte's solid part and of all within `width` pixels of it."""
    from trimatte.planes.distance import squared_distance

    distance = np.sqrt(squared_distance(np.ascontiguousarray(alpha >= _SOLID), width + 1))
    covered: Floats = np.clip(np.float32(width + 1) - distance, 0, 1)
    return covered


def drop_shadow(alpha: Floats, strength: float, softness: float) -> Floats:
    """Darkness (H, W) in [0, 1] of the shadow on a wall close behind: the matte, blurred, lower and to the right.

    Parameters
    ----------
    alpha : (H, W) float32 array in [0, 1]
        Of the subject on its canvas.
    strength : float
        The greatest darkness.
    softness : float
        Standard deviation of the blur, by the subject's longer side.
    """
    from scipy.ndimage import gaussian_filter, shift

    blur = softness * _side(alpha)
    moved = shift(alpha, [part * blur for part in _DROP], order=1)
    return np.float32(strength) * np.asarray(gaussian_filter(moved, blur, truncate=3), np.float32)


def contact_shadow(alpha: Floats, strength: float, softness: float) -> Floats:
    """Darkness (H, W) in [0, 1] of the shadow on the ground: the subject's lowest part, flat, about its lower edge.

    Parameters
    ----------
    alpha : (H, W) float32 array in [0, 1]
        Of the subject.
    strength, softness : float
        As of `drop_shadow`; what lies deepest, in the middle, is twice as sharp.
    """
    from scipy.ndimage import gaussian_filter

    from trimatte.planes.resize import resized

    box = bounding_box(alpha >= _SOLID)
    dark = np.zeros_like(alpha)
    if box is None:
        return dark
    rows, columns = box
    feet = alpha[rows.stop - max(1, round(_FEET * (rows.stop - rows.start))) : rows.stop, columns]
    width = columns.stop - columns.start
    height = max(1, round(_FLAT * width))
    spread = np.maximum.accumulate(feet[::-1], axis=0)[::-1]  # what is above touches the ground, if less
    flat = resized(np.ascontiguousarray(spread), (height, width), "box")
    top = rows.stop - height // 2
    end = min(top + height, len(alpha))
    dark[top:end, columns] = flat[: end - top]
    blur = softness * _side(alpha)
    near, far = (np.asarray(gaussian_filter(dark, (0.4 * part, part), truncate=3)) for part in (blur / 2, blur * 1.5))
    both: Floats = np.maximum(near, far) * np.float32(strength)
    return both


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


def _side(alpha: Floats) -> int:
    """The longer side of what is solid in a matte; 1 if nothing is."""
    box = bounding_box(alpha >= _SOLID)
    return 1 if box is None else max(part.stop - part.start for part in box)
