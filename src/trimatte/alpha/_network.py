"""What the methods share whose embedded networks infer at a trimap: sessions, windows over the band, distances."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import numpy as np

from trimatte.images.arrays import bounding_box, read_only
from trimatte.planes.distance import squared_distance
from trimatte.runtime.jit import njit, side_by_side
from trimatte.runtime.onnx import embedded_session
from trimatte.trimap import BACKGROUND, FOREGROUND, UNKNOWN

FAR = 64
"""Distances to known pixels are an input of a network up to this."""
WINDOW, MARGIN = 768, 64
"""A network runs on parts of the picture of about so many pixels a side and sees so many more on each."""
NARROW_WINDOW = 384
"""The same along a narrow band, where each part is cut down to what it has of the band."""

Part = tuple[slice, slice]


def network_session(name: str) -> Any:
    """The onnxruntime session of an embedded alpha network."""
    return embedded_session(f"alpha/weights/{name}.onnx")


def predict_in_windows(
    trimap: np.ndarray, multiple: int, infer: Callable[[Part], np.ndarray], *, margin: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Alpha (H, W) and its expected absolute error (H, W) of the unknown pixels, both float32 and exact where known.

    `infer` gives both (2, h, w) for a part of the picture; more rows and columns at its ends do not matter. `margin` as
    of `windows`.
    """
    alpha, doubt = (trimap == FOREGROUND).astype(np.float32), np.zeros(trimap.shape, np.float32)
    unknown = trimap == UNKNOWN
    for seen, inner, part in windows(unknown, multiple, margin=margin):
        for whole, plane in zip((alpha, doubt), infer(seen), strict=True):
            np.copyto(whole[part], plane[inner], where=unknown[part])
    return alpha, doubt


def windows(unknown: np.ndarray, multiple: int, *, margin: int | None = None) -> Iterator[tuple[Part, Part, Part]]:
    """Parts that hold all unknown pixels: what is seen, of it what counts, and where that is in the whole.

    What is seen begins at multiples of `multiple`. A `margin` is given for a narrow band.
    """
    narrow = margin is not None
    window, margin = (WINDOW, MARGIN) if margin is None else (NARROW_WINDOW, margin)
    rows, columns = (_spans(np.any(unknown, axis), window) for axis in (1, 0))
    for top, bottom in rows:
        for left, right in columns:
            box = bounding_box(unknown[top:bottom, left:right])
            if box is None:
                continue
            part = slice(top, bottom), slice(left, right)
            if narrow:
                part = moved(box, top, left)
            seen = tuple(
                slice(max(0, span.start - margin) // multiple * multiple, min(side, span.stop + margin))
                for span, side in zip(part, unknown.shape, strict=True)
            )
            yield (seen[0], seen[1]), moved(part, -seen[0].start, -seen[1].start), part


def moved(part: Part, down: int, right: int) -> Part:
    """The same rows and columns, so many farther down and to the right."""
    rows, columns = part
    return slice(rows.start + down, rows.stop + down), slice(columns.start + right, columns.stop + right)


def _spans(present: np.ndarray, window: int) -> list[tuple[int, int]]:
    """Stretches of equal length, as few as allowed, from the first that is present to the last."""
    places = np.flatnonzero(present)
    low, high = int(places[0]), int(places[-1]) + 1
    count = -(-(high - low) // window)
    ends = [low + (high - low) * i // count for i in range(count + 1)]
    return list(pairwise(ends))


def padded(planes: np.ndarray, multiple: int) -> np.ndarray:
    """Planes (C, H, W) with their last row and column repeated until both sides are multiples of `multiple`."""
    return np.pad(planes, [(0, 0), *((0, -side % multiple) for side in planes.shape[1:])], mode="edge")


def distances(trimap: np.ndarray) -> np.ndarray:
    """Root of the distance to known foreground and to known background (2, H, W), 1 being 64 pixels and more."""
    away = np.empty((2, *trimap.shape), np.float32)
    for plane, value in zip(away, (FOREGROUND, BACKGROUND), strict=True):
        np.divide(squared_distance(trimap == value, FAR), np.float32(FAR**2), out=plane)
        np.minimum(plane, 1, out=plane)
        for _ in range(2):
            np.sqrt(plane, out=plane)
    return away


def pair_planes(
    image: np.ndarray, trimap: np.ndarray, pairs: np.ndarray, share: np.ndarray | None = None
) -> np.ndarray:
    """What a pair of sampled colours (H, W, 6), foreground and background, says of each pixel that is unknown.

    Parameters
    ----------
    share : (H, W) array, optional
        Of the foreground in the pixel; by default that of the place on the line between the pair that is nearest to its
        colour, and 0 or 1 where known.

    Returns
    -------
    (9, H, W) float32 array
        The share; then, 0 where known: by how much foreground and background differ from the pixel's colour; how far
        the two, mixed by the share, miss it, times 4; how far apart they are.
    """
    planes = np.empty((9, *trimap.shape), np.float32)
    given = share is not None
    floats = (image, pairs, share if share is not None else np.empty((0, 0)))
    seen = [read_only(np.asarray(array, np.float32)) for array in floats]
    side_by_side(_compare, len(trimap), read_only(trimap), *seen, given, planes, least=16)
    return planes


@njit()
def _compare(
    first: int,
    last: int,
    trimap: np.ndarray,
    image: np.ndarray,
    pairs: np.ndarray,
    share: np.ndarray,
    given: bool,
    out: np.ndarray,
) -> None:
    """`pair_planes` of rows `first` to `last`."""
    none, one = np.float32(0), np.float32(1)
    for y in range(first, last):
        for x in range(trimap.shape[1]):
            out[0, y, x] = share[y, x] if given else np.float32(trimap[y, x] == FOREGROUND)
            if trimap[y, x] != UNKNOWN:
                out[1:, y, x] = none
                continue
            along, length = none, none
            missed, apart = none, none
            for c in range(3):
                line = pairs[y, x, c] - pairs[y, x, 3 + c]
                along += (image[y, x, c] - pairs[y, x, 3 + c]) * line
                length += line * line
            if not given:
                out[0, y, x] = min(max(along / max(length, np.float32(1e-3)), none), one)
            for c in range(3):
                front, back = pairs[y, x, c], pairs[y, x, 3 + c]
                out[1 + c, y, x], out[4 + c, y, x] = front - image[y, x, c], back - image[y, x, c]
                missed += abs(back + out[0, y, x] * (front - back) - image[y, x, c])
                apart += abs(front - back)
            out[7, y, x], out[8, y, x] = np.float32(4) * missed, apart
