"""The whole way of a photo: subject, trimap, alpha, foreground colours."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from os import PathLike
from typing import IO, Any

import numpy as np

from trimatte.alpha import Matte, complaints, find_method, quiet_matte, remarks
from trimatte.alpha.refine import find_refiner
from trimatte.alpha.settle import settled
from trimatte.backdrop import BackdropMatte
from trimatte.composite import composite
from trimatte.confidence import DOUBTFUL, LEAST_TRUST, doubt_map, picture_confidence, subject_trust
from trimatte.errors import ArgumentError, SolverError, SubjectNotFoundError, SubjectWarning
from trimatte.foreground import complaint as foreground_complaint
from trimatte.foreground import quiet_foreground
from trimatte.images import MAX_PIXELS, Picture, output_format, read_picture, read_trimap
from trimatte.images.arrays import bands, grown
from trimatte.images.hidden import without_hidden
from trimatte.linalg.report import SolveReport
from trimatte.output.finish import Finished, finished, write_cutout, write_matte
from trimatte.output.framing import visible_box
from trimatte.output.options import output_of, with_preset
from trimatte.quality import USUAL
from trimatte.runtime.measure import KEPT_BYTES, give_back_memory, peak_bytes, timed
from trimatte.runtime.options import check_number
from trimatte.runtime.report import PlainReport
from trimatte.runtime.threads import for_each
from trimatte.segmentation import segment
from trimatte.segmentation.decide import decided
from trimatte.stages import Stages
from trimatte.trimap import (
    BACKGROUND,
    BOUND,
    DOUBT,
    KEPT,
    SPECK,
    TrimapReport,
    coarse_trimap,
    has_subject,
    is_matte,
    make_trimap,
    own_trimap,
    without_subject,
)

OPAQUE = 1 - 0.5 / 255
"""Alphas from here on are 255 in a file of 8 bits."""
Matting = Callable[[np.ndarray, np.ndarray | None, np.ndarray | None], Matte]
"""Alpha from an image and, where there is one, its trimap."""


@dataclass
class CutoutReport(PlainReport):
    """What happened on the way of one photo.

    Attributes
    ----------
    quality : str
        What was asked for; what it came to are `segmenter` and `alpha.method`.
    segmenter : str
        Name, empty if a trimap was given or the method needs none.
    subject : bool
        Whether a subject was found.
    confidence : float
        In [0, 1], to rank cut-outs by (see `trimatte.confidence`); 0 if no subject was found.
    band : float
        Half width of the unknown band in pixels, 0 if a trimap was given.
    specks : int
        Islands and holes of the segmenter's that were too small to be taken for the subject, or not for it.
    decided : float
        Share of the picture that its colours put on the other side than the segmenter did.
    trust : float
        That there is a subject, by how sure the segmenter is of what it found; 1 where a person says what it is.
    settled : float
        By how much alpha was lowered, in the mean over unknown pixels, where the subject is in doubt.
    backdrop : str
        The plain backdrop's colour as #rrggbb, empty if none was asked for or found.
    backdrop_note : str
        How far the picture's border has it, or why it was not taken for plain.
    own_alpha : str
        What the picture's own alpha was taken for: "" if it has none, or is opaque; "kept" as the result, since it lies
        on transparent ground; or an upper "bound".
    warnings : list of str
        Whatever the user should know, in words.
    alpha : SolveReport
        SolveReport of the alpha method.
    refine : SolveReport
        Of the refiner: which, how many pixels it redid, and on which device; without a name if there was none.
    seconds : dict of str to float
        Wall time by stage.
    peak_bytes : int
        The process's greatest resident memory so far.
    """

    quality: str = USUAL
    segmenter: str = ""
    subject: bool = True
    confidence: float = 0.0
    band: float = 0.0
    specks: int = 0
    decided: float = 0.0
    trust: float = 1.0
    settled: float = 0.0
    backdrop: str = ""
    backdrop_note: str = ""
    own_alpha: str = ""
    warnings: list[str] = field(default_factory=list)
    alpha: SolveReport = field(default_factory=SolveReport)
    refine: SolveReport = field(default_factory=SolveReport)
    seconds: dict[str, float] = field(default_factory=dict)
    peak_bytes: int = 0


@dataclass(frozen=True)
class Cutout:
    """A photo, cut out.

    Attributes
    ----------
    image : (H, W, 3) float32 array in [0, 1]
        As the stages saw it (sRGB).
    probability : (H, W) float32 array in [0, 1]
        Of foreground, None if a trimap was given or the method needs none.
    trimap : (H, W) uint8 array
        Values 0, 128 and 255, None if the method needs none.
    alpha : (H, W) float32 array in [0, 1]
    foreground : (H, W, 3) float32 array in [0, 1]
        Straight colours.
    report : CutoutReport
        How it came about.
    picture : Picture
        The photo as it was read: original colours, profile, bit depth.
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
        """Rows and columns of all that is visible, without specks, and of `margin` pixels about it; all if nothing is.

        What is visible is defined at `trimatte.output.framing.visible_box`.
        """
        check_number("margin", margin, least=0, whole=True)
        box = visible_box(self.alpha)
        return (slice(None), slice(None)) if box is None else grown(box, (margin, margin), self.alpha.shape)

    def finished(self, *, max_pixels: int = MAX_PIXELS, **options: Any) -> Finished:
        """What `save` writes, as arrays: colours, alpha, matte, profile and background.

        Parameters
        ----------
        max_pixels : int, default MAX_PIXELS
            The most that the result may have.
        **options : Any
            `preset` and options of `trimatte.output.options.Output`, as of `save`.
        """
        output = output_of(**with_preset(options.pop("preset", None), options))
        made = finished(self.foreground, self.alpha, self.picture, output, max_pixels=max_pixels)
        _warn(made.notes)
        return made

    def save(
        self,
        path: str | PathLike[str] | IO[bytes],
        *,
        output: str = "cutout",
        preset: str | PathLike[str] | None = None,
        crop: bool | int | None = None,
        margin: Any = None,
        size: Any = None,
        aspect: Any = None,
        align: str | None = None,
        background: Any = None,
        max_pixels: int = MAX_PIXELS,
        **options: Any,
    ) -> None:
        """Write the cut-out in the photo's own colours, profile and bit depth.

        Parameters
        ----------
        path : str, path or binary file object
            Where to.
        output : {'cutout', 'matte'}
            The cut-out, or its alpha alone as a grey picture, framed alike.
        preset : str or path, optional
            "marketplace", "passport", "sticker", "thumbnail" or a TOML file: options that those given replace.
        crop : bool or int, optional
            Cut to the subject; a number is that with a margin of so many pixels.
        margin : int, str or sequence, optional
            What a crop leaves about the subject on all sides: pixels, a share of the result such as "7.5%", or two or
            four of these in the order of CSS. The canvas grows where the photo ends.
        size : str or (int, int), optional
            Width and height of the result, "2000x2000", in which all is made as large as fits.
        aspect : str or float, optional
            Width by height, "4:5", that the result is enlarged to.
        align : {'center', 'bottom'}, optional
            Where the subject stands in a frame that is higher than needed.
        background : image-like or str, optional
            As of `trimatte.composite`: what the subject is laid over, instead of keeping alpha.
        max_pixels : int, default MAX_PIXELS
            The most that the result may have.
        **options : Any
            The others of `trimatte.output.options.Output`: outline, cast_shadow, profile, metadata, dpi,
            chroma, quality, format and so on.

        Raises
        ------
        ArgumentError
            For an unknown option or value, and as of `trimatte.save_image`.
        ImageWriteError
            If the file cannot be written.

        Warns
        -----
        SubjectWarning
            If there is no shadow on the ground, since the photo's lower border cuts the subject off.
        """
        framing = {"crop": crop, "margin": margin, "size": size, "aspect": aspect, "align": align}
        given = {**options, **framing, "background": background}
        _warn(quiet_save(self, path, output=output, preset=preset, max_pixels=max_pixels, **given))


