"""Filters of small planes by NumPy: those of `scipy.ndimage` take a third of a second to import."""

from __future__ import annotations

import numpy as np


def gaussian(plane: np.ndarray, sigma: float, mode: str = "symmetric") -> np.ndarray:
    """A plane, or a volume, blurred along each axis, of its own type.

    Parameters
    ----------
    plane : array of float
        Of any number of axes.
    sigma : float
        Standard deviation in pixels; the kernel ends at four of them.
    mode : {'symmetric', 'edge'}
        What lies beyond the border, as of `numpy.pad`.
    """
    radius = int(4 * sigma + 0.5)
    away = np.arange(-radius, radius + 1)
    weights = np.exp(-0.5 / (sigma * sigma) * away**2)
    weights /= weights.sum()
    for axis in range(plane.ndim):
        line = _padded(plane, radius, axis, mode)
        length = plane.shape[axis]
        total = line[radius : radius + length] * weights[radius]
        for k in range(radius, 0, -1):  # from the ends of the kernel inwards, as scipy adds up
            total += (line[radius - k : radius - k + length] + line[radius + k : radius + k + length]) * weights[
                radius - k
            ]
        plane = np.moveaxis(total, 0, axis).astype(plane.dtype)
    return plane


def dilated(mask: np.ndarray, radius: int = 1, axes: tuple[int, ...] | None = None) -> np.ndarray:
    """A mask grown by so many pixels along axes, by default all: by a square, or a cube."""
    for axis in range(mask.ndim) if axes is None else axes:
        reached, most = 0, min(radius, mask.shape[axis] - 1)
        while reached < most:  # what has grown, on one side at the border, moves by as much as leaves no gap
            step = min(reached + 1, most - reached)
            grown = mask.copy()
            line, moved = np.moveaxis(mask, axis, 0), np.moveaxis(grown, axis, 0)
            moved[step:] |= line[:-step]
            moved[:-step] |= line[step:]
            mask, reached = grown, reached + step
    return mask


def _padded(plane: np.ndarray, radius: int, axis: int, mode: str) -> np.ndarray:
    """The plane in float64, this axis first, with so much more at both its ends."""
    line = np.moveaxis(plane.astype(np.float64), axis, 0)
    padded: np.ndarray = np.pad(line, [(radius, radius)] + [(0, 0)] * (line.ndim - 1), mode=mode)  # type: ignore[call-overload]
    return padded
