"""The service on uvicorn: a socket, a header clock, and a shutdown that finishes what runs."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
from typing import Any

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from trimatte.server import logs
from trimatte.server.app import create_app
from trimatte.server.pool import Pool
from trimatte.server.settings import LOOPBACK, Settings

HEAD_SECONDS = 15.0
MOST_CONNECTIONS = 1000

_log = logging.getLogger("trimatte.server")


class Protocol(H11Protocol):
    """uvicorn's HTTP/1.1, with a limit on how long a client may take to send the head of a request."""

    clock: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._start_clock()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_clock()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.conn.their_state is not h11.IDLE:
            self._stop_clock()

    def on_response_complete(self) -> None:
        self._start_clock()
        super().on_response_complete()

    def _start_clock(self) -> None:
        self._stop_clock()
        self.clock = self.loop.call_later(HEAD_SECONDS, self.transport.abort)

    def _stop_clock(self) -> None:
        if self.clock is not None:
            self.clock.cancel()
            self.clock = None


class Server(uvicorn.Server):
    """uvicorn's server, which first sends away those who wait."""

    def __init__(self, config: uvicorn.Config, pool: Pool) -> None:
        super().__init__(config)
        self.pool = pool

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        _log.info("shutting down", extra={"fields": {"event": "shutting-down", "busy": self.pool.busy}})
        self.pool.refuse()
        await super().shutdown(sockets)


def serve(settings: Settings) -> None:
    """Serve until SIGINT or SIGTERM, then finish what runs and return. Raises `SystemExit` if the port is taken."""
    logs.set_up()
    if settings.token is None and settings.host not in LOOPBACK:
        _log.warning("anybody who reaches this address can use the service: there is no token")
    pool = Pool(settings)
    config = uvicorn.Config(
        create_app(settings, pool),
        host=settings.host,
        port=settings.port,
        http=Protocol,
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=MOST_CONNECTIONS,
        timeout_graceful_shutdown=round(settings.work_seconds + settings.body_seconds),
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
