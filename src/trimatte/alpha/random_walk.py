"""Random-walk matting (Grady, Schiwietz, Aharon, Westermann, VIIP 2005)."""

from __future__ import annotations

from typing import Annotated

import numpy as np

from trimatte.alpha._stencil import alpha_of_stencil
from trimatte.images.arrays import BACKGROUND, FOREGROUND, UNKNOWN
from trimatte.linalg.band import Band
from trimatte.linalg.report import SolveReport
from trimatte.linalg.stencil import StencilSystem
from trimatte.planes.filters import dilated
from trimatte.planes.regions import regions
from trimatte.runtime.options import RESIDUAL, Bounds


def random_walk(
    image: np.ndarray,
    trimap: np.ndarray,
    report: SolveReport,
    *,
    sigma: Annotated[float, Bounds(least=1e-6, most=1e6)] = 1 / 30,
    rtol: Annotated[float, RESIDUAL] = 1e-9,
    max_memory: Annotated[int | None, Bounds(least=0)] = None,
    guess: np.ndarray | None = None,
    known: np.ndarray | None = None,
) -> np.ndarray:
    """Probability that a walker from each pixel reaches foreground first, stepping readily between like colours.

    Parameters
    ----------
    image, trimap, report : ndarray, ndarray, SolveReport
        As of `closed_form`.
    sigma : float, default 1 / 30
        Colour distance at which a step's weight has fallen to 1/e.
    rtol : float, default 1e-09
        Demanded relative residual of the linear system, which is small, as parts of the unknown pixels may hang on
        their surroundings by 1e-8 of their weight.
    max_memory, guess, known : optional
        As of `closed_form`.

    Returns
    -------
    (H, W) float32 array
        Only the unknown pixels count.
    """
    from trimatte.linalg.assembly import walk_system
    from trimatte.linalg.solve import solve_walk

    def assemble(image: np.ndarray, fixed: np.ndarray, band: Band) -> StencilSystem:
        return walk_system(image, fixed, band, sigma)

    settings = {"rtol": rtol, "max_memory": max_memory, "guess": guess, "solve": solve_walk}
    alpha = alpha_of_stencil(image, trimap, report, assemble, known=known, **settings)
    alpha[_amid_foreground(trimap)] = 1
    return alpha


def _amid_foreground(trimap: np.ndarray) -> np.ndarray:
    """Unknown pixels from which no walk can reach background, as a mask (H, W).

    The reference has 1e-8 of the steps end in background, so that walkers who hardly step, since no colour about them
    is like theirs, would end there.
    """
    unknown = trimap == UNKNOWN
    around = regions(dilated(unknown))
    amid = np.zeros(trimap.shape, np.bool_)
    around.paint(around.touched(trimap == FOREGROUND) & ~around.touched(trimap == BACKGROUND), True, amid)
    amid &= unknown
    return amid
