"""Shadows that are made for a subject: on a wall behind it, or on the ground that it stands on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from trimatte.images.arrays import Box, Floats, bounding_box
from trimatte.output.framing import WITHIN, Borders, groups

_SOLID = 0.5
_DROP = (2.0, 1.0)
"""How far a shadow falls down and to the right, in multiples of its blur."""
_COARSE = 4
"""Standard deviation, in pixels, of the size at which a blur is computed."""
_FEET = 0.2
"""The lowest part of a subject, by its height, that is near to the ground."""
_FLAT = 0.035
"""Standard deviation, down, of the shadow on the ground, by the subject's width."""
_SHARPNESS = ((0.2, 0.5), (0.6, 1.5))
"""Blur, down and across, of the deepest of the shadow on the ground, and of what is about it, by the whole blur."""
_CUT_OFF = 0.5
"""A subject does not stand if the photo's lower border cuts off more than this share of what is near to the ground."""
_CUT_ROWS = 2
"""Rows along the border, of which resizing and matting may leave the last one faint."""
_FAINT = 1e-4
"""Darkness that nobody sees."""
_FADE = 2.0
"""How far from a cut the shadow is whole again, in multiples of the blur."""


def drop_shadow(alpha: Floats, strength: float, softness: float, borders: Borders = WITHIN) -> Floats:
    """Darkness (H, W) in [0, 1] of the shadow on a wall close behind: the matte, blurred, lower and to the right.

    Parameters
    ----------
    alpha : (H, W) float32 array in [0, 1]
        Of the subject on its canvas.
    strength : float
        The greatest darkness.
    softness : float
        Standard deviation of the blur, by the subject's longer side.
    borders : pair of pairs of int or None
        Where the photo's borders lie, as `Frame.borders` says. If the canvas ends at one, the subject is taken to go on
        beyond it; if not, the shadow is of what is shown.
    """
    from scipy.ndimage import gaussian_filter, shift

    from trimatte.planes.resize import resized

    blur = softness * _side(alpha)
    scale = min(1.0, _COARSE / blur) if blur else 1.0
    small = resized(alpha, tuple(max(1, round(side * scale)) for side in alpha.shape), "box")
    blur *= scale
    reach = int(blur * (3 + max(_DROP))) + 1
    for axis, ends in enumerate(borders):
        small = _continued(small, axis, reach, _cut_at(ends, alpha.shape[axis]))
    moved = shift(small, [part * blur for part in _DROP], order=1)
    dark = np.asarray(gaussian_filter(moved, blur, truncate=3), np.float32)[reach:-reach, reach:-reach]
    return resized(np.float32(strength) * dark, alpha.shape)


def contact_shadow(alpha: Floats, strength: float, softness: float, borders: Borders = WITHIN) -> Floats:
    """Darkness (H, W) in [0, 1] of the shadow on the ground, about the lower edge of each subject that stands there.

    Where the photo's lower border cuts a subject off, it does not touch the ground: along the cut there is no shadow,
    and a subject that is cut off for the most part has none. One that ends well above the lowest does not stand.

    Parameters
    ----------
    alpha : (H, W) float32 array in [0, 1]
        Of the subjects on their canvas.
    strength : float
        The greatest darkness.
    softness : float
        Of the blur, as of `drop_shadow`; what lies deepest, in the middle, is three times as sharp.
    borders : pair of pairs of int or None
        As of `drop_shadow`.
    """
    blur = softness * _side(alpha)
    dark = np.zeros_like(alpha)
    standing = [feet for part in _subjects(alpha) if (feet := _feet(*part, alpha.shape[1], borders[0][1]))]
    if not standing:
        return dark
    ground, top = max(feet.bottom for feet in standing), min(feet.top for feet in standing)
    for feet in standing:
        if ground - feet.bottom <= _FEET * (ground - top):
            _lay_on_ground(feet, blur, borders[1], dark)
    dark *= np.float32(strength)
    return dark


class _Feet(NamedTuple):
    """Where a subject stands.

    Attributes
    ----------
    top, bottom : int
        The subject's first row, and the one after its last.
    near : (W,) float32 array in [0, 1]
        How near to the ground it comes in each column of the canvas.
    cut : (W,) bool array
        Whether the photo's border cuts it off there.
    width : int
        Of the subject.
    """

    top: int
    bottom: int
    near: Floats
    cut: np.ndarray
    width: int


