"""Small pictures with a trimap for the tests of alpha methods."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

Scene = tuple[np.ndarray, np.ndarray, np.ndarray]


def edge(height: int = 24, width: int = 30, seed: int = 0) -> Scene:
    """Image (H, W, 3) float32, trimap with an unknown strip of a third, and true alpha of a soft vertical edge."""
    rng = np.random.default_rng(seed)
    ramp = np.clip((np.arange(width) - width / 3) / (width / 3 - 1), 0, 1)
    alpha = np.broadcast_to(ramp, (height, width))
    subject, ground = np.array([0.9, 0.6, 0.3]), np.array([0.1, 0.2, 0.5])
    image = alpha[..., None] * subject + (1 - alpha[..., None]) * ground + rng.normal(0, 0.01, (height, width, 3))
    trimap = np.where(alpha <= 0, 0, np.where(alpha >= 1, 255, 128)).astype(np.uint8)
    return np.clip(image, 0, 1).astype(np.float32), trimap, alpha


def odd_pictures() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Pictures and trimaps at the border of what makes sense, each with all three kinds of pixel."""
    _, strip, _ = edge()
    noise = np.random.default_rng(1).random((24, 30, 3), dtype=np.float32)
    lone = np.where(np.arange(30) < 15, 0, 255).astype(np.uint8) * np.ones((24, 1), np.uint8)
    lone[3, 4] = lone[12, 15] = lone[23, 29] = 128
    apart = np.zeros((24, 30), np.uint8)  # two bands: one touches background alone, one foreground alone
    apart[:, 20:], apart[4:8, 4:8], apart[14:18, 24:28] = 255, 128, 128
    row = np.array([[0, 0, 128, 128, 128, 255, 255]], np.uint8)
    pixels = np.random.default_rng(2).random((1, 7, 3), dtype=np.float32)
    return {
        "flat": (np.full((24, 30, 3), 0.4, np.float32), strip),
        "black": (np.zeros((24, 30, 3), np.float32), strip),
        "saturated": (np.round(noise), strip),
        "lone pixels": (noise, lone),
        "bands apart": (noise, apart),
        "one row": (pixels, row),
        "one column": (pixels.transpose(1, 0, 2).copy(), row.T.copy()),
        "two by two": (noise[:2, :2], np.array([[0, 128], [128, 255]], np.uint8)),
        "three pixels": (noise[:1, :3], np.array([[0, 128, 255]], np.uint8)),
    }


@pytest.fixture
def noisy_edge() -> Callable[..., Scene]:
    """Makes image, trimap and true alpha of a soft edge; takes height, width and seed."""
    return edge


@pytest.fixture(params=sorted(odd_pictures()))
def odd_picture(request: pytest.FixtureRequest) -> tuple[np.ndarray, np.ndarray]:
    """Image and trimap of each odd picture in turn."""
    return odd_pictures()[request.param]
