"""Squared distances against SciPy's exact Euclidean distance transform."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import distance_transform_edt

from trimatte.planes.distance import squared_distance


def twin(target: np.ndarray, limit: int) -> np.ndarray:
    """The same by SciPy."""
    far = (limit + 1) ** 2
    if not target.any():
        return np.full(target.shape, far)
    return np.minimum(np.round(distance_transform_edt(~target) ** 2), far)


@settings(max_examples=80)
@given(
    height=st.integers(1, 40),
    width=st.integers(1, 90),
    density=st.sampled_from([0.0, 0.002, 0.02, 0.3, 1.0]),
    limit=st.integers(1, 120),
    seed=st.integers(0, 2**32 - 1),
)
def test_distances_are_exact_up_to_the_limit(height: int, width: int, density: float, limit: int, seed: int) -> None:
    target = np.random.default_rng(seed).random((height, width)) < density
    np.testing.assert_array_equal(squared_distance(target, limit), twin(target, limit))


@pytest.mark.parametrize("shape", [(200, 300), (1, 500), (500, 1)])
def test_larger_and_thin_pictures(shape: tuple[int, int]) -> None:
    target = np.random.default_rng(1).random(shape) < 0.001
    target[0, 0] = True
    np.testing.assert_array_equal(squared_distance(target, 1000), twin(target, 1000))


def test_the_input_is_not_changed() -> None:
    target = np.eye(5, dtype=bool)
    before = target.copy()
    squared_distance(target, 3)
    np.testing.assert_array_equal(target, before)
