"""Drawn things with holes and thin parts: wheels, racks, chairs, nets, handles, plants.

Photos with masks seldom have holes, and where they have, the masks are filled; here every spoke and every gap is known.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw

Draw = ImageDraw.ImageDraw
Rng = np.random.Generator
FINE = 3
"""Shapes are drawn so many times larger and made smaller, which gives their edges an alpha."""


def holed(rng: Rng, side: int) -> Image.Image:
    """A thing (RGBA) of about `side` pixels, one of `KINDS`, with a shade from light to dark or a grain of its own."""
    mask = Image.new("L", (side * FINE, side * FINE))
    KINDS[int(rng.integers(len(KINDS)))](ImageDraw.Draw(mask), rng, side * FINE)
    mask = mask.resize((side, side), Image.Resampling.BOX).rotate(float(rng.normal(0, 15)), Image.Resampling.BILINEAR)
    box = mask.getbbox() or (0, 0, side, side)
    mask = mask.crop(box)
    cloth = cloth_of(rng, mask.size)
    cloth.putalpha(mask)
    return cloth


def cloth_of(rng: Rng, size: tuple[int, int]) -> Image.Image:
    """A plane (RGB) of `size` (width, height) between two colours, mixed by a slope and coarse noise."""
    first, second = rng.integers(0, 256, (2, 3))
    if rng.random() < 0.5:  # most things are of one colour, lighter and darker
        second = np.clip(first + rng.integers(-70, 71), 0, 255)
    width, height = size
    cells = int(rng.integers(2, 24))
    noise = Image.fromarray(rng.integers(0, 256, (cells, cells)).astype(np.uint8)).resize(
        size, Image.Resampling.BICUBIC
    )
    angle = rng.uniform(0, 2 * math.pi)
    slope = np.cos(angle) * np.linspace(0, 1, width)[None] + np.sin(angle) * np.linspace(0, 1, height)[:, None]
    share = rng.uniform(0, 0.8)
    mixed = np.clip(share * np.asarray(noise) / 255 + (1 - share) * np.abs(slope), 0, 1)[..., None]
    return Image.fromarray((first * (1 - mixed) + second * mixed).astype(np.uint8))


def _wheel(draw: Draw, rng: Rng, side: int) -> None:
    centre, radius = side / 2, side * 0.48
    rim, hub = radius * rng.uniform(0.03, 0.22), radius * rng.uniform(0.04, 0.25)
    _ring(draw, centre, centre, radius, rim)
    draw.ellipse((centre - hub, centre - hub, centre + hub, centre + hub), fill=255)
    count, width = int(rng.integers(3, 25)), max(FINE, round(radius * rng.uniform(0.01, 0.05)))
    for spoke in range(count):
        angle = 2 * math.pi * spoke / count
        end = centre + (radius - rim / 2) * math.cos(angle), centre + (radius - rim / 2) * math.sin(angle)
        draw.line((centre, centre, *end), fill=255, width=width)


def _bicycle(draw: Draw, rng: Rng, side: int) -> None:
    radius = side * rng.uniform(0.18, 0.24)
    y, left, right = side * 0.68, side * 0.25, side * 0.75
    thin = max(FINE, round(side * rng.uniform(0.006, 0.014)))
    for x in (left, right):
        _ring(draw, x, y, radius, radius * rng.uniform(0.06, 0.16))
        for spoke in range(0, 180, int(rng.integers(12, 46))):
            dx, dy = (radius * f(math.radians(spoke)) for f in (math.cos, math.sin))
            draw.line((x - dx, y - dy, x + dx, y + dy), fill=255, width=thin)
    bar = round(side * rng.uniform(0.012, 0.03))
    seat, head, pedal = (side * 0.4, side * 0.36), (side * 0.66, side * 0.36), (side * 0.48, y)
    for a, b in ((seat, head), (seat, pedal), (head, pedal), (seat, (left, y)), (pedal, (left, y)), (head, (right, y))):
        draw.line((*a, *b), fill=255, width=bar)
    draw.line((side * 0.34, side * 0.34, side * 0.46, side * 0.33), fill=255, width=2 * bar)
    draw.line((side * 0.62, side * 0.3, side * 0.72, side * 0.28), fill=255, width=bar)


def _rack(draw: Draw, rng: Rng, side: int) -> None:
    left, top, right, bottom = (side * share for share in (0.1, 0.05, 0.9, 0.95))
    width = max(FINE, round(side * rng.uniform(0.012, 0.05)))
    columns, rows = int(rng.integers(1, 9)), int(rng.integers(1, 7))
    for x in np.linspace(left, right, columns + 1):
        draw.line((x, top, x, bottom), fill=255, width=width)
    for y in np.linspace(top, bottom, rows + 1):
        draw.line((left - width / 2, y, right + width / 2, y), fill=255, width=width)


def _chair(draw: Draw, rng: Rng, side: int) -> None:
    leg = max(FINE, round(side * rng.uniform(0.02, 0.05)))
    left, right, seat = side * 0.25, side * 0.75, side * rng.uniform(0.5, 0.6)
    draw.polygon([(left, seat), (right, seat), (side * 0.85, seat + 3 * leg), (side * 0.15, seat + 3 * leg)], fill=255)
    for top, bottom in (
        (left, side * 0.22),
        (right, side * 0.78),
        (side * 0.16, side * 0.12),
        (side * 0.84, side * 0.88),
    ):
        draw.line((top, seat + 2 * leg, bottom, side * 0.97), fill=255, width=leg)
    for x in np.linspace(left + leg / 2, right - leg / 2, int(rng.integers(2, 8))):
        draw.line((x, side * 0.06, x, seat), fill=255, width=leg)
    draw.line((left, side * 0.06, right, side * 0.06), fill=255, width=2 * leg)


def _mug(draw: Draw, rng: Rng, side: int) -> None:
    left, right, top, bottom = side * 0.1, side * rng.uniform(0.55, 0.68), side * 0.15, side * 0.9
    _ring(draw, right, side * rng.uniform(0.45, 0.55), side * rng.uniform(0.18, 0.28), side * rng.uniform(0.03, 0.09))
    draw.rounded_rectangle((left, top, right, bottom), side * rng.uniform(0.01, 0.1), fill=255)


def _net(draw: Draw, rng: Rng, side: int) -> None:
    width, step = max(FINE, round(side * rng.uniform(0.006, 0.02))), side * rng.uniform(0.06, 0.2)
    _ring(draw, side / 2, side / 2, side * 0.47, 2 * width)
    for offset in np.arange(-side, side, step):
        for sign in (1, -1):
            ends = [(x, side / 2 + sign * (x - side / 2) + offset) for x in np.linspace(0, side, 80)]
            inside = [p for p in ends if math.hypot(p[0] - side / 2, p[1] - side / 2) < side * 0.46]
            if len(inside) > 1:
                draw.line(inside, fill=255, width=width)


def _scissors(draw: Draw, rng: Rng, side: int) -> None:
    width, opened = round(side * rng.uniform(0.03, 0.07)), side * rng.uniform(0.05, 0.25)
    for sign in (1, -1):
        draw.line(
            (side / 2 - sign * opened, side * 0.04, side / 2 + sign * side * 0.13, side * 0.66), fill=255, width=width
        )
        _ring(draw, side / 2 + sign * side * 0.18, side * 0.78, side * rng.uniform(0.13, 0.17), width)


def _plant(draw: Draw, rng: Rng, side: int) -> None:
    """Stems with leaves, two times of three in a pot: a subject whose leaves are all of it, and no background."""
    rim = side * (rng.uniform(0.68, 0.85) if rng.random() < 0.67 else 0.97)
    if rim < side * 0.9:
        half, foot = side * rng.uniform(0.1, 0.22), rng.uniform(0.5, 1)
        corners = ((-half, rim), (half, rim), (half * foot, side * 0.97), (-half * foot, side * 0.97))
        draw.polygon([(side / 2 + x, y) for x, y in corners], fill=255)
    length, slim = side * rng.uniform(0.03, 0.14), rng.uniform(0.15, 0.6)
    leaves, spread = int(rng.integers(4, 22)), rng.uniform(0.2, 0.9)
    for _ in range(int(rng.integers(2, 14))):
        lean, high = rng.uniform(-spread, spread), rng.uniform(0.4, 1)
        t = np.linspace(0, 1, leaves + 2)
        xs = side / 2 + side * 0.45 * lean * t ** rng.uniform(1, 2)
        ys = rim - (rim - side * 0.06) * high * np.sin(t * rng.uniform(1.2, 2)) * (1 - 0.4 * abs(lean))
        draw.line(list(zip(xs, ys, strict=True)), fill=255, width=max(FINE, round(side * rng.uniform(0.003, 0.012))))
        for number, (x, y) in enumerate(zip(xs[1:], ys[1:], strict=True)):
            turn = lean * math.pi / 2 + (-1) ** number * rng.uniform(0.4, 1.4) - math.pi / 2
            _leaf(draw, (float(x), float(y)), turn, length * rng.uniform(0.6, 1.2), slim)


def _leaf(draw: Draw, foot: tuple[float, float], turn: float, length: float, slim: float) -> None:
    along = np.linspace(0, 1, 9)
    wide = slim * np.sin(math.pi * along) / 2
    xs, ys = np.concatenate([along, along[::-1]]), np.concatenate([wide, -wide])
    x = foot[0] + length * (math.cos(turn) * xs - math.sin(turn) * ys)
    y = foot[1] + length * (math.sin(turn) * xs + math.cos(turn) * ys)
    draw.polygon(list(zip(x.tolist(), y.tolist(), strict=True)), fill=255)


def _ring(draw: Draw, x: float, y: float, radius: float, width: float) -> None:
    draw.ellipse((x - radius, y - radius, x + radius, y + radius), outline=255, width=max(FINE, round(width)))


KINDS: tuple[Callable[[Draw, Rng, int], None], ...] = (_wheel, _bicycle, _rack, _chair, _mug, _net, _scissors, _plant)
