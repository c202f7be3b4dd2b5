"""What the editor works on: a photo with its marks, trimap and alpha, kept from stroke to stroke.

A session is bounded in its pixels, so that a stroke is answered at once whatever the photo's size.
"""

from __future__ import annotations

import copy
import io
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from trimatte.alpha import complaints, ready_methods
from trimatte.alpha.prepared import prepare_alpha
from trimatte.cutout import cutout
from trimatte.errors import ArgumentError
from trimatte.foreground import estimate_foreground
from trimatte.images import MAX_PIXELS, read_picture, read_trimap, save_image
from trimatte.images.arrays import quantised
from trimatte.images.formats import format_of
from trimatte.images.hidden import without_hidden
from trimatte.planes.resize import downsampled, resized
from trimatte.selection import Selection
from trimatte.trimap import (
    BACKGROUND,
    BOUND,
    FOREGROUND,
    KEPT,
    SPECK,
    UNKNOWN,
    TrimapReport,
    is_matte,
    make_trimap,
    own_trimap,
)

EDIT_PIXELS = 2_000_000
"""Larger photos are edited at this size; what is downloaded is solved at their own."""
SMALL = 50_000
"""Strokes of fewer pixels are followed by one thread: to wait for others costs more than they help, above all on a busy
machine, and the exact solution that runs beside it has use for them."""
UNTOUCHED = 1
"""In a layer of marks, a pixel for which the automatic trimap holds."""
BANDS = 0.005, 0.3
"""Least and greatest half width of the automatic band, relative to the subject."""
DOWNLOADS = {
    name: (row.name, row.media_type)
    for name in ("cutout.png", "cutout.webp", "cutout.jpg", "trimap.png", "alpha.png")
    if (row := format_of(name))
}
"""What can be downloaded: format and media type by name."""

Click = tuple[Any, ...]
"""Such as ("add", 20, 30)."""
CLICKS = {"add": 2, "remove": 2, "box": 4}
"""Methods of `Selection` that a click calls, and how many numbers each takes."""
_MARKS = np.zeros(256, bool)
_MARKS[[BACKGROUND, UNTOUCHED, UNKNOWN, FOREGROUND]] = True
_one_by_one = threading.Lock()


@dataclass(frozen=True)
class Patch:
    """A rectangle of alpha in place of what the browser shows.

    Attributes
    ----------
    x, y : int
        Its left and top pixel.
    alpha : (height, width) uint8 array
        Empty if nothing has changed.
    version : int
        Counts the patches of a session.
    exact : bool
        Whether alpha is that of the whole system, rather than of a part about the last strokes.
    notes : list of str
        What the user should know of an exact alpha.
    """

    x: int
    y: int
    alpha: np.ndarray
    version: int
    exact: bool
    notes: list[str] = field(default_factory=list)

    def head(self) -> dict[str, Any]:
        """All but the pixels, for JSON."""
        height, width = self.alpha.shape
        place = {"x": self.x, "y": self.y, "width": width, "height": height}
        return {**place, "version": self.version, "exact": self.exact, "notes": self.notes}


