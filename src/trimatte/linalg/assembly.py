"""Matting Laplacians on the band, as 5x5 stencils.

A Laplacian of local colour models is a sum over 3x3 windows w. Within each, alpha is compared with its best
fit by a function of colour, and pixels i and j of w share the coefficient

    delta_ij - u_i' N_w u_j,    u_i = (1, I_i - c_w),

with a symmetric 4x4 matrix N_w that is the method's own. Only windows that touch an unknown pixel are looked at.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from trimatte.linalg.band import Band
from trimatte.linalg.stencil import SLOTS, StencilSystem
from trimatte.runtime.jit import njit, side_by_side

CLOSED_FORM, LEARNING_BASED = 0, 1
MODEL_SIZE = 13
TOGETHER = 32
"""Windows along a row whose models are made at once."""
STOP = 1e-8
"""Share of a walker's steps that end in background, as in pymatting: so that a colour unlike all around it, whose
weights are next to nothing, has an alpha, too."""


class Rows(NamedTuple):
    """What is put together for each of n unknown pixels.

    Attributes
    ----------
    known : (n,) float64 array
        The sum of minus its coefficients with known pixels.
    b, coefficients, runs : ndarray
        As in `StencilSystem`.
    """

    known: np.ndarray
    b: np.ndarray
    coefficients: np.ndarray
    runs: np.ndarray


def window_system(image: np.ndarray, fixed: np.ndarray, band: Band, model: int, epsilon: float) -> StencilSystem:
    """Assemble the system of a Laplacian of 3x3 colour windows, known pixels eliminated.

    Parameters
    ----------
    image : (H, W, 3) float32 array in [0, 1]
        H and W at least 3.
    fixed : (H, W) float32 array
        Alpha of the known pixels.
    band : Band
        The unknown ones.
    model : int
        CLOSED_FORM or LEARNING_BASED.
    epsilon : float
        Regularisation of the colour model.
    """
    rows = _empty(band)
    kernel = _assemble_closed_form if model == CLOSED_FORM else _assemble_learning_based
    side_by_side(kernel, len(band.tails), image, fixed, band, float(epsilon), rows)
    return _closed(band, rows)


def walk_system(image: np.ndarray, fixed: np.ndarray, band: Band, sigma: float) -> StencilSystem:
    """The system of random walks to the eight neighbours and the pixel, of weights exp(-|I_i - I_j|^2 / sigma^2).

    Beyond the picture's rim its pixels are repeated, so that edges along the rim count twice.
    """
    rows = _empty(band)
    side_by_side(_assemble_walk, band.size, image, fixed, band, float(sigma), rows)
    return _closed(band, rows)


def _empty(band: Band) -> Rows:
    n = band.size
    return Rows(np.zeros(n), np.zeros(n), np.zeros((n, 12), np.float32), np.zeros((n, 3), np.uint32))


def _closed(band: Band, rows: Rows) -> StencilSystem:
    """Give the diagonal what makes each row sum to its share of known pixels."""
    beside = StencilSystem(band, np.zeros(band.size), rows.coefficients, rows.runs, rows.b)
    sums = np.empty(band.size)
    beside.multiply(np.ones(band.size), sums)
    return beside._replace(diagonal=rows.known - sums)


@njit()
def inverse_factor(S: np.ndarray, ridge: float, K: np.ndarray) -> None:
    """Fill the lower triangle of K (4, 4) with the inverse of S's Cholesky factor; `ridge` is added to each pivot."""
    L = np.empty((4, 4))
    for j in range(4):
        for i in range(j, 4):
            total = S[i, j]
            for k in range(j):
                total -= L[i, k] * L[j, k]
            L[i, j] = np.sqrt(total + ridge) if i == j else total / L[j, j]
    for j in range(4):
        K[j, j] = 1.0 / L[j, j]
        for i in range(j + 1, 4):
            total = 0.0
            for k in range(j, i):
                total -= L[i, k] * K[k, j]
            K[i, j] = total / L[i, i]


@njit()
def _inverse(S: np.ndarray) -> np.ndarray:
    # K'K with K the inverse of the Cholesky factor: the one way that stays definite where S nearly is not
    K, G = np.zeros((4, 4)), np.zeros((4, 4))
    inverse_factor(S, 0.0, K)
    for i in range(4):
        for j in range(4):
            for k in range(max(i, j), 4):
                G[i, j] += K[k, i] * K[k, j]
    return G


