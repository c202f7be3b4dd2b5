"""What is made of a cut-out when it is written: one table for Python, command line, batches and the service."""

from __future__ import annotations

import numbers
import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any

from trimatte.errors import ArgumentError
from trimatte.images.formats import WRITTEN, format_of
from trimatte.output import lengths
from trimatte.output.lengths import Margins, check_shares, parse_aspect, parse_margins, parse_size, room_within
from trimatte.runtime.options import check_number
from trimatte.runtime.parameters import Choice, Colour, Flag, Integer, Number, Parameter, Schema

ALIGN = ("center", "bottom")
OUTPUTS = ("cutout", "matte", "both")
FRAMES = ("first", "all")
METADATA = ("none", "copyright", "all", "all+gps")
PROFILES = ("keep", "srgb")
CHROMA = ("444", "422", "420")
SHADOWS = ("none", "drop", "contact")


@dataclass(frozen=True)
class Text:
    """Text that a function takes apart, which raises `ArgumentError` for what it does not know."""

    function: str
    example: str

    def parse(self, text: str) -> str:
        try:
            getattr(lengths, self.function)(text)
        except ArgumentError as error:
            raise ValueError(str(error).partition("; wanted ")[2]) from None
        return text

    def schema(self) -> Schema:
        return {"type": "string", "maxLength": 64, "examples": [self.example]}


PARAMETERS = (
    Parameter("crop", Flag(), None, "Cut to the subject, without specks."),
    Parameter(
        "margin",
        Text("parse_margins", "7.5%"),
        None,
        "What crop leaves on all sides: pixels, or a share of the result such as 7.5%; two or four are top, right, "
        "bottom, left.  [default: 0]",
    ),
    Parameter(
        "size",
        Text("parse_size", "2000x2000"),
        None,
        "Width x height of the result, in which all is made as large as fits.",
    ),
    Parameter("aspect", Text("parse_aspect", "4:5"), None, "Width : height that the result is enlarged to."),
    Parameter("align", Choice(ALIGN), None, "Where in a higher frame it stands.  [default: center]"),
    Parameter("outline", Integer(0, 1000), None, "Width in pixels of a line about the subject."),
    Parameter("outline_colour", Colour(), None, "Of the outline.  [default: white]"),
    Parameter("cast_shadow", Choice(SHADOWS), None, "A shadow made for the subject: behind it, or on the ground."),
    Parameter("shadow_strength", Number(0, 1), None, "How dark that shadow is.  [default: 0.4]"),
    Parameter("shadow_softness", Number(0, 0.5), None, "Its blur, relative to the subject.  [default: 0.03]"),
    Parameter(
        "profile", Choice(PROFILES), None, "Keep the photo's colour profile, or convert to sRGB.  [default: keep]"
    ),
    Parameter("chroma", Choice(CHROMA), None, "Of JPEG: colours at full or lower resolution.  [default: 444]"),
    Parameter("metadata", Choice(METADATA), None, "What of the photo's is kept.  [default: copyright]"),
    Parameter("dpi", Number(1, 1e7), None, "Pixels per inch; by default the photo's."),
)
"""Options of what is written, beside background, quality and format: command line and service have them from here."""


