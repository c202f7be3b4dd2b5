"""Files of records, one JSON object a line, that a kill at any moment leaves readable; and locks on folders.

Lines are only ever appended whole, so that at most the last one is torn.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from typing import Any

from trimatte.errors import ArgumentError, ImageWriteError
from trimatte.files.atomic import reason


def line_of(record: dict[str, Any]) -> bytes:
    """A record as its line, without NaN, in one order of keys."""
    return (json.dumps(record, sort_keys=True, allow_nan=False) + "\n").encode()


def append_record(path: str | os.PathLike[str], record: dict[str, Any]) -> None:
    """Add one record, on the disk before this returns.

    Raises ImageWriteError if that fails (a full disk, say); the file is then as it was before.
    """
    try:
        with open(path, "ab", buffering=0) as file:
            size = file.tell()
            line = line_of(record)
            try:
                if file.write(line) != len(line):
                    raise OSError("the disk is full")
                os.fsync(file.fileno())
            except OSError:
                with contextlib.suppress(OSError):
                    file.truncate(size)
                raise
    except OSError as error:
        raise ImageWriteError(f"cannot write {os.fspath(path)!r}: {reason(error)}") from error


def cut_torn_line(path: str | os.PathLike[str]) -> None:
    """Take away what follows the last newline, which a killed run left, lest the next record be glued to it."""
    with contextlib.suppress(FileNotFoundError), open(path, "r+b") as file:
        end = file.seek(0, os.SEEK_END)
        while end > 0:
            start = max(0, end - 65536)
            file.seek(start)
            newline = file.read(end - start).rfind(b"\n")
            if newline >= 0:
                end = start + newline + 1
                break
            end = start
        file.truncate(end)


@contextlib.contextmanager
def locked(path: str | os.PathLike[str], message: str, *, shared: bool = False) -> Iterator[None]:
    """Hold a lock on a file; the system lets go when this process ends, however it ends.

    A shared lock is shared with other shared ones only. Raises `ArgumentError` with `message` if another process holds
    it, and `ImageWriteError` if the file cannot be made or its file system has no locks.
    """
    import portalocker

    kind = portalocker.LockFlags.SHARED if shared else portalocker.LockFlags.EXCLUSIVE
    with contextlib.ExitStack() as stack:
        try:
            file = stack.enter_context(open(path, "a"))
            portalocker.lock(file, kind | portalocker.LockFlags.NON_BLOCKING)
        except portalocker.AlreadyLocked as error:
            raise ArgumentError(message) from error
        except (OSError, portalocker.LockException) as error:
            raise ImageWriteError(f"cannot lock {os.fspath(path)!r}: {reason(error)}") from error
        stack.callback(portalocker.unlock, file)
        yield


def finite(value: Any) -> Any:
    """The value with NaN and infinities, which JSON has not, as None."""
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(item) for item in value]
    if isinstance(value, float) and not abs(value) < float("inf"):
        return None
    return value
