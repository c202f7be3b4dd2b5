"""Whole scenes: a subject before a background, with the photographic troubles as dials."""

from __future__ import annotations

import io
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from trimatte.errors import ArgumentError
from trimatte.synthetic.fields import FloatMap, Rng, colour, fractal, texture
from trimatte.synthetic.strokes import curves, draw_strokes, taper
from trimatte.synthetic.subjects import KINDS

ByteMap = NDArray[np.uint8]


@dataclass(frozen=True)
class Scene:
    """One picture and the truth about it, all uint8: (H, W, 3) image, foreground, background and (H, W) alpha.

    Without noise and JPEG the image is round((alpha foreground + (255 - alpha) background) / 255), exactly.
    """

    image: ByteMap
    alpha: ByteMap
    foreground: ByteMap
    background: ByteMap
    kind: str


def scene(
    kind: str = "hair",
    size: tuple[int, int] = (512, 512),
    *,
    seed: int = 0,
    overlap: float = 0.0,
    noise: float = 0.0,
    jpeg: int | None = None,
) -> Scene:
    """Paint a scene with exact truth; the same arguments give the same bytes.

    Parameters
    ----------
    kind : str
        One of `KINDS`: hair, fur, feather, foliage, lace, net, glass, smoke, motion, defocus, hard.
    size : (int, int), default (512, 512)
        Height and width.
    overlap : float in [0, 1]
        How far the foreground's mean colour is moved to the background's.
    noise : float in [0, 1]
        Standard deviation of Gaussian noise that is added to the image.
    jpeg : int in [1, 100], optional
        Quality of a JPEG compression that the image goes through.

    Raises
    ------
    ArgumentError
        for an unknown kind or a value outside its range.
    """
    _check(kind, size, seed, overlap, noise, jpeg)
    rng = np.random.default_rng([seed, list(KINDS).index(kind)])
    foreground, alpha = subject(kind, size, rng)
    back = backdrop(size, rng)
    if overlap:
        foreground = _moved_towards(foreground, alpha, back, overlap)
    f, a, b = _bytes(foreground), _bytes(alpha), _bytes(back)
    del foreground, alpha, back
    return Scene(degrade(_over(f, a, b), rng, noise=noise, jpeg=jpeg), a, f, b, kind)


def subject(kind: str, size: tuple[int, int], rng: Rng) -> tuple[FloatMap, FloatMap]:
    """Foreground colours (H, W, 3), straight and defined everywhere, and alpha (H, W), float32 in [0, 1]."""
    canvas, cloth = KINDS[kind](rng, *size)
    alpha = np.ascontiguousarray(canvas[..., 3])
    visible = alpha > np.float32(0.5 / 255)
    divisor: FloatMap = np.where(visible, alpha, 1).astype(np.float32)
    foreground = np.empty_like(cloth)
    for c in range(3):
        np.divide(canvas[..., c], divisor, out=foreground[..., c])
        np.copyto(foreground[..., c], cloth[..., c], where=~visible)
    return np.clip(foreground, 0, 1, out=foreground), np.clip(alpha, 0, 1, out=alpha)


