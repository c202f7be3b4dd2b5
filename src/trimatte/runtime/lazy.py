"""Names of a package that are imported when they are first used."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any


def first_use(package: dict[str, Any], names: Mapping[str, str], name: str) -> Any:
    """What a name of a package stands for, which is kept among its `globals()`.

    `names` says in which module of the package a name is; an empty text, that it is itself one. Raises
    `AttributeError` for a name that it has not.
    """
    if name not in names:
        raise AttributeError(f"module {package['__name__']!r} has no attribute {name!r}")
    module = import_module(f"{package['__name__']}.{names[name] or name}")
    value = package[name] = getattr(module, name) if names[name] else module
    return value
