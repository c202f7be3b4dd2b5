"""The whole way of a photo: subject, trimap, alpha, foreground colours."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from os import PathLike
from typing import IO, Any

import numpy as np

from trimatte.alpha import Matte, complaints, find_method, quiet_matte
from trimatte.alpha.refine import find_refiner
from trimatte.alpha.settle import settled
from trimatte.backdrop import BackdropMatte, check_backdrop
from trimatte.composite import composite
from trimatte.confidence import DOUBTFUL, LEAST_TRUST, doubt_map, picture_confidence, subject_trust
from trimatte.errors import ArgumentError, SolverError, SubjectNotFoundError, SubjectWarning
from trimatte.foreground import METHODS as FOREGROUND_METHODS
from trimatte.foreground import complaint as foreground_complaint
from trimatte.foreground import foreground_method, quiet_foreground
from trimatte.images import MAX_PIXELS, Picture, output_format, read_picture, read_trimap
from trimatte.images.arrays import grown
from trimatte.images.hidden import without_hidden
from trimatte.linalg.report import SolveReport
from trimatte.output.finish import Finished, finished, write_cutout, write_matte
from trimatte.output.framing import visible_box
from trimatte.output.options import output_of, with_preset
from trimatte.quality import DRAWN, USUAL, chosen
from trimatte.runtime.measure import peak_bytes, timed
from trimatte.runtime.options import check_flag, check_number, check_options
from trimatte.runtime.report import PlainReport
from trimatte.segmentation import check_prompted, find_segmenter, segment
from trimatte.segmentation.decide import decided
from trimatte.segmentation.prompts import read_prompts
from trimatte.trimap import (
    BACKGROUND,
    BOUND,
    DOUBT,
    KEPT,
    SPECK,
    WIDEST,
    TrimapReport,
    check_widths,
    coarse_trimap,
    has_subject,
    is_matte,
    make_trimap,
    own_trimap,
    without_subject,
)


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
        Share of the unknown pixels' alpha that is the probability's, since nothing known is near; 0 for networks.
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
        return finished(self.foreground, self.alpha, self.picture, output, max_pixels=max_pixels)

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
            For an option that there is not, or whose value is another, and as `trimatte.save_image`.
        ImageWriteError
            If the file cannot be written.
        """
        if output not in ("cutout", "matte"):
            raise ArgumentError(f"output: got {output!r}; wanted 'cutout' or 'matte'")
        check_number("max_pixels", max_pixels, least=1, whole=True)
        framing = {"crop": crop, "margin": margin, "size": size, "aspect": aspect, "align": align}
        asked = output_of(**with_preset(preset, {**options, **framing, "background": background}, path))
        output_format(path, asked.format)
        made = finished(self.foreground, self.alpha, self.picture, asked, max_pixels=max_pixels)
        (write_matte if output == "matte" else write_cutout)(path, made, asked)


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
        Chooses segmenter and method, by what is to be had in a time (see `trimatte.quality`).
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
        Let it be wide at hair and narrow at hard edges, as the network of the method "glance" sees them.
    speck : float, optional
        Islands and holes of less than this share of the subject's area follow what surrounds them; by default 0.002, 0
        to keep all.
    foreground : str, default "multilevel"
        How its colours are estimated; "keep" leaves the photo's colours as they are, the background's too.
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
    check_arguments(
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
        refine_options=refine_options,
        strict=strict,
        max_pixels=max_pixels,
        **options,
    )
    way = chosen(quality, segmenter=segmenter, method=method)
    given = trimap is not None
    settings = {"method": way.method, "strict": strict, "given": given, **options}
    matting: Callable[[np.ndarray, np.ndarray | None], Matte] = partial(quiet_matte, **settings)
    if way.pixels is not None and not options:
        from trimatte.alpha.reduced import reduced_matte

        matting = partial(reduced_matte, pixels=way.pixels * (DRAWN if given else 1), **settings)
    return cutout_by(
        matting,
        image,
        quality=quality,
        segmenter=way.segmenter if find_method(way.method).needs_trimap else None,
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
        refine_options=refine_options,
        strict=strict,
        max_pixels=max_pixels,
    )