def quiet_save(
    cut: Cutout,
    path: str | PathLike[str] | IO[bytes],
    *,
    output: str = "cutout",
    preset: str | PathLike[str] | None = None,
    max_pixels: int = MAX_PIXELS,
    **options: Any,
) -> list[str]:
    """`Cutout.save` without its warnings, which are returned; the cut-out's report has them, too."""
    if output not in ("cutout", "matte"):
        raise ArgumentError(f"output: got {output!r}; wanted 'cutout' or 'matte'")
    check_number("max_pixels", max_pixels, least=1, whole=True)
    asked = output_of(**with_preset(preset, options, path))
    output_format(path, asked.format)
    made = finished(cut.foreground, cut.alpha, cut.picture, asked, max_pixels=max_pixels)
    if output == "matte":
        write_matte(path, made, asked)
        return []
    write_cutout(path, made, asked)
    cut.report.warnings.extend(note for note in made.notes if note not in cut.report.warnings)
    return list(made.notes)


def _warn(notes: Iterable[str]) -> None:
    for note in notes:
        warnings.warn(note, SubjectWarning, stacklevel=3)


def cutout(
    image: Any,
    *,
    quality: str = USUAL,
    segmenter: str | None = None,
    method: str | None = None,
    trimap: Any = None,
    points: Any = None,
    not_points: Any = None,
    box: Any = None,
    backdrop: Any = "off",
    shadow: str = "drop",
    band: float | None = None,
    band_pixels: float | None = None,
    adaptive_band: bool = False,
    speck: float | None = None,
    foreground: str = "multilevel",
    foreground_options: Mapping[str, Any] | None = None,
    refine: str | None = None,
    refine_options: Mapping[str, Any] | None = None,
    strict: bool = False,
    max_pixels: int = MAX_PIXELS,
    **options: Any,
) -> Cutout:
    """Cut the subject out of a photo.

    Parameters
    ----------
    image : a path, bytes, a file object, a PIL image, or an array (H, W, 3) or (H, W, 4) of uint8, uint16 or
        float in [0, 1]. Where an alpha that it has is 0 is background, and the colours there are not used. If it lies
        on transparent ground, its own alpha is the result, unless there is a trimap; else it is an upper bound.
    quality : {'balanced', 'fast', 'best'}
        Chooses segmenter and method by the time that they take (see `trimatte.quality`).
    segmenter : str, optional
        Who finds the subject instead, a name of `trimatte.segmenters()`.
    method : str, optional
        How alpha is estimated instead, a name of `trimatte.alpha_methods()`.
    trimap : (H, W) array, optional
        Replaces the segmenter's; 0 background, 255 foreground, all between unknown.
    points, not_points, box : optional
        Where the subject is, and where it is not, as of `trimatte.segment`.
    backdrop : {'off', 'auto'} or a colour, default "off"
        That the background is of one colour, as `trimatte.composite` takes one: its colour is then known, and alpha and
        colours are solved for before it (see `trimatte.backdrop`) instead of by `method`, `refine` and `foreground`
        (but for "keep"). "auto" takes it where the border says so, else the ordinary way; the report tells which.
    shadow : {'drop', 'keep'}, default "drop"
        Whether shadows on a backdrop go, or stay as black with an alpha of their own.
    band, band_pixels : float, optional
        Half width of the unknown band, relative to the subject or in pixels; one of them.
    adaptive_band : bool, default False
        Let it be wide at hair and narrow at hard edges, as two methods see them on a small picture (see
        `trimatte.alpha.adaptive_band`).
    speck : float, optional
        Islands and holes of less than this share of the subject's area follow what surrounds them; by default 0.002, 0
        to keep all.
    foreground : str, default "multilevel"
        How its colours are estimated; "keep" leaves the photo's colours as they are, the background's too.
    foreground_options : mapping, optional
        Of that method (see `trimatte.estimate_foreground`), such as `rtol`.
    refine : str, optional
        Redo alpha where it is unsure, by "light", "hybrid", "deep-image-matting" or a matting network that was added;
        needs a trimap, the segmenter's or your own.
    refine_options : mapping, optional
        Of the refiner: `sure` and `margin` (see `trimatte.alpha.refine.refine_alpha`), and those of its method.
    strict : bool, default False
        Raise if no subject is found, a solver does not converge, or alpha is undetermined somewhere.
    max_pixels : int, default MAX_PIXELS
        Refuse larger pictures before they are decoded.
    **options : Any
        Of the alpha method.

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
    stages = Stages(
        quality=quality,
        segmenter=segmenter,
        method=method,
        trimap=trimap,
        points=points,
        not_points=not_points,
        box=box,
        backdrop=backdrop,
        shadow=shadow,
        band=band,
        band_pixels=band_pixels,
        adaptive_band=adaptive_band,
        speck=speck,
        foreground=foreground,
        refine=refine,
        foreground_options=foreground_options,
        refine_options=refine_options,
        strict=strict,
        max_pixels=max_pixels,
    )
    stages.check(**options)
    return cutout_by(matting_of(stages, **options), image, stages)


def matting_of(stages: Stages, *, most: int | None = None, **options: Any) -> Matting:
    """The function that estimates alpha from an image, its trimap and the map that this was derived from, if it was.

    For about `most` unknown pixels at most (see `trimatte.alpha.reduced`).
    """
    settings = {
        "method": stages.way.method,
        "strict": stages.strict,
        "given": stages.trimap is not None,
        **options,
    }
    bounds = [bound for bound in (most, None if options else stages.pixels) if bound is not None]
    estimate: Callable[..., Matte] = partial(quiet_matte, **settings)
    if bounds:
        from trimatte.alpha.reduced import reduced_matte

        estimate = partial(reduced_matte, pixels=min(bounds), **settings)
    sees_map = find_method(stages.way.method).sees_map and "probability" not in options

    def matting(image: np.ndarray, trimap: np.ndarray | None, probability: np.ndarray | None) -> Matte:
        return estimate(image, trimap, probability=probability) if sees_map else estimate(image, trimap)

    return matting


def cutout_by(matting: Matting, image: Any, stages: Stages) -> Cutout:
    """`cutout` with any function from image, trimap and what this was derived from, if it was, to alpha.

    Where the method of `stages` needs no trimap, only a given one is known.
    """
    cut = quiet_cutout(matting, image, stages)
    for message in cut.report.warnings:
        warnings.warn(message, SubjectWarning, stacklevel=3)
    return cut


def quiet_cutout(matting: Matting, image: Any, stages: Stages) -> Cutout:
    """`cutout_by` without the warnings, which cannot be caught where threads share the process; the report has them."""
    way = stages.way
    segmenter = way.segmenter if find_method(way.method).needs_trimap else None
    report = CutoutReport(quality=stages.quality)
    with timed(report.seconds, "read"):
        picture = without_hidden(read_picture(image, max_pixels=stages.max_pixels))
    report.warnings.extend(picture.notes)
    size = picture.image.shape[:2]
    own = picture.alpha if picture.alpha is not None and (picture.alpha < 1).any() else None
    probability: np.ndarray | None = None
    known: np.ndarray | None = None
    keyed: BackdropMatte | None = None
    if stages.trimap is not None:
        known = read_trimap(stages.trimap, shape=picture, max_pixels=stages.max_pixels)
    elif is_matte(own) and picture.subject is None and not stages.pointed:
        return _settle_report(_already_cut(picture, report), stages.strict)
    elif segmenter is not None:
        notes, report.segmenter = TrimapReport(), segmenter
        probability, known = find_trimap(picture, stages, report=notes, seconds=report.seconds)
        report.subject, report.band, report.specks = notes.subject, notes.band, notes.specks
        report.decided, report.trust = notes.decided, notes.trust
        if probability is not None and stages.keyed:
            pointed = picture.subject is not None or stages.pointed
            keyed = _keyed(picture.image, probability, stages, pointed, report)
        if keyed is None:
            report.warnings.extend(notes.notes)
        else:
            known = keyed.trimap
    if own is not None:
        report.own_alpha = "bound"
        report.warnings.append(BOUND)
        known = None if known is None else np.where(own > 0, known, np.uint8(BACKGROUND))
    alpha = np.zeros(size, np.float32)
    if report.subject:
        alpha = keyed.alpha if keyed is not None else _alpha(matting, picture.image, known, probability, report)
        if stages.refine is not None and keyed is None:
            alpha = _refined(stages, picture.image, known, alpha, report)
        if keyed is None and probability is not None and known is not None:
            with timed(report.seconds, "settle"):
                alpha, report.settled = settled(alpha, probability, known)
        alpha = alpha if own is None else np.minimum(alpha, own)
        report.confidence = picture_confidence(alpha, probability, known)
    if not report.subject:
        alpha, report.confidence = np.zeros(size, np.float32), 0.0
    give_back_memory(above=KEPT_BYTES)  # of the stages before; the colours of a large picture take most of all
    with timed(report.seconds, "foreground"):
        if keyed is not None and stages.foreground != "keep" and alpha.any():
            colours = keyed.foreground
        else:
            colours = _colours(stages, picture, alpha, report)
        if colours is not picture.image:
            _keep_opaque(colours, picture.image, alpha)
    report.peak_bytes = peak_bytes()
    return _settle_report(Cutout(picture.image, probability, known, alpha, colours, report, picture), stages.strict)


def _alpha(
    matting: Matting,
    image: np.ndarray,
    known: np.ndarray | None,
    probability: np.ndarray | None,
    report: CutoutReport,
) -> np.ndarray:
    """Alpha by a function from image, trimap and map; what it has to say joins the report."""
    matte = matting(image, known, probability)
    report.alpha = matte.report
    report.warnings.extend(remarks(matte.report))
    report.seconds.update(matte.report.seconds)
    # A network that needs no trimap says by its alpha that there is nothing; glass and smoke are never sure.
    if known is None and not has_subject(matte.alpha, 0.5):
        report.subject = False
        report.warnings.append("no subject found")
    return matte.alpha


def _keyed(
    image: np.ndarray,
    probability: np.ndarray,
    stages: Stages,
    pointed: bool,
    report: CutoutReport,
) -> BackdropMatte | None:
    """What stands before a plain backdrop, or None if there is none; the report says which."""
    from trimatte.backdrop import find_backdrop, hexadecimal, key

    with timed(report.seconds, "backdrop"):
        field, report.backdrop_note = find_backdrop(image, stages.backdrop, probability=probability)
        if field is None:
            return None
        report.backdrop, report.alpha = hexadecimal(field.colour), SolveReport(method="backdrop")
        keyed = key(image, field, probability=probability, shadow=stages.shadow, only=pointed, report=report.alpha)
    report.subject, report.band, report.specks = bool((keyed.alpha >= 0.5).any()), 0.0, 0
    report.warnings.extend([] if report.subject else ["no subject found"])
    report.warnings.extend(faults := complaints(report.alpha))
    if stages.strict and faults:
        raise SolverError("; ".join(faults))
    return keyed


def _colours(stages: Stages, picture: Picture, alpha: np.ndarray, report: CutoutReport) -> np.ndarray:
    """The subject's colours (H, W, 3): black if there is none, so that no background stays in the file."""
    if not alpha.any():
        return np.zeros_like(picture.image)
    if stages.foreground == "keep":
        return picture.image
    notes = SolveReport(method=stages.foreground)
    colours = quiet_foreground(
        picture.image,
        alpha,
        method=stages.foreground,
        strict=stages.strict,
        report=notes,
        **(stages.foreground_options or {}),
    )
    if not notes.converged:
        report.warnings.append(foreground_complaint(notes))
    report.warnings.extend(notes.fallbacks)
    return colours


