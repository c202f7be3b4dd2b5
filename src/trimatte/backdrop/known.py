"""What is surely the backdrop and surely the subject where the backdrop's colours are known.

**Backdrop** is what has its colour, within the noise, and hangs together with the picture's border. Enclosed regions of
its colour are backdrop too, such as the inside of a handle or the counter of a letter, unless the segmenter is sure
that they are the subject. Its word has no weight

- where its subject is not within the silhouette that stands before the backdrop;
- in drawings and text, whose colours are flat, about enclosed regions;
- in holes with a crisp edge and a thin wall about them: a network fills handles;
- in openwork, such as lace, whose holes are finer than what it can see.

**Subject** is what the segmenter is sure of and lies at some depth inside the silhouette. Where its word has no weight
it is what lies deeper than the transition from backdrop to subject takes. Of what can be seen through, nothing is sure.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import ndimage

from trimatte.backdrop.field import SIGMAS
from trimatte.planes.distance import squared_distance
from trimatte.planes.regions import Regions, regions, widest

SURE = 0.9
WITHIN, AGREEMENT = 0.8, 0.6
"""The segmenter is trusted if at least the first part of its subject lies in the silhouette. It has found all of the
subject if the silhouette and its subject share the second part of their union."""
SPECK, HOLE = 0.002, 12
"""Islands of less than this share of the silhouette that the segmenter knows nothing of are dirt; enclosed regions of
fewer pixels than `HOLE` stay unknown."""
CODE = 1.5 / 255
"""Of rounding and compression, beside the noise."""
CRISP = 0.6
"""At a crisp edge the contrast four pixels off is this part of that eight pixels off."""
OPENWORK, OPENWORK_DEPTH = 0.2, 4
"""In openwork so much of what the segmenter is sure of, from a depth in pixels on, has the backdrop's colour and stands
out from what is beside it."""
STANDS_OUT = 0.2
"""Contrast that what is beside a hole has at least."""
BLUR = 0.02
"""By so much compression may change the colour of what is that small."""
FLAT, DRAWN, DRAWN_NOISE = np.float32(3.5 / 255), 0.7, 0.005
"""In a drawing colours change by less than the first over 3x3 pixels in the second part of it, and there is no more
noise than the third."""
EXTREME = 0.06
"""A backdrop this near to white or black is that."""
TINTED = 9
"""Over so many pixels squared its middle is distinct from the backdrop."""
FADING = 0.5
"""What can be seen through has less than this part of its rim's contrast in its middle."""


class Sides(NamedTuple):
    """What is known of a picture (H, W) before its backdrop.

    Attributes
    ----------
    backdrop, kept : (H, W) bool array
        Surely backdrop; of its colour, but the subject's.
    difference : (H, W, 3) float32 array
        Picture less backdrop.
    contrast : (H, W) float32 array
        Its length, 0 where it is surely backdrop.
    slack : (3,) float32 array
        Differences up to which nothing is known.
    trusted : bool
        Whether the segmenter's word has weight inside the silhouette.
    whole : bool
        Whether, moreover, it has found all of the subject.
    clear : bool
        Whether the subject can be seen through.
    """

    backdrop: np.ndarray
    kept: np.ndarray
    difference: np.ndarray
    contrast: np.ndarray
    slack: np.ndarray
    trusted: bool
    whole: bool
    clear: bool


