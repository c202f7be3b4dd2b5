"""Names and what stands behind them: our own, and those that other packages add by entry points."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from functools import lru_cache
from importlib import import_module
from typing import TYPE_CHECKING, Any

from trimatte.errors import ArgumentError

if TYPE_CHECKING:
    from importlib.metadata import EntryPoints


def resolve(kind: str, name: str, builtin: Mapping[str, Any], group: str) -> Any:
    """What `name` stands for.

    `builtin` maps names to "module:attribute", which is imported, or to what they stand for; other packages extend it
    by entry points of `group`. Raises `ArgumentError` for an unknown name, listing those there are, and for a plug-in
    that cannot be imported.
    """
    check_name(kind, name)
    if name in builtin:
        found = builtin[name]
        return load(found) if isinstance(found, str) else found
    for point in _points(group):
        if point.name == name:
            try:
                return point.load()
            except Exception as error:  # whatever another package does on import
                raise ArgumentError(f"{kind}: the plug-in {name!r} cannot be loaded: {error}") from error
    raise unknown(kind, name, known(builtin, group))


def unknown(kind: str, name: str, names: Sequence[str], addable: Sequence[str] = ()) -> ArgumentError:
    """The error for a name that there is not; `addable` are names that are not listed, but could be meant."""
    return ArgumentError(f"{kind}: there is no {name!r}, there are {', '.join(names)}{meant(name, [*names, *addable])}")


def meant(name: str, names: Sequence[str]) -> str:
    """The question whether one of these was meant, "; did you mean 'knn'?"; empty if none is like the name."""
    import difflib

    near = difflib.get_close_matches(name, names, 1)
    return f"; did you mean {near[0]!r}?" if near else ""


def check_name(kind: str, name: Any) -> None:
    """Raise `ArgumentError` for a name that is no text."""
    if not isinstance(name, str):
        raise ArgumentError(f"{kind}: got {name!r}, wanted a name")


def load(where: str) -> Any:
    """Import "module:attribute"."""
    module, _, attribute = where.partition(":")
    return getattr(import_module(module), attribute)


def known(builtin: Mapping[str, Any], group: str) -> list[str]:
    """All names, ours first."""
    return [*builtin, *sorted(point.name for point in _points(group) if point.name not in builtin)]


def _points(group: str) -> EntryPoints:
    """The entry points of a group, read anew from all packages only when a folder of `sys.path` has changed."""
    return _points_of(group, tuple((path, _time_of(path)) for path in sys.path))


@lru_cache(maxsize=8)
def _points_of(group: str, folders: tuple[tuple[str, int], ...]) -> EntryPoints:
    from importlib.metadata import entry_points

    return entry_points(group=group)


def _time_of(path: str) -> int:
    """When a folder got or lost an entry, in nanoseconds; 0 if it is not there."""
    try:
        return os.stat(path or ".").st_mtime_ns
    except OSError:
        return 0
