"""Alpha of a large band in two passes: all of it on a smaller picture, then what that leaves mixed at full size.

A band that a segmenter's map has drawn is wide, and most of it is plain inside or plain outside, which a small picture
shows as well. What is left is a narrow band, on which a network takes a fraction of the time and misses no detail.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

from trimatte.alpha.known import keep_known, narrow_trimap
from trimatte.alpha.methods import SEEN_SMALLER
from trimatte.alpha.reduced import enlarged, reduced_image, reduction
from trimatte.errors import SolverError
from trimatte.images.arrays import UNKNOWN
from trimatte.linalg.report import SolveReport
from trimatte.runtime.measure import give_back_memory, timed

MOST = SEEN_SMALLER
"""A band of more unknown pixels gets two passes."""
COARSE, FINE = 350_000, 500_000
"""Either sees a picture small enough for about so many of them; what the first leaves is often fewer at full size."""
SURE, MARGIN = 0.95, 8
"""See `trimatte.alpha.known.narrow_trimap`."""


class Estimate(Protocol):
    """Alpha (h, w) of image (h, w, 3), trimap (h, w) and, if there is one, the map of foreground (h, w) that the trimap
    was derived from; `narrow` says that the band of unknown pixels is."""

    def __call__(
        self,
        image: np.ndarray,
        trimap: np.ndarray,
        report: SolveReport,
        *,
        narrow: bool,
        probability: np.ndarray | None,
    ) -> np.ndarray: ...


def coarse_to_fine(
    estimate: Estimate,
    image: np.ndarray,
    trimap: np.ndarray,
    report: SolveReport,
    *,
    probability: np.ndarray | None = None,
) -> np.ndarray:
    """Alpha (H, W) by `estimate`, in two passes where more than `MOST` pixels of the trimap (H, W) are unknown.

    Where the second raises `SolverError`, alpha is that of the first.
    """
    unknown = report.unknown
    if unknown <= MOST:
        return estimate(image, trimap, report, narrow=False, probability=probability)
    coarse = _of_at_most(COARSE, estimate, image, trimap, report, probability)
    give_back_memory()
    narrow = narrow_trimap(trimap, coarse, sure=SURE, margin=MARGIN)
    fine = coarse
    if (narrow == UNKNOWN).any():
        try:
            fine = _of_at_most(FINE, estimate, image, narrow, report, probability)
        except SolverError as error:
            report.fallbacks.append(f"the second pass failed, the first one's alpha is kept: {error}")
    report.unknown = unknown
    report.solver += ", in two passes"
    return keep_known(np.where(narrow == UNKNOWN, fine, coarse), trimap)


def _of_at_most(
    pixels: int,
    estimate: Estimate,
    image: np.ndarray,
    trimap: np.ndarray,
    report: SolveReport,
    probability: np.ndarray | None,
) -> np.ndarray:
    """Alpha (H, W) in [0, 1] by a picture reduced to about so many unknown pixels."""
    factor, small_trimap = reduction(trimap, pixels)
    small = image if factor == 1 else reduced_image(image, factor)
    told = probability if factor == 1 or probability is None else reduced_image(probability, factor)
    report.unknown = int(np.count_nonzero(small_trimap == UNKNOWN))
    alpha: np.ndarray = np.clip(estimate(small, small_trimap, report, narrow=True, probability=told), 0, 1)
    if factor == 1:
        return alpha
    with timed(report.seconds, "enlarge"):
        return enlarged(alpha, small, image, trimap, factor)
