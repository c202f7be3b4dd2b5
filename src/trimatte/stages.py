"""What each stage of a cut-out is to do, and whether all of it goes together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from trimatte.alpha import find_method
from trimatte.alpha.refine import find_refiner
from trimatte.backdrop import check_backdrop
from trimatte.errors import ArgumentError
from trimatte.foreground import METHODS as FOREGROUND_METHODS
from trimatte.foreground import foreground_method
from trimatte.images import MAX_PIXELS
from trimatte.quality import DRAWN, USUAL, Way, chosen
from trimatte.runtime.options import check_flag, check_number, check_options
from trimatte.segmentation import check_prompted, find_segmenter
from trimatte.segmentation.prompts import read_prompts
from trimatte.trimap import check_widths


@dataclass(frozen=True, kw_only=True)
class Stages:
    """The options of `trimatte.cutout`, as described there, without those of its alpha method."""

    quality: str = USUAL
    segmenter: str | None = None
    method: str | None = None
    trimap: Any = None
    points: Any = None
    not_points: Any = None
    box: Any = None
    backdrop: Any = "off"
    shadow: str = "drop"
    band: float | None = None
    band_pixels: float | None = None
    adaptive_band: bool = False
    speck: float | None = None
    foreground: str = "multilevel"
    foreground_options: Mapping[str, Any] | None = None
    refine: str | None = None
    refine_options: Mapping[str, Any] | None = None
    strict: bool = False
    max_pixels: int = MAX_PIXELS

    @property
    def way(self) -> Way:
        """Segmenter and method, by the quality or by name. Raises `ArgumentError` for a quality that there is not."""
        drawn = self.trimap is not None
        return chosen(self.quality, segmenter=self.segmenter, method=self.method, drawn=drawn)

    @property
    def pixels(self) -> int | None:
        """With more unknown pixels alpha is estimated on a smaller picture, as the quality has it; None for any."""
        most = self.way.pixels
        return most if most is None or self.trimap is None else DRAWN * most

    @property
    def prompts(self) -> dict[str, Any]:
        """What is pointed at, as `trimatte.segment` takes it."""
        return {"points": self.points, "not_points": self.not_points, "box": self.box}

    @property
    def pointed(self) -> bool:
        """Whether a person says where the subject is."""
        return bool(read_prompts(**self.prompts))

    @property
    def keyed(self) -> bool:
        """Whether the background may be of one colour."""
        return not (isinstance(self.backdrop, str) and self.backdrop == "off")

    def check(self, **options: Any) -> None:
        """Raise `ArgumentError` for what fails with any picture; `options` are those of the alpha method."""
        way = self.way
        check_names(segmenter=way.segmenter, method=way.method, foreground=self.foreground, refine=self.refine)
        row = find_method(way.method)
        if options:
            check_options(way.method, row.load(), options)
        check_flag("strict", self.strict)
        check_flag("adaptive_band", self.adaptive_band)
        check_number("max_pixels", self.max_pixels, least=1, whole=True)
        check_widths(band=self.band, band_pixels=self.band_pixels, speck=self.speck)
        check_refine(self.refine, self.refine_options)
        check_foreground(self.foreground, self.foreground_options)
        check_backdrop(self.backdrop, self.shadow)
        names = ["band", "band_pixels", "speck"] + ["adaptive_band"] * self.adaptive_band
        if self.pointed:
            check_prompted(way.segmenter)
            names += self.prompts
        if self.keyed:
            names += ["backdrop"]
        elif self.shadow != "drop":
            raise ArgumentError(f"shadow: got {self.shadow!r}, but no backdrop")
        for name in names:
            value = getattr(self, name)
            if value is not None and (self.trimap is not None or not row.needs_trimap):
                why = "a trimap was given" if self.trimap is not None else f"method {way.method!r} needs no trimap"
                raise ArgumentError(f"{name}: got {value}, but {why}")


def check_names(*, segmenter: str, method: str, foreground: str, refine: str | None = None) -> None:
    """Raise `ArgumentError`, which lists the known names, for an unknown method of a stage."""
    find_segmenter(segmenter)
    find_method(method)
    if foreground not in ("keep", *FOREGROUND_METHODS):
        foreground_method(foreground)
    if refine is not None:
        find_refiner(refine)


def check_foreground(foreground: str, options: Mapping[str, Any] | None) -> None:
    """Raise `ArgumentError` for options unknown to the method of colours, or given where the photo's are kept."""
    _check_mapping("foreground_options", options)
    if options and foreground == "keep":
        raise ArgumentError(f"foreground_options: got {', '.join(map(str, options))}, but the photo's colours are kept")
    if options:
        check_options(foreground, foreground_method(foreground), options)


def check_refine(refine: str | None, options: Mapping[str, Any] | None) -> None:
    """Raise `ArgumentError` for options unknown to the refiner, or given without one."""
    _check_mapping("refine_options", options)
    if refine is not None:
        check_options(refine, find_refiner(refine), {k: v for k, v in (options or {}).items() if k != "report"})
    elif options:
        raise ArgumentError(f"refine_options: got {', '.join(map(str, options))}, but no refine")


def _check_mapping(name: str, options: object) -> None:
    if not isinstance(options, (Mapping, type(None))):
        raise ArgumentError(f"{name}: got {options!r}, wanted a mapping of names to values")
