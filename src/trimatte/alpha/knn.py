"""KNN matting (Chen, Li, Tang, "KNN matting", CVPR 2012 and PAMI 2013) on the unknown pixels alone.

Each unknown pixel is joined to its nearest pixels in the space of colour and, weighted, position; alpha is harmonic on
that graph: the mean of its neighbours. The features, neighbour numbers and weights are those of pymatting.

Only unknown pixels are asked for their neighbours. A known pixel's alpha does not depend on its neighbours; that some
unknown ones are among them would add edges, which changes little and on average for the worse. Candidates are the unknown
pixels, the known ones near them and a sparse grid of the others, so that every colour of the picture is represented.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
from scipy.ndimage import maximum_filter1d
from scipy.spatial import cKDTree

from trimatte._threads import available_threads
from trimatte.linalg.cg import conjugate_gradients
from trimatte.linalg.graph import symmetric_graph
from trimatte.linalg.report import SolveReport

REACH = 1 / 40
"""Known pixels up to this share of the picture's longer side away from an unknown one are candidates."""
GRID = 4
"""Of the other known pixels every GRID-th of every GRID-th row is a candidate."""
SLACK = 0.5
"""A neighbour found is at most 1 + SLACK times as far as the true one of that rank (Arya et al., JACM 1998)."""


def knn(
    image: np.ndarray,
    trimap: np.ndarray,
    report: SolveReport,
    *,
    neighbours: tuple[int, ...] = (20, 10),
    distance_weights: tuple[float, ...] = (2.0, 0.1),
    rtol: float = 1e-6,
    max_iterations: int = 2000,
) -> np.ndarray:
    """Alpha (H, W) float64 of image (H, W, 3) and trimap (H, W).

    Parameters
    ----------
    neighbours : for each search how many neighbours; an unknown pixel counts as its own first.
    distance_weights : for each search the weight of the position, whose range is 1, against colour.
    rtol : relative residual of the linear system.
    max_iterations : of conjugate gradients.

    Unknown pixels from which no chain of neighbours leads to a known one are 0.5; the report counts them.
    """
    unknown = trimap == 128
    pixels, ones = _candidates(trimap, unknown)
    n = report.unknown
    with ThreadPoolExecutor(len(neighbours)) as pool:
        workers = max(1, available_threads() // len(neighbours))
        searches = [
            pool.submit(_nearest, _features(image, pixels, weight), n, min(k, len(pixels)), workers)
            for k, weight in zip(neighbours, distance_weights, strict=True)
        ]
        graph = symmetric_graph(np.concatenate([search.result() for search in searches], axis=1), ones)
    x, report.iterations, report.residual = conjugate_gradients(
        graph.multiply,
        graph.pull,
        graph.jacobi,
        rtol=rtol,
        max_iterations=max_iterations,
        x=np.full(n, 0.5),
    )
    report.solver = "conjugate gradients, Jacobi"
    report.converged = report.residual <= rtol
    alpha = (trimap / 255.0)
    alpha[unknown] = x
    return alpha


def _candidates(trimap: np.ndarray, unknown: np.ndarray) -> tuple[np.ndarray, int]:
    """Flat indices of the unknown pixels, then of the foreground's, then of the background's; the foreground's number."""
    size = 2 * max(1, round(REACH * max(trimap.shape))) + 1
    chosen = maximum_filter1d(maximum_filter1d(unknown.view(np.uint8), size, axis=0), size, axis=1).view(bool)
    chosen[::GRID, ::GRID] = True
    parts = [np.flatnonzero(part) for part in (unknown, chosen & (trimap == 255), chosen & (trimap == 0))]
    return np.concatenate(parts), len(parts[1])


def _features(image: np.ndarray, pixels: np.ndarray, weight: float) -> np.ndarray:
    """Colour and weighted position (n, 5), the picture's sides being of length 1."""
    height, width = image.shape[:2]
    y, x = np.divmod(pixels, width)
    position = np.stack([x / max(width - 1, 1), y / max(height - 1, 1)], axis=1) * weight
    return np.concatenate([image.reshape(-1, 3)[pixels], position], axis=1)


def _nearest(features: np.ndarray, n: int, k: int, workers: int) -> np.ndarray:
    """Indices (n, k) int32 of the first n points' nearest points among all."""
    tree = cKDTree(features, balanced_tree=False, compact_nodes=True)
    return tree.query(features[:n], k, eps=SLACK, workers=workers)[1].reshape(n, k).astype(np.int32)