def cutout_by(
    matting: Callable[[np.ndarray, np.ndarray | None], Matte],
    image: Any,
    *,
    quality: str,
    segmenter: str | None,
    trimap: Any,
    points: Any,
    not_points: Any,
    box: Any,
    backdrop: Any,
    shadow: str,
    band: float | None,
    band_pixels: float | None,
    adaptive_band: bool,
    speck: float | None,
    foreground: str,
    refine: str | None,
    refine_options: Mapping[str, Any] | None,
    strict: bool,
    max_pixels: int,
) -> Cutout:
    """`cutout` with any function from image and trimap to alpha; without a segmenter only a given trimap is known.

    The other parameters are as of `cutout`, the quality for the report alone.
    """
    report = CutoutReport(quality=quality)
    with timed(report.seconds, "read"):
        picture = without_hidden(read_picture(image, max_pixels=max_pixels))
    report.warnings.extend(picture.notes)
    size = picture.image.shape[:2]
    own = picture.alpha if picture.alpha is not None and (picture.alpha < 1).any() else None
    probability: np.ndarray | None = None
    known: np.ndarray | None = None
    keyed: BackdropMatte | None = None
    if trimap is not None:
        known = read_trimap(trimap, shape=picture, max_pixels=max_pixels)
    elif is_matte(own) and picture.subject is None and not read_prompts(points, not_points, box):
        cut = _already_cut(picture, report)
        _tell(report, strict)
        return cut
    elif segmenter is not None:
        notes, report.segmenter = TrimapReport(), segmenter
        probability, known = find_trimap(
            picture,
            segmenter=segmenter,
            points=points,
            not_points=not_points,
            box=box,
            band=band,
            band_pixels=band_pixels,
            adaptive_band=adaptive_band,
            speck=speck,
            report=notes,
            seconds=report.seconds,
        )
        report.subject, report.band, report.specks = notes.subject, notes.band, notes.specks
        report.decided, report.trust = notes.decided, notes.trust
        if probability is not None and not _is_off(backdrop):
            pointed = picture.subject is not None or bool(read_prompts(points, not_points, box))
            keyed = _keyed(picture.image, probability, backdrop, shadow, pointed, report, strict)
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
        alpha = keyed.alpha if keyed is not None else _alpha(matting, picture.image, known, report)
        spreads = keyed is None and not find_method(report.alpha.method).refines
        if spreads and probability is not None and known is not None and report.band:
            alpha = _settled(
                alpha, probability, known, float(WIDEST) * report.band if adaptive_band else report.band, report
            )
        if refine is not None and keyed is None:
            alpha = _refined(refine, picture.image, known, alpha, refine_options or {}, report)
        alpha = alpha if own is None else np.minimum(alpha, own)
        report.confidence = picture_confidence(alpha, probability, known)
    if not report.subject:
        alpha, report.confidence = np.zeros(size, np.float32), 0.0
    with timed(report.seconds, "foreground"):
        if keyed is not None and foreground != "keep" and alpha.any():
            colours = keyed.foreground
        else:
            colours = _colours(foreground, picture, alpha, report, strict)
    report.peak_bytes = peak_bytes()
    _tell(report, strict)
    return Cutout(picture.image, probability, known, alpha, colours, report, picture)


def _alpha(
    matting: Callable[[np.ndarray, np.ndarray | None], Matte],
    image: np.ndarray,
    known: np.ndarray | None,
    report: CutoutReport,
) -> np.ndarray:
    """Alpha by a function from image and trimap; what it has to say joins the report."""
    matte = matting(image, known)
    report.alpha = matte.report
    report.warnings.extend([*complaints(matte.report), *matte.report.fallbacks])
    report.seconds.update(matte.report.seconds)
    # A network that needs no trimap says by its alpha that there is nothing; glass and smoke are never sure.
    if known is None and not has_subject(matte.alpha, 0.5):
        report.subject = False
        report.warnings.append("no subject found")
    return matte.alpha


def _settled(
    alpha: np.ndarray, probability: np.ndarray, trimap: np.ndarray, reach: float, report: CutoutReport
) -> np.ndarray:
    """Alpha that far from what is known passes into the probability; the report has how much of it."""
    with timed(report.seconds, "settle"):
        alpha, share = settled(alpha, probability, trimap, reach)
        report.settled = float(share.sum(dtype=np.float64)) / max(1, report.alpha.unknown)
    return alpha


def _is_off(backdrop: Any) -> bool:
    return isinstance(backdrop, str) and backdrop == "off"


def _keyed(
    image: np.ndarray,
    probability: np.ndarray,
    backdrop: Any,
    shadow: str,
    pointed: bool,
    report: CutoutReport,
    strict: bool,
) -> BackdropMatte | None:
    """What stands before a plain backdrop, or None if there is none; the report says which."""
    from trimatte.backdrop import find_backdrop, hexadecimal, key

    with timed(report.seconds, "backdrop"):
        field, report.backdrop_note = find_backdrop(image, backdrop, probability=probability)
        if field is None:
            return None
        report.backdrop, report.alpha = hexadecimal(field.colour), SolveReport(method="backdrop")
        keyed = key(image, field, probability=probability, shadow=shadow, only=pointed, report=report.alpha)
    report.subject, report.band, report.specks = bool((keyed.alpha >= 0.5).any()), 0.0, 0
    report.warnings.extend([] if report.subject else ["no subject found"])
    report.warnings.extend(faults := complaints(report.alpha))
    if strict and faults:
        raise SolverError("; ".join(faults))
    return keyed


def _colours(foreground: str, picture: Picture, alpha: np.ndarray, report: CutoutReport, strict: bool) -> np.ndarray:
    """The subject's colours (H, W, 3): black if there is none, so that no background stays in the file."""
    if not alpha.any():
        return np.zeros_like(picture.image)
    if foreground == "keep":
        return picture.image
    notes = SolveReport(method=foreground)
    colours = quiet_foreground(picture.image, alpha, method=foreground, strict=strict, report=notes)
    if not notes.converged:
        report.warnings.append(foreground_complaint(notes))
    report.warnings.extend(notes.fallbacks)
    return colours


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
    notes = report.refine = SolveReport(method=name)
    with timed(report.seconds, "refine"):
        refined: np.ndarray = find_refiner(name)(image, trimap, alpha, report=notes, **options)
    report.warnings.extend(notes.fallbacks)
    return refined


