"""`estimate_alpha`: known pixels, trimaps without a kind, methods by name, honesty of the report."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from trimatte import alpha_methods, estimate_alpha
from trimatte.alpha import METHODS, AlphaMethod
from trimatte.errors import ArgumentError, ConvergenceWarning, MissingExtraError, SolverError
from trimatte.linalg import SolveReport

CLASSICAL = ["closed-form", "knn", "learning-based", "large-kernel", "random-walk", "shared"]


@pytest.mark.parametrize("method", [*CLASSICAL, "pymatting:cf"])
def test_every_method_finds_a_soft_edge(method: str, photo: np.ndarray, trimap: np.ndarray, truth: np.ndarray) -> None:
    matte = estimate_alpha(photo, trimap, method=method)
    assert matte.alpha.dtype == np.float32
    assert matte.alpha.shape == truth.shape
    assert matte.alpha.min() >= 0
    assert matte.alpha.max() <= 1
    assert (matte.alpha[trimap == 255] == 1).all()
    assert (matte.alpha[trimap == 0] == 0).all()
    unknown = trimap == 128
    guess = np.abs(0.5 - truth[unknown]).mean()
    assert np.abs(matte.alpha - truth)[unknown].mean() < 0.8 * guess
    assert matte.report.method == method
    assert matte.report.unknown == np.count_nonzero(unknown)
    assert matte.report.converged
    assert matte.report.seconds["alpha"] > 0


def test_without_the_package_its_methods_name_the_extra(
    photo: np.ndarray, trimap: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pymatting", None)
    with pytest.raises(MissingExtraError, match=r"trimatte\[peers\]"):
        estimate_alpha(photo, trimap, method="pymatting:cf")


def test_the_names_are_listed() -> None:
    assert set(CLASSICAL) <= set(alpha_methods())


@pytest.mark.parametrize(("values", "expected"), [((0, 128), 0), ((255, 128), 1), ((0,), 0), ((255,), 1), ((128,), 0)])
@pytest.mark.parametrize("method", CLASSICAL)
def test_a_trimap_that_lacks_a_kind_has_a_defined_result(
    photo: np.ndarray, values: tuple[int, ...], expected: int, method: str
) -> None:
    trimap = np.resize(np.array(values, np.uint8), photo.shape[:2])
    matte = estimate_alpha(photo, trimap, method=method)
    assert (matte.alpha == expected).all()
    assert len(matte.report.fallbacks) == 1


def test_a_trimap_without_unknown_pixels_is_the_alpha(photo: np.ndarray, truth: np.ndarray) -> None:
    matte = estimate_alpha(photo, truth > 0.5)
    np.testing.assert_array_equal(matte.alpha, (truth > 0.5).astype(np.float32))


def test_arrays_images_and_paths_give_the_same(tmp_path: Path, photo: np.ndarray, trimap: np.ndarray) -> None:
    Image.fromarray(photo).save(tmp_path / "photo.png")
    Image.fromarray(trimap).save(tmp_path / "trimap.png")
    expected = estimate_alpha(photo, trimap).alpha
    for image, known in (
        (photo / 255.0, trimap / 255.0),
        (photo.astype(np.uint16) * 257, trimap.astype(np.uint16) * 257),
        (Image.fromarray(photo), Image.fromarray(trimap)),
        (tmp_path / "photo.png", str(tmp_path / "trimap.png")),
    ):
        np.testing.assert_allclose(estimate_alpha(image, known).alpha, expected, atol=1e-4)


def test_inputs_are_not_changed(photo: np.ndarray, trimap: np.ndarray) -> None:
    before = photo.copy(), trimap.copy()
    estimate_alpha(photo, trimap)
    np.testing.assert_array_equal(photo, before[0])
    np.testing.assert_array_equal(trimap, before[1])


def test_a_solve_that_did_not_converge_is_told(
    photo: np.ndarray, trimap: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unsolved(image: np.ndarray, trimap: np.ndarray, report: SolveReport) -> np.ndarray:
        report.converged, report.iterations, report.residual = False, 7, 0.1
        return np.full(trimap.shape, 0.5)

    monkeypatch.setitem(METHODS, "unsolved", AlphaMethod(function=unsolved))
    with pytest.warns(ConvergenceWarning, match="7 iterations"):
        matte = estimate_alpha(photo, trimap, method="unsolved")
    assert not matte.report.converged
    with pytest.raises(SolverError, match="not converged"):
        estimate_alpha(photo, trimap, method="unsolved", strict=True)


def test_what_a_method_gives_is_clipped_and_known_pixels_win(
    photo: np.ndarray, trimap: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    wild = AlphaMethod(function=lambda image, trimap, report: np.full(trimap.shape, 3.0))
    monkeypatch.setitem(METHODS, "wild", wild)
    alpha = estimate_alpha(photo, trimap, method="wild").alpha
    np.testing.assert_array_equal(alpha, (trimap > 0).astype(np.float32))


def test_a_trimap_free_method_takes_none(photo: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    free = AlphaMethod(function=lambda image, trimap, report: image.mean(axis=2), needs_trimap=False)
    monkeypatch.setitem(METHODS, "free", free)
    np.testing.assert_allclose(estimate_alpha(photo, method="free").alpha, photo.mean(axis=2) / 255, atol=1e-3)


@pytest.mark.parametrize(
    ("method", "words"),
    [("closed", "closed-form"), ("nothing-like-it", "knn"), ("pymatting:xyz", "cf, knn"), ("", "closed-form")],
)
def test_an_unknown_method_lists_those_there_are(
    photo: np.ndarray, trimap: np.ndarray, method: str, words: str
) -> None:
    with pytest.raises(ArgumentError, match=words):
        estimate_alpha(photo, trimap, method=method)


def test_an_unknown_option_is_refused(photo: np.ndarray, trimap: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    def plain(image: np.ndarray, trimap: np.ndarray, report: SolveReport, *, width: int = 1) -> np.ndarray:
        return trimap / 255.0

    monkeypatch.setitem(METHODS, "plain", AlphaMethod(function=plain))
    with pytest.raises(ArgumentError, match=r"widht: .*width"):
        estimate_alpha(photo, trimap, method="plain", widht=3)


@pytest.mark.parametrize(
    ("trimap", "words"),
    [
        (None, "trimap: got None"),
        (np.zeros((72, 95), np.uint8), r"trimap: .*\(72, 95\)"),
        (np.zeros((72, 96, 3), np.uint8), r"trimap: .*\(72, 96, 3\)"),
        (np.full((72, 96), 1.1), "trimap: "),
        (np.full((72, 96), np.nan), "trimap: "),
        (np.zeros((72, 96), int), "trimap: "),
    ],
)
def test_a_bad_trimap(photo: np.ndarray, trimap: object, words: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ArgumentError, match=words):
            estimate_alpha(photo, trimap)
