"""Mattes and trimaps are written as pictures of one channel."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from trimatte.images import load_picture, save_image


@pytest.mark.parametrize("suffix", ["png", "tiff"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_grey_stays_grey_and_exact(tmp_path: Path, suffix: str, dtype: type) -> None:
    grey = np.random.default_rng(0).integers(0, np.iinfo(dtype).max, (7, 11), dtype)
    path = tmp_path / f"grey.{suffix}"
    save_image(path, grey)
    with Image.open(path) as image:
        assert image.mode == ("L" if dtype is np.uint8 else "I;16")
        np.testing.assert_array_equal(np.asarray(image), grey)
    np.testing.assert_array_equal(load_picture(path).pixels, np.dstack([grey] * 3))


@pytest.mark.parametrize("suffix", ["webp", "avif", "jpg"])
def test_lossy_formats_take_grey(tmp_path: Path, suffix: str) -> None:
    ramp = np.tile(np.arange(0, 256, 4, dtype=np.uint8), (32, 1))
    path = tmp_path / f"grey.{suffix}"
    save_image(path, ramp, quality=90)
    with Image.open(path) as image:
        assert np.abs(np.asarray(image.convert("L")).astype(int) - ramp).max() < 12
