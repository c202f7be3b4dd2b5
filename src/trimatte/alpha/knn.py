"""KNN matting (Chen, Li, Tang, "KNN matting", CVPR 2012 and PAMI 2013) on the unknown pixels alone.

Each pixel is joined to its nearest pixels in the space of colour and weighted position; alpha is harmonic on that
graph: each unknown pixel's is the mean of its neighbours', known ones being fixed. Features, numbers of neighbours and
weights are those of pymatting.

A known pixel's own neighbours only matter where an unknown one is among them; the others' are never sought.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated, Literal

import numpy as np
from scipy.ndimage import maximum_filter1d

from trimatte.alpha._nearest import NO_ROW, nearest
from trimatte.alpha._rivals import rivals
from trimatte.alpha._tree import Tree, tree_of
from trimatte.errors import ArgumentError
from trimatte.images.arrays import UNKNOWN, read_only
from trimatte.linalg.cg import conjugate_gradients
from trimatte.linalg.graph import Graph, multigrid, symmetric_graph
from trimatte.linalg.report import SolveReport
from trimatte.runtime.jit import njit
from trimatte.runtime.options import RESIDUAL, Bounds
from trimatte.runtime.threads import available_threads

REACH = 1 / 60
"""In the fast form, known pixels up to this share of the longer side away from an unknown one are candidates,"""
LEAST_REACH = 10
"""or up to so many pixels: among fewer, an unknown pixel of a small picture would not find all that it resembles."""
GRID = 4
"""Of the other known pixels every GRID-th of every GRID-th row is a candidate."""
SLACK = 1.0
"""In the fast form, a neighbour is at most 1 + SLACK times as far as the true one of its rank (Arya et al., 1998)."""
ITERATIONS = 500


def knn(
    image: np.ndarray,
    trimap: np.ndarray,
    report: SolveReport,
    *,
    accuracy: Literal["exact", "fast"] = "exact",
    neighbours: Annotated[Sequence[int], Bounds(least=2, most=1000, whole=True, each=True)] = (20, 10),
    distance_weights: Annotated[Sequence[float], Bounds(least=0, most=1e6, each=True)] = (2.0, 0.1),
    rtol: Annotated[float, RESIDUAL] = 1e-4,
) -> np.ndarray:
    """Alpha (H, W) float64 of image (H, W, 3) and trimap (H, W).

    Unknown pixels from which no chain of neighbours leads to a known one are 0.5, and the report counts them.

    Parameters
    ----------
    accuracy : {"exact", "fast"}
        "fast" is a relative of KNN matting that takes half the time: neighbours up to twice as far as the true ones,
        one of sixteen of the known pixels away from unknown ones, and none of the known ones' own neighbours. Its
        alpha differs by 0.01 in the mean.
    neighbours : sequence of int
        For each search how many neighbours, at least 2, since a pixel is its own nearest.
    distance_weights : sequence of float
        For each search the weight of the position, whose range is 1, against colour.
    rtol : float
        Relative residual of the linear system. At the default, alpha differs from the exact solution by some 5e-5 in
        the mean and, in the pictures tried, by less than 0.005 anywhere.

    Raises
    ------
    ArgumentError
        For another accuracy, a number of neighbours below 2, a weight below 0, or another number of weights than of
        searches.
    """
    if len(distance_weights) != len(neighbours):
        raise ArgumentError(f"distance_weights: got {len(distance_weights)}, wanted one a search, {len(neighbours)}")
    exact = accuracy == "exact"
    pixels, n, ones = _candidates(trimap, everywhere=exact)
    report.predicted_bytes = 220 * len(pixels) + 16 * n * sum(neighbours)
    graph, pull, numbers = _graph(read_only(image), pixels, n, ones, neighbours, distance_weights, exact)
    x, report.iterations, report.residual = conjugate_gradients(
        graph.multiply, pull, multigrid(graph), rtol=rtol, max_iterations=ITERATIONS, x=np.full(n, 0.5)
    )
    report.solver = "conjugate gradients, aggregation multigrid"
    report.converged = report.residual <= rtol
    undetermined = graph.undetermined()
    if undetermined.any():
        x[undetermined] = 0.5
        report.undetermined = int(np.count_nonzero(undetermined))
        report.fallbacks.append(f"{report.undetermined} unknown pixels resemble no known one: alpha is 0.5")
    alpha = trimap / 255.0
    alpha.ravel()[pixels[:n]] = x[numbers[:n]]
    return alpha


def _candidates(trimap: np.ndarray, *, everywhere: bool) -> tuple[np.ndarray, int, int]:
    """Flat indices of the unknown pixels, then of foreground, then of background, and the number of the first two."""
    unknown = trimap == UNKNOWN
    if everywhere:
        chosen = np.ones(trimap.shape, np.bool_)
    else:
        size = 2 * max(LEAST_REACH, round(REACH * max(trimap.shape))) + 1
        chosen = maximum_filter1d(maximum_filter1d(unknown.view(np.uint8), size, axis=0), size, axis=1).view(bool)
        chosen[::GRID, ::GRID] = True
    parts = [np.flatnonzero(part) for part in (unknown, chosen & (trimap == 255), chosen & (trimap == 0))]
    return np.concatenate(parts), len(parts[0]), len(parts[1])


def _graph(
    image: np.ndarray,
    pixels: np.ndarray,
    n: int,
    ones: int,
    neighbours: Sequence[int],
    distance_weights: Sequence[float],
    exact: bool,
) -> tuple[Graph, np.ndarray, np.ndarray]:
    """The graph on the n unknown pixels, its right-hand side, and each pixel's number in it."""
    counts = [min(k, len(pixels)) for k in neighbours]

    def prepare(weight: float, count: int) -> tuple[Tree, np.ndarray]:
        features = _features(image, pixels, weight)
        tree = tree_of(features)
        return tree, rivals(tree, tree_of(features[:n]), count) if exact else np.full(len(pixels), np.inf, np.float32)

    with ThreadPoolExecutor(min(len(counts), available_threads())) as pool:
        trees, apart = zip(*pool.map(prepare, distance_weights, counts), strict=True)
    numbers = _numbers(trees[0], n)
    found, from_known = [], []
    for tree, least, count in zip(trees, apart, counts, strict=True):
        asking = np.flatnonzero(np.isfinite(least))
        least[:n] = 0
        rows = np.full(len(pixels), NO_ROW, np.uint32)
        rows[:n], rows[asking] = numbers[:n], np.arange(n, n + len(asking))
        both = nearest(tree, rows, count, 0.0 if exact else SLACK, numbers, least)
        found.append(both[:n])
        from_known.append((both[n:], int(np.searchsorted(asking, n + ones))))
    del trees, tree
    return *symmetric_graph(found, ones, from_known), numbers


