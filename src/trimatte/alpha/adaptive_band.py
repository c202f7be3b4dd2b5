"""A band that is wide at hair and narrow at hard edges, as two methods and the map's own doubt say.

Of a small picture a wide band costs little. `make_trimap` draws it there, by what `glance` sees as mixed, and two
methods that fail in different places, the light network and closed-form matting, solve it. What either finds mixed, and
what they put on different sides, is unknown; what both are sure of is known, on the side that they say. Far from the
outline the map alone counts where it is sure: methods find the subject's colours again in a background full of things.
"""

from __future__ import annotations

import numpy as np

from trimatte.alpha import quiet_matte
from trimatte.alpha.glance import mixed_pixels
from trimatte.alpha.known import narrow_trimap
from trimatte.images.arrays import BACKGROUND, FOREGROUND, UNKNOWN
from trimatte.planes import filters
from trimatte.planes.distance import squared_distance
from trimatte.planes.resize import downsampled, resized
from trimatte.trimap import TrimapReport, distances, half_width, make_trimap

LONG_SIDE = 384
"""Of the small picture."""
METHODS = ("light", "closed-form")
WIDER, FAR, MARGIN = 1.6, 0.8, 0.2
"""In half widths of the plain band: what is solved first; from where on a sure map counts alone; and what stays unknown
about mixed pixels, and between foreground and background."""
SURE = 0.95
"""A method is, of more alpha than this or less than the rest."""
DOUBT, AROUND = 0.02, 0.02
"""A map is sure where min(p, 1 - p) has a mean of less than this; a window's standard deviation, in subject's sizes."""


def adaptive_trimap(
    image: np.ndarray,
    probability: np.ndarray,
    *,
    band: float | None = None,
    band_pixels: float | None = None,
    speck: float = 0.0,
    report: TrimapReport | None = None,
) -> np.ndarray:
    """The trimap (H, W) uint8 of an image and a segmenter's map, whose band follows hair.

    Parameters
    ----------
    image : (H, W, 3) float32 array in [0, 1]
        The photo, sRGB.
    probability : (H, W) float32 array in [0, 1]
        Of foreground.
    band, band_pixels : float, optional
        Half width of the plain band, as of `trimatte.make_trimap`; no less than a pixel of the small picture.
    speck : float, default 0
        As of `trimatte.make_trimap`.
    report : TrimapReport, optional
        Filled in if given.

    Returns
    -------
    (H, W) uint8 array
        Values 0, 128 and 255. Where the subject fills the picture, or there is none, it is `make_trimap`'s.
    """
    report = TrimapReport() if report is None else report
    mixed = mixed_pixels(image, probability)
    scale = min(1.0, LONG_SIDE / max(probability.shape))
    shape = tuple(max(1, round(side * scale)) for side in probability.shape)
    p, m = (np.clip(resized(plane, shape), 0, 1) for plane in (probability, mixed))
    size = float(np.sqrt(np.count_nonzero(p >= 0.5)))
    half = max(1.0, half_width(band, None if band_pixels is None else band_pixels * scale, size))
    notes = TrimapReport()
    wide = make_trimap(p, band_pixels=WIDER * half, mixed=m, speck=speck, report=notes)
    if not notes.subject or not all((wide == value).any() for value in (FOREGROUND, BACKGROUND, UNKNOWN)):
        return make_trimap(probability, band=band, band_pixels=band_pixels, mixed=mixed, speck=speck, report=report)
    small = np.clip(downsampled(image, (shape[0], shape[1])), 0, 1)
    margin = max(1, round(MARGIN * half))
    alphas = [quiet_matte(small, wide, method=method, strict=False).alpha for method in METHODS]
    trimap = agreed([narrow_trimap(wide, alpha, sure=SURE, margin=margin) for alpha in alphas])
    trimap = parted(by_sure_map(trimap, p, FAR * half, AROUND * size), margin)
    if not all((trimap == value).any() for value in (FOREGROUND, BACKGROUND)):
        trimap = wide
    report.band, report.islands, report.holes = half / scale, notes.islands, notes.holes
    report.notes += notes.notes
    return resized(trimap, probability.shape, "nearest")


def agreed(trimaps: list[np.ndarray]) -> np.ndarray:
    """What all trimaps know alike; the rest is unknown."""
    first, *others = trimaps
    same = np.all([other == first for other in others], axis=0)
    result: np.ndarray = np.where(same, first, UNKNOWN).astype(np.uint8)
    return result


def by_sure_map(trimap: np.ndarray, probability: np.ndarray, far: float, sigma: float) -> np.ndarray:
    """The trimap with the map's own side wherever that is sure, `far` pixels and more from its outline.

    `sigma` is the standard deviation of the window in which it has to be.
    """
    inside = probability >= 0.5
    away = np.maximum(*distances(inside, far + 1)) > far
    doubt = np.minimum(probability, 1 - probability)
    sure = (filters.gaussian(doubt, sigma) if sigma > 0.1 else doubt) < DOUBT
    result: np.ndarray = np.where(away & sure, np.where(inside, FOREGROUND, BACKGROUND), trimap).astype(np.uint8)
    return result


def parted(trimap: np.ndarray, margin: int) -> np.ndarray:
    """The trimap with what is known within `margin` pixels of the other side made unknown."""
    result = trimap.copy()
    for own, other in ((FOREGROUND, BACKGROUND), (BACKGROUND, FOREGROUND)):
        near = squared_distance(trimap == other, margin + 1) <= margin**2
        result[near & (trimap == own)] = UNKNOWN
    return result
