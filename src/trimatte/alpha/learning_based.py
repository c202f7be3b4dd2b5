"""Learning-based matting, local linear model (Zheng and Kambhamettu, ICCV 2009)."""

from __future__ import annotations

from typing import Annotated

import numpy as np

from trimatte.alpha._stencil import alpha_of_stencil
from trimatte.linalg.band import Band
from trimatte.linalg.report import SolveReport
from trimatte.linalg.stencil import StencilSystem
from trimatte.runtime.options import EPSILON, RESIDUAL, Bounds


def learning_based(
    image: np.ndarray,
    trimap: np.ndarray,
    report: SolveReport,
    *,
    epsilon: Annotated[float, EPSILON] = 1e-7,
    rtol: Annotated[float, RESIDUAL] = 3e-6,
    max_memory: Annotated[int | None, Bounds(least=0)] = None,
    guess: np.ndarray | None = None,
    known: np.ndarray | None = None,
) -> np.ndarray:
    """Alpha that each 3x3 window predicts from its colours by ridge regression, learnt from the window itself.

    Parameters
    ----------
    image, trimap, report : ndarray, ndarray, SolveReport
        As of `closed_form`.
    epsilon : float, default 1e-07
        Ridge of the regression.
    rtol : float, default 3e-06
        Demanded relative residual of the linear system.
    max_memory, guess, known : optional
        As of `closed_form`.

    Returns
    -------
    (H, W) float32 array
        Only the unknown pixels count.
    """
    from trimatte.linalg.assembly import LEARNING_BASED, window_system

    def assemble(image: np.ndarray, fixed: np.ndarray, band: Band) -> StencilSystem:
        return window_system(image, fixed, band, LEARNING_BASED, epsilon)

    return alpha_of_stencil(image, trimap, report, assemble, rtol=rtol, max_memory=max_memory, guess=guess, known=known)
