"""Training of the network of the method "light", on samples that `write_samples` kept, of composites and of photos."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import maximum_filter
from torch import nn

from trimatte.alpha.light import features
from trimatte.errors import ArgumentError
from trimatte.networks.light import Light
from trimatte.training.fit import Crop, Floats, Recipe, endless, fit

SIZE = 320
"""Side of the composites in pixels."""
SHARES = {"composites": 0.6, "photos": 0.12, "masked": 0.28}
"""Of composites, of photos whose alpha is known, and of photos whose alpha the hybrid has found, among the crops."""
RATE = 1.5e-3
SCALES = 0.7, 1.3
"""Crops of `Recipe.size` times this are resized to it."""


def train(
    recipe: Recipe,
    sets: Sequence[tuple[Sequence[Path], float]],
    folder: Path,
    *,
    initial: Path | None = None,
    watch: Callable[[int, float], None] | None = None,
) -> nn.Module:
    """Train on sets of sample files, each with the share of its crops, from the weights of `initial` or ImageNet's.

    Returns the network of averaged weights, which `folder`/best.pt holds too. Raises `ArgumentError` for a set whose
    samples are all too small.
    """
    usable = [[file for file in files if min(_shape(file)) >= recipe.size * SCALES[0]] for files, _ in sets]
    if not all(usable):
        raise ArgumentError(f"samples: none of a set is {round(recipe.size * SCALES[0])} pixels wide and high")
    files = [file for part in usable for file in part]
    often = np.concatenate(
        [np.full(len(part), share / len(part)) for part, (_, share) in zip(usable, sets, strict=True)]
    )
    batches = endless(recipe, often, partial(_numbered, files, recipe))
    return fit(Light(imagenet=initial is None), recipe, batches, folder, initial=initial, watch=watch)


def _shape(file: Path) -> tuple[int, ...]:
    with np.load(file) as data:
        shape: tuple[int, ...] = data["trimap"].shape
    return shape


@lru_cache(maxsize=12000)
def _load(file: Path) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]]:
    """Image, trimap and alpha of a sample, which stay in memory."""
    with np.load(file) as data:
        return data["image"], data["trimap"], np.rint(255 * data["alpha"].astype(np.float32)).astype(np.uint8)


def _numbered(files: Sequence[Path], recipe: Recipe, number: int, rng: np.random.Generator) -> Crop:
    return crop(files[number], recipe, rng)


def crop(file: Path, recipe: Recipe, rng: np.random.Generator) -> Crop:
    """Features (7, S, S), alpha and unknown (1, S, S) of a square, turned, recoloured and resized."""
    image, trimap, alpha = _load(file)
    low, high = (recipe.size * scale for scale in SCALES)
    side = recipe.size if rng.random() < 0.4 else int(min(rng.uniform(low, high), *trimap.shape))
    side = min(side, *trimap.shape)
    places = np.flatnonzero(trimap == 128)
    centre = divmod(int(places[rng.integers(len(places))]) if len(places) else 0, trimap.shape[1])
    jitter = rng.integers(-side // 3, side // 3 + 1, 2)
    top, left = (
        int(min(max(0, c + j - side // 2), length - side))
        for c, j, length in zip(centre, jitter, trimap.shape, strict=True)
    )
    part = slice(top, top + side), slice(left, left + side)
    seen, truth = _resized(image[part], recipe.size), _resized(alpha[part], recipe.size)[..., 0]
    drawn = np.asarray(Image.fromarray(trimap[part]).resize((recipe.size, recipe.size), Image.Resampling.NEAREST))
    if side != recipe.size:  # resizing mixes what is known with what is not
        drawn = np.where((truth > 0.01) & (truth < 0.99), np.uint8(128), drawn)
    if rng.random() < 0.3:
        drawn = np.where(maximum_filter(drawn == 128, int(rng.integers(3, 16))), np.uint8(128), drawn)
    x = features(_recoloured(seen, rng), drawn)
    out = np.concatenate([x, truth[None], (drawn == 128)[None]]).astype(np.float32)
    out = np.rot90(out, int(rng.integers(4)), (1, 2)) if rng.random() < 0.5 else out
    if rng.random() < 0.5:
        out = out[:, :, ::-1]
    return out[:-2].copy(), out[-2:-1].copy(), out[-1:].copy()


def _recoloured(image: Floats, rng: np.random.Generator) -> Floats:
    """Another order of the channels now and then, another exposure and curve."""
    if rng.random() < 0.3:
        image = image[..., rng.permutation(3)]
    gain, power = rng.uniform(0.7, 1.15), np.exp(rng.uniform(-0.3, 0.3))
    changed: Floats = np.clip(np.float32(gain) * image ** np.float32(power), 0, 1)
    if rng.random() < 0.3:
        changed = np.clip(changed + rng.normal(0, rng.uniform(0, 0.02), changed.shape).astype(np.float32), 0, 1)
    return changed


def _resized(picture: NDArray[np.uint8], size: int) -> Floats:
    scaled = np.asarray(Image.fromarray(picture).resize((size, size), Image.Resampling.BILINEAR), np.float32)
    return np.atleast_3d(scaled) / np.float32(255)
