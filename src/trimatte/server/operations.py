"""What the service does, one entry an address: this table answers requests, and writes the OpenAPI document."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from trimatte.alpha import ready_methods
from trimatte.backdrop import SHADOWS, WORDS
from trimatte.errors import ArgumentError
from trimatte.output.options import NAMES, OUTPUTS, PARAMETERS, output_of, presets, with_preset
from trimatte.quality import USUAL, WAYS, apart
from trimatte.runtime.parameters import (
    Choice,
    Colour,
    Flag,
    Integer,
    Number,
    Parameter,
    Schema,
    WordOrColour,
    WordOrInteger,
)
from trimatte.segmentation import segmenters
from trimatte.server.parameters import parse_parameters
from trimatte.server.pointing import PROMPTS
from trimatte.server.problems import Problem

Values = dict[str, Any]


@dataclass(frozen=True)
class FourNumbers:
    """Red, green, blue and alpha of 0 to 255, with commas between."""

    def parse(self, text: str) -> list[int]:
        parts = text.split(",") if len(text) <= 64 else []
        try:
            return [Integer(0, 255).parse(part.strip()) for part in parts] if len(parts) == 4 else _no_numbers()
        except ValueError:
            return _no_numbers()

    def schema(self) -> Schema:
        return {"type": "string", "maxLength": 64, "examples": ["255,255,255,255"]}


def _no_numbers() -> list[int]:
    raise ValueError("four numbers of 0 to 255 with commas between")


@dataclass(frozen=True)
class Operation:
    """An address that takes pictures and gives one.

    Attributes
    ----------
    name : str
        Of the task that the workers know; its address is /v1/NAME.
    summary : str
        What it does, in a line.
    parameters : tuple of Parameter
        The table that requests are checked against.
    required, optional : tuple of str
        Names of the files that a body has. A raw body is the first.
    formats : tuple of str
        What it can answer with; the first by default.
    check : callable
        Raises `Problem` where parameters do not go together.
    path : str
        Its address, where it is another.
    blanks : bool
        Whether its clients send also the parameters that they leave empty, which then have their defaults.
    """

    name: str
    summary: str
    parameters: tuple[Parameter, ...]
    required: tuple[str, ...]
    optional: tuple[str, ...]
    formats: tuple[str, ...]
    check: Callable[[Values], None]
    path: str = ""
    blanks: bool = False

    def parse(self, given: Iterable[tuple[str, str]]) -> Values:
        """The values of its parameters; raises `Problem` as `parse_parameters`."""
        return parse_parameters(self.parameters, ((name, text) for name, text in given if text or not self.blanks))

    @property
    def address(self) -> str:
        """Where it is asked for."""
        return self.path or f"/v1/{self.name}"


LOOKS = (
    Parameter("quality", Integer(1, 100), None, "Of WebP and JPEG."),
    Parameter("background", Colour(), None, "A colour to lay the subject over, instead of keeping alpha."),
    Parameter("preset", Choice(tuple(presets())), None, "Options that those given replace."),
    *PARAMETERS,
)
"""How a cut-out is written, as clients may ask for it."""


def served_methods(*, trimap: bool) -> tuple[str, ...]:
    """Alpha methods that need no weights of the client's: those that need a trimap, or all."""
    return tuple(ready_methods(trimap=trimap))


def served_segmenters() -> tuple[str, ...]:
    """Segmenters that are there: the embedded ones, the operator's, and those of other packages."""
    return tuple(segmenters())


