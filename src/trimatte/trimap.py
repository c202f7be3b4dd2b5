"""Foreground probability to trimap: a band of unknown pixels about the boundary, by exact distances.

Erosion and dilation by a disk are thresholds on the distance to the other side, so that the band is symmetric
whatever its width (even-sized structuring elements, as many tools use them, shift it).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import isqrt, sqrt
from typing import Any

import numpy as np
from PIL import Image

from trimatte.errors import ArgumentError
from trimatte.images import as_alpha
from trimatte.images.arrays import BACKGROUND as BACKGROUND
from trimatte.images.arrays import FOREGROUND as FOREGROUND
from trimatte.images.arrays import UNKNOWN as UNKNOWN
from trimatte.runtime.options import check_number
from trimatte.runtime.report import PlainReport

THIN = np.float32(0.5)
"""Where the subject is thin, a leg or a stalk, this share of its half width goes to the band: its core stays."""
NARROWEST, WIDEST = np.float32(0.25), np.float32(4)
"""Of an adaptive band, in half widths of the plain one."""
BASE, RISE = 1.72, 0.076
"""Between those bounds it reaches `BASE * sqrt(band) + RISE * log(mixed)` times the subject's size: of the default band
a quarter where a pixel is mixed with a probability of 0.0075, all at 0.012, four times as far from 0.09 on. On the
development pictures such bands take about as much of the picture in the mean as plain ones of the same `band`."""
BAND = 0.05
"""Half width of the band by default, relative to the subject's size."""
SPECK = 0.002
"""Islands and holes of a network's output below this share of the subject's area are taken for its errors."""
KEPT = "the picture's own alpha is kept, since it lies on transparent ground; give a trimap to cut it further"
DOUBT = "much of what the segmenter finds is in doubt: there may be no subject"
BOUND = "the picture's own alpha is an upper bound: where it is 0 is background"
"""What there is to say of a picture that has alpha already."""
GROUND, BORDER = 0.01, 0.25
"""A transparent ground is more than so much of the picture, and takes at least so much of its border."""
MAP_PIXELS, STEPS = 750_000, 4
"""A network's map is taken in blocks, so that there are about so many of them or more; and how many blocks the band's
half width has at least."""
NEGLIGIBLE = 1e-4
"""A subject is more than this share of the picture. Of a picture 320 pixels wide, as the embedded network sees it,
that is a handful of pixels."""


@dataclass
class TrimapReport(PlainReport):
    """How a trimap came about.

    Attributes
    ----------
    subject : bool
        Whether there is one.
    band : float
        Half width of the band in pixels.
    islands, holes : int
        How many were too small, and follow what surrounds them.
    decided : float
        Share of the picture that its colours had put on the other side before, than the segmenter did.
    trust : float
        That there is a subject, see `trimatte.confidence.subject_trust`; 1 where a person says what it is.
    notes : list of str
        Departures from what was asked.
    """

    subject: bool = True
    band: float = 0.0
    islands: int = 0
    holes: int = 0
    decided: float = 0.0
    trust: float = 1.0
    notes: list[str] = field(default_factory=list)

    @property
    def specks(self) -> int:
        """Islands and holes together."""
        return self.islands + self.holes


