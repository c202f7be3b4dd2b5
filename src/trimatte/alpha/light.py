"""Alpha from a photo and its trimap by a small network alone, run by onnxruntime.

The network (`trimatte.networks.light`) runs over windows of the band. For each pixel its input has a foreground and a
background colour that explain it, sampled as shared matting does (Gastal and Oliveira, 2010), so that it need not carry
colours across the band itself. It is shipped; how it was trained is in `trimatte.training.light`, on what in
`weights/light.toml`.

The method "light" solves no system: where the network is unsure its alpha follows the photo's colours
(`follow_colours`). "light-closed-form" takes the network's alpha as the prior of closed-form matting, the weaker the
less sure the network is, and lets it see small pictures at twice their size, too.
"""

from __future__ import annotations

import numpy as np

from trimatte.alpha._network import Part, distances, network_session, padded, pair_planes, predict_in_windows
from trimatte.alpha.coarse_to_fine import coarse_to_fine
from trimatte.alpha.shared import shared_pairs
from trimatte.linalg.report import SolveReport
from trimatte.planes.regression import affine_rows, at_colours
from trimatte.planes.resize import block_means, resized, strips
from trimatte.runtime.measure import timed
from trimatte.trimap import BACKGROUND, FOREGROUND, UNKNOWN

CHANNELS = 17
MEAN, DEVIATION = np.array([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]], np.float32)[..., None, None]
"""Of colours, as the weights with which the encoder's training began want them."""
MULTIPLE = 32
"""The network wants sides that are multiples of this."""
NARROW_MARGIN = 64
"""Pixels that it sees about its part of a narrow band."""
ROUNDS, RADIUS, EDGE = 2, 2, 1e-4
"""How often alpha follows the colours of windows of what radius, in pixels, and what variance of colour is an edge."""
SURE = 0.02
"""Where the network expects this error, half of its alpha is replaced."""
STRENGTH = 3e-4
"""Of the pull of the network's alpha on the last solution."""
SMALL = 250_000
"""Pictures of no more pixels are seen at twice their size, too, by "light-closed-form"."""
DOUBLE = 0.6
"""The share of what is seen at twice the size: pictures made smaller are seen better so, sharp ones are not."""


def light(
    image: np.ndarray, trimap: np.ndarray, report: SolveReport, *, probability: np.ndarray | None = None
) -> np.ndarray:
    """Alpha (H, W) float32 of image (H, W, 3) and trimap (H, W).

    Parameters
    ----------
    probability : (H, W) array in [0, 1], optional
        Of foreground, which the trimap was derived from: a band so made is wide, and the network then sees more than
        the trimap says. Not for a trimap that somebody has drawn.
    """
    return coarse_to_fine(_followed, image, trimap, report, **_told(probability))


def light_closed_form(
    image: np.ndarray, trimap: np.ndarray, report: SolveReport, *, probability: np.ndarray | None = None
) -> np.ndarray:
    """Alpha (H, W) float32 of image (H, W, 3) and trimap (H, W): closed-form matting with the network's as a prior.

    `probability` as of `light`.
    """
    return coarse_to_fine(_solved, image, trimap, report, **_told(probability))


def _told(probability: np.ndarray | None) -> dict[str, np.ndarray]:
    """The map of foreground (H, W) by its name, if there is one."""
    return {} if probability is None else {"probability": probability}


def _followed(
    image: np.ndarray, trimap: np.ndarray, report: SolveReport, *, narrow: bool, probability: np.ndarray | None = None
) -> np.ndarray:
    alpha, doubt = _seen(image, trimap, report, narrow=narrow, probability=probability)
    with timed(report.seconds, "network"):
        return follow_colours(image, trimap, alpha, doubt)


def _solved(
    image: np.ndarray, trimap: np.ndarray, report: SolveReport, *, narrow: bool, probability: np.ndarray | None = None
) -> np.ndarray:
    from trimatte.alpha.closed_form import near_prior  # and with it the solver, which "light" does without

    alpha, doubt = _seen(image, trimap, report, narrow=narrow, probability=probability)
    if trimap.size <= SMALL:
        told = None if probability is None else _doubled(probability)
        seen = _seen(*twice(image, trimap), report, narrow=narrow, probability=told)
        double = (block_means(plane, 2, 2) for plane in seen)
        alpha, doubt = (
            (1 - DOUBLE) * once + DOUBLE * twofold for once, twofold in zip((alpha, doubt), double, strict=True)
        )
    return near_prior(image, trimap, report, np.ascontiguousarray(np.clip(alpha, 0, 1)), doubt, strength=STRENGTH)


