"""Pixels that nothing known determines are counted, warned of, and refused with `strict`, by every method."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import trimatte
from trimatte.alpha import ready_methods
from trimatte.alpha.undetermined import LEVELS, LIKENESS, NEAR, _count_colours, _mark, _mixed, undetermined
from trimatte.errors import ConvergenceWarning, SolverError, SubjectWarning

SIZE = 72
Y, X = np.mgrid[:SIZE, :SIZE]
R = np.hypot(Y - 35.5, X - 35.5)


def outlined(width: float = 5, noise: float = 0.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A white face with a black outline on a white page: image, a trimap that knows no black, and the outline."""
    ring = np.clip(width / 2 + 0.5 - np.abs(R - 22), 0, 1)
    image = np.repeat(1 - ring[..., None], 3, axis=2)
    image += np.random.default_rng(0).normal(0, noise, image.shape)
    trimap = np.where(R < 16, 255, np.where(R > 28, 0, 128)).astype(np.uint8)
    return np.clip(image, 0, 1).astype(np.float32), trimap, ring == 1


@pytest.mark.parametrize("method", [*ready_methods(), "pymatting:cf"])
def test_every_method_tells_of_an_outline_of_which_nothing_is_known(method: str) -> None:
    image, trimap, ring = outlined()
    with pytest.warns(ConvergenceWarning) as caught:
        matte = trimatte.estimate_alpha(image, trimap, method=method)
    assert any("nothing known determines" in str(warning.message) for warning in caught)
    assert matte.report.undetermined >= np.count_nonzero(ring)
    assert matte.report.as_dict()["undetermined"] == matte.report.undetermined
    assert len({str(warning.message) for warning in caught}) == len(caught)
    with pytest.raises(SolverError, match="nothing known determines"):
        trimatte.estimate_alpha(image, trimap, method=method, strict=True)


def test_cutout_tells_too() -> None:
    image, trimap, _ = outlined()
    with pytest.warns(SubjectWarning, match="nothing known determines"):
        result = trimatte.cutout(image, trimap=trimap)
    assert any("nothing known determines" in text for text in result.report.warnings)
    with pytest.raises(SolverError, match="nothing known determines"):
        trimatte.cutout(image, trimap=trimap, strict=True)


@pytest.mark.parametrize("local", [True, False])
@pytest.mark.parametrize(("width", "noise"), [(3, 0), (5, 0.02), (9, 0.04)])
def test_an_outline_is_found_whatever_its_width(width: float, noise: float, local: bool) -> None:
    image, trimap, ring = outlined(width, noise)
    found = undetermined(image, trimap, local=local)
    assert found[ring].all()
    assert not found[trimap != 128].any()


def test_a_known_stroke_of_the_outline_is_enough() -> None:
    image, trimap, _ = outlined()
    trimap = np.where((np.abs(R - 22) < 2) & (X < 24), np.uint8(255), trimap)
    assert not undetermined(image, trimap, local=True).any()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert trimatte.estimate_alpha(image, trimap, strict=True).report.undetermined == 0


def test_what_is_known_far_away_only_counts_for_methods_that_see_it() -> None:
    image, trimap, ring = outlined()
    image, trimap = (np.concatenate([plane, plane], axis=1) for plane in (image, trimap))
    trimap[:, SIZE:] = np.where(ring, 255, 0)
    image[trimap == 0] = 1
    assert undetermined(image, trimap, local=True)[:, :SIZE][ring].all()
    assert not undetermined(image, trimap, local=False).any()


def test_a_glint_is_not_counted() -> None:
    """A red square in a grey band of 200,000 unknown pixels, of which 20 pixels would be counted."""
    image = np.full((500, 600, 3), 0.5, np.float32)
    image[:, :100], image[:, 500:] = 0.2, 0.8
    trimap = np.full((500, 600), 128, np.uint8)
    trimap[:, :100], trimap[:, 500:] = 0, 255
    for side, counted in ((4, 0), (8, 64)):
        image[240 : 240 + side, 300 : 300 + side] = (0.9, 0.1, 0.1)
        assert np.count_nonzero(undetermined(image, trimap, local=True)) == counted


@pytest.mark.parametrize("step", [1, 2, 3])
def test_colours_are_counted_as_by_masks(step: int) -> None:
    rng = np.random.default_rng(1)
    image, trimap = rng.random((50, 70, 3), np.float32), rng.choice(np.array([0, 128, 255], np.uint8), (50, 70))
    image[:9] = rng.integers(0, LEVELS + 1, (9, 70, 3)) / np.float32(LEVELS)  # at the borders of bins
    blocks = rng.random((4, 5)) < 0.5
    counted = np.zeros((50, 70), bool)
    counted[::step, ::step] = np.kron(blocks, np.ones((NEAR, NEAR), bool))[:50:step, :70:step]
    counts = np.zeros((3, LEVELS**3), np.int64)
    _count_colours(image, trimap, blocks, step, counts)
    steps = np.minimum((image * LEVELS).astype(int), LEVELS - 1)
    bins = np.ravel_multi_index(tuple(np.moveaxis(steps, -1, 0)), (LEVELS,) * 3)
    masks = (trimap == 0) & counted, trimap == 128, (trimap == 255) & counted
    for kind, mask in enumerate(masks):
        np.testing.assert_array_equal(counts[kind], np.bincount(bins[mask], minlength=LEVELS**3))
    chosen, found = rng.random(LEVELS**3) < 0.3, np.zeros(trimap.shape, bool)
    _mark(image, trimap, chosen, found)
    np.testing.assert_array_equal(found, chosen[bins] & (trimap == 128))


def test_mixes_are_found_as_by_the_formula() -> None:
    rng = np.random.default_rng(0)
    colours, foreground, background = (rng.random((count, 3)).astype(np.float32) for count in (40, 5, 7))
    share = np.linspace(0, 1, 2001, dtype=np.float32)[:, None]
    nearest = [
        min(np.square(c - share * f - (1 - share) * b).sum(-1).min() for f in foreground for b in background) ** 0.5
        for c in colours
    ]
    expected = np.array(nearest) <= LIKENESS
    assert 5 < expected.sum() < 35
    np.testing.assert_array_equal(_mixed(colours, foreground, background, 64), expected)


def test_mixed_and_shaded_colours_are_determined(photo: np.ndarray, trimap: np.ndarray) -> None:
    image = np.asarray(photo, np.float32) / 255
    shade = np.clip(1.2 - R / 30, 0, 1)[..., None] * np.array([1, 0.8, 0.6])
    sphere = np.where(R[..., None] < 28, shade, np.array([0.2, 0.4, 0.9])).astype(np.float32)
    known = np.where(R < 14, 255, np.where(R > 33, 0, 128)).astype(np.uint8)
    for local in (True, False):
        assert not undetermined(image, trimap, local=local).any()
        assert not undetermined(sphere, known, local=local).any()
