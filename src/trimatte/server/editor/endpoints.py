"""The editor over HTTP: parameters and bodies are checked here, `sessions` does the work in threads of its own."""

from __future__ import annotations

import json
import math
import os
import re
import zlib
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields, replace
from functools import partial, wraps
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

import numpy as np
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from trimatte.errors import ArgumentError, TrimatteError
from trimatte.images.background import check_background, opaque_image
from trimatte.images.formats import MAX_PIXELS, WRITTEN
from trimatte.output.options import preset_options, presets
from trimatte.runtime.parameters import Choice
from trimatte.runtime.threads import available_threads
from trimatte.server.bodies import ClientGoneError, Held, read_raw
from trimatte.server.editor.session import BANDS, CLICKS, DOWNLOADS, Click, Patch, Session, editor_methods
from trimatte.server.editor.session import Settings as EditSettings
from trimatte.server.editor.sessions import NoSessionError, Sessions, SessionsFullError
from trimatte.server.guard import CLIENT_GONE, CheckFraming, CheckHost, SecurityHeaders
from trimatte.server.operations import LOOKS
from trimatte.server.parameters import parse_parameters
from trimatte.server.problems import Problem, of_error, problem_response
from trimatte.server.settings import Settings

CLICKS_BYTES = 100_000
SETTINGS = tuple(field.name for field in fields(EditSettings))
STATIC = Path(__file__).parent / "static"
T = TypeVar("T")
Handler = Callable[[Request], Awaitable[Response]]


def routes(
    sessions: Sessions | None = None,
    *,
    max_bytes: int = 64 << 20,
    max_pixels: int = MAX_PIXELS,
    own_presets: Sequence[str] = (),
) -> list[BaseRoute]:
    """Routes of the editor: the page at `/`, its files at `/editor`, and the sessions at `/v1/edit`.

    Parameters
    ----------
    sessions : Sessions, optional
        Where they are kept; `Sessions()` by default.
    max_bytes : int, default 64 << 20
        Of a photo's file.
    max_pixels : int, default MAX_PIXELS
        Larger photos are refused before they are decoded.
    own_presets : sequence of str, default ()
        TOML files, offered by their names. Raises `ArgumentError` for one that is no preset, of a format that the
        editor does not write, or of another's name.
    """
    editor = _Editor(Sessions() if sessions is None else sessions, max_bytes, max_pixels, own_presets)
    one = "/v1/edit/sessions/{id}"
    return [
        Route("/", _page),
        Mount("/editor", _Files(directory=STATIC)),
        Route("/v1/edit/options", editor.offered),
        Route("/v1/edit/sessions", _answered(editor.open), methods=["POST"]),
        Route(one, _answered(editor.state), methods=["GET"]),
        Route(one, _answered(editor.close), methods=["DELETE"]),
        Route(one + "/settings", _answered(editor.change), methods=["PUT"]),
        Route(one + "/photo", _answered(editor.photo)),
        Route(one + "/foreground", _answered(editor.foreground)),
        Route(one + "/trimap", _answered(editor.automatic)),
        Route(one + "/marks", _answered(editor.marks), methods=["GET"]),
        Route(one + "/marks", _answered(editor.paint), methods=["PATCH"]),
        Route(one + "/clicks", _answered(editor.click), methods=["PUT"]),
        Route(one + "/alpha", _answered(editor.alpha)),
        Route(one + "/{what}", _answered(editor.download), methods=["GET", "POST"]),
    ]


def editor_app(
    sessions: Sessions, *, max_bytes: int = 64 << 20, max_pixels: int = MAX_PIXELS, own_presets: Sequence[str] = ()
) -> Starlette:
    """The editor alone, as an application that answers to this machine's own names only; arguments as of `routes`."""

    def tell(_: Scope, problem: Problem) -> Response:
        return problem_response(problem)

    middleware = [
        Middleware(SecurityHeaders),
        Middleware(CheckFraming, tell=tell),
        Middleware(CheckHost, settings=Settings(), tell=tell),
    ]
    of_editor = routes(sessions, max_bytes=max_bytes, max_pixels=max_pixels, own_presets=own_presets)
    return Starlette(routes=of_editor, middleware=middleware)


