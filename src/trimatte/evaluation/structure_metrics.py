"""Figures of segmenters that look at structure, edges and alignment, as papers on salient objects print them.

All take a foreground probability and a mask, both (H, W) in [0, 1], over the whole picture; a mask that is an alpha
matte counts as foreground where it covers at least half a pixel. 1 is perfect, 0 the worst.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from trimatte.errors import ArgumentError
from trimatte.images import ImageLike, as_alpha
from trimatte.runtime.options import check_number

__all__ = ["boundary_iou", "e_measure", "s_measure", "weighted_f_measure"]

_EPS = float(np.spacing(1))
Plane = NDArray[np.float64]
Mask = NDArray[np.bool_]


def s_measure(probability: ImageLike, mask: ImageLike) -> float:
    """Likeness in structure, by object and by region in equal parts.

    Fan et al., "Structure-measure: a new way to evaluate foreground maps", ICCV 2017.
    """
    p, truth = _pair(probability, mask)
    share = float(truth.mean())
    if share in (0, 1):
        return float(p.mean() if share else 1 - p.mean())
    by_object = share * _evenness(p[truth]) + (1 - share) * _evenness(1 - p[~truth])
    return max(0.0, 0.5 * by_object + 0.5 * _by_region(p, truth))


def _evenness(values: Plane) -> float:
    """How high and how even values are that should all be 1."""
    mean = float(values.mean())
    spread = float(values.std(ddof=1)) if values.size > 1 else 0.0
    return 2 * mean / (mean**2 + 1 + spread + _EPS)


def _by_region(p: Plane, truth: Mask) -> float:
    """Likeness of the four parts about the mask's centre, weighed by their areas."""
    row, column = (round(float(places.mean())) + 1 for places in np.nonzero(truth))
    total = 0.0
    for rows in (slice(None, row), slice(row, None)):
        for columns in (slice(None, column), slice(column, None)):
            part = p[rows, columns], truth[rows, columns].astype(np.float64)
            if part[0].size:
                total += part[0].size / p.size * _likeness(*part)
    return total


def _likeness(a: Plane, b: Plane) -> float:
    """Structural similarity (Wang et al., 2004) of two whole planes, without its constants."""
    x, y, n = float(a.mean()), float(b.mean()), max(a.size - 1, 1)
    variances = float(np.square(a - x).sum() + np.square(b - y).sum()) / n
    above = 4 * x * y * float(((a - x) * (b - y)).sum()) / n
    below = (x * x + y * y) * variances
    if above == 0:
        return 1.0 if below == 0 else 0.0
    return above / (below + _EPS)


def e_measure(probability: ImageLike, mask: ImageLike) -> float:
    """Alignment of pixels and of the whole, its mean over the thresholds 0, 1, ... 255 of 255.

    Fan et al., "Enhanced-alignment measure for binary foreground map evaluation", IJCAI 2018.
    """
    p, truth = _pair(probability, mask)
    codes = np.floor(p * 255 + 1e-6).astype(np.int64)  # an 8-bit value over 255 is that value again
    hits = _at_least(codes[truth])
    found = _at_least(codes.ravel())
    area, size = int(truth.sum()), p.size
    if area in (0, size):
        right = found if area else size - found
        return float((right / (size - 1 + _EPS)).mean())
    # Each pixel is one of four kinds, by prediction and mask, and all of a kind have the same alignment.
    total = np.zeros(256)
    for predicted, actual, count in (
        (1, 1, hits),
        (1, 0, found - hits),
        (0, 1, area - hits),
        (0, 0, size - area - (found - hits)),
    ):
        off, off_truth = predicted - found / size, actual - area / size
        alignment = 2 * off * off_truth / (off**2 + off_truth**2 + _EPS)
        total += count * (alignment + 1) ** 2 / 4
    return float((total / (size - 1 + _EPS)).mean())


def _at_least(codes: NDArray[np.int64]) -> Plane:
    """How many codes reach each of the levels 0 to 255."""
    counts = np.bincount(codes, minlength=256)[::-1].cumsum()[::-1]
    return counts.astype(np.float64)


def weighted_f_measure(probability: ImageLike, mask: ImageLike) -> float:
    """F-measure of errors weighed by their place: those next to what is right count less, those far away more.

    Margolin et al., "How to evaluate foreground maps?", CVPR 2014, with beta 1. 0 for a mask without foreground.
    """
    from scipy.ndimage import convolve1d, distance_transform_edt

    p, truth = _pair(probability, mask)
    if not truth.any():
        return 0.0
    away, nearest = distance_transform_edt(~truth, return_indices=True)
    error = np.abs(p - truth)
    spread = np.where(truth, error, error[nearest[0], nearest[1]])
    taps = np.exp(-np.square(np.arange(-3, 4)) / (2 * 5**2))
    for axis in (0, 1):
        spread = convolve1d(spread, taps / taps.sum(), axis=axis, mode="constant")
    least = np.where(truth & (spread < error), spread, error)
    weighted = least * np.where(truth, 1, 2 - np.exp(np.log(0.5) / 5 * away))
    hits = truth.sum() - weighted[truth].sum()
    recall = 1 - weighted[truth].mean()
    precision = hits / (hits + weighted[~truth].sum() + _EPS)
    return float(2 * recall * precision / (recall + precision + _EPS))


def boundary_iou(probability: ImageLike, mask: ImageLike, *, threshold: float = 0.5, width: float = 0.02) -> float:
    """Intersection over union of two boundaries: pixels of a region no farther from what is outside than `width`.

    Cheng et al., "Boundary IoU", CVPR 2021. Distances are those of squares; `width` is a share of the picture's
    diagonal, at least a pixel; beyond the picture is outside. The region is {probability > threshold}. 0 if both
    boundaries are empty.
    """
    check_number("threshold", threshold, least=0, most=1)
    check_number("width", width, above=0, most=1)
    p, truth = _pair(probability, mask)
    reach = max(1, round(width * float(np.hypot(*p.shape))))
    found, actual = _boundary(p > threshold, reach), _boundary(truth, reach)
    return float((found & actual).sum() / max(int((found | actual).sum()), 1))


def _boundary(region: Mask, reach: int) -> Mask:
    from scipy.ndimage import minimum_filter

    inside = minimum_filter(region.view(np.uint8), 2 * reach + 1, mode="constant", cval=0)
    edge: Mask = region & (inside == 0)
    return edge


def _pair(probability: ImageLike, mask: ImageLike) -> tuple[Plane, Mask]:
    truth = as_alpha(mask, name="mask")
    if truth.size < 2:
        raise ArgumentError(f"mask: got shape {truth.shape}, wanted at least two pixels")
    p = as_alpha(probability, name="probability", shape=truth.shape)
    return p.astype(np.float64), truth >= 0.5
