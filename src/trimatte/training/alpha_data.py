"""Composites to train matting networks on: cut-outs over backgrounds, made anew for every sample.

A sample depends on nothing but the seed and its number, so that a run can be repeated and resumed. Arrays are float32
in [0, 1]: colours (H, W, 3), alpha (H, W); trimaps (H, W) uint8 of 0, 128 and 255.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from trimatte.errors import ArgumentError
from trimatte.images import as_alpha, load_image, load_picture
from trimatte.images.arrays import UNKNOWN
from trimatte.images.formats import is_picture
from trimatte.planes.distance import squared_distance
from trimatte.planes.resize import resized
from trimatte.training.alpha_losses import Batch
from trimatte.training.augment import random_colour, random_damage

Floats = NDArray[np.float32]

_COLOUR_FOLDERS = ("fg", "image", "foreground")


@dataclass(frozen=True)
class Cutout:
    """A picture with an alpha channel, or colours and alpha in two files."""

    colours: Path
    alpha: Path | None = None


@dataclass(frozen=True)
class Sources:
    """What samples are made of.

    cutouts, backgrounds : pictures; where there are none, painted ones take their place.
    painted : share of samples whose foreground is painted although there are cut-outs.
    """

    cutouts: list[Cutout] = field(default_factory=list)
    backgrounds: list[Path] = field(default_factory=list)
    painted: float = 0.0


@dataclass(frozen=True)
class Augmentation:
    """How samples vary.

    size : side of the square sample.
    scales : sides of the crops, as multiples of `size`, that are resized to it.
    erosion, dilation : range of radii, in pixels, by which known foreground and known background recede, drawn apart.
    double : share of samples with two foregrounds, one over the other.
    damage : whether noise, blur and JPEG artefacts are added.
    """

    size: int = 320
    scales: tuple[float, ...] = (1.0, 1.5, 2.0)
    erosion: tuple[int, int] = (1, 30)
    dilation: tuple[int, int] = (1, 30)
    double: float = 0.3
    damage: bool = True


@dataclass(frozen=True)
class Sample:
    """One composite: image as the network sees it, and the truth."""

    image: Floats
    alpha: Floats
    trimap: NDArray[np.uint8]
    foreground: Floats
    background: Floats


def find_cutouts(folder: str | Path) -> list[Cutout]:
    """Cut-outs of a folder: pictures with an alpha channel, or `alpha/NAME.png` beside `fg/NAME.jpg` (or `image/`).

    Raises `ArgumentError` if there are none, or colours without alpha.
    """
    folder = Path(folder)
    colours = next((folder / name for name in _COLOUR_FOLDERS if (folder / name).is_dir()), None)
    if colours is None or not (folder / "alpha").is_dir():
        return [Cutout(path) for path in find_pictures(folder, "foregrounds")]
    alphas = {path.stem: path for path in find_pictures(folder / "alpha", "foregrounds")}
    cutouts = []
    for path in find_pictures(colours, "foregrounds"):
        if path.stem not in alphas:
            raise ArgumentError(f"foregrounds: {path} has no alpha of that name in {folder / 'alpha'}")
        cutouts.append(Cutout(path, alphas[path.stem]))
    return cutouts


def find_pictures(folder: str | Path, name: str) -> list[Path]:
    """Pictures directly in a folder, sorted. Raises `ArgumentError`, naming the argument `name`, if there are none."""
    folder = Path(folder)
    found = sorted(path for path in folder.glob("*") if is_picture(path))
    if not found:
        raise ArgumentError(f"{name}: {folder} holds no pictures")
    return found


@lru_cache(maxsize=16)
def read_cutout(cutout: Cutout) -> tuple[Floats, Floats]:
    """Straight colours (H, W, 3) and alpha (H, W). Raises `ArgumentError` without alpha or for one of another size."""
    picture = load_picture(cutout.colours)
    if cutout.alpha is not None:
        return picture.image, as_alpha(cutout.alpha, name=str(cutout.alpha), shape=picture.image.shape[:2])
    if picture.alpha is None:
        raise ArgumentError(f"foregrounds: {cutout.colours} has no alpha channel, and there is no folder of alphas")
    return picture.image, picture.alpha


def make_sample(sources: Sources, augmentation: Augmentation, seed: int, index: int) -> Sample:
    """Sample number `index` of the run `seed`: crop, compose, vary."""
    rng = np.random.default_rng([seed, index])
    foreground, alpha = _foreground(sources, augmentation, rng)
    if rng.random() < augmentation.double:
        foreground, alpha = _over(foreground, alpha, *_foreground(sources, augmentation, rng))
    background = _background(sources, augmentation.size, rng)
    foreground, background = _recoloured(foreground, rng), _recoloured(background, rng)
    image = alpha[..., None] * foreground + (1 - alpha[..., None]) * background
    if augmentation.damage:
        image = _floats(random_damage(_picture(image), rng))
    trimap = random_trimap(alpha, rng, erosion=augmentation.erosion, dilation=augmentation.dilation)
    return Sample(image, alpha, trimap, foreground, background)


def make_batch(sources: Sources, augmentation: Augmentation, seed: int, first: int, count: int) -> Batch:
    """Samples first ... first + count - 1 as tensors."""
    return stack([make_sample(sources, augmentation, seed, first + i) for i in range(count)])


def stack(samples: list[Sample]) -> Batch:
    """Samples of one size as tensors."""

    def tensor(name: str) -> torch.Tensor:
        arrays = np.stack([np.atleast_3d(getattr(sample, name)).transpose(2, 0, 1) for sample in samples])
        return torch.from_numpy(np.ascontiguousarray(arrays, np.float32))

    parts = {name: tensor(name) for name in ("image", "alpha", "foreground", "background")}
    return Batch(trimap=tensor("trimap") / 255, **parts)


def random_trimap(
    alpha: Floats, rng: np.random.Generator, *, erosion: tuple[int, int] = (1, 30), dilation: tuple[int, int] = (1, 30)
) -> NDArray[np.uint8]:
    """A trimap whose band reaches one random distance into the foreground and another into the background.

    Distances are Euclidean, so bands are symmetric whatever their width, which even-sized kernels are not. Where
    erosion would leave no foreground or no background, that side keeps its pixels.
    """
    trimap = np.full(alpha.shape, UNKNOWN, np.uint8)
    level = np.float32(0.5 / 255)
    for sure, value, (low, high) in ((alpha >= 1 - level, 255, erosion), (alpha <= level, 0, dilation)):
        radius = int(rng.integers(low, high + 1))
        core = squared_distance(~sure, radius) > radius**2
        trimap[core if core.any() else sure] = value
    return trimap


def _foreground(sources: Sources, augmentation: Augmentation, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """A crop about a pixel of the subject's edge, resized to the sample's size."""
    if sources.cutouts and rng.random() >= sources.painted:
        colours, alpha = read_cutout(sources.cutouts[rng.integers(len(sources.cutouts))])
    else:
        colours, alpha = _painted_subject(augmentation.size, rng)
    side = round(augmentation.size * float(rng.choice(augmentation.scales)))
    top, left = _place(alpha, side, rng)
    colours, alpha = _cut(colours, top, left, side), _cut(alpha, top, left, side)
    if rng.random() < 0.5:
        colours, alpha = colours[:, ::-1], alpha[:, ::-1]
    return _square(colours, augmentation.size), _square(alpha, augmentation.size)


def _painted_subject(size: int, rng: np.random.Generator) -> tuple[Floats, Floats]:
    from trimatte.synthetic import KINDS, subject

    side = int(size * rng.uniform(1.0, 1.6))
    return subject(str(rng.choice(list(KINDS))), (side, side), rng)


def _place(alpha: Floats, side: int, rng: np.random.Generator) -> tuple[int, int]:
    """Top left corner of a crop with a random mixed pixel in its middle, moved into the picture where it can be."""
    mixed = np.flatnonzero((alpha > 0) & (alpha < 1))
    centre = mixed[rng.integers(len(mixed))] if len(mixed) else rng.integers(alpha.size)
    y, x = divmod(int(centre), alpha.shape[1])
    height, width = alpha.shape
    return min(max(0, y - side // 2), max(0, height - side)), min(max(0, x - side // 2), max(0, width - side))


def _cut(picture: Floats, top: int, left: int, side: int) -> Floats:
    """A square of the picture; beyond it, nothing (alpha and colours are 0)."""
    part = picture[top : top + side, left : left + side]
    margin = [(0, side - part.shape[0]), (0, side - part.shape[1]), (0, 0)][: part.ndim]
    return np.pad(part, margin)


def _over(front: Floats, alpha: Floats, back: Floats, back_alpha: Floats) -> tuple[Floats, Floats]:
    """One foreground over another: straight colours and alpha of the two together."""
    union = alpha + (1 - alpha) * back_alpha
    share = (alpha / np.maximum(union, 1e-6))[..., None]
    return (share * front + (1 - share) * back).astype(np.float32), union.astype(np.float32)


def _background(sources: Sources, size: int, rng: np.random.Generator) -> Floats:
    if not sources.backgrounds:
        from trimatte.synthetic import backdrop

        return backdrop((size, size), rng)
    picture = _read_background(sources.backgrounds[rng.integers(len(sources.backgrounds))])
    height, width = picture.shape[:2]
    side = int(min(height, width) * rng.uniform(0.5, 1))
    top, left = rng.integers(0, height - side + 1), rng.integers(0, width - side + 1)
    return _square(picture[top : top + side, left : left + side], size)


@lru_cache(maxsize=16)
def _read_background(path: Path) -> Floats:
    return load_image(path)


def _recoloured(colours: Floats, rng: np.random.Generator) -> Floats:
    return _floats(random_colour(_picture(colours), rng))


def _square(picture: Floats, size: int) -> Floats:
    """(S, S[, 3]) at size x size."""
    return np.ascontiguousarray(resized(picture, (size, size)))


def _picture(colours: Floats) -> Image.Image:
    return Image.fromarray(np.rint(255 * colours).astype(np.uint8))


def _floats(picture: Image.Image) -> Floats:
    return np.asarray(picture, np.float32) / np.float32(255)