def _keep_opaque(colours: np.ndarray, image: np.ndarray, alpha: np.ndarray) -> None:
    """Put the picture's own colours where alpha is opaque in 8 bits: they hold less than a step of any other."""

    def keep(rows: slice) -> None:
        opaque = (alpha[rows] >= OPAQUE) & (alpha[rows] < 1)  # where it is 1 they are there
        colours[rows][opaque] = image[rows][opaque]

    for_each(keep, bands(alpha.shape))


def _already_cut(picture: Picture, report: CutoutReport) -> Cutout:
    """The cut-out of a picture whose own alpha is the matte: itself, without what it hides."""
    assert picture.alpha is not None
    alpha, report.own_alpha = picture.alpha, "kept"
    report.warnings.append(KEPT)
    if not alpha.any():
        report.subject = False
        report.warnings.append("no subject found")
    report.alpha.solver = "the picture's own alpha"
    report.confidence = picture_confidence(alpha)
    report.peak_bytes = peak_bytes()
    colours = np.where((alpha > 0)[..., None], picture.image, np.float32(0))
    return Cutout(picture.image, None, own_trimap(alpha), alpha, colours, report, picture)


def _refined(
    stages: Stages, image: np.ndarray, trimap: np.ndarray | None, alpha: np.ndarray, report: CutoutReport
) -> np.ndarray:
    """Alpha after the refiner; what it has to say joins the warnings."""
    name, options = stages.refine, stages.refine_options or {}
    assert name is not None
    if trimap is None:
        raise ArgumentError(f"refine: {name!r} needs a trimap, and the method takes none")
    notes = report.refine = SolveReport(method=name)
    with timed(report.seconds, "refine"):
        refined: np.ndarray = find_refiner(name)(image, trimap, alpha, report=notes, **options)
    report.warnings.extend(notes.fallbacks)
    return refined


