"""Edits of a trimap against fresh solves."""

from __future__ import annotations

import numpy as np
import pytest

import trimatte
from trimatte.alpha.prepared import SETTLED


def hairy(size: int = 220) -> tuple[np.ndarray, np.ndarray]:
    """A soft-edged disc over a textured background, and its trimap."""
    rng = np.random.default_rng(3)
    y, x = np.mgrid[:size, :size] - size / 2
    radius = np.hypot(y, x) + 4 * np.sin(9 * np.arctan2(y, x))
    alpha = np.clip((0.3 * size - radius) / 6 + 0.5, 0, 1)[..., None]
    foreground, background = np.array([0.8, 0.4, 0.2]), np.array([0.1, 0.5, 0.7])
    image = alpha * foreground + (1 - alpha) * background + rng.normal(0, 0.02, (size, size, 3))
    trimap = np.full((size, size), 128, np.uint8)
    trimap[radius > 0.3 * size + 14] = 0
    trimap[radius < 0.3 * size - 14] = 255
    return np.clip(image, 0, 1).astype(np.float32), trimap


def edited(trimap: np.ndarray, value: int, at: tuple[int, int], side: int = 12) -> np.ndarray:
    changed = trimap.copy()
    changed[at[0] : at[0] + side, at[1] : at[1] + side] = value
    return changed


@pytest.mark.parametrize("method", ["closed-form", "learning-based", "random-walk"])
@pytest.mark.parametrize("value", [0, 128, 255])
def test_an_edit_comes_close_to_a_fresh_solve(method: str, value: int) -> None:
    image, trimap = hairy()
    prepared = trimatte.prepare_alpha(image, trimap, method=method)
    changed = edited(trimap, value, (104, 156) if value == 128 else (104, 170))
    matte = prepared.update(changed)
    fresh = trimatte.estimate_alpha(image, changed, method=method).alpha
    assert matte.report.unknown < np.count_nonzero(changed == 128)
    assert np.abs(matte.alpha - fresh).mean() < 1e-3
    if prepared.settled:
        assert np.abs(matte.alpha - fresh).max() < 5 * SETTLED
    np.testing.assert_array_equal(matte.alpha[changed == 255], 1)
    np.testing.assert_array_equal(matte.alpha[changed == 0], 0)


def test_solve_is_exact_after_edits() -> None:
    image, trimap = hairy()
    prepared = trimatte.prepare_alpha(image, trimap)
    for at in ((40, 100), (100, 40), (160, 120)):
        prepared.update(edited(prepared.trimap, 255, at))
    fresh = trimatte.estimate_alpha(image, prepared.trimap, rtol=1e-8).alpha
    assert np.abs(prepared.solve().alpha - fresh).max() < 2e-3
    assert prepared.settled


def test_an_unchanged_trimap_costs_nothing_and_changes_nothing() -> None:
    image, trimap = hairy(90)
    prepared = trimatte.prepare_alpha(image, trimap)
    before = prepared.alpha
    assert prepared.update(trimap.copy()).alpha is before


def test_an_edit_does_not_touch_what_was_handed_out() -> None:
    image, trimap = hairy(90)
    prepared = trimatte.prepare_alpha(image, trimap)
    before, kept = prepared.alpha, prepared.alpha.copy()
    prepared.update(edited(trimap, 0, (40, 60)))
    np.testing.assert_array_equal(before, kept)


def test_a_border_that_still_changes_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    image, trimap = hairy()
    prepared = trimatte.prepare_alpha(image, trimap)
    monkeypatch.setattr("trimatte.alpha.prepared.SETTLED", -1.0)
    report = prepared.update(edited(trimap, 255, (104, 175))).report
    assert not prepared.settled
    assert any("border" in note for note in report.fallbacks)


@pytest.mark.parametrize("kind", [0, 128, 255])
def test_an_edit_that_leaves_one_kind_only_is_solved_as_a_whole(kind: int) -> None:
    image, trimap = hairy(60)
    prepared = trimatte.prepare_alpha(image, trimap)
    changed = np.full_like(trimap, kind)
    np.testing.assert_array_equal(prepared.update(changed).alpha, 1.0 if kind == 255 else 0.0)


def test_a_method_without_local_solves_is_solved_anew() -> None:
    image, trimap = hairy(60)
    prepared = trimatte.prepare_alpha(image, trimap, method="shared")
    changed = edited(trimap, 255, (20, 20))
    fresh = trimatte.estimate_alpha(image, changed, method="shared").alpha
    np.testing.assert_array_equal(prepared.update(changed).alpha, fresh)


@pytest.mark.parametrize("trimap", [None, np.zeros((3, 4), np.uint8)])
def test_a_trimap_that_does_not_fit_is_refused(trimap: np.ndarray | None) -> None:
    image, _ = hairy(60)
    with pytest.raises(ValueError, match="trimap"):
        trimatte.prepare_alpha(image, trimap)
