"""Tapered, antialiased strokes: hair, barbs, leaves, branches and threads."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from trimatte.runtime.jit import njit

Floats = NDArray[np.float32]


@njit()
def draw_strokes(canvas: Floats, points: Floats, radii: Floats, colours: Floats) -> None:  # pragma: no cover
    """Lay strokes over a premultiplied canvas, in place and in order.

    canvas : (H, W, 4) red, green, blue (premultiplied) and alpha
    points : (strokes, K, 2) rows and columns in pixels, pixel (0, 0) has its centre at (0.5, 0.5)
    radii : (strokes, K) half widths in pixels
    colours : (strokes, 3) straight colours

    A pixel is covered by clip(r - d + 1/2, 0, 1) min(2 r, 1) d being its distance from the centre line, r the half
    width there. Each segment paints only the pixels beside it (0 <= s < 1 along it), so none is painted twice.
    """
    height, width = canvas.shape[0], canvas.shape[1]
    for n in range(points.shape[0]):
        for k in range(points.shape[1] - 1):
            y0, x0 = points[n, k, 0], points[n, k, 1]
            dy, dx = points[n, k + 1, 0] - y0, points[n, k + 1, 1] - x0
            length2 = dy * dy + dx * dx
            if length2 < 1e-8:
                continue
            reach = max(radii[n, k], radii[n, k + 1]) + 1.0
            top, bottom = max(int(min(y0, y0 + dy) - reach), 0), min(int(max(y0, y0 + dy) + reach) + 1, height)
            left, right = max(int(min(x0, x0 + dx) - reach), 0), min(int(max(x0, x0 + dx) + reach) + 1, width)
            for i in range(top, bottom):
                for j in range(left, right):
                    py, px = i + 0.5 - y0, j + 0.5 - x0
                    s = (py * dy + px * dx) / length2
                    if s < 0.0 or s >= 1.0:
                        continue
                    d = np.sqrt(max(py * py + px * px - s * s * length2, 0.0))
                    r = radii[n, k] + s * (radii[n, k + 1] - radii[n, k])
                    c = min(max(r - d + 0.5, 0.0), 1.0) * min(2.0 * r, 1.0)
                    if c > 0.0:
                        for channel in range(3):
                            canvas[i, j, channel] += c * (colours[n, channel] - canvas[i, j, channel])
                        canvas[i, j, 3] += c * (1.0 - canvas[i, j, 3])


def curves(
    start: NDArray[np.float64],
    angle: NDArray[np.float64],
    length: NDArray[np.float64],
    bend: NDArray[np.float64],
    wave: NDArray[np.float64] | float = 0.0,
    knots: int = 16,
) -> Floats:
    """(N, knots, 2) smooth curves that leave `start` (N, 2) at `angle`, turn by `bend` in all and sway by `wave`.

    Angles in radians from the downward row axis to the right; lengths in pixels.
    """
    s = np.linspace(0, 1, knots)[None]
    heading = angle[:, None] + bend[:, None] * s + np.asarray(wave).reshape(-1, 1) * np.sin(4 * np.pi * s)
    step = (length / (knots - 1))[:, None]
    path = np.empty((len(start), knots, 2))
    for axis, direction in enumerate((np.cos(heading), np.sin(heading))):
        path[:, 0, axis] = start[:, axis]
        path[:, 1:, axis] = start[:, axis, None] + np.cumsum(direction[:, :-1] * step, axis=1)
    return path.astype(np.float32)


def taper(width: NDArray[np.float64], knots: int = 16, profile: str = "tip") -> Floats:
    """(N, knots) half widths: "tip" thins out to the end, "leaf" is widest in the middle."""
    s = np.linspace(0, 1, knots)[None]
    shape = np.sin(np.pi * s) ** 0.7 if profile == "leaf" else 1 - 0.85 * s
    return np.asarray(width[:, None] / 2 * shape, np.float32)
