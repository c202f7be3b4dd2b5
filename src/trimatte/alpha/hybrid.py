"""The hybrid: several solutions, weighed and corrected by a small network, as the prior of a last closed-form solve.

Closed-form, KNN and shared matting fail in different places: the first where the subject has holes, the second where
colours repeat, the third where foreground and background look alike. The light network, which knows hair and leaves
but solves no equation, sees large pictures reduced; it is the coarse one of a pair. The fine one, a smaller
convolutional network, sees what each of the four says, the colours that shared matting found, the photo and the trimap,
and gives alpha and how far it may be off. Both go as a prior and its weight into the closed-form system (Levin et al.,
section 3), whose solution agrees with the local colour model where the network is unsure.

The networks run by onnxruntime on windows of the band; their weights are shipped. How they were trained is in
`trimatte.training.light` and `trimatte.training.hybrid`, on what in `weights/light.toml` and `weights/hybrid.toml`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from trimatte.alpha._network import Part, distances, network_session, padded, pair_planes, predict_in_windows
from trimatte.alpha.closed_form import closed_form, near_prior
from trimatte.alpha.coarse_to_fine import coarse_to_fine
from trimatte.alpha.knn import knn
from trimatte.alpha.light import predict
from trimatte.alpha.reduced import reduced_trimap
from trimatte.alpha.shared import shared_samples
from trimatte.errors import SolverError
from trimatte.linalg.report import SolveReport
from trimatte.planes.paged import paged_zeros
from trimatte.planes.resize import resized
from trimatte.runtime.measure import timed
from trimatte.trimap import BACKGROUND, FOREGROUND, UNKNOWN

METHODS = ("closed-form", "knn", "shared", "light")
KNN_PIXELS = 200_000
"""With more unknown pixels KNN matting sees a picture of half the size, or less."""
SHARED = METHODS.index("shared")
LIGHT_PIXELS = 1_000_000
"""The light network sees a picture of more pixels at half the size, or less."""
CHANNELS = 19
ALPHAS = slice(5, 9)
"""Of the channels, those of the solutions."""
COLOURS = 0, 9, 12
"""The first channels of what is red, green and blue."""
MULTIPLE = 16
"""The network wants sides that are multiples of this."""
NARROW_MARGIN = 32
"""Pixels that it sees about its part of a narrow band."""
VIEWS: tuple[tuple[tuple[int, ...], tuple[int, ...]], ...] = (((0, 1, 2), ()), ((1, 2, 0), (2,)))
"""Orders of the colours and axes turned round; the network's answers to all are averaged. A band of more than
KNN_PIXELS gets one pass."""
PLAIN = {"shared": 0.15, "light": 0.2}
"""So much of the prior is what these say by themselves: the networks, which have seen composites alone, trust
themselves too much on photos; light has learnt from photos."""
STRENGTH = 1e-2
"""Of the prior's pull on the last solution."""


@dataclass(frozen=True)
class Ingredients:
    """What the methods say.

    alphas : (4, H, W) float32, in the order of `METHODS`.
    pairs : (H, W, 6) float32, foreground and background that shared matting found for each unknown pixel.
    """

    alphas: np.ndarray
    pairs: np.ndarray


def hybrid(image: np.ndarray, trimap: np.ndarray, report: SolveReport) -> np.ndarray:
    """Alpha (H, W) float32 of image (H, W, 3) and trimap (H, W).

    Raises
    ------
    SolverError
        If none of the methods gives a solution.
    """
    return coarse_to_fine(_hybrid, image, trimap, report)


def _hybrid(image: np.ndarray, trimap: np.ndarray, report: SolveReport, *, narrow: bool) -> np.ndarray:
    ingredients = solutions(image, trimap, report)
    with timed(report.seconds, "network"):
        alpha, doubt = corrected(image, trimap, ingredients, narrow=narrow)
    report.device = "cpu"
    prior = np.float32(1 - sum(PLAIN.values())) * alpha
    for method, share in PLAIN.items():
        prior += np.float32(share) * ingredients.alphas[METHODS.index(method)]
    del alpha, ingredients
    return near_prior(image, trimap, report, prior, doubt, strength=STRENGTH)


