"""`trimatte serve`: the HTTP service."""

from __future__ import annotations

from typing import Any

import click

from trimatte.cli import _common as common
from trimatte.errors import MissingExtraError

_SECONDS = click.FloatRange(0, min_open=True)


@click.command("serve")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on; 0.0.0.0 is all.")
@click.option("--port", type=click.IntRange(0, 65535), default=8000, show_default=True, help="0 takes a free one.")
@click.option("--workers", type=click.IntRange(1), help="Processes that cut out.  [default: half the processors]")
@click.option("--queue", type=click.IntRange(0), default=16, show_default=True, help="Requests that may wait.")
@click.option("--max-bytes", type=click.IntRange(1), default=50_000_000, show_default=True, help="Of a body.")
@click.option("--max-pixels", type=click.IntRange(1), default=25_000_000, show_default=True, help="Of a picture.")
@click.option("--body-seconds", type=_SECONDS, default=30.0, show_default=True, help="For a body to arrive.")
@click.option("--wait-seconds", type=_SECONDS, default=30.0, show_default=True, help="For a worker to become free.")
@click.option("--work-seconds", type=_SECONDS, default=60.0, show_default=True, help="For the work on a picture.")
@click.option(
    "--worker-bytes",
    type=click.IntRange(1),
    default=1_500_000_000,
    show_default=True,
    help="A worker that holds more memory after a request is replaced.",
)
@click.option("--token-file", metavar="FILE", help="The token that clients need; or set TRIMATTE_TOKEN.")
@click.option("--allow-origin", multiple=True, metavar="ORIGIN", help="Of web pages that may use the service.")
@click.option("--allow-host", multiple=True, metavar="NAME", help="That clients may call the service by.")
@click.option(
    "--editor/--no-editor", default=None, help="The editor at /.  [default: only if it listens on this machine alone]"
)
@common.threads
@common.device
def command(
    workers: int | None,
    token_file: str | None,
    allow_origin: tuple[str, ...],
    allow_host: tuple[str, ...],
    editor: bool | None,
    **limits: Any,
) -> None:
    """Serve cut-outs over HTTP, and the editor in the browser at /.

    It listens on this machine only unless --host says otherwise. The token never goes on the command line, where
    every user of the machine could read it.
    """
    try:
        from trimatte.server.run import serve
        from trimatte.server.settings import LOOPBACK, Settings, default_workers, read_token
    except ModuleNotFoundError as error:
        raise MissingExtraError(f'serve needs {error.name}: pip install "trimatte[server]"', name=error.name) from None
    serve(
        Settings(
            workers=workers or default_workers(),
            token=read_token(token_file),
            origins=allow_origin,
            hosts=allow_host,
            editor=limits["host"] in LOOPBACK if editor is None else editor,
            **limits,
        )
    )
