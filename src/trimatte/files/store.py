"""The files of a batch by their address: a path on this machine, or one that fsspec reaches."""

from __future__ import annotations

import contextlib
import errno
import fnmatch
import hashlib
import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from trimatte.errors import ImageReadError, ImageWriteError, TrimatteError
from trimatte.files.addresses import is_remote, join, reach
from trimatte.files.atomic import atomic_write, reason

_CHUNK = 1 << 20
_MARKS = ("size", "mtime", "created", "updated", "LastModified", "last_modified", "ETag", "etag", "md5Hash")
"""By which file systems tell that a file has changed."""


def read(address: str) -> bytes:
    """A file's content. Raises `ImageReadError`, also for what is no regular file: a pipe would be waited for."""
    with _reading(address):
        if is_remote(address):
            system, path = _fresh(address)
            return bytes(system.cat_file(path))
        with open(address, "rb", opener=_open_at_once) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise OSError(errno.EINVAL, "it is not a regular file")
            return file.read()


def digest(address: str) -> str | None:
    """SHA-256 of a file's content in hexadecimal, None if there is no such file."""
    state = hashlib.sha256()
    with _reading(address):
        try:
            with _opened(address) as file:
                while chunk := file.read(_CHUNK):
                    state.update(chunk)
        except FileNotFoundError:
            return None
    return state.hexdigest()


def _opened(address: str) -> Any:
    if not is_remote(address):
        return open(address, "rb", opener=_open_at_once)
    system, path = _fresh(address)
    return system.open(path, "rb")


def exists(address: str) -> bool:
    """Whether there is such a file. Raises `ImageReadError` if that cannot be told."""
    if not is_remote(address):
        return os.path.exists(address)
    with _reading(address):
        system, path = _fresh(address)
        return bool(system.exists(path))


def write(address: str, content: bytes | memoryview) -> None:
    """Put a whole file in place, stored for good before this returns. Raises `ImageWriteError`."""
    if is_remote(address):
        with _writing(address):
            system, path = _fresh(address)
            system.pipe_file(path, bytes(content))
        return
    with atomic_write(address) as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def move(source: str, target: str) -> None:
    """Put a file in the place of another of the same file system. Raises `ImageWriteError`."""
    if not is_remote(target):
        try:
            os.replace(source, target)
        except OSError as error:
            raise ImageWriteError(f"cannot write {target!r}: {reason(error)}") from error
        return
    with _writing(target):
        (system, there), (_, here) = _fresh(target), _fresh(source)
        try:
            system.cp_file(here, there)
        except NotImplementedError:  # it renames instead
            system.mv(here, there)
        else:
            system.rm_file(here)


def remove(address: str) -> None:
    """Delete a file if it is there. Raises `ImageWriteError`."""
    with _writing(address), contextlib.suppress(FileNotFoundError):
        if is_remote(address):
            system, path = _fresh(address)
            system.rm_file(path)
        else:
            os.unlink(address)


def signatures(folder: str, names: Sequence[str]) -> dict[str, tuple[Any, ...]]:
    """Of each file that is there, what changes with its content: size and time, or what the store has."""
    if is_remote(folder):
        about = found(folder)
        return {n: tuple(str(about[n].get(mark)) for mark in _MARKS) for n in names if n in about}
    known: dict[str, tuple[Any, ...]] = {}
    for name in names:
        with contextlib.suppress(OSError):
            status = os.stat(os.path.join(folder, name))
            known[name] = status.st_size, status.st_mtime_ns
    return known


def matching(folder: str, pattern: str) -> list[str]:
    """Addresses of the files right in a folder whose names match, in order; none if there is no such folder."""
    if is_remote(folder):
        names: Sequence[str] = [name for name in found(folder, maxdepth=1) if "/" not in name]
    else:
        with _reading(folder):
            names = os.listdir(folder) if os.path.isdir(folder) else []
    return [join(folder, name) for name in sorted(fnmatch.filter(names, pattern))]


def _fresh(address: str) -> tuple[Any, str]:
    """`reach`, with nothing remembered of what others may have changed."""
    system, path = reach(address)
    system.invalidate_cache()
    return system, path


def found(folder: str, **options: Any) -> Mapping[str, Mapping[str, Any]]:
    """Names inside a remote folder, and what the store says of each."""
    with _reading(folder):
        system, base = _fresh(folder)
        files: Mapping[str, Mapping[str, Any]] = system.find(base, detail=True, **options)
    return {path[len(base) :].lstrip("/"): about for path, about in files.items()}


@contextlib.contextmanager
def _reading(address: str) -> Iterator[None]:
    try:
        yield
    except TrimatteError:
        raise
    except Exception as error:  # each file system has errors of its own
        raise ImageReadError(f"cannot read {address!r}: {reason(error)}") from error


@contextlib.contextmanager
def _writing(address: str) -> Iterator[None]:
    try:
        yield
    except TrimatteError:
        raise
    except Exception as error:
        raise ImageWriteError(f"cannot write {address!r}: {reason(error)}") from error


def _open_at_once(path: str, flags: int) -> int:
    """Open without waiting for somebody at the other end of a pipe."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))
