"""Samples whose alpha is what the networks say together, for the one of them that has to be quick.

The network of the method "light" sees a picture once. Its mean over the picture and mirror images of it, at twice the
size, too, and with what the hybrid's network makes of the better alpha, errs far less; a network that learns from that
mean keeps some of it, and takes no longer than before (Hinton et al., 2015; Radosavovic et al., "Data Distillation",
CVPR 2018). Photos teach so that have neither alpha nor mask.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from trimatte.alpha.hybrid import METHODS, Ingredients, corrected, solutions
from trimatte.alpha.known import keep_known
from trimatte.alpha.light import predict, twice
from trimatte.alpha.shared import shared_pairs
from trimatte.errors import ArgumentError
from trimatte.images import load_image
from trimatte.images.arrays import BACKGROUND, FOREGROUND, UNKNOWN
from trimatte.linalg.report import SolveReport
from trimatte.planes.resize import block_means, resized
from trimatte.training.derived_samples import derived
from trimatte.training.hybrid_data import Floats, Sample, sampled

LONG_SIDES = 270, 460
"""Photos are made so large, at random."""
SMALLEST = 190
"""No side of a sample is less: crops are cut from it."""
LARGEST = 480
"""The long side of a sample that has been made smaller is no more."""
MOST_REDUCED = 2.0
"""Samples are made up to so much smaller: small pictures have the sharper edges."""
DOUBLE = 0.6
"""The share of what is seen at twice the size in the light network's mean."""
TRIES = 20
"""Photos that are looked at for one sample."""

Trimap = NDArray[np.uint8]


def taught(image: Floats, trimap: Trimap) -> tuple[Floats, Ingredients]:
    """Alpha (H, W) of image (H, W, 3) by all networks, and what the methods say, each once."""
    ways = solutions(image, trimap, SolveReport())
    own = _mean_of_views(image, trimap, ways.pairs, (None, 1, 0))
    large, drawn = twice(image, trimap)
    pairs = shared_pairs(large, drawn, SolveReport())
    double = block_means(_mean_of_views(large, drawn, pairs, (None, 1)), 2, 2)
    alphas = ways.alphas.copy()
    alphas[METHODS.index("light")] = (own + double) / 2
    hybrid, _ = corrected(image, trimap, Ingredients(alphas, ways.pairs))
    mean = ((1 - DOUBLE) * own + DOUBLE * double + np.clip(hybrid, 0, 1)) / 2
    return keep_known(mean, trimap), ways


def taught_photo(photos: list[Path], seed: int, index: int) -> Sample:
    """Sample number `index` of the run `seed`, of any photo that has a subject, its band as a cut-out's.

    Raises `ArgumentError` if none of `TRIES` photos will do.
    """
    rng = np.random.default_rng([seed, index])
    for _ in range(TRIES):
        image = load_image(photos[int(rng.integers(len(photos)))])
        image = _of_long_side(image, min(float(rng.uniform(*LONG_SIDES)), max(image.shape[:2])))
        if min(image.shape[:2]) < SMALLEST:
            continue
        if found := derived(image):
            probability, trimap = found
            alpha, ways = taught(image, trimap)
            return Sample(image, trimap, alpha, _pairs_alone(ways), probability)
    raise ArgumentError(f"photos: none of {TRIES} of them has a subject and is {SMALLEST} pixels wide and high")


def taught_sample(make: Callable[[int], Sample], seed: int, index: int) -> Sample:
    """A sample made by its number, smaller; its alpha is halfway between its own and what the networks say."""
    rng = np.random.default_rng([seed, index])
    sample = make(index)
    sides = sample.trimap.shape
    reduced = float(rng.uniform(1, max(1.0, min(MOST_REDUCED, min(sides) / SMALLEST))))
    size = tuple(round(side / max(reduced, max(sides) / LARGEST)) for side in sides)
    image = np.clip(np.ascontiguousarray(resized(sample.image, size, "box")), 0, 1)
    truth = np.clip(resized(sample.alpha, size, "box"), 0, 1)
    shares = [resized((sample.trimap == value).astype(np.float32), size, "box") for value in (FOREGROUND, BACKGROUND)]
    trimap = np.full(size, UNKNOWN, np.uint8)
    for share, value in zip(shares, (FOREGROUND, BACKGROUND), strict=True):
        trimap[share > 0.999] = value
    if np.unique(trimap).size < 3:
        return Sample(image, trimap, truth, sampled(image, trimap))
    alpha, ways = taught(image, trimap)
    return Sample(image, trimap, (alpha + truth) / 2, _pairs_alone(ways))


def _mean_of_views(image: Floats, trimap: Trimap, pairs: Floats, axes: tuple[int | None, ...]) -> Floats:
    """The light network's alpha, the mean over the picture as it is (None) and turned round along axes."""
    answers = []
    for axis in axes:
        turned = [
            plane if axis is None else np.ascontiguousarray(np.flip(plane, axis)) for plane in (image, trimap, pairs)
        ]
        alpha, _ = predict(*turned)
        answers.append(alpha if axis is None else np.flip(alpha, axis))
    mean: Floats = np.clip(np.mean(answers, axis=0), 0, 1)
    return mean


def _of_long_side(image: Floats, long_side: float) -> Floats:
    scale = long_side / max(image.shape[:2])
    size = tuple(max(1, round(side * scale)) for side in image.shape[:2])
    smaller: Floats = np.ascontiguousarray(resized(image, size, "lanczos"))
    return smaller


def _pairs_alone(ways: Ingredients) -> Ingredients:
    """Without the alphas, which the light network does not see."""
    return Ingredients(ways.alphas[:0], ways.pairs)
