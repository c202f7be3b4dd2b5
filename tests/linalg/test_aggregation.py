"""Constants over what hangs together: exact algebra, and a preconditioner that weights of all sizes do not harm."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from trimatte.errors import SolverError
from trimatte.linalg.aggregation import (
    Weighted,
    _coarsen,
    _diagonal,
    _graph,
    _inverse,
    _leaders,
    _strongest,
    aggregates,
)
from trimatte.linalg.assembly import walk_system
from trimatte.linalg.band import number_band
from trimatte.linalg.report import SolveReport
from trimatte.linalg.solve import BYTES_OF_AGGREGATES, BYTES_PER_UNKNOWN, Prepared, solve_walk
from trimatte.linalg.stencil import StencilSystem

Maker = Callable[..., tuple[np.ndarray, ...]]


def islands(height: int, width: int, seed: int = 0) -> StencilSystem:
    """Walks over spots whose colours differ so much that steps between them have weights of 1e-7, more and less."""
    rng = np.random.default_rng(seed)
    spots = rng.choice([0.1, 0.23, 0.36, 0.6], (height // 4 + 1, width // 4 + 1, 1))
    image = np.kron(spots, np.ones((4, 4, 3)))[:height, :width] + rng.normal(0, 0.01, (height, width, 3))
    unknown = np.zeros((height, width), bool)
    unknown[3:-3, 3:-3] = True
    fixed = (np.arange(width) > width // 2).astype(np.float32) * np.ones((height, 1), np.float32)
    return walk_system(image.astype(np.float32), fixed, number_band(unknown), 1 / 30)


def matrix(graph: Weighted) -> np.ndarray:
    """The Laplacian of a graph, as a dense array."""
    dense = np.diag(_diagonal(graph))
    for i in range(len(dense)):
        for e in range(graph.starts[i], graph.starts[i + 1]):
            dense[i, graph.ends[e]] -= graph.weights[e]
    return dense


def test_graph_of_a_system_is_its_matrix() -> None:
    system = islands(20, 24)
    np.testing.assert_allclose(matrix(_graph(system)), system.to_csr().toarray(), rtol=1e-12, atol=1e-14)


def test_coarse_graph_is_the_galerkin_product() -> None:
    graph = _graph(islands(24, 30))
    owner, coarse = _coarsen(graph)
    prolongation = np.eye(len(coarse.hold))[owner]
    assert len(coarse.hold) < len(graph.hold) / 3
    np.testing.assert_allclose(
        matrix(coarse), prolongation.T @ matrix(graph) @ prolongation, rtol=1e-9, atol=1e-13 * len(graph.hold)
    )
    np.testing.assert_allclose(coarse.hold, np.bincount(owner, graph.hold), rtol=1e-12)


def test_each_is_joined_to_a_leader_through_neighbours() -> None:
    graph = _graph(islands(24, 30))
    leader = _leaders(graph, _strongest(graph))
    np.testing.assert_array_equal(leader[leader], leader)
    for i in np.flatnonzero(leader != np.arange(len(leader))):
        near = graph.ends[graph.starts[i] : graph.starts[i + 1]]
        assert leader[i] in leader[near]


def test_small_graphs_are_solved_exactly() -> None:
    graph = _graph(islands(12, 13))
    np.testing.assert_allclose(_inverse(graph) @ matrix(graph), np.eye(len(graph.hold)), atol=1e-6)


@pytest.mark.parametrize("seed", range(3))
def test_preconditioner_is_symmetric_and_near_the_inverse_whatever_the_weights(seed: int) -> None:
    system = islands(34, 37, seed)
    prepared, n = Prepared(system, aggregates(system)), system.band.size
    near, product = np.empty((n, n)), np.empty(n)
    for i, unit in enumerate(np.eye(n)):
        prepared.precondition(unit, near[i], product)
    np.testing.assert_allclose(near, near.T, rtol=1e-6, atol=1e-9 * np.abs(near).max())
    dense = system.to_csr().toarray()
    assert np.linalg.eigvalsh(dense)[0] < 1e-5  # parts do hang on the rest by next to nothing
    lower = np.linalg.cholesky(dense)
    spectrum = np.linalg.eigvalsh(lower.T @ near @ lower)
    assert spectrum[0] > 0.03
    assert spectrum[-1] < 1.5


def test_walks_converge_in_few_iterations(scene: Maker) -> None:
    for system in (islands(120, 150), walk_system(*_picture(scene), 1 / 30)):
        report = SolveReport()
        x = solve_walk(np.empty(0), system, report)
        assert report.converged
        assert report.iterations < 60
        assert np.linalg.norm(system.b - system.to_csr() @ x) <= 1.1e-9 * np.linalg.norm(system.b)
        assert x.min() > -1e-6
        assert x.max() < 1 + 1e-6


def _picture(scene: Maker) -> tuple[object, ...]:
    image, unknown, fixed = scene("noise", 120, 150)
    return image, fixed, number_band(unknown)


def test_memory_that_does_not_suffice_is_refused() -> None:
    system = islands(20, 24)
    needed = system.band.size * (BYTES_PER_UNKNOWN + BYTES_OF_AGGREGATES)
    assert solve_walk(np.empty(0), system, SolveReport(), max_memory=needed).shape == (system.band.size,)
    with pytest.raises(SolverError, match=f"{needed} bytes, {needed - 1} are allowed"):
        solve_walk(np.empty(0), system, SolveReport(), max_memory=needed - 1)
