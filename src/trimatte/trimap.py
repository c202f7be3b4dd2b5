"""Foreground probability to trimap: a band of unknown pixels about the boundary, by exact distances.

Erosion and dilation by a disk are thresholds on the distance to the other side, so that the band is symmetric
whatever its width (even-sized structuring elements, as many tools use them, shift it).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from trimatte.errors import ArgumentError
from trimatte.images import as_alpha
from trimatte.images.arrays import BACKGROUND as BACKGROUND
from trimatte.images.arrays import FOREGROUND as FOREGROUND
from trimatte.images.arrays import UNKNOWN as UNKNOWN
from trimatte.runtime.report import PlainReport

THIN = np.float32(0.5)
"""Where the subject is thin, a leg or a stalk, this share of its half width goes to the band: its core stays."""
NARROWEST, WIDEST = np.float32(0.25), np.float32(4)
"""Of an adaptive band, in half widths of the plain one."""
BASE, RISE = 1.72, 0.076
"""Between those bounds it reaches `BASE * sqrt(band) + RISE * log(mixed)` times the subject's size: of the default band
a quarter where a pixel is mixed with a probability of 0.0075, all at 0.012, four times as far from 0.09 on. On the
development pictures such bands take about as much of the picture in the mean as plain ones of the same `band`."""
NEGLIGIBLE = 1e-4
"""A subject is more than this share of the picture. Of a picture 320 pixels wide, as the embedded network sees it,
that is a handful of pixels."""


@dataclass
class TrimapReport(PlainReport):
    """How a trimap came about: subject found, half width of the band in pixels, notes on departures."""

    subject: bool = True
    band: float = 0.0
    notes: list[str] = field(default_factory=list)


def make_trimap(
    probability: Any,
    *,
    band: float = 0.05,
    band_pixels: float | None = None,
    mixed: Any = None,
    sure: float = 0.9,
    speck: float = 0.002,
    report: TrimapReport | None = None,
) -> np.ndarray:
    """Derive known foreground, known background and the unknown band between them.

    Parameters
    ----------
    probability : (H, W) of foreground, in [0, 1].
    band : half width of the band relative to the subject's size (the square root of its area).
    band_pixels : half width in pixels instead.
    mixed : (H, W) in [0, 1], the probability that a pixel is neither foreground nor background alone, as
        `trimatte.alpha.glance.mixed_pixels` tells. The band is then adaptive: up to four times as wide where it is
        high, at hair, and down to a quarter where it is low, at hard edges.
    sure : probability that known foreground has at least; known background has at most `1 - sure`.
    speck : holes and islands of less than this share of the subject's area follow what surrounds them.
    report : filled in if given.

    Returns
    -------
    (H, W) uint8 of 0, 128 and 255. Foreground at the picture's border stays foreground, and thin parts of the subject
    keep a core of it. Where no foreground or no
    background would remain beside the band, it narrows on that side. If the subject fills the picture, what is not
    sure is unknown, or else a band at the picture's border; if there is no subject (see `has_subject`), what is not
    sure, or else the whole picture.

    Raises
    ------
    ArgumentError
        A wrong shape or range, or a width that is not positive.
    """
    probability = as_alpha(probability, name="probability")
    if mixed is not None:
        mixed = as_alpha(mixed, name="mixed", shape=probability.shape)
    for name, value in (("band", band), ("band_pixels", band_pixels), ("speck", speck)):
        if value is not None and not value >= 0:
            raise ArgumentError(f"{name}: got {value}, wanted a number of at least 0")
    if not 0.5 < sure <= 1:
        raise ArgumentError(f"sure: got {sure}, wanted a number above 0.5 and up to 1")
    report = TrimapReport() if report is None else report
    if not has_subject(probability, sure):
        return _without_subject(probability, sure, report)
    mask = without_specks(probability >= 0.5, speck)
    size = float(np.sqrt(np.count_nonzero(mask)))
    half = max(1.0, band_pixels if band_pixels is not None else band * size)
    if mask.all():
        return _without_background(probability, sure, half, report)
    reach = np.float32(half) if mixed is None else _adaptive(mixed, half, size)
    inside, outside = distances(mask, 2 * float(reach.max()))
    sure_inside = probability >= sure
    depth = _depth(inside, half, reach, mask, sure_inside)
    foreground = _core(inside, half, depth, mask, sure_inside, "foreground", report)
    background = _core(outside, half, reach, ~mask, probability <= 1 - sure, "background", report)
    report.band = half
    trimap = np.full(mask.shape, UNKNOWN, np.uint8)
    trimap[foreground] = FOREGROUND
    trimap[background] = BACKGROUND
    return trimap


def has_subject(probability: np.ndarray, sure: float = 0.9) -> bool:
    """Whether more than a negligible share of the pixels is foreground with a probability of at least `sure`."""
    return bool(np.count_nonzero(probability >= sure) > NEGLIGIBLE * probability.size)


def distances(mask: np.ndarray, reach: float) -> tuple[np.ndarray, np.ndarray]:
    """Euclidean distance of each pixel to the other side of `mask`, within it and outside it, 0 elsewhere.

    Only exact up to `reach` pixels; farther pixels get a distance above it.
    """
    from trimatte.planes.distance import squared_distance

    limit = int(np.ceil(reach)) + 1
    inside = np.sqrt(squared_distance(~mask, limit))
    outside = np.sqrt(squared_distance(mask, limit))
    return inside, outside


def without_specks(mask: np.ndarray, share: float) -> np.ndarray:
    """`mask` with islands and holes of less than `share` of its area turned over; its greatest island stays."""
    from trimatte.planes.regions import regions

    least = share * np.count_nonzero(mask)
    if least < 1:
        return mask
    result = mask.copy()
    for side in (True, False):
        found = regions(result if side else ~result)
        sizes = found.sizes()
        if len(sizes) > 1:
            small = sizes < least
            small[int(np.argmax(sizes))] = False
            found.paint(small, not side, result)
    return result


def _adaptive(mixed: np.ndarray, half: float, size: float) -> np.ndarray:
    """How far the band reaches at each pixel, on both sides, by what is mixed there."""
    reach: np.ndarray = np.log(np.maximum(mixed, np.float32(1e-6)))
    reach *= np.float32(RISE * size)
    reach += np.float32(BASE * np.sqrt(half * size))
    np.clip(reach, NARROWEST * np.float32(half), WIDEST * np.float32(half), out=reach)
    return reach


def _depth(
    inside: np.ndarray, half: float, reach: np.ndarray | np.float32, mask: np.ndarray, sure: np.ndarray
) -> np.ndarray:
    """How deep the band reaches into the subject: `reach`, but less where the subject is thin.

    Only parts that hang together with a deep core are trusted so far: a thin island may be no subject at all.
    """
    from trimatte.planes.regions import regions, widest

    parts = regions(mask)
    trusted = np.zeros(mask.shape, bool)
    parts.paint(parts.touched((inside > half) & sure), True, trusted)
    core = THIN * widest(inside, int(np.ceil(1.5 * half)) + 1)
    # Within a thick part `widest` sees no farther than its window, and says nothing of a reach beyond.
    trusted &= (core < np.float32(0.75 * half)) | (reach <= np.float32(half))
    depth: np.ndarray = np.full(mask.shape, reach, np.float32)
    np.minimum(reach, core, out=depth, where=trusted)
    return depth


def _core(
    distance: np.ndarray,
    half: float,
    depth: np.ndarray | np.float32,
    side: np.ndarray,
    sure: np.ndarray,
    name: str,
    report: TrimapReport,
) -> np.ndarray:
    """The pixels of one side that are known: beyond `depth` and sure; less deep, or less sure, if none is."""
    share = np.float32(1)
    while share * half >= 1:
        core: np.ndarray = (distance > share * depth) & sure
        if core.any():
            break
        share /= 2
    else:
        core = side & (distance >= distance.max())
        report.notes.append(f"no sure {name}: its innermost pixels were taken")
        return core
    if share < 1:
        report.notes.append(f"{name} too narrow for the band: {share * half:.1f}, not {half:.1f} pixels there")
    return core


def _without_subject(probability: np.ndarray, sure: float, report: TrimapReport) -> np.ndarray:
    """What is not surely background is unknown, or else the whole picture."""
    report.subject = False
    report.notes.append("no subject found")
    trimap = np.where(probability <= 1 - sure, BACKGROUND, UNKNOWN).astype(np.uint8)
    if not (trimap == UNKNOWN).any():
        trimap[:] = UNKNOWN
    return trimap


def _without_background(probability: np.ndarray, sure: float, half: float, report: TrimapReport) -> np.ndarray:
    """What is not surely foreground is unknown, or else a band at the picture's border; some foreground remains."""
    report.notes.append("the subject fills the picture")
    report.band = half
    trimap = np.where(probability >= sure, FOREGROUND, UNKNOWN).astype(np.uint8)
    if not (trimap == UNKNOWN).any():
        width = round(half)
        trimap[:width] = trimap[-width:] = UNKNOWN
        trimap[:, :width] = trimap[:, -width:] = UNKNOWN
    if not (trimap == FOREGROUND).any():
        trimap.flat[int(np.argmax(probability))] = FOREGROUND
    return trimap
