"""Training of the network inside the method "hybrid", on samples that `trimatte.training.hybrid_data` made."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import nn

from trimatte.alpha._network import distances
from trimatte.alpha.hybrid import ALPHAS, CHANNELS, Ingredients, features
from trimatte.errors import ArgumentError
from trimatte.images.arrays import UNKNOWN
from trimatte.networks.hybrid import Hybrid
from trimatte.training.fit import Crop, Recipe, endless, fit


def train(
    recipe: Recipe,
    files: Sequence[Path],
    folder: Path,
    *,
    initial: Path | None = None,
    watch: Callable[[int, float], None] | None = None,
) -> nn.Module:
    """Train on sample files, beginning with the weights of `initial`.

    Returns the network of averaged weights, which `folder`/best.pt holds too. Raises `ArgumentError` if all samples are
    too hard to learn from.
    """
    often = np.array([frequency(load_sample(file)) for file in files])
    if not often.any():
        raise ArgumentError("samples: all are too hard to learn from")
    batches = endless(recipe, files, often, crop)
    return fit(Hybrid(CHANNELS, ALPHAS), recipe, batches, folder, initial=initial, watch=watch)


@dataclass(frozen=True)
class Stored:
    """A sample as it is kept: image and trimap uint8, the rest float16; `away` are the distances to known pixels."""

    image: NDArray[np.uint8]
    trimap: NDArray[np.uint8]
    alpha: NDArray[np.float16]
    alphas: NDArray[np.float16]
    pairs: NDArray[np.float16]
    away: NDArray[np.float16]


@lru_cache(maxsize=4000)
def load_sample(file: Path) -> Stored:
    """A sample that `write_samples` wrote; it stays in memory, about 2 MB each."""
    with np.load(file) as data:
        return Stored(**data, away=distances(data["trimap"]).astype(np.float16))


def frequency(sample: Stored) -> float:
    """How often a sample is drawn, before normalisation: 1 / (e + 0.01), or 0 if e > 0.06.

    e is the squared error of the mean of its solutions. Composites are harder than photos; unless the easier
    ones are drawn more often, a network learns for a world that is not there.
    """
    unknown = sample.trimap == UNKNOWN
    mean = sample.alphas[:, unknown].astype(np.float32).mean(0)
    error = float(np.square(mean - sample.alpha[unknown].astype(np.float32)).mean())
    return 1 / (error + 0.01) if error <= 0.06 else 0.0


def crop(file: Path, recipe: Recipe, rng: np.random.Generator) -> Crop:
    """Features (19, S, S), alpha and unknown (1, S, S) of a square about an unknown pixel, turned and recoloured."""
    sample = load_sample(file)
    places = np.flatnonzero(sample.trimap == UNKNOWN)
    centre = divmod(int(places[rng.integers(len(places))]), sample.trimap.shape[1])
    jitter = rng.integers(-recipe.size // 4, recipe.size // 4 + 1, 2)
    top, left = (
        int(min(max(0, c + j - recipe.size // 2), side - recipe.size))
        for c, j, side in zip(centre, jitter, sample.trimap.shape, strict=True)
    )
    part = slice(top, top + recipe.size), slice(left, left + recipe.size)
    trimap, alpha = sample.trimap[part], sample.alpha[part].astype(np.float32)
    alphas, away = (planes[:, part[0], part[1]].astype(np.float32) for planes in (sample.alphas, sample.away))
    if rng.random() < recipe.drop:
        alphas[rng.integers(len(alphas))] = alphas[rng.integers(len(alphas))]
    if rng.random() < 0.5:  # what the light network was trained on it knows better than any photo
        alphas[-1] += np.float32(rng.uniform(0, 0.5)) * (alphas[rng.integers(len(alphas) - 1)] - alphas[-1])
    order = rng.permutation(3) if rng.random() < 0.5 else np.arange(3)
    gain = np.float32(rng.uniform(0.7, 1.1))
    pairs = gain * sample.pairs[part].astype(np.float32)[..., np.concatenate([order, order + 3])]
    seen = gain / 255 * sample.image[part].astype(np.float32)[..., order]
    x = features(seen, trimap, Ingredients(alphas, pairs), away)
    out = np.concatenate([x, alpha[None], (trimap == UNKNOWN)[None]]).astype(np.float32)
    out = np.rot90(out, int(rng.integers(4)), (1, 2))
    if rng.random() < 0.5:
        out = out[:, :, ::-1]
    return out[:CHANNELS].copy(), out[CHANNELS : CHANNELS + 1].copy(), out[CHANNELS + 1 :].copy()