def check_names(*, segmenter: str, method: str, foreground: str, refine: str | None = None) -> None:
    """Raise `ArgumentError`, which lists the names there are, for a stage's method that there is not."""
    find_segmenter(segmenter)
    find_method(method)
    if foreground not in ("keep", *FOREGROUND_METHODS):
        foreground_method(foreground)
    if refine is not None:
        find_refiner(refine)


def check_arguments(
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
    refine: str | None = None,
    refine_options: Mapping[str, Any] | None = None,
    strict: bool = False,
    max_pixels: int = MAX_PIXELS,
    **options: Any,
) -> None:
    """Raise `ArgumentError` for options of `cutout` that no picture could be done with."""
    way = chosen(quality, segmenter=segmenter, method=method)
    segmenter, method = way.segmenter, way.method
    check_names(segmenter=segmenter, method=method, foreground=foreground, refine=refine)
    row = find_method(method)
    if options:
        check_options(method, row.load(), options)
    check_flag("strict", strict)
    check_flag("adaptive_band", adaptive_band)
    check_number("max_pixels", max_pixels, least=1, whole=True)
    check_widths(band=band, band_pixels=band_pixels, speck=speck)
    check_refine(refine, refine_options)
    check_backdrop(backdrop, shadow)
    of_trimap = {"band": band, "band_pixels": band_pixels, "speck": speck, "adaptive_band": adaptive_band or None}
    if read_prompts(points, not_points, box):
        check_prompted(segmenter)
        of_trimap |= {"points": points, "not_points": not_points, "box": box}
    if not _is_off(backdrop):
        of_trimap |= {"backdrop": backdrop}
    elif shadow != "drop":
        raise ArgumentError(f"shadow: got {shadow!r}, but no backdrop")
    for name, value in of_trimap.items():
        if value is not None and (trimap is not None or not row.needs_trimap):
            why = "a trimap was given" if trimap is not None else f"method {method!r} needs no trimap"
            raise ArgumentError(f"{name}: got {value}, but {why}")


def check_refine(refine: str | None, options: Mapping[str, Any] | None) -> None:
    """Raise `ArgumentError` for options that the refiner does not take, or that there is no refiner for."""
    if not isinstance(options, (Mapping, type(None))):
        raise ArgumentError(f"refine_options: got {options!r}, wanted a mapping of names to values")
    if refine is not None:
        check_options(refine, find_refiner(refine), {k: v for k, v in (options or {}).items() if k != "report"})
    elif options:
        raise ArgumentError(f"refine_options: got {', '.join(options)}, but no refine")


def find_trimap(
    picture: Picture,
    *,
    segmenter: str,
    points: Any = None,
    not_points: Any = None,
    box: Any = None,
    band: float | None,
    band_pixels: float | None,
    adaptive_band: bool,
    speck: float | None,
    report: TrimapReport,
    seconds: dict[str, float] | None = None,
) -> tuple[np.ndarray | None, np.ndarray]:
    """Probability and trimap of the subject of a picture without hidden colours; `report` and `seconds` are filled in.

    Where its own alpha is the matte there is no probability. The other parameters are as of `cutout`.
    """
    seconds = {} if seconds is None else seconds
    image, own = picture.image, picture.alpha
    prompted = picture.subject is not None or bool(read_prompts(points, not_points, box))
    if own is not None and is_matte(own) and not prompted:
        report.notes.append(KEPT)
        report.subject = bool(own.any())
        return None, own_trimap(own)
    with timed(seconds, "segment"):
        probability = picture.subject
        if probability is None:
            seen = pointed_at(picture) if prompted else image
            probability = segment(seen, segmenter=segmenter, points=points, not_points=not_points, box=box)
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
        mixed = None
        if adaptive_band and trusted:
            from trimatte.alpha.glance import mixed_pixels

            mixed = mixed_pixels(image, probability)
        speck = SPECK if speck is None else speck
        if not trusted:
            trimap = without_subject(probability, report)
        elif mixed is None and picture.subject is None:
            trimap = coarse_trimap(probability, band=band, band_pixels=band_pixels, speck=speck, report=report)
        else:
            trimap = make_trimap(
                probability, band=band, band_pixels=band_pixels, mixed=mixed, speck=speck, report=report
            )
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


def _tell(report: CutoutReport, strict: bool) -> None:
    report.warnings = list(dict.fromkeys(report.warnings))
    if strict and not report.subject:
        raise SubjectNotFoundError("no subject found")
    for message in report.warnings:
        warnings.warn(message, SubjectWarning, stacklevel=4)


__all__ = ["ArgumentError", "Cutout", "CutoutReport", "SubjectWarning", "cutout"]
