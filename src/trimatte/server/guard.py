"""What stands before the routes: logs and metrics, headers of security, hosts, origins and the token."""

from __future__ import annotations

import hashlib
import hmac
import logging
import secrets
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from trimatte.server.bodies import ClientGoneError
from trimatte.server.metrics import Metrics
from trimatte.server.problems import Problem, defect
from trimatte.server.settings import LOOPBACK, Settings

CLIENT_GONE = 499
SECURITY_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
        "worker-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}
"""Sent with every answer that does not set them itself."""

OPEN = ("/healthz", "/readyz")
PROBES = (*OPEN, "/metrics")
"""Asked so often that the log would hold little else; only what went wrong there is written down."""

_log = logging.getLogger("trimatte.server")


def notes(scope: Scope) -> dict[str, Any]:
    """What a handler wants to be logged of its request: plain values by name."""
    found: dict[str, Any] = scope.setdefault("trimatte.notes", {})
    return found


class SecurityHeaders:
    """Adds `SECURITY_HEADERS` to every answer; what an answer sets itself stays."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def secured_send(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in SECURITY_HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        await self.app(scope, receive, secured_send)


class Observe:
    """An id for each request, one line in the log, the metrics, and an answer to what nobody caught."""

    def __init__(
        self, app: ASGIApp, *, metrics: Metrics, routes: frozenset[str], tell: Callable[[Scope, Problem], Response]
    ) -> None:
        self.app = app
        self.metrics = metrics
        self.routes = routes
        self.tell = tell

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        start = time.monotonic()
        request_id = secrets.token_hex(8)
        exchange = {"status": 0, "received": 0, "sent": 0}

        async def counted_receive() -> Message:
            message = await receive()
            exchange["received"] += len(message.get("body", b""))
            return message

        async def marked_send(message: Message) -> None:
            if message["type"] == "http.response.start":
                exchange["status"] = message["status"]
                MutableHeaders(scope=message)["X-Request-Id"] = request_id
            exchange["sent"] += len(message.get("body", b""))
            await send(message)

        try:
            await self.app(scope, counted_receive, marked_send)
        except ClientGoneError:
            exchange["status"] = exchange["status"] or CLIENT_GONE
        except Exception as error:
            _log.error("defect", exc_info=error, extra={"fields": {"event": "defect", "id": request_id}})
            if exchange["status"]:
                raise
            await self.tell(scope, defect())(scope, receive, marked_send)
        finally:
            self._record(scope, request_id, exchange, time.monotonic() - start)

    def _record(self, scope: Scope, request_id: str, exchange: dict[str, int], seconds: float) -> None:
        # Only addresses and methods that there are: others would let a client fill the memory with labels.
        route = scope["path"] if scope["path"] in self.routes else "other"
        method = scope["method"] if scope["method"] in ("GET", "HEAD", "POST", "OPTIONS") else "other"
        self.metrics.requests.labels(route, method, str(exchange["status"])).inc()
        self.metrics.seconds.labels(route).observe(seconds)
        for stage, spent in notes(scope).get("stages", {}).items():
            self.metrics.stages.labels(stage).inc(spent)
        fields = {"event": "request", "id": request_id, "route": route, "method": method, **exchange}
        level = logging.DEBUG if route in PROBES and exchange["status"] == 200 else logging.INFO
        _log.log(level, "request", extra={"fields": {**fields, "seconds": round(seconds, 4), **notes(scope)}})


class CheckFraming:
    """Refuses bodies whose end is ambiguous, and closes (RFC 9112, sections 6.1 and 6.3).

    A proxy that goes by the length would take the rest of such a body for a request of its own.
    """

    def __init__(self, app: ASGIApp, *, tell: Callable[[Scope, Problem], Response]) -> None:
        self.app = app
        self.tell = tell

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope) if scope["type"] == "http" else Headers()
        if "transfer-encoding" in headers and ("content-length" in headers or scope["http_version"] == "1.0"):
            detail = "Send Content-Length, or in HTTP/1.1 Transfer-Encoding, not both."
            problem = Problem("bad-request", detail, headers={"Connection": "close"})
            await self.tell(scope, problem)(scope, receive, send)
            return
        await self.app(scope, receive, send)


class CheckHost:
    """Refuses requests to other names than the service's own, as a page makes that has its own name rebound.

    Browsers always send a Host. On loopback a client of HTTP/1.0 may leave it out.
    """

    def __init__(self, app: ASGIApp, *, settings: Settings, tell: Callable[[Scope, Problem], Response]) -> None:
        self.app = app
        self.allowed = settings.allowed_hosts
        self.loopback = settings.host in LOOPBACK
        self.tell = tell

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and self.allowed and not self._known(scope):
            problem = Problem("wrong-host", "The request's Host is none of the names that the service goes by.")
            await self.tell(scope, problem)(scope, receive, send)
            return
        await self.app(scope, receive, send)

    def _known(self, scope: Scope) -> bool:
        host = Headers(scope=scope).get("host")
        if host is None:
            return self.loopback and scope["http_version"] == "1.0"
        return _host_name(host) in self.allowed


class CheckClient:
    """Refuses what pages of foreign origins send, and who does not know the token."""

    def __init__(self, app: ASGIApp, *, settings: Settings, tell: Callable[[Scope, Problem], Response]) -> None:
        self.app = app
        self.origins = frozenset(settings.origins)
        self.token = None if settings.token is None else _digest(settings.token)
        self.tell = tell

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            headers = Headers(scope=scope)
            problem = self._foreign(scope, headers) or self._unauthorized(scope, headers)
            if problem is not None:
                await self.tell(scope, problem)(scope, receive, send)
                return
        await self.app(scope, receive, send)

    def _foreign(self, scope: Scope, headers: Headers) -> Problem | None:
        """A browser names the origin of the page that sends a form, even where it keeps the answer from the page."""
        origin = headers.get("origin")
        if origin is None or scope["method"] in ("GET", "HEAD") or origin in self.origins:
            return None
        if origin.partition("://")[2] == headers.get("host"):
            return None
        return Problem("foreign-origin", "The page that sent this is not of an origin that may use the service.")

    def _unauthorized(self, scope: Scope, headers: Headers) -> Problem | None:
        if self.token is None or self._open(scope):
            return None
        scheme, _, given = headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            given = headers.get("x-api-key", "")
        if hmac.compare_digest(_digest(given.strip()), self.token):
            return None
        return Problem("unauthorized", "Give the service's token.", headers={"WWW-Authenticate": "Bearer"})

    def _open(self, scope: Scope) -> bool:
        """The editor's page holds nothing secret; all that it does goes through addresses that want the token."""
        path = scope["path"]
        page = scope["method"] in ("GET", "HEAD") and not path.startswith("/v1") and path != "/metrics"
        return path in OPEN or page


def _host_name(host: str) -> str | None:
    """The host of a Host header, without its port; None where there is no host in it."""
    try:
        return urlsplit("//" + host).hostname
    except ValueError:
        return None


def _digest(token: str) -> bytes:
    """Of one length for all tokens, so that to compare two takes the same time for all."""
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()
