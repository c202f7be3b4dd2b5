"""Zeros that take memory where they are written to."""

from __future__ import annotations

import numpy as np
import pytest

from trimatte.planes.paged import paged_zeros


@pytest.mark.parametrize("shape", [(5, 7), (3, 4, 6), (0, 3)])
def test_they_are_zeros_that_can_be_written(shape: tuple[int, ...]) -> None:
    plane = paged_zeros(shape)
    assert (plane.shape, plane.dtype) == (shape, np.float32)
    assert plane.flags.c_contiguous
    assert not plane.any()
    plane += 1
    assert plane.sum() == plane.size
