"""Answers that are pictures, and which format a client gets."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

import anyio
from starlette.types import Send

from trimatte.files.jsonl import finite
from trimatte.images.formats import WRITTEN
from trimatte.server.bodies import ClientGoneError
from trimatte.server.problems import Problem
from trimatte.server.worker import Reply

MEDIA_TYPES = {name: WRITTEN[name].media_type for name in ("png", "webp", "jpeg")}
"""Of what the service answers with."""
_PIECE = 1 << 16


async def send_body(send: Send, body: bytes, media_type: str, headers: Mapping[str, str], *, seconds: float) -> None:
    """Send a body in pieces, so that a client that reads slowly does not make the server keep all of it for long.

    Raises `ClientGoneError` if the client has not taken it in time; the connection is then closed.
    """
    head = {"Content-Type": media_type, "Content-Length": str(len(body)), **headers}
    raw = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in head.items()]
    try:
        with anyio.fail_after(seconds):
            await send({"type": "http.response.start", "status": 200, "headers": raw})
            for start in range(0, len(body), _PIECE):
                piece = body[start : start + _PIECE]
                await send({"type": "http.response.body", "body": piece, "more_body": True})
            await send({"type": "http.response.body"})
    except TimeoutError:
        raise ClientGoneError from None


def report_headers(reply: Reply) -> dict[str, str]:
    """What became of the request: the report as JSON, and how long each stage took."""
    report = finite({name: value for name, value in reply.report.items() if name != "seconds"})
    seconds = reply.report.get("seconds", {})
    timing = ", ".join(f"{stage};dur={1000 * spent:.1f}" for stage, spent in seconds.items())
    found = {"Trimatte-Report": json.dumps(report), **reply.headers}
    return {**found, "Server-Timing": timing} if timing else found


def accepted_format(accept: str | None, formats: Sequence[str]) -> str:
    """The format that an Accept header likes best (RFC 9110, section 12.5.1), of several the first of `formats`.

    Raises `Problem` if it accepts none of them.
    """
    if accept is None or not accept.strip():
        return formats[0]
    weights = _weights(accept)
    best, most = "", 0.0
    for name in formats:
        media_type = MEDIA_TYPES[name]
        ranges = (media_type, media_type.partition("/")[0] + "/*", "*/*")
        weight = next((weights[r] for r in ranges if r in weights), 0.0)
        if weight > most:
            best, most = name, weight
    if not best:
        offered = ", ".join(MEDIA_TYPES[name] for name in formats)
        raise Problem("not-acceptable", f"This address answers with {offered}.")
    return best


def _weights(accept: str) -> dict[str, float]:
    """How much each media range is liked, 0 to 1; what is malformed is left out."""
    weights = {}
    for part in accept.split(","):
        media_range, *parameters = (piece.strip().lower() for piece in part.split(";"))
        weight = "1"
        for parameter in parameters:
            name, _, value = parameter.partition("=")
            weight = value if name == "q" else weight
        try:
            weights[media_range] = min(1.0, max(0.0, float(weight)))
        except ValueError:
            continue
    return weights