def corrected(
    image: np.ndarray, trimap: np.ndarray, ingredients: Ingredients, *, narrow: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """The network's alpha (H, W) and its expected absolute error (H, W), both float32 and exact where known.

    `narrow` says that the band of unknown pixels is.
    """
    away = distances(trimap)
    views = VIEWS if np.count_nonzero(trimap == UNKNOWN) <= KNN_PIXELS else VIEWS[:1]

    def infer(seen: Part) -> np.ndarray:
        own = Ingredients(ingredients.alphas[:, seen[0], seen[1]], ingredients.pairs[seen])
        x = padded(features(image[seen], trimap[seen], own, away[:, seen[0], seen[1]]), MULTIPLE)
        mean: np.ndarray = np.stack([_predicted(x, *view) for view in views]).mean(0)
        return mean

    return predict_in_windows(trimap, MULTIPLE, infer, margin=NARROW_MARGIN if narrow else None)


def _predicted(x: np.ndarray, colours: tuple[int, ...], turned: tuple[int, ...]) -> np.ndarray:
    """The network's answer (2, H, W) to features (19, H, W) with the colours in another order and axes turned round."""
    channels = np.arange(CHANNELS)
    for first in COLOURS:
        channels[first : first + 3] = first + np.array(colours)
    outputs = network_session("hybrid").run(
        None, {"features": np.ascontiguousarray(np.flip(x, turned)[channels])[None]}
    )
    answer: np.ndarray = np.flip(np.concatenate([output[0] for output in outputs]), turned)
    return answer


def solutions(
    image: np.ndarray,
    trimap: np.ndarray,
    report: SolveReport,
    *,
    knn_pixels: int = KNN_PIXELS,
    light_pixels: int = LIGHT_PIXELS,
    span: float = 1.0,
) -> Ingredients:
    """Closed-form, KNN, shared and light matting of image (H, W, 3) and trimap (H, W).

    KNN matting weighs places in units of the picture's sides; `span` is the share of a whole picture's that the image's
    sides are, so that a crop is treated as it would be within its picture.

    One that fails is replaced by the mean of the others, and the report says so; if all fail that is a `SolverError`.
    """
    pairs = paged_zeros((*trimap.shape, 6))

    def sampled(report: SolveReport) -> np.ndarray:
        nonlocal pairs
        alpha, pairs = shared_samples(image, trimap, report)
        return alpha

    ways: dict[str, Callable[[SolveReport], np.ndarray]] = {
        "closed-form": lambda report: closed_form(image, trimap, report, rtol=1e-4),
        "knn": lambda report: _reduced_knn(image, trimap, report, knn_pixels, span),
        "shared": sampled,
        "light": lambda _: _reduced_light(image, trimap, pairs, light_pixels),
    }
    alphas = np.zeros((len(METHODS), *trimap.shape), np.float32)
    done = []
    for number, method in enumerate(METHODS):
        own = SolveReport(method=method, unknown=report.unknown)
        try:
            with timed(report.seconds, method):
                alphas[number] = np.clip(ways[method](own), 0, 1)
            done.append(number)
        except (SolverError, ArithmeticError, MemoryError, ValueError) as error:
            report.fallbacks.append(f"{method} failed, the mean of the others takes its place: {error}")
        report.fallbacks += [f"{method}: {departure}" for departure in own.fallbacks]
        report.iterations += own.iterations
    if not done:
        raise SolverError("hybrid: closed-form, KNN, shared and light matting all failed")
    for number in set(range(len(METHODS))) - set(done):
        alphas[number] = alphas[done].mean(0)
    return Ingredients(alphas, pairs)


def features(image: np.ndarray, trimap: np.ndarray, ingredients: Ingredients, away: np.ndarray) -> np.ndarray:
    """What the network sees of (a part of) a picture, (19, H, W) float32.

    Colour; known foreground and background; the four alphas; by how much the sampled foreground and background differ
    from the pixel's colour; how far the sampled pair misses it, and how far apart the pair is; the distances `away`.
    """
    pair = pair_planes(image, trimap, ingredients.pairs, ingredients.alphas[SHARED])[1:]
    planes = [trimap == FOREGROUND, trimap == BACKGROUND, *ingredients.alphas]
    stack = [*np.moveaxis(image, -1, 0), *planes, *pair, *away]
    out: np.ndarray = np.stack(stack).astype(np.float32, copy=False)
    return out


def _reduced_knn(image: np.ndarray, trimap: np.ndarray, report: SolveReport, most: int, span: float) -> np.ndarray:
    """KNN matting of the picture, made smaller until it has at most so many unknown pixels."""
    factor = _factor(trimap, most)
    weights = 2.0 * span, 0.1 * span
    if factor == 1:
        return knn(image, trimap, report, accuracy="fast", distance_weights=weights)
    alpha = knn(*_reduced(image, trimap, factor), report, accuracy="fast", distance_weights=weights)
    return resized(alpha.astype(np.float32), trimap.shape)


def _factor(trimap: np.ndarray, most: int) -> int:
    """The least power of two that divides the picture's sides so that at most this many pixels are unknown."""
    unknown, factor = np.count_nonzero(trimap == UNKNOWN), 1
    while unknown > most * factor**2 and min(trimap.shape) >= 32 * factor:
        factor *= 2
    return factor


def _reduced_light(image: np.ndarray, trimap: np.ndarray, pairs: np.ndarray, most: int) -> np.ndarray:
    """The light network's alpha of the picture, reduced to at most this many unknown pixels.

    Of the pairs every second is kept, not the mean, which may be of two kinds.
    """
    factor = 1
    while trimap.size > most * factor**2:
        factor *= 2
    if factor == 1:
        return predict(image, trimap, pairs)[0]
    smaller, coarse = _reduced(image, trimap, factor)
    rows, columns = (
        np.minimum(np.arange(count) * factor + factor // 2, side - 1)
        for count, side in zip(coarse.shape, trimap.shape, strict=True)
    )
    alpha = predict(smaller, coarse, pairs[rows[:, None], columns])[0]
    return resized(alpha, trimap.shape)


def _reduced(image: np.ndarray, trimap: np.ndarray, factor: int) -> tuple[np.ndarray, np.ndarray]:
    """Photo and trimap at a fraction of their size."""
    small = tuple(-(-side // factor) for side in trimap.shape)
    smaller = np.ascontiguousarray(resized(image, small, "box"))
    return np.clip(smaller, 0, 1), reduced_trimap(trimap, factor)
