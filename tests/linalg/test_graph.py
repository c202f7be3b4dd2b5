"""Neighbour graphs and their multigrid, against dense matrices."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trimatte.linalg import graph as graphs
from trimatte.linalg.cg import conjugate_gradients


def random_found(n: int, fixed: int, k: int, seed: int, reach: int) -> np.ndarray:
    """Neighbours (n, k) of n free vertices, near in number, and any of the fixed ones now and then."""
    rng = np.random.default_rng(seed)
    near = np.clip(np.arange(n)[:, None] + rng.integers(-reach, reach + 1, (n, k)), 0, n - 1)
    return np.where(rng.random((n, k)) < 0.02, rng.integers(n, n + fixed, (n, k)), near).astype(np.uint32)


def dense_twin(found: np.ndarray, fixed: int, ones: int) -> tuple[np.ndarray, np.ndarray]:
    """Laplacian and right-hand side, edge by edge."""
    n = len(found)
    weight = np.zeros((n + fixed, n + fixed))
    for i, row in enumerate(found):
        for j in row:
            if i != j:
                weight[i, j] += 1
                weight[j, i] += 1
    laplacian = np.diag(weight.sum(axis=1)) - weight
    return laplacian[:n, :n], weight[:n, n : n + ones].sum(axis=1)


@settings(max_examples=20)
@given(seed=st.integers(0, 1000), n=st.integers(1, 40), k=st.integers(1, 6))
def test_symmetric_graph_is_its_dense_twin(seed: int, n: int, k: int) -> None:
    found = random_found(n, 5, k, seed, reach=4)
    graph, pull = graphs.symmetric_graph([found], ones=2)
    matrix, expected = dense_twin(found, 5, 2)
    product = np.empty(n)
    for column in np.eye(n):
        graph.multiply(column, product)
        np.testing.assert_allclose(product, matrix @ column)
    np.testing.assert_allclose(pull, expected)


def test_fixed_vertices_join_the_free_ones_that_they_found() -> None:
    found = random_found(12, 5, 3, seed=1, reach=4)
    theirs = np.array([[0, 3, 12], [3, 3, 11], [14, 15, 16]], np.uint32)  # of fixed vertices of values 1, 0, 0
    plain, pull = graphs.symmetric_graph([found], ones=2)
    graph, more = graphs.symmetric_graph([found], 2, [(theirs, 1)])
    np.testing.assert_array_equal(more - pull, np.bincount([0, 3], minlength=12))
    np.testing.assert_array_equal(graph.degree - plain.degree, np.bincount([0, 3, 3, 3, 11], minlength=12))


def test_coarse_graph_is_the_galerkin_product() -> None:
    found = random_found(50, 5, 4, seed=3, reach=9)
    coarse = graphs._coarsen(graphs.symmetric_graph([found], ones=2)[0])
    matrix, _ = dense_twin(found, 5, 2)
    aggregates = np.equal.outer(np.arange(50) // graphs.BLOCK, np.arange(7)).astype(float)
    expected = aggregates.T @ matrix @ aggregates
    np.testing.assert_allclose(graphs._dense(coarse), expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("n", [30, 5000, 20000])
def test_multigrid_needs_few_iterations_whatever_the_size(n: int) -> None:
    graph, pull = graphs.symmetric_graph([random_found(n, 20, 6, seed=1, reach=5)], ones=10)
    x, iterations, residual = conjugate_gradients(
        graph.multiply, pull, graphs.multigrid(graph), rtol=1e-8, max_iterations=200
    )
    assert residual <= 1e-8
    assert iterations <= 80
    product = np.empty(n)
    graph.multiply(x, product)
    np.testing.assert_allclose(product, pull, atol=1e-6 * np.linalg.norm(pull))
    assert x.min() > -1e-4
    assert x.max() < 1 + 1e-4


def test_multigrid_is_symmetric_and_positive() -> None:
    graph, _ = graphs.symmetric_graph([random_found(700, 20, 6, seed=2, reach=5)], ones=10)
    precondition = graphs.multigrid(graph)
    u, v = np.random.default_rng(0).normal(size=(2, 700))
    mu, mv = np.empty(700), np.empty(700)
    precondition(u, mu)
    precondition(v, mv)
    assert np.isclose(u @ mv, v @ mu, rtol=1e-10)
    assert u @ mu > 0
    assert v @ mv > 0


def test_inverse_is_that_of_lapack() -> None:
    half = np.random.default_rng(0).normal(size=(60, 40))
    matrix = half @ half.T + 0.1 * np.eye(60)
    np.testing.assert_allclose(graphs._inverse(matrix), np.linalg.inv(matrix), rtol=1e-9, atol=1e-9)


SOLVED = """
import hashlib
import numpy as np
from trimatte.linalg import graph as graphs
rng = np.random.default_rng(0)
found = rng.integers(0, 1502, (1500, 5))
graph = graphs._coarsen(graphs.symmetric_graph([found.astype(np.uint32)], ones=1)[0])
assert 100 < len(graph.degree) <= graphs.DENSE
solve = graphs._coarse_solver(graph)
solved = np.stack([solve(r) for r in rng.normal(size=(50, len(graph.degree)))])
print(hashlib.sha256(solved.tobytes()).hexdigest())
"""


def test_exact_coarse_solve_is_the_same_whatever_the_threads_of_blas() -> None:
    libraries = ("OPENBLAS", "MKL", "OMP")
    digests = [
        subprocess.run(
            [sys.executable, "-c", SOLVED],
            env={**os.environ, **{f"{library}_NUM_THREADS": str(count) for library in libraries}},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for count in (1, 2)
    ]
    assert digests[0] == digests[1]


def test_coarse_solver_takes_something_of_every_error() -> None:
    graph = graphs._coarsen(graphs.symmetric_graph([random_found(4000, 20, 6, seed=4, reach=20)], ones=10)[0])
    solve, matrix = graphs._coarse_solver(graph), graphs._dense(graph)
    approximate = np.stack([solve(column) for column in np.eye(len(matrix))])
    assert len(matrix) > graphs.DENSE
    np.testing.assert_allclose(approximate, approximate.T, atol=1e-6 * np.abs(approximate).max())
    root = np.linalg.cholesky(matrix)
    spectrum = np.linalg.eigvalsh(root.T @ (approximate + approximate.T) / 2 @ root)
    assert spectrum.min() > 0.1
    assert spectrum.max() < 1.9


def test_vertices_without_a_way_to_a_fixed_one_are_told() -> None:
    found = np.array([[1, 5], [0, 0], [3, 3], [2, 2], [2, 2]], np.uint32)
    graph, _ = graphs.symmetric_graph([found], ones=1)
    np.testing.assert_array_equal(graph.undetermined(), [False, False, True, True, True])


def test_closed_component_inside_and_across_aggregates_gives_no_nan() -> None:
    n = 400
    found = random_found(n, 5, 4, seed=5, reach=3)
    found[160:168] = np.arange(160, 168)[:, None] ^ 1  # four pairs of their own
    found[(found >= 160) & (found < 168) & (np.arange(n)[:, None] // 8 != 20)] = n
    graph, pull = graphs.symmetric_graph([found], ones=2)
    x, _, residual = conjugate_gradients(
        graph.multiply, pull, graphs.multigrid(graph), rtol=1e-8, max_iterations=500, x=np.full(n, 0.5)
    )
    assert residual <= 1e-8
    assert np.isfinite(x).all()
    np.testing.assert_allclose(x[160:168], 0.5, atol=1e-6)
