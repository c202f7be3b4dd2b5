"""What the editor works on: a photo with its marks, trimap and alpha, kept from stroke to stroke.

A session is bounded in its pixels, so that a stroke is answered at once whatever the photo's size.
"""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
from PIL import features

from trimatte.alpha import Matte, ready_methods, remarks
from trimatte.alpha.methods import find_method
from trimatte.alpha.prepared import PreparedAlpha
from trimatte.backdrop import check_backdrop, find_backdrop, key
from trimatte.backdrop.field import Field
from trimatte.cutout import Cutout, CutoutReport, find_trimap, matting_of, quiet_cutout, quiet_save
from trimatte.errors import ArgumentError
from trimatte.foreground import quiet_foreground
from trimatte.images import MAX_PIXELS, read_picture, read_trimap, save_image
from trimatte.images.arrays import quantised
from trimatte.images.formats import format_of
from trimatte.images.hidden import without_hidden
from trimatte.linalg.report import SolveReport
from trimatte.planes.resize import downsampled, resized
from trimatte.quality import USUAL, WAYS
from trimatte.selection import Selection
from trimatte.stages import Stages
from trimatte.trimap import BACKGROUND, BAND, FOREGROUND, UNKNOWN, TrimapReport

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
    for name in ("cutout.png", "cutout.webp", "cutout.jpg", "cutout.avif", "trimap.png", "alpha.png")
    if (row := format_of(name)) and (row.name != "AVIF" or features.check("avif"))
}
"""What can be downloaded: format and media type by name."""

Click = tuple[Any, ...]
"""Such as ("add", 20, 30)."""
CLICKS = {"add": 2, "remove": 2, "box": 4}
"""Methods of `Selection` that a click calls, and how many numbers each takes."""
GIVEN = "{}: the trimap was given, wanted none"
"""Why an option does not go with a session."""
_MARKS = np.zeros(256, bool)
_MARKS[[BACKGROUND, UNTOUCHED, UNKNOWN, FOREGROUND]] = True
_one_by_one = threading.Lock()


class Download(NamedTuple):
    """A file, and what could not be made of it as it was asked for."""

    body: bytes
    notes: Sequence[str] = ()


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


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How a session's photo is cut out.

    Attributes
    ----------
    method : str
        A word of `trimatte.quality.WAYS`, or a name of `trimatte.alpha.ready_methods()`.
    band : float
        Half width of the automatic trimap's unknown band, relative to the subject.
    backdrop : str
        "off", "auto" or a colour, as of `trimatte.cutout`.
    shadow : {'drop', 'keep'}
        Of shadows on the backdrop.
    """

    method: str = USUAL
    band: float = BAND
    backdrop: str = "off"
    shadow: str = "drop"

    def check(self) -> None:
        """Raise `ArgumentError` for a value that there is not."""
        if self.method not in (names := editor_methods()):
            raise ArgumentError(f"method: got {self.method!r}, wanted one of {', '.join(names)}")
        if not BANDS[0] <= self.band <= BANDS[1]:
            raise ArgumentError(f"band: got {self.band}, wanted {BANDS[0]} to {BANDS[1]}")
        check_backdrop(self.backdrop, self.shadow)

    def stages(self, trimap: np.ndarray | None = None, *, plain: bool = True) -> Stages:
        """The same for `trimatte.cutout`, with a trimap or with the automatic one; `plain`: before a backdrop."""
        way: dict[str, Any] = {"quality" if self.method in WAYS else "method": self.method}
        if trimap is not None:
            return Stages(**way, trimap=trimap, foreground="keep")
        keyed = plain and self.backdrop != "off"
        shown: dict[str, Any] = {"backdrop": self.backdrop, "shadow": self.shadow} if keyed else {"foreground": "keep"}
        return Stages(**way, band=self.band, **shown)

    @property
    def follower(self) -> str | None:
        """The method that strokes are followed by at once, where there is one."""
        if self.method in WAYS:
            return "closed-form"
        return self.method if find_method(self.method).local else None


def editor_methods() -> dict[str, str]:
    """What a session's alpha can be estimated by, with what people call it."""
    words = {name: name.capitalize() for name in sorted(WAYS, key=lambda name: name != USUAL)}
    return {**words, **{name: row.label or name for name, row in ready_methods().items()}}


@dataclass(frozen=True)
class _Answer:
    """A solution: alpha of a trimap, what it was told, and before a plain backdrop the subject's colours."""

    trimap: np.ndarray
    alpha: np.ndarray
    report: SolveReport
    colours: np.ndarray | None = None


@dataclass(frozen=True)
class _Request:
    """What is to be solved: settings, marks and clicks as they were at a revision."""

    revision: int
    settings: Settings
    first: _First
    trimap: np.ndarray
    marks: np.ndarray
    probability: np.ndarray | None
    clicked: bool
    touched: bool


