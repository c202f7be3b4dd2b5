"""Two passes over a large band: their sizes, what each sees, and that the result is near the single pass's."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from trimatte import estimate_alpha
from trimatte.alpha import _network
from trimatte.alpha import coarse_to_fine as module
from trimatte.errors import SolverError
from trimatte.images.arrays import UNKNOWN
from trimatte.linalg.report import SolveReport

Edge = Callable[..., tuple[np.ndarray, np.ndarray, np.ndarray]]


@pytest.fixture
def low(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bounds that small pictures exceed."""
    for name, value in (("MOST", 500), ("COARSE", 1500), ("FINE", 100_000)):
        monkeypatch.setattr(module, name, value)


@pytest.mark.parametrize("method", ["light", "light-closed-form", "hybrid"])
def test_two_passes_are_near_one(method: str, noisy_edge: Edge, monkeypatch: pytest.MonkeyPatch) -> None:
    image, trimap, truth = noisy_edge(100, 140)
    one = estimate_alpha(image, trimap, method=method)
    unknown = trimap == UNKNOWN
    for name, value in (("MOST", 500), ("COARSE", int(unknown.sum()) // 3)):
        monkeypatch.setattr(module, name, value)
    two = estimate_alpha(image, trimap, method=method)
    assert two.report.solver.endswith(", in two passes")
    assert two.report.unknown == one.report.unknown == unknown.sum()
    errors = [np.abs(matte.alpha - truth)[unknown].mean() for matte in (one, two)]
    assert errors[1] < errors[0] + 0.02
    np.testing.assert_array_equal(two.alpha[~unknown], trimap[~unknown] / 255)


@pytest.mark.usefixtures("low")
def test_the_second_pass_sees_what_the_first_leaves_mixed() -> None:
    x = np.arange(160)
    alpha = np.clip((x - 78) / 4, 0, 1).astype(np.float32)
    image = np.broadcast_to(alpha[:, None], (64, 160, 3)).copy()
    trimap = np.broadcast_to(np.where(x < 20, 0, np.where(x >= 140, 255, 128)), (64, 160)).astype(np.uint8)
    seen = []

    def estimate(
        image: np.ndarray, trimap: np.ndarray, report: SolveReport, *, narrow: bool, **planes: np.ndarray
    ) -> np.ndarray:
        assert narrow
        np.testing.assert_allclose(planes["probability"], image[..., 0], atol=1e-6)
        assert report.unknown == np.count_nonzero(trimap == UNKNOWN)
        seen.append(trimap)
        return image[..., 0]

    report = SolveReport(unknown=int(np.count_nonzero(trimap == UNKNOWN)))
    found = module.coarse_to_fine(estimate, image, trimap, report, probability=image[..., 0])
    small, full = seen
    assert small.shape == (22, 54)
    left = np.flatnonzero(full[32] == UNKNOWN)
    assert 78 - 16 < left[0] < 78 < 82 < left[-1] < 82 + 16
    np.testing.assert_allclose(found, np.broadcast_to(alpha, found.shape), atol=0.03)


@pytest.mark.usefixtures("low")
def test_the_first_pass_is_kept_where_the_second_fails() -> None:
    x = np.arange(160)
    image = np.broadcast_to(np.clip((x - 78) / 4, 0, 1)[:, None], (64, 160, 3)).astype(np.float32)
    trimap = np.broadcast_to(np.where(x < 20, 0, np.where(x >= 140, 255, 128)), (64, 160)).astype(np.uint8)
    passes = []

    def estimate(
        image: np.ndarray, trimap: np.ndarray, report: SolveReport, *, narrow: bool, **planes: np.ndarray
    ) -> np.ndarray:
        passes.append(trimap)
        if len(passes) == 2:
            raise SolverError("max_memory")
        return image[..., 0]

    unknown = int(np.count_nonzero(trimap == UNKNOWN))
    report = SolveReport(unknown=unknown)
    found = module.coarse_to_fine(estimate, image, trimap, report)
    assert len(passes) == 2
    np.testing.assert_allclose(found, image[..., 0], atol=0.1)
    assert report.fallbacks == ["the second pass failed, the first one's alpha is kept: max_memory"]
    assert report.unknown == unknown


def test_narrow_windows_are_cut_down_to_the_band() -> None:
    unknown = np.zeros((900, 1000), bool)
    unknown[np.arange(100, 800), np.arange(150, 850)] = True
    count = np.zeros(unknown.shape, int)
    for seen, inner, part in _network.windows(unknown, 16, margin=32):
        count[part] += 1
        np.testing.assert_array_equal(unknown[seen][inner], unknown[part])
        assert seen[0].start % 16 == seen[1].start % 16 == 0
    assert (count[unknown] == 1).all()
    assert count.sum() < 900 * 1000 // 2
