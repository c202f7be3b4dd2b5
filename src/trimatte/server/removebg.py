"""An address for clients of remove.bg: its parameters, its headers and its form of errors.

What is not there is refused rather than ignored: addresses of pictures are never fetched, and shadows, scaling and
moving of the subject, and ZIP are not made.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from starlette.datastructures import Headers
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from trimatte.runtime.parameters import Choice, Colour, Flag, Parameter, Schema
from trimatte.server.answers import report_headers, send_body
from trimatte.server.bodies import Form, Share, read_json, read_multipart, read_urlencoded
from trimatte.server.parameters import parse_parameters
from trimatte.server.problems import Problem
from trimatte.server.service import Service
from trimatte.server.worker import Reply

PREFIX = "/v1.0/"
PATH = PREFIX + "removebg"
MEGAPIXELS = {
    "preview": 0.25,
    "small": 0.25,
    "regular": 0.25,
    "medium": 1.5,
    "hd": 4.0,
    "4k": 10.0,
    "full": 25.0,
    "auto": 25.0,
    "50MP": 50.0,
}
_MANY = 1_000_000
ACCOUNT = {
    "data": {
        "attributes": {
            "credits": {"total": _MANY, "subscription": 0, "payg": _MANY, "enterprise": 0},
            "api": {"free_calls": _MANY, "sizes": "all"},
        }
    }
}
"""What clients ask for when they are built, and some before each picture; nothing is counted here, so always many."""
URLS = ("image_url", "bg_image_url")

_LENGTH = re.compile(r"(\d{1,5}(?:\.\d{1,3})?)(px|%)")


@dataclass(frozen=True)
class Base64:
    """Bytes as base64, with or without the head of a data URL."""

    def parse(self, text: str) -> bytes:
        head, comma, _ = text[:256].partition(",")
        try:
            return base64.b64decode(text[len(head) + 1 :] if comma else text, validate=True)
        except (binascii.Error, ValueError):
            raise ValueError("base64") from None

    def schema(self) -> Schema:
        return {"type": "string", "contentEncoding": "base64"}


@dataclass(frozen=True)
class Lengths:
    """Some lengths in pixels or per cent, separated by spaces."""

    counts: tuple[int, ...]
    most: float

    def parse(self, text: str) -> list[tuple[float, str]]:
        found = [_LENGTH.fullmatch(word) for word in text[:64].split()]
        lengths = [(float(match[1]), match[2]) for match in found if match]
        fits = all(number <= (100 if unit == "%" else self.most) for number, unit in lengths)
        if len(text) > 64 or None in found or len(lengths) not in self.counts or not fits:
            wanted = " or ".join(str(count) for count in self.counts)
            raise ValueError(f"{wanted} lengths such as 30px or 10%, of at most {self.most:g}px or 100%")
        return lengths

    def schema(self) -> Schema:
        return {"type": "string", "maxLength": 64, "examples": [" ".join(["10%"] * self.counts[-1])]}


@dataclass(frozen=True)
class BareColour:
    """A colour, whose hexadecimal code may come without its #."""

    def parse(self, text: str) -> tuple[int, ...]:
        bare = re.fullmatch(r"(?:[0-9a-fA-F]{3,4}){1,2}", text)
        return Colour().parse(f"#{text}" if bare else text)

    def schema(self) -> Schema:
        return {**Colour().schema(), "examples": ["fff", "81d4fa", "green"]}


PARAMETERS = (
    Parameter("image_file_b64", Base64(), None, "The photo in base64, instead of the file image_file."),
    Parameter("size", Choice(tuple(MEGAPIXELS)), "preview", "Most pixels of the answer; preview is a quarter million."),
    Parameter(
        "type",
        Choice(("auto", "person", "product", "car", "animal", "graphic", "transportation", "other")),
        "auto",
        "Has no effect: the network looks for whatever it is.",
    ),
    Parameter("type_level", Choice(("none", "1", "2", "latest")), "1", "Has no effect."),
    Parameter("format", Choice(("auto", "png", "jpg", "webp")), "auto", "auto is JPEG with a background, else PNG."),
    Parameter("roi", Lengths((4,), 99999), None, "Left, top, right and bottom of the region with the subject."),
    Parameter("crop", Flag(), False, "Cut to the subject."),
    Parameter("crop_margin", Lengths((1, 2, 4), 5000), None, "Margins that crop leaves, in the order of CSS."),
    Parameter("scale", Choice(("original",)), "original", "The subject keeps its size."),
    Parameter("position", Choice(("original",)), "original", "The subject keeps its place."),
    Parameter("channels", Choice(("rgba", "alpha")), "rgba", "alpha gives the matte alone."),
    Parameter("add_shadow", Choice(("false",)), "false", "No shadow is made."),
    Parameter("semitransparency", Flag(), True, "Has no effect: alpha is as it is estimated."),
    Parameter("bg_color", BareColour(), None, "An opaque colour to lay the subject over."),
)

