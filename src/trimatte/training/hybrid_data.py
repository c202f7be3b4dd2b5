"""Composites with exact alpha for the networks that look at a trimap, and what other methods make of them.

A sample depends on nothing but the seed and its number. The solutions, which only the network of the method "hybrid"
sees, are the expensive part, so samples are made once and kept (`write_samples`); what a network sees is
worked out from them anew at every step.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import binary_closing, gaussian_filter

from trimatte.alpha.hybrid import KNN_PIXELS, LIGHT_PIXELS, Ingredients, solutions
from trimatte.alpha.shared import shared_pairs
from trimatte.foreground import estimate_foreground
from trimatte.images import as_alpha, load_image, load_picture
from trimatte.images.arrays import UNKNOWN
from trimatte.linalg.report import SolveReport
from trimatte.planes.distance import squared_distance
from trimatte.planes.resize import resized
from trimatte.synthetic import backdrop, subject
from trimatte.training.alpha_data import Cutout

Floats = NDArray[np.float32]
Rng = np.random.Generator
Layer = tuple[Floats, Floats]
"""Straight colours (S, S, 3) and alpha (S, S)."""

SIZE = 288
"""Side of the samples in pixels."""
PICTURE = 500, 1000
"""Sides of the pictures that a sample may be thought to be a crop of."""
PATTERN = "??????.npz"
"""Of the files that `write_samples` leaves."""
KIND_SHARES = {
    "hair": 5, "fur": 5, "feather": 2, "foliage": 5, "lace": 1.5, "net": 5, "glass": 0.5,
    "smoke": 0.5, "motion": 1.5, "defocus": 3, "hard": 3,
}  # fmt: skip
"""How often which kind of procedural subject is painted."""
FINE = ("net", "lace")
"""Kinds that are painted large and reduced, for their meshes are a few pixels wide in photos."""


@dataclass(frozen=True)
class Sources:
    """What samples are made of.

    photos : pictures whose crops are backgrounds, and foreground colours under a painted alpha.
    cutouts : pictures with alpha.
    cutout_share : of the samples whose subject is a cut-out.
    kinds : of painted subjects.
    """

    photos: list[Path]
    cutouts: list[Cutout]
    cutout_share: float = 0.5
    kinds: tuple[str, ...] = tuple(KIND_SHARES)


@dataclass(frozen=True)
class Sample:
    """image (H, W, 3), trimap (H, W) uint8 and alpha (H, W), and what the methods say; those not asked are left out.

    Where a segmenter's map made the trimap, `probability` (H, W) is it.
    """

    image: Floats
    trimap: NDArray[np.uint8]
    alpha: Floats
    ingredients: Ingredients
    probability: Floats | None = None


def make_sample(sources: Sources, size: int, seed: int, index: int, *, solved: bool = True) -> Sample:
    """Sample number `index` of the run `seed`, `size` pixels wide and high.

    KNN of every eighth is a coarse one, and so is what the light network says of every fourth.
    """
    rng = np.random.default_rng([seed, index])
    for _ in range(20):
        image, alpha = _composite(sources, size, rng)
        trimap = hand_drawn_trimap(alpha, rng)
        if _usable(trimap):
            break
    else:
        raise RuntimeError(f"sample {index}: no usable trimap in twenty tries")
    if not solved:
        return Sample(image, trimap, alpha, sampled(image, trimap))
    most = size**2 // 8 if index % 8 == 7 else KNN_PIXELS
    span = size / float(rng.uniform(*PICTURE))
    light_pixels = size**2 // 2 if index % 4 == 2 else LIGHT_PIXELS
    ways = solutions(image, trimap, SolveReport(), knn_pixels=most, light_pixels=light_pixels, span=span)
    return Sample(image, trimap, alpha, ways)


def sampled(image: Floats, trimap: NDArray[np.uint8]) -> Ingredients:
    """The pairs of colours that shared matting finds, black where there is no known one to sample; nobody's alpha."""
    pairs = np.zeros((*trimap.shape, 6), np.float32)
    if {0, 255} <= set(np.unique(trimap)):
        pairs = shared_pairs(image, trimap, SolveReport())
    return Ingredients(np.zeros((0, *trimap.shape), np.float32), pairs)


def _usable(trimap: NDArray[np.uint8]) -> bool:
    """Enough of each kind: a sample without known foreground or background teaches nothing."""
    parts = [np.mean(trimap == value) for value in (0, 128, 255)]
    return bool(parts[0] > 0.02 and parts[2] > 0.02 and 0.04 < parts[1] < 0.8)


