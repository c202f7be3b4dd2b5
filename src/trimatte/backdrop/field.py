"""The colour field of a plain backdrop: what the border says, carried on into the picture.

A quadratic of the place, by channel, fits lighting gradients and vignetting. It is fitted robustly on a small copy:
first to the border, from its most frequent colour on, then to all that hangs together with the border and agrees. What
remains there is smooth, and is added.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from trimatte.planes.resize import downsampled, resized

SMALL = 192
"""Longest side of the copy that the field is fitted on."""
RING = 0.02
"""Width of the border relative to the shorter side."""
NEAR = 0.08
"""Border pixels this near to the first colour begin the fit, in each channel."""
LIKE = 0.25
"""A colour that is named is meant this roughly, in each channel."""
TOLERANCE, SIGMAS = 0.02, 3.5
"""A pixel fits that is off by less in each channel, or by less than so many times the noise."""
LEAST_NOISE, MOST_NOISE = 0.25 / 255, 0.05
STEPS = 6
SMOOTH = 0.06
"""Scale of what is added to the polynomial, relative to the longer side."""
SAMPLE = 400_000
"""About so many pixels tell the noise."""


@dataclass(frozen=True)
class Field:
    """A backdrop's colours.

    Attributes
    ----------
    small : (h, w, 3) float32 array
        The colours on a small copy.
    noise : (3,) float32 array
        Standard deviation of the picture's noise about them, by channel.
    fits : (h, w) bool array
        Where the small copy of the picture has the backdrop's colour.
    share : float
        Part of the picture's border that has it.
    colour : (3,) float32 array
        The median along that part of the border.
    """

    small: np.ndarray
    noise: np.ndarray
    fits: np.ndarray
    share: float
    colour: np.ndarray

    def at(self, shape: tuple[int, int]) -> np.ndarray:
        """The colours (H, W, 3) float32 in [0, 1] at a picture's size."""
        return np.ascontiguousarray(resized(self.small, shape))


def fit_field(image: np.ndarray, first: np.ndarray | None = None) -> Field:
    """Fit the field to a picture.

    Parameters
    ----------
    image : (H, W, 3) float32 array in [0, 1]
        The photo, sRGB.
    first : (3,) array, optional
        About the backdrop's colour. The most frequent of the border that are like it begins the fit, by default the
        most frequent of all.

    Returns
    -------
    Field
        Its share is 0 if nothing at the border is like the colour.
    """
    scale = min(1.0, SMALL / max(image.shape[:2]))
    height, width = (max(1, round(side * scale)) for side in image.shape[:2])
    small = np.ascontiguousarray(downsampled(image, (height, width), "box"), np.float32)
    border = border_of(height, width)
    colour = np.asarray(small[0, 0] if first is None else first, np.float32)
    like = border if first is None else border & (np.abs(small - colour) <= LIKE).all(axis=-1)
    if like.any():
        colour = _most_frequent(small[like])
    fitting = like & (np.abs(small - colour) < NEAR).all(axis=-1)
    field = np.broadcast_to(colour, small.shape).astype(np.float64)
    basis = _basis(height, width)
    for step in range(STEPS):
        if not fitting.any():
            break
        field = _polynomial(basis[..., : (1, 3, 6)[min(step, 2)]], small, fitting)
        agrees = _agreeing(small, field, _spread((small - field)[fitting]))
        fitting = agrees & border if step < 3 else _connected(agrees, border)
    if not fitting.any():
        return Field(field.astype(np.float32), np.zeros(3, np.float32), fitting, 0.0, colour)
    field = np.clip(field + _smoothed(small - field, fitting), 0, 1).astype(np.float32)
    noise = _noise(image, field, fitting)
    fits = _agreeing(small, field, noise)
    share = np.count_nonzero(fits & border) / np.count_nonzero(border)
    return Field(field, noise, fits, share, np.median(small[fits & border], axis=0) if share else colour)


