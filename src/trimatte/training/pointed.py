"""Pictures of several things, any of which may be meant: what a network of clicks learns from.

Where one of several like things is the target and the others are not, nothing but the clicks tells which. So cut-outs
are laid over a photo, one over the other, and what of each can be seen is a layer of its own.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops
from scipy import ndimage

from trimatte.training.augment import Pair
from trimatte.training.scenes import Rng, Things, blurred, fitted, lit_like

Mask = NDArray[np.uint8]
LEAST = 0.003
"""Of a picture a target takes no less than this share."""
PART, UNION, REST = 0.25, 0.15, 0.02
"""How often a target is one of a layer's parts, two layers, or all but one."""
COUNTED = 0.15
"""A part counts from this share of the layer's largest."""


@dataclass(frozen=True)
class Pointed:
    """A photo (RGB), what can be seen of each thing in it, and where that is known (L, all of one size)."""

    photo: Image.Image
    layers: list[Image.Image]
    known: Image.Image


def scene(things: Things, size: tuple[int, int], rng: Rng) -> Pointed:
    """Two to five cut-outs before a backdrop, at `size` (width, height)."""
    start = Pointed(things.backdrop(size, rng), [], Image.new("L", size, 255))
    return laid(start, things, int(rng.integers(2, 6)), (0.15, 0.75), rng)


def upon(things: Things, pair: Pair, rng: Rng) -> Pointed:
    """A photo and its mask (LA) with one to three cut-outs before its subject, or behind it."""
    found, known = pair[1].split()
    return laid(Pointed(pair[0], [found], known), things, int(rng.integers(1, 4)), (0.12, 0.5), rng)


def laid(start: Pointed, things: Things, count: int, shares: tuple[float, float], rng: Rng) -> Pointed:
    """`count` cut-outs more, which fill a share of the picture between `shares` one way."""
    photo, layers, known = start.photo.copy(), list(start.layers), start.known.copy()
    size = photo.size
    for _ in range(count):
        thing = fitted(things.thing(rng), size, float(np.exp(rng.uniform(*np.log(shares)))))
        thing = lit_like(thing, photo, rng)
        thing = blurred(thing, float(rng.uniform(0.5, 3))) if rng.random() < 0.15 else thing
        x, y = (round(rng.uniform(-0.3, 1.3) * (a - b)) for a, b in zip(size, thing.size, strict=True))
        alpha = Image.new("L", size)
        alpha.paste(thing.getchannel("A"), (x, y))
        if layers and rng.random() < 0.3:  # behind what lies there, as far as that is known
            hidden = ImageChops.lighter(layers[0], ImageChops.invert(known))
            alpha = ImageChops.multiply(alpha, ImageChops.invert(hidden))
        over = Image.new("RGB", size)
        over.paste(thing.convert("RGB"), (x, y))
        photo = Image.composite(over, photo, alpha)
        rest = ImageChops.invert(alpha)
        layers = [ImageChops.multiply(layer, rest) for layer in layers] + [alpha]
        known = ImageChops.lighter(known, alpha)
    return Pointed(photo, layers, known)


def target(layers: list[Mask], rng: Rng) -> Mask | None:
    """What is meant, (H, W) uint8 up to 255, of layers of such; None if nothing is large enough."""
    large = [layer for layer in layers if (layer > 127).mean() >= LEAST]
    if not large:
        return None
    chosen = [large[i] for i in rng.permutation(len(large))]
    if len(chosen) > 1 and rng.random() < UNION:
        union: Mask = np.maximum(chosen[0], chosen[1])
        return union
    if rng.random() < REST:
        rest: Mask = np.bitwise_not(chosen[0])
        return rest
    return one_part(chosen[0], rng) if rng.random() < PART else chosen[0]


def one_part(layer: Mask, rng: Rng) -> Mask:
    """One of the connected parts of a layer, if there are several of a size; else the layer."""
    numbers, count = ndimage.label(layer > 127)
    areas = np.bincount(numbers.ravel(), minlength=count + 1)[1:]
    large = np.flatnonzero(areas >= max(COUNTED * areas.max(initial=0), LEAST * layer.size)) + 1
    if len(large) < 2:
        return layer
    one = ndimage.binary_dilation(numbers == rng.choice(large))
    return np.where(one, layer, 0).astype(np.uint8)