def backdrop(size: tuple[int, int], rng: Rng) -> FloatMap:
    """A background (H, W, 3) float32 in [0, 1]: fading colours, clutter and lines, more or less out of focus."""
    from scipy.ndimage import gaussian_filter

    height, width = size
    short = min(size)
    # Only the calm ground is blurred, on a small copy: what is smooth need not be computed at full size.
    small = (max(32, height // 4), max(32, width // 4)) if short >= 256 else size
    ground = texture(rng, *small, colour(rng), colour(rng))
    patches = fractal(rng, *small, int(rng.integers(3, 9)), 3)
    patch_colour = colour(rng)
    ground += np.clip((patches - np.float32(0.55)) * 8, 0, 1)[..., None] * (patch_colour - ground)
    sigma = rng.uniform(0, 0.02) * min(small)
    picture = np.empty((height, width, 4), np.float32)
    for c in range(3):
        blurred = Image.fromarray(gaussian_filter(ground[..., c], sigma))
        picture[..., c] = np.asarray(blurred.resize((width, height), Image.Resampling.BICUBIC))
    picture[..., 3] = 1
    count = int(rng.integers(0, 40))
    start = np.stack([rng.uniform(0, height, count), rng.uniform(0, width, count)], axis=1)
    paths = curves(start, rng.uniform(0, 2 * np.pi, count), rng.gamma(3, 0.12, count) * short, rng.normal(0, 1, count))
    tint = np.stack([colour(rng) for _ in range(count)]) if count else np.zeros((0, 3), np.float32)
    draw_strokes(picture, paths, taper(rng.gamma(2, 0.005, count) * short), tint)
    grain = fractal(rng, height, width, 64, 2)[..., None] - np.float32(0.5)
    out = picture[..., :3] + grain * np.float32(rng.uniform(0, 0.12))
    return np.clip(out, 0, 1, out=out)


def degrade(image: ByteMap, rng: Rng, *, noise: float = 0.0, jpeg: int | None = None) -> ByteMap:
    """An image (H, W, 3) uint8 with Gaussian noise of that standard deviation (of 1), then JPEG compressed."""
    if noise:
        noisy = np.empty_like(image)
        for row in range(0, len(image), 256):  # in strips: noise in floats takes twelve times the picture
            strip = image[row : row + 256]
            disturbed = strip + np.float32(255 * noise) * rng.standard_normal(strip.shape, np.float32)
            noisy[row : row + 256] = np.clip(np.rint(disturbed), 0, 255)
        image = noisy
    if jpeg is not None:
        stream = io.BytesIO()
        Image.fromarray(image).save(stream, "JPEG", quality=jpeg)
        image = np.array(Image.open(stream))
    return image


def _check(kind: str, size: tuple[int, int], seed: int, overlap: float, noise: float, jpeg: int | None) -> None:
    if kind not in KINDS:
        raise ArgumentError(f"kind: got {kind!r}, wanted one of {', '.join(KINDS)}")
    if len(size) != 2 or min(size) < 16:
        raise ArgumentError(f"size: got {size!r}, wanted (height, width) of at least 16 pixels each")
    if seed < 0:
        raise ArgumentError(f"seed: got {seed}, wanted 0 or more")
    for name, value in (("overlap", overlap), ("noise", noise)):
        if not (math.isfinite(value) and 0 <= value <= 1):
            raise ArgumentError(f"{name}: got {value}, wanted a number in [0, 1]")
    if jpeg is not None and not 1 <= jpeg <= 100:
        raise ArgumentError(f"jpeg: got {jpeg}, wanted a quality in [1, 100]")


def _moved_towards(foreground: FloatMap, alpha: FloatMap, back: FloatMap, overlap: float) -> FloatMap:
    weight = max(float(alpha.sum(dtype=np.float64)), 1e-6)
    for c in range(3):
        mean = float((foreground[..., c] * alpha).sum(dtype=np.float64)) / weight
        foreground[..., c] += np.float32(overlap * (float(back[..., c].mean(dtype=np.float64)) - mean))
    return np.clip(foreground, 0, 1, out=foreground)


def _bytes(values: FloatMap) -> ByteMap:
    codes: ByteMap = np.rint(values * np.float32(255)).astype(np.uint8)
    return codes


def _over(foreground: ByteMap, alpha: ByteMap, background: ByteMap) -> ByteMap:
    image = np.empty_like(foreground)
    a = alpha.astype(np.uint16)
    for c in range(3):
        # 255 is odd, so no quotient lies halfway and adding 127 rounds to the nearest.
        image[..., c] = (a * foreground[..., c] + (255 - a) * background[..., c] + 127) // 255
    return image
