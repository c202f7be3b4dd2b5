"""Options of writing a cut-out, from the table that Python and the service share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from trimatte.output.options import FRAMES, OUTPUTS, PARAMETERS, with_preset
from trimatte.runtime.parameters import Choice, Colour, Flag, Integer, Kind, Number, Parameter

Command = TypeVar("Command", bound=Callable[..., Any])


class _Typed(click.ParamType[Any]):
    """Text of a kind, kept as it is given."""

    def __init__(self, kind: Kind) -> None:
        self.kind = kind
        words: dict[type, str] = {Integer: "N", Number: "X", Colour: "COLOUR"}
        self.name = words.get(type(kind)) or str(kind.schema()["examples"][0])

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        try:
            parsed = self.kind.parse(str(value))
        except ValueError as error:
            self.fail(f"got {value!r}, wanted {error}", param, ctx)
        return list(parsed) if isinstance(parsed, tuple) else parsed

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        return self.name


def options(command: Any) -> Any:
    """Add what is to be made of a cut-out: output, preset, and an option for each row of the table."""
    for parameter in reversed(PARAMETERS):
        command = _option(parameter)(command)
    for option in reversed(_MORE):
        command = option(command)
    return command


def _option(parameter: Parameter) -> Callable[[Command], Command]:
    name, kind = "--" + parameter.name.replace("_", "-"), parameter.kind
    if isinstance(kind, Flag):
        return click.option(name, is_flag=True, default=None, help=parameter.meaning)
    typed: Any = click.Choice(kind.values) if isinstance(kind, Choice) else _Typed(kind)
    return click.option(name, type=typed, help=parameter.meaning)


metadata = next(_option(parameter) for parameter in PARAMETERS if parameter.name == "metadata")
_MORE = (
    click.option(
        "--output", type=click.Choice(OUTPUTS), default="cutout", show_default=True, help="both is NAME-matte.png, too."
    ),
    click.option(
        "--frames",
        type=click.Choice(FRAMES),
        default="first",
        show_default=True,
        help="Of an animation (GIF, APNG, WebP): all are cut out, and written as APNG or WebP.",
    ),
    click.option(
        "--preset",
        metavar="NAME|FILE.toml",
        help="Options of marketplace, passport, sticker, thumbnail or a file, which those given replace.",
    ),
    click.option("--srgb", is_flag=True, help="The same as --profile srgb."),
)
_NAMES = ("background", "quality", "format", *(parameter.name for parameter in PARAMETERS))


def taken_from(options: dict[str, Any], out: str | None) -> dict[str, Any]:
    """Take these options out of those of the command line, with the preset's; those not given are left out."""
    preset, srgb = options.pop("preset"), options.pop("srgb")
    given = {name: options.pop(name) for name in _NAMES}
    if srgb and given["profile"] == "keep":
        raise click.UsageError("--srgb and --profile keep exclude each other.")
    if srgb:
        given["profile"] = "srgb"
    return with_preset(preset, given, out)