@njit()
def _moments(image: np.ndarray, y: int, x: int) -> tuple[float, float, float, float, float, float, float, float, float]:
    """Sums of d and of d d' over a window about (y, x), for its colours d."""
    s0, s1, s2, s00, s01, s02, s11, s12, s22 = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    for j in range(9):
        v, u = y - 1 + j // 3, x - 1 + j % 3
        d0, d1, d2 = np.float64(image[v, u, 0]), np.float64(image[v, u, 1]), np.float64(image[v, u, 2])
        s0 += d0
        s1 += d1
        s2 += d2
        s00 += d0 * d0
        s01 += d0 * d1
        s02 += d0 * d2
        s11 += d1 * d1
        s12 += d1 * d2
        s22 += d2 * d2
    return s0, s1, s2, s00, s01, s02, s11, s12, s22


# A window's model is c (3), then N by rows of its upper triangle (10).


@njit()
def _closed_form_models(image: np.ndarray, y: int, x: int, count: int, epsilon: float, out: np.ndarray) -> None:
    """N is block diagonal about the mean: 1/9 and the inverse of the covariance.

    Colours are laid out in one array and models in another, each number in a line of its own, so that the compiler
    takes several windows at once.
    """
    lines, found, line = np.empty(9 * (TOGETHER + 2)), np.empty(9 * TOGETHER), np.uint64(TOGETHER + 2)
    for row in range(3):
        for c in range(3):
            for k in range(count + 2):
                lines[(3 * row + c) * (TOGETHER + 2) + k] = image[y - 1 + row, x - 1 + k, c]
    for n in range(np.uint64(count)):
        c0, c1, c2 = 0.0, 0.0, 0.0
        for j in range(9):
            at = n + np.uint64(j // 3 * 3) * line + np.uint64(j % 3)
            c0 += lines[at]
            c1 += lines[at + line]
            c2 += lines[at + np.uint64(2) * line]
        c0, c1, c2 = c0 / 9, c1 / 9, c2 / 9
        s00, s01, s02, s11, s12, s22 = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
        for j in range(9):
            at = n + np.uint64(j // 3 * 3) * line + np.uint64(j % 3)
            d0, d1, d2 = lines[at] - c0, lines[at + line] - c1, lines[at + np.uint64(2) * line] - c2
            s00 += d0 * d0
            s01 += d0 * d1
            s02 += d0 * d2
            s11 += d1 * d1
            s12 += d1 * d2
            s22 += d2 * d2
        s00, s11, s22 = s00 + epsilon, s11 + epsilon, s22 + epsilon
        # The inverse by L D L': cofactors would cancel where the colours lie on a line, as in any grey picture.
        l10, l20 = s01 / s00, s02 / s00
        q0, q1 = 1.0 / s00, 1.0 / (s11 - l10 * s01)
        l21 = (s12 - l10 * s02) * q1
        q2 = 1.0 / (s22 - l20 * s02 - l21 * (s12 - l10 * s02))
        k20 = l10 * l21 - l20
        n12, n02 = -l21 * q2, k20 * q2
        n01 = -l10 * q1 - l21 * n02
        found[n], found[n + np.uint64(TOGETHER)], found[n + np.uint64(2 * TOGETHER)] = c0, c1, c2
        found[n + np.uint64(3 * TOGETHER)] = q0 + l10 * l10 * q1 + k20 * n02
        found[n + np.uint64(4 * TOGETHER)] = n01
        found[n + np.uint64(5 * TOGETHER)] = n02
        found[n + np.uint64(6 * TOGETHER)] = q1 + l21 * l21 * q2
        found[n + np.uint64(7 * TOGETHER)] = n12
        found[n + np.uint64(8 * TOGETHER)] = q2
    for n in range(count):
        for k in range(3):
            out[x + n, k] = found[n + k * TOGETHER]
        out[x + n, 3] = 1.0 / 9.0
        out[x + n, 4], out[x + n, 5], out[x + n, 6] = 0.0, 0.0, 0.0
        for k in range(3, 9):
            out[x + n, k + 4] = found[n + k * TOGETHER]


@njit()
def _learning_based_models(image: np.ndarray, y: int, x: int, count: int, epsilon: float, out: np.ndarray) -> None:
    for n in range(count):
        _learning_based_model(image, y, x + n, epsilon, out[x + n])


@njit()
def _learning_based_model(image: np.ndarray, y: int, x: int, epsilon: float, out: np.ndarray) -> None:
    """N = 2 G - G S G = G + epsilon G G with G = (S + epsilon)^-1 over (1, I)."""
    S = np.empty((4, 4))
    s0, s1, s2, s00, s01, s02, s11, s12, s22 = _moments(image, y, x)
    S[0, 0], S[0, 1], S[0, 2], S[0, 3] = 9.0 + epsilon, s0, s1, s2
    S[1, 1], S[1, 2], S[1, 3], S[2, 2], S[2, 3], S[3, 3] = s00 + epsilon, s01, s02, s11 + epsilon, s12, s22 + epsilon
    for i in range(4):
        for j in range(i):
            S[i, j] = S[j, i]
    G = _inverse(S)
    out[0], out[1], out[2] = 0.0, 0.0, 0.0
    k = 3
    for i in range(4):
        for j in range(i, 4):
            total = G[i, j]
            for m in range(4):
                total += epsilon * G[i, m] * G[m, j]
            out[k] = total
            k += 1


@njit()
def _assemble_closed_form(
    first: int, last: int, image: np.ndarray, fixed: np.ndarray, band: Band, epsilon: float, rows: Rows
) -> None:
    _assemble(_closed_form_models, first, last, image, fixed, band, epsilon, rows)


@njit()
def _assemble_learning_based(
    first: int, last: int, image: np.ndarray, fixed: np.ndarray, band: Band, epsilon: float, rows: Rows
) -> None:
    _assemble(_learning_based_models, first, last, image, fixed, band, epsilon, rows)


@njit(inline=True)
def _assemble(
    models_of: Callable[..., None],
    first: int,
    last: int,
    image: np.ndarray,
    fixed: np.ndarray,
    band: Band,
    epsilon: float,
    rows: Rows,
) -> None:
    """Rows of the pixels of strips first to last; windows of three rows of the picture are at hand at a time."""
    index, position, strips = band.index, band.position, band.strips
    row_first, row_count, coefficients, runs = band.row_first, band.row_count, rows.coefficients, rows.runs
    height, width = index.shape
    models = np.empty((3, width, MODEL_SIZE))
    row, sums = np.zeros((5, 5)), np.empty((3, 5, 4))
    for s in range(first, last):
        ready = -2
        for i in range(strips[s], strips[s + 1]):
            y, x = position[i] // width, position[i] % width
            for wy in range(max(1, y - 1, ready + 1), min(height - 1, y + 2)):
                left, right = width, -1
                for vy in range(wy - 1, wy + 2):
                    if row_count[vy] > 0:
                        left = min(left, position[row_first[vy]] % width)
                        right = max(right, position[row_first[vy] + row_count[vy] - 1] % width)
                wx, end = max(1, left - 1), min(width - 1, right + 2)
                while wx < end:
                    touched = False
                    for vy in range(wy - 1, wy + 2):
                        touched |= index[vy, wx - 1] >= 0 or index[vy, wx] >= 0 or index[vy, wx + 1] >= 0
                    count = min(TOGETHER, end - wx) if touched else 1
                    if touched:
                        models_of(image, wy, wx, count, epsilon, models[wy % 3])
                    wx += count
                ready = wy
            amid = _amid(index, y, x)
            _coefficients(image, models, y, x, 2 if amid else 0, sums, row)
            if amid:
                for k in range(12):
                    coefficients[i, k] = row[2, 3 + k] if k < 2 else row[3 + (k - 2) // 5, (k - 2) % 5]
                runs[i, 0] = index[y, x + 1] << 3 | 2
                runs[i, 1] = index[y + 1, x - 2] << 3 | 5
                runs[i, 2] = index[y + 2, x - 2] << 3 | 5
            else:
                _store_row(row, i, y, x, fixed, index, rows)


@njit()
def _amid(index: np.ndarray, y: int, x: int) -> bool:
    """Whether all 5x5 pixels about one are unknown."""
    height, width = index.shape
    if y < 2 or x < 2 or y >= height - 2 or x >= width - 2:
        return False
    for vy in range(y - 2, y + 3):
        for vx in range(x - 2, x + 3):
            if index[vy, vx] < 0:
                return False
    return True


@njit()
def _coefficients(
    image: np.ndarray, models: np.ndarray, y: int, x: int, first: int, sums: np.ndarray, row: np.ndarray
) -> None:
    """Write a pixel's coefficients, its share of each window's with it, into row (5, 5) from row `first` on.

    A window gives -(n_0 + n . I_j), n = N u_i, to each pixel j of it. The windows that hold both i and j are a
    rectangle of the nine about i, so that n is added up along rows, then along columns, before it meets colours.
    """
    height, width = image.shape[0], image.shape[1]
    for r in range(3):
        sums[r] = 0.0
        wy = y - 1 + r
        for c in range(3):
            wx = x - 1 + c
            if wy < 1 or wx < 1 or wy > height - 2 or wx > width - 2:
                continue
            m = models[wy % 3, wx]
            d0, d1, d2 = image[y, x, 0] - m[0], image[y, x, 1] - m[1], image[y, x, 2] - m[2]
            n1 = m[4] + m[7] * d0 + m[8] * d1 + m[9] * d2
            n2 = m[5] + m[8] * d0 + m[10] * d1 + m[11] * d2
            n3 = m[6] + m[9] * d0 + m[11] * d1 + m[12] * d2
            n0 = m[3] + m[4] * d0 + m[5] * d1 + m[6] * d2 - (n1 * m[0] + n2 * m[1] + n3 * m[2])
            for column in range(c, c + 3):
                sums[r, column, 0] += n0
                sums[r, column, 1] += n1
                sums[r, column, 2] += n2
                sums[r, column, 3] += n3
    for oy in range(first, 5):
        low, high = max(0, oy - 2), min(2, oy)
        vy = y + oy - 2
        for ox in range(5):
            vx = x + ox - 2
            if vy < 0 or vx < 0 or vy >= height or vx >= width:
                row[oy, ox] = 0.0
                continue
            n0, n1, n2, n3 = 0.0, 0.0, 0.0, 0.0
            for r in range(low, high + 1):
                n0 += sums[r, ox, 0]
                n1 += sums[r, ox, 1]
                n2 += sums[r, ox, 2]
                n3 += sums[r, ox, 3]
            row[oy, ox] = -(n0 + n1 * image[vy, vx, 0] + n2 * image[vy, vx, 1] + n3 * image[vy, vx, 2])


@njit()
def _store_row(
    row: np.ndarray, i: int | np.int64, y: int, x: int, fixed: np.ndarray, index: np.ndarray, rows: Rows
) -> None:
    """Known neighbours go to the diagonal and the right-hand side, unknown ones that follow are stored."""
    known, b, coefficients, runs = rows
    height, width = index.shape
    for oy in range(5):
        vy = y + oy - 2
        if vy < 0 or vy >= height:
            continue
        slot = SLOTS[max(oy - 2, 0)]
        for ox in range(5):
            vx = x + ox - 2
            if vx < 0 or vx >= width or (oy == 2 and ox == 2):
                continue
            j = index[vy, vx]
            if j < 0:
                known[i] -= row[oy, ox]
                b[i] -= row[oy, ox] * fixed[vy, vx]
            elif oy > 2 or (oy == 2 and ox > 2):
                coefficients[i, slot] = row[oy, ox]
                slot += 1
                runs[i, oy - 2] = 1 + (runs[i, oy - 2] if runs[i, oy - 2] > 0 else j << 3)


@njit()
def _assemble_walk(
    first: int, last: int, image: np.ndarray, fixed: np.ndarray, band: Band, sigma: float, rows: Rows
) -> None:
    position, (height, width) = band.position, band.shape
    row = np.zeros((5, 5))
    for i in range(first, last):
        y, x = position[i] // width, position[i] % width
        row[:], total = 0.0, 0.0
        for dy in range(-1, 2):
            for dx in range(-1, 2):
                vy, vx = max(0, min(height - 1, y + dy)), max(0, min(width - 1, x + dx))
                distance = 0.0
                for c in range(3):
                    distance += (image[y, x, c] - image[vy, vx, c]) ** 2
                weight = np.exp(-distance / sigma**2)
                row[vy - y + 2, vx - x + 2] -= weight
                total += weight
        _store_row(row, i, y, x, fixed, band.index, rows)
        rows.known[i] += STOP * total
