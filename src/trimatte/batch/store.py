"""Reading and writing the files of a batch by their address."""

from __future__ import annotations

import errno
import hashlib
import os
import stat

from trimatte._files import atomic_write, reason
from trimatte.errors import ImageReadError

_CHUNK = 1 << 20


def read(address: str) -> bytes:
    """A file's content. Raises `ImageReadError`, also for what is no regular file: a pipe would be waited for."""
    try:
        with open(address, "rb", opener=_open_at_once) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise OSError(errno.EINVAL, "it is not a regular file")
            return file.read()
    except OSError as error:
        raise ImageReadError(f"cannot read {address!r}: {reason(error)}") from error


def digest(address: str) -> str | None:
    """SHA-256 of a file's content in hexadecimal, None if there is no such file."""
    state = hashlib.sha256()
    try:
        with open(address, "rb", opener=_open_at_once) as file:
            while chunk := file.read(_CHUNK):
                state.update(chunk)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ImageReadError(f"cannot read {address!r}: {reason(error)}") from error
    return state.hexdigest()


def write(address: str, content: bytes | memoryview) -> None:
    """Put a whole file in place, on the disk before this returns. Raises `ImageWriteError`."""
    with atomic_write(address) as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _open_at_once(path: str, flags: int) -> int:
    """Open without waiting for somebody at the other end of a pipe."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))