def make_trimap(
    probability: Any,
    *,
    band: float | None = None,
    band_pixels: float | None = None,
    mixed: Any = None,
    sure: float = 0.9,
    speck: float = 0.0,
    report: TrimapReport | None = None,
) -> np.ndarray:
    """Derive known foreground, known background and the unknown band between them.

    Parameters
    ----------
    probability : (H, W) array
        Of foreground, in [0, 1].
    band : float, optional
        Half width of the band relative to the subject's size (the square root of its area), up to 10; 0.05 by default.
    band_pixels : float, optional
        Half width in pixels instead, up to 100,000.
    mixed : (H, W) array in [0, 1], optional
        The probability that a pixel is neither foreground nor background alone, as `trimatte.alpha.glance.mixed_pixels`
        tells. The band is then adaptive: up to four times as wide where it is high, at hair, and down to a quarter
        where it is low, at hard edges.
    sure : float, default 0.9
        Probability that known foreground has at least; known background has at most `1 - sure`.
    speck : holes and islands of less than this share of the subject's area follow what surrounds them. By default
        none: in a mask that somebody made every island is meant, and keeps a core of foreground. A network's output
        is better off with `SPECK`, as `trimatte.cutout` does it.
    report : TrimapReport, optional
        Filled in if given.

    Returns
    -------
    (H, W) uint8 array
        Values 0, 128 and 255. Foreground at the picture's border stays foreground, and thin parts of the subject keep a
        core of it. Where no foreground or no background would remain beside the band, it narrows on that side. If the
        subject fills the picture, what is not sure is unknown, or else a band at the picture's border; if there is no
        subject (see `has_subject`), what is not sure, or else the whole picture.

    Raises
    ------
    ArgumentError
        A wrong shape or range, or two widths.
    """
    probability = as_alpha(probability, name="probability")
    if mixed is not None:
        mixed = as_alpha(mixed, name="mixed", shape=probability.shape)
    check_widths(band=band, band_pixels=band_pixels, speck=speck)
    check_number("speck", speck)
    if not isinstance(report, (TrimapReport, type(None))):
        raise ArgumentError(f"report: got {report!r}, wanted a TrimapReport")
    check_number("sure", sure, above=0.5, most=1)
    report = TrimapReport() if report is None else report
    if not has_subject(probability, sure):
        return without_subject(probability, report, sure)
    mask = without_specks(probability >= 0.5, speck, report)
    size = float(np.sqrt(np.count_nonzero(mask)))
    half = max(1.0, half_width(band, band_pixels, size))
    if mask.all():
        return _without_background(probability, sure, half, report)
    reach = np.float32(half) if mixed is None else _adaptive(mixed, half, size)
    inside, outside = distances(mask, 2 * float(reach.max()))
    sure_inside = probability >= sure
    depth = _depth(inside, half, reach, mask, sure_inside, trusting=speck == 0)
    foreground = _core(inside, half, depth, mask, sure_inside, "foreground", report)
    background = _core(outside, half, reach, ~mask, probability <= 1 - sure, "background", report)
    report.band = half
    trimap = np.full(mask.shape, UNKNOWN, np.uint8)
    trimap[foreground] = FOREGROUND
    trimap[background] = BACKGROUND
    return trimap


