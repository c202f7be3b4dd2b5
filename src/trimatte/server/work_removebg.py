"""A cut-out as clients of remove.bg want it: scaled, of a region, cropped with margins, in sRGB of 8 bits."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

import trimatte
from trimatte.errors import ArgumentError
from trimatte.images import load_picture, save_image
from trimatte.images.background import opaque_image
from trimatte.images.hidden import without_hidden
from trimatte.images.metadata import Metadata
from trimatte.planes.resize import downsampled

Length = tuple[float, str]
"""A number, and "px" or "%"."""


@dataclass(frozen=True)
class Made:
    """An encoded picture, the report of its cut-out, and headers that say where in the photo the subject is."""

    body: bytes
    report: trimatte.CutoutReport
    headers: dict[str, str]


def cut_out(
    photo: bytes,
    behind: bytes | None,
    *,
    most: int,
    roi: Sequence[Length] | None,
    crop: bool,
    margins: Sequence[Length],
    only_alpha: bool,
    colour: Sequence[int] | None,
    format: str,
    max_pixels: int,
) -> Made:
    """Cut the subject out of a photo.

    Parameters
    ----------
    photo, behind : bytes
        Files; the second is a background, if there is one.
    most : int
        Pixels that the photo is scaled down to before.
    roi : sequence of Length or None
        Left, top, right and bottom of the region in which the subject is, of the photo as sent; None is all of it.
    crop, margins : bool, sequence of Length
        Cut to the subject, and leave so much at its top, right, bottom and left; shares are of its size.
    only_alpha : bool
        Give the alpha matte as a grey picture.
    colour : sequence of int or None
        Of the background.
    format : str
        "png", "webp" or "jpeg".

    Raises
    ------
    TrimatteError
        `SubjectNotFoundError` if there is no subject, and as of `trimatte.cutout`.
    """
    picture = without_hidden(load_picture(photo, max_pixels=max_pixels))
    channels = picture.image if picture.alpha is None else np.dstack([picture.image, picture.alpha])
    box = _region(roi, channels.shape[1], channels.shape[0])
    full = _shrunk(channels, most)
    (height, width), (scaled_height, scaled_width) = channels.shape[:2], full.shape[:2]
    left, right = (round(x * scaled_width / width) for x in (box[0], box[2]))
    top, bottom = (round(y * scaled_height / height) for y in (box[1], box[3]))
    if right <= left or bottom <= top:
        raise ArgumentError("roi: got an empty region; wanted left < right and top < bottom")
    result = trimatte.cutout(full[top:bottom, left:right], strict=True, max_pixels=max_pixels)
    alpha: np.ndarray = np.zeros(full.shape[:2], np.float32)
    alpha[top:bottom, left:right] = result.alpha
    colours = np.zeros_like(full[..., :3])
    colours[top:bottom, left:right] = result.foreground
    rows, columns = result.content()
    y0, y1, _ = rows.indices(bottom - top)
    x0, x1, _ = columns.indices(right - left)
    y0, y1, x0, x1 = y0 + top, y1 + top, x0 + left, x1 + left
    if crop:
        colours, alpha = _cropped(colours, alpha, (y0, y1, x0, x1), margins, max_pixels)
    resolution = picture.metadata.kept("none")
    body = _encoded(colours, alpha, behind, colour, only_alpha, format, max_pixels, resolution)
    headers = {
        "X-Width": str(alpha.shape[1]),
        "X-Height": str(alpha.shape[0]),
        "X-Type": "other",
        "X-Credits-Charged": "0",
        "X-Foreground-Top": str(y0),
        "X-Foreground-Left": str(x0),
        "X-Foreground-Width": str(x1 - x0),
        "X-Foreground-Height": str(y1 - y0),
    }
    return Made(body, result.report, headers)


def _region(roi: Sequence[Length] | None, width: int, height: int) -> tuple[float, float, float, float]:
    if roi is None:
        return 0, 0, width, height
    sides = (width, height, width, height)
    x0, y0, x1, y1 = (min(_pixels(length, side), side) for length, side in zip(roi, sides, strict=True))
    return x0, y0, x1, y1


def _pixels(length: Length, whole: float) -> float:
    number, unit = length
    return number if unit == "px" else number / 100 * whole


def _shrunk(channels: np.ndarray, most: int) -> np.ndarray:
    """The picture (H, W, C) in at most so many pixels, of the same aspect."""
    height, width = channels.shape[:2]
    scale = min(1.0, (most / (height * width)) ** 0.5)
    if scale == 1.0:
        return channels
    return downsampled(channels, (max(1, int(height * scale)), max(1, int(width * scale))), "lanczos")


def _cropped(
    colours: np.ndarray,
    alpha: np.ndarray,
    box: tuple[int, int, int, int],
    margins: Sequence[Length],
    max_pixels: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Colours and alpha of the subject's box and margins about it, transparent where they leave the photo."""
    y0, y1, x0, x1 = box
    height, width = y1 - y0, x1 - x0
    sides = (height, width, height, width)
    top, right, bottom, left = (round(_pixels(length, side)) for length, side in zip(margins, sides, strict=True))
    shape = (top + height + bottom, left + width + right)
    if shape[0] * shape[1] > max_pixels:
        raise ArgumentError(f"crop_margin: got a result of {shape[1]} x {shape[0]} pixels, wanted {max_pixels} at most")
    within = np.s_[top : top + height, left : left + width]
    cut_colours, cut_alpha = np.zeros((*shape, 3), np.float32), np.zeros(shape, np.float32)
    cut_colours[within], cut_alpha[within] = colours[y0:y1, x0:x1], alpha[y0:y1, x0:x1]
    return cut_colours, cut_alpha


def _encoded(
    colours: np.ndarray,
    alpha: np.ndarray,
    behind: bytes | None,
    colour: Sequence[int] | None,
    only_alpha: bool,
    format: str,
    max_pixels: int,
    metadata: Metadata,
) -> bytes:
    stream = io.BytesIO()
    if only_alpha:
        save_image(stream, alpha, format=format, metadata=metadata)
        return stream.getvalue()
    background: Any = colour
    if behind is not None:
        background = opaque_image(behind, max_pixels=max_pixels)
    elif colour is None and format == "jpeg":
        background = (255, 255, 255)
    save_image(stream, colours, alpha=alpha, background=background, format=format, metadata=metadata)
    return stream.getvalue()
