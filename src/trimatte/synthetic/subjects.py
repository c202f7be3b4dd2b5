"""What the scenes show: one function a kind, each painting straight colours and alpha.

Every painter takes a random generator and a size and returns a premultiplied canvas (H, W, 4) and the colours that
the foreground has where it is absent (H, W, 3).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from trimatte.synthetic.fields import (
    FloatMap,
    Rng,
    colour,
    coordinates,
    coverage,
    fractal,
    inside,
    outline,
    radius_at,
    texture,
)
from trimatte.synthetic.strokes import curves, draw_strokes, taper

Painted = tuple[FloatMap, FloatMap]


def hair(rng: Rng, height: int, width: int) -> Painted:
    """A head with long loose strands."""
    canvas, cloth, shape, place = _body(rng, height, width, size=0.26, roughness=0.05)
    roots, outward = _rim(rng, shape, place, 650, height, width)
    short = min(height, width)
    length = short * rng.gamma(6, 0.03, len(roots))
    bend = rng.normal(0, 0.9, len(roots)) + rng.normal(0, 0.8)
    paths = curves(roots, outward + rng.normal(0, 0.35, len(roots)), length, bend, rng.normal(0, 0.25, len(roots)))
    _strands(rng, canvas, cloth, paths, rng.uniform(0.5, 1.6, len(roots)) * _stroke_scale(short))
    return canvas, cloth


def fur(rng: Rng, height: int, width: int) -> Painted:
    """A body with a dense coat of short hairs."""
    canvas, cloth, shape, place = _body(rng, height, width, size=0.3, roughness=0.1)
    roots, outward = _rim(rng, shape, place, 2600, height, width)
    short = min(height, width)
    lean = outward + rng.normal(0, 0.6) + rng.normal(0, 0.25, len(roots))
    paths = curves(roots, lean, short * rng.gamma(5, 0.011, len(roots)), rng.normal(0, 0.7, len(roots)), knots=8)
    _strands(rng, canvas, cloth, paths, rng.uniform(0.6, 1.8, len(roots)) * _stroke_scale(short))
    return canvas, cloth


def feather(rng: Rng, height: int, width: int) -> Painted:
    """A feather: barbs on both sides of a shaft, here and there parted."""
    canvas, cloth = _empty(rng, height, width)
    short = min(height, width)
    tilt = rng.uniform(-0.6, 0.6)
    base = np.array([[height / 2 + 0.42 * short * np.cos(tilt), width / 2 + 0.42 * short * np.sin(tilt)]])
    shaft = curves(base, np.array([np.pi + tilt]), np.array([0.88 * short]), rng.normal(0, 0.3, 1), knots=64)
    pairs = 240
    s = np.repeat(np.linspace(0.12, 0.99, pairs), 2)
    side = np.tile([-1.0, 1.0], pairs)
    roots = _along(shaft[0], s)
    heading = np.arctan2(*(_along(shaft[0], np.minimum(s + 0.01, 1)) - _along(shaft[0], s - 0.01)).T[::-1])
    # Barbs cling to vanes that part at a few places: neighbours share one lean.
    vane = np.cumsum(rng.random((pairs, 2)) < 0.04, axis=0)
    lean = rng.normal(0, 0.16, (pairs + 1, 2))[vane, [0, 1]].ravel()
    reach = short * 0.28 * np.sin(np.pi * np.clip(s, 0.02, 1) ** 0.75) ** 0.7 * rng.uniform(0.93, 1.07, len(s))
    paths = curves(roots, heading + side * (0.75 + lean), reach + 1, -side * 0.5, knots=10)
    # Barbs stand as far apart as `spacing`; their width leaves little gaps between them.
    spacing = 0.87 * 0.88 * short / pairs * np.sin(0.75)
    _strands(rng, canvas, cloth, paths, spacing * rng.uniform(0.5, 1.1, len(s)), grain=0.12)
    draw_strokes(canvas, shaft, taper(np.array([0.012 * short]), 64), cloth.mean(axis=(0, 1))[None] * np.float32(0.7))
    _hold(canvas, cloth, tuple(base[0]), 0.05 * short)
    return canvas, cloth


def foliage(rng: Rng, height: int, width: int) -> Painted:
    """Branches and leaves."""
    canvas, cloth = _empty(rng, height, width)
    short = min(height, width)
    start = np.array([[height * 1.02, width * rng.uniform(0.35, 0.65)]])
    angle, size = np.array([np.pi + rng.normal(0, 0.2)]), np.array([0.5 * short])
    bark = (cloth.mean(axis=(0, 1)) * np.array([0.5, 0.4, 0.3], np.float32))[None]
    tips = []
    for generation in range(4):
        bend = rng.normal(0, 0.5, len(start))
        paths = curves(start, angle, size, bend, knots=12)
        thick = 0.07 * short * 0.45**generation * np.ones(len(start))
        draw_strokes(canvas, paths, taper(thick, 12), np.repeat(bark, len(start), axis=0))
        children = 4
        parent = np.repeat(np.arange(len(start)), children)
        at = rng.uniform(0.35, 1.0, len(parent))
        start = np.stack([_along(paths[p], at[[i]])[0] for i, p in enumerate(parent)])
        angle = (angle + bend * 0.7)[parent] + rng.normal(0, 0.75, len(parent))
        size = size[parent] * rng.uniform(0.4, 0.75, len(parent))
        tips.append((start, angle))
    leaves = np.concatenate([t[0] for t in tips[1:]])
    heading = np.concatenate([t[1] for t in tips[1:]]) + rng.normal(0, 0.6, len(leaves))
    length = short * rng.uniform(0.04, 0.095, len(leaves))
    paths = curves(leaves, heading, length, rng.normal(0, 0.6, len(leaves)), knots=10)
    broad = length * rng.uniform(0.25, 0.5)
    draw_strokes(canvas, paths, taper(broad, 10, "leaf"), _shades(rng, cloth, leaves, 0.2))
    return canvas, cloth


def lace(rng: Rng, height: int, width: int) -> Painted:
    """Cloth with a regular pattern of holes, scalloped at its edge."""
    cloth = _cloth(rng, height, width)
    short = min(height, width)
    u, v = _warped(rng, height, width, cells=float(rng.uniform(9, 15)))
    period = np.float32(short / 12)
    cell = np.hypot(u - np.round(u), v - np.round(v))
    ring = np.abs(cell - np.float32(0.33)) * period - np.float32(0.06) * period
    petals = np.abs(np.sin(3 * np.arctan2(v - np.round(v), u - np.round(u)))) * cell * period
    threads = np.minimum(np.minimum(ring, petals - np.float32(0.035) * period), (cell - np.float32(0.08)) * period)
    corner = np.hypot(u - np.floor(u) - np.float32(0.5), v - np.floor(v) - np.float32(0.5))
    threads = np.minimum(threads, (corner - np.float32(0.2)) * period)
    edge = inside(_scallops(rng), height, width, (0, 0), 0.4)
    hem = np.abs(edge - np.float32(0.025 * short)) - np.float32(0.025 * short)
    alpha = np.maximum(coverage(-threads) * coverage(edge), coverage(-hem))
    return _premultiplied(cloth, alpha), cloth


def net(rng: Rng, height: int, width: int) -> Painted:
    """A net of thin threads with knots."""
    cloth = _cloth(rng, height, width)
    short = min(height, width)
    cells = float(rng.uniform(12, 26))
    u, v = _warped(rng, height, width, cells)
    period = np.float32(short / cells)
    half = np.float32(max(0.35, float(rng.uniform(0.03, 0.07)) * short / cells))
    along_u, along_v = np.abs(u - np.round(u)) * period, np.abs(v - np.round(v)) * period
    threads = coverage(half - np.minimum(along_u, along_v)) * min(np.float32(1), 2 * half)
    knots = coverage(2 * half - np.hypot(along_u, along_v))
    edge = inside(outline(rng, roughness=0.08), height, width, (0, 0), 0.41)
    hem = coverage(np.float32(0.025 * short) - np.abs(edge))
    return _premultiplied(cloth, np.maximum(np.maximum(threads, knots) * coverage(edge), hem)), cloth


def glass(rng: Rng, height: int, width: int) -> Painted:
    """A thin-walled vessel: clear in the middle, denser at the rim, with highlights."""
    short = min(height, width)
    tint = 1 - np.float32(0.35) * (1 - colour(rng, (0.6, 0.95)))
    cloth = texture(rng, height, width, tint, np.ones(3, np.float32))
    edge = inside(outline(rng, 4, 0.07), height, width, (0, 0), 0.34)
    depth = np.clip(edge / np.float32(0.33 * short), 0, 1)
    clear = np.float32(rng.uniform(0.06, 0.2))
    alpha = clear + np.float32(rng.uniform(0.5, 0.85)) * (1 - depth) ** np.float32(4)
    gleam = fractal(rng, height, width, 3) * fractal(rng, height, width, 7)
    alpha += np.clip(gleam - np.float32(0.55), 0, 1) * 3
    canvas = _premultiplied(cloth, np.clip(alpha, 0, 1) * coverage(edge))
    _hold(canvas, cloth, (height / 2 + 0.36 * short, width / 2), 0.08 * short)
    return canvas, cloth


def smoke(rng: Rng, height: int, width: int) -> Painted:
    """A drifting translucent cloud."""
    cloth = texture(rng, height, width, colour(rng, (0.5, 0.9), 0.25), colour(rng, (0.6, 0.98), 0.25))
    y, x = coordinates(height, width)
    plume = fractal(rng, height, width, 3, 6)
    envelope = np.clip(np.float32(1.15) - np.float32(2.3) * np.hypot(y, x), 0, 1)
    wisps = 1 - np.abs(2 * fractal(rng, height, width, 4, 4) - 1)
    alpha = np.clip((plume * np.float32(0.9) + wisps * np.float32(0.4) - np.float32(0.35)) * envelope * 2, 0, 1)
    canvas = _premultiplied(cloth, alpha * np.float32(rng.uniform(0.7, 1.0)))
    short = min(height, width)
    _hold(canvas, cloth, (height / 2 + 0.3 * short, width / 2 + rng.normal(0, 0.1) * short), 0.07 * short)
    return canvas, cloth


def hard(rng: Rng, height: int, width: int) -> Painted:
    """A rigid thing with straight and round edges and a hole."""
    cloth = _cloth(rng, height, width)
    y, x = coordinates(height, width)
    short = np.float32(min(height, width))
    sides = int(rng.integers(3, 8))
    turn = rng.uniform(0, 2 * np.pi)
    distance = np.full((height, width), np.float32(np.inf))
    for k in range(sides):
        normal = turn + 2 * np.pi * k / sides + rng.normal(0, 0.15)
        face = np.float32(rng.uniform(0.25, 0.36)) - (y * np.float32(np.cos(normal)) + x * np.float32(np.sin(normal)))
        distance = np.minimum(distance, face * short)
    knob = np.float32(0.13) - np.hypot(y - np.float32(rng.uniform(-0.3, 0.3)), x - np.float32(rng.uniform(-0.3, 0.3)))
    hole = np.hypot(y, x) - np.float32(rng.uniform(0.05, 0.12))
    distance = np.minimum(np.maximum(distance, knob * short), hole * short)
    return _premultiplied(cloth, coverage(distance)), cloth


def motion(rng: Rng, height: int, width: int) -> Painted:
    """A thing that moved while the shutter was open: the time average of its coverage along a straight path."""
    canvas, cloth = (hard, fur)[int(rng.integers(2))](rng, height, width)
    length = max(2, round(min(height, width) * rng.uniform(0.03, 0.1)))
    heading = rng.uniform(0, np.pi)
    margin = length // 2 + 1
    padded = np.pad(canvas, ((margin, margin), (margin, margin), (0, 0)), mode="edge")
    blurred = np.zeros_like(canvas)
    for s in np.linspace(-length / 2, length / 2, length):
        dy, dx = margin + round(float(s * np.cos(heading))), margin + round(float(s * np.sin(heading)))
        blurred += padded[dy : dy + height, dx : dx + width]
    blurred /= np.float32(length)
    return blurred, cloth


def defocus(rng: Rng, height: int, width: int) -> Painted:
    """A thing out of focus; the circle of confusion is modelled by a Gaussian."""
    from scipy.ndimage import gaussian_filter

    canvas, cloth = (hard, hair, foliage)[int(rng.integers(3))](rng, height, width)
    sigma = min(height, width) * rng.uniform(0.004, 0.02)
    for channel in range(4):
        canvas[..., channel] = gaussian_filter(canvas[..., channel], sigma, mode="nearest", truncate=3)
    return canvas, cloth


KINDS: dict[str, Callable[[Rng, int, int], Painted]] = {
    painter.__name__: painter
    for painter in (hair, fur, feather, foliage, lace, net, glass, smoke, motion, defocus, hard)
}


def _cloth(rng: Rng, height: int, width: int) -> FloatMap:
    return texture(rng, height, width, colour(rng), colour(rng))


def _empty(rng: Rng, height: int, width: int) -> Painted:
    return np.zeros((height, width, 4), np.float32), _cloth(rng, height, width)


def _premultiplied(cloth: FloatMap, alpha: FloatMap) -> FloatMap:
    canvas = np.empty((*alpha.shape, 4), np.float32)
    np.multiply(cloth, alpha[..., None], out=canvas[..., :3])
    canvas[..., 3] = alpha
    return canvas


def _hold(canvas: FloatMap, cloth: FloatMap, centre: tuple[float, float], radius: float) -> None:
    """An opaque disc, in pixels: what has no solid part of its own hangs on something, so that a trimap can know it."""
    height, width = canvas.shape[:2]
    top, bottom = max(0, int(centre[0] - radius) - 1), min(height, int(centre[0] + radius) + 2)
    left, right = max(0, int(centre[1] - radius) - 1), min(width, int(centre[1] + radius) + 2)
    y = np.arange(top, bottom, dtype=np.float32)[:, None] + np.float32(0.5 - centre[0])
    x = np.arange(left, right, dtype=np.float32)[None] + np.float32(0.5 - centre[1])
    disc = coverage(np.float32(radius) - np.hypot(y, x))
    part = canvas[top:bottom, left:right]
    part += disc[..., None] * (np.dstack([cloth[top:bottom, left:right], np.ones_like(disc)]) - part)


def _body(
    rng: Rng, height: int, width: int, size: float, roughness: float
) -> tuple[FloatMap, FloatMap, NDArray[np.float64], tuple[float, float, float]]:
    """An opaque round body; its canvas, colours, outline and (row, column, radius) in short sides."""
    cloth = _cloth(rng, height, width)
    shape = outline(rng, roughness=roughness)
    place = (float(rng.uniform(-0.05, 0.12)), float(rng.uniform(-0.1, 0.1)), size)
    body = inside(shape, height, width, place[:2], size)
    return _premultiplied(cloth, coverage(body)), cloth, shape, place


def _rim(
    rng: Rng, shape: NDArray[np.float64], place: tuple[float, float, float], count: int, height: int, width: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Points just inside a body's outline (count, 2) in pixels, and the outward directions there."""
    angle = rng.uniform(-np.pi, np.pi, count)
    reach = radius_at(shape, angle) * place[2] * rng.uniform(0.75, 1.0, count) * min(height, width)
    # `inside` measures angles as arctan2(row, column).
    row = height / 2 + place[0] * min(height, width) + reach * np.sin(angle)
    column = width / 2 + place[1] * min(height, width) + reach * np.cos(angle)
    return np.stack([row, column], axis=1), np.pi / 2 - angle


