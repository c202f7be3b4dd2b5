"""Bodies of requests, read under limits of bytes and time, and taken apart."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncGenerator, Iterator
from dataclasses import dataclass, field
from urllib.parse import parse_qsl

import anyio
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header
from starlette.datastructures import FormData, Headers, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.types import Receive

from trimatte.server.problems import Problem
from trimatte.server.settings import Settings

MOST_FIELDS = 64
LONGEST_FIELD = 65536
LONGEST_TEXT = 16_000_000
"""Of bodies that are text as a whole, whose copies while they are taken apart need several times their memory."""


class ClientGoneError(Exception):
    """The client closed the connection, or takes nothing from it; there is nobody to answer."""


@dataclass
class Held:
    """Bytes of bodies and answers that the service holds in memory, for all requests together.

    Attributes
    ----------
    limit : int
        How many new bodies may take it to.
    bytes : int
        How many there are.
    """

    limit: int
    bytes: int = 0

    @contextlib.contextmanager
    def share(self) -> Iterator[Share]:
        """One request's share, given back at the end."""
        share = Share(self)
        try:
            yield share
        finally:
            self.bytes -= share.bytes


@dataclass
class Share:
    """What one request holds."""

    held: Held
    bytes: int = 0

    def add(self, count: int) -> None:
        """Count bytes that are there anyway."""
        self.bytes += count
        self.held.bytes += count

    def ask(self, count: int) -> None:
        """Count bytes of a body. Raises `Problem` if all requests together hold too many."""
        if self.held.bytes + count > self.held.limit:
            raise Problem("busy", "Too many bodies arrive at once.", headers={"Retry-After": "5"})
        self.add(count)


@dataclass
class Form:
    """Texts and files of a body, each by its name."""

    fields: list[tuple[str, str]] = field(default_factory=list)
    files: dict[str, bytes | bytearray] = field(default_factory=dict)


async def read_raw(
    receive: Receive, headers: Headers, settings: Settings, share: Share, *, limit: int | None = None
) -> bytearray:
    """The whole body. Raises as `chunks` does."""
    body = bytearray()
    limit = settings.max_bytes if limit is None else min(limit, settings.max_bytes)
    async with limited_time(settings):
        async for chunk in chunks(receive, headers, limit, share):
            body += chunk
    return body


async def read_multipart(
    receive: Receive, headers: Headers, settings: Settings, share: Share, *, longest_field: int = LONGEST_FIELD
) -> Form:
    """The fields and files of a multipart/form-data body.

    Raises as `chunks` does, and `Problem` if the body is malformed or two files have one name.
    """
    _, options = parse_options_header(headers.get("content-type"))
    if options.get(b"charset", b"utf-8").lower() not in (b"utf-8", b"us-ascii"):
        raise Problem("unsupported-type", "Forms are read in UTF-8.")  # Python has codecs of quadratic time
    stream = chunks(receive, headers, settings.max_bytes, share)
    parser = MultiPartParser(headers, stream, max_files=4, max_fields=MOST_FIELDS, max_part_size=longest_field)
    parser.spool_max_size = settings.max_bytes + 1  # nothing is written to disk
    async with limited_time(settings):
        parts = await _parsed(parser)
    try:
        return _form_of_parts(parts)
    finally:
        await parts.close()


def _form_of_parts(parts: FormData) -> Form:
    form = Form()
    for name, part in parts.multi_items():
        if not isinstance(part, UploadFile):
            form.fields.append((name, part))
        elif name in form.files:
            raise Problem("bad-body", f"The body has more than one file {name[:64]!r}.", parameter=name[:64])
        else:
            form.files[name] = part.file.read()
    return form


async def read_urlencoded(receive: Receive, headers: Headers, settings: Settings, share: Share) -> Form:
    """The fields of an application/x-www-form-urlencoded body. Raises as `read_multipart` does."""
    body = await read_raw(receive, headers, settings, share, limit=LONGEST_TEXT)
    if body.count(b"&") >= MOST_FIELDS or body.count(b"%") > 1000 + len(body) // 8:
        raise Problem("bad-body", "The form has too many fields, or is escaped more than pictures in base64 are.")
    return Form(parse_qsl(body.decode("latin-1"), keep_blank_values=True))


async def read_json(receive: Receive, headers: Headers, settings: Settings, share: Share) -> Form:
    """The members of an application/json body, an object of texts, numbers and truth values, as texts.

    Raises as `chunks` does, and `Problem` if it is something else.
    """
    body = await read_raw(receive, headers, settings, share, limit=LONGEST_TEXT)
    if sum(map(body.count, (b",", b"[", b"{"))) > 2 * MOST_FIELDS:
        raise Problem("bad-body", "The JSON has too many members.")
    try:
        members = json.loads(body)
    except ValueError:
        raise Problem("bad-body", "The body is not JSON.") from None
    if not isinstance(members, dict):
        raise Problem("bad-body", "The body is not a JSON object.")
    form = Form()
    for name, value in members.items():
        if isinstance(value, bool):
            form.fields.append((name, "true" if value else "false"))
        elif isinstance(value, (str, int, float)):
            form.fields.append((name, str(value)))
        elif value is not None:
            raise Problem("bad-parameter", f"{name[:64]!r}: got no text, number or truth value.", parameter=name[:64])
    return form


async def _parsed(parser: MultiPartParser) -> FormData:
    try:
        return await parser.parse()
    except MultiPartException as error:
        raise Problem("bad-body", f"The form cannot be read: {error.message}") from None
    except FormParserError:
        raise Problem("bad-body", "The form cannot be read.") from None


async def chunks(receive: Receive, headers: Headers, limit: int, share: Share) -> AsyncGenerator[bytes, None]:
    """The body as it comes, of `limit` bytes at most.

    Raises `Problem` if it is too large, compressed, or the service holds too much already, and `ClientGoneError`.
    """
    if headers.get("content-encoding", "identity") != "identity":
        raise Problem("unsupported-type", "Compressed bodies are not read.")
    length = headers.get("content-length", "")
    if length.isdigit() and int(length[:20]) > limit:
        raise _too_large(limit)
    more = True
    count = 0
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGoneError
        chunk = message.get("body", b"")
        count += len(chunk)
        if count > limit:
            raise _too_large(limit)
        share.ask(len(chunk))
        yield chunk
        more = message.get("more_body", False)
    yield b""


def _too_large(limit: int) -> Problem:
    return Problem("body-too-large", f"The body has more than {limit} bytes.")


@contextlib.asynccontextmanager
async def limited_time(settings: Settings) -> AsyncGenerator[None, None]:
    """Raise `Problem` if what is inside, the arrival of a body, takes too long."""
    try:
        with anyio.fail_after(settings.body_seconds):
            yield
    except TimeoutError:
        detail = f"The body did not arrive within {settings.body_seconds:g} s."
        raise Problem("slow-body", detail, headers={"Connection": "close"}) from None