def find_sides(
    image: np.ndarray, behind: np.ndarray, noise: np.ndarray, probability: np.ndarray | None, *, only: bool = False
) -> Sides:
    """Tell backdrop from subject.

    Parameters
    ----------
    image, behind : (H, W, 3) float32 array in [0, 1]
        The picture, and the colours of its backdrop.
    noise : (3,) float32 array
        Its standard deviation.
    probability : (H, W) float32 array in [0, 1], optional
        Of foreground, the segmenter's.
    only : bool, default False
        Somebody has pointed at the subject: what the segmenter does not take for it is backdrop.
    """
    difference = image - behind
    slack = SIGMAS * noise + np.float32(CODE)
    plain = ~_distinct(difference, slack)
    backdrop = np.zeros(plain.shape, bool)
    found = regions(plain)
    found.paint(found.touched(picture_edge(plain.shape)), True, backdrop)
    silhouette = ~backdrop
    length = np.sqrt(np.einsum("hwc,hwc->hw", difference, difference))
    trusted, whole, clear = _trusted(difference, length, behind, slack, silhouette, probability)
    kept = np.zeros(plain.shape, bool)
    enclosed = plain & silhouette
    if enclosed.any():
        holes = regions(enclosed)
        goes = holes.sizes() >= HOLE
        if trusted and probability is not None and not _drawn(image, silhouette, noise):
            stays = (_means(holes, probability) >= SURE) & ~_framed(holes, enclosed, backdrop, length)
            holes.paint(stays, True, kept)
            goes &= ~stays
        holes.paint(goes, True, backdrop)
    _clean(backdrop, probability if trusted else None, only=only)
    return Sides(backdrop, kept, difference, np.where(backdrop, np.float32(0), length), slack, trusted, whole, clear)


def picture_edge(shape: tuple[int, ...]) -> np.ndarray:
    """The outermost pixels (H, W) bool of a picture."""
    edge = np.ones(shape, bool)
    edge[1:-1, 1:-1] = False
    return edge


def depth_of(inside: np.ndarray) -> np.ndarray:
    """Distance in pixels of each to the nearest one that is not `inside` (H, W) bool; large if there is none."""
    depth: np.ndarray = np.sqrt(squared_distance(~inside, max(inside.shape)))
    return depth


def _distinct(difference: np.ndarray, slack: np.ndarray) -> np.ndarray:
    """Where a pixel, or the mean of the nine about it, is off the backdrop by more than noise can be."""
    distinct = (np.abs(difference) > slack).any(axis=-1)
    for c in range(3):
        mean = ndimage.uniform_filter(difference[..., c], 3, mode="nearest")
        distinct |= np.abs(mean) > slack[c] / 2 + np.float32(0.25 / 255)
    return np.asarray(distinct)


def _trusted(
    difference: np.ndarray,
    length: np.ndarray,
    behind: np.ndarray,
    slack: np.ndarray,
    silhouette: np.ndarray,
    probability: np.ndarray | None,
) -> tuple[bool, bool, bool]:
    """Whether the segmenter's word has weight inside the silhouette, whether it has found all of the subject, and
    whether that can be seen through."""
    if probability is None:
        return False, False, False
    mask = probability >= 0.5
    both, own = int(np.count_nonzero(silhouette & mask)), int(np.count_nonzero(mask))
    within = own > 0 and both >= WITHIN * own
    clear = within and _transparent(difference, length, behind, slack, silhouette, probability)
    trusted = within and not clear and not _openwork(difference, length, slack, probability)
    return trusted, trusted and both >= AGREEMENT * (own + int(np.count_nonzero(silhouette)) - both), clear


def _drawn(image: np.ndarray, silhouette: np.ndarray, noise: np.ndarray) -> bool:
    """Whether the silhouette is filled with colours that hardly change from a pixel to the next, as no photo's is."""
    inside = ndimage.binary_erosion(silhouette, iterations=2)
    count = int(np.count_nonzero(inside))
    if not count or noise.max() > DRAWN_NOISE:
        return False
    flat = inside.copy()
    for c in range(3):
        flat &= ndimage.maximum_filter(image[..., c], 3) - ndimage.minimum_filter(image[..., c], 3) <= FLAT
    return int(np.count_nonzero(flat)) >= DRAWN * count


def _core(probability: np.ndarray, margin: float) -> np.ndarray:
    sure = probability >= SURE
    core: np.ndarray = sure & (depth_of(sure) > margin)
    return core


def _openwork(difference: np.ndarray, length: np.ndarray, slack: np.ndarray, probability: np.ndarray) -> bool:
    """Whether what the segmenter is sure of is riddled with holes of the backdrop's colour."""
    core = _core(probability, OPENWORK_DEPTH)
    around = widest(length, 6)
    holes = core & (length < np.float32(0.3) * around) & (around > STANDS_OUT)
    holes &= (np.abs(difference) <= slack + np.float32(BLUR)).all(axis=-1)
    return int(np.count_nonzero(holes)) >= OPENWORK * max(1, int(np.count_nonzero(core)))


