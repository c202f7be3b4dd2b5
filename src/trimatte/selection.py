"""A subject that a person points at, click by click."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from trimatte.cutout import Cutout, cutout, pointed_at
from trimatte.errors import ArgumentError
from trimatte.images import MAX_PIXELS, load_picture
from trimatte.images.hidden import without_hidden
from trimatte.runtime.options import check_flag
from trimatte.segmentation import open_photo
from trimatte.segmentation.prompts import Floats, Prompts, read_prompts

FIXED = ("segmenter", "trimap", "points", "not_points", "box", "max_pixels")
"""Options of `trimatte.cutout` that a selection has settled."""


@dataclass(frozen=True)
class _State:
    prompts: Prompts
    logits: Floats | None


class Selection:
    """What is selected in a photo, click by click; each click corrects the answer before.

    The photo is seen by a network once, when the selection is made; a click then takes milliseconds.

    Parameters
    ----------
    image : image-like
        Whatever `trimatte.cutout` takes. Points are pixels of the photo as its EXIF orientation turns it.
    segmenter : str, default "lite"
        Who finds the subject to begin with, and answers: a name of `trimatte.segmenters()` that takes prompts.
    automatic : bool, default True
        Begin with the subject that the segmenter finds; False begins with nothing.
    max_pixels : int, default MAX_PIXELS
        Refuse larger pictures before they are decoded.

    Raises
    ------
    ArgumentError, ImageReadError, ImageTooLargeError
        For a bad argument or picture, or a segmenter that takes no prompts.

    References
    ----------
    Sofiiuk, Petrov and Konushin, "Reviving iterative training with mask guidance for interactive segmentation", ICIP
    2022.
    """

    def __init__(
        self, image: Any, *, segmenter: str = "lite", automatic: bool = True, max_pixels: int = MAX_PIXELS
    ) -> None:
        check_flag("automatic", automatic)
        self.segmenter = segmenter
        self.picture = without_hidden(load_picture(image, max_pixels=max_pixels))
        self._photo = open_photo(pointed_at(self.picture), segmenter, automatic=automatic)
        self._states = [_State(Prompts(), self._photo.found)]
        self._probability: tuple[_State, Floats] | None = None

    @property
    def prompts(self) -> Prompts:
        """All that was pointed at and not undone."""
        return self._states[-1].prompts

    @property
    def nbytes(self) -> int:
        """Memory that is kept of the photo, without its pixels."""
        states = sum(state.logits.nbytes for state in self._states if state.logits is not None)
        return states + int(getattr(self._photo, "nbytes", 0))

    def add(self, x: float, y: float) -> Selection:
        """Say that the pixel at (x, y) belongs to the subject. Raises `ArgumentError` for one outside of the photo."""
        return self._pointed([(x, y)], None, None)

    def remove(self, x: float, y: float) -> Selection:
        """Say that the pixel at (x, y) does not belong to the subject."""
        return self._pointed(None, [(x, y)], None)

    def box(self, x0: float, y0: float, x1: float, y1: float) -> Selection:
        """Say that the subject lies within a box: left, top, right, bottom in pixels. Replaces the box before."""
        return self._pointed(None, None, (x0, y0, x1, y1))

    def undo(self) -> Selection:
        """Take back the last click or box; nothing if there is none."""
        if len(self._states) > 1:
            self._states.pop()
        return self

    @property
    def probability(self) -> Floats:
        """(H, W) float32 in [0, 1]: of foreground, read-only; the segmenter's own answer before the first click."""
        state = self._states[-1]
        if self._probability is None or self._probability[0] is not state:
            plane = self._photo.probability(state.logits, state.prompts)
            plane.flags.writeable = False
            self._probability = state, plane
        return self._probability[1]

    def cutout(self, **options: Any) -> Cutout:
        """Cut out what is selected.

        Parameters
        ----------
        **options : Any
            Of `trimatte.cutout`, but for those that say what the subject is.
        """
        for name in FIXED:
            if name in options:
                raise ArgumentError(f"{name}: got {options[name]!r}, but the selection says what the subject is")
        return cutout(replace(self.picture, subject=self.probability), segmenter=self.segmenter, **options)

    def _pointed(self, points: Any, not_points: Any, box: Any) -> Selection:
        state = self._states[-1]
        prompts = state.prompts.with_more(read_prompts(points, not_points, box, self.picture.image.shape))
        self._states.append(_State(prompts, self._photo.answer(prompts, state.logits)))
        return self
