"""Alpha before a known backdrop B.

Of I = alpha F + (1 - alpha) B, F and alpha are unknown: four numbers from three (Smith and Blinn, SIGGRAPH 1996). F is
taken from pixels near by that lie farthest from B, as those in the middle of a strand do: alpha is where I projects
onto the line from B to F. Several such F vote. No F in range can make alpha less than the smallest that reaches I: that
settles black ink on white paper. What the votes leave open the matting Laplacian decides (Levin et al., PAMI 2008), in
which they are a prior with the weight that they have.
"""

from __future__ import annotations

import numpy as np

from trimatte.alpha.closed_form import closed_form
from trimatte.backdrop.field import SIGMAS
from trimatte.backdrop.known import SURE, Sides, depth_of
from trimatte.linalg.report import SolveReport
from trimatte.planes.distance import squared_distance
from trimatte.planes.regions import widest
from trimatte.trimap import BACKGROUND, FOREGROUND, UNKNOWN

VOTES = 12
CHUNK = 65536
"""Pixels that are looked up at a time."""
RIDGE, AROUND = 0.5, 8
"""A sample of F is the farthest from B of 5x5, and half as far at least as the farthest within 8 pixels."""
RIM = 0.8
"""Where the subject can be seen through, a sample is as far as this part of the farthest twentieth."""
REACH = 4.0
"""A vote counts half from so many pixels away."""
DOUBT = 0.01
"""Difference of colour, beside the noise, that F may vary by."""
FIRM = 0.01
"""The least weight of the votes against the Laplacian."""
DEPTH = 0.02
"""What the segmenter is sure of is known at this depth, relative to the picture's shorter side."""
OPAQUE = 0.97
PLATEAU = 0.9
"""Without the segmenter, what is known lies where the mean contrast has come to this part of its greatest."""
EPSILON = 1e-6
ROUNDED = 0.01
"""Alpha this near to 0 or 1 is that."""


