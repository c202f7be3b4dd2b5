"""Samples in the band that a cut-out derives, with the map of foreground that it was derived from.

Somebody who draws a trimap knows where the subject ends. A band that is derived from a segmenter's map does not: it is
wide where the map is unsure, misses what the map has missed, and the map says more than the trimap that is left of it.
A network that is to estimate alpha from such a band learns from such bands: of scenes put together from cut-outs, whose
alpha is known, and of photos with a mask, whose alpha is what "light-closed-form" says close to the mask's edge.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from trimatte.alpha import estimate_alpha
from trimatte.errors import ArgumentError
from trimatte.images.arrays import UNKNOWN
from trimatte.segmentation import segment
from trimatte.segmentation.decide import decided
from trimatte.training.hybrid_data import Floats, Sample, photographed, sampled
from trimatte.training.photo_samples import Photo, narrowed, read_photo
from trimatte.training.scenes import Things
from trimatte.trimap import SPECK, TrimapReport, make_trimap

LONG_SIDES = 320, 560
"""Scenes are made so large, at random; photos are not made larger than they are."""
SHAPE = 0.6
"""The shorter side of a scene is at least that share of the longer one."""
BAND = 0.01, 0.5
"""Of a picture so much must be unknown, at least and at most."""
AGREE = 0.6
"""Intersection over union of map and truth, above one half each: with less the segmenter has found something else."""
TRIES = 30
"""Pictures that are looked at for one sample."""


def derived(image: Floats) -> tuple[Floats, NDArray[np.uint8]] | None:
    """Map of foreground and trimap (H, W) as of a cut-out, or None where its band is no use."""
    report = TrimapReport()
    probability = decided(image, segment(image))
    trimap = make_trimap(probability, speck=SPECK, report=report)
    low, high = BAND
    usable = report.subject and low <= np.mean(trimap == UNKNOWN) <= high and np.unique(trimap).size == 3
    return (probability, trimap) if usable else None


def derived_scene(things: Things, seed: int, index: int) -> Sample:
    """Sample number `index` of the run `seed`: a scene of cut-outs.

    Raises `ArgumentError` if in none of `TRIES` scenes the subject is found.
    """
    rng = np.random.default_rng([seed, index])
    for _ in range(TRIES):
        long, short = (side := rng.uniform(*LONG_SIDES)), side * rng.uniform(SHAPE, 1)
        size = (round(long), round(short)) if rng.random() < 0.5 else (round(short), round(long))
        photo, mask = things.scene(size, rng)
        image = photographed(np.asarray(photo, np.float32) / np.float32(255), rng)
        alpha = np.asarray(mask.getchannel("L"), np.float32) / np.float32(255)
        if sample := _sample(image, alpha):
            return sample
    raise ArgumentError(f"cutouts: in none of {TRIES} scenes of them the subject is found")


def derived_photo(photos: list[Photo], seed: int, index: int) -> Sample:
    """Sample number `index` of the run `seed`: a photo with a mask, any of them.

    Raises `ArgumentError` if in none of `TRIES` photos the mask's subject is found.
    """
    rng = np.random.default_rng([seed, index])
    for _ in range(TRIES):
        photo = photos[int(rng.integers(len(photos)))]
        image, mask = read_photo(photo, float(rng.uniform(*LONG_SIDES)))
        solid = mask if photo.level is None else (mask >= photo.level / 255).astype(np.float32)
        close = narrowed(np.full(mask.shape, UNKNOWN, np.uint8), solid)
        if np.unique(close).size == 3 and (sample := _sample(image, solid, close)):
            return sample
    raise ArgumentError(f"masks: in none of {TRIES} photos the subject of the mask is found")


def _sample(image: Floats, alpha: Floats, close: NDArray[np.uint8] | None = None) -> Sample | None:
    """A sample of a picture in the band that is derived for it; in the trimap `close` its alpha is estimated anew."""
    found = derived(image)
    if found is None:
        return None
    probability, trimap = found
    inside, truly = probability >= 0.5, alpha >= 0.5
    if np.count_nonzero(inside & truly) < AGREE * np.count_nonzero(inside | truly):
        return None
    if close is not None:
        alpha = estimate_alpha(image, close, method="light-closed-form").alpha
    return Sample(image, trimap, alpha, sampled(image, trimap), probability)