def _subjects(alpha: Floats) -> Iterator[tuple[Box, np.ndarray]]:
    """Rows and columns that hold each subject, and what is solid of it there; without specks."""
    labels, side = groups(np.where(alpha >= _SOLID, alpha, np.float32(0)))
    for number in np.unique(labels[labels > 0]):
        cells = bounding_box(labels == number)
        assert cells is not None
        rows, columns = (
            slice(part.start * side, min(part.stop * side, length))
            for part, length in zip(cells, alpha.shape, strict=True)
        )
        part = alpha[rows, columns]
        own = (labels[cells] == number).repeat(side, axis=0).repeat(side, axis=1)[: part.shape[0], : part.shape[1]]
        yield (rows, columns), (part >= _SOLID) & own


def _feet(box: Box, solid: np.ndarray, width: int, border: int | None) -> _Feet | None:
    """Where a subject stands on a canvas of that width; None if the photo's lower border cuts it off."""
    inner = bounding_box(solid)
    assert inner is not None  # a group has a pixel
    top, bottom = (box[0].start + end for end in (inner[0].start, inner[0].stop))
    rise = solid[inner[0]][::-1].argmax(axis=0)  # above its lowest row; 0 where there is nothing, too
    near, cut = np.zeros(width, np.float32), np.zeros(width, np.bool_)
    near[box[1]] = np.clip(1 - rise / (_FEET * (bottom - top)), 0, 1) * solid.any(axis=0)
    if border is not None:
        cut[box[1]] = solid[max(0, border - _CUT_ROWS - box[0].start) : max(0, border - box[0].start)].any(axis=0)
    if np.count_nonzero(cut) > _CUT_OFF * np.count_nonzero(near):
        return None
    return _Feet(top, bottom, near, cut, inner[1].stop - inner[1].start)


def _lay_on_ground(feet: _Feet, blur: float, ends: tuple[int | None, int | None], dark: Floats) -> None:
    """Darken `dark` (H, W) in [0, 1] below a subject: across as it is near to the ground, down a Gaussian about it."""
    from scipy.ndimage import distance_transform_edt, gaussian_filter1d

    whole = distance_transform_edt(~feet.cut) / max(1.0, _FADE * blur) if feet.cut.any() else np.ones(len(feet.cut))
    flat = _FLAT * feet.width
    reach = int(4 * (_SHARPNESS[-1][1] * blur + flat)) + 1
    near = _continued(np.where(feet.cut, np.float32(0), feet.near), 0, reach, _cut_at(ends, len(feet.near)))
    for down, across in _SHARPNESS:
        row = gaussian_filter1d(near, np.hypot(flat / 2, across * blur))[reach:-reach] * np.minimum(whole, 1)
        seen = bounding_box(row[None] > _FAINT)
        if seen is None:
            continue
        high = np.hypot(flat, down * blur)
        rows = np.arange(max(0, int(feet.bottom - 4 * high)), min(len(dark), int(feet.bottom + 4 * high) + 1))
        profile = np.exp(-0.5 * ((rows + 0.5 - feet.bottom) / high) ** 2)
        part = dark[rows[0] : rows[-1] + 1, seen[1]]
        np.maximum(part, np.outer(profile, row[seen[1]]).astype(np.float32), out=part)


def _cut_at(ends: tuple[int | None, int | None], length: int) -> tuple[bool, bool]:
    """Whether a canvas of that length begins, and ends, where the photo does."""
    return ends[0] == 0, ends[1] == length


def _continued(plane: Floats, axis: int, reach: int, goes_on: tuple[bool, bool]) -> Floats:
    """A plane with so much more at both ends of an axis: what is at the end if it goes on there, or nothing."""
    for end, on in enumerate(goes_on):
        widths = [(0, 0)] * plane.ndim
        widths[axis] = (0, reach) if end else (reach, 0)
        plane = np.pad(plane, widths, "edge") if on else np.pad(plane, widths)
    return plane


def _side(alpha: Floats) -> int:
    """The longer side of what is solid in a matte; 1 if nothing is."""
    box = bounding_box(alpha >= _SOLID)
    return 1 if box is None else max(part.stop - part.start for part in box)
