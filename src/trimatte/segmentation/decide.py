"""What a segmenter is unsure of, decided by what it is sure of: by colour, and by what hangs together with what.

A segmenter sees a small picture and knows things, not colours. Where it hesitates, half of a bush or a dark sleeve, the
photo itself often settles the matter: these colours are those of the sure foreground, or of the sure background, and no
edge parts the doubtful place from one of them. As in GrabCut (Rother et al., SIGGRAPH 2004) colours of both are learnt
from the picture, and as in guided filtering (He et al., ECCV 2010) the probability follows the photo's edges; in place
of an energy and a cut, a network of 793 numbers weighs the evidence of each pixel (`trimatte.networks.decider`). How it
was trained is in `trimatte.training.decider`, on what in `weights/decider.toml`.
"""

from __future__ import annotations

import numpy as np

from trimatte.planes import filters
from trimatte.planes.resize import downsampled, resized, strips
from trimatte.runtime.onnx import embedded_session

SIDE = 160
"""It is decided on a small picture, of so many pixels on its long side,"""
SHORTEST = 8
"""and no fewer on the other."""
BLOCKS = 6
"""made of no fewer blocks of a large one than so many each way."""
SMALLEST = 48
"""A picture whose long side is less is left as it is: enlarged so far its edges are none, masks became no better."""
LEAST = np.float32(0.003)
"""Probabilities are kept so far from 0 and 1 before their logit is taken."""
SURE = np.float32(0.8)
"""Colours are learnt where a side's probability is above this."""
BINS, BLUR = 12, 0.8
"""Steps of a channel in which colours are counted, and by how many the counts are blurred."""
RARE = np.float32(3e-4)
"""A colour of less than this share of a side speaks neither for it nor against it."""
MOST = np.float32(6)
"""Of the logarithm of the odds by colour."""
EDGE = 1e-3
"""Variance of colour, in a window, that counts as an edge."""
SCALE = np.float32(3)
"""The network gets logits divided by this."""
ENOUGH = 1e-3
"""Both sides must be sure of more than this share of the picture."""


def decided(image: np.ndarray, probability: np.ndarray) -> np.ndarray:
    """Probability of foreground after what is unsure was decided.

    Parameters
    ----------
    image : (H, W, 3) float32 array in [0, 1]
        The photo, sRGB.
    probability : (H, W) float32 array in [0, 1]
        The segmenter's.

    Returns
    -------
    (H, W) float32 array in [0, 1]
        The probability itself of a picture smaller than `SMALLEST`, and where next to nothing is sure foreground, or
        sure background.
    """
    height, width = probability.shape
    if max(height, width) < SMALLEST:
        return probability
    scale = SIDE / max(height, width)
    size = tuple(max(SHORTEST, round(side * scale)) for side in (height, width))
    small = np.clip(downsampled(image, size, "box", gap=BLOCKS), 0, 1)
    p = np.clip(resized(probability, size, "box"), 0, 1)
    if min(np.mean(p > SURE), np.mean(p < 1 - SURE)) < ENOUGH:
        return probability
    before = logit(p)
    signs, sureness = evidence(small, p)
    network = embedded_session("segmentation/weights/decider.onnx")
    (after,) = network.run(None, {"signs": signs[None], "sureness": sureness[None]})
    result: np.ndarray = np.array(resized(after[0, 0] - before, (height, width)))
    for rows in strips(result.shape):
        # The sigmoid of logit(p) + change, by the odds.
        p = np.clip(probability[rows], LEAST, 1 - LEAST)
        moved = p * np.exp(result[rows])
        moved /= moved + (1 - p)
        np.clip((moved - LEAST) / (1 - 2 * LEAST), 0, 1, out=result[rows])
    return result


def evidence(image: np.ndarray, probability: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What the network is given of a small picture (H, W, 3) and its probability (H, W): (4, H, W) and (1, H, W).

    The logit; the odds by colour, blurred; the logit as the photo's edges have it, and the odds likewise. And how sure
    the surroundings are.
    """
    own, colour = logit(probability), by_colour(image, probability)
    signs = [own, _blurred(colour, 1.5), guided(image, own, 8), guided(image, colour, 6)]
    sureness = [_blurred(np.abs(own), 4)]
    return np.stack(signs).astype(np.float32) / SCALE, np.stack(sureness).astype(np.float32) / SCALE


def logit(probability: np.ndarray) -> np.ndarray:
    """Logarithm of the odds, of probabilities that are not quite 0 and 1."""
    p = np.clip(probability, LEAST, 1 - LEAST)
    odds: np.ndarray = np.log(p / (1 - p))
    return odds


def by_colour(image: np.ndarray, probability: np.ndarray) -> np.ndarray:
    """Logarithm of the odds (H, W) that a pixel's colour is the foreground's, learnt where each side is sure."""
    place = [np.ascontiguousarray(channel).ravel() * (BINS - 1) for channel in np.moveaxis(image, -1, 0)]
    sides = (np.where(side > SURE, side, 0) ** 2 for side in (probability, 1 - probability))
    counts = np.stack([_counts(place, weights.ravel()) for weights in sides], axis=-1)
    foreground, background = _between(counts, place).T
    odds: np.ndarray = np.clip(np.log((foreground + RARE) / (background + RARE)), -MOST, MOST)
    return odds.reshape(probability.shape).astype(np.float32)


def _counts(place: list[np.ndarray], weights: np.ndarray) -> np.ndarray:
    """How often each colour is, blurred, as shares of 1 (BINS, BINS, BINS)."""
    bins = np.ravel_multi_index([np.rint(channel).astype(np.intp) for channel in place], (BINS,) * 3)
    counts = np.bincount(bins, weights, BINS**3).reshape(BINS, BINS, BINS)
    blurred = filters.gaussian(counts, BLUR, mode="edge")
    blurred /= max(float(blurred.sum()), 1e-6)
    return blurred


def _between(volume: np.ndarray, place: list[np.ndarray]) -> np.ndarray:
    """The values (n, K) of a volume (BINS, BINS, BINS, K) at places between its bins, linear along each axis."""
    below = [np.minimum(along.astype(np.intp), BINS - 2) for along in place]
    ends = [(1 - (a - b), a - b) for a, b in zip(place, below, strict=True)]
    first, values = np.ravel_multi_index(below, (BINS,) * 3), volume.reshape(BINS**3, -1)
    total = np.zeros((len(first), volume.shape[-1]))
    for x, y, z in np.ndindex(2, 2, 2):
        share = ends[0][x] * ends[1][y] * ends[2][z]
        total += values.take(first + ((x * BINS + y) * BINS + z), axis=0) * share[:, None]
    return total


def guided(image: np.ndarray, plane: np.ndarray, radius: int) -> np.ndarray:
    """A plane (H, W) smoothed along the edges of image (H, W, 3): in each window an affine function of colour."""
    from trimatte.planes.regression import affine_planes, at_colours  # brings numba

    result: np.ndarray = at_colours(image, affine_planes(image, plane, radius, EDGE)).astype(np.float32)
    return result


def _blurred(plane: np.ndarray, sigma: float) -> np.ndarray:
    return filters.gaussian(plane, sigma)