def _seen(
    image: np.ndarray, trimap: np.ndarray, report: SolveReport, *, narrow: bool, probability: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    """The network's alpha and doubt, both (H, W)."""
    with timed(report.seconds, "samples"):
        pairs = shared_pairs(image, trimap, report)
    report.solver, report.device = "network", "cpu"
    with timed(report.seconds, "network"):
        return predict(image, trimap, pairs, probability=probability, narrow=narrow)


def twice(image: np.ndarray, trimap: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Image (2H, 2W, 3) and trimap (2H, 2W) of twice the size."""
    return _doubled(image), trimap.repeat(2, 0).repeat(2, 1)


def _doubled(picture: np.ndarray) -> np.ndarray:
    """A picture (H, W[, 3]) at twice the size."""
    return np.ascontiguousarray(resized(picture, tuple(2 * side for side in picture.shape[:2]), "bicubic"))


def follow_colours(image: np.ndarray, trimap: np.ndarray, alpha: np.ndarray, doubt: np.ndarray) -> np.ndarray:
    """Alpha (H, W) that, the more a network doubts its own (H, W), is the affine function of colour nearby.

    That is what closed-form matting draws towards. Solved with the network's alpha as a prior it gains more, but its
    kernels would have to be compiled before the first cut-out of all.
    """
    for _ in range(ROUNDS):
        followed = alpha.copy()
        for rows in strips(alpha.shape):
            unknown = trimap[rows] == UNKNOWN
            if not unknown.any():
                continue
            fitted = at_colours(image[rows], affine_rows(image, alpha, rows, RADIUS, EDGE))
            share = unknown * (doubt[rows] ** 2 / (doubt[rows] ** 2 + SURE**2))
            followed[rows] += share * (np.clip(fitted, 0, 1) - alpha[rows])
        alpha = followed
    return alpha


def predict(
    image: np.ndarray,
    trimap: np.ndarray,
    pairs: np.ndarray,
    *,
    probability: np.ndarray | None = None,
    narrow: bool = False,
) -> tuple[np.ndarray, np.ndarray]:
    """The network's alpha (H, W) and its expected absolute error (H, W), both float32 and exact where known.

    `pairs` (H, W, 6) are the foreground and the background colour sampled for each unknown pixel, `probability` (H, W)
    the map of foreground that the trimap was derived from. `narrow` says that the band of unknown pixels is.
    """
    away = distances(trimap)

    def infer(seen: Part) -> np.ndarray:
        known = None if probability is None else probability[seen]
        x = padded(features(image[seen], trimap[seen], pairs[seen], away[:, seen[0], seen[1]], known), MULTIPLE)
        planes: np.ndarray = np.concatenate(network_session("light").run(None, {"features": x[None]}))[:, 0]
        return planes

    return predict_in_windows(trimap, MULTIPLE, infer, margin=NARROW_MARGIN if narrow else None)


def features(
    image: np.ndarray, trimap: np.ndarray, pairs: np.ndarray, away: np.ndarray, probability: np.ndarray | None = None
) -> np.ndarray:
    """What the network sees of (a part of) a picture, (17, H, W) float32.

    Colour, less `MEAN`, by `DEVIATION`; known foreground and background; the distances `away` to both; what
    `pair_planes` says of the sampled pair; from -1 to 1 what the probability of foreground is, 0 if nobody says.
    """
    known = trimap == FOREGROUND, trimap == BACKGROUND
    told = np.zeros(trimap.shape, np.float32) if probability is None else 2 * probability - 1
    planes = [*np.moveaxis(image, -1, 0), *known, *away, *pair_planes(image, trimap, pairs), told]
    out: np.ndarray = np.stack(planes).astype(np.float32, copy=False)
    out[:3] = (out[:3] - MEAN) / DEVIATION
    return out
