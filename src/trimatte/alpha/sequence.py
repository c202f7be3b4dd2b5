"""Alpha of the frames of a scene: what looks as it did keeps its alpha, the rest is solved for from there."""

from __future__ import annotations

from typing import Any

import numpy as np

from trimatte.alpha import Matte, find_method, quiet_matte
from trimatte.errors import ArgumentError
from trimatte.linalg.report import SolveReport
from trimatte.runtime.measure import peak_bytes, timed
from trimatte.trimap import FOREGROUND, UNKNOWN

SAME = 0.008
"""Change of colour, averaged over 5 x 5 pixels, up to which a pixel looks as it did: above a camera's noise."""
MARGIN = 8
"""Pixels about a change whose alpha is solved for again."""
WORTHWHILE = 0.2
"""Share of the unknown pixels that must keep their alpha to make a smaller system of the others."""
STEP = MARGIN
"""Pixels between those that are looked at first, to see whether enough is as it was."""


class SequenceAlpha:
    """Alpha of frame after frame, from one thread; the first, and one of another size, is solved for as a whole.

    A pixel keeps its alpha as long as the colours about it are those that it was solved for, however long ago that was,
    so that errors do not add up. The others are solved for with that as known alpha, starting from the frame before. If
    few are kept, all are solved for as if the frame stood alone: the old alpha of a subject that has moved is a worse
    start than none.

    Parameters
    ----------
    method : str
        One that takes known alpha and a first guess: closed-form, learning-based, random-walk.
    strict, **options : bool, Any
        As of `estimate_alpha`.

    Raises
    ------
    ArgumentError
        For another method.
    """

    def __init__(self, method: str, *, strict: bool = False, **options: Any) -> None:
        row = find_method(method)
        self._function = row.load()
        if not row.local:
            raise ArgumentError(f"sequence: method {method!r} cannot start from the alpha of another frame")
        self._method, self._strict, self._options = method, strict, options
        self._alpha: np.ndarray | None = None
        self._trimap = self._image = np.empty(0)
        self._colours: np.ndarray | None = None

    def __call__(self, image: np.ndarray, trimap: np.ndarray | None) -> Matte:
        """Alpha of the next frame: image (H, W, 3) float32 in [0, 1], trimap (H, W) of 0, 128 and 255."""
        assert trimap is not None
        before = self._alpha
        if before is None or before.shape != trimap.shape or not self._looks_alike(image, trimap):
            return self._all_new(image, trimap)
        unknown = trimap == UNKNOWN
        colours = _smooth(image)
        kept = unknown & self._unchanged(colours, trimap, before)
        if np.count_nonzero(kept) < WORTHWHILE * np.count_nonzero(unknown):
            return self._all_new(image, trimap)
        matte = self._part(image, trimap, kept, before)
        np.copyto(colours, self._solved_for(), where=kept[..., None])
        self._colours, self._trimap, self._alpha = colours, trimap, matte.alpha.copy()
        return matte

    def _all_new(self, image: np.ndarray, trimap: np.ndarray) -> Matte:
        """Solve for all unknown pixels, and remember the frame; who gave it may write the next one into its arrays."""
        matte = self._whole(image, trimap)
        self._image, self._colours, self._trimap, self._alpha = image.copy(), None, trimap, matte.alpha.copy()
        return matte

    def _whole(self, image: np.ndarray, trimap: np.ndarray) -> Matte:
        return quiet_matte(image, trimap, method=self._method, strict=self._strict, **self._options)

    def _part(self, image: np.ndarray, trimap: np.ndarray, kept: np.ndarray, before: np.ndarray) -> Matte:
        """Solve for the unknown pixels that are not kept."""
        report = SolveReport(method=self._method, solver="nothing has changed")
        alpha = np.where(kept, before, trimap == FOREGROUND).astype(np.float32)
        wanted = (trimap == UNKNOWN) & ~kept
        report.unknown = int(np.count_nonzero(wanted))
        if report.unknown:
            local = np.where(wanted, np.uint8(UNKNOWN), np.uint8(0))
            with timed(report.seconds, "alpha"):
                solved = self._function(image, local, report, known=alpha, guess=before, **self._options)
            alpha[wanted] = np.clip(solved[wanted], 0, 1)
        report.peak_bytes = peak_bytes()
        if not report.converged:  # the whole system may be better behaved, and says how it went
            return self._whole(image, trimap)
        return Matte(alpha, report)

    def _solved_for(self) -> np.ndarray:
        """(H, W, 3) smooth colours that each pixel's alpha was solved for."""
        if self._colours is None:
            self._colours = _smooth(self._image)
        return self._colours

    def _looks_alike(self, image: np.ndarray, trimap: np.ndarray) -> bool:
        """Whether by a few pixels enough keep their alpha for a closer look to be worth its time."""
        from scipy.ndimage import maximum_filter

        old = _at_grid(self._image) if self._colours is None else _of_grid(self._colours)
        near = maximum_filter(_difference(_at_grid(image), old) > SAME, size=3)
        unknown, before = _of_grid(trimap) == UNKNOWN, _of_grid(self._trimap) == UNKNOWN
        return bool(np.count_nonzero(unknown & before & ~near) >= WORTHWHILE * np.count_nonzero(unknown))

    def _unchanged(self, colours: np.ndarray, trimap: np.ndarray, before: np.ndarray) -> np.ndarray:
        """(H, W) bool: unknown now and when last solved for, far from any change of colours or of known alpha."""
        from scipy.ndimage import maximum_filter

        changed = _difference(colours, self._solved_for()) > SAME
        changed |= (trimap != UNKNOWN) & (np.abs(before - (trimap == FOREGROUND)) > 0.05)
        same: np.ndarray = (self._trimap == UNKNOWN) & ~maximum_filter(changed, size=2 * MARGIN + 1)
        return same


def _smooth(image: np.ndarray) -> np.ndarray:
    """(H, W, 3) averaged over 5 x 5 pixels, so that noise is no change."""
    from scipy.ndimage import uniform_filter

    smooth: np.ndarray = uniform_filter(image, size=(5, 5, 1))
    return smooth


def _of_grid(array: np.ndarray) -> np.ndarray:
    """Every few pixels of (H, W) or (H, W, 3), those about which 5 x 5 fit."""
    return array[2:-2:STEP, 2:-2:STEP]


def _at_grid(image: np.ndarray) -> np.ndarray:
    """`_smooth` of the pixels of the grid alone."""
    height, width = image.shape[:2]
    shifted = [image[y : height - 4 + y : STEP, x : width - 4 + x : STEP] for y in range(5) for x in range(5)]
    mean: np.ndarray = sum(shifted[1:], shifted[0]) / np.float32(25)
    return mean


def _difference(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(H, W) largest difference of (H, W, 3) in any channel."""
    r, g, b = np.moveaxis(np.abs(a - b), 2, 0)
    largest: np.ndarray = np.maximum(np.maximum(r, g), b)
    return largest
