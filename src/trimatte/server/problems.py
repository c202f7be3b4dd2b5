"""What is answered when something is wrong: problem details by RFC 9457, from one table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.responses import JSONResponse, Response

PROBLEMS: dict[str, tuple[int, str]] = {
    "bad-request": (400, "The request is not HTTP as RFC 9112 has it"),
    "bad-parameter": (400, "A parameter is unknown, given twice, or not of its type"),
    "bad-body": (400, "The body is not what this address takes"),
    "unauthorized": (401, "A token is needed"),
    "foreign-origin": (403, "A web page of another origin may not do this"),
    "not-found": (404, "There is nothing at this address"),
    "method-not-allowed": (405, "This address does not take that method"),
    "not-acceptable": (406, "There is no format that the client accepts"),
    "slow-body": (408, "The body took too long to arrive"),
    "session-ended": (410, "The session of the editor has ended"),
    "body-too-large": (413, "The body has too many bytes"),
    "picture-too-large": (413, "The picture has too many pixels"),
    "unsupported-type": (415, "The body is not of a type or picture format that is read"),
    "wrong-host": (421, "The service does not go by that name"),
    "unreadable-picture": (422, "The picture cannot be read"),
    "unfit-picture": (422, "The pictures do not go together, or do not fit the parameters"),
    "no-subject": (422, "No subject was found, and `strict` was asked for"),
    "not-solved": (422, "The alpha matte could not be computed as demanded"),
    "busy": (429, "Too many requests at once"),
    "long-head": (431, "The request's head has too many bytes"),
    "defect": (500, "A defect of the service"),
    "unknown-coding": (501, "The body has a transfer coding other than chunked"),
    "out-of-memory": (503, "The picture needs more memory than there is"),
    "worker-lost": (503, "The process that worked on the request died"),
    "waited-too-long": (503, "No worker became free in time"),
    "not-ready": (503, "No worker is ready"),
    "shutting-down": (503, "The service is shutting down"),
    "over-time": (504, "The picture took too long, and was given up"),
}
"""Code, status and title of every problem that the service answers."""

_OF_ERRORS = {
    "ImageTooLargeError": "picture-too-large",
    "ImageFormatError": "unsupported-type",
    "ImageReadError": "unreadable-picture",
    "ImageWriteError": "unfit-picture",
    "ArgumentError": "unfit-picture",
    "SubjectNotFoundError": "no-subject",
    "SolverError": "not-solved",
    "MemoryError": "out-of-memory",
}


class Problem(Exception):  # noqa: N818 - RFC 9457 calls it that
    """Something is wrong with a request, or with the service at the moment.

    `code` is one of `PROBLEMS`, `detail` says what it is this time, `headers` go with the answer, and `parameter` is
    the name of the parameter that is wrong.
    """

    def __init__(
        self, code: str, detail: str, *, headers: Mapping[str, str] | None = None, parameter: str | None = None
    ) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.status, self.title = PROBLEMS[code]
        self.headers = dict(headers or {})
        self.parameter = parameter

    def as_dict(self) -> dict[str, Any]:
        """The members of the problem document."""
        members = {
            "type": f"/problems/{self.code}",
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
        }
        return members if self.parameter is None else {**members, "parameter": self.parameter}


def of_error(name: str, message: str) -> Problem:
    """The problem that an error of that type is to a client; a defect if the type is none of `trimatte.errors`."""
    code = _OF_ERRORS.get(name, "defect")
    return defect() if code == "defect" else Problem(code, message)


def defect() -> Problem:
    """The problem of an error that nobody foresaw; what it says is for the log alone."""
    return Problem("defect", "The service failed in a way that it should not have.")


def problem_response(problem: Problem) -> Response:
    """The answer that tells of a problem."""
    return JSONResponse(
        problem.as_dict(), problem.status, headers=problem.headers, media_type="application/problem+json"
    )
