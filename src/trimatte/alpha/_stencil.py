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
Assemble = Callable[[np.ndarray, np.ndarray, Band], StencilSystem]
"""Makes a system of image (H, W, 3), alpha of the known pixels (H, W) float32, and the band of unknown ones."""


def alpha_of_stencil(
    image: np.ndarray,
    trimap: np.ndarray,
    report: SolveReport,
    assemble: Assemble,
    *,
    rtol: float,
    max_memory: int | None,
) -> np.ndarray:
    """Alpha (H, W) float32 of the system that `assemble` makes of a picture and its trimap."""
    return fill_in(
        image,
        trimap == UNKNOWN,
        (trimap == 255).astype(np.float32),
        report,
        assemble,
        rtol=rtol,
        max_memory=max_memory,
    )


def fill_in(
    image: np.ndarray,
    unknown: np.ndarray,
    fixed: np.ndarray,
    report: SolveReport,
    assemble: Assemble,
    *,
    rtol: float,
    max_memory: int | None = None,
) -> np.ndarray:
    """Solve for alpha where `unknown` (H, W) is set, given its values (H, W) float32 elsewhere; the whole of it."""
    height, width = unknown.shape
    if min(height, width) < 3:
        image, unknown, fixed = (_at_least_three(array) for array in (image, unknown, fixed))
    part = _about_band(unknown)
    small = np.ascontiguousarray(image[part])  # no copy if it is the whole
    alpha = fixed.copy()
    with timed(report.seconds, "assemble"):
        band = number_band(np.ascontiguousarray(unknown[part]))
        system = assemble(small, np.ascontiguousarray(fixed[part]), band)
    solution = solve_stencil(small, system, report, rtol=rtol, max_memory=max_memory)
    rows, columns = np.divmod(band.position, band.shape[1])
    alpha[part][rows, columns] = solution
    return alpha[:height, :width]


def _at_least_three(array: np.ndarray) -> np.ndarray:
    """The last row and column repeated until a 3x3 window fits."""
    more = [(0, max(0, 3 - side)) for side in array.shape[:2]] + [(0, 0)] * (array.ndim - 2)
    return np.pad(array, more, mode="edge")


def _about_band(unknown: np.ndarray) -> tuple[slice, slice]:
    """The part of the picture that holds the band and what it touches; the whole if little would be saved."""
    rows, columns = np.flatnonzero(unknown.any(1)), np.flatnonzero(unknown.any(0))
    spans = []
    for places, side in ((rows, unknown.shape[0]), (columns, unknown.shape[1])):
        low, high = max(0, int(places[0]) - 2), min(side, int(places[-1]) + 3)
        low = max(0, min(low, side - 3))
        spans.append(slice(low, max(high, low + 3)))
    area = (spans[0].stop - spans[0].start) * (spans[1].stop - spans[1].start)
    whole = slice(0, unknown.shape[0]), slice(0, unknown.shape[1])
    return whole if 2 * area > unknown.size else (spans[0], spans[1])
