"""Augmentation of photo and mask pairs for segmentation: geometry, colour, degradation, copy-paste."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image, ImageEnhance, ImageFilter

Pair = tuple[Image.Image, Image.Image]
BLURRED, BLURS = 0.08, (1.5, 7.0)
"""Share of pictures that are out of focus as a whole, subject and all, and by how many pixels at least and at most."""
ENLARGED, ENLARGEMENTS = 0.08, (2.0, 9.0)
"""Share of pictures that were small once, and how many times they are enlarged."""


def random_view(photo: Image.Image, mask: Image.Image, size: tuple[int, int], rng: np.random.Generator) -> Pair:
    """Crop, flip and resize a pair to `size` (width, height); the crop keeps 60 to 100 % of either side."""
    box_w = photo.width * rng.uniform(0.6, 1.0) ** 0.7
    box_h = photo.height * rng.uniform(0.6, 1.0) ** 0.7
    x, y = rng.uniform(0, photo.width - box_w), rng.uniform(0, photo.height - box_h)
    if rng.random() < 0.25:
        x, y, box_w, box_h = 0.0, 0.0, float(photo.width), float(photo.height)
    box = (x, y, x + box_w, y + box_h)
    photo = photo.resize(size, Image.Resampling.BILINEAR, box=box)
    mask = mask.resize(size, Image.Resampling.BILINEAR, box=box)
    if rng.random() < 0.5:
        photo = photo.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        mask = mask.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    return photo, mask


def random_colour(photo: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Brightness, contrast, saturation and white balance; now and then grey."""
    for enhancer in (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color):
        photo = enhancer(photo).enhance(float(rng.uniform(0.65, 1.35)))
    if rng.random() < 0.3:
        gains = rng.uniform(0.85, 1.15, 3)
        table = [min(255, round(level * gain)) for gain in gains for level in range(256)]
        photo = photo.point(table)
    if rng.random() < 0.05:
        photo = photo.convert("L").convert("RGB")
    return photo


def random_damage(photo: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Blur, noise or JPEG artefacts, each rarely."""
    if rng.random() < 0.08:
        photo = photo.filter(ImageFilter.GaussianBlur(float(rng.uniform(0.5, 2.0))))
    if rng.random() < 0.08:
        noise = rng.normal(0, rng.uniform(2, 12), (photo.height, photo.width, 3))
        photo = Image.fromarray(np.clip(np.asarray(photo) + noise, 0, 255).astype(np.uint8))
    if rng.random() < 0.1:
        buffer = io.BytesIO()
        photo.save(buffer, "JPEG", quality=int(rng.integers(30, 80)))
        photo = Image.open(buffer).convert("RGB")
    return photo


def random_coarseness(photo: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Now and then the photo out of focus as a whole, or enlarged from a small one: finds subjects, but no edges."""
    if rng.random() < BLURRED:
        photo = photo.filter(ImageFilter.GaussianBlur(between(*BLURS, rng)))
    if rng.random() < ENLARGED:
        times = between(*ENLARGEMENTS, rng)
        small = max(4, round(photo.width / times)), max(4, round(photo.height / times))
        photo = photo.resize(small, Image.Resampling.BILINEAR).resize(photo.size, Image.Resampling.BILINEAR)
    return photo


def between(least: float, most: float, rng: np.random.Generator) -> float:
    """A number from `least` to `most`, each ratio as likely."""
    return float(np.exp(rng.uniform(np.log(least), np.log(most))))


def paste_cutout(cutout: Image.Image, background: Image.Image, rng: np.random.Generator) -> Pair:
    """A picture of the background's size with the RGBA `cutout` at a random place and scale, and its mask."""
    fraction = rng.uniform(0.45, 0.95)
    scale = min(background.width / cutout.width, background.height / cutout.height) * fraction
    size = (max(1, round(cutout.width * scale)), max(1, round(cutout.height * scale)))
    cutout = cutout.resize(size, Image.Resampling.BILINEAR)
    x = int(rng.integers(0, background.width - size[0] + 1))
    bottom = background.height - size[1]
    y = bottom if rng.random() < 0.5 else int(rng.integers(0, bottom + 1))
    photo, mask = background.copy(), Image.new("L", background.size)
    photo.paste(cutout.convert("RGB"), (x, y), cutout.getchannel("A"))
    mask.paste(cutout.getchannel("A"), (x, y))
    return photo, mask
