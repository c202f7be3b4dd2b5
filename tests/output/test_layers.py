"""What lies under a subject: an outline, and how a layer is laid."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import trimatte
from trimatte.images.read import read_picture
from trimatte.output.layers import laid_under, outline


def rectangle() -> np.ndarray:
    alpha = np.zeros((120, 100), np.float32)
    alpha[30:80, 40:60] = 1
    return alpha


def made(bits: int = 8, **options: Any) -> np.ndarray:
    image = np.full((120, 100, 3), 200 * (257 if bits == 16 else 1), f"uint{bits}")
    picture, report = read_picture(image), trimatte.CutoutReport()
    cut = trimatte.Cutout(picture.image, None, None, rectangle(), picture.image, report, picture)
    stream = io.BytesIO()
    cut.save(stream, format="png", **options)
    return np.asarray(Image.open(stream))


def test_an_outline_has_its_width_on_all_sides_and_is_round_at_corners() -> None:
    covered = outline(rectangle(), 6)
    rows, columns = np.nonzero(covered)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (24, 85, 34, 65)
    assert covered[24:30, 50].min() == 1
    assert covered[24, 34] == 0


def test_an_outline_lies_under_the_subject_and_within_the_margin() -> None:
    rgba = made(crop=True, margin=4, outline=6, outline_colour="#ff0000")
    assert rgba.shape == (50 + 20, 20 + 20, 4)
    assert (rgba[10:60, 10:30] == (200, 200, 200, 255)).all()
    assert (rgba[4:10, 20] == (255, 0, 0, 255)).all()
    assert not rgba[:4].any()


def test_the_matte_is_of_the_subject_alone() -> None:
    matte = made(output="matte", outline=6, cast_shadow="drop")
    np.testing.assert_array_equal(matte, rectangle() * 255)


@settings(max_examples=40)
@given(seed=st.integers(0, 1000), bits=st.sampled_from([8, 16]))
def test_over_a_background_layers_are_as_if_laid_one_by_one(seed: int, bits: int) -> None:
    rng = np.random.default_rng(seed)
    white = (1 << bits) - 1
    codes = rng.integers(0, white + 1, (7, 9, 3)).astype(f"uint{bits}")
    alpha, coverage = (np.clip(rng.normal(0.5, 0.6, (7, 9)), 0, 1).astype(np.float32) for _ in range(2))
    colour, behind = (rng.random(3).astype(np.float32) for _ in range(2))
    under, whole = laid_under(codes, alpha, colour, coverage)
    below = coverage[..., None] * colour + (1 - coverage[..., None]) * behind
    wanted = alpha[..., None] * (codes / white) + (1 - alpha[..., None]) * below
    got = whole[..., None] * (under / white) + (1 - whole[..., None]) * behind
    np.testing.assert_allclose(got, wanted, atol=1 / white)
    np.testing.assert_array_equal(under[alpha == 1], codes[alpha == 1])