def _strands(
    rng: Rng, canvas: FloatMap, cloth: FloatMap, paths: FloatMap, width: NDArray[np.float64], grain: float = 0.25
) -> None:
    draw_strokes(canvas, paths, taper(width, paths.shape[1]), _shades(rng, cloth, paths[:, 0], grain))


def _shades(rng: Rng, cloth: FloatMap, at: NDArray[np.floating], grain: float) -> FloatMap:
    """The cloth's colours at points (N, 2), each lighter or darker by about `grain`."""
    row = np.clip(at[:, 0].astype(int), 0, cloth.shape[0] - 1)
    column = np.clip(at[:, 1].astype(int), 0, cloth.shape[1] - 1)
    shades: FloatMap = np.clip(cloth[row, column] + rng.normal(0, grain, (len(at), 1)), 0, 1).astype(np.float32)
    return shades


def _stroke_scale(short: int) -> float:
    """Strand widths grow slower than the picture: a larger picture also shows finer hair."""
    return float((short / 512) ** 0.5)


def _along(path: NDArray[np.floating], s: NDArray[np.float64]) -> NDArray[np.float64]:
    """Points (N, 2) at these parts (0..1) of one path (K, 2)."""
    knots = np.linspace(0, 1, len(path))
    return np.stack([np.interp(s, knots, path[:, axis]) for axis in (0, 1)], axis=1)


def _warped(rng: Rng, height: int, width: int, cells: float) -> tuple[FloatMap, FloatMap]:
    """Lattice coordinates, `cells` to the short side, turned and slightly bent."""
    y, x = coordinates(height, width)
    turn = rng.uniform(0, np.pi)
    sine, cosine = np.float32(np.sin(turn)), np.float32(np.cos(turn))
    sway = np.float32(0.12)
    u = (y * cosine + x * sine + sway * fractal(rng, height, width, 2)) * np.float32(cells)
    v = (x * cosine - y * sine + sway * fractal(rng, height, width, 2)) * np.float32(cells)
    return u, v


def _scallops(rng: Rng) -> NDArray[np.float64]:
    """A round outline with a wavy edge."""
    shape = np.zeros((24, 2))
    shape[:4] = outline(rng, 4, 0.05)
    shape[23] = 0.025
    return shape
