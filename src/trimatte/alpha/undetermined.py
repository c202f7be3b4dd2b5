"""Unknown pixels that nothing known determines, whatever the method.

The black outline of a white drawing on a white page is an example: where all of it is unknown, neither the page nor the
face within looks like it, and each method gives it some alpha between. Such pixels are found by photo and trimap alone:
their colour is none that is known, nor a mix of known foreground and background, and no gradual change of colour leads
from them to pixels that are.
"""

from __future__ import annotations

from math import isqrt

import numpy as np

from trimatte.images.arrays import bounding_box, grown
from trimatte.planes.filters import dilated
from trimatte.runtime.jit import njit
from trimatte.trimap import FOREGROUND, UNKNOWN

LEVELS = 16
"""Colours are told apart in so many steps a channel."""
LIKENESS = 0.09
"""Colours up to this distance, of RGB in [0, 1], are alike."""
STEP = 0.1
"""A change from pixel to pixel of less than this in each channel is gradual,"""
GRADUAL = 0.25
"""and a region hangs together with its surroundings if at least this share of its border is."""
LEAST, LEAST_SHARE = 16, 1 / 10_000
"""Regions of fewer pixels, or of less of the unknown ones, are not counted: nobody would mark a glint or a speck."""
NEAR = 16
"""A method that solves locally sees what is known up to so many pixels away, and somewhat further."""
READ_PIXELS = 250_000
"""So many pixels and a few more are read for the known colours, of a larger picture."""
FEW, SAMPLES = 8, 64
"""About so many of each side's colours are mixed, at first and where that isn't enough."""


