"""Training of the network of the method "light", on samples that `write_samples` kept, of composites and of photos."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import nn

from trimatte.alpha._network import distances
from trimatte.alpha.light import CHANNELS, features
from trimatte.errors import ArgumentError
from trimatte.networks.light import Light
from trimatte.training.fit import Crop, Floats, Recipe, endless, fit
from trimatte.trimap import UNKNOWN

Bytes = NDArray[np.uint8]

SIZE = 320
"""Side of the composites in pixels."""
CROP = 256
"""Side of what the network sees of them, and of photos."""
SHARES = {"composites": 0.6, "photos": 0.12, "masked": 0.28, "taught": 1.2, "scenes": 1.2, "derived": 0.9}
"""How often a crop is of a composite, of a photo whose alpha is known, of one whose alpha the hybrid has found, and, if
there are any, of one whose alpha all networks have found together, of a scene in the band that a cut-out derives for it
and of a photo with a mask in such a band."""
RATE = 1.5e-3
TOLD = 0.7
"""How often the network sees the probability of foreground of a sample that has one."""
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
    batches = endless(recipe, files, often, crop)
    return fit(Light(CHANNELS, imagenet=initial is None), recipe, batches, folder, initial=initial, watch=watch)


def _shape(file: Path) -> tuple[int, ...]:
    with np.load(file) as data:
        shape: tuple[int, ...] = data["trimap"].shape
    return shape


@dataclass(frozen=True)
class Stored:
    """A sample as it stays in memory, all uint8: image (H, W, 3), trimap and alpha (H, W), sampled pairs (H, W, 6), and
    the probability of foreground (H, W) if it has one."""

    image: Bytes
    trimap: Bytes
    alpha: Bytes
    pairs: Bytes
    probability: Bytes | None = None


@lru_cache(maxsize=12000)
def load_sample(file: Path) -> Stored:
    """A sample that `write_samples` wrote, about 1.1 MB."""
    with np.load(file) as data:
        names = [name for name in ("alpha", "pairs", "probability") if name in data]
        bytes_of = {name: np.rint(255 * data[name].astype(np.float32)).astype(np.uint8) for name in names}
        return Stored(data["image"], data["trimap"], **bytes_of)


def crop(file: Path, recipe: Recipe, rng: np.random.Generator) -> Crop:
    """Features (17, S, S), alpha and unknown (1, S, S) of a square, turned, recoloured and resized.

    Of a probability it is told `TOLD` of the time: a trimap that somebody has drawn comes without.
    """
    sample = load_sample(file)
    low, high = (recipe.size * scale for scale in SCALES)
    side = recipe.size if rng.random() < 0.4 else int(min(rng.uniform(low, high), *sample.trimap.shape))
    side = min(side, *sample.trimap.shape)
    places = np.flatnonzero(sample.trimap == UNKNOWN)
    centre = divmod(int(places[rng.integers(len(places))]) if len(places) else 0, sample.trimap.shape[1])
    jitter = rng.integers(-side // 3, side // 3 + 1, 2)
    top, left = (
        int(min(max(0, c + j - side // 2), length - side))
        for c, j, length in zip(centre, jitter, sample.trimap.shape, strict=True)
    )
    part = slice(top, top + side), slice(left, left + side)
    smooth, nearest = Image.Resampling.BILINEAR, Image.Resampling.NEAREST
    image, truth = (
        _resized(plane[part], recipe.size, smooth) / np.float32(255) for plane in (sample.image, sample.alpha)
    )
    trimap, *pair = (
        _resized(plane[part], recipe.size, nearest)
        for plane in (sample.trimap, sample.pairs[..., :3], sample.pairs[..., 3:])
    )
    seen, pairs = _recoloured(image, np.concatenate(pair, -1) / np.float32(255), rng)
    drawn = trimap[..., 0].astype(np.uint8)
    told = None
    if sample.probability is not None and rng.random() < TOLD:
        told = _resized(sample.probability[part], recipe.size, smooth)[..., 0] / np.float32(255)
    x = features(seen, drawn, pairs, distances(drawn), told)
    out = np.concatenate([x, truth[..., 0][None], (drawn == UNKNOWN)[None]]).astype(np.float32)
    out = np.rot90(out, int(rng.integers(4)), (1, 2)) if rng.random() < 0.5 else out
    if rng.random() < 0.5:
        out = out[:, :, ::-1]
    return out[:-2].copy(), out[-2:-1].copy(), out[-1:].copy()


def _recoloured(image: Floats, pairs: Floats, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Another order of the channels now and then, another exposure and curve, for photo and sampled pairs alike."""
    order = rng.permutation(3) if rng.random() < 0.3 else np.arange(3)
    gain, power = np.float32(rng.uniform(0.7, 1.15)), np.float32(np.exp(rng.uniform(-0.3, 0.3)))
    seen: Floats = np.clip(gain * image[..., order] ** power, 0, 1)
    pair_planes: Floats = np.clip(gain * pairs[..., np.concatenate([order, order + 3])] ** power, 0, 1)
    if rng.random() < 0.3:
        seen = np.clip(seen + rng.normal(0, rng.uniform(0, 0.02), seen.shape).astype(np.float32), 0, 1)
    return seen, pair_planes


def _resized(picture: Bytes, size: int, how: Image.Resampling) -> Floats:
    """(S, S[, 3]) -> (size, size, 1 or 3), of the same values."""
    return np.atleast_3d(np.asarray(Image.fromarray(picture).resize((size, size), how), np.float32))
