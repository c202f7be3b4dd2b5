"""The colour field that the border says."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trimatte.backdrop import find_backdrop
from trimatte.backdrop.field import fit_field


def lit(height: int, width: int, colour: tuple[float, float, float], slope: float) -> np.ndarray:
    """A backdrop (H, W, 3) whose light falls off to the right and to the corners."""
    y, x = np.meshgrid(np.linspace(-1, 1, height), np.linspace(-1, 1, width), indexing="ij")
    light = 1 + slope * x - 0.5 * slope * (x * x + y * y)
    return (light[..., None] * np.array(colour)).astype(np.float32)


def with_disc(behind: np.ndarray, colour: tuple[float, float, float]) -> np.ndarray:
    height, width = behind.shape[:2]
    y, x = np.mgrid[:height, :width]
    disc = np.hypot(y - height / 2, x - width / 2) < 0.3 * min(height, width)
    return np.where(disc[..., None], np.array(colour, np.float32), behind).astype(np.float32)


@settings(max_examples=15)
@given(st.floats(-0.2, 0.2), st.floats(0, 0.02), st.sampled_from([(0.7, 0.7, 0.68), (0.1, 0.7, 0.2), (0.3, 0.3, 0.3)]))
def test_the_field_under_the_subject_is_the_backdrops(
    slope: float, noise: float, colour: tuple[float, float, float]
) -> None:
    behind = lit(120, 160, colour, slope)
    grain = np.random.default_rng(0).normal(0, noise, behind.shape)
    picture = np.clip(with_disc(behind, (0.9, 0.1, 0.5)) + grain, 0, 1).astype(np.float32)
    field = fit_field(picture)
    assert field.share > 0.95
    assert np.abs(field.at((120, 160)) - behind).max() < 0.015 + noise / 2
    assert np.abs(field.noise - max(noise, 0.25 / 255)).max() < 0.004


def test_noise_that_white_clips_is_measured_on_the_other_side() -> None:
    grain = np.random.default_rng(0).normal(0, 0.02, (100, 100, 3))
    assert fit_field(np.clip(1 + grain, 0, 1).astype(np.float32)).noise.min() > 0.012


def test_a_border_of_many_colours_is_not_plain(photo: np.ndarray) -> None:
    noise = np.random.default_rng(0).random((80, 90, 3)).astype(np.float32)
    field, why = find_backdrop(noise)
    assert field is None
    assert "of the border" in why or "vary" in why


def test_half_of_the_border_must_be_of_one_colour() -> None:
    striped = np.zeros((80, 90, 3), np.float32)
    for k in range(4):
        striped[:, 23 * k : 23 * (k + 1)] = (0.3 * k, 0.9 - 0.2 * k, 0.1 * k)
    assert find_backdrop(striped)[0] is None


def test_what_is_no_backdrop_at_the_border_must_be_the_subject() -> None:
    picture = np.full((80, 100, 3), 0.8, np.float32)
    picture[50:] = (0.2, 0.1, 0.1)
    subject, nothing = np.zeros((80, 100), np.float32), np.zeros((80, 100), np.float32)
    subject[50:] = 1
    assert find_backdrop(picture, probability=nothing)[0] is None
    assert find_backdrop(picture, probability=subject)[0] is not None


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1), (2, 3)])
def test_tiny_pictures(shape: tuple[int, int]) -> None:
    field, _ = find_backdrop(np.full((*shape, 3), 0.5, np.float32))
    assert field is not None
    np.testing.assert_allclose(field.at(shape), 0.5, atol=1e-5)


def test_large_and_small_pictures_have_the_same_field() -> None:
    behind = lit(96, 128, (0.6, 0.6, 0.7), 0.1)
    large = with_disc(np.kron(behind, np.ones((4, 4, 1), np.float32)), (0.1, 0.1, 0.1))
    near = fit_field(large).at((384, 512))[::4, ::4]
    assert np.abs(near - behind).max() < 0.02
