"""Where the subject stands: what of a matte is visible, and where it lies on a canvas with margins."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trimatte.errors import ArgumentError
from trimatte.images.arrays import Box, Floats, bounding_box
from trimatte.images.formats import MAX_PIXELS
from trimatte.output.lengths import Length, Margins, check_shares, room_within, share_of

Borders = tuple[tuple[int | None, int | None], tuple[int | None, int | None]]
"""First row and the one after the last, then columns, of a photo on a canvas; None where it is not shown to its end."""
WITHIN: Borders = ((None, None), (None, None))
VISIBLE = 1 / 16
"""The least alpha that counts for a crop."""
SPECK = 1 / 500
"""Groups of visible pixels that cover less than this share of the largest one are specks."""
CELLS = 100
"""Visible pixels belong to a group if they are nearer to it than this part of the picture's longer side."""


@dataclass(frozen=True)
class Frame:
    """A part of a picture, scaled, on a canvas.

    Attributes
    ----------
    box : (slice, slice)
        Rows and columns of the picture that are shown.
    shape : (int, int)
        Height and width that they are scaled to.
    at : (int, int)
        Row and column of the canvas where they begin.
    canvas : (int, int)
        Height and width of the result.
    """

    box: Box
    shape: tuple[int, int]
    at: tuple[int, int]
    canvas: tuple[int, int]

    @property
    def scaled(self) -> bool:
        """Whether the part has another size on the canvas."""
        rows, columns = self.box
        return self.shape != (rows.stop - rows.start, columns.stop - columns.start)

    @property
    def within(self) -> Box:
        """Rows and columns of the canvas that hold the part."""
        (top, left), (height, width) = self.at, self.shape
        return slice(top, top + height), slice(left, left + width)

    def borders(self, photo: tuple[int, ...]) -> Borders:
        """Where the borders of a photo of that height and width lie on the canvas."""
        (top, bottom), (left, right) = (
            (shown.start if part.start == 0 else None, shown.stop if part.stop == side else None)
            for part, shown, side in zip(self.box, self.within, photo, strict=True)
        )
        return (top, bottom), (left, right)


def visible_box(alpha: Floats) -> Box | None:
    """Rows and columns of all subjects in a matte, without specks and haze; None if nothing is visible.

    Pixels of an alpha of at least `VISIBLE` count. They are grouped by cells of a hundredth of the picture's longer
    side, which touch one another; a group that covers less than a five-hundredth of the largest one is left out.

    Parameters
    ----------
    alpha : (H, W) float32 array in [0, 1]
        A matte.
    """
    seen = np.where(alpha >= VISIBLE, alpha, np.float32(0))
    labels, side = groups(seen)
    kept = (labels > 0).repeat(side, axis=0).repeat(side, axis=1)[: alpha.shape[0], : alpha.shape[1]]
    return bounding_box((seen > 0) & kept)


def groups(seen: Floats) -> tuple[NDArray[Any], int]:
    """Number the groups of what is not 0 in a plane, by cells that touch one another.

    Parameters
    ----------
    seen : (H, W) float32 array in [0, 1]
        Of pixels that belong to none, 0.

    Returns
    -------
    labels : (h, w) int32 array
        The group of each cell, from 1 on; 0 where it has none, or a speck.
    side : int
        Of a cell, in pixels.
    """
    from scipy.ndimage import label

    side = max(1, round(max(seen.shape) / CELLS))
    starts = [np.arange(0, length, side) for length in seen.shape]
    cells = np.add.reduceat(np.add.reduceat(seen, starts[0], axis=0), starts[1], axis=1)
    labels, count = label(cells > 0, np.ones((3, 3)))
    if count:
        cover = np.bincount(labels.ravel(), cells.ravel())
        cover[0] = 0
        labels[(cover < SPECK * cover.max())[labels]] = 0
    return labels, side


def framed(
    box: Box,
    *,
    margins: Margins = ((0.0, "px"),) * 4,
    size: tuple[int, int] | None = None,
    aspect: float | None = None,
    align: str = "center",
    inset: int = 0,
    max_pixels: int = MAX_PIXELS,
) -> Frame:
    """Lay a part of a picture on a canvas.

    Parameters
    ----------
    box : (slice, slice)
        Rows and columns of the part.
    margins : sequence of Length
        At the top, right, bottom and left; shares are of the canvas, of its height or its width.
    size : (int, int), optional
        Width and height of the canvas, in which the part is made as large as the margins let it.
    aspect : float, optional
        Width by height of the canvas, which is enlarged to it; without a size.
    align : {'center', 'bottom'}
        Where the part lies in a canvas that is higher than needed.
    inset : int
        Pixels about the part, within the margins.
    max_pixels : int
        The most that the canvas may have.

    Raises
    ------
    ArgumentError
        If the margins leave no room, or the canvas were too large.
    """
    height, width = (side.stop - side.start for side in box)
    check_shares(margins)
    top, right, bottom, left = margins
    if size is not None:
        canvas = size[1], size[0]
    else:
        canvas = _whole(height + 2 * inset, top, bottom), _whole(width + 2 * inset, left, right)
        if aspect is not None:
            canvas = max(canvas[0], math.ceil(canvas[1] / aspect - 1e-9)), max(canvas[1], round(canvas[0] * aspect), 1)
    if canvas[0] * canvas[1] > max_pixels:
        raise ArgumentError(f"size: got a result of {canvas[1]} x {canvas[0]} pixels, wanted {max_pixels} at most")
    start, room = room_within(margins, canvas, inset)
    shape = (height, width)
    if size is not None:
        scale = min(room[0] / height, room[1] / width)
        shape = min(room[0], max(1, round(height * scale))), min(room[1], max(1, round(width * scale)))
    spare = room[0] - shape[0], room[1] - shape[1]
    at = start[0] + (spare[0] if align == "bottom" else spare[0] // 2), start[1] + spare[1] // 2
    return Frame(box, shape, at, (canvas[0], canvas[1]))


def _whole(content: int, *margins: Length) -> int:
    """The side of a canvas that has this content and margins at both its ends."""
    pixels = sum(int(number) for number, unit in margins if unit == "px")
    return math.ceil((content + pixels) / (1 - share_of(*margins)) - 1e-9)
