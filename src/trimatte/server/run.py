"""The service on uvicorn: a socket, a header clock, and a shutdown that finishes what runs."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import sys
from functools import partial
from http import HTTPStatus
from typing import Any

import h11
import uvicorn
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from trimatte.server import logs
from trimatte.server.app import create_app, error_answer
from trimatte.server.guard import SECURITY_HEADERS
from trimatte.server.pool import Pool
from trimatte.server.problems import Problem
from trimatte.server.settings import LOOPBACK, Settings

HEAD_SECONDS = 15.0
MOST_CONNECTIONS = 1000

_log = logging.getLogger("trimatte.server")


_NO_HTTP = {431: "long-head", 501: "unknown-coding"}
"""Problems by h11's hint of a status; others are bad requests."""


class Protocol(H11Protocol):
    """uvicorn's HTTP/1.1, on which a client may take only so long for a request's head, and for all of a request.

    uvicorn itself lets a client hold a connection for ever that sends its head, or takes its answer, byte by byte. What
    it refuses itself is answered here as all else is.
    """

    def __init__(self, *args: Any, head_seconds: float, request_seconds: float, **options: Any) -> None:
        super().__init__(*args, **options)
        self.head_seconds = head_seconds
        self.request_seconds = request_seconds
        self.clock: asyncio.TimerHandle | None = None
        self.in_request = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._set_clock(self.head_seconds)
        if len(self.connections) > MOST_CONNECTIONS:
            self.app = _refuse

    def connection_lost(self, exc: Exception | None) -> None:
        self._set_clock(None)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._follow()

    def on_response_complete(self) -> None:
        self.in_request = False
        self._set_clock(self.head_seconds)
        super().on_response_complete()  # which begins the next request, if that has come already
        self._follow()

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP by a problem document, unless an answer has begun, and close."""
        error = sys.exc_info()[1]  # uvicorn calls this where it catches the error
        scope: Scope = {"path": "", "method": "GET"}
        if self.cycle is not None and not self.cycle.response_complete:  # in the midst of a body
            scope = dict(self.cycle.scope)
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            code = _NO_HTTP.get(getattr(error, "error_status_hint", 400), "bad-request")
            self._answer(scope, Problem(code, f"{msg.rstrip('.')}: {str(error)[:100]}."))
        self.transport.close()

    def _answer(self, scope: Scope, problem: Problem) -> None:
        response = error_answer(scope, problem)
        response.headers.update({**SECURITY_HEADERS, "Connection": "close"})
        status = HTTPStatus(problem.status)
        for event in (
            h11.Response(status_code=response.status_code, headers=response.raw_headers, reason=status.phrase),
            h11.Data(data=b"" if scope["method"] == "HEAD" else bytes(response.body)),
            h11.EndOfMessage(),
        ):
            self.transport.write(self.conn.send(event) or b"")

    def _follow(self) -> None:
        """Set the clock of a request if one has begun."""
        if not self.in_request and self.cycle is not None and not self.cycle.response_complete:
            self.in_request = True
            self._set_clock(self.request_seconds)

    def _set_clock(self, seconds: float | None) -> None:
        """Close the connection after so long, unless the clock is set anew."""
        if self.clock is not None:
            self.clock.cancel()
        self.clock = None if seconds is None else self.loop.call_later(seconds, self.transport.abort)


async def _refuse(scope: Scope, receive: Receive, send: Send) -> None:
    """The application of a connection that is one too many."""
    problem = Problem("busy", "There are too many connections.", headers={"Retry-After": "5", "Connection": "close"})
    response = error_answer(scope, problem)
    response.headers.update(SECURITY_HEADERS)
    await response(scope, receive, send)


class Server(uvicorn.Server):
    """uvicorn's server, which first sends away those who wait."""

    def __init__(self, config: uvicorn.Config, pool: Pool) -> None:
        super().__init__(config)
        self.pool = pool

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        ports = [listening.getsockname()[1] for server in self.servers for listening in server.sockets]
        address = f"http://{self.config.host}:{ports[0]}"
        _log.info("listening", extra={"fields": {"event": "listening", "address": address}})

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        _log.info("shutting down", extra={"fields": {"event": "shutting-down", "busy": self.pool.busy}})
        self.pool.refuse()
        await super().shutdown(sockets)


def serve(settings: Settings, pool: Pool | None = None) -> None:
    """Serve until SIGINT or SIGTERM, then finish what runs and return. Raises `SystemExit` if the port is taken."""
    logs.set_up()
    if settings.token is None and settings.host not in LOOPBACK:
        _log.warning("anybody who reaches this address can use the service: there is no token")
    pool = pool or Pool(settings)
    longest = 2 * settings.body_seconds + settings.wait_seconds + settings.work_seconds
    config = uvicorn.Config(
        create_app(settings, pool),
        host=settings.host,
        port=settings.port,
        http=partial(Protocol, head_seconds=HEAD_SECONDS, request_seconds=longest),  # type: ignore[arg-type]
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=round(longest),
    )
    # uvicorn raises the signal that ended it once more, for whoever handled it before: here, nobody has to die of it.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _heard)
    try:
        Server(config, pool).run()
    finally:
        pool.kill()
    _log.info("stopped", extra={"fields": {"event": "stopped"}})


def _heard(*_: Any) -> None:
    pass
