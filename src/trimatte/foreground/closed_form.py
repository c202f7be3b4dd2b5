"""Closed-form foreground estimation (Levin, Lischinski, Weiss, PAMI 2008, section 5) around the fractional alphas.

Foreground F and background B minimise, each pair of the four neighbours being taken from both ends,

    sum_i (alpha_i F_i + (1 - alpha_i) B_i - I_i)^2 + 2 sum_ij w_ij ((F_i - F_j)^2 + (B_i - B_j)^2),
    w_ij = regularization + |alpha_i - alpha_j|,

over the pixels at most MARGIN away from one whose alpha is neither 0 nor 1. Beyond, F is the picture where alpha is 1,
B is where alpha is 0, and the layer that is not seen is left out.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
from scipy.ndimage import maximum_filter

from trimatte.foreground.multigrid import coarser_grids, cycle, empty_grid, product
from trimatte.foreground.multilevel import both_layers
from trimatte.images.arrays import bounding_box, grown
from trimatte.linalg.cg import conjugate_gradients
from trimatte.linalg.report import SolveReport
from trimatte.runtime.jit import njit, side_by_side
from trimatte.runtime.options import RESIDUAL, Bounds

MARGIN = 8
REGULARIZATION = 1e-5
ITERATIONS = 1000
PIXELS = 8192
"""Of the band, worth handing to another thread."""
ROWS = 16
"""Of the picture, likewise."""
NEIGHBOURS = np.array([(0, 1), (0, -1), (1, 0), (-1, 0)])


def closed_form(
    image: np.ndarray,
    alpha: np.ndarray,
    report: SolveReport,
    *,
    rtol: Annotated[float, RESIDUAL] = 1e-6,
    most: Annotated[int | None, Bounds(least=0, whole=True)] = None,
) -> np.ndarray:
    """Foreground colours (H, W, 3) float32 in [0, 1] of image (H, W, 3) and alpha (H, W).

    Where alpha is 1 it is the image itself. The fast multi-level answer is the first guess, and stays where alpha is 0
    away from all others. `rtol` is the relative residual of the linear system; the report says if it was not reached.
    With more than `most` pixels to be solved for, the multi-level answer stays everywhere, and the report says so.
    """
    report.solver = "conjugate gradients, multigrid"
    foreground, background = both_layers(image, alpha)
    band = maximum_filter(((alpha > 0) & (alpha < 1)).view(np.uint8), 2 * MARGIN + 1) > 0
    box, report.unknown = bounding_box(band), int(np.count_nonzero(band))
    if most is not None and report.unknown > most:
        report.fallbacks.append(
            f"closed-form would take too long for the colours of {report.unknown} pixels: multilevel's were taken"
        )
    elif box is not None:
        part = grown(box, (1, 1), band.shape)  # with the fixed pixels about it
        layers = foreground[part], background[part]
        _solve(image[part], alpha[part].copy(), band[part], layers, report, rtol)
        report.converged = bool(report.residual <= rtol)
    np.copyto(foreground, image, where=(alpha == 1)[..., None])
    return foreground


def _solve(
    image: np.ndarray,
    alpha: np.ndarray,
    band: np.ndarray,
    layers: tuple[np.ndarray, np.ndarray],
    report: SolveReport,
    rtol: float,
) -> None:
    """Overwrite the first of the layers (H, W, 3) within the band with the solution; both are the first guess."""
    places = np.flatnonzero(band)
    number = np.full(band.shape, -1, np.int32)
    number[band] = np.arange(len(places), dtype=np.int32)
    finest = empty_grid(*band.shape)
    side_by_side(_fill, len(band), alpha, number, finest.matrix, least=ROWS)
    grids = coarser_grids(finest)

    def multiply(p: np.ndarray, out: np.ndarray) -> None:
        side_by_side(_spread, len(places), places, band.shape[1], p.reshape(-1, 2), finest.x, least=PIXELS)
        product(finest)
        side_by_side(_collect, len(places), places, band.shape[1], finest.other, out.reshape(-1, 2), least=PIXELS)

    def precondition(r: np.ndarray, out: np.ndarray) -> None:
        side_by_side(_spread, len(places), places, band.shape[1], r.reshape(-1, 2), finest.b, least=PIXELS)
        cycle(grids)
        side_by_side(_collect, len(places), places, band.shape[1], finest.x, out.reshape(-1, 2), least=PIXELS)

    for c in range(3):
        guess = np.stack([layer[band, c] for layer in layers], axis=-1).astype(np.float64)
        wanted = np.empty_like(guess)
        colours = image[..., c].copy()  # so that kernels are compiled for one layout alone
        side_by_side(_right_hand_side, len(places), colours, alpha, number, places, wanted, least=PIXELS)
        solution, iterations, residual = conjugate_gradients(
            multiply, wanted.ravel(), precondition, rtol=rtol, max_iterations=ITERATIONS, x=guess.ravel()
        )
        report.iterations = max(report.iterations, iterations)
        report.residual = max(report.residual, residual)
        layers[0][band, c] = np.clip(solution[::2], 0, 1)


@njit(inline=True)
def _weight(one: float, other: float) -> float:
    """Of the edge between two pixels, by their alpha."""
    return 2 * (REGULARIZATION + abs(np.float64(one) - np.float64(other)))


@njit()
def _fill(
    first: int,
    last: int,
    alpha: np.ndarray,
    number: np.ndarray,
    matrix: np.ndarray,
) -> None:
    """The finest grid: what the data and the fixed pixels about the band give each pixel, and its edges."""
    height, width = alpha.shape
    for y in range(first, last):
        for x in range(width):
            if number[y, x] < 0:
                continue
            a = np.float64(alpha[y, x])
            one, two = a * a, (1 - a) * (1 - a)
            for k in range(4):
                v, u = y + NEIGHBOURS[k, 0], x + NEIGHBOURS[k, 1]
                if not (0 <= v < height and 0 <= u < width):
                    continue
                weight = _weight(a, alpha[v, u])
                if number[v, u] < 0:
                    one += weight * (alpha[v, u] == 1)
                    two += weight * (alpha[v, u] == 0)
                elif k == 0:
                    matrix[3, y + 1, x + 1] = weight
                elif k == 2:
                    matrix[4, y + 1, x + 1] = weight
            matrix[0, y + 1, x + 1], matrix[1, y + 1, x + 1], matrix[2, y + 1, x + 1] = one, two, a * (1 - a)


@njit()
def _spread(first: int, last: int, places: np.ndarray, width: int, r: np.ndarray, planes: np.ndarray) -> None:
    """The band's pixels (n, 2) into the planes of a grid."""
    for i in range(first, last):
        y, x = divmod(places[i], width)
        planes[0, y + 1, x + 1], planes[1, y + 1, x + 1] = r[i, 0], r[i, 1]


