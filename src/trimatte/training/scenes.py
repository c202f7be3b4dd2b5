"""Scenes put together from cut-outs: a subject, or a group of them, among things that are not meant.

What makes a thing the subject of a photo is that it is large, sharp, lit and near the middle, and what tells that from
what surrounds it can be learnt only where both are things. So here bystanders stand behind the subject, are blurred,
small, dim or cut off by the border, and some scenes have no subject at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageEnhance, ImageFilter, ImageFont

from trimatte.training.augment import Pair
from trimatte.training.shapes import cloth_of, holed

Rng = np.random.Generator
EMPTY = 0.12
"""Share of scenes without a subject."""
HOLED = 0.12
"""Share of the things that are drawn, with holes and thin parts."""
GROUP = 0.15
"""Share of scenes with two or three subjects side by side."""
PLAIN = 0.15
"""Share of scenes before a wall, a slope of colours or a page of text in place of a photo."""


@dataclass(frozen=True)
class Things:
    """Where scenes come from.

    groups : files of cut-outs (RGBA), group by group; each group is drawn equally often.
    backgrounds : files of photos without a subject.
    close : share of scenes whose one subject is larger than the picture, and cut off by its borders.
    """

    groups: Sequence[Sequence[Path]]
    backgrounds: Sequence[Path]
    close: float = 0.0

    def describe(self) -> dict[str, float | list[int]]:
        """How many there are, and what else decides a run, for the record."""
        groups = [len(group) for group in self.groups]
        return {"groups": groups, "backgrounds": len(self.backgrounds), "close": self.close}

    @cached_property
    def _photos(self) -> list[Image.Image]:
        return [_shrunk(Image.open(path).convert("RGB"), 640) for path in self.backgrounds]

    def scene(self, size: tuple[int, int], rng: Rng) -> Pair:
        """A scene (RGB) of `size` (width, height) and its mask (LA)."""
        photo = self.backdrop(size, rng)
        mask = Image.new("L", size)
        blur = float(rng.uniform(1, 6)) if rng.random() < 0.5 else 0.0
        photo = photo.filter(ImageFilter.GaussianBlur(blur)) if blur else photo
        if rng.random() < EMPTY:
            return photo, mask.convert("LA")
        count = int(rng.integers(2, 4)) if rng.random() < GROUP else 1
        share = rng.uniform(0.35, 0.95) * (0.65 if count > 1 else 1)
        if self.close and rng.random() < self.close:
            count, share = 1, rng.uniform(1, 1.6)
        for _ in range(int(rng.choice(6, p=[0.2, 0.2, 0.2, 0.2, 0.1, 0.1]))):
            thing = fitted(self.thing(rng), size, min(share, 1) * rng.uniform(0.15, 0.6 if blur else 0.4))
            photo = beside(photo, Image.new("L", size), behind(thing, blur, rng), rng)
        middle = size[0] * rng.uniform(0.3, 0.7), size[1] * rng.uniform(0.4, 0.65)
        step = size[0] * rng.uniform(0.2, 0.35)
        for number in range(count):
            thing = fitted(self.thing(rng), size, share * rng.uniform(0.85, 1))
            x = middle[0] + step * (number - (count - 1) / 2) - thing.width / 2
            y = size[1] - thing.height if rng.random() < 0.35 else middle[1] - thing.height / 2
            photo, mask = placed(photo, mask, lit_like(thing, photo, rng), (round(x), round(y)), rng)
        if blur and rng.random() < 0.15:  # something blurred in front, at the border
            photo, mask = self._before(photo, mask, rng)
        return photo, mask.convert("LA")

    def crowded(self, photo: Image.Image, mask: Image.Image, rng: Rng) -> Pair:
        """A photo with one to three more things behind its subject, small or blurred; its mask (LA) is unchanged."""
        found, known = mask.split()
        subject = ImageChops.lighter(found, ImageChops.invert(known))
        for _ in range(int(rng.integers(1, 4))):
            thing = fitted(self.thing(rng), photo.size, rng.uniform(0.08, 0.3))
            photo = beside(photo, subject, behind(thing, float(rng.uniform(0.5, 4)), rng), rng)
        return photo, mask

    def _before(self, photo: Image.Image, mask: Image.Image, rng: Rng) -> Pair:
        thing = fitted(self.thing(rng), photo.size, rng.uniform(0.2, 0.4))
        thing = blurred(thing, float(rng.uniform(4, 9)))
        x = -thing.width // 2 if rng.random() < 0.5 else photo.width - thing.width // 2
        y = int(rng.integers(photo.height // 2, photo.height))
        photo, mask = photo.copy(), mask.copy()
        photo.paste(thing.convert("RGB"), (x, y), thing.getchannel("A"))
        mask.paste(0, (x, y), thing.getchannel("A"))
        return photo, mask

    def thing(self, rng: Rng) -> Image.Image:
        """A cut-out (RGBA), or a thing drawn by code."""
        if rng.random() < HOLED or not self.groups:
            return holed(rng, 256)
        group = self.groups[int(rng.integers(len(self.groups)))]
        thing = Image.open(group[int(rng.integers(len(group)))]).convert("RGBA")
        return thing.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if rng.random() < 0.5 else thing

    def backdrop(self, size: tuple[int, int], rng: Rng) -> Image.Image:
        """A part of a background, or something plain or written, of `size` (width, height)."""
        if rng.random() < PLAIN or not self._photos:
            return page(rng, size) if rng.random() < 0.3 else cloth_of(rng, size)
        return self.photo(size, rng)

    def photo(self, size: tuple[int, int], rng: Rng) -> Image.Image:
        """A part of a background, no less than six tenths of it one way."""
        photo = self._photos[int(rng.integers(len(self._photos)))]
        scale = max(size[0] / photo.width, size[1] / photo.height)
        width, height = min(photo.width, size[0] / scale), min(photo.height, size[1] / scale)
        zoom = rng.uniform(0.6, 1)
        width, height = width * zoom, height * zoom
        x, y = rng.uniform(0, photo.width - width), rng.uniform(0, photo.height - height)
        photo = photo.resize(size, Image.Resampling.BILINEAR, box=(x, y, x + width, y + height))
        return photo.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if rng.random() < 0.5 else photo


def fitted(thing: Image.Image, size: tuple[int, int], share: float) -> Image.Image:
    """A cut-out made so large that it fills `share` of `size` one way."""
    scale = share * min(size[0] / thing.width, size[1] / thing.height)
    return thing.resize(
        (max(2, round(thing.width * scale)), max(2, round(thing.height * scale))), Image.Resampling.BILINEAR
    )


def behind(thing: Image.Image, blur: float, rng: Rng) -> Image.Image:
    """A cut-out as of one that is not meant: out of focus as the background is, and often darker or paler."""
    if blur:
        thing = blurred(thing, blur * float(rng.uniform(0.7, 1.3)))
    alpha = thing.getchannel("A")
    if rng.random() < 0.4:
        thing = ImageEnhance.Brightness(thing.convert("RGB")).enhance(float(rng.uniform(0.4, 0.9)))
    elif rng.random() < 0.3:
        thing = ImageEnhance.Contrast(thing.convert("RGB")).enhance(float(rng.uniform(0.4, 0.8)))
    thing = thing.convert("RGB")
    thing.putalpha(alpha)
    return thing


def blurred(thing: Image.Image, radius: float) -> Image.Image:
    """A cut-out out of focus, its edge too; its colours are blurred by their alpha."""
    room = round(2 * radius)
    wide = Image.new("RGBA", (thing.width + 2 * room, thing.height + 2 * room))
    wide.paste(thing, (room, room))
    return wide.convert("RGBa").filter(ImageFilter.GaussianBlur(radius)).convert("RGBA")


def beside(photo: Image.Image, subject: Image.Image, thing: Image.Image, rng: Rng) -> Image.Image:
    """The photo with a cut-out anywhere in it, also half out of it, but behind the subject (L)."""
    x = int(rng.integers(-thing.width // 2, photo.width - thing.width // 2))
    y = int(rng.integers(-thing.height // 3, photo.height - thing.height // 2))
    alpha = Image.new("L", photo.size)
    alpha.paste(thing.getchannel("A"), (x, y))
    layer = Image.new("RGB", photo.size)
    layer.paste(thing.convert("RGB"), (x, y))
    return Image.composite(layer, photo, ImageChops.multiply(alpha, ImageChops.invert(subject)))


def placed(
    photo: Image.Image, mask: Image.Image, thing: Image.Image, at: tuple[int, int], rng: Rng
) -> tuple[Image.Image, Image.Image]:
    """Photo and mask (L) with a cut-out over them, now and then with its shadow."""
    photo, mask = photo.copy(), mask.copy()
    alpha = thing.getchannel("A")
    if rng.random() < 0.3:
        shade = Image.new("L", photo.size)
        off = round(thing.width * rng.uniform(-0.15, 0.15)), round(thing.height * rng.uniform(0, 0.1))
        shade.paste(alpha, (at[0] + off[0], at[1] + off[1]))
        shade = shade.filter(ImageFilter.GaussianBlur(float(rng.uniform(2, 10))))
        dark = rng.uniform(0.2, 0.6)
        photo = Image.composite(Image.new("RGB", photo.size), photo, shade.point([round(dark * v) for v in range(256)]))
    photo.paste(thing.convert("RGB"), at, alpha)
    mask.paste(255, at, alpha)
    return photo, mask


def lit_like(thing: Image.Image, photo: Image.Image, rng: Rng) -> Image.Image:
    """A cut-out whose brightness comes nearer to the photo's by a share at random."""
    alpha, colours = thing.getchannel("A"), thing.convert("RGB")
    have, want = (float(np.asarray(picture.convert("L").resize((8, 8))).mean()) + 8 for picture in (colours, photo))
    colours = ImageEnhance.Brightness(colours).enhance(float(np.clip((want / have) ** rng.uniform(0, 0.6), 0.5, 1.6)))
    colours.putalpha(alpha)
    return colours


def page(rng: Rng, size: tuple[int, int]) -> Image.Image:
    """A page of text: lines of random letters, dark on light or light on dark."""
    paper, ink = (245, 20) if rng.random() < 0.8 else (20, 230)
    tint = tuple(int(np.clip(paper + rng.integers(-15, 11), 0, 255)) for _ in range(3))
    sheet = Image.new("RGB", size, tint)
    draw, height = ImageDraw.Draw(sheet), int(rng.integers(8, 22))
    font = ImageFont.load_default(height)
    for y in range(height, size[1] - height, round(height * 1.6)):
        letters = "".join(map(chr, rng.choice([32, *range(97, 123)], int(rng.integers(8, 60)))))
        if rng.random() < 0.85:
            draw.text((height, y), letters, fill=(ink,) * 3, font=font)
    return sheet


def _shrunk(photo: Image.Image, side: int) -> Image.Image:
    photo.thumbnail((side, side))
    return photo
