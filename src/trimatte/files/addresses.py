"""Addresses of files: a path on this machine, or what fsspec reaches (s3://, gs://, memory://, zip://...::, ...)."""

from __future__ import annotations

import os
import re
from typing import Any

from trimatte.errors import ArgumentError, MissingExtraError
from trimatte.files.atomic import reason

_REMOTE = re.compile(r"(?:[A-Za-z][\w+.-]+::)*[A-Za-z][\w+.-]+://")
_HERE = re.compile(r"(?:file|local)://")


def is_remote(address: str) -> bool:
    """Whether an address is anything but a path on this machine."""
    return _REMOTE.match(address) is not None and _HERE.match(address) is None


def plain(address: str) -> str:
    """The address without what says nothing: "file://", and slashes at the end of a remote one."""
    if _HERE.match(address):
        return address.partition("://")[2]
    if not is_remote(address) or address.endswith("://"):
        return address
    head, chained, tail = address.partition("::")
    return (head if head.endswith("://") else head.rstrip("/")) + chained + tail


def join(folder: str, name: str) -> str:
    """The address of a file, by its name inside a folder with forward slashes."""
    if not is_remote(folder):
        return os.path.join(folder, name)
    head, chained, tail = folder.partition("::")  # zip://::s3://bucket/a.zip: the inner path stands in front
    if "://" not in head:
        head += "://"
    return f"{head}{'' if head.endswith('/') else '/'}{name}{chained}{tail}"


def reach(address: str) -> tuple[Any, str]:
    """The fsspec file system of a remote address, and the path there.

    Raises
    ------
    MissingExtraError
        If fsspec, or the package that speaks this protocol, is not installed.
    ArgumentError
        If there is no such protocol.
    """
    try:
        import fsspec  # type: ignore[import-untyped]
    except ImportError as error:
        raise MissingExtraError(f"{address!r} needs fsspec: pip install 'trimatte[dask]'") from error
    try:
        system, path = fsspec.core.url_to_fs(address)
    except ImportError as error:
        raise MissingExtraError(f"{address!r}: {reason(error)}") from error
    except ValueError as error:
        raise ArgumentError(f"{address!r}: {reason(error)}") from error
    return system, str(path).rstrip("/")
