"""pymatting's calls, answered here, against pymatting itself where it is installed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from trimatte.compat import pymatting as ours
from trimatte.errors import ArgumentError

METHODS = ("cf", "knn", "lbdm", "lkm", "rw", "sm")


@pytest.fixture
def floats(photo: np.ndarray, trimap: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return photo / 255.0, trimap / 255.0


@pytest.mark.parametrize("name", METHODS)
def test_each_method_finds_alpha(name: str, floats: Any, truth: np.ndarray) -> None:
    image, trimap = floats
    alpha = getattr(ours, f"estimate_alpha_{name}")(image, trimap)
    assert (alpha.dtype, alpha.shape) == (np.float64, (72, 96))
    assert np.abs(alpha - truth).mean() < 0.03


def test_options_have_the_names_that_they_have_there(floats: Any) -> None:
    image, trimap = floats
    plain = ours.estimate_alpha_cf(image, trimap)
    for options in ({"laplacian_kwargs": {"epsilon": 1e-3, "radius": 2}}, {"cg_kwargs": {"rtol": 0.3}}):
        other = ours.estimate_alpha_cf(image, trimap, **options)
        assert 0 < np.abs(other - plain).max() < 0.5
    ours.estimate_alpha_knn(image, trimap, laplacian_kwargs={"n_neighbors": [10, 5], "distance_weights": [2.0, 0.1]})
    with pytest.raises(ArgumentError, match="kernel"):
        ours.estimate_alpha_cf(image, trimap, laplacian_kwargs={"kernel": "soft"})
    with pytest.raises(ArgumentError, match="callback"):
        ours.estimate_alpha_cf(image, trimap, cg_kwargs={"callback": print})
    with pytest.raises(ArgumentError, match="preconditioner"):
        ours.estimate_alpha_cf(image, trimap, preconditioner=lambda r: r)


def test_colours_and_helpers(floats: Any, truth: np.ndarray) -> None:
    image, trimap = floats
    alpha = ours.estimate_alpha_cf(image, trimap)
    foreground, background = ours.estimate_foreground_ml(image, alpha, return_background=True)
    for colours in (foreground, ours.estimate_foreground_ml(image, alpha), ours.estimate_foreground_cf(image, alpha)):
        assert abs(colours[(truth > 0.4) & (truth < 0.9)].mean(axis=0) - (0.95, 0.85, 0.75)).max() < 0.05
    assert np.abs(ours.blend(foreground, background, alpha) - image).mean() < 0.02
    assert ours.stack_images(foreground, alpha).shape == (72, 96, 4)


def test_both_layers_are_theirs_in_every_pixel() -> None:
    theirs = pytest.importorskip("pymatting")
    image = np.random.default_rng(0).random((150, 170, 3))
    alpha = np.zeros((150, 170))
    alpha[40:110, 50:120] = 1
    alpha[40:110, 80:90] = np.linspace(0.1, 0.9, 10)
    mine, other = (module.estimate_foreground_ml(image, alpha, return_background=True) for module in (ours, theirs))
    for layer, wanted in zip(mine, other, strict=True):
        np.testing.assert_allclose(layer, wanted, atol=1e-4)


def test_file_to_file(photo: np.ndarray, trimap: np.ndarray, tmp_path: Path, truth: np.ndarray) -> None:
    Image.fromarray(photo).save(tmp_path / "photo.png")
    grey = np.where(trimap == 0, 20, np.where(trimap == 255, 240, 128)).astype(np.uint8)  # within the thresholds
    Image.fromarray(grey).save(tmp_path / "trimap.png")
    ours.cutout(str(tmp_path / "photo.png"), str(tmp_path / "trimap.png"), str(tmp_path / "out.png"))
    rgba = np.asarray(Image.open(tmp_path / "out.png"))
    assert np.abs(rgba[..., 3] / 255 - truth).mean() < 0.02
    assert ours.load_image(str(tmp_path / "trimap.png"), "GRAY").shape == (72, 96)
    assert ours.load_image(str(tmp_path / "photo.png"), "RGB").shape == (72, 96, 3)


def test_pictures_are_loaded_as_theirs_are(photo: np.ndarray, tmp_path: Path) -> None:
    theirs = pytest.importorskip("pymatting")
    path = str(tmp_path / "photo.png")
    Image.fromarray(photo).save(path)
    for options in (
        {},
        {"mode": "gray"},
        {"mode": "RGB", "size": 0.5},
        {"size": np.int64(2)},
        {"size": (30, 20), "resample": "bilinear"},
    ):
        own, there = ours.load_image(path, **options), theirs.load_image(path, **options)
        assert (own.dtype, own.shape) == (there.dtype, there.shape)
        np.testing.assert_allclose(own, there, atol=1.01 / 255)
    for wrong in (
        {"mode": "HSV"},
        {"resample": "spline"},
        {"size": 0},
        {"size": "big"},
        {"size": (3, 4, 5)},
        {"size": (1e12, 1e12)},
    ):
        with pytest.raises(ArgumentError, match=next(iter(wrong))):
            ours.load_image(path, **wrong)


def test_what_is_fixed_is_refused_by_name(floats: Any) -> None:
    image, trimap = floats
    alpha = (trimap > 0.5) * 1.0
    same = ours.estimate_foreground_ml(image, alpha, 1e-5, 10, 2, 32, False, 1.0)
    np.testing.assert_array_equal(same, ours.estimate_foreground_ml(image, alpha))
    option: dict[str, Any]
    for option in ({"regularization": 1e-3}, {"n_big_iterations": 5}, {"small_size": 8}, {"gradient_weight": 0.1}):
        with pytest.raises(ArgumentError, match=next(iter(option))):
            ours.estimate_foreground_ml(image, alpha, **option)
    for option in ({"regularization": 1e-3}, {"return_background": True}):
        with pytest.raises(ArgumentError, match=next(iter(option))):
            ours.estimate_foreground_cf(image, alpha, **option)


def test_the_names_and_signatures_are_theirs() -> None:
    theirs = pytest.importorskip("pymatting")
    import inspect

    for name in ours.__all__:
        own = list(inspect.signature(getattr(ours, name)).parameters)
        there = list(inspect.signature(getattr(theirs, name)).parameters)
        assert set(own) <= set(there), name
        by_place = [n for n in own if inspect.signature(getattr(ours, name)).parameters[n].kind.name != "KEYWORD_ONLY"]
        assert by_place == there[: len(by_place)], name


def test_pictures_are_written_as_theirs_are(floats: Any, tmp_path: Path) -> None:
    """Of floats with and without alpha, into a folder that is not there yet."""
    image, trimap = floats
    for picture in (image, trimap, ours.stack_images(image, trimap)):
        ours.save_image(str(tmp_path / "new" / "x.png"), picture)
        written = np.asarray(Image.open(tmp_path / "new" / "x.png"))
        np.testing.assert_array_equal(written, np.round(picture * 255).astype(np.uint8))