def operations() -> tuple[Operation, ...]:
    """All operations, with the methods and segmenters that are installed."""
    segmenter = Parameter("segmenter", Choice(served_segmenters()), "lite", "Who finds the subject.")
    method = Parameter("method", Choice(served_methods(trimap=True)), "closed-form", "How alpha is estimated.")
    whole = Choice(served_methods(trimap=False))
    ways = Choice(tuple(WAYS))
    band = Parameter("band", Number(0, 1), None, "Half width of the unknown band, relative to the subject.")
    pixels = Parameter("band_pixels", Number(0, 1000), None, "Half width of the unknown band in pixels, instead.")
    adaptive = Parameter("adaptive_band", Flag(), False, "Let the band be wide at hair and narrow at hard edges.")
    strict = Parameter("strict", Flag(), False, "Answer 422 if no subject is found or the solver does not converge.")
    cutout = Operation(
        name="cutout",
        summary="Cut the subject out of a photo.",
        parameters=(
            Parameter("way", ways, None, f"How the subject is found and alpha estimated.  [default: {USUAL}]"),
            replace(segmenter, default=None, meaning="Who finds the subject, instead of as the way says."),
            *PROMPTS,
            Parameter("backdrop", WordOrColour(WORDS), "off", "That the background is of one colour; auto: if so."),
            Parameter("shadow", Choice(SHADOWS), "drop", "Whether shadows on a backdrop go, or stay as black."),
            replace(method, kind=whole, default=None, meaning="How alpha is estimated, instead of as the way says."),
            band,
            pixels,
            adaptive,
            Parameter(
                "foreground",
                Choice(("multilevel", "closed-form", "keep")),
                "multilevel",
                "How the subject's own colours are estimated; keep leaves the photo's.",
            ),
            Parameter("format", Choice(("png", "webp", "jpeg")), None, "Of the answer; by default as Accept says."),
            Parameter("quality", WordOrInteger(ways, Integer(1, 100)), None, "Of WebP and JPEG; or a way's word."),
            LOOKS[1],
            Parameter("output", Choice(OUTPUTS[:2]), "cutout", "The cut-out, or its matte alone as a grey picture."),
            *LOOKS[2:],
            strict,
        ),
        required=("image",),
        optional=("trimap",),
        formats=("png", "webp", "jpeg"),
        check=_check_cutout,
    )
    trimap = Operation(
        name="trimap",
        summary="Find the known and the unknown parts of a photo: white is subject, black background, grey unknown.",
        parameters=(segmenter, *PROMPTS, band, pixels, adaptive, strict),
        required=("image",),
        optional=(),
        formats=("png",),
        check=_check_band,
    )
    alpha = Operation(
        name="alpha",
        summary="Estimate the alpha matte of a photo by its trimap.",
        parameters=(method, Parameter("bits", Choice(("8", "16")), "8", "Depth of the answer."), strict),
        required=("image", "trimap"),
        optional=(),
        formats=("png",),
        check=lambda values: None,
    )
    rembg = Operation(
        name="rembg",
        summary="Remove the background of a photo, for clients of rembg.",
        parameters=(
            Parameter("model", Choice(served_segmenters()), "lite", "The network."),
            Parameter("a", Flag(), False, "Solve for alpha, rather than take the network's mask."),
            Parameter("af", Integer(0, 255), 240, "Masks above are known to be foreground."),
            Parameter("ab", Integer(0, 255), 10, "Masks below are known to be background."),
            Parameter("ae", Integer(0, 255), 10, "Side of the square that makes the known parts smaller."),
            Parameter("om", Flag(), False, "The mask alone."),
            Parameter("ppm", Flag(), False, "Smooth the mask's edge and make it hard."),
            Parameter("bgc", FourNumbers(), None, "Red, green, blue and alpha to lay the subject over."),
        ),
        required=("file",),
        optional=(),
        formats=("png",),
        check=lambda values: None,
        path="/api/remove",
        blanks=True,
    )
    return cutout, trimap, alpha, rembg


def offered(operation: Operation, values: Values) -> tuple[str, ...]:
    """The formats that an operation can answer with; that of the preset, if there is one, comes first."""
    first = with_preset(values.get("preset"), {}).get("format")
    return tuple(sorted(operation.formats, key=lambda name: name != first))


def _check_band(values: Values) -> None:
    if values["band"] is not None and values["band_pixels"] is not None:
        raise Problem("bad-parameter", "band and band_pixels exclude each other.", parameter="band_pixels")


def _check_cutout(values: Values) -> None:
    _check_band(values)
    if values["shadow"] != "drop" and values["backdrop"] == "off":
        raise Problem("bad-parameter", "shadow goes with a backdrop.", parameter="shadow")
    try:
        apart(values)
        output = output_of(**output_options(values))
    except ArgumentError as error:
        raise Problem("bad-parameter", f"{error}.", parameter=str(error).partition(":")[0]) from None
    if output.format == "jpeg" and output.background is None and values["output"] == "cutout":
        raise Problem("bad-parameter", "JPEG holds no alpha; give a background.", parameter="background")


def output_options(values: Mapping[str, Any]) -> Values:
    """What of a request's values says how the result is written, with its preset's."""
    given = apart(values)
    return with_preset(values["preset"], {name: given[name] for name in NAMES if name in given})
