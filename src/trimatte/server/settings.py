"""What an operator may set about the service."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path

from trimatte.errors import ArgumentError
from trimatte.runtime.threads import available_threads

LOOPBACK = ("localhost", "127.0.0.1", "::1")
TOKEN_VARIABLE = "TRIMATTE_TOKEN"
SHORTEST_TOKEN = 16
_ORIGIN = re.compile(r"https?://[a-z0-9.\[\]:-]+")


def default_workers() -> int:
    """One worker for two processors: a second thread speeds a picture up, further ones hardly do."""
    return max(1, available_threads() // 2)


@dataclass(frozen=True)
class Settings:
    """Limits and doors of the service. Raises `ArgumentError` for an origin that is none.

    Attributes
    ----------
    host, port : str, int
        Where it listens.
    workers : int
        Processes that cut out, each one picture at a time.
    queue : int
        How many requests may wait for a worker; further ones are told 429.
    max_bytes : int
        The largest request body.
    max_pixels : int
        The largest picture, asked of its header before it is decoded.
    body_seconds : float
        How long a body may take to arrive, and an answer to be taken.
    wait_seconds : float
        How long a request may wait for a worker.
    work_seconds : float
        How long a worker may work on one request before it is killed.
    worker_bytes : int
        A worker that holds more memory than this after a request is replaced.
    held_bytes : int
        Bodies and answers that are held in memory at once, or a single body of `max_bytes` if that is more; further
        ones are told 429.
    token : str or None
        What clients have to know, if there is one.
    origins : tuple of str
        Web pages of other origins that may use the service.
    hosts : tuple of str
        Names that clients may call the service by, besides the loopback ones; none means no others if that is where it
        listens, and any name otherwise.
    editor : bool
        Whether the editor is at `/`. Unlike all else it decodes pictures in the process that talks HTTP.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    workers: int = field(default_factory=default_workers)
    queue: int = 16
    max_bytes: int = 50_000_000
    max_pixels: int = 25_000_000
    body_seconds: float = 30.0
    wait_seconds: float = 30.0
    work_seconds: float = 60.0
    worker_bytes: int = 1_500_000_000
    held_bytes: int = 500_000_000
    token: str | None = field(default=None, repr=False)
    origins: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    editor: bool = False

    def __post_init__(self) -> None:
        for origin in self.origins:
            if not _ORIGIN.fullmatch(origin):
                raise ArgumentError(f"origins: got {origin!r}; wanted one such as https://shop.example, without a path")

    @property
    def allowed_hosts(self) -> tuple[str, ...]:
        """Names that a request's Host may have; none means any."""
        return (*self.hosts, *LOOPBACK) if self.hosts or self.host in LOOPBACK else ()


def read_token(file: str | os.PathLike[str] | None) -> str | None:
    """The token from a file, else from the environment variable TRIMATTE_TOKEN, else none.

    Raises `ArgumentError` if the file cannot be read, or the token is shorter than 16 characters or not plain ASCII.
    """
    if file is not None:
        try:
            token = Path(file).read_text("ascii").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise ArgumentError(f"token file: cannot read {os.fspath(file)!r}: {error}") from error
    elif TOKEN_VARIABLE in os.environ:
        token = os.environ[TOKEN_VARIABLE].strip()
    else:
        return None
    if len(token) < SHORTEST_TOKEN or not (token.isascii() and token.isprintable()) or " " in token:
        raise ArgumentError(
            f"token: got {len(token)} characters; wanted {SHORTEST_TOKEN} or more, ASCII, without spaces"
        )
    return token
