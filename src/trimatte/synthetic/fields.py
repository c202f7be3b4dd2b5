"""Smooth random fields: the clay that scenes are made of.

All are drawn on small grids and enlarged, so that one seed gives the same scene at every size.
"""

from __future__ import annotations

import colorsys

import numpy as np
from numpy.typing import NDArray
from PIL import Image

FloatMap = NDArray[np.float32]
Rng = np.random.Generator

_ANGLES = 1 << 16  # a table of radii over angles spares cosines at every pixel


def coordinates(height: int, width: int) -> tuple[FloatMap, FloatMap]:
    """Row and column of every pixel centre, broadcastable, in units of the short side and centred on zero."""
    short = min(height, width)
    y = ((np.arange(height, dtype=np.float32) + 0.5) - height / 2) / short
    x = ((np.arange(width, dtype=np.float32) + 0.5) - width / 2) / short
    return y[:, None].astype(np.float32), x[None, :].astype(np.float32)


def fractal(rng: Rng, height: int, width: int, cells: int, octaves: int = 1) -> FloatMap:
    """(H, W) fractal noise in [0, 1], about `cells` bumps along the short side, halved in size at each octave."""
    total = np.zeros((height, width), np.float32)
    short = min(height, width)
    for octave in range(octaves):
        n = cells * 2**octave
        grid = rng.random((max(2, round(n * height / short)), max(2, round(n * width / short))), np.float32)
        enlarged = Image.fromarray(grid).resize((width, height), Image.Resampling.BICUBIC)
        total += np.asarray(enlarged) * np.float32(0.5**octave)
    low, high = total.min(), total.max()
    total -= low
    total /= max(high - low, np.float32(1e-6))
    return total


def colour(rng: Rng, lightness: tuple[float, float] = (0.15, 0.9), strongest: float = 0.8) -> NDArray[np.float32]:
    """A random colour (3,) in [0, 1]."""
    rgb = colorsys.hls_to_rgb(rng.random(), rng.uniform(*lightness), rng.uniform(0, strongest))
    return np.array(rgb, np.float32)


def texture(rng: Rng, height: int, width: int, first: NDArray[np.float32], second: NDArray[np.float32]) -> FloatMap:
    """(H, W, 3) in [0, 1]: one colour fading irregularly into another, with some grain."""
    mix = fractal(rng, height, width, int(rng.integers(2, 6)), 2)
    mix += np.float32(0.25) * fractal(rng, height, width, 24, 2)
    mix -= np.float32(0.125)
    fabric = np.empty((height, width, 3), np.float32)
    for c in range(3):
        np.multiply(mix, second[c] - first[c], out=fabric[..., c])
        fabric[..., c] += first[c]
    return np.clip(fabric, 0, 1, out=fabric)


def outline(rng: Rng, lobes: int = 6, roughness: float = 0.12) -> NDArray[np.float64]:
    """A random star-shaped silhouette: Fourier coefficients (lobes, 2) of radius over angle, relative to the mean."""
    k = np.arange(1, lobes + 1)
    return rng.normal(size=(lobes, 2)) * roughness / k[:, None]


def radius_at(shape: NDArray[np.float64], angle: NDArray[np.floating]) -> NDArray[np.floating]:
    """Relative radius of an `outline` at these angles."""
    radius = np.ones_like(angle)
    for k, (a, b) in enumerate(shape, start=1):
        radius += a.astype(angle.dtype) * np.cos(k * angle) + b.astype(angle.dtype) * np.sin(k * angle)
    return np.maximum(radius, angle.dtype.type(0.35))


def _radius_table(shape: NDArray[np.float64]) -> FloatMap:
    return radius_at(shape, np.linspace(-np.pi, np.pi, _ANGLES + 1)).astype(np.float32)


def _table_index(angle: FloatMap) -> NDArray[np.int32]:
    index = (angle + np.float32(np.pi)) * np.float32(_ANGLES / (2 * np.pi))
    whole: NDArray[np.int32] = np.clip(index, 0, _ANGLES).astype(np.int32)
    return whole


def inside(shape: NDArray[np.float64], height: int, width: int, centre: tuple[float, float], size: float) -> FloatMap:
    """(H, W) signed distance in pixels to an `outline`, about: positive inside. Centre and size in short sides."""
    y, x = coordinates(height, width)
    y, x = y - np.float32(centre[0]), x - np.float32(centre[1])
    distance = np.hypot(y, x)
    wanted = _radius_table(shape)[_table_index(np.arctan2(y, x))] * np.float32(size)
    return ((wanted - distance) * np.float32(min(height, width))).astype(np.float32)


def coverage(distance: FloatMap) -> FloatMap:
    """How much of a pixel lies inside an edge that is that many pixels away (box filter)."""
    covered: FloatMap = np.clip(distance + np.float32(0.5), 0, 1)
    return covered
