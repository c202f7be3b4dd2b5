"""What closed-form, learning-based and random-walk matting share: a 5x5 stencil on the unknown band."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from trimatte.errors import ArgumentError
from trimatte.images import as_alpha
from trimatte.images.arrays import Box, bounding_box, grown, read_only
from trimatte.linalg.band import Band, number_band
from trimatte.linalg.report import SolveReport
from trimatte.linalg.solve import solve_stencil
from trimatte.linalg.stencil import StencilSystem
from trimatte.runtime.measure import timed
from trimatte.trimap import FOREGROUND, UNKNOWN

Assemble = Callable[[np.ndarray, np.ndarray, Band], StencilSystem]
"""Makes a system of image (H, W, 3), alpha of the known pixels (H, W) float32, and the band of unknown ones."""


def alpha_of_stencil(
    image: np.ndarray,
    trimap: np.ndarray,
    report: SolveReport,
    assemble: Assemble,
    *,
    known: np.ndarray | None,
    **settings: Any,
) -> np.ndarray:
    """Alpha (H, W) float32 of the system that `assemble` makes of a picture and its trimap; settings of `fill_in`.

    `known` (H, W) float32 takes the place of the trimap's 0 and 1 for known pixels.
    """
    if known is None:
        known = (trimap == FOREGROUND).astype(np.float32)
    else:
        known = as_alpha(known, name="known", shape=trimap.shape).copy()
    if settings.get("guess") is not None:
        settings["guess"] = as_alpha(settings["guess"], name="guess", shape=trimap.shape)
    return fill_in(image, trimap == UNKNOWN, known, report, assemble, **settings)


def fill_in(
    image: np.ndarray,
    unknown: np.ndarray,
    alpha: np.ndarray,
    report: SolveReport,
    assemble: Assemble,
    *,
    rtol: float | None,
    max_memory: int | None = None,
    prior: tuple[np.ndarray, np.ndarray] | None = None,
    guess: np.ndarray | None = None,
    solve: Callable[..., np.ndarray] = solve_stencil,
) -> np.ndarray:
    """Solve for alpha where `unknown` (H, W) is set, given its values elsewhere in `alpha` (H, W) float32.

    `prior` is a pair of wanted alpha and weights (H, W) that draw towards it, `guess` (H, W) where the iteration
    starts, `solve` has `solve_stencil`'s arguments. Returns the whole alpha, `alpha` itself filled in where that is
    large enough for a window.
    """
    height, width = unknown.shape
    if min(height, width) < 3:
        image, unknown, alpha = (_at_least_three(array) for array in (image, unknown, alpha))
        prior = (_at_least_three(prior[0]), _at_least_three(prior[1])) if prior else None
        guess = None
    part = _about_band(unknown)
    small = read_only(image[part])  # no copy if it is the whole
    with timed(report.seconds, "assemble"):
        band = number_band(np.ascontiguousarray(unknown[part]))
        del unknown
        system = assemble(small, np.ascontiguousarray(alpha[part]), band)
        band = band._replace(index=np.empty((0, 0), np.int32))  # of the whole picture, and only assembly needs it
        system = system._replace(band=band)
        if prior:
            wanted, weights = (array[part][_places(band)].astype(np.float64) for array in prior)
            system = system._replace(diagonal=system.diagonal + weights, b=system.b + weights * wanted)
    first = None if guess is None else guess[part][_places(band)].astype(np.float64)
    solution = solve(small, system, report, rtol=rtol, max_memory=max_memory, x=first)
    alpha[part][_places(band)] = solution
    return alpha[:height, :width]


def _places(band: Band) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns of a band's pixels."""
    rows, columns = np.divmod(band.position, band.shape[1])
    return rows, columns


def as_prior(prior: Any, confidence: Any, shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """A prior and its per-pixel confidence as arrays of `shape`; a single confidence holds everywhere."""
    try:
        weights = np.asarray(confidence, np.float32)
    except (TypeError, ValueError) as error:
        raise ArgumentError(f"confidence: got {confidence!r}, wanted a number or an array {shape}") from error
    if weights.shape not in ((), shape) or not np.isfinite(weights).all() or (weights < 0).any():
        raise ArgumentError(f"confidence: wanted a number or an array {shape} of at least 0")
    return as_alpha(prior, name="prior", shape=shape), np.broadcast_to(weights, shape)


def _at_least_three(array: np.ndarray) -> np.ndarray:
    """The last row and column repeated until a 3x3 window fits."""
    more = [(0, max(0, 3 - side)) for side in array.shape[:2]] + [(0, 0)] * (array.ndim - 2)
    return np.pad(array, more, mode="edge")


def _about_band(unknown: np.ndarray) -> Box:
    """The part of the picture that holds the band and what it touches; the whole if little would be saved."""
    box = bounding_box(unknown)
    assert box is not None
    spans = []
    for part, side in zip(grown(box, (2, 2), unknown.shape), unknown.shape, strict=True):
        low = max(0, min(part.start, side - 3))
        spans.append(slice(low, max(part.stop, low + 3)))
    area = (spans[0].stop - spans[0].start) * (spans[1].stop - spans[1].start)
    whole = slice(0, unknown.shape[0]), slice(0, unknown.shape[1])
    return whole if 2 * area > unknown.size else (spans[0], spans[1])
