"""Closed-form matting (Levin, Lischinski, Weiss, CVPR 2006 and PAMI 2008)."""

from __future__ import annotations

import numpy as np

from trimatte.alpha._stencil import alpha_of_stencil
from trimatte.linalg.band import Band
from trimatte.linalg.report import SolveReport
from trimatte.linalg.stencil import StencilSystem


def closed_form(
    image: np.ndarray,
    trimap: np.ndarray,
    report: SolveReport,
    *,
    epsilon: float = 1e-7,
    rtol: float = 1e-6,
    max_memory: int | None = None,
) -> np.ndarray:
    """Alpha that within each 3x3 window is as nearly as can be an affine function of colour.

    Parameters
    ----------
    image : (H, W, 3) float32 in [0, 1].
    trimap : (H, W) uint8 of 0, 128 and 255.
    report : filled in.
    epsilon : regularisation of the colour model; larger is smoother.
    rtol : demanded relative residual of the linear system.
    max_memory : bytes that the solve may take.

    Returns
    -------
    (H, W) float32; only the unknown pixels count.
    """
    from trimatte.linalg.assembly import CLOSED_FORM, window_system

    def assemble(image: np.ndarray, fixed: np.ndarray, band: Band) -> StencilSystem:
        return window_system(image, fixed, band, CLOSED_FORM, epsilon)

    return alpha_of_stencil(image, trimap, report, assemble, rtol=rtol, max_memory=max_memory)
