"""The command line: one file a verb, imported only when that verb is called.

A verb NAME is the click command `command` in `cli/NAME.py`; its line in the table below is what `--help` says of it,
so that listing the verbs imports none of them.
"""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import Any

import click

from trimatte import __version__
from trimatte.errors import ArgumentError, TrimatteError

VERBS = {
    "cutout": "Photos to cut-outs with a true alpha channel.",
    "segment": "Photos to the probability of foreground.",
    "trimap": "Photos, or probabilities, to trimaps.",
    "alpha": "A photo and its trimap to an alpha matte.",
    "edit": "Correct a cut-out by brush, in the browser.",
    "composite": "Cut-outs over a colour or a picture.",
    "evaluate": "Measure alpha methods on a benchmark.",
    "compare": "Compare recorded evaluations.",
    "datasets": "Benchmark sets: what there is, and how to get it.",
    "serve": "Cut-outs over HTTP.",
    "models": "Networks that find the subject or its alpha: what there is, on what terms, and adding them.",
    "train": "Train the networks.",
    "doctor": "Versions, threads, caches and the embedded network.",
}


class Verbs(click.Group):
    """A group that knows its verbs by name and summary, and imports one to run it.

    `prefix` stands before a verb's name in that of its module; a verb without a module is not shown.
    """

    def __init__(self, verbs: dict[str, str], *, prefix: str = "", **options: Any) -> None:
        super().__init__(**options)
        self.summaries = verbs
        self.prefix = prefix

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [name for name in self.summaries if find_spec(self._module(name))]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.list_commands(ctx):
            return None
        command: click.Command = import_module(self._module(cmd_name)).command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        rows = [(name, self.summaries[name]) for name in self.list_commands(ctx)]
        if rows:
            with formatter.section("Verbs"):
                formatter.write_dl(rows)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except ArgumentError as error:  # of the command line: those of a picture are its failures
            raise click.UsageError(str(error)) from error
        except TrimatteError as error:
            raise click.ClickException(str(error)) from error

    def _module(self, verb: str) -> str:
        return f"{__name__}.{self.prefix}{verb}".replace("-", "_")


main = Verbs(
    VERBS,
    name="trimatte",
    help="Image matting without a GPU: a photo goes in, a clean RGBA cut-out comes out.",
    epilog="`trimatte VERB --help` says more of each.",
    context_settings={"help_option_names": ["-h", "--help"]},
    subcommand_metavar="VERB [OPTIONS] ...",
)
click.version_option(__version__, prog_name="trimatte")(main)
