"""KNN matting (Chen, Li, Tang, "KNN matting", CVPR 2012 and PAMI 2013) on the unknown pixels alone.

Each unknown pixel is joined to its nearest pixels in the space of colour and weighted position; alpha is harmonic on
that graph: each unknown pixel's is the mean of its neighbours'. Features, numbers of neighbours and weights are those
of pymatting.

Only unknown pixels are asked for their neighbours. The known ones' own neighbours would add edges to them from afar,
which changes alpha little, and no more for the better than for the worse. Candidates are the unknown pixels, the known
ones near them, and a sparse grid of the others, so that no colour of the picture is missing.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from scipy.ndimage import maximum_filter1d
from scipy.spatial import cKDTree

from trimatte._threads import available_threads
from trimatte.errors import ArgumentError
from trimatte.linalg.cg import conjugate_gradients
from trimatte.linalg.graph import multigrid, symmetric_graph
from trimatte.linalg.report import SolveReport

REACH = 1 / 40
"""Known pixels up to this share of the picture's longer side away from an unknown one are candidates."""
GRID = 4
"""Of the other known pixels every GRID-th of every GRID-th row is a candidate."""
SLACK = 1.0
"""A neighbour found is at most 1 + SLACK times as far as the true one of its rank (Arya et al., JACM 1998)."""
ITERATIONS = 500


def knn(
    image: np.ndarray,
    trimap: np.ndarray,
    report: SolveReport,
    *,
    neighbours: Sequence[int] = (20, 10),
    distance_weights: Sequence[float] = (2.0, 0.1),
    rtol: float = 1e-4,
) -> np.ndarray:
    """Alpha (H, W) float64 of image (H, W, 3) and trimap (H, W).

    Parameters
    ----------
    neighbours : for each search how many neighbours, at least 2, since a pixel is its own nearest.
    distance_weights : for each search the weight of the position, whose range is 1, against colour.
    rtol : relative residual of the linear system. At the default, alpha differs from the exact solution by less than
        half a step of 8 bits.

    Unknown pixels from which no chain of neighbours leads to a known one are 0.5, and the report counts them.

    Raises
    ------
    ArgumentError
        For a number of neighbours below 2, or another number of weights than of searches.
    """
    _check(neighbours, distance_weights)
    pixels, n, ones = _candidates(trimap)
    report.predicted_bytes = 220 * len(pixels) + 16 * n * sum(neighbours)
    pixels[:n] = pixels[:n][_tree_order(_features(image, pixels[:n], distance_weights[0]))]
    graph, pull = symmetric_graph(_neighbours(image, pixels, n, neighbours, distance_weights), ones)
    x, report.iterations, report.residual = conjugate_gradients(
        graph.multiply, pull, multigrid(graph), rtol=rtol, max_iterations=ITERATIONS, x=np.full(n, 0.5)
    )
    report.solver = "conjugate gradients, aggregation multigrid"
    report.converged = report.residual <= rtol
    undetermined = graph.undetermined()
    if undetermined.any():
        x[undetermined] = 0.5
        report.fallbacks.append(f"{np.count_nonzero(undetermined)} unknown pixels resemble no known one: alpha is 0.5")
    alpha = trimap / 255.0
    alpha.ravel()[pixels[:n]] = x
    return alpha


def _check(neighbours: Sequence[int], distance_weights: Sequence[float]) -> None:
    if not neighbours or min(neighbours) < 2:
        raise ArgumentError(f"neighbours: got {tuple(neighbours)}, wants numbers of 2 and more")
    if len(distance_weights) != len(neighbours):
        raise ArgumentError(f"distance_weights: got {len(distance_weights)}, wants one per search, {len(neighbours)}")


def _candidates(trimap: np.ndarray) -> tuple[np.ndarray, int, int]:
    """Flat indices of the unknown pixels, then of foreground, then of background, and the number of the first two."""
    unknown = trimap == 128
    size = 2 * max(1, round(REACH * max(trimap.shape))) + 1
    chosen = maximum_filter1d(maximum_filter1d(unknown.view(np.uint8), size, axis=0), size, axis=1).view(bool)
    chosen[::GRID, ::GRID] = True
    parts = [np.flatnonzero(part) for part in (unknown, chosen & (trimap == 255), chosen & (trimap == 0))]
    return np.concatenate(parts), len(parts[0]), len(parts[1])


def _features(image: np.ndarray, pixels: np.ndarray, weight: float) -> np.ndarray:
    """Colour and weighted position (n, 5) float64, the picture's sides being of length 1."""
    height, width = image.shape[:2]
    features = np.empty((len(pixels), 5))
    features[:, :3] = image.reshape(-1, 3)[pixels]
    y, x = np.divmod(pixels, width)
    features[:, 3] = x * (weight / max(width - 1, 1))
    features[:, 4] = y * (weight / max(height - 1, 1))
    return features


def _tree_order(features: np.ndarray) -> np.ndarray:
    """Indices in the order of the leaves of a k-d tree, so that neighbours come one after the other."""
    order: np.ndarray = cKDTree(features, leafsize=8, balanced_tree=False).indices
    return order


def _neighbours(
    image: np.ndarray, pixels: np.ndarray, n: int, neighbours: Sequence[int], distance_weights: Sequence[float]
) -> np.ndarray:
    """Indices (n, sum of neighbours) int32 of the first n pixels' nearest among all, all searches side by side."""

    def search(k: int, weight: float) -> np.ndarray:
        features = _features(image, pixels, weight)
        tree = cKDTree(features, leafsize=32, balanced_tree=False)
        _, found = tree.query(features[:n], min(k, len(pixels)), eps=SLACK, workers=workers)
        return np.asarray(found, np.int32)

    workers = max(1, available_threads() // len(neighbours))
    with ThreadPoolExecutor(len(neighbours)) as pool:
        return np.concatenate(list(pool.map(search, neighbours, distance_weights)), axis=1)