@dataclass(frozen=True, kw_only=True)
class Output:
    """How a cut-out is laid out, coloured and written.

    Attributes
    ----------
    crop : bool or int
        Cut to the subject, as `trimatte.output.framing.visible_box` finds it; a number is that with a margin of so many
        pixels.
    margin : int, str or sequence
        What is left about the subject on all sides: pixels, a share of the result such as "7.5%", or two or four of
        these in the order of CSS. The canvas grows where the photo ends.
    size : str or (int, int), optional
        Width and height of the result, "2000x2000". What is shown is made as large as fits, in linear light.
    aspect : str or float, optional
        Width by height, "4:5": the canvas is enlarged to it.
    align : {'center', 'bottom'}
        Where it stands in a canvas that is higher than needed.
    outline : int
        Width of a line about the subject, in pixels of the result.
    outline_colour : colour
        As of `trimatte.composite`.
    cast_shadow : {'none', 'drop', 'contact'}
        A shadow made for the subject: of something before a wall, or standing on the ground.
    shadow_strength, shadow_softness : float
        How dark, in [0, 1], and how blurred, relative to the subject's longer side.
    background : colour, array or path, optional
        As of `trimatte.composite`: what the subject is laid over, instead of keeping alpha. A picture lies where it
        would lie behind the photo; with a size it covers the result.
    profile : {'keep', 'srgb'}
        Keep the photo's colour profile, or convert to sRGB.
    metadata : {'none', 'copyright', 'all', 'all+gps'}
        What of the photo's metadata is written, beside its resolution: its author and copyright; or EXIF, XMP, IPTC and
        text, without place, thumbnails and maker notes; or with its place, too.
    dpi : float, optional
        Pixels per inch; by default the photo's.
    chroma : {'444', '422', '420'}
        Of JPEG: the resolution of colours.
    quality : int, optional
        As of `trimatte.save_image`.
    format : str, optional
        As of `trimatte.save_image`.
    bits : {8, 16}, optional
        As of `trimatte.save_image`.
    """

    crop: bool | int = False
    margin: Any = 0
    size: Any = None
    aspect: Any = None
    align: str = "center"
    outline: int = 0
    outline_colour: Any = "white"
    cast_shadow: str = "none"
    shadow_strength: float = 0.4
    shadow_softness: float = 0.03
    background: Any = None
    profile: str = "keep"
    metadata: str = "copyright"
    dpi: float | None = None
    chroma: str = "444"
    quality: int | None = None
    format: str | None = None
    bits: int | None = None

    def __post_init__(self) -> None:
        crop: Any = self.crop
        if not (isinstance(crop, numbers.Integral) and int(crop) >= 0):
            raise ArgumentError(f"crop: got {crop!r}; wanted true, false, or a margin as a whole number of pixels")
        check_shares(parse_margins(self.margin))
        if self.margin != 0 and self.crop is False:
            raise ArgumentError(f"margin: got {self.margin!r}, but no crop; it is what a crop leaves about the subject")
        check_number("outline", self.outline, least=0, most=1000, whole=True)
        if self.size is not None:
            width, height = parse_size(self.size)
            room_within(self.margins, (height, width), self.inset)
        if self.aspect is not None:
            parse_aspect(self.aspect)
            if self.size is not None:
                raise ArgumentError(f"aspect: got {self.aspect!r} beside a size, which has its own")
        if not (isinstance(self.outline_colour, str) and self.outline_colour == Output.outline_colour):
            _check_colour(self.outline_colour)
        for name, allowed in _CHOICES.items():
            _check_choice(name, getattr(self, name), allowed)
        if self.format is not None:
            _check_choice(
                "format", self.format.lower() if isinstance(self.format, str) else self.format, (*WRITTEN, "jpg")
            )
        check_number("shadow_strength", self.shadow_strength, least=0, most=1)
        check_number("shadow_softness", self.shadow_softness, least=0, most=0.5)
        if self.dpi is not None:
            check_number("dpi", self.dpi, least=1, most=1e7)
        if self.quality is not None:
            check_number("quality", self.quality, least=1, most=100, whole=True)

    @property
    def margins(self) -> Margins:
        """What is left about the subject: a crop's number where no margin is given."""
        cropped = self.crop is not False and self.crop is not True and self.margin == 0
        return parse_margins(self.crop if cropped else self.margin)

    @property
    def inset(self) -> int:
        """Pixels that the outline takes within the margins of a crop."""
        return 0 if self.crop is False else self.outline


_CHOICES = {
    "align": ALIGN,
    "cast_shadow": SHADOWS,
    "profile": PROFILES,
    "metadata": METADATA,
    "chroma": CHROMA,
}
NAMES = tuple(field.name for field in fields(Output))
"""The names of all options of what is written."""


def output_of(**given: Any) -> Output:
    """The options given; None stands for the default. Raises `ArgumentError` for one that there is not, or is wrong."""
    for name in given:
        if name not in NAMES:
            raise ArgumentError(f"{name}: no option of 'save', which has {', '.join(NAMES)}")
    return Output(**{name: value for name, value in given.items() if value is not None})


