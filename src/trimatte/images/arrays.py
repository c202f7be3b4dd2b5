"""Checks and conversions of arrays, shared by all that comes through the door."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trimatte.errors import ArgumentError
from trimatte.runtime.threads import for_each

Array = NDArray[Any]
Codes = NDArray[Any]  # uint8 or uint16
Floats = NDArray[np.float32]
BACKGROUND, UNKNOWN, FOREGROUND = 0, 128, 255
"""The values of a trimap."""
Box = tuple[slice, slice]
"""Rows and columns of a part of a picture."""

_BAND_PIXELS = 1 << 18


def array_of(x: Any, name: str) -> Array:
    """Anything array-like as an array in the machine's byte order."""
    try:
        array = np.asarray(x)
    except (TypeError, ValueError) as error:
        raise ArgumentError(f"{name}: got what is no array ({error}); wanted one") from error
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def channels_of(x: Any, name: str) -> Array:
    """An image as (H, W, 1), (H, W, 3) or (H, W, 4)."""
    array = array_of(x, name)
    channels = array[..., None] if array.ndim == 2 else array
    if channels.ndim != 3 or channels.shape[2] not in (1, 3, 4) or channels.size == 0:
        raise refused(name, array, "shape (H, W), (H, W, 1), (H, W, 3) or (H, W, 4), not empty")
    if array.dtype == bool:
        raise refused(name, array, "uint8, uint16 or float")
    return channels


def image_of(x: Any, name: str) -> Floats:
    """An image as (H, W, 3) float32 in [0, 1], read-only; grey is repeated, alpha left out."""
    floats = floats_of(channels_of(x, name)[..., :3], name)
    return read_only(np.repeat(floats, 3, axis=2) if floats.shape[2] == 1 else floats)


def plane_of(x: Any, name: str, shape: Sequence[int] | None) -> Array:
    """A matte or trimap as (H, W), of the height and width asked for."""
    array = array_of(x, name)
    plane = array[..., 0] if array.ndim == 3 and array.shape[2] == 1 else array
    if plane.ndim != 2 or plane.size == 0:
        raise refused(name, array, "shape (H, W) or (H, W, 1), not empty")
    if shape is not None and plane.shape != tuple(shape):
        raise refused(name, array, f"the size of the image, {tuple(shape)}")
    return plane


def white_of(array: Array, name: str) -> int:
    """The value that stands for 1, once the type and range are found right."""
    if array.dtype in (np.uint8, np.uint16):
        return int(np.iinfo(array.dtype).max)
    if array.dtype == bool:
        return 1
    if array.dtype.kind != "f":
        raise refused(name, array, "uint8, uint16 or float")
    low, high = array.min(), array.max()
    if np.isnan(low):
        raise ArgumentError(f"{name}: got NaN; wanted floats in [0, 1]")
    if low < 0 or high > 1:
        raise ArgumentError(f"{name}: got floats from {low:.9g} to {high:.9g}; wanted them in [0, 1]")
    return 1


def floats_of(array: Array, name: str) -> Floats:
    """The array as float32 in [0, 1]; itself if it is that already."""
    white = white_of(array, name)
    floats: Floats = array.astype(np.float32, copy=False)
    if white > 1:
        floats /= np.float32(white)
    return floats


def codes_of(array: Array, bits: int, name: str) -> Codes:
    """The array as codes of the given depth; itself if it is that already."""
    return array if array.dtype == f"uint{bits}" else quantised(floats_of(array, name), bits)


def quantised(floats: Floats, bits: int) -> Codes:
    """Codes of floats in [0, 1]: rounded to uint8 (`bits` 8) or uint16 (16)."""
    codes = np.empty(floats.shape, f"uint{bits}")

    def quantise(rows: slice) -> None:
        scaled = floats[rows] * np.float32((1 << bits) - 1)
        scaled += np.float32(0.5)
        codes[rows] = scaled  # the assignment cuts off, so that a half and more is rounded up

    for_each(quantise, bands(floats.shape))
    return codes


def bands(shape: Sequence[int]) -> Iterator[slice]:
    """Bands of rows, so that what is computed in between stays small."""
    step = max(1, _BAND_PIXELS // shape[1])
    return (slice(top, top + step) for top in range(0, shape[0], step))


def bounding_box(mask: NDArray[np.bool_]) -> Box | None:
    """The rows and columns that hold all of the mask (H, W); None if it is empty."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return None
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)


def grown(box: Box, by: Sequence[int], shape: Sequence[int]) -> Box:
    """The box, larger by `by` rows and columns on each side, and cut off at the picture's border."""
    rows, columns = (
        slice(max(0, part.start - margin), min(side, part.stop + margin))
        for part, margin, side in zip(box, by, shape, strict=True)
    )
    return rows, columns


def refused(name: str, array: Array, wanted: str) -> ArgumentError:
    """The error for an array of a wrong shape or type."""
    return ArgumentError(f"{name}: got shape {array.shape}, type {array.dtype}; wanted {wanted}")


def read_only(array: NDArray[Any]) -> NDArray[Any]:
    """A C-contiguous view that cannot write back to the caller's array."""
    view = np.ascontiguousarray(array).view()
    view.flags.writeable = False
    return view
