"""Nested dissection against dense matrices and brute-force elimination."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trimatte.linalg.dissection import SUBTREES, Tree, dissect, factorise

LATER = [(0, 0), (0, 1), (1, -1), (1, 0), (1, 1)]


def grid_of(active: np.ndarray, seed: int | None = None) -> np.ndarray:
    """Numbers the nodes of `active` (rows, columns) bool, in raster order or shuffled."""
    count = int(active.sum())
    numbers = np.arange(count) if seed is None else np.random.default_rng(seed).permutation(count)
    grid = np.full(active.shape, -1, np.int32)
    grid[active] = numbers
    return grid


def pairs(grid: np.ndarray) -> list[tuple[int, int, int]]:
    """(a, k, b) of each node a and its k-th later neighbour b."""
    found = []
    for y, x in np.argwhere(grid >= 0):
        for k, (dy, dx) in enumerate(LATER[1:], start=1):
            if y + dy < grid.shape[0] and 0 <= x + dx < grid.shape[1] and grid[y + dy, x + dx] >= 0:
                found.append((int(grid[y, x]), k, int(grid[y + dy, x + dx])))
    return found


def random_blocks(grid: np.ndarray, seed: int, hold: float = 0.01) -> tuple[np.ndarray, np.ndarray]:
    """Blocks (m, 5, 4, 4) of a random definite matrix, and it itself (4 m, 4 m).

    It is a sum over the edges of (A x_a - B x_b)^2, and of `hold` x_a^2 over the nodes.
    """
    rng = np.random.default_rng(seed)
    count = int((grid >= 0).sum())
    blocks = np.zeros((count, 5, 4, 4))
    blocks[:, 0] = hold * np.eye(4)
    matrix = np.zeros((count, 4, count, 4))
    for a, k, b in pairs(grid):
        one, two = rng.normal(size=(2, 4, 4))
        blocks[a, 0] += one.T @ one
        blocks[b, 0] += two.T @ two
        blocks[a, k] = -one.T @ two
        matrix[a, :, b], matrix[b, :, a] = blocks[a, k], blocks[a, k].T
    matrix[np.arange(count), :, np.arange(count)] = blocks[:, 0]
    return blocks, matrix.reshape(4 * count, 4 * count)


def solved(grid: np.ndarray, blocks: np.ndarray, values: np.ndarray) -> np.ndarray:
    """The solution (m, 4) for values (m, 4), nodes as they are numbered in the grid."""
    factor = factorise(grid, blocks.astype(np.float32))
    x = values[factor.tree.order].astype(np.float32)
    factor.solve(x)
    return x[factor.tree.place].astype(np.float64)


def two_islands() -> np.ndarray:
    active = np.zeros((30, 30), bool)
    active[2:12, 3:14] = active[20:28, 19:29] = True
    return active


GRIDS = {
    "one node": np.ones((1, 1), bool),
    "one node of many": np.eye(1, 25, 12, dtype=bool).reshape(5, 5),
    "two nodes": np.ones((1, 2), bool),
    "row": np.ones((1, 110), bool),
    "column": np.ones((110, 1), bool),
    "long and thin": np.ones((3, 50), bool),
    "full": np.ones((14, 15), bool),
    "islands": two_islands(),
    "dust": np.indices((20, 20)).sum(axis=0) % 3 == 0,
    "diagonal": np.eye(60, dtype=bool),
}


@pytest.mark.parametrize("shape", GRIDS)
def test_solves_definite_systems(shape: str) -> None:
    grid = grid_of(GRIDS[shape], seed=1)
    blocks, matrix = random_blocks(grid, 2)
    x = np.random.default_rng(3).normal(size=len(matrix))
    values = solved(grid, blocks, (matrix @ x).reshape(-1, 4))
    # 16 bits: the error of x is bounded by the condition, that of Ax hardly depends on it
    np.testing.assert_allclose(matrix @ values.ravel(), matrix @ x, atol=2e-4 * np.abs(matrix).sum(axis=1).max())
    assert np.linalg.norm(values.ravel() - x) <= 1e-5 * np.linalg.cond(matrix) * np.linalg.norm(x)


@settings(max_examples=25)
@given(seed=st.integers(0, 10**6), rows=st.integers(1, 14), columns=st.integers(1, 14), density=st.floats(0.05, 1))
def test_solves_on_any_grid(seed: int, rows: int, columns: int, density: float) -> None:
    active = np.random.default_rng(seed).random((rows, columns)) < density
    active[0, 0] = True
    grid = grid_of(active, seed)
    blocks, matrix = random_blocks(grid, seed, hold=1.0)
    wanted = np.random.default_rng(seed).normal(size=4 * len(blocks))
    expected = np.linalg.solve(matrix, wanted)
    found = np.zeros_like(wanted)
    for error in (1e-3, 1e-6):  # what is kept in 16 bits is exact enough to start from
        found += solved(grid, blocks, (wanted - matrix @ found).reshape(-1, 4)).ravel()
        np.testing.assert_allclose(found, expected, atol=error * np.abs(expected).max())
    check_tree(grid)


def parents(tree: Tree) -> np.ndarray:
    parent = np.full(len(tree.start), -1)
    for f in range(len(tree.start)):
        parent[tree.children[tree.children_start[f] : tree.children_start[f + 1]]] = f
    return parent


def check_tree(grid: np.ndarray) -> None:
    """What `Tree` documents, by brute force."""
    count, fronts = int((grid >= 0).sum()), 0
    tree = dissect(grid, count)
    fronts, parent = len(tree.start), parents(tree)
    np.testing.assert_array_equal(np.sort(tree.order), np.arange(count))
    np.testing.assert_array_equal(tree.place[tree.order], np.arange(count))
    # fronts cover the places one after the other, children before parents
    np.testing.assert_array_equal(tree.start, [0, *tree.end[:-1]])
    assert tree.end[-1] == count
    assert np.all(tree.start < tree.end)
    assert np.all((parent < 0) | (parent > np.arange(fronts)))
    # borders: what the front's subtree touches and is eliminated later
    touched: list[set[int]] = [set() for _ in range(count)]
    for a, _, b in pairs(grid):
        touched[tree.place[a]].add(int(tree.place[b]))
        touched[tree.place[b]].add(int(tree.place[a]))
    below: list[set[int]] = []
    for f in range(fronts):
        reached = set().union(*(touched[p] for p in range(tree.start[f], tree.end[f])))
        for child in np.flatnonzero(parent == f):
            reached |= below[child]
        below.append({p for p in reached if p >= tree.end[f]})
        border = tree.border[tree.border_start[f] : tree.border_start[f + 1]]
        np.testing.assert_array_equal(border, sorted(below[f]))
        into = tree.into[tree.border_start[f] : tree.border_start[f + 1]]
        if parent[f] >= 0:
            g = parent[f]
            places = [*range(tree.start[g], tree.end[g])]
            places += tree.border[tree.border_start[g] : tree.border_start[g + 1]].tolist()
            np.testing.assert_array_equal(np.array(places)[into], border)
        else:
            assert len(border) == 0
    later = [range(own + len(b) - 1, len(b) - 1, -1) for own, b in zip(tree.end - tree.start, below, strict=True)]
    sizes = [sum(4 * 8 * -(-4 * nodes // 8) for nodes in front) for front in later]
    np.testing.assert_array_equal(np.diff(tree.panel_start), sizes)
    # each front is in one subtree or above them, and a subtree holds all that lies below its root
    runs = [f for low, root in tree.subtrees for f in range(low, root + 1)]
    np.testing.assert_array_equal(np.sort([*runs, *tree.top]), np.arange(fronts))
    for low, root in tree.subtrees:
        assert np.all((parent[low:root] > low) & (parent[low:root] <= root))
        assert not np.any((parent >= low) & (parent < root) & (np.arange(fronts) < low))
    assert np.all(np.diff(tree.top) > 0)


@pytest.mark.parametrize("shape", GRIDS)
def test_fronts_are_as_documented(shape: str) -> None:
    check_tree(grid_of(GRIDS[shape], seed=4))


def test_large_grids_are_shared_between_subtrees_of_like_weight() -> None:
    active = np.ones((60, 60), bool)
    tree = dissect(grid_of(active), active.size)
    weight = np.array([tree.panel_start[root + 1] - tree.panel_start[low] for low, root in tree.subtrees])
    assert len(weight) >= SUBTREES
    halves = weight[: len(weight) // 2].sum(), weight[len(weight) // 2 :].sum()
    assert max(halves) < 1.2 * min(halves)


def test_fill_grows_little_faster_than_the_grid() -> None:
    sizes = [side * side for side in (20, 80)]
    fill = [dissect(grid_of(np.ones((side, side), bool)), side * side).panel_start[-1] for side in (20, 80)]
    assert fill[1] / fill[0] < (sizes[1] / sizes[0]) ** 1.35
    band = [dissect(grid_of(np.ones((4, side), bool)), 4 * side).panel_start[-1] for side in (100, 1000)]
    assert band[1] / band[0] < 15


@pytest.mark.parametrize("shape", ["one node", "row", "full", "islands"])
def test_unknowns_that_the_matrix_does_not_hold_stay_at_zero(shape: str) -> None:
    grid = grid_of(GRIDS[shape], seed=5)
    blocks, _ = random_blocks(grid, 6, hold=0.1)
    only = np.array([1.0, -2.0, 0.5, 0.0])  # four functions that are one, and one of them nothing at all
    scalar = blocks[..., 0, 0]
    blocks = scalar[..., None, None] * np.multiply.outer(only, only)
    matrix = np.zeros((len(blocks), 4, len(blocks), 4))
    for a, k, b in [*pairs(grid), *((a, 0, a) for a in range(len(blocks)))]:
        matrix[a, :, b], matrix[b, :, a] = blocks[a, k], blocks[a, k].T
    flat = matrix.reshape(4 * len(blocks), -1)
    wanted = flat @ np.random.default_rng(7).normal(size=len(flat))
    values = solved(grid, blocks, wanted.reshape(-1, 4))
    np.testing.assert_allclose(flat @ values.ravel(), wanted, atol=1e-3 * np.abs(wanted).max())
    assert np.abs(values[:, 1:]).max() < 1e-6 * np.abs(values[:, 0]).max()


def test_nothing_but_zeros_gives_zeros() -> None:
    grid = grid_of(GRIDS["full"])
    values = solved(grid, np.zeros((grid.size, 5, 4, 4)), np.ones((grid.size, 4)))
    assert np.abs(values).max() < 1e-6


def test_same_bits_for_any_number_of_threads(with_threads: Callable[[int], None]) -> None:
    grid = grid_of(np.ones((20, 21), bool))
    blocks, _ = random_blocks(grid, 8)
    found = []
    for threads in (1, 2):
        with_threads(threads)
        factor = factorise(grid, blocks.astype(np.float32))
        values = np.random.default_rng(9).normal(size=(grid.size, 4)).astype(np.float32)
        factor.solve(values)
        found.append((*factor.panels, values))
    assert len(factor.tree.top) > 4
    for one, two in zip(*found, strict=True):
        np.testing.assert_array_equal(one, two)