def write_samples(
    make: Callable[[int], Sample],
    folder: Path,
    numbers: Iterable[int],
    *,
    watch: Callable[[int], None] | None = None,
) -> None:
    """Make samples by their numbers and keep each in `folder`/NUMBER.npz; those that are there already stay."""
    folder.mkdir(parents=True, exist_ok=True)
    for index in numbers:
        file = folder / f"{index:06d}.npz"
        if not file.exists():
            sample = make(index)
            part = file.with_suffix(".part.npz")
            told = {} if sample.probability is None else {"probability": sample.probability}
            np.savez(
                part,
                image=np.rint(255 * sample.image).astype(np.uint8),
                trimap=sample.trimap,
                alpha=sample.alpha.astype(np.float16),
                **{name: array.astype(np.float16) for name, array in {**vars(sample.ingredients), **told}.items()},
            )
            part.rename(file)
        if watch is not None:
            watch(index)


def hand_drawn_trimap(alpha: Floats, rng: Rng) -> NDArray[np.uint8]:
    """A trimap as someone draws it: a band of uneven width about all that is mixed, its small gaps filled.

    What is not unknown is what it truly is, so that the trimap never contradicts alpha.
    """
    size = min(alpha.shape)
    mixed = (alpha > 0.5 / 255) & (alpha < 1 - 0.5 / 255)
    inner = np.pad(alpha >= 0.5, 1, mode="edge")  # hard edges have no mixed pixel: their two sides take its place
    edge = (inner[1:-1, 1:-1] != inner[1:-1, 2:]) | (inner[1:-1, 1:-1] != inner[2:, 1:-1])
    core = mixed | edge
    width = min(40.0, size / 14) ** rng.uniform(0.3, 1.0)
    uneven = rng.uniform(0, 0.8) * _noise(alpha.shape, float(rng.uniform(8, 40)), rng)
    inwards, outwards = (width * np.clip(side + uneven, 0.3, 2) for side in rng.uniform(0.6, 1.2, 2))
    distance = np.sqrt(squared_distance(core, 2 * int(width) + 2))
    unknown = distance <= np.where(alpha >= 0.5, inwards, outwards)
    if rng.random() < 0.5:
        radius = int(rng.integers(2, 10))
        gaps = binary_closing(np.pad(unknown, radius), _disc(radius))[radius:-radius, radius:-radius]
        unknown |= gaps
    return np.where(unknown | mixed, UNKNOWN, np.where(alpha >= 0.5, 255, 0)).astype(np.uint8)


def _disc(radius: int) -> NDArray[np.bool_]:
    y, x = np.ogrid[-radius : radius + 1, -radius : radius + 1]
    disc: NDArray[np.bool_] = y**2 + x**2 <= radius**2
    return disc


def _noise(shape: tuple[int, ...], sigma: float, rng: Rng) -> Floats:
    """Smooth noise of deviation 1."""
    rough = gaussian_filter(rng.standard_normal(shape, np.float32), sigma, mode="reflect")
    smooth: Floats = (rough - rough.mean()) / max(float(rough.std()), 1e-6)
    return smooth


def _composite(sources: Sources, size: int, rng: Rng) -> Layer:
    """Image (S, S, 3) and alpha (S, S): a subject, sometimes two, before a background, as a camera sees them."""
    colours, alpha = _subject(sources, size, rng)
    if rng.random() < 0.1:
        behind, its_alpha = _subject(sources, size, rng)
        union = alpha + (1 - alpha) * its_alpha
        share = (alpha / np.maximum(union, 1e-6))[..., None]
        colours, alpha = (share * colours + (1 - share) * behind).astype(np.float32), union.astype(np.float32)
    ground = _background(sources, size, rng)
    if rng.random() < 0.15:
        colours = _nearer(colours, alpha, ground, float(rng.uniform(0.2, 0.9)))
    # Cameras mix light before they bend its curve; most composites are mixed afterwards.
    gamma = 1.0 if rng.random() < 0.4 else float(rng.uniform(1, 2.4))
    light = alpha[..., None] * colours**gamma + (1 - alpha[..., None]) * ground**gamma
    if rng.random() < 0.5:
        sigma = float(rng.uniform(0.3, 0.9))
        light, alpha = gaussian_filter(light, (sigma, sigma, 0)), gaussian_filter(alpha, sigma)
    return photographed(np.clip(light, 0, 1) ** (1 / gamma), rng), np.clip(alpha, 0, 1)


def _subject(sources: Sources, size: int, rng: Rng) -> Layer:
    """A square about a mixed pixel of a cut-out or of a painted subject, enlarged or reduced."""
    side = int(size * rng.uniform(0.7, 1.7))
    if sources.cutouts and rng.random() < sources.cutout_share:
        colours, alpha = _cutout(sources.cutouts[int(rng.integers(len(sources.cutouts)))])
        side = min(side, *alpha.shape)
    else:
        shares = np.array([KIND_SHARES[kind] for kind in sources.kinds])
        kind = str(rng.choice(sources.kinds, p=shares / shares.sum()))
        if kind in FINE:
            side = int(size * rng.uniform(1, 3))
        whole = int(max(1.02 * side, size * rng.uniform(0.8, 1.8)))
        colours, alpha = subject(kind, (whole, whole), rng)
        if sources.photos and rng.random() < 0.3:
            cloth = _photo_crop(sources, whole, rng)
            own = float(rng.choice([0.3, 0.7]))
            colours = own * colours + (1 - own) * cloth
    top, left = _about_mixed(alpha, side, rng)
    part = slice(top, top + side), slice(left, left + side)
    colours, alpha = _square(colours[part], size), _square(alpha[part], size)
    if rng.random() < 0.5:
        colours, alpha = colours[:, ::-1], alpha[:, ::-1]
    return _graded(colours, rng), alpha


