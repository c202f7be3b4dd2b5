"""Alpha of the frames of a scene: what looks as it did keeps its alpha, the rest is solved for from there."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np

from trimatte._measure import peak_bytes, timed
from trimatte.alpha import Matte, method_function, quiet_matte
from trimatte.errors import ArgumentError
from trimatte.linalg.report import SolveReport
from trimatte.trimap import FOREGROUND, UNKNOWN

SAME = 0.008
"""Change of colour, averaged over 5 x 5 pixels, up to which a pixel looks as it did: above a camera's noise."""
MARGIN = 8
"""Pixels about a change whose alpha is solved for again."""
WORTHWHILE = 0.2
"""Share of the unknown pixels that must keep their alpha to make a smaller system of the others."""


class SequenceAlpha:
    """Alpha of frame after frame, from one thread; the first, and one of another size, is solved for as a whole.

    A pixel keeps its alpha as long as the colours about it are those that it was solved for, however long ago that was,
    so that errors do not add up. The others are solved for with that as known alpha, or, if few are kept, all of them,
    starting from the frame before.

    Parameters
    ----------
    method : one that takes known alpha and a first guess: closed-form, learning-based, random-walk.
    strict, options : as of `estimate_alpha`.

    Raises
    ------
    ArgumentError
        For another method.
    """

    def __init__(self, method: str, *, strict: bool = False, **options: Any) -> None:
        self._function = method_function(method)
        if not {"known", "guess"} <= set(inspect.signature(self._function).parameters):
            raise ArgumentError(f"sequence: method {method!r} cannot start from the alpha of another frame")
        self._method, self._strict, self._options = method, strict, options
        self._alpha: np.ndarray | None = None
        self._trimap = self._colours = np.empty(0)

    def __call__(self, image: np.ndarray, trimap: np.ndarray | None) -> Matte:
        """Alpha of the next frame: image (H, W, 3) float32 in [0, 1], trimap (H, W) of 0, 128 and 255."""
        assert trimap is not None
        before = self._alpha
        if before is None or before.shape != trimap.shape:
            return self._keep(self._whole(image, trimap, None), image, trimap)
        unknown = trimap == UNKNOWN
        kept = unknown & self._unchanged(image, trimap, before)
        if np.count_nonzero(kept) < WORTHWHILE * np.count_nonzero(unknown):
            return self._keep(self._whole(image, trimap, before), image, trimap)
        return self._keep(self._part(image, trimap, kept, before), image, trimap, kept)

    def _whole(self, image: np.ndarray, trimap: np.ndarray, guess: np.ndarray | None) -> Matte:
        return quiet_matte(image, trimap, method=self._method, strict=self._strict, **{"guess": guess, **self._options})

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
            return self._whole(image, trimap, before)
        return Matte(alpha, report)

    def _unchanged(self, image: np.ndarray, trimap: np.ndarray, before: np.ndarray) -> np.ndarray:
        """(H, W) bool: unknown now and when last solved for, far from any change of colours or of known alpha."""
        from scipy.ndimage import maximum_filter

        change = np.abs(_smooth(image) - self._colours).max(axis=2)
        contradicted = (trimap != UNKNOWN) & (np.abs(before - (trimap == FOREGROUND)) > 0.05)
        changed = (change > SAME) | contradicted
        near = maximum_filter(changed, size=2 * MARGIN + 1)
        same: np.ndarray = ~near & (self._trimap == UNKNOWN)
        return same

    def _keep(self, matte: Matte, image: np.ndarray, trimap: np.ndarray, kept: np.ndarray | None = None) -> Matte:
        """Remember a frame: the colours that each pixel's alpha was solved for."""
        colours = _smooth(image)
        if kept is not None:
            np.copyto(colours, self._colours, where=kept[..., None])
        self._colours, self._trimap, self._alpha = colours, trimap, matte.alpha
        return matte


def _smooth(image: np.ndarray) -> np.ndarray:
    """(H, W, 3) averaged over 5 x 5 pixels, so that noise is no change."""
    from scipy.ndimage import uniform_filter

    smooth: np.ndarray = uniform_filter(image, size=(5, 5, 1))
    return smooth
