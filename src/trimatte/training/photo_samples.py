"""Samples of real photos for the networks that take a trimap; composites are not quite like photos.

Where only a photo's mask is known, its alpha is what the method "hybrid" says within a narrow band about its edge:
the network learns from it as from a teacher (Hinton et al., 2015), which needs no truth but sees real hair, real noise
and real backgrounds. Where the photo's alpha is known, it is taken.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from trimatte.alpha import estimate_alpha
from trimatte.images import as_alpha, load_image
from trimatte.training.alpha_data import Cutout, find_pictures
from trimatte.training.hybrid_data import Floats, Sample, hand_drawn_trimap, sampled
from trimatte.trimap import distances

LONG_SIDES = 450, 900
"""Photos with an alpha are made so large, at random; photos with a mask are not made larger than they are."""
REACH = 0.025
"""How far from a mask's edge its photo's alpha may be in doubt, in long sides of the photo."""
VARIANTS = 6
"""Samples of each photo whose alpha is known, of different sizes and trimaps."""


@dataclass(frozen=True)
class Photo:
    """A photo and its mask or alpha; a mask is foreground from `level` on."""

    image: Path
    mask: Path
    level: int | None = 128


def find_photos(folder: Path) -> list[Photo]:
    """Photos of `folder`/image whose mask lies in `folder`/mask under the same stem. Raises `ArgumentError` without."""
    masks = {path.stem: path for path in find_pictures(folder / "mask", "masks")}
    return [Photo(path, masks[path.stem]) for path in find_pictures(folder / "image", "masks") if path.stem in masks]


def with_alpha(cutouts: list[Cutout]) -> list[Photo]:
    """Of cut-outs those that are whole photos with an alpha beside them."""
    return [Photo(cutout.colours, cutout.alpha, None) for cutout in cutouts if cutout.alpha is not None]


def photo_sample(photos: list[Photo], seed: int, index: int) -> Sample:
    """Sample number `index` of the run `seed`, of photo `index` modulo their number."""
    rng = np.random.default_rng([seed, index])
    photo = photos[index % len(photos)]
    image, mask = read_photo(photo, float(rng.uniform(*LONG_SIDES)))
    alpha = mask if photo.level is None else (mask >= photo.level / 255).astype(np.float32)
    trimap = hand_drawn_trimap(alpha, rng)
    if photo.level is not None and np.unique(trimap).size == 3:
        alpha = estimate_alpha(image, narrowed(trimap, alpha), method="hybrid").alpha
    return Sample(image, trimap, alpha, sampled(image, trimap))


def narrowed(trimap: NDArray[np.uint8], mask: Floats) -> NDArray[np.uint8]:
    """The trimap with the mask's word for what lies far from its edge: the teacher is told more than the network."""
    reach = REACH * max(mask.shape)
    far = np.maximum(*distances(mask >= 0.5, reach)) > reach
    return np.where(far, np.rint(255 * mask).astype(np.uint8), trimap)


def read_photo(photo: Photo, long_side: float) -> tuple[Floats, Floats]:
    """The photo upright and its mask, made smaller together. Raises `ArgumentError` for a mask of another size."""
    image = load_image(photo.image)
    mask = as_alpha(photo.mask, name=str(photo.mask), shape=image.shape[:2])
    height, width = mask.shape
    scale = min(1.0, long_side / max(height, width))
    size = round(width * scale), round(height * scale)
    pictures = [Image.fromarray(np.rint(255 * plane).astype(np.uint8)) for plane in (image, mask)]
    planes = [np.asarray(picture.resize(size, Image.Resampling.BICUBIC), np.float32) for picture in pictures]
    return planes[0] / np.float32(255), planes[1] / np.float32(255)