class _Editor:
    """The handlers, and the threads they work in: strokes have their own, so that none waits for a long solve."""

    def __init__(self, sessions: Sessions, max_bytes: int, max_pixels: int, own_presets: Sequence[str]) -> None:
        self.sessions = sessions
        self.presets = _with_own(own_presets)
        self.preset_offers = {name: _offered(preset) for name, preset in self.presets.items()}
        choice = Choice(tuple(self.presets))
        self.looks = [replace(row, kind=choice) if row.name == "preset" else row for row in LOOKS]
        self.settings = Settings(max_bytes=max_bytes, max_pixels=max_pixels)
        self._held = Held(self.settings.held_bytes)
        self._long = ThreadPoolExecutor(max(1, available_threads() // 2), "editor-long")
        self._quick = ThreadPoolExecutor(2, "editor-quick")

    async def offered(self, request: Request) -> Response:
        """What the page offers."""
        methods = [{"name": name, "label": label} for name, label in editor_methods().items()]
        offered = {"presets": self.preset_offers, "formats": _cutouts()}
        return JSONResponse({"methods": methods, "bands": BANDS, **offered})

    async def open(self, request: Request) -> Response:
        """A photo as the body -> a session."""
        query = request.query_params
        options: dict[str, Any] = {name: query[name] for name in SETTINGS if name in query}
        if "band" in options:
            options["band"] = _number(options["band"], "band")
        name = query.get("name", "photo")[:200]
        with self._held.share() as share:
            body = bytes(await read_raw(request.receive, request.headers, self.settings, share))
            work = partial(self.sessions.open, body, name, max_pixels=self.settings.max_pixels, **options)
            id = await _in(self._long, work)
        if await request.is_disconnected():  # nobody is there who could use it
            self.sessions.close(id)
            raise ClientGoneError
        return JSONResponse({"id": id, **self.sessions[id].state()}, 201)

    async def state(self, request: Request) -> Response:
        return JSONResponse({"id": request.path_params["id"], **self._session(request).state()})

    async def close(self, request: Request) -> Response:
        self.sessions.close(request.path_params["id"])
        return Response(status_code=204)

    async def change(self, request: Request) -> Response:
        """JSON of some `Settings` -> the session's state; trimap and alpha are to be asked for again."""
        session = self._session(request)
        wanted = _settings(await self._body(request, 1000))
        await _in(self._long, partial(session.change, **wanted))
        return await self.state(request)

    async def photo(self, request: Request) -> Response:
        body = await _in(self._quick, self._session(request).photo)
        return Response(body, media_type="image/jpeg")

    async def foreground(self, request: Request) -> Response:
        body = await _in(self._long, self._session(request).foreground)
        return Response(body, media_type="image/jpeg")

    async def automatic(self, request: Request) -> Response:
        return _plane(self._session(request).auto)

    async def marks(self, request: Request) -> Response:
        return _plane(self._session(request).marks)

    async def paint(self, request: Request) -> Response:
        """A rectangle of marks, deflated -> a patch of alpha."""
        session = self._session(request)
        x, y, width, height, since = (_whole(request, name) for name in ("x", "y", "width", "height", "since"))
        if not (0 < width <= session.size[1] and 0 < height <= session.size[0]):
            raise ArgumentError(f"width, height: got {width}, {height}; wanted 1 to {session.size[::-1]}")
        marks = _inflated(await self._body(request, width * height + 1000), width * height).reshape(height, width)
        return _patch(await _in(self._quick, partial(session.paint, x, y, marks, since)))

    async def click(self, request: Request) -> Response:
        """JSON of all clicks, such as [["add", 20, 30]] -> a patch of alpha."""
        session, since = self._session(request), _whole(request, "since")
        clicks = _clicks(await self._body(request, CLICKS_BYTES))
        return _patch(await _in(self._quick, partial(session.click, clicks, since)))

    async def alpha(self, request: Request) -> Response:
        """The exact alpha, once it is there, as a patch."""
        session, since = self._session(request), _whole(request, "since")
        return _patch(await _in(self._long, partial(session.refine, since)))

    async def download(self, request: Request) -> Response:
        session, what = self._session(request), request.path_params["what"]
        if what not in DOWNLOADS:
            raise Problem("not-found", f"there is no {what!r}, there are {', '.join(DOWNLOADS)}")
        options = await self._looks(request) if what.startswith("cutout") else {}
        made = await _in(self._long, partial(session.download, what, **options))
        name = quote(f"{os.path.splitext(session.name)[0]}-{what}", safe="")
        headers = {"Content-Disposition": f"attachment; filename*=UTF-8''{name}"}
        if made.notes:
            headers["Trimatte-Notes"] = json.dumps(made.notes)
        return Response(made.body, 200, headers, DOWNLOADS[what][1])

    async def _looks(self, request: Request) -> dict[str, Any]:
        """How a cut-out is to be laid out; a body is the picture behind it."""
        values = parse_parameters(self.looks, request.query_params.multi_items())
        options = {name: value for name, value in values.items() if value is not None}
        if "preset" in options:
            options["preset"] = self.presets[options["preset"]]
        if request.method == "POST":
            behind = await self._body(request, self.settings.max_bytes)
            options["background"] = opaque_image(behind, max_pixels=self.settings.max_pixels)
        return {**options, "max_pixels": self.settings.max_pixels}

    async def _body(self, request: Request, limit: int) -> bytes:
        with self._held.share() as share:
            return bytes(await read_raw(request.receive, request.headers, self.settings, share, limit=limit))

    def _session(self, request: Request) -> Session:
        return self.sessions[request.path_params["id"]]


class _Files(StaticFiles):
    """The page's files, which browsers keep but check for a newer one."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        response.headers["Cache-Control"] = "no-cache"
        return response


async def _page(request: Request) -> Response:
    return FileResponse(STATIC / "index.html", headers={"Cache-Control": "no-cache"})


def _with_own(paths: Sequence[str]) -> dict[str, str]:
    """The presets that there are and those of files, by name. Raises `ArgumentError` for two of a name."""
    found = {name: name for name in presets()}
    for path in paths:
        name = Path(path).stem
        if name in found:
            raise ArgumentError(f"preset: got {path!r}, but there is another {name!r}; wanted names that differ")
        found[name] = path
    return found


def _offered(preset: str) -> dict[str, str | bool]:
    """What the page needs to know of a preset: the suffix of its format, and whether it has a background.

    Raises `ArgumentError` for one of a format that the page does not offer, or whose background is none.
    """
    options = preset_options(preset)
    suffix = WRITTEN[options.get("format", "png")].suffix.removeprefix(".")
    if suffix not in _cutouts():
        raise ArgumentError(f"preset: {preset!r} has format {suffix}; wanted, for the editor, {', '.join(_cutouts())}")
    check_background(options.get("background"))
    return {"format": suffix, "background": "background" in options}


def _cutouts() -> list[str]:
    """The suffixes of a cut-out that can be downloaded."""
    return [name.removeprefix("cutout.") for name in DOWNLOADS if name.startswith("cutout.")]


def _answered(handler: Handler) -> Handler:
    """The handler with its errors as problem documents, closed to pages of other sites."""

    @wraps(handler)
    async def answer(request: Request) -> Response:
        try:
            if request.headers.get("sec-fetch-site", "none") not in ("same-origin", "none"):
                raise Problem("foreign-origin", "The editor answers only its own page.")
            return await handler(request)
        except Problem as problem:
            return problem_response(problem)
        except (TrimatteError, MemoryError) as error:
            return problem_response(_problem_of(error))
        except ClientGoneError:
            return Response(status_code=CLIENT_GONE)

    return answer


def _problem_of(error: Exception) -> Problem:
    if isinstance(error, NoSessionError):
        return Problem("session-ended", str(error))
    if isinstance(error, (SessionsFullError, MemoryError)):
        return Problem("busy", str(error) or "not enough memory", headers={"Retry-After": "60"})
    if isinstance(error, ArgumentError):
        return Problem("bad-parameter", str(error))
    return of_error(type(error).__name__, str(error))


def _plane(plane: np.ndarray) -> Response:
    """A plane (H, W) uint8, row by row."""
    return Response(zlib.compress(plane.tobytes(), 1), 200, {"Content-Encoding": "deflate"})


def _patch(patch: Patch) -> Response:
    response = _plane(patch.alpha)
    response.headers["Trimatte-Patch"] = json.dumps(patch.head())
    return response


async def _in(pool: ThreadPoolExecutor, work: Callable[[], T]) -> T:
    import asyncio

    return await asyncio.get_running_loop().run_in_executor(pool, work)


def _inflated(body: bytes, size: int) -> np.ndarray:
    """Deflated bytes (RFC 1950), which must be just `size`, as (size,) uint8."""
    inflate = zlib.decompressobj()
    try:
        plain = inflate.decompress(body, size + 1)
    except zlib.error as error:
        raise Problem("bad-body", f"marks: got bytes that are not deflated ({error})") from error
    if len(plain) != size or not inflate.eof:
        raise Problem(
            "bad-body", f"marks: got {'more' if len(plain) > size else 'less'} than the {size} pixels of the part"
        )
    return np.frombuffer(plain, np.uint8)


def _whole(request: Request, name: str) -> int:
    value = request.query_params.get(name, "")
    if not re.fullmatch("-?[0-9]{1,9}", value):
        raise ArgumentError(f"{name}: got {value[:20]!r}, wanted a whole number")
    return int(value)


def _number(value: Any, name: str) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if isinstance(value, bool) or not math.isfinite(number):
        raise ArgumentError(f"{name}: got {str(value)[:20]!r}, wanted a number")
    return number


def _clicks(body: bytes) -> list[Click]:
    """The clicks of a JSON list."""
    try:
        given = json.loads(body)
    except (ValueError, RecursionError):
        given = None
    if not isinstance(given, list) or not all(isinstance(click, list) for click in given):
        raise Problem("bad-body", 'clicks: wanted a JSON list such as [["add", 20, 30], ["box", 5, 5, 90, 60]]')
    for kind, *place in (click or [None] for click in given):
        if kind not in CLICKS or len(place) != CLICKS[kind]:
            wanted = ", ".join(f"{name} with {count} numbers" for name, count in CLICKS.items())
            raise ArgumentError(f"clicks: got {str(kind)[:20]!r} with {len(place)}, wanted {wanted}")
        for value in place:
            _number(value, "clicks")
    return [tuple(click) for click in given]


def _settings(body: bytes) -> dict[str, Any]:
    """Settings of a JSON object; others are refused."""
    try:
        given = json.loads(body)
    except (ValueError, RecursionError):
        given = None
    if not isinstance(given, dict) or not set(given) <= set(SETTINGS):
        raise Problem("bad-body", f"settings: wanted a JSON object of {', '.join(SETTINGS)}")
    for name in set(given) - {"band"}:
        if not isinstance(given[name], str):
            raise ArgumentError(f"{name}: wanted a word")
    return {**given, "band": _number(given["band"], "band")} if "band" in given else given