def _background(sources: Sources, size: int, rng: Rng) -> Floats:
    ground = _photo_crop(sources, size, rng) if sources.photos and rng.random() < 0.9 else backdrop((size, size), rng)
    if rng.random() < 0.75:
        sigma = float(rng.uniform(0.5, 6))
        ground = gaussian_filter(ground, (sigma, sigma, 0))
    return _graded(ground, rng)


def _photo_crop(sources: Sources, size: int, rng: Rng) -> Floats:
    photo = _photo(sources.photos[int(rng.integers(len(sources.photos)))])
    height, width = photo.shape[:2]
    side = int(min(height, width) * rng.uniform(0.4, 1))
    top, left = int(rng.integers(0, height - side + 1)), int(rng.integers(0, width - side + 1))
    crop = _square(photo[top : top + side, left : left + side], size)
    return np.ascontiguousarray(np.rot90(crop, int(rng.integers(4)))) if rng.random() < 0.3 else crop


@lru_cache(maxsize=64)
def _photo(path: Path) -> Floats:
    return load_image(path)


@lru_cache(maxsize=128)
def _cutout(cutout: Cutout) -> Layer:
    """Colours freed of the photo's own background, and alpha."""
    picture = load_picture(cutout.colours)
    alpha = picture.alpha if cutout.alpha is None else as_alpha(cutout.alpha, shape=picture.image.shape[:2])
    assert alpha is not None
    if cutout.alpha is None:  # colours with an alpha channel are straight already
        return picture.image, alpha
    return estimate_foreground(picture.image, alpha).astype(np.float32), alpha


def _about_mixed(alpha: Floats, side: int, rng: Rng) -> tuple[int, int]:
    """Top left corner of a square within the picture, with a mixed pixel about its middle."""
    mixed = np.flatnonzero((alpha > 0.02) & (alpha < 0.98))
    centre = int(mixed[rng.integers(len(mixed))]) if len(mixed) else int(rng.integers(alpha.size))
    places = np.divmod(centre, alpha.shape[1])
    low = [int(p - side / 2 + rng.uniform(-0.2, 0.2) * side) for p in places]
    top, left = (min(max(0, p), length - side) for p, length in zip(low, alpha.shape, strict=True))
    return top, left


def _nearer(colours: Floats, alpha: Floats, ground: Floats, share: float) -> Floats:
    """The foreground's mean colour moved towards the background's."""
    mean = (colours * alpha[..., None]).sum((0, 1)) / max(float(alpha.sum()), 1e-6)
    moved: Floats = np.clip(colours + share * (ground.mean((0, 1)) - mean), 0, 1).astype(np.float32)
    return moved


def _graded(colours: Floats, rng: Rng) -> Floats:
    """White balance, exposure and saturation of a layer."""
    grey = colours.mean(-1, keepdims=True)
    vivid = grey + float(rng.uniform(0.6, 1.3)) * (colours - grey)
    gains = float(rng.uniform(0.6, 1.15)) * rng.uniform(0.9, 1.1, 3).astype(np.float32)
    graded: Floats = np.clip(vivid * gains, 0, 1).astype(np.float32)
    return graded


def photographed(image: Floats, rng: Rng) -> Floats:
    """Exposure, noise that may be blurred, JPEG now and then; of eight bits."""
    if rng.random() < 0.3:
        image = (image * np.float32(rng.uniform(0.45, 1.0))).astype(np.float32)
    if rng.random() < 0.5:
        noise: Floats = rng.standard_normal(image.shape, np.float32)
        if rng.random() < 0.3:
            noise = np.float32(1.8) * gaussian_filter(noise, (0.7, 0.7, 0))
        image = (image + float(rng.uniform(0.001, 0.01)) * (0.5 + np.sqrt(image)) * noise).astype(np.float32)
    picture = Image.fromarray(np.rint(255 * np.clip(image, 0, 1)).astype(np.uint8))
    if rng.random() < 0.15:
        stream = io.BytesIO()
        picture.save(stream, "JPEG", quality=int(rng.integers(70, 97)))
        picture = Image.open(stream)
    return np.asarray(picture, np.float32) / np.float32(255)


def _square(picture: Floats, size: int) -> Floats:
    """(S, S[, 3]) at size x size."""
    return np.ascontiguousarray(resized(picture, (size, size), "bicubic"))