@njit()
def _collect(first: int, last: int, places: np.ndarray, width: int, planes: np.ndarray, out: np.ndarray) -> None:
    """And back."""
    for i in range(first, last):
        y, x = divmod(places[i], width)
        out[i, 0], out[i, 1] = planes[0, y + 1, x + 1], planes[1, y + 1, x + 1]


@njit()
def _right_hand_side(
    first: int,
    last: int,
    colours: np.ndarray,
    alpha: np.ndarray,
    number: np.ndarray,
    places: np.ndarray,
    out: np.ndarray,
) -> None:
    """What a channel's colours (H, W) and the fixed pixels about the band ask for, (n, 2)."""
    height, width = alpha.shape
    for i in range(first, last):
        y, x = divmod(places[i], width)
        a = np.float64(alpha[y, x])
        one, two = a * colours[y, x], (1 - a) * colours[y, x]
        for k in range(4):
            v, u = y + NEIGHBOURS[k, 0], x + NEIGHBOURS[k, 1]
            if 0 <= v < height and 0 <= u < width and number[v, u] < 0:
                colour = _weight(a, alpha[v, u]) * colours[v, u]
                one += colour * (alpha[v, u] == 1)
                two += colour * (alpha[v, u] == 0)
        out[i, 0], out[i, 1] = one, two
