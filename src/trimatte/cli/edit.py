"""`trimatte edit`: correct a cut-out by brush, in the browser."""

from __future__ import annotations

import os
import socket
import sys
import webbrowser
from contextlib import suppress
from importlib.util import find_spec
from typing import Any

import click

from trimatte.batch.jobs import STREAM
from trimatte.cli import _common as common
from trimatte.errors import ImageReadError, MissingExtraError, TrimatteError
from trimatte.quality import USUAL, WAYS

LOOPBACK = "127.0.0.1"


@click.command("edit")
@click.argument("photo", required=False)
@click.option("--trimap", metavar="FILE", help="Your own trimap to start from, instead of the segmenter's.")
@click.option(
    "--method",
    default=USUAL,
    show_default=True,
    metavar="NAME",
    help=f"How alpha is estimated: {', '.join(WAYS)}, or a method's name.",
)
@common.backdrop
@common.shadow
@click.option("--band", type=float, default=0.05, show_default=True, help="Half width of the unknown band.")
@click.option(
    "--preset",
    "own_presets",
    multiple=True,
    metavar="FILE.toml",
    help="Of yours, offered for downloads by the file's name; may be repeated.",
)
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="To listen at.  [default: a free one]")
@click.option("--browser/--no-browser", default=True, help="Whether to open the browser.  [default: browser]")
@common.max_pixels
@common.threads
@common.device
def command(
    photo: str | None,
    trimap: str | None,
    own_presets: tuple[str, ...],
    port: int,
    browser: bool,
    max_pixels: int,
    **settings: Any,
) -> None:
    """Open an editor for PHOTO (- for standard input), or for one that you pick there, in the browser.

    It listens on this machine alone, and ends by Ctrl-C.
    """
    if find_spec("starlette") is None or find_spec("uvicorn") is None:
        raise MissingExtraError("trimatte edit needs the extra `server`: pip install 'trimatte[server]'")
    if trimap is not None and photo is None:
        raise click.UsageError("--trimap goes with a photo.")
    import uvicorn

    from trimatte.server.editor import Sessions, editor_app

    sessions = Sessions(idle_seconds=None)
    app = editor_app(sessions, max_pixels=max_pixels, own_presets=own_presets)
    anchor = ""
    if photo is not None:
        click.echo("Finding the subject ...", err=True)
        options = {"trimap": trimap, "max_pixels": max_pixels, **settings}
        name = "stdin" if photo == STREAM else os.path.basename(photo)
        anchor = "#" + sessions.open(_read(photo), name, **options)
    with _listening(port) as listener:
        address = f"http://{LOOPBACK}:{listener.getsockname()[1]}/{anchor}"
        click.echo(f"The editor is at {address}")
        click.echo("Ctrl-C ends it.", err=True)
        if browser:
            webbrowser.open(address)
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=1))
        with suppress(KeyboardInterrupt):  # which it raises again once it has shut down
            server.run(sockets=[listener])


def _read(photo: str) -> bytes:
    if photo == STREAM:
        return sys.stdin.buffer.read()
    try:
        with open(photo, "rb") as file:
            return file.read()
    except OSError as error:
        raise ImageReadError(f"cannot read {photo!r}: {error.strerror}") from error


def _listening(port: int) -> socket.socket:
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((LOOPBACK, port))
    except OSError as error:
        listener.close()
        raise TrimatteError(f"cannot listen at port {port}: {error.strerror}") from error
    listener.listen()
    return listener
