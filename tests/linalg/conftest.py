"""Small pictures, bands and thread counts for the tests of linear systems."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest

Scene = tuple[np.ndarray, np.ndarray, np.ndarray]


def make_scene(kind: str = "noise", height: int = 48, width: int = 60, seed: int = 0) -> Scene:
    """Image (H, W, 3) float32, unknown (H, W) bool and known alpha (H, W) float32 of a disc with a soft edge."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width] / min(height, width)
    distance = np.hypot(y - 0.5, x - 0.55 * width / min(height, width)) - 0.3
    distance += 0.03 * np.sin(9 * np.arctan2(y - 0.5, x - 0.5))
    alpha = np.clip(0.5 - distance / 0.12, 0, 1)[..., None]
    subject, ground = np.array([0.9, 0.5, 0.2]), np.array([0.1, 0.3, 0.6])
    mixed = alpha * subject + (1 - alpha) * ground
    grain = rng.normal(0, 0.03, mixed.shape)
    pictures = {
        "noise": mixed + grain,
        "flat": np.where(alpha > 0.5, subject, ground) * np.ones_like(grain),
        "smooth": mixed,
        "saturated": np.round(mixed + 4 * grain),
        "constant": np.full(mixed.shape, 0.3),
        "black": np.zeros(mixed.shape),
    }
    image = np.clip(pictures[kind], 0, 1).astype(np.float32)
    return image, np.abs(distance) < 0.09, (distance < 0).astype(np.float32)


def make_mask(seed: int, height: int, width: int, density: float) -> np.ndarray:
    """Random pixels (H, W) bool, with whole rows left empty now and then."""
    rng = np.random.default_rng(seed)
    return (rng.random((height, width)) < density) & (rng.random((height, 1)) < 0.8)


@pytest.fixture(scope="session")
def scene() -> Callable[..., Scene]:
    """Makes image, unknown and known alpha; takes kind, height, width and seed."""
    return make_scene


@pytest.fixture(scope="session")
def random_mask() -> Callable[..., np.ndarray]:
    """Makes a random band; takes seed, height, width and density."""
    return make_mask


@pytest.fixture
def short_strips(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bands are cut into many strips although they are small."""
    monkeypatch.setattr("trimatte.linalg.band.STRIP_PIXELS", 40)


@pytest.fixture
def with_threads() -> Iterator[Callable[[int], None]]:
    """Sets the number of threads for this test alone."""
    import numba

    if numba.config.NUMBA_NUM_THREADS < 2:  # type: ignore[attr-defined]
        pytest.skip("one thread only")
    before = numba.get_num_threads()
    yield numba.set_num_threads
    numba.set_num_threads(before)