def solve_alpha(
    image: np.ndarray,
    behind: np.ndarray,
    sides: Sides,
    probability: np.ndarray | None,
    report: SolveReport,
    *,
    marks: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Trimap (H, W) uint8 and alpha (H, W) float32 of a picture before the colours `behind` (H, W, 3).

    What a person has marked (H, W) uint8 holds there: 0, 128 or 255.
    """
    subject = _surely_subject(sides, probability)
    least = _least_alpha(sides, behind)
    subject |= (least >= OPAQUE) & ~sides.backdrop
    marks = np.ones(subject.shape, np.uint8) if marks is None else marks
    asked = marks == UNKNOWN
    unknown = ~(subject | sides.backdrop) | asked
    votes, weight = _votes(sides, unknown)
    np.maximum(votes, least, out=votes, where=unknown)
    if not (sides.whole or sides.clear):
        subject |= unknown & ~asked & (votes >= PLATEAU) & (depth_of(~sides.backdrop) > _transition(sides))
        unknown &= ~subject
    marked = np.isin(marks, (BACKGROUND, UNKNOWN, FOREGROUND))
    subject = np.where(marked, marks == FOREGROUND, subject)
    unknown = np.where(marked, asked, unknown)
    trimap = np.where(subject, np.uint8(FOREGROUND), np.where(unknown, np.uint8(UNKNOWN), np.uint8(BACKGROUND)))
    alpha = subject.astype(np.float32)
    report.unknown = int(np.count_nonzero(unknown))
    if report.unknown:
        prior, weight = np.where(unknown, votes, np.float32(0)), np.where(unknown, weight, np.float32(0))
        solved = closed_form(image, trimap, report, epsilon=EPSILON, prior=prior, confidence=weight)
        alpha[unknown] = np.clip((solved[unknown] - ROUNDED) / (1 - 2 * ROUNDED), 0, 1)
    return trimap, alpha


def _surely_subject(sides: Sides, probability: np.ndarray | None) -> np.ndarray:
    if probability is None or not sides.trusted:
        return np.zeros(sides.backdrop.shape, bool)
    deep = depth_of(~sides.backdrop) > DEPTH * min(sides.backdrop.shape)
    about_kept = squared_distance(sides.kept, 3) <= 9 if sides.kept.any() else sides.kept
    subject: np.ndarray = (probability >= SURE) & (deep | about_kept) & ~sides.backdrop
    return subject


def _least_alpha(sides: Sides, behind: np.ndarray) -> np.ndarray:
    """The least alpha (H, W) that a foreground colour in [0, 1] can have, beyond what noise does."""
    least = np.zeros(sides.backdrop.shape, np.float32)
    for c in range(3):
        difference = sides.difference[..., c]
        room = np.where(difference > 0, 1 - behind[..., c], behind[..., c])
        np.maximum(least, (np.abs(difference) - sides.slack[c]) / np.maximum(room, np.float32(0.1)), out=least)
    return np.clip(least, 0, 1, out=least)


def _samples(sides: Sides) -> np.ndarray:
    """Where F may be read off (H, W) bool."""
    contrast = sides.contrast
    ridge = contrast >= np.float32(0.95) * widest(contrast, 2)
    ridge &= contrast >= np.float32(RIDGE) * widest(contrast, AROUND)
    ridge &= contrast > 2 * np.sqrt(np.square(sides.slack).sum())
    if sides.clear:  # only its rim is dense enough to show the colour of what can be seen through
        ridge &= contrast >= np.float32(RIM) * np.quantile(contrast[~sides.backdrop], 0.95)
    ridge &= ~sides.backdrop
    return ridge if ridge.any() else ~sides.backdrop & (contrast >= contrast.max())


def _votes(sides: Sides, unknown: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Alpha by the samples near each unknown pixel, and the weight of that (H, W) float32."""
    from scipy.spatial import cKDTree

    from trimatte.runtime.threads import available_threads

    votes, weight = np.zeros(unknown.shape, np.float32), np.zeros(unknown.shape, np.float32)
    where, samples = np.argwhere(unknown), np.argwhere(_samples(sides))
    if not len(where) or not len(samples):
        return votes, weight
    tree = cKDTree(samples)
    colours = sides.difference[tuple(samples.T)].astype(np.float64)
    noise = float(sides.slack.max()) / SIGMAS
    nearby = list(range(1, min(VOTES, len(samples)) + 1))
    for first in range(0, len(where), CHUNK):
        part = where[first : first + CHUNK]
        distance, nearest = tree.query(part, k=nearby, workers=available_threads())
        place = tuple(part.T)
        own = sides.difference[place].astype(np.float64)
        votes[place], weight[place] = _vote(own, colours[nearest], np.asarray(distance), noise)
    return votes, weight


def _vote(own: np.ndarray, samples: np.ndarray, distance: np.ndarray, noise: float) -> tuple[np.ndarray, np.ndarray]:
    """Alpha (n,) and its weight, of differences I - B (n, 3) and F - B (n, k, 3) at distances (n, k) in pixels.

    A vote is worth what it explains of I, and more near by; all together more where F is far from B and they agree.
    """
    length = np.einsum("nkc,nkc->nk", samples, samples)
    alpha = np.clip(np.einsum("nc,nkc->nk", own, samples) / np.maximum(length, 1e-6), 0, 1)
    error = np.square(own[:, None] - alpha[..., None] * samples).sum(axis=-1)
    variance = 3 * (noise + DOUBT) ** 2
    worth = np.exp(-error / (2 * variance)) / (1 + distance / REACH) + 1e-9
    worth /= worth.sum(axis=1, keepdims=True)
    mean = np.einsum("nk,nk->n", worth, alpha)
    spread = np.einsum("nk,nk->n", worth, np.square(alpha - mean[:, None]))
    far = np.einsum("nk,nk->n", worth, length)
    weight = np.exp(-error.min(axis=1) / (2 * variance)) * far / (far + 3 * (2 * noise + 0.02) ** 2)
    return mean, weight * 0.01 / (0.01 + spread) + FIRM


def _transition(sides: Sides) -> float:
    """Depth in pixels at which the mean contrast has come to its plateau: small at hard edges, large at soft ones."""
    inside = ~sides.backdrop
    depth = depth_of(inside)[inside].astype(np.int64)
    count = np.bincount(depth)
    mean = np.bincount(depth, sides.contrast[inside]) / np.maximum(count, 1)
    often = count >= 0.002 * len(depth)
    if not often.any():
        return 2.0
    return 2.0 + int(np.argmax(often & (mean >= PLATEAU * mean[often].max())))
