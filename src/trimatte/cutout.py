"""The whole way of a photo: subject, trimap, alpha, foreground colours."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from os import PathLike
from typing import IO, Any

import numpy as np

from trimatte.alpha import REFINERS, TRIMAP_FREE, Matte, complaint, quiet_matte
from trimatte.alpha import method_function as find_alpha_method
from trimatte.composite import background_image, composite
from trimatte.confidence import doubt_map, picture_confidence
from trimatte.errors import ArgumentError, SubjectNotFoundError
from trimatte.foreground import _method as find_foreground_method
from trimatte.foreground import estimate_foreground
from trimatte.images import Picture, as_trimap, load_picture, restore_colours, save_image
from trimatte.linalg.report import SolveReport
from trimatte.runtime.measure import peak_bytes, timed
from trimatte.runtime.plugins import resolve
from trimatte.runtime.report import PlainReport
from trimatte.segmentation import _builder as find_segmenter
from trimatte.segmentation import segment
from trimatte.trimap import TrimapReport, has_subject, make_trimap


class SubjectWarning(UserWarning):
    """No subject was found, or the trimap had to depart from what was asked."""


@dataclass
class CutoutReport(PlainReport):
    """What happened on the way of one photo.

    Attributes
    ----------
    segmenter : name, empty if a trimap was given or the method needs none.
    subject : whether a subject was found.
    confidence : in [0, 1], to rank cut-outs by (see `trimatte.confidence`); 0 if no subject was found.
    band : half width of the unknown band in pixels, 0 if a trimap was given.
    warnings : whatever the user should know, in words.
    alpha : SolveReport of the alpha method.
    seconds : wall time by stage.
    peak_bytes : the process's greatest resident memory so far.
    """

    segmenter: str = ""
    subject: bool = True
    confidence: float = 0.0
    band: float = 0.0
    warnings: list[str] = field(default_factory=list)
    alpha: SolveReport = field(default_factory=SolveReport)
    seconds: dict[str, float] = field(default_factory=dict)
    peak_bytes: int = 0


@dataclass(frozen=True)
class Cutout:
    """A photo, cut out.

    Attributes
    ----------
    image : (H, W, 3) float32 in [0, 1], as the stages saw it (sRGB).
    probability : (H, W) float32 in [0, 1] of foreground, None if a trimap was given or the method needs none.
    trimap : (H, W) uint8 of 0, 128 and 255, None if the method needs none.
    alpha : (H, W) float32 in [0, 1].
    foreground : (H, W, 3) float32 in [0, 1], straight colours.
    report : CutoutReport
    picture : the photo as it was read: original colours, profile, bit depth.
    """

    image: np.ndarray
    probability: np.ndarray | None
    trimap: np.ndarray | None
    alpha: np.ndarray
    foreground: np.ndarray
    report: CutoutReport
    picture: Picture = field(repr=False)

    def rgba(self) -> np.ndarray:
        """(H, W, 4) float32 in [0, 1], sRGB, straight alpha."""
        return np.dstack([self.foreground, self.alpha])

    def over(self, background: Any) -> np.ndarray:
        """(H, W, 3) float32: the subject over a colour, a picture or a path (see `trimatte.composite`)."""
        return composite(self.foreground, self.alpha, background)

    def doubt(self) -> np.ndarray:
        """(H, W) float32 in [0, 1]: how unsure each pixel is, 0 for not at all (see `trimatte.confidence`)."""
        return doubt_map(self.alpha, self.probability, self.trimap)

    def content(self, margin: int = 0) -> tuple[slice, slice]:
        """Rows and columns of what is not transparent in 8 bits, and of `margin` pixels about it; all if nothing is."""
        visible = self.alpha >= 0.5 / 255
        return _span(np.any(visible, axis=1), margin), _span(np.any(visible, axis=0), margin)

    def save(
        self, path: str | PathLike[str] | IO[bytes], *, crop: int | None = None, background: Any = None, **options: Any
    ) -> None:
        """Write the cut-out in the photo's own colours, profile and bit depth.

        Parameters
        ----------
        path : path or binary file object
        crop : cut to the subject with a margin of so many pixels.
        background : as of `trimatte.composite`: what the subject is laid over, instead of keeping alpha.
        options : of `trimatte.save_image`.
        """
        box = np.s_[:, :] if crop is None else self.content(crop)
        colours = restore_colours(self.foreground, self.picture, self.alpha)
        if background is not None:
            background = background_image(background, self.alpha.shape)[box]
        save_image(
            path,
            colours[box],
            alpha=self.alpha[box],
            icc_profile=self.picture.icc_profile,
            background=background,
            **options,
        )


def cutout(
    image: Any,
    *,
    segmenter: str = "lite",
    method: str = "closed-form",
    trimap: Any = None,
    band: float | None = None,
    band_pixels: float | None = None,
    adaptive_band: bool = False,
    foreground: str = "multilevel",
    refine: str | None = None,
    refine_options: Mapping[str, Any] | None = None,
    strict: bool = False,
    max_pixels: int = 200_000_000,
    **options: Any,
) -> Cutout:
    """Cut the subject out of a photo.

    Parameters
    ----------
    image : a path, bytes, a file object, a PIL image, or an array (H, W, 3) or (H, W, 4) of uint8, uint16 or
        float in [0, 1]. An alpha that it has is an upper bound of the result's.
    segmenter : who finds the subject, a name of `trimatte.segmenters()`.
    method : how alpha is estimated, a name of `trimatte.alpha_methods()`.
    trimap : (H, W), replaces the segmenter's; 0 background, 255 foreground, all between unknown.
    band, band_pixels : half width of the unknown band, relative to the subject or in pixels.
    adaptive_band : let it be wide at hair and narrow at hard edges, as the network of the method "glance" sees them.
    foreground : how its colours are estimated; "keep" leaves the photo's colours as they are.
    refine : redo alpha where it is unsure by "deep-image-matting"; needs a trimap, the segmenter's or your own.
    refine_options : of the refiner, `weights` among them (see `trimatte.alpha.deep.refine_alpha`).
    strict : raise if no subject is found or the solver does not converge.
    max_pixels : refuse larger pictures before they are decoded.
    options : of the alpha method.

    Returns
    -------
    Cutout
        If no subject is found, it is fully transparent and the report and a warning say so.

    Raises
    ------
    ArgumentError, ImageReadError, ImageTooLargeError
        A bad argument or picture.
    SubjectNotFoundError, SolverError
        With `strict`.
    """
    check_names(segmenter=segmenter, method=method, foreground=foreground, refine=refine)
    return cutout_by(
        partial(quiet_matte, method=method, strict=strict, **options),
        image,
        segmenter=None if method in TRIMAP_FREE else segmenter,
        trimap=trimap,
        band=band,
        band_pixels=band_pixels,
        adaptive_band=adaptive_band,
        foreground=foreground,
        refine=refine,
        refine_options=refine_options,
        strict=strict,
        max_pixels=max_pixels,
    )


def cutout_by(
    matting: Callable[[np.ndarray, np.ndarray | None], Matte],
    image: Any,
    *,
    segmenter: str | None,
    trimap: Any,
    band: float | None,
    band_pixels: float | None,
    adaptive_band: bool,
    foreground: str,
    refine: str | None,
    refine_options: Mapping[str, Any] | None,
    strict: bool,
    max_pixels: int,
) -> Cutout:
    """`cutout` with any function from image and trimap to alpha; without a segmenter only a given trimap is known.

    The other parameters are as of `cutout`.
    """
    report = CutoutReport()
    with timed(report.seconds, "read"):
        picture = load_picture(image, max_pixels=max_pixels)
    size = picture.image.shape[:2]
    probability: np.ndarray | None = None
    known: np.ndarray | None = None
    if trimap is not None:
        known = as_trimap(trimap, shape=size, max_pixels=max_pixels)
    elif segmenter is not None:
        notes, report.segmenter = TrimapReport(), segmenter
        probability, known = find_trimap(
            picture.image,
            segmenter=segmenter,
            band=band,
            band_pixels=band_pixels,
            adaptive_band=adaptive_band,
            report=notes,
            seconds=report.seconds,
        )
        report.subject, report.band = notes.subject, notes.band
        report.warnings.extend(notes.notes)
    if report.subject:
        matte = matting(picture.image, known)
        if not matte.report.converged:
            report.warnings.append(complaint(matte.report))
        alpha, report.alpha = matte.alpha, matte.report
        report.warnings.extend(matte.report.fallbacks)
        report.seconds.update(matte.report.seconds)
        # A network that needs no trimap says by its alpha that there is nothing; glass and smoke are never sure.
        if known is None and not has_subject(alpha, 0.5):
            report.subject = False
            report.warnings.append("no subject found")
        if refine is not None:
            alpha = _refined(refine, picture.image, known, alpha, refine_options or {}, report)
        report.confidence = picture_confidence(alpha, probability, known)
    if not report.subject:
        alpha, report.confidence = np.zeros(size, np.float32), 0.0
    if picture.alpha is not None:
        alpha = np.minimum(alpha, picture.alpha)
    with timed(report.seconds, "foreground"):
        keep = foreground == "keep" or not report.subject
        colours = picture.image if keep else estimate_foreground(picture.image, alpha, method=foreground)
    report.peak_bytes = peak_bytes()
    _tell(report, strict)
    return Cutout(picture.image, probability, known, alpha, colours, report, picture)


def _refined(
    name: str,
    image: np.ndarray,
    trimap: np.ndarray | None,
    alpha: np.ndarray,
    options: Mapping[str, Any],
    report: CutoutReport,
) -> np.ndarray:
    """Alpha after the refiner; what it has to say joins the warnings."""
    if trimap is None:
        raise ArgumentError(f"refine: {name!r} needs a trimap, and the method takes none")
    notes = SolveReport(method=name)
    with timed(report.seconds, "refine"):
        refined: np.ndarray = find_refiner(name)(image, trimap, alpha, report=notes, **options)
    report.warnings.extend(notes.fallbacks)
    return refined


def find_refiner(name: str) -> Callable[..., np.ndarray]:
    """The function that stands behind a refiner's name."""
    function: Callable[..., np.ndarray] = resolve("refine", name, REFINERS, "trimatte.refiners")
    return function


