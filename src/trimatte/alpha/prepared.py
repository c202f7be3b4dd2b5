"""An alpha matte that can be edited: small changes of the trimap are solved for where they are."""

from __future__ import annotations

from typing import Any

import numpy as np

from trimatte.alpha import Matte, estimate_alpha, find_method
from trimatte.errors import ArgumentError
from trimatte.images import read_trimap
from trimatte.images.arrays import Box, bounding_box, grown
from trimatte.images.hidden import visible_image
from trimatte.linalg.report import SolveReport
from trimatte.runtime.measure import timed
from trimatte.trimap import FOREGROUND, UNKNOWN

MARGINS = (24, 64)
"""Pixels about an edit that are solved for, at first and where alpha has not settled at their border."""
SETTLED = 0.01
"""Change of alpha at the border of the part solved for that an editor need not show."""


def prepare_alpha(image: Any, trimap: Any, *, method: str = "closed-form", **options: Any) -> PreparedAlpha:
    """Estimate alpha once and keep what is needed to follow edits of the trimap.

    Parameters
    ----------
    image, trimap, method, **options : optional
        As of `estimate_alpha`; the method needs a trimap.

    Returns
    -------
    PreparedAlpha

    Raises
    ------
    ArgumentError
        As `estimate_alpha`.
    """
    return PreparedAlpha(visible_image(image), trimap, method, options)


class PreparedAlpha:
    """A picture with its trimap and alpha, to be edited; `matte` is that alpha, where it is there already.

    Attributes
    ----------
    alpha : (H, W) float32 array
        Of the trimap as it is now.
    trimap : (H, W) uint8 array
        Values 0, 128 and 255.
    settled : whether alpha is that of the whole system, or within 0.01 of it as far as its change at the border of
        the part that was solved for tells; if not, `solve` makes it so.
    report : SolveReport
        Of the last solve.
    local : bool
        Whether the method can solve for a part alone, so that `update` is quick.
    """

    def __init__(
        self, image: np.ndarray, trimap: Any, method: str, options: dict[str, Any], matte: Matte | None = None
    ) -> None:
        if trimap is None:
            raise ArgumentError(f"trimap: got None, wanted one of shape {image.shape[:2]}")
        self.image, self.method, self.options = image, method, options
        self.local = find_method(method).local
        known = read_trimap(trimap, shape=image.shape[:2])
        self._set(known, estimate_alpha(image, known, method=method, **options) if matte is None else matte)

    def _set(self, trimap: np.ndarray, matte: Matte) -> Matte:
        self.trimap, self.alpha, self.report, self.settled = trimap, matte.alpha, matte.report, True
        return matte

    def solve(self) -> Matte:
        """Solve for all unknown pixels, starting from alpha as it is."""
        options = dict(self.options, guess=self.alpha) if self.local else self.options
        return self._set(self.trimap, estimate_alpha(self.image, self.trimap, method=self.method, **options))

    def update(self, trimap: Any) -> Matte:
        """Follow a changed trimap (H, W).

        Where the method allows it, only the pixels about the change are solved for, and alpha farther away is held:
        an answer at once, `settled` if the change has died away at the border of that part. Else the whole is solved.
        """
        trimap = read_trimap(trimap, shape=self.trimap.shape)
        changed = trimap != self.trimap
        if not changed.any():
            return Matte(self.alpha, self.report)
        if not (self.local and all((trimap == kind).any() for kind in (0, UNKNOWN, FOREGROUND))):
            self.trimap = trimap
            return self.solve()
        for margin in MARGINS:
            part = _about(changed, margin)
            matte = self._solve_part(trimap, part)
            change = _border_change(matte.alpha[part], self.alpha[part], part, trimap.shape)
            if change <= SETTLED:
                return self._set(trimap, matte)
        matte.report.fallbacks.append(f"alpha still changes by {change:.2f} at the border of the part solved for")
        self._set(trimap, matte)
        self.settled = False
        return matte

    def _solve_part(self, trimap: np.ndarray, part: tuple[slice, slice]) -> Matte:
        report = SolveReport(method=self.method, solver="a part about the edit")
        alpha = self.alpha.copy()
        known = trimap[part] != UNKNOWN
        alpha[part][known] = trimap[part][known] == FOREGROUND
        wider = grown(part, (2, 2), trimap.shape)
        hidden = np.full(trimap[wider].shape, False)
        top, left = part[0].start - wider[0].start, part[1].start - wider[1].start
        inside = slice(top, top + part[0].stop - part[0].start), slice(left, left + part[1].stop - part[1].start)
        hidden[inside] = trimap[part] == UNKNOWN
        report.unknown = int(np.count_nonzero(hidden))
        if report.unknown:
            local = np.where(hidden, np.uint8(UNKNOWN), np.uint8(0))
            options = {k: v for k, v in self.options.items() if k not in ("prior", "confidence", "guess")}
            options["rtol"] = max(1e-5, options.get("rtol", 0.0))
            with timed(report.seconds, "alpha"):
                solved = find_method(self.method).load()(
                    np.ascontiguousarray(self.image[wider]), local, report, known=alpha[wider], **options
                )
            alpha[wider][hidden] = np.clip(solved[hidden], 0, 1)
        return Matte(alpha, report)


def _about(changed: np.ndarray, margin: int) -> Box:
    """The rectangle that holds all changes, `margin` pixels wider on each side."""
    box = bounding_box(changed)
    assert box is not None
    return grown(box, (margin, margin), changed.shape)


def _border_change(
    new: np.ndarray, old: np.ndarray, part: tuple[slice, slice], shape: tuple[int, ...], depth: int = 6
) -> float:
    """Largest change of alpha within `depth` pixels of the part's sides that are not the picture's own."""
    change = np.abs(new - old)
    ring = np.zeros(change.shape, bool)
    if part[0].start > 0:
        ring[:depth] = True
    if part[0].stop < shape[0]:
        ring[-depth:] = True
    if part[1].start > 0:
        ring[:, :depth] = True
    if part[1].stop < shape[1]:
        ring[:, -depth:] = True
    return float(change[ring].max()) if ring.any() else 0.0
