"""The OpenAPI document, written from the tables that requests are checked against."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from trimatte import __version__
from trimatte.runtime.parameters import Parameter
from trimatte.server.answers import MEDIA_TYPES
from trimatte.server.operations import Operation
from trimatte.server.problems import PROBLEMS

Document = dict[str, Any]

_FILES = {
    "image": "The photo: PNG, JPEG, WebP, TIFF, AVIF, GIF, BMP or PPM.",
    "trimap": "A grey picture of the photo's size: white is subject, black background, all between unknown.",
    "image_file": "The photo.",
    "file": "The photo.",
    "bg_image_file": "A picture to lay the subject over.",
}
_BODY_ERRORS = (400, 401, 403, 408, 413, 415, 421, 422, 429, 431, 500, 501, 503, 504)


def document(operations: Sequence[Operation], removebg: Sequence[Parameter], *, token: bool) -> Document:
    """OpenAPI 3.1 of the service; `token` says whether clients need one."""
    paths: Document = {operation.address: {"post": _operation(operation)} for operation in operations}
    paths["/v1.0/removebg"] = {"post": _removebg(removebg)}
    paths["/v1.0/account"] = {"get": _account()}
    paths["/v1/models"] = {"get": _plain("models", "Segmenters with their cards, and methods.", "application/json")}
    paths["/healthz"] = {"get": _plain("healthz", "The process is there.", "application/json")}
    ready = _plain("readyz", "A worker is ready; 503 if none is.", "application/json")
    ready["responses"] |= _problems((503,))
    paths["/readyz"] = {"get": ready}
    paths["/metrics"] = {"get": _plain("metrics", "Metrics for Prometheus.", "text/plain")}
    made: Document = {
        "openapi": "3.1.0",
        "info": {
            "title": "trimatte",
            "version": __version__,
            "summary": "Photos to cut-outs with a true alpha channel.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": paths,
        "components": {"schemas": {"Problem": _problem_schema()}},
    }
    if token:
        made["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        made["security"] = [{"token": []}]
        for path in ("/healthz", "/readyz"):
            paths[path]["get"]["security"] = []
    return made


def _operation(operation: Operation) -> Document:
    # Parameters stand once: a schema cannot say that one that is in the query must not be in the form too.
    content = {"multipart/form-data": {"schema": _form((), operation.required, operation.optional)}}
    if len(operation.required) == 1:  # a raw body is one picture
        for media_type in ("image/*", "application/octet-stream"):
            content[media_type] = {"schema": {}}
    return {
        "operationId": operation.name,
        "summary": operation.summary,
        "description": "A parameter may be a field of the form instead, not both.",
        "parameters": [
            {
                "name": parameter.name,
                "in": "query",
                "description": parameter.meaning,
                "schema": parameter.schema(),
            }
            for parameter in operation.parameters
        ],
        "requestBody": {"required": True, "content": content},
        "responses": {
            "200": {
                "description": "The picture.",
                "headers": {
                    "Trimatte-Report": {
                        "description": "What happened, as JSON: subject, warnings, method, converged and so on.",
                        "schema": {"type": "string"},
                    },
                    "Server-Timing": {"description": "Milliseconds of each stage.", "schema": {"type": "string"}},
                },
                "content": {MEDIA_TYPES[name]: {"schema": {}} for name in operation.formats},
            },
            **_problems(_BODY_ERRORS + ((406,) if len(operation.formats) > 1 else ())),
        },
    }


def _removebg(table: Sequence[Parameter]) -> Document:
    schema = _form(table, (), ("image_file", "bg_image_file"))
    return {
        "operationId": "removebg",
        "summary": "Cut the subject out of a photo, for clients of remove.bg.",
        "requestBody": {"required": True, "content": {"multipart/form-data": {"schema": schema}}},
        "responses": {
            "200": {
                "description": "The picture, or with `Accept: application/json` the same in base64.",
                "content": {**{MEDIA_TYPES[name]: {"schema": {}} for name in MEDIA_TYPES}, "application/json": {}},
            },
            "default": _removebg_error(),
        },
    }


def _account() -> Document:
    """What clients of remove.bg call when they are built."""
    whole = _plain("account", "That there are credits, which are never counted.", "application/json")
    whole["responses"]["default"] = _removebg_error()
    return whole


def _form(table: Sequence[Parameter], required: Sequence[str], optional: Sequence[str]) -> Document:
    files = {
        name: {"type": "string", "format": "binary", "description": _FILES[name]} for name in (*required, *optional)
    }
    fields = {parameter.name: parameter.schema() for parameter in table}
    form: Document = {"type": "object", "properties": {**files, **fields}, "additionalProperties": False}
    return {**form, "required": list(required)} if required else form


def _plain(name: str, summary: str, media_type: str) -> Document:
    return {
        "operationId": name,
        "summary": summary,
        "responses": {"200": {"description": summary, "content": {media_type: {"schema": {}}}}},
    }


def _problems(statuses: Sequence[int]) -> Document:
    """Answers by status, with what each may mean."""
    content = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {
        str(status): {
            "description": "; ".join(f"{code}: {title}" for code, (own, title) in PROBLEMS.items() if own == status),
            "content": content,
        }
        for status in sorted(statuses)
    }


def _problem_schema() -> Document:
    return {
        "type": "object",
        "description": "Problem details by RFC 9457.",
        "required": ["type", "title", "status", "detail"],
        "properties": {
            "type": {"type": "string", "enum": [f"/problems/{code}" for code in PROBLEMS]},
            "title": {"type": "string"},
            "status": {"type": "integer"},
            "detail": {"type": "string"},
            "parameter": {"type": "string", "description": "The name of the parameter that is wrong."},
        },
    }


def _removebg_error() -> Document:
    text = {"type": "string"}
    error = {
        "type": "object",
        "required": ["title", "code"],
        "properties": {"title": text, "detail": text, "code": text},
    }
    schema = {"type": "object", "required": ["errors"], "properties": {"errors": {"type": "array", "items": error}}}
    return {
        "description": "What was wrong, in the form that clients of remove.bg know.",
        "content": {"application/json": {"schema": schema}},
    }