class Session:
    """A photo that is being edited.

    Parameters
    ----------
    body : bytes
        The photo's file.
    name : str, default "photo"
        The photo's file name, for what is downloaded.
    method : str, default "closed-form"
        A name of `trimatte.alpha.ready_methods()`.
    band : float, default 0.05
        Half width of the automatic trimap's unknown band, relative to the subject.
    trimap : image-like, optional
        The trimap to start from, as for `read_trimap` and of the photo's size, instead of an automatic one.
    max_pixels : int, default MAX_PIXELS
        Larger photos are refused before they are decoded.

    Raises
    ------
    ImageReadError, ImageTooLargeError, ArgumentError
        A bad photo, or an option out of its range.
    """

    def __init__(
        self,
        body: bytes,
        name: str = "photo",
        *,
        method: str = "closed-form",
        band: float = 0.05,
        trimap: Any = None,
        max_pixels: int = MAX_PIXELS,
    ) -> None:
        _check(method, band)
        self.body, self.name, self.method, self.band = body, name, method, band
        picture = without_hidden(read_picture(body, max_pixels=max_pixels))
        self.full_size = picture.image.shape[:2]
        self.size = _edit_size(*self.full_size)
        whole = self.size == self.full_size
        self.image = picture.image if whole else np.ascontiguousarray(downsampled(picture.image, self.size))
        self._bound = None if picture.alpha is None else resized(quantised(picture.alpha, 8), self.size, "nearest")
        own = is_matte(picture.alpha)
        kept = [KEPT if own else BOUND] if self._bound is not None and (self._bound < 255).any() else []
        self.notes = [*picture.notes, *kept]
        self._lasting = (*picture.notes, BOUND)
        self._lock = threading.Lock()
        whole_alpha = None if self._bound is None else (self._bound / np.float32(255)).astype(np.float32)
        self._seen = replace(picture, image=self.image, alpha=whole_alpha, notes=())
        self._selection: Selection | None = None
        self._clicks: list[Click] = []
        self._draft: np.ndarray | None = None
        with _kernels():
            self._probability = None
            if trimap is None and not own:
                self._selection = Selection(self._seen)
                self._probability = self._selection.probability
            if self._probability is not None:
                self.auto = self._automatic(band)
            elif trimap is None and self._bound is not None:
                self.auto = own_trimap(self._bound)
            else:
                self.auto = resized(read_trimap(trimap, shape=picture), self.size, "nearest")
            self._prepared = prepare_alpha(self.image, self.auto, method=method)
        self._unclicked = self._probability, self.auto
        self.marks = np.full(self.size, UNTOUCHED, np.uint8)
        self._trimap = self.auto
        self._exact = True
        self._shown = np.zeros(self.size, np.uint8)
        self._version = 0

    def state(self) -> dict[str, Any]:
        """What the page has to know of the session, for JSON."""
        return {
            "name": self.name,
            "width": self.size[1],
            "height": self.size[0],
            "fullWidth": self.full_size[1],
            "fullHeight": self.full_size[0],
            "method": self.method,
            "band": None if self._probability is None else self.band,
            "notes": self.notes,
            "clicks": self._clicks,
        }

    def nbytes(self) -> int:
        """Memory that the session keeps."""
        arrays = [self.image, self.auto, self.marks, self._trimap, self._shown, self._prepared.alpha, self._bound]
        arrays.append(self._probability)
        kept = 0 if self._selection is None else self._selection.nbytes
        return len(self.body) + kept + sum(array.nbytes for array in arrays if array is not None)

    def paint(self, x: int, y: int, marks: np.ndarray, since: int = -1) -> Patch:
        """Set the marks (h, w) of a rectangle, and follow them where they are.

        Parameters
        ----------
        x, y : int
            Left and top pixel of the rectangle.
        marks : (h, w) uint8 array
            Values 0, 128 and 255, or 1 where the automatic trimap shall hold.
        since : int, default -1
            Version that the browser shows; the patch holds what has changed from there, or all.

        Raises
        ------
        ArgumentError
            If the rectangle leaves the picture, or other values are in it.
        """
        height, width = self.size
        if marks.ndim != 2 or 0 in marks.shape or not (0 <= x <= width - marks.shape[1]):
            raise ArgumentError(f"x, width: got {x}, {marks.shape[-1]}; wanted a part of 0 to {width}")
        if not 0 <= y <= height - marks.shape[0]:
            raise ArgumentError(f"y, height: got {y}, {marks.shape[0]}; wanted a part of 0 to {height}")
        if not _MARKS[marks].all():
            raise ArgumentError(f"marks: got {int(marks[~_MARKS[marks]][0])}; wanted 0, 1, 128 and 255")
        with self._lock:
            self.marks[y : y + marks.shape[0], x : x + marks.shape[1]] = marks
            self._follow()
            return self._patch(since)

    def click(self, clicks: Sequence[Click], since: int = -1) -> Patch:
        """Let all these clicks say what the subject is, one after the other, and none but these.

        Where alpha is then unknown, it is the network's probability until `refine`.

        Parameters
        ----------
        clicks : sequence of tuple, by `CLICKS`
            ("add", x, y) and ("remove", x, y) in pixels of the picture, ("box", left, top, right, bottom).
        since : int, default -1
            As of `paint`.

        Raises
        ------
        ArgumentError
            For a click outside of the picture; those before it hold.
        """
        with self._lock:
            if self._selection is None:
                self._selection = Selection(self._seen, automatic=False)
            same = _common(self._clicks, clicks)
            for _ in self._clicks[same:]:
                self._selection.undo()
            self._clicks = self._clicks[:same]
            for kind, *place in clicks[same:]:
                getattr(self._selection, kind)(*place)
                self._clicks.append((kind, *place))
            given, self.auto = self._unclicked
            self._probability = self._selection.probability if self._clicks else given
            if self._probability is not None:
                self.auto = self._automatic(self.band)
            self._trimap, self._exact, self._draft = self._merged(), False, self._probability
            return self._patch(since)

    def refine(self, since: int = -1) -> Patch:
        """Make alpha exact, unless a stroke comes in between; strokes are followed meanwhile."""
        with self._lock:
            if self._exact:
                return self._patch(since)
            trimap, twin = self._trimap, copy.copy(self._prepared)
        with _kernels():
            twin.update(trimap)
            if twin.local:
                twin.solve()
        with self._lock:
            if self._trimap is trimap and self._prepared.method == twin.method:
                self._prepared, self._exact, self._draft = twin, True, None
            return self._patch(since)

    def change(self, *, method: str | None = None, band: float | None = None) -> None:
        """Take another method, or another width of the automatic band; the marks stay, and strokes are followed.

        Raises `ArgumentError` for a value that there is not, and for a band where the trimap was given.
        """
        _check(method or self.method, self.band if band is None else band)
        if band is not None and self._probability is None:
            raise ArgumentError("band: the trimap was given, wanted no band")
        with self._lock:
            if band is not None and band != self.band:
                self.auto, self.band = self._automatic(band), band
                self._trimap, self._exact = self._merged(), False
            trimap = self._trimap
        with _kernels():
            prepared = prepare_alpha(self.image, trimap, method=method or self.method)
        with self._lock:
            self._prepared, self.method, self._draft = prepared, prepared.method, None
            self._exact = self._trimap is trimap
            if not self._exact:
                self._catch_up()

    def photo(self) -> bytes:
        """The photo as it is edited, as JPEG."""
        return _jpeg(self.image)

    def foreground(self) -> bytes:
        """The subject's own colours as alpha is now, as JPEG."""
        with self._lock:
            alpha = self._prepared.alpha
        with _kernels():
            return _jpeg(estimate_foreground(self.image, alpha))

    def download(self, what: str, *, max_pixels: int = MAX_PIXELS, **options: Any) -> bytes:
        """A file of `DOWNLOADS`, of the photo's own size: what `trimatte.cutout` makes of photo and trimap.

        Options are those of `Cutout.save`; they go with a cut-out.
        """
        with self._lock:
            trimap, method = resized(self._trimap, self.full_size, "nearest"), self.method
        format, buffer = DOWNLOADS[what][0], io.BytesIO()
        if what.startswith("trimap"):
            save_image(buffer, trimap, format=format)
            return buffer.getvalue()
        alone = what.startswith("alpha")
        with _kernels():
            result = cutout(self.body, trimap=trimap, method=method, foreground="keep" if alone else "multilevel")
        if alone:
            save_image(buffer, result.alpha, format=format)
        else:
            result.save(buffer, format=format, max_pixels=max_pixels, **options)
        return buffer.getvalue()

    def _automatic(self, band: float) -> np.ndarray:
        report = TrimapReport()
        trimap = make_trimap(self._probability, band=band, speck=SPECK, report=report)
        self.notes = [*(note for note in self.notes if note in self._lasting), *report.notes]
        return trimap if self._bound is None else np.where(self._bound > 0, trimap, np.uint8(BACKGROUND))

    def _merged(self) -> np.ndarray:
        return np.where(self.marks == UNTOUCHED, self.auto, self.marks)

    def _follow(self) -> None:
        """Bring alpha after the marks."""
        trimap = self._merged()
        if (trimap != self._trimap).any():
            self._trimap, self._exact = trimap, False
            if self._draft is None:
                self._catch_up()

    def _catch_up(self) -> None:
        """Solve about what has changed. Methods that cannot keep alpha as it is where it is still unknown."""
        if self._prepared.local:
            small = np.count_nonzero(self._trimap != self._prepared.trimap) < SMALL
            with _kernels(threads=1 if small else None):
                self._prepared.update(self._trimap)

    def _patch(self, since: int) -> Patch:
        """What has changed since a version; all of it, if that is not the last one that went out."""
        alpha = quantised(self._prepared.alpha if self._draft is None else self._draft, 8)
        if not self._exact:
            alpha = np.where(self._trimap == UNKNOWN, alpha, self._trimap)
        if self._bound is not None:
            alpha = np.minimum(alpha, self._bound)
        changed = np.ones(self.size, bool) if since != self._version else np.asarray(alpha != self._shown)
        y, x = _span(changed, axis=1), _span(changed, axis=0)
        self._shown = alpha
        self._version += 1
        return Patch(x.start, y.start, alpha[y, x], self._version, self._exact, self._warnings() if self._exact else [])

    def _warnings(self) -> list[str]:
        report = self._prepared.report
        return [*complaints(report), *report.fallbacks]


