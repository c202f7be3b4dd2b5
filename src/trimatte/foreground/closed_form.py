"""Closed-form foreground estimation (Levin, Lischinski, Weiss, PAMI 2008, section 5) around the fractional alphas.

Foreground F and background B minimise, each pair of the four neighbours being taken from both ends,

    sum_i (alpha_i F_i + (1 - alpha_i) B_i - I_i)^2 + 2 sum_ij w_ij ((F_i - F_j)^2 + (B_i - B_j)^2),
    w_ij = regularization + |alpha_i - alpha_j|,

over the pixels at most MARGIN away from one whose alpha is neither 0 nor 1. Beyond, F is the picture where alpha is 1,
B is where alpha is 0, and the layer that is not seen is left out.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import scipy.sparse as sparse
from scipy.ndimage import maximum_filter

from trimatte.foreground.multilevel import both_layers
from trimatte.linalg.cg import conjugate_gradients
from trimatte.linalg.report import SolveReport
from trimatte.runtime.options import check_number

MARGIN = 8
REGULARIZATION = 1e-5
ITERATIONS = 5000


def closed_form(image: np.ndarray, alpha: np.ndarray, report: SolveReport, *, rtol: float = 1e-6) -> np.ndarray:
    """Foreground colours (H, W, 3) float32 in [0, 1] of image (H, W, 3) and alpha (H, W).

    Where alpha is 1 it is the image itself. The fast multi-level answer is the first guess, and stays where alpha is 0
    away from all others. `rtol` is the relative residual of the linear system, above 0; the report
    says if it was not reached.
    """
    check_number("rtol", rtol, above=0)
    report.solver = "conjugate gradients, block Jacobi"
    foreground, background = both_layers(image, alpha)
    band = maximum_filter(((alpha > 0) & (alpha < 1)).view(np.uint8), 2 * MARGIN + 1) > 0
    if band.any():
        matrix, data, own = _system(image, alpha, band)
        precondition = _block_jacobi(matrix)
        for c in range(3):
            layers = np.concatenate([foreground[band, c], background[band, c]]).astype(np.float64)
            layers, iterations, residual = conjugate_gradients(
                lambda p, out: np.copyto(out, matrix @ p),
                data @ image[band, c].astype(np.float64) + own[c],
                precondition,
                rtol=rtol,
                max_iterations=ITERATIONS,
                x=layers,
            )
            report.iterations = max(report.iterations, iterations)
            report.residual = max(report.residual, residual)
            foreground[band, c] = np.clip(layers[: len(layers) // 2], 0, 1)
        report.converged = bool(report.residual <= rtol)
    np.copyto(foreground, image, where=(alpha == 1)[..., None])
    return foreground


def _system(
    image: np.ndarray, alpha: np.ndarray, band: np.ndarray
) -> tuple[sparse.csr_array, sparse.csr_array, np.ndarray]:
    """The normal equations of both layers, (2n, 2n): the matrix, what takes a channel to the right-hand side (2n, n),
    and what the fixed pixels around add to that (3, 2n)."""
    n = np.count_nonzero(band)
    number = np.full(band.shape, -1, np.int32)
    number[band] = np.arange(n)
    inside = alpha[band].astype(np.float64)
    diagonal, fixed = np.zeros((2, n)), np.zeros((3, 2, n))
    rows, columns, weights = [], [], []
    for here, there in _neighbours():
        i, j = number[here].ravel(), number[there].ravel()
        weight = 2 * (REGULARIZATION + np.abs(alpha[here].astype(np.float64) - alpha[there]).ravel())
        both = (i >= 0) & (j >= 0)
        rows.append(i[both])
        columns.append(j[both])
        weights.append(weight[both])
        diagonal += np.bincount(i[both], weight[both], n)
        colours, beyond = image[there].reshape(-1, 3), alpha[there].ravel()
        for layer, opaque in enumerate((1, 0)):
            edge = (i >= 0) & (j < 0) & (beyond == opaque)
            diagonal[layer] += np.bincount(i[edge], weight[edge], n)
            for c in range(3):
                fixed[c, layer] += np.bincount(i[edge], weight[edge] * colours[edge, c], n)
    edges = sparse.coo_array((np.concatenate(weights), (np.concatenate(rows), np.concatenate(columns))), (n, n))
    diagonal += np.stack([inside**2, (1 - inside) ** 2])
    mixed = sparse.diags_array(inside * (1 - inside))
    layers = [sparse.diags_array(d) - edges for d in diagonal]
    matrix = sparse.csr_array(sparse.block_array([[layers[0], mixed], [mixed, layers[1]]]))
    data = sparse.csr_array(sparse.vstack([sparse.diags_array(inside), sparse.diags_array(1 - inside)]))
    return matrix, data, fixed.reshape(3, 2 * n)


def _neighbours() -> list[tuple[tuple[slice, slice], tuple[slice, slice]]]:
    """For each of the four directions, the pixels that have such a neighbour, and those neighbours."""
    every, first, last = slice(None), slice(None, -1), slice(1, None)
    pairs = [((first, every), (last, every)), ((every, first), (every, last))]
    return pairs + [(there, here) for here, there in pairs]


def _block_jacobi(matrix: sparse.csr_array) -> Callable[[np.ndarray, np.ndarray], None]:
    """Solve for the two layers of each pixel by themselves."""
    n = matrix.shape[0] // 2
    f, b, mixed = matrix.diagonal()[:n], matrix.diagonal()[n:], matrix.diagonal(n)
    determinant = f * b - mixed**2

    def precondition(r: np.ndarray, out: np.ndarray) -> None:
        np.divide(b * r[:n] - mixed * r[n:], determinant, out=out[:n])
        np.divide(f * r[n:] - mixed * r[:n], determinant, out=out[n:])

    return precondition