_CODES = {
    "unauthorized": (403, "auth_failed"),
    "busy": (429, "rate_limit_exceeded"),
    "no-subject": (400, "unknown_foreground"),
    "body-too-large": (400, "file_too_large"),
    "picture-too-large": (400, "resolution_too_high"),
    "unsupported-type": (400, "invalid_file_type"),
    "unreadable-picture": (400, "failed_to_read_image"),
}


class RemoveBgEndpoint:
    """POST of a photo, as remove.bg takes it."""

    def __init__(self, service: Service) -> None:
        self.service = service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        service = self.service
        headers = Headers(scope=scope)
        service.pool.check_room()
        with service.held.share() as share:
            form = await self._read(receive, headers, share)
            files, values = request_of(form)
            reply = await service.work(scope, receive, "removebg", files, values)
            share.add(len(reply.body))
            seconds = service.settings.body_seconds
            body, media_type = reply.body, reply.media_type
            if "application/json" in headers.get("accept", ""):
                body, media_type = _as_json(reply), "application/json"
            await send_body(send, body, media_type, report_headers(reply), seconds=seconds)

    async def _read(self, receive: Receive, headers: Headers, share: Share) -> Form:
        settings = self.service.settings
        media_type = headers.get("content-type", "").partition(";")[0].strip().lower()
        if media_type == "multipart/form-data":
            return await read_multipart(receive, headers, settings, share, longest_field=settings.max_bytes)
        if media_type == "application/x-www-form-urlencoded":
            return await read_urlencoded(receive, headers, settings, share)
        if media_type == "application/json":
            return await read_json(receive, headers, settings, share)
        raise Problem("unsupported-type", "Send multipart/form-data, or a form or JSON with image_file_b64.")


def error_response(problem: Problem) -> Response:
    """A problem in the form of remove.bg."""
    status = 400 if problem.status in (413, 415, 422) else problem.status
    status, code = _CODES.get(problem.code, (status, problem.code.replace("-", "_")))
    error = {"title": problem.title, "detail": problem.detail, "code": code}
    return JSONResponse({"errors": [error]}, status, headers=problem.headers)


def request_of(form: Form) -> tuple[dict[str, bytes | bytearray], dict[str, Any]]:
    """Files and values for the worker."""
    given = [(name, text) for name, text in form.fields if text]  # clients send the fields that they leave empty
    for name, _ in given:
        if name in URLS:
            raise Problem("bad-parameter", f"{name}: no addresses are fetched here; send the file.", parameter=name)
    values = parse_parameters(PARAMETERS, given)
    files: dict[str, bytes | bytearray] = {}
    for name, content in form.files.items():
        if name not in ("image_file", "bg_image_file"):
            raise Problem("bad-body", "The files that are taken are image_file and bg_image_file.", parameter=name[:64])
        files["image" if name == "image_file" else "background"] = content
    encoded = values["image_file_b64"]
    if encoded is not None and "image" in files:
        raise Problem("bad-body", "Send image_file or image_file_b64, not both.")
    if encoded is not None:
        files["image"] = encoded
    if "image" not in files:
        raise Problem("bad-body", "Send the photo as image_file or image_file_b64.", parameter="image_file")
    if "background" in files and values["bg_color"] is not None:
        raise Problem("bad-parameter", "bg_color and bg_image_file exclude each other.", parameter="bg_color")
    return files, _task_values(values, covered="background" in files or values["bg_color"] is not None)


def _task_values(values: dict[str, Any], *, covered: bool) -> dict[str, Any]:
    only_alpha = values["channels"] == "alpha"
    format = values["format"]
    if format == "auto":
        format = "jpg" if covered and not only_alpha else "png"
    return {
        "most": 1_000_000 * MEGAPIXELS[values["size"]],
        "roi": values["roi"],
        "crop": values["crop"],
        "margins": _four(values["crop_margin"] or [(0.0, "px")]),
        "only_alpha": only_alpha,
        "colour": values["bg_color"],
        "format": "jpeg" if format == "jpg" else format,
    }


def _four(lengths: Sequence[tuple[float, str]]) -> list[tuple[float, str]]:
    """Top, right, bottom and left of one, two or four lengths."""
    return [*lengths] * (4 // len(lengths))


def _as_json(reply: Reply) -> bytes:
    place = ("top", "left", "width", "height")
    where = {f"foreground_{side}": int(reply.headers[f"X-Foreground-{side.title()}"]) for side in place}
    return json.dumps({"data": {"result_b64": base64.b64encode(reply.body).decode("ascii"), **where}}).encode()
