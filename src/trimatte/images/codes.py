"""Trimaps in the codes that tools write: which greys are known, or why that is in doubt.

Ours is 0 for background, the type's greatest value for foreground, and any grey between for unknown. A file of 0, 127
and 254, or 1, 128 and 255, is taken for what it is; class labels such as 0, 1, 2 are refused, since all three would be
unknown. Some tools keep the trimap in the alpha channel of a black or white picture.
"""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import NDArray

from trimatte.errors import ArgumentError
from trimatte.images.arrays import BACKGROUND, FOREGROUND, UNKNOWN, Array, Codes, read_only, white_of
from trimatte.images.convert import fitting_plane
from trimatte.images.decode import Decoded, decode_source, is_source
from trimatte.images.formats import MAX_PIXELS
from trimatte.images.read import ImageLike, Picture, warn_of

WANTED = "wanted 0 for background, 255 for foreground and greys between for unknown"
_SHOWN = 6


def read_trimap(
    x: ImageLike, *, name: str = "trimap", shape: tuple[int, int] | Picture | None = None, max_pixels: int = MAX_PIXELS
) -> NDArray[np.uint8]:
    """A trimap that somebody gives: `as_trimap`, and other codes taken for what they are or refused.

    Parameters
    ----------
    x : array, PIL image, path, bytes or binary file object
        As for `as_trimap`. A file that is black or white all over holds its trimap in its alpha.
    name, shape, max_pixels : optional
        As of `as_trimap`.

    Returns
    -------
    trimap : (H, W) uint8 array
        0 background, 255 foreground, 128 unknown; C-contiguous and read-only.

    Raises
    ------
    ArgumentError
        If the shape, type or range is another, or the greys are those of no trimap, such as class labels.
    ImageReadError
        If a file cannot be read.

    Warns
    -----
    UserWarning
        If greys next to black and white are taken for them.
    """
    if is_source(x):
        decoded = decode_source(x, max_pixels)
        warn_of(decoded.notes, name)
        x = greys_of(decoded, name)
    return read_only(trimap_of(fitting_plane(x, name, shape), name))


def trimap_of(plane: Array, name: str) -> NDArray[np.uint8]:
    """The trimap (H, W) of 0, 128 and 255 that a plane (H, W) of uint8, uint16, bool or float in [0, 1] means.

    Raises
    ------
    ArgumentError
        If its greys are those of no trimap; the message lists them.

    Warns
    -----
    UserWarning
        If the known greys are not 0 and the greatest value but next to them.
    """
    background, foreground = _known_greys(plane, white_of(plane, name), name)
    trimap = np.full(plane.shape, UNKNOWN, np.uint8)
    np.copyto(trimap, BACKGROUND, where=plane == background)
    np.copyto(trimap, FOREGROUND, where=plane == foreground)
    return trimap


def greys_of(decoded: Decoded, name: str) -> Codes:
    """The plane (H, W) of a picture's greys, in which transparent parts have their meaning too.

    Raises
    ------
    ArgumentError
        If it has colours, or transparency of which one cannot say what it means.
    """
    codes, alpha = decoded.codes, decoded.alpha
    if alpha is None or (alpha == np.iinfo(alpha.dtype).max).all():
        return _grey(codes, name)
    visible = alpha > 0
    shown = np.where(visible[..., None], codes, 0) if codes.ndim == 3 else np.where(visible, codes, 0)
    greys = _grey(shown.astype(codes.dtype), name)
    white = np.iinfo(codes.dtype).max
    black = visible & (greys == 0)
    if (greys[visible] == white).all() or (black[visible].all() and _has_middle(alpha)):
        return alpha  # one colour all over: what there is to know is in the alpha channel
    if black.any():
        raise ArgumentError(f"{name}: it has transparent pixels besides black ones, background or unknown?; {WANTED}")
    if not (alpha[visible] == white).all():
        raise ArgumentError(f"{name}: it has half transparent greys; {WANTED}, opaque")
    return greys


def _known_greys(plane: Array, white: int, name: str) -> tuple[float, float]:
    """The greys that stand for background and for foreground."""
    if plane.dtype == bool or (plane.dtype.kind == "f" and plane.min() == 0 and plane.max() == 1):
        return 0, white
    values = _values(plane)
    low, high = values[values < white / 4], values[values > white * 3 / 4]
    middle = len(values) > len(low) + len(high)
    background, foreground = 0, white
    if values[0] > 0 and len(low):
        background = low[0]
    if values[-1] < white and len(high):
        foreground = high[-1]
    step = white / 255
    labels = not middle and not len(high) and values[-1] > 0  # 0, 1, 2
    paired = len(values) == 3 and not middle and min(values[1], white - values[1]) <= 4 * step  # 0, 1, 255
    far = max(background, white - foreground) > 1.001 * step
    crowded = (background > 0 and len(low) > 1) or (foreground < white and len(high) > 1)
    alone = not middle and not len(low) and foreground < white
    if labels or paired or far or crowded or alone:
        raise ArgumentError(f"{name}: got {_listed(values, white)}; {WANTED}")
    if background > 0 or foreground < white:
        warnings.warn(
            f"{name}: got {_listed(values, white)}: {background:g} is taken for background, {foreground:g} for "
            "foreground",
            UserWarning,
            stacklevel=4,
        )
    return background, foreground


def _values(plane: Array) -> Array:
    """The values that occur, in order."""
    if plane.dtype.kind == "f":
        return np.unique(plane)
    if plane.dtype == np.uint8:  # counting all values takes ten times as long as counting those that a trimap has
        usual = {value: np.count_nonzero(plane == value) for value in (BACKGROUND, UNKNOWN, FOREGROUND)}
        if sum(usual.values()) == plane.size:
            return np.array([value for value, count in usual.items() if count])
    return np.flatnonzero(np.bincount(plane.ravel()))


def _listed(values: Array, white: int) -> str:
    """The greys in words, with a guess at what they are."""
    if len(values) > _SHOWN:
        return f"{len(values)} greys from {values[0]:g} to {values[-1]:g}"
    labels = ", class labels?" if values[-1] <= white / 8 or (len(values) == 3 and values[1] <= white / 64) else ""
    return f"the greys {', '.join(f'{value:g}' for value in values)}{labels}"


def _grey(codes: Codes, name: str) -> Codes:
    if codes.ndim == 2:
        return codes
    if (codes[..., :1] != codes[..., 1:]).any():
        raise ArgumentError(f"{name}: got a picture with colours; wanted a grey one")
    return codes[..., 0]


def _has_middle(alpha: Codes) -> bool:
    """Whether there are alphas that are neither nearly 0 nor nearly opaque, as those of unknown pixels."""
    white = np.iinfo(alpha.dtype).max
    return bool(((alpha > white / 4) & (alpha < white * 3 / 4)).any())
