"""Names and what stands behind them: our own, and those that other packages add by entry points."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any

from trimatte.errors import ArgumentError


def resolve(kind: str, name: str, builtin: Mapping[str, str], group: str) -> Any:
    """Import what `name` stands for.

    `builtin` maps names to "module:attribute"; other packages extend it by entry points of `group`.
    Raises `ArgumentError`, listing the names there are, for an unknown one.
    """
    if name in builtin:
        module, _, attribute = builtin[name].partition(":")
        return getattr(import_module(module), attribute)
    for point in entry_points(group=group):
        if point.name == name:
            return point.load()
    names = known(builtin, group)
    near = difflib.get_close_matches(name, names, 1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    raise ArgumentError(f"{kind}: there is no {name!r}, there are {', '.join(names)}{hint}")


def known(builtin: Mapping[str, str], group: str) -> list[str]:
    """All names, ours first."""
    return [*builtin, *sorted(point.name for point in entry_points(group=group) if point.name not in builtin)]
