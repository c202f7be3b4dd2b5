"""Neighbours by the tree against distances to all points."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trimatte.alpha._nearest import NO_ROW, _search, nearest
from trimatte.alpha._rivals import rivals
from trimatte.alpha._tree import IS_LEAF, LEAF, SEVERAL, WIDE, tree_of


def distances(points: np.ndarray) -> np.ndarray:
    """Between all pairs of points (N, d)."""
    return np.asarray(np.sqrt(((points[:, None].astype(float) - points.astype(float)) ** 2).sum(axis=2)))


@settings(max_examples=40)
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


@pytest.mark.parametrize("n", [1, LEAF, LEAF + 1, 1000, 9000])
@pytest.mark.parametrize("steps", [1, 4, 10**6])
def test_the_tree_keeps_every_point_in_its_boxes(n: int, steps: int) -> None:
    assert 1000 < SEVERAL < 9000
    points = (np.random.default_rng(0).integers(0, steps, (n, 5)) / steps).astype(np.float32)
    tree = tree_of(points)
    assert sorted(tree.indices.tolist()) == list(range(n))
    ordered = tree.leaves.transpose(0, 2, 1).reshape(-1, 5)
    np.testing.assert_array_equal(points[tree.indices], ordered[:n])
    assert np.isinf(ordered[n:]).all()
    nodes = []

    def check(node: int) -> tuple[list[int], np.ndarray]:
        """The leaves below a node, in order, and their points."""
        if node & int(IS_LEAF):
            leaf = node ^ int(IS_LEAF)
            return [leaf], ordered[leaf * LEAF : min(n, (leaf + 1) * LEAF)]
        nodes.append(node)
        low, high = tree.boxes[node]
        there = (low <= high).all(axis=0)
        below = [check(int(tree.first[node]) + child) for child in range(np.count_nonzero(there))]
        for child, (_, inside) in enumerate(below):
            np.testing.assert_array_equal(inside.min(axis=0), low[:, child])
            np.testing.assert_array_equal(inside.max(axis=0), high[:, child])
        assert np.isinf(low[:, len(below) :]).all()
        return [leaf for leaves, _ in below for leaf in leaves], np.concatenate([inside for _, inside in below])

    assert check(0)[0] == list(range(len(tree.leaves)))
    assert sorted(nodes) == list(range(len(tree.boxes)))


def test_leaves_are_halves_of_halves() -> None:
    points = np.random.default_rng(0).random((5000, 5)).astype(np.float32)
    points[:, 2] *= 9  # so the widest side at the root, and at both halves
    leaves = tree_of(points).leaves[:, 2]
    quarters = [
        np.sort(part[np.isfinite(part)]) for part in (leaves[:78], leaves[78:156], leaves[156:234], leaves[234:])
    ]
    np.testing.assert_array_equal(np.concatenate(quarters), np.sort(points[:, 2]))


def test_a_node_has_up_to_so_many_children() -> None:
    points = np.random.default_rng(0).random((LEAF * WIDE, 5)).astype(np.float32)
    assert len(tree_of(points).boxes) == 1
    assert len(tree_of(np.concatenate([points, points[:1]])).boxes) == 3


@pytest.mark.parametrize("n", [LEAF, 500])
def test_equal_points_are_found(n: int) -> None:
    names = np.arange(n, dtype=np.uint32)
    found = nearest(tree_of(np.zeros((n, 5), np.float32)), names, 4, 0.0, names)
    assert all(len(set(row)) == 4 for row in found.tolist())


@settings(max_examples=40)
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
    apart = rivals(tree_of(points), tree_of(points[:most]), count)
    given_ones = set(np.flatnonzero(np.isfinite(apart)).tolist())
    squares = ((points[:, None] - points).astype(np.float64) ** 2).sum(axis=2)
    reach = np.sort(squares, axis=1)[:, count - 1]
    closest = squares[:, :most].min(axis=1)
    has_free = (closest < (1 - 1e-5) * reach).nonzero()[0]
    assert {int(i) for i in has_free if i >= most} <= given_ones
    assert all(i >= most for i in given_ones)
    np.testing.assert_allclose(apart[sorted(given_ones)], closest[sorted(given_ones)], rtol=1e-5, atol=1e-30)


def test_fixed_points_far_from_all_free_ones_are_spared() -> None:
    points = np.random.default_rng(0).random((4000, 5)).astype(np.float32)
    points[:500, 0] += 9
    assert np.isinf(rivals(tree_of(points), tree_of(points[:500]), 10)).all()


@settings(max_examples=30)
@given(seed=st.integers(0, 2**32 - 1), n=st.integers(20, 30 * LEAF), free=st.floats(0.01, 0.9))
def test_a_query_without_near_neighbours_that_matter_may_give_its_own_name_only(seed: int, n: int, free: float) -> None:
    points = np.random.default_rng(seed).random((n, 5)).astype(np.float32)
    names, most = np.arange(n, dtype=np.uint32), max(1, round(free * (n - 1)))
    tree = tree_of(points)
    least = rivals(tree, tree_of(points[:most]), 7)
    asking = np.flatnonzero(np.isfinite(least))
    rows = np.full(n, NO_ROW, np.uint32)
    rows[asking] = np.arange(len(asking))
    whole, short = (nearest(tree, rows, 7, 0.0, names, limit) for limit in (None, least))
    for own, full, found in zip(asking, whole, short, strict=True):
        if (found == own).all():
            assert (full >= most).all()
        else:
            np.testing.assert_array_equal(full, found)


@pytest.mark.parametrize("colours", [1, 20, 200])
def test_pixels_of_few_colours_are_compared_with_those_about_them_only(colours: int) -> None:
    side = 400
    y, x = np.mgrid[:side, :side] / (side - 1)
    stripes = np.floor(colours * (x + np.sin(5 * y) / 3).clip(0)) / 255
    points = np.stack([stripes, 0 * x, stripes, x / 10, y / 10], axis=-1).reshape(-1, 5).astype(np.float32)
    tree, names = tree_of(points), np.arange(side**2, dtype=np.uint32)
    homes, least, found = np.arange(len(tree.leaves), dtype=np.uint32), np.zeros(side**2, np.float32), (side**2, 10)
    compared = _search(
        0, len(homes), homes, names, 10, np.float32(1), names, least, tree.indices, tree.leaves.ravel(),
        tree.boxes.ravel(), tree.first, np.empty(found, np.uint32),
    )  # fmt: skip
    assert compared <= 15 * len(homes)
