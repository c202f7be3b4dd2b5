"""Parameters of requests, by a table of names and types."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from trimatte.runtime.parameters import Parameter
from trimatte.server.problems import Problem


def parse_parameters(table: Sequence[Parameter], given: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """The value of every parameter of the table, from names and texts.

    Raises `Problem` for a name that the table has not, one given twice, or a value that is not of its type.
    """
    known = {parameter.name: parameter for parameter in table}
    values = {parameter.name: parameter.default for parameter in table}
    seen = set()
    for name, text in given:
        if name not in known:
            raise _wrong(name, f"there is no such parameter, there are {', '.join(known)}")
        if name in seen:
            raise _wrong(name, "it is given more than once")
        seen.add(name)
        try:
            values[name] = known[name].kind.parse(text)
        except ValueError as error:
            raise _wrong(name, f"got {_shown(text)}, wanted {error}") from None
    return values


def _wrong(name: str, what: str) -> Problem:
    return Problem("bad-parameter", f"{_shown(name)}: {what}", parameter=name[:64])


def _shown(text: str) -> str:
    """As in Python, and cut short: what is wrong may be megabytes."""
    return repr(text if len(text) <= 64 else text[:64] + "…")
