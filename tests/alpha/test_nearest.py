"""Neighbours by the tree against distances to all points."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trimatte.alpha._nearest import CHILDREN, IS_LEAF, LEAF, NO_ROW, nearest, tree_of
from trimatte.alpha._rivals import with_rivals


def distances(points: np.ndarray) -> np.ndarray:
    """Between all pairs of points (N, d)."""
    return np.asarray(np.sqrt(((points[:, None].astype(float) - points.astype(float)) ** 2).sum(axis=2)))


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    n=st.integers(1, 12 * LEAF),
    share=st.floats(0, 1),
    steps=st.sampled_from([2, 30, 10**6]),
    slack=st.sampled_from([0.0, 1.0, 3.0]),
)
def test_neighbours_are_as_near_as_promised(seed: int, n: int, share: float, steps: int, slack: float) -> None:
    rng = np.random.default_rng(seed)
    points = (rng.integers(0, steps, (n, 5)) / steps).astype(np.float32)
    queries, count = max(1, round(share * n)), min(n, 7)
    names = rng.permutation(queries).astype(np.uint32)
    names = np.concatenate([names, np.arange(queries, n, dtype=np.uint32)])
    rows = np.where(np.arange(n) < queries, names, NO_ROW)
    found = nearest(tree_of(points), rows, count, slack, names)
    named = np.empty_like(points)
    named[names] = points
    apart = distances(named)[:queries]
    got = np.take_along_axis(apart, found.astype(np.int64), axis=1)
    least = np.sort(apart, axis=1)[:, :count]
    assert all(len(set(row)) == count for row in found.tolist())
    assert (got <= (1 + slack) * least + 1e-6).all()
    assert (np.diff(got, axis=1) >= -1e-6).all()


def test_the_tree_keeps_every_point_in_its_boxes() -> None:
    points = np.random.default_rng(0).normal(size=(1000, 5)).astype(np.float32)
    tree = tree_of(points)
    assert sorted(tree.indices.tolist()) == list(range(1000))
    ordered = tree.leaves.transpose(0, 2, 1).reshape(-1, 5)
    np.testing.assert_array_equal(points[tree.indices], ordered[:1000])
    assert np.isinf(ordered[1000:]).all()

    children = tree.forks.view(np.uint32)[:, CHILDREN : CHILDREN + 2]

    def check(node: int) -> tuple[list[int], np.ndarray]:
        """The leaves below a node, in order, and their points."""
        if node & IS_LEAF:
            leaf = int(node ^ IS_LEAF)
            return [leaf], ordered[leaf * LEAF : min(1000, (leaf + 1) * LEAF)]
        below = [check(child) for child in children[node]]
        for side, (_, inside) in enumerate(below):
            np.testing.assert_array_equal(inside.min(axis=0), tree.forks[node, side:CHILDREN:4])
            np.testing.assert_array_equal(inside.max(axis=0), tree.forks[node, side + 2 : CHILDREN : 4])
        return below[0][0] + below[1][0], np.concatenate([inside for _, inside in below])

    assert check(0)[0] == list(range(len(tree.leaves)))


@pytest.mark.parametrize("n", [LEAF, 500])
def test_equal_points_are_found(n: int) -> None:
    names = np.arange(n, dtype=np.uint32)
    found = nearest(tree_of(np.zeros((n, 5), np.float32)), names, 4, 0.0, names)
    assert all(len(set(row)) == 4 for row in found.tolist())


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    n=st.integers(2, 30 * LEAF),
    free=st.floats(0, 1),
    steps=st.sampled_from([3, 30, 10**6]),
    count=st.sampled_from([1, 7, 20, 300]),
)
def test_no_fixed_point_with_a_free_neighbour_is_missed(seed: int, n: int, free: float, steps: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    points = (rng.integers(0, steps, (n, 5)) / steps).astype(np.float32)
    most, count = max(1, round(free * (n - 1))), min(n, count)
    given_ones = set(with_rivals(tree_of(points), tree_of(points[:most]), count).tolist())
    squares = ((points[:, None] - points).astype(np.float64) ** 2).sum(axis=2)
    reach = np.sort(squares, axis=1)[:, count - 1]
    has_free = (squares[:, :most].min(axis=1) < (1 - 1e-5) * reach).nonzero()[0]
    assert {int(i) for i in has_free if i >= most} <= given_ones
    assert all(i >= most for i in given_ones)


def test_fixed_points_far_from_all_free_ones_are_spared() -> None:
    points = np.random.default_rng(0).random((4000, 5)).astype(np.float32)
    points[:500, 0] += 9
    assert len(with_rivals(tree_of(points), tree_of(points[:500]), 10)) == 0
