"""The ASGI application: addresses, and the way of a request through limits, parameters and the pool."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from functools import partial
from typing import Any

from starlette.applications import Starlette
from starlette.datastructures import Headers, QueryParams
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from trimatte.server import removebg
from trimatte.server.answers import accepted_format, report_headers, send_body
from trimatte.server.bodies import Form, Share, read_multipart, read_raw
from trimatte.server.guard import CheckClient, CheckFraming, CheckHost, Observe, SecurityHeaders, notes
from trimatte.server.openapi import document
from trimatte.server.operations import Operation, offered, operations
from trimatte.server.pool import Pool
from trimatte.server.problems import PROBLEMS, Problem, problem_response
from trimatte.server.service import Service
from trimatte.server.settings import Settings

EXPOSED = ["Trimatte-Report", "Server-Timing", "X-Request-Id", "Retry-After"]


class PictureEndpoint:
    """POST of an operation: a picture in, a picture out."""

    def __init__(self, service: Service, operation: Operation) -> None:
        self.service = service
        self.operation = operation

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        service, operation = self.service, self.operation
        headers = Headers(scope=scope)
        service.pool.check_room()
        query = QueryParams(scope["query_string"]).multi_items()
        operation.parse(query)  # what is wrong there need not wait for the body
        with service.held.share() as share:
            form = await self._read(receive, headers, share)
            values = operation.parse([*query, *form.fields])
            if "format" in values and values["format"] is None:
                values["format"] = accepted_format(headers.get("accept"), offered(operation, values))
            operation.check(values)
            reply = await service.work(scope, receive, operation.name, form.files, values)
            form.files.clear()
            share.add(len(reply.body))
            found = {**report_headers(reply), "Vary": "Accept"}
            await send_body(send, reply.body, reply.media_type, found, seconds=service.settings.body_seconds)

    async def _read(self, receive: Receive, headers: Headers, share: Share) -> Form:
        """The body's files, those that the operation takes, and fields."""
        operation = self.operation
        media_type = headers.get("content-type", "application/octet-stream").partition(";")[0].strip().lower()
        if media_type == "multipart/form-data":
            form = await read_multipart(receive, headers, self.service.settings, share)
        elif not media_type.startswith("image/") and media_type != "application/octet-stream":
            raise Problem("unsupported-type", "Send a picture, or multipart/form-data with pictures.")
        elif len(operation.required) > 1:
            raise Problem("bad-body", f"Send multipart/form-data with the files {' and '.join(operation.required)}.")
        else:
            form = Form(files={operation.required[0]: await read_raw(receive, headers, self.service.settings, share)})
        taken = (*operation.required, *operation.optional)
        for name in form.files:
            if name not in taken:
                detail = f"{name[:64]!r} is no file that is taken here; those are {', '.join(taken)}."
                raise Problem("bad-body", detail, parameter=name[:64])
        for name in operation.required:
            if name not in form.files:
                raise Problem("bad-body", f"The file {name!r} is missing; it needs a file name.", parameter=name)
        return form


def create_app(settings: Settings | None = None, pool: Pool | None = None) -> Starlette:
    """The service as an ASGI application, with its workers started and stopped by the application's lifespan.

    Parameters
    ----------
    settings : Settings, optional
        Limits and doors.
    pool : Pool, optional
        The workers, by default those of `settings`.
    """
    settings = settings or Settings()
    pool = pool or Pool(settings)
    service = Service(settings, pool)
    routes = [*_routes(service), *_editor_routes(settings)]
    paths = frozenset(route.path for route in routes if isinstance(route, Route))
    middleware = [
        Middleware(SecurityHeaders),
        Middleware(Observe, metrics=service.metrics, routes=paths, tell=error_answer),
        Middleware(CheckFraming, tell=error_answer),
        Middleware(CheckHost, settings=settings, tell=error_answer),
        *([_cross_origin(settings)] if settings.origins else []),
        Middleware(CheckClient, settings=settings, tell=error_answer),
    ]

    @contextlib.asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        await pool.start()
        try:
            yield
        finally:
            await pool.stop()

    handlers: dict[Any, Callable[[Request, Exception], Awaitable[Response]]] = {
        Problem: _on_problem,
        HTTPException: _on_http_exception,
    }
    return Starlette(routes=routes, middleware=middleware, exception_handlers=handlers, lifespan=lifespan)


def _routes(service: Service) -> list[BaseRoute]:
    table = operations()
    described = document(table, removebg.PARAMETERS, token=service.settings.token is not None)

    async def ready(request: Request) -> Response:
        if service.pool.stopping or not service.pool.ready:
            raise Problem("not-ready", "The workers are starting, or stopping.", headers={"Retry-After": "5"})
        return JSONResponse({"status": "ready"})

    async def answer(request: Request, make: Callable[[], Response]) -> Response:
        return make()

    return [
        *(Route(o.address, PictureEndpoint(service, o), methods=["POST"]) for o in table),
        Route(removebg.PATH, removebg.RemoveBgEndpoint(service), methods=["POST"]),
        Route(removebg.PREFIX + "account", partial(answer, make=lambda: JSONResponse(removebg.ACCOUNT))),
        Route("/v1/models", partial(answer, make=lambda: JSONResponse(service.models))),
        Route("/v1/openapi.json", partial(answer, make=lambda: JSONResponse(described))),
        Route("/metrics", partial(answer, make=service.metrics.page)),
        Route("/healthz", partial(answer, make=lambda: JSONResponse({"status": "alive"}))),
        Route("/readyz", ready),
        Route("/problems/{code}", _explain),
    ]


def _editor_routes(settings: Settings) -> Sequence[BaseRoute]:
    """The editor in the browser."""
    if not settings.editor:
        return []
    from trimatte.server.editor import routes

    made: Sequence[BaseRoute] = routes(max_bytes=settings.max_bytes, max_pixels=settings.max_pixels)
    return made


def _cross_origin(settings: Settings) -> Middleware:
    return Middleware(
        CORSMiddleware,
        allow_origins=list(settings.origins),
        allow_methods=["GET", "POST"],
        allow_headers=["Authorization", "Content-Type", "X-Api-Key"],
        expose_headers=EXPOSED,
    )


async def _explain(request: Request) -> Response:
    code = request.path_params["code"]
    if code not in PROBLEMS:
        raise Problem("not-found", "There is no such problem.")
    status, title = PROBLEMS[code]
    return PlainTextResponse(f"{code} ({status}): {title}.\n")


def error_answer(scope: Scope, problem: Problem) -> Response:
    """The answer that reports a problem, in the form that the address's clients know; the log reports it, too."""
    notes(scope)["problem"] = problem.code
    if scope["path"].startswith(removebg.PREFIX):
        return removebg.error_response(problem)
    return problem_response(problem)


async def _on_problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, Problem)
    return error_answer(request.scope, error)


async def _on_http_exception(request: Request, error: Exception) -> Response:
    """What Starlette itself refuses: an address that there is not, or a method that it does not take."""
    assert isinstance(error, HTTPException)
    if error.status_code == 405:
        allowed = (error.headers or {}).get("Allow", "")
        return error_answer(request.scope, Problem("method-not-allowed", f"Use {allowed}.", headers=error.headers))
    if error.status_code == 404:
        return error_answer(request.scope, Problem("not-found", "There is nothing at this address."))
    return error_answer(request.scope, Problem("bad-body", error.detail))