def coarse_trimap(
    probability: np.ndarray,
    *,
    band: float | None,
    band_pixels: float | None,
    speck: float,
    report: TrimapReport,
) -> np.ndarray:
    """`make_trimap` of a network's map (H, W) float32, on blocks of a large picture; the report is filled in.

    A network sees a small picture, so that its map of a large one is smooth and the band wide. It is still drawn at the
    picture's own size where it would be less than `STEPS` blocks wide.
    """
    factor = max(1, isqrt(probability.size // MAP_PIXELS))
    if factor > 1:
        small = np.asarray(Image.fromarray(probability).reduce(factor))
        size = sqrt(np.count_nonzero(small >= 0.5))
        width = None if band_pixels is None else band_pixels / factor
        if half_width(band, width, size) >= STEPS:
            trimap = make_trimap(np.clip(small, 0, 1), band=band, band_pixels=width, speck=speck, report=report)
            report.band *= factor
            rows, columns = (np.arange(side) // factor for side in probability.shape)
            enlarged: np.ndarray = trimap[rows[:, None], columns]
            return enlarged
    return make_trimap(probability, band=band, band_pixels=band_pixels, speck=speck, report=report)


def half_width(band: float | None, band_pixels: float | None, size: float) -> float:
    """Of the band about a subject of a size, as it is asked for."""
    return band_pixels if band_pixels is not None else (BAND if band is None else band) * size


def check_widths(*, band: float | None, band_pixels: float | None, speck: float | None) -> None:
    """Raise `ArgumentError` for numbers out of their range, and for two widths at once."""
    for name, value, most in (("band", band, 10), ("band_pixels", band_pixels, 100_000), ("speck", speck, 1)):
        if value is not None:
            check_number(name, value, least=0, most=most)
    if band is not None and band_pixels is not None:
        raise ArgumentError(f"band_pixels: got {band_pixels}, but band is {band}; wanted one of them")


def has_subject(probability: np.ndarray, sure: float = 0.9) -> bool:
    """Whether more than a negligible share of the pixels is foreground with a probability of at least `sure`."""
    return bool(np.count_nonzero(probability >= sure) > NEGLIGIBLE * probability.size)


def is_matte(alpha: np.ndarray | None) -> bool:
    """Whether a picture's own alpha (H, W) tells a subject from transparent ground, as a drawing's or a cut-out's does.

    Else it is incidental, as that of rounded corners or of a picture that is half transparent everywhere. The ground
    has alpha 0, is more than a hundredth of the picture, and takes a quarter of its border or more.
    """
    if alpha is None:
        return False
    ground = alpha == 0
    if np.count_nonzero(ground) <= GROUND * ground.size:
        return False
    border = np.concatenate([ground[0], ground[-1], ground[:, 0], ground[:, -1]])
    return bool(np.count_nonzero(border) >= BORDER * border.size)


def own_trimap(alpha: np.ndarray) -> np.ndarray:
    """The trimap (H, W) of an own alpha (H, W) that is the matte: foreground wherever it is not 0, nothing unknown."""
    trimap: np.ndarray = np.where(alpha > 0, FOREGROUND, BACKGROUND).astype(np.uint8)
    return trimap


def distances(mask: np.ndarray, reach: float) -> tuple[np.ndarray, np.ndarray]:
    """Euclidean distance of each pixel to the other side of `mask`, within it and outside it, 0 elsewhere.

    Only exact up to `reach` pixels; farther pixels get a distance above it.
    """
    from trimatte.planes.distance import squared_distance

    limit = int(np.ceil(reach)) + 1
    inside = np.sqrt(squared_distance(~mask, limit))
    outside = np.sqrt(squared_distance(mask, limit))
    return inside, outside


def without_specks(mask: np.ndarray, share: float, report: TrimapReport | None = None) -> np.ndarray:
    """`mask` with islands and holes of less than `share` of its area turned over; its greatest island stays.

    The report, if there is one, counts them.
    """
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
            if report is not None:
                count = int(np.count_nonzero(small))
                report.islands, report.holes = (count, report.holes) if side else (report.islands, count)
    return result


def _adaptive(mixed: np.ndarray, half: float, size: float) -> np.ndarray:
    """How far the band reaches at each pixel, on both sides, by what is mixed there."""
    reach: np.ndarray = np.log(np.maximum(mixed, np.float32(1e-6)))
    reach *= np.float32(RISE * size)
    reach += np.float32(BASE * np.sqrt(half * size))
    np.clip(reach, NARROWEST * np.float32(half), WIDEST * np.float32(half), out=reach)
    return reach


def _depth(
    inside: np.ndarray,
    half: float,
    reach: np.ndarray | np.float32,
    mask: np.ndarray,
    sure: np.ndarray,
    *,
    trusting: bool,
) -> np.ndarray:
    """How deep the band reaches into the subject: `reach`, but less where the subject is thin.

    Of a network's output only parts that hang together with a deep core are trusted so far: a thin island may be no
    subject at all. `trusting`, every island keeps a core.
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
    if trusting:
        deepest = parts.greatest(inside)
        parts.lower(np.where(deepest <= np.max(reach), THIN * deepest, np.float32(np.inf)), depth)
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
        report.notes.append(f"{name} too narrow for the band, which takes {share:.1%} of its width there")
    return core


def without_subject(probability: np.ndarray, report: TrimapReport, sure: float = 0.9) -> np.ndarray:
    """A trimap in which what is not surely background is unknown, or else the whole picture; the report says why."""
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