def find_trimap(
    picture: Picture, stages: Stages, *, report: TrimapReport, seconds: dict[str, float] | None = None
) -> tuple[np.ndarray | None, np.ndarray]:
    """Probability and trimap of the subject of a picture without hidden colours; `report` and `seconds` are filled in.

    Where its own alpha is the matte there is no probability.
    """
    seconds = {} if seconds is None else seconds
    image, own = picture.image, picture.alpha
    prompted = picture.subject is not None or stages.pointed
    if own is not None and is_matte(own) and not prompted:
        report.notes.append(KEPT)
        report.subject = bool(own.any())
        return None, own_trimap(own)
    with timed(seconds, "segment"):
        probability = picture.subject
        if probability is None:
            seen = pointed_at(picture) if prompted else image
            probability = segment(seen, segmenter=stages.way.segmenter, **stages.prompts)
    if not prompted:
        report.trust = subject_trust(probability)
    trusted = report.trust >= LEAST_TRUST
    if trusted and report.trust < DOUBTFUL:
        report.notes.append(DOUBT)
    if trusted and not prompted:
        with timed(seconds, "decide"):
            found, probability = probability, decided(image, probability)
            report.decided = float(np.mean((found > 0.5) != (probability > 0.5)))
    with timed(seconds, "trimap"):
        widths: dict[str, Any] = {"band": stages.band, "band_pixels": stages.band_pixels}
        widths["speck"] = SPECK if stages.speck is None else stages.speck
        if not trusted:
            trimap = without_subject(probability, report)
        elif stages.adaptive_band:
            from trimatte.alpha.adaptive_band import adaptive_trimap

            trimap = adaptive_trimap(image, probability, **widths, report=report)
        elif picture.subject is None:
            trimap = coarse_trimap(probability, **widths, report=report)
        else:
            trimap = make_trimap(probability, **widths, report=report)
    if own is not None and (own < 1).any():
        report.notes.append(BOUND)
        trimap = np.where(own > 0, trimap, np.uint8(BACKGROUND))
    return probability, trimap


def pointed_at(picture: Picture) -> np.ndarray:
    """The image (H, W, 3) in which a person points: one that is cut out already lies on grey, as its colours go on."""
    own = picture.alpha
    if own is None or not is_matte(own):
        return picture.image
    grey: np.ndarray = np.float32(0.5) + own[..., None] * (picture.image - np.float32(0.5))
    return grey


def _settle_report(cut: Cutout, strict: bool) -> Cutout:
    """The cut-out, whose report says each thing once; `strict` wants a subject."""
    cut.report.warnings = list(dict.fromkeys(cut.report.warnings))
    if strict and not cut.report.subject:
        raise SubjectNotFoundError("no subject found")
    return cut


__all__ = ["ArgumentError", "Cutout", "CutoutReport", "SubjectWarning", "cutout"]