def _features(image: np.ndarray, pixels: np.ndarray, weight: float) -> np.ndarray:
    """Colour and weighted position (n, 5) float32, the picture's sides being of length 1."""
    height, width = image.shape[:2]
    features = np.empty((len(pixels), 5), np.float32)
    _fill(image, pixels, weight / max(width - 1, 1), weight / max(height - 1, 1), features)
    return features


@njit()
def _fill(image: np.ndarray, pixels: np.ndarray, x_step: float, y_step: float, features: np.ndarray) -> None:
    """Features of pixels, given in ascending runs: so no pixel's row and column have to be divided out."""
    width = image.shape[1]
    y, start = 0, 0
    for i in range(len(pixels)):
        if not start <= pixels[i] < start + width:
            y = pixels[i] // width
            start = y * width
        x = pixels[i] - start
        for c in range(3):
            features[i, c] = image[y, x, c]
        features[i, 3] = x * x_step
        features[i, 4] = y * y_step


def _numbers(tree: Tree, n: int) -> np.ndarray:
    """Numbers (N,) uint32 of the points: the first n in the order of the tree, neighbours one after the other."""
    numbers = np.arange(len(tree.indices), dtype=np.uint32)
    numbers[tree.indices[tree.indices < n]] = np.arange(n, dtype=np.uint32)
    return numbers
