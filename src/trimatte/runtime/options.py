"""Options given as text, NAME=VALUE, as on a command line."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from trimatte.errors import ArgumentError


def parse_options(given: Iterable[str]) -> dict[str, Any]:
    """Options by name: numbers and truth values as such, all else as text.

    Raises `ArgumentError` for one that is not NAME=VALUE.
    """
    options: dict[str, Any] = {}
    for part in given:
        name, equals, value = part.partition("=")
        if not (name and equals):
            raise ArgumentError(f"option: got {part!r}, wanted NAME=VALUE")
        try:
            options[name] = json.loads(value)
        except ValueError:
            options[name] = value
    return options