def _common(first: Sequence[Click], second: Sequence[Click]) -> int:
    """How many of the first clicks are the same."""
    pairs = enumerate(zip(first, second, strict=False))
    return next((n for n, (a, b) in pairs if a != b), min(len(first), len(second)))


@contextmanager
def _kernels(threads: int | None = None) -> Iterator[None]:
    """Run compiled kernels: side by side with others, or one by one where numba's threads cannot be shared."""
    import numba

    from trimatte.runtime.jit import takes_turns

    before = numba.get_num_threads()  # of this thread: others have their own
    numba.set_num_threads(threads or before)
    try:
        with _one_by_one if takes_turns() else nullcontext():
            yield
    finally:
        numba.set_num_threads(before)


def _check(method: str, band: float) -> None:
    if method not in (methods := ready_methods()):
        raise ArgumentError(f"method: got {method!r}, wanted one of {', '.join(methods)}")
    if not BANDS[0] <= band <= BANDS[1]:
        raise ArgumentError(f"band: got {band}, wanted {BANDS[0]} to {BANDS[1]}")


def _edit_size(height: int, width: int) -> tuple[int, int]:
    scale = min(1.0, (EDIT_PIXELS / (height * width)) ** 0.5)
    return max(1, round(height * scale)), max(1, round(width * scale))


def _jpeg(image: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    save_image(buffer, image, format="JPEG", quality=92)
    return buffer.getvalue()


def _span(occupied: np.ndarray, axis: int) -> slice:
    """From the first row (axis 1) or column (axis 0) that holds a set pixel to the last; nothing if none does."""
    where = np.flatnonzero(occupied.any(axis))
    return slice(int(where[0]), int(where[-1]) + 1) if len(where) else slice(0, 0)