@dataclass(frozen=True)
class _First:
    """What the photo comes to before anybody has marked it: the answer of `trimatte.cutout`."""

    answer: _Answer
    probability: np.ndarray | None
    notes: list[str]
    field: Field | None = None
    backdrop_note: str = ""
    backdrop: str = ""


class Session:
    """A photo that is being edited.

    Its first answer is that of `trimatte.cutout`. Marks and clicks make a trimap of it, which is solved as if it had
    been given; before a plain backdrop they hold over what its colours say.

    Parameters
    ----------
    body : bytes
        The photo's file.
    name : str, default "photo"
        The photo's file name, for what is downloaded.
    trimap : image-like, optional
        The trimap to start from, as for `read_trimap` and of the photo's size, instead of an automatic one.
    max_pixels : int, default MAX_PIXELS
        Larger photos are refused before they are decoded.
    **settings : Any
        Of `Settings`.

    Raises
    ------
    ImageReadError, ImageTooLargeError, ArgumentError
        A bad photo, or an option out of its range. A backdrop of a colour that the photo has not is none: it is in
        `state`.
    """

    def __init__(
        self,
        body: bytes,
        name: str = "photo",
        *,
        trimap: Any = None,
        max_pixels: int = MAX_PIXELS,
        **settings: Any,
    ) -> None:
        self.settings = Settings(**settings)
        self.settings.check()
        if trimap is not None and self.settings.backdrop != "off":
            raise ArgumentError(GIVEN.format("backdrop"))
        self.body, self.name = body, name
        picture = without_hidden(read_picture(body, max_pixels=max_pixels))
        self.full_size = picture.image.shape[:2]
        self.size = _edit_size(*self.full_size)
        self._whole = self.size == self.full_size
        self.image = picture.image if self._whole else np.ascontiguousarray(downsampled(picture.image, self.size))
        self._bound = None if picture.alpha is None else resized(quantised(picture.alpha, 8), self.size, "nearest")
        own = None if self._bound is None else (self._bound / np.float32(255)).astype(np.float32)
        self._seen = replace(picture, image=self.image, pixels=quantised(self.image, 8), alpha=own, notes=())
        self._photo_notes = list(picture.notes)
        self._resolution = picture.metadata.kept("none")
        self._given = None
        if trimap is not None:
            self._given = resized(read_trimap(trimap, shape=picture), self.size, "nearest")
        self._lock = threading.Lock()
        self._selection: Selection | None = None
        self._clicks: list[Click] = []
        self._draft: np.ndarray | None = None
        self.marks = np.full(self.size, UNTOUCHED, np.uint8)
        with _kernels():
            self._first = self._begin(self.settings)
        self.auto, self._probability = self._first.answer.trimap, self._first.probability
        self.notes = [*self._photo_notes, *self._first.notes]
        self._revision = 0
        self._take(self._first.answer)
        self._shown = np.zeros(self.size, np.uint8)
        self._version = 0

    def state(self) -> dict[str, Any]:
        """What the page has to know of the session, for JSON."""
        settings, first = self.settings, self._first
        return {
            "name": self.name,
            "width": self.size[1],
            "height": self.size[0],
            "fullWidth": self.full_size[1],
            "fullHeight": self.full_size[0],
            "method": settings.method,
            "band": None if self._probability is None else settings.band,
            "backdrop": None if first.probability is None else settings.backdrop,
            "shadow": settings.shadow,
            "found": first.backdrop,
            "foundNote": first.backdrop_note,
            "notes": self.notes,
            "unsure": any(note not in self._photo_notes for note in self.notes),
            "clicks": self._clicks,
        }

    def nbytes(self) -> int:
        """Memory that the session keeps."""
        first = self._first
        arrays = [self.image, self._seen.pixels, self.auto, self.marks, self._trimap, self._shown, self._bound]
        arrays += [self._alpha, self._colours, self._probability, self._given]
        arrays += [first.probability, first.answer.trimap, first.answer.alpha, first.answer.colours]
        kept = 0 if self._selection is None else self._selection.nbytes
        different = {id(array): array.nbytes for array in arrays if array is not None}
        return len(self.body) + kept + sum(different.values())

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
            part = self.marks[y : y + marks.shape[0], x : x + marks.shape[1]]
            changed = bool((part != marks).any())
            part[:] = marks
            self._follow(changed)
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
            self._start_from(self._first)
            self._draft = self._probability
            return self._patch(since)

    def refine(self, since: int = -1) -> Patch:
        """Make alpha exact, unless a stroke comes in between; strokes are followed meanwhile."""
        self._solve()
        with self._lock:
            return self._patch(since)

    def change(self, **changed: Any) -> None:
        """Change some of the `settings`; marks and clicks stay, and strokes are followed meanwhile.

        Raises `ArgumentError` for a value that there is not, and for a band or a backdrop where the trimap was given.
        """
        settings = replace(self.settings, **changed)
        settings.check()
        for name, probability in (("band", self._probability), ("backdrop", self._first.probability)):
            if getattr(settings, name) != getattr(self.settings, name) and probability is None:
                raise ArgumentError(GIVEN.format(name))
        with _kernels():
            first = self._begin(settings)
        with self._lock:
            self.settings = settings
            self._start_from(first)
        self._solve()

    def photo(self) -> bytes:
        """The photo as it is edited, as JPEG."""
        return _jpeg(self.image)

    def foreground(self) -> bytes:
        """The subject's own colours as alpha is now, as JPEG."""
        with self._lock:
            alpha, colours = self._alpha, self._colours
        if colours is None:
            with _kernels():
                colours = _colours(self.image, alpha)
        return _jpeg(colours)

    def download(self, what: str, *, max_pixels: int = MAX_PIXELS, **options: Any) -> Download:
        """A file of `DOWNLOADS`, of the photo's own size: what `trimatte.cutout` makes of photo and trimap.

        Options are those of `Cutout.save`; they go with a cut-out.
        """
        with self._lock:
            request = self._request()
        format, buffer = DOWNLOADS[what][0], io.BytesIO()
        if what.startswith("trimap"):
            trimap = resized(request.trimap, self.full_size, "nearest")
            save_image(buffer, trimap, format=format, metadata=self._resolution)
            return Download(buffer.getvalue())
        alone = what.startswith("alpha")
        with _kernels():
            result = self._full(request, alone)
        if alone:
            save_image(buffer, result.alpha, format=format, metadata=self._resolution)
            return Download(buffer.getvalue())
        notes = quiet_save(result, buffer, format=format, max_pixels=max_pixels, **options)
        return Download(buffer.getvalue(), notes)

    def _begin(self, settings: Settings) -> _First:
        """What `trimatte.cutout` makes of the photo alone, or with the trimap that was given."""
        stages = settings.stages(self._given)
        note = ""
        try:
            cut = quiet_cutout(matting_of(stages), self._seen, stages)
        except ArgumentError as error:
            if not stages.keyed:
                raise
            note, stages = str(error), settings.stages(plain=False)  # the photo has not the colour
            cut = quiet_cutout(matting_of(stages), self._seen, stages)
        report = cut.report
        said = remarks(report.alpha)
        notes = [note for note in report.warnings if note not in said]
        assert cut.trimap is not None  # all methods of the editor need one
        field = None
        if report.backdrop:
            field, _ = find_backdrop(self.image, settings.backdrop, probability=cut.probability)
        answer = _Answer(cut.trimap, cut.alpha, report.alpha, None if field is None else cut.foreground)
        return _First(answer, cut.probability, notes, field, note or report.backdrop_note, report.backdrop)

    def _start_from(self, first: _First) -> None:
        """Start again from a first answer, and what marks and clicks make of it."""
        self._first = first
        self._probability, self.auto, notes = first.probability, first.answer.trimap, first.notes
        if self._clicks and self._selection is not None:
            self._probability, found = self._selection.probability, TrimapReport()
            pointed = replace(self._seen, subject=self._probability)
            _, self.auto = find_trimap(pointed, self.settings.stages(plain=False), report=found)
            notes = found.notes
        self.notes = list(dict.fromkeys([*self._photo_notes, *notes]))
        self._trimap, self._exact = self._merged(), False
        self._revision += 1

    def _request(self) -> _Request:
        """What is to be solved now."""
        keyed = self._first.field is not None
        touched = bool(self._clicks) or (
            bool((self.marks != UNTOUCHED).any()) if keyed else bool((self._trimap != self._first.answer.trimap).any())
        )
        return _Request(
            self._revision,
            self.settings,
            self._first,
            self._trimap,
            self.marks.copy(),
            self._probability,
            bool(self._clicks),
            touched,
        )

    def _solve(self) -> None:
        """Make alpha exact, unless something else is asked for meanwhile."""
        with self._lock:
            if self._exact:
                return
            request, before = self._request(), self._alpha
        if request.touched:
            with _kernels():
                answer = self._keyed(request) if request.first.field is not None else self._ordinary(request, before)
        else:
            answer = request.first.answer
        with self._lock:
            if self._revision == request.revision:
                self._take(answer)

    def _ordinary(self, request: _Request, before: np.ndarray) -> _Answer:
        """The answer to a trimap; the methods that can go on from alpha as it was."""
        stages = request.settings.stages(request.trimap)
        named = stages.method is not None and find_method(stages.method).local
        from_there: dict[str, Any] = {"guess": before} if named else {}
        cut = quiet_cutout(matting_of(stages, **from_there), self._seen, stages)
        return _Answer(request.trimap, cut.alpha, cut.report.alpha)

    def _keyed(self, request: _Request) -> _Answer:
        """The answer before a plain backdrop, where marks hold."""
        report, field = SolveReport(), request.first.field
        assert field is not None
        matte = key(
            self.image,
            field,
            probability=request.probability,
            shadow=request.settings.shadow,
            only=request.clicked,
            marks=request.marks,
            report=report,
        )
        alpha = matte.alpha if self._bound is None else np.minimum(matte.alpha, self._bound / np.float32(255))
        return _Answer(matte.trimap, alpha, report, matte.foreground)

    def _take(self, answer: _Answer) -> None:
        """Show a solution, and follow strokes from there."""
        self._trimap, self._alpha, self._report, self._colours = (
            answer.trimap,
            answer.alpha,
            answer.report,
            answer.colours,
        )
        self._exact, self._draft, self._follower = True, None, None
        if answer.colours is not None:
            self.auto = answer.trimap
        elif follower := self.settings.follower:
            matte = Matte(answer.alpha, answer.report)
            self._follower = PreparedAlpha(self.image, answer.trimap, follower, {}, matte)

    def _full(self, request: _Request, alone: bool) -> Cutout:
        """The cut-out of the whole photo; `alone`: for its alpha."""
        settings, field = request.settings, request.first.field
        if field is not None and request.touched:
            return self._full_keyed(request, field)
        given = request.touched or self._given is not None
        trimap = resized(request.trimap, self.full_size, "nearest") if given else None
        stages = settings.stages(trimap, plain=field is not None)
        if field is None:
            stages = replace(stages, foreground="keep" if alone else "multilevel")
        return quiet_cutout(matting_of(stages), self.body, stages)

    def _full_keyed(self, request: _Request, field: Field) -> Cutout:
        picture = without_hidden(read_picture(self.body, max_pixels=MAX_PIXELS))
        assert request.probability is not None
        probability, marks = request.probability, request.marks
        if not self._whole:
            probability = np.clip(resized(probability, self.full_size), 0, 1)
            marks = resized(marks, self.full_size, "nearest")
            field = find_backdrop(picture.image, request.first.backdrop, probability=probability)[0] or field
        matte = key(
            picture.image,
            field,
            probability=probability,
            shadow=request.settings.shadow,
            only=request.clicked,
            marks=marks,
        )
        alpha = matte.alpha if picture.alpha is None else np.minimum(matte.alpha, picture.alpha)
        return Cutout(picture.image, probability, matte.trimap, alpha, matte.foreground, CutoutReport(), picture)

    def _merged(self) -> np.ndarray:
        return np.where(self.marks == UNTOUCHED, self.auto, self.marks)

    def _follow(self, changed: bool) -> None:
        """Bring alpha after marks, which have `changed` or not."""
        trimap = self._merged()
        if (trimap != self._trimap).any() or (changed and self._first.field is not None):
            self._trimap, self._exact = trimap, False
            self._revision += 1
            if self._draft is None:
                self._catch_up()

    def _catch_up(self) -> None:
        """Solve near what has changed, if the method can; the others leave alpha as it is until the whole is solved."""
        if self._follower is not None:
            small = np.count_nonzero(self._trimap != self._follower.trimap) < SMALL
            with _kernels(threads=1 if small else None):
                self._alpha = self._follower.update(self._trimap).alpha

    def _patch(self, since: int) -> Patch:
        """What has changed since a version; all of it, if that is not the last one that went out."""
        alpha = quantised(self._alpha if self._draft is None else self._draft, 8)
        if not self._exact:  # what is marked holds at once; on a plain backdrop there may be shadows
            known = self._trimap if self._colours is None or self._draft is not None else self.marks
            alpha = np.where((known == UNKNOWN) | (known == UNTOUCHED), alpha, known)
        if self._bound is not None:
            alpha = np.minimum(alpha, self._bound)
        changed = np.ones(self.size, bool) if since != self._version else np.asarray(alpha != self._shown)
        y, x = _span(changed, axis=1), _span(changed, axis=0)
        self._shown = alpha
        self._version += 1
        return Patch(
            x.start, y.start, alpha[y, x], self._version, self._exact, remarks(self._report) if self._exact else []
        )


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


def _colours(image: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    return quiet_foreground(image, alpha, method="multilevel", strict=False, report=SolveReport(method="multilevel"))


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
