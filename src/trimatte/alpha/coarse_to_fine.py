"""Alpha of a large band in two passes: all of it on a smaller picture, then what that leaves mixed at full size.

A band that a segmenter's map has drawn is wide, and most of it is plain inside or plain outside, which a small picture
shows as well. What is left is a narrow band, on which a network takes a fraction of the time and misses no detail.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from trimatte.alpha.known import keep_known, narrow_trimap
from trimatte.alpha.reduced import enlarged, reduced_image, reduction
from trimatte.errors import SolverError
from trimatte.images.arrays import UNKNOWN
from trimatte.linalg.report import SolveReport
from trimatte.runtime.measure import give_back_memory, timed

MOST = 500_000
"""A band of more unknown pixels gets two passes."""
COARSE, FINE = 350_000, 500_000
"""Either sees a picture small enough for about so many of them; what the first leaves is often fewer at full size."""
SURE, MARGIN = 0.95, 8
"""See `trimatte.alpha.known.narrow_trimap`."""


Estimate = Callable[..., np.ndarray]
"""Alpha (h, w) of image (h, w, 3), trimap (h, w), a report to fill in, `narrow`, which says that the band of unknown
pixels is, and by their names the planes (h, w) that it looks at beside."""


def coarse_to_fine(
    estimate: Estimate, image: np.ndarray, trimap: np.ndarray, report: SolveReport, **planes: np.ndarray
) -> np.ndarray:
    """Alpha (H, W) by `estimate`, in two passes where more than `MOST` pixels of the trimap (H, W) are unknown.

    `planes` (H, W) go to it by their names, as large as the picture that it sees. Where the second pass raises
    `SolverError`, alpha is that of the first.
    """
    unknown = report.unknown
    if unknown <= MOST:
        return estimate(image, trimap, report, narrow=False, **planes)
    coarse = _of_at_most(COARSE, estimate, image, trimap, report, planes)
    give_back_memory()
    narrow = narrow_trimap(trimap, coarse, sure=SURE, margin=MARGIN)
    fine = coarse
    if (narrow == UNKNOWN).any():
        try:
            fine = _of_at_most(FINE, estimate, image, narrow, report, planes)
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
    planes: Mapping[str, np.ndarray],
) -> np.ndarray:
    """Alpha (H, W) in [0, 1] by a picture reduced to about so many unknown pixels."""
    factor, small_trimap = reduction(trimap, pixels)
    small = image
    if factor > 1:
        small, planes = reduced_image(image, factor), {name: reduced_image(p, factor) for name, p in planes.items()}
    report.unknown = int(np.count_nonzero(small_trimap == UNKNOWN))
    alpha: np.ndarray = np.clip(estimate(small, small_trimap, report, narrow=True, **planes), 0, 1)
    if factor == 1:
        return alpha
    with timed(report.seconds, "enlarge"):
        return enlarged(alpha, small, image, trimap, factor)
