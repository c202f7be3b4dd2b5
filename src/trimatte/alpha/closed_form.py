"""Closed-form matting (Levin, Lischinski, Weiss, CVPR 2006 and PAMI 2008)."""

from __future__ import annotations

from typing import Annotated

import numpy as np

from trimatte.alpha._stencil import alpha_of_stencil, as_prior
from trimatte.errors import ArgumentError
from trimatte.linalg.band import Band
from trimatte.linalg.report import SolveReport
from trimatte.linalg.stencil import StencilSystem
from trimatte.runtime.measure import timed
from trimatte.runtime.options import EPSILON, RESIDUAL, Bounds
from trimatte.trimap import UNKNOWN

VAST, VAST_RTOL, MOST_RTOL = 1_000_000, 3e-5, 5e-5
"""From `VAST` unknown pixels on the demanded residual is `VAST_RTOL`, and it grows with the root of their number up to
`MOST_RTOL`. With 1.8, 2.7 and 3.1 million of them, 99.9 % were within 0.0015, 0.0017 and 0.0011 of the exact solution.
Other methods need the usual residual: learning-based matting is far from its solution even then."""
LEAST_DOUBT = 0.02
"""Of a doubted prior: no network is surer of its alpha than that."""


def closed_form(
    image: np.ndarray,
    trimap: np.ndarray,
    report: SolveReport,
    *,
    epsilon: Annotated[float, EPSILON] = 1e-7,
    radius: Annotated[int, Bounds(least=1, whole=True)] = 1,
    prior: np.ndarray | None = None,
    confidence: Annotated[float | np.ndarray, Bounds(least=0, most=1e12)] = 0.01,
    rtol: Annotated[float | None, RESIDUAL] = None,
    max_memory: Annotated[int | None, Bounds(least=0)] = None,
    guess: np.ndarray | None = None,
    known: np.ndarray | None = None,
) -> np.ndarray:
    """Alpha that within each small window is as nearly as can be an affine function of colour.

    Scribbles are a trimap whose unknown part is large. A map of foreground probability can guide the solution as
    `prior` (section 3 of the paper), even without any known pixel.

    Parameters
    ----------
    image : (H, W, 3) float32 array in [0, 1]
        The photo, sRGB.
    trimap : (H, W) uint8 array
        Values 0, 128 and 255.
    report : SolveReport
        Filled in.
    epsilon : float, default 1e-07
        Regularisation of the colour model; larger is smoother.
    radius : int, default 1
        Of the windows; from 2 on the system is solved without being assembled, as by "large-kernel".
    prior : (H, W) array, optional
        Alpha to be drawn towards.
    confidence : float or (H, W) array, default 0.01
        The weight of that pull against the smoothness, at least 0.
    rtol : float, optional
        Demanded relative residual of the linear system; by default 3e-6, from 300,000 unknown pixels on 1e-5, from a
        million on 3e-5 to 5e-5 unless there is a prior.
    max_memory : int, optional
        Bytes that the solve may take.
    guess : (H, W) array, optional
        Alpha to start the iteration from.
    known : (H, W) float32 array, optional
        Alpha of the known pixels where it is not what the trimap says.

    Returns
    -------
    (H, W) float32 array
        Only the unknown pixels count.
    """
    if radius != 1:
        only = {"prior": prior, "guess": guess, "known": known, "max_memory": max_memory}
        for name, value in only.items():
            if value is not None:
                raise ArgumentError(f"{name}: only taken with radius 1")
        from trimatte.alpha.large_kernel import large_kernel

        return large_kernel(image, trimap, report, radius=radius, epsilon=epsilon, rtol=rtol or 1e-5)
    from trimatte.linalg.assembly import CLOSED_FORM, window_system

    pull = None if prior is None else as_prior(prior, confidence, trimap.shape)
    if rtol is None and prior is None and (unknown := np.count_nonzero(trimap == UNKNOWN)) >= VAST:
        rtol = min(VAST_RTOL * (unknown / VAST) ** 0.5, MOST_RTOL)

    def assemble(image: np.ndarray, fixed: np.ndarray, band: Band) -> StencilSystem:
        return window_system(image, fixed, band, CLOSED_FORM, epsilon)

    return alpha_of_stencil(
        image, trimap, report, assemble, rtol=rtol, max_memory=max_memory, prior=pull, guess=guess, known=known
    )


def near_prior(
    image: np.ndarray, trimap: np.ndarray, report: SolveReport, prior: np.ndarray, doubt: np.ndarray, *, strength: float
) -> np.ndarray:
    """Closed-form alpha (H, W) near a network's (H, W), the nearer the less the network doubts it.

    `doubt` (H, W) is the absolute error that it expects. The prior's weight is strength / (doubt + `LEAST_DOUBT`)^2, as
    of a measurement with so much error.
    """
    confidence = strength / (doubt + LEAST_DOUBT) ** 2
    with timed(report.seconds, "solve"):
        return closed_form(image, trimap, report, prior=prior, confidence=confidence, guess=prior, rtol=1e-4)
