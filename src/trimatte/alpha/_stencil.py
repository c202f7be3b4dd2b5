"""What closed-form, learning-based and random-walk matting share: a 5x5 stencil on the unknown band."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from trimatte._measure import timed
from trimatte.linalg.band import Band, number_band
from trimatte.linalg.report import SolveReport
from trimatte.linalg.solve import solve_stencil
from trimatte.linalg.stencil import StencilSystem

UNKNOWN = 128


def alpha_of_stencil(
    image: np.ndarray,
    trimap: np.ndarray,
    report: SolveReport,
    assemble: Callable[[np.ndarray, np.ndarray, Band], StencilSystem],
    *,
    rtol: float,
    max_memory: int | None,
) -> np.ndarray:
    """Alpha (H, W) float32 of the system that `assemble(image, trimap, band)` makes of a picture."""
    height, width = trimap.shape
    if min(height, width) < 3:
        image, trimap = _at_least_three(image), _at_least_three(trimap)
    top, left, part = _about_band(trimap)
    small, known = np.ascontiguousarray(image[part]), np.ascontiguousarray(trimap[part])
    with timed(report.seconds, "assemble"):
        band = number_band(known == UNKNOWN)
        system = assemble(small, known, band)
    solution = solve_stencil(small, system, report, rtol=rtol, max_memory=max_memory)
    alpha = np.zeros(trimap.shape, np.float32)
    rows, columns = np.divmod(band.position, band.shape[1])
    alpha[rows + top, columns + left] = solution
    return alpha[:height, :width]


def _at_least_three(array: np.ndarray) -> np.ndarray:
    """The last row and column repeated until a 3x3 window fits."""
    more = [(0, max(0, 3 - side)) for side in array.shape[:2]] + [(0, 0)] * (array.ndim - 2)
    return np.pad(array, more, mode="edge")


def _about_band(trimap: np.ndarray) -> tuple[int, int, tuple[slice, slice]]:
    """The smallest part of the picture that holds the band and what it touches: its top, left and slices."""
    unknown = trimap == UNKNOWN
    rows, columns = np.flatnonzero(unknown.any(1)), np.flatnonzero(unknown.any(0))
    spans = []
    for places, side in ((rows, trimap.shape[0]), (columns, trimap.shape[1])):
        low, high = max(0, int(places[0]) - 2), min(side, int(places[-1]) + 3)
        low = max(0, min(low, side - 3))
        spans.append(slice(low, max(high, min(side, low + 3))))
    return spans[0].start, spans[1].start, (spans[0], spans[1])