def _transparent(
    difference: np.ndarray,
    length: np.ndarray,
    behind: np.ndarray,
    slack: np.ndarray,
    silhouette: np.ndarray,
    probability: np.ndarray,
) -> bool:
    """Whether the subject fades towards the backdrop's colour from its rim to its middle, as glass does.

    What has that very colour may be paint, and before white and black a white cup fades too: both are believed.
    """
    core = _core(probability, 2) & silhouette
    if not core.any() or _extreme(behind):
        return False
    depth = depth_of(silhouette)
    deepest = float(depth[core].max())
    rim, middle = core & (depth < 0.15 * deepest), core & (depth > 0.5 * deepest)
    if not rim.any() or not middle.any():
        return False
    tint = np.zeros(length.shape, np.float32)
    for c in range(3):
        mean = ndimage.uniform_filter(difference[..., c], TINTED, mode="nearest")
        np.maximum(tint, np.abs(mean) - slack[c] / TINTED, out=tint)
    if np.median(tint[middle]) < CODE:
        return False
    return float(np.median(length[middle])) < FADING * float(np.median(length[rim]))


def _extreme(behind: np.ndarray) -> bool:
    """Whether the backdrop is white or black, which much else is where a photo is over- or underexposed."""
    mean = behind.mean(axis=(0, 1))
    return bool((mean > 1 - EXTREME).all() or (mean < EXTREME).all())


def _means(found: Regions, values: np.ndarray) -> np.ndarray:
    """The mean of `values` (H, W) over each region."""
    width = values.shape[1]
    upto = np.concatenate([[0.0], np.cumsum(values, dtype=np.float64)])
    row, first, last = found.runs.T.astype(np.int64)
    means: np.ndarray = np.bincount(found.region, upto[row * width + last] - upto[row * width + first]) / found.sizes()
    return means


def _framed(holes: Regions, enclosed: np.ndarray, backdrop: np.ndarray, length: np.ndarray) -> np.ndarray:
    """For each enclosed region whether its edge is crisp and the wall about it thin, as those of a handle are.

    The wall is thin that for a quarter of the edge is no wider than half the hole.
    """
    half = np.sqrt(holes.greatest(squared_distance(~enclosed, max(enclosed.shape))))
    rim = enclosed & ~ndimage.binary_erosion(ndimage.binary_closing(enclosed, iterations=2), border_value=1)
    wall = np.sqrt(squared_distance(backdrop, int(np.ceil(half.max())) + 3))
    crisp = widest(length, 4) >= np.float32(CRISP) * widest(length, 8)
    count = np.maximum(_means(holes, rim), 1e-6)
    thin = _means(holes, rim & (wall <= _spread(holes, half + 2, enclosed.shape))) / count >= 0.25
    framed: np.ndarray = thin & (_means(holes, rim & crisp) / count >= 0.5)
    return framed


def _spread(found: Regions, values: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """(H, W) float32: each region's value on its pixels, 0 elsewhere."""
    plane = np.zeros(shape, np.float32)
    row, first, last = found.runs.T.astype(np.int64)
    length = last - first
    start = row * shape[1] + first - (np.cumsum(length) - length)
    plane.flat[np.repeat(start, length) + np.arange(length.sum())] = np.repeat(values[found.region], length)
    return plane


def _clean(backdrop: np.ndarray, probability: np.ndarray | None, *, only: bool) -> None:
    """Add islands to the backdrop, in place, that are too small and that the segmenter knows nothing of.

    `only`: all that it knows nothing of, whatever their size.
    """
    islands = regions(~backdrop)
    sizes = islands.sizes()
    if not len(sizes):
        return
    small = sizes < max(4, SPECK * sizes.sum() if probability is not None else 0)
    small[int(np.argmax(sizes))] = False
    if probability is not None:
        unknown = ~islands.touched(probability >= 0.5)
        small = unknown if only and not unknown.all() else small & unknown
    islands.paint(small, True, backdrop)
