"""A plane as a function of the photo's colours, window by window (He et al., "Guided Image Filtering", ECCV 2010)."""

from __future__ import annotations

import numpy as np

from trimatte.planes.filters import mean


def colour_slopes(image: np.ndarray, plane: np.ndarray, radius: int, edge: float) -> list[np.ndarray]:
    """Slopes of a plane as an affine function of colour, by least squares in the window about each pixel.

    Parameters
    ----------
    image : (H, W, 3) array in [0, 1]
        The photo.
    plane : (H, W) array
        What follows its colours.
    radius : int
        Of the windows, in pixels.
    edge : float
        Variance of colour that counts as an edge: where it is less the slopes tend to 0.

    Returns
    -------
    list of three (H, W) float64 arrays
        For red, green and blue.
    """
    colours = [np.ascontiguousarray(channel, np.float64) for channel in np.moveaxis(image, -1, 0)]
    means, level = [mean(colour, radius) for colour in colours], mean(plane.astype(np.float64), radius)
    joint = [mean(colour * plane, radius) - m * level for colour, m in zip(colours, means, strict=True)]
    spread = {
        (i, j): mean(colours[i] * colours[j], radius) - means[i] * means[j] + (edge if i == j else 0.0)
        for i in range(3)
        for j in range(i, 3)
    }
    return _solved(spread, joint)


def _solved(a: dict[tuple[int, int], np.ndarray], b: list[np.ndarray]) -> list[np.ndarray]:
    """Solutions of symmetric systems of three equations, one a pixel, by their adjugates."""
    rr, rg, rb, gg, gb, bb = (a[key] for key in ((0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2)))
    cofactors = [
        [gg * bb - gb * gb, rb * gb - rg * bb, rg * gb - rb * gg],
        [rb * gb - rg * bb, rr * bb - rb * rb, rg * rb - rr * gb],
        [rg * gb - rb * gg, rg * rb - rr * gb, rr * gg - rg * rg],
    ]
    determinant = rr * cofactors[0][0] + rg * cofactors[0][1] + rb * cofactors[0][2]
    return [sum(c * x for c, x in zip(row, b, strict=True)) / determinant for row in cofactors]