def with_preset(preset: str | os.PathLike[str] | None, given: Mapping[str, Any], path: object = None) -> dict[str, Any]:
    """The options of a preset, and over these those given that are not None.

    Where the path of the result has the suffix of a format, that is the result's, rather than the preset's.
    """
    own = {name: value for name, value in given.items() if value is not None or name not in NAMES}
    if preset is None:
        return own
    options = preset_options(preset)
    if isinstance(path, (str, os.PathLike)) and format_of(path) is not None:
        options.pop("format", None)
    return _under(options, own)


def _under(options: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """Options of a preset under others, which replace what does not go beside them, too.

    Another resolution leaves its size in print as it is, not that in pixels.
    """
    replaced = {"aspect" if "size" in own else None, "size" if "aspect" in own else None}
    if own.get("crop", True) is not True:
        replaced.add("margin")
    laid = {**{name: value for name, value in options.items() if name not in replaced}, **own}
    before, now = options.get("dpi"), output_of(dpi=own.get("dpi")).dpi
    if "size" in laid and "size" not in own and before and now:
        laid["size"] = tuple(max(1, round(side * now / before)) for side in parse_size(options["size"]))
    return laid


def preset_options(preset: str | os.PathLike[str]) -> dict[str, Any]:
    """The options of a preset: a name of `presets`, or a TOML file, which may extend another.

    Raises
    ------
    ArgumentError
        If there is none of that name, the file cannot be read, or it holds what is no option.
    """
    built_in = presets()
    if isinstance(preset, str) and preset in built_in:
        return dict(built_in[preset])
    import tomllib

    path = Path(preset) if isinstance(preset, (str, os.PathLike)) and preset else None
    if path is None or path.suffix.lower() != ".toml":
        raise ArgumentError(
            f"preset: got {preset!r}; wanted one of {', '.join(built_in)}, or a file that ends in .toml"
        )
    try:
        options = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise ArgumentError(f"preset: cannot read {str(path)!r}: {error.strerror}") from error
    except ValueError as error:  # of TOML and of UTF-8
        raise ArgumentError(f"preset: {str(path)!r} is no TOML ({error})") from error
    options.pop("about", None)
    base = options.pop("extends", None)
    if base is not None and not (isinstance(base, str) and base in built_in):
        raise ArgumentError(f"extends: got {base!r} in {str(path)!r}; wanted one of {', '.join(built_in)}")
    for name in options:
        if name not in NAMES:
            raise ArgumentError(f"preset: {str(path)!r} has {name!r}; wanted about, extends, {', '.join(NAMES)}")
    try:
        if "background" in options:
            options["background"] = _background(options["background"], path.parent)
        options = _under({} if base is None else built_in[base], options)
        output_of(**options)
    except ArgumentError as error:
        raise ArgumentError(f"preset: {str(path)!r} has {error}") from error
    if "format" in options:
        options["format"] = {"jpg": "jpeg"}.get(options["format"].lower(), options["format"].lower())
    return options


def _background(value: Any, folder: Path) -> str:
    """A background as TOML says it: a colour, also of three numbers, or a picture beside the file."""
    from trimatte.images.background import as_colour

    colour = tuple(value) if isinstance(value, list) else value
    try:
        red, green, blue = (round(255 * float(share)) for share in as_colour(colour, "background"))
    except ArgumentError:
        if isinstance(value, str) and Path(value).suffix:
            return str(folder / value)
        raise
    return f"#{red:02x}{green:02x}{blue:02x}"


@cache
def presets() -> dict[str, dict[str, Any]]:
    """The presets that there are, and their options."""
    import tomllib

    tables = tomllib.loads((Path(__file__).parent / "presets.toml").read_text(encoding="utf-8"))
    return {name: {key: value for key, value in table.items() if key != "about"} for name, table in tables.items()}


def _check_colour(colour: Any) -> None:
    if not isinstance(colour, str):
        from trimatte.images.background import as_colour

        as_colour(colour, "outline_colour")
        return
    try:
        Colour().parse(colour)
    except ValueError as error:
        raise ArgumentError(f"outline_colour: got {colour!r}; wanted {error}") from None


def _check_choice(name: str, value: Any, allowed: tuple[str, ...]) -> None:
    if not isinstance(value, str) or value not in allowed:
        words = f"one of {', '.join(allowed)}"
        if not isinstance(value, str):
            words = f"text, one of {', '.join(map(repr, allowed))}"
        raise ArgumentError(f"{name}: got {value!r}; wanted {words}")