def check_names(*, segmenter: str, method: str, foreground: str, refine: str | None = None) -> None:
    """Raise `ArgumentError`, which lists the names there are, for a stage's method that there is not."""
    find_segmenter(segmenter)
    find_alpha_method(method)
    if foreground != "keep":
        find_foreground_method(foreground)
    if refine is not None:
        find_refiner(refine)


def find_trimap(
    image: np.ndarray,
    *,
    segmenter: str,
    band: float | None,
    band_pixels: float | None,
    adaptive_band: bool,
    report: TrimapReport,
    seconds: dict[str, float] | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Probability and trimap of the subject of image (H, W, 3); `report` and `seconds` are filled in.

    The other parameters are as of `cutout`.
    """
    seconds = {} if seconds is None else seconds
    widths = {"band": band} if band is not None else {}
    with timed(seconds, "segment"):
        probability = segment(image, segmenter=segmenter)
    with timed(seconds, "trimap"):
        mixed = None
        if adaptive_band:
            from trimatte.alpha.glance import mixed_pixels

            mixed = mixed_pixels(image, probability)
        trimap = make_trimap(probability, band_pixels=band_pixels, mixed=mixed, report=report, **widths)
    return probability, trimap


def _span(occupied: np.ndarray, margin: int) -> slice:
    """From the first to the last that is set, and `margin` more on both sides; everything if none is."""
    (where,) = np.nonzero(occupied)
    return slice(max(0, where[0] - margin), where[-1] + 1 + margin) if len(where) else slice(None)


def _tell(report: CutoutReport, strict: bool) -> None:
    if strict and not report.subject:
        raise SubjectNotFoundError("no subject found")
    if not report.subject:
        warnings.warn("no subject found: the cut-out is fully transparent", SubjectWarning, stacklevel=4)
    for message in report.warnings if report.subject else ():
        warnings.warn(message, SubjectWarning, stacklevel=4)


__all__ = ["ArgumentError", "Cutout", "CutoutReport", "SubjectWarning", "cutout"]