def border_of(height: int, width: int) -> np.ndarray:
    """The pixels (H, W) bool at the border of a picture of that size."""
    ring = max(1, round(RING * min(height, width)))
    border = np.ones((height, width), bool)
    border[ring : height - ring, ring : width - ring] = False
    return border


def _agreeing(small: np.ndarray, field: np.ndarray, noise: np.ndarray) -> np.ndarray:
    agreeing: np.ndarray = (np.abs(small - field) < np.maximum(TOLERANCE, SIGMAS * noise)).all(axis=-1)
    return agreeing


def _basis(height: int, width: int) -> np.ndarray:
    """1, x, y, x², xy, y² at each pixel (H, W, 6) float64, x and y from -1 to 1."""
    y, x = np.meshgrid(np.linspace(-1, 1, height), np.linspace(-1, 1, width), indexing="ij")
    return np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], axis=-1)


def _most_frequent(colours: np.ndarray) -> np.ndarray:
    """Of colours (n, 3) the one with most others about it, as the mean of those."""
    few = colours[:: max(1, len(colours) // 800)].astype(np.float64)
    near = np.asarray((np.abs(few[:, None] - few[None]) < NEAR / 2).all(axis=-1))
    colour: np.ndarray = few[near[int(np.argmax(near.sum(axis=1)))]].mean(axis=0)
    return colour.astype(np.float32)


def _polynomial(basis: np.ndarray, small: np.ndarray, fitting: np.ndarray) -> np.ndarray:
    """Least squares over the fitting pixels; sums by einsum, whose bits do not depend on the number of threads."""
    rows, values = basis[fitting], small[fitting].astype(np.float64)
    matrix = np.einsum("ni,nj->ij", rows, rows)
    matrix[1:, 1:] += 1e-6 * len(rows) * np.eye(len(matrix) - 1)  # a line of pixels does not determine a plane
    weights = np.linalg.solve(matrix, np.einsum("ni,nc->ic", rows, values))
    field: np.ndarray = np.einsum("hwi,ic->hwc", basis, weights)
    return field


def _spread(residual: np.ndarray) -> np.ndarray:
    """Standard deviation of residuals (n, 3) by channel, from the tenths at both ends, of which white clips one."""
    spread: np.ndarray = np.abs(np.quantile(residual, (0.1, 0.9), axis=0)).max(axis=0) / 1.2816
    return spread


def _connected(mask: np.ndarray, border: np.ndarray) -> np.ndarray:
    """What of a mask hangs together with the border."""
    labels, _ = ndimage.label(mask)
    kept = np.unique(labels[border & mask])
    connected: np.ndarray = np.isin(labels, kept[kept > 0])
    return connected


def _smoothed(residual: np.ndarray, fitting: np.ndarray) -> np.ndarray:
    """Residuals (H, W, 3) of the fitting pixels as a smooth field, which fades far from them."""
    sigma = SMOOTH * max(fitting.shape)
    weight = ndimage.gaussian_filter(fitting.astype(np.float64), sigma, mode="nearest") + 0.02
    planes = [ndimage.gaussian_filter(np.where(fitting, residual[..., c], 0), sigma, mode="nearest") for c in range(3)]
    smooth: np.ndarray = np.stack(planes, axis=-1) / weight[..., None]
    return smooth


def _noise(image: np.ndarray, field: np.ndarray, fitting: np.ndarray) -> np.ndarray:
    """Standard deviation (3,) of the picture at full size about the field, over pixels that fit in the small copy."""
    step = max(1, int(np.sqrt(image.shape[0] * image.shape[1] / SAMPLE)))
    inner = ndimage.binary_erosion(fitting, border_value=1)
    inner = inner if inner.any() else fitting
    place = []
    for full, little in zip(image.shape[:2], fitting.shape, strict=True):
        place.append(np.arange(0, full, step) * little // full)
    chosen = inner[np.ix_(*place)]
    smooth = resized(field, chosen.shape)
    spread = _spread(image[::step, ::step][chosen] - smooth[chosen])
    noise: np.ndarray = np.clip(spread, LEAST_NOISE, MOST_NOISE).astype(np.float32)
    return noise