def undetermined(image: np.ndarray, trimap: np.ndarray, *, local: bool) -> np.ndarray:
    """The unknown pixels (H, W) bool that nothing known determines.

    Parameters
    ----------
    image : (H, W, 3) float32 array in [0, 1]
        The photo, sRGB.
    trimap : (H, W) uint8 array
        Values 0, 128 and 255, with some pixels of each.
    local : bool
        Whether only known pixels near unknown ones count.
    """
    none, unknown = np.zeros(trimap.shape, bool), trimap == UNKNOWN
    step = max(1, isqrt(unknown.size // READ_PIXELS))
    blocks = _near(unknown) if local else np.ones([-(-size // NEAR) for size in unknown.shape], bool)
    counts = np.zeros((3, LEVELS**3), np.int64)
    _count_colours(image, trimap, blocks, step, counts)
    of_unknown, known = counts[1], [counts[2] > 0, counts[0] > 0]
    strange = (of_unknown > 0) & ~_alike(known[0] | known[1])
    least = max(LEAST, LEAST_SHARE * of_unknown.sum())
    if not all(side.any() for side in known):
        return none
    for samples in (FEW, SAMPLES):
        if of_unknown[strange].sum() < least:
            return none
        strange[strange] = ~_mixed(_centres(strange), _centres(known[0]), _centres(known[1]), samples)
    found = none
    _mark(image, trimap, strange, found)
    box = bounding_box(found)
    if box is not None:
        part = grown(box, (1, 1), found.shape)
        found[part] = _apart(image[part], found[part], least)
    return found


@njit()
def _bin(image: np.ndarray, y: int, x: int) -> int:
    """Number of the bin of a pixel's colour."""
    number = 0
    for c in range(3):
        number = number * LEVELS + max(0, min(int(image[y, x, c] * np.float32(LEVELS)), LEVELS - 1))
    return number


@njit()
def _count_colours(image: np.ndarray, trimap: np.ndarray, blocks: np.ndarray, step: int, counts: np.ndarray) -> None:
    """How many colours of the background, of unknown pixels and of the foreground lie in each bin: counts (3, bins).

    Of known pixels only each `step`th counts, in the blocks of NEAR x NEAR pixels that are set.
    """
    for y in range(trimap.shape[0]):
        for x in range(trimap.shape[1]):
            kind = 1
            if trimap[y, x] != UNKNOWN:
                if y % step or x % step or not blocks[y // NEAR, x // NEAR]:
                    continue
                kind = 2 if trimap[y, x] == FOREGROUND else 0
            counts[kind, _bin(image, y, x)] += 1


@njit()
def _mark(image: np.ndarray, trimap: np.ndarray, bins: np.ndarray, found: np.ndarray) -> None:
    """Set in found (H, W) the unknown pixels whose colours lie in one of the bins."""
    for y in range(trimap.shape[0]):
        for x in range(trimap.shape[1]):
            if trimap[y, x] == UNKNOWN:
                found[y, x] = bins[_bin(image, y, x)]


def _near(unknown: np.ndarray) -> np.ndarray:
    """The blocks of NEAR x NEAR pixels that have unknown ones, or are next to one that has."""
    # Row by row of blocks, since numpy's own reductions by blocks are four times as slow.
    rows = np.array([unknown[top : top + NEAR].any(axis=0) for top in range(0, len(unknown), NEAR)])
    return dilated(np.logical_or.reduceat(rows, np.arange(0, unknown.shape[1], NEAR), axis=1))


def _alike(bins: np.ndarray) -> np.ndarray:
    """The bins that are one of these, or next to one."""
    cube = bins.reshape(LEVELS, LEVELS, LEVELS)
    pairs = [dilated(cube, axes=axes) for axes in ((0, 1), (0, 2), (1, 2))]
    alike: np.ndarray = np.logical_or.reduce(pairs).ravel()
    return alike


def _centres(bins: np.ndarray) -> np.ndarray:
    """The colours (n, 3) in the middle of bins."""
    steps = np.stack(np.unravel_index(np.flatnonzero(bins), (LEVELS,) * 3), axis=1)
    centres: np.ndarray = ((steps + 0.5) / LEVELS).astype(np.float32)
    return centres


def _mixed(colours: np.ndarray, foreground: np.ndarray, background: np.ndarray, samples: int) -> np.ndarray:
    """For each colour (n, 3) whether a mix of a foreground and a background, each (k, 3), is like it."""
    f, b = (side[:: max(1, len(side) // samples)] for side in (foreground, background))
    line = f[:, None] - b[None]
    length = np.square(line).sum(-1) + np.float32(1e-9)
    mixed = np.empty(len(colours), bool)
    for i, colour in enumerate(colours):
        # |c - b - s (f - b)|^2 with the share s of f that makes it least, products of vectors taken apart
        along = (f @ colour)[:, None] - b @ colour - f @ b.T + np.square(b).sum(-1)
        share = np.clip(along / length, 0, 1)
        rest = np.square(colour - b).sum(-1) + share * (share * length - 2 * along)
        mixed[i] = rest.min() <= LIKENESS**2
    return mixed


def _apart(image: np.ndarray, mask: np.ndarray, least: float) -> np.ndarray:
    """The regions of a mask (h, w) that have at least this many pixels and a sharp edge all around."""
    from scipy.ndimage import label

    labels, count = label(mask)
    border, gradual = np.zeros((2, count + 1), np.int64)
    for axis in (0, 1):
        inside, labelled, colours = (np.moveaxis(plane, axis, 0) for plane in (mask, labels, image))
        for here, there in ((slice(None, -1), slice(1, None)), (slice(1, None), slice(None, -1))):
            edge = inside[here] & ~inside[there]
            of = labelled[here][edge]
            change = np.abs(colours[here][edge] - colours[there][edge]).max(axis=1, initial=0)
            border += np.bincount(of, minlength=count + 1)
            gradual += np.bincount(of[change < STEP], minlength=count + 1)
    chosen = (np.bincount(labels[mask], minlength=count + 1) >= least) & (gradual < GRADUAL * border)
    chosen[0] = False
    apart: np.ndarray = chosen[labels]
    return apart
