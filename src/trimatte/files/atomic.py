"""Writing files so that a reader sees the old one or the whole new one, never half of it; and their digests."""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
from collections.abc import Iterator
from typing import IO

from trimatte.errors import ImageWriteError, TrimatteError


@contextlib.contextmanager
def atomic_write(path: str | os.PathLike[str]) -> Iterator[IO[bytes]]:
    """Open a binary file that takes the place of `path` only once it is complete.

    The bytes go to a temporary file in the same folder, which is renamed when the block ends and removed
    when it raises. A link is followed, so that its target is replaced. What is not a regular file (a pipe,
    a device) cannot be replaced and is written to directly.

    Parameters
    ----------
    path : str or os.PathLike
        The file to write. Its folder must exist.

    Yields
    ------
    file : iterator of IO
        Binary file object.

    Raises
    ------
    ImageWriteError
        If the file cannot be made, filled or put in place; whatever was at `path` before is left alone.
    """
    name = os.fspath(path)
    try:
        if "\0" in str(name):
            raise OSError("embedded null byte")
        target = os.path.realpath(name)
        if os.path.isdir(target):
            raise IsADirectoryError("it is a folder")
        opened = _special(target) if os.path.exists(target) and not os.path.isfile(target) else _replacing(target)
        with opened as file:
            yield file
    except TrimatteError:
        raise
    except OSError as error:
        raise ImageWriteError(f"cannot write {name!r}: {reason(error)}") from error


@contextlib.contextmanager
def _replacing(target: str) -> Iterator[IO[bytes]]:
    temporary = os.path.join(os.path.dirname(target), f".{secrets.token_hex(8)}.tmp")
    # Made by `open` rather than by `tempfile`, whose files nobody else may read whatever the umask says.
    with open(temporary, "xb") as file:
        try:
            yield file
            file.close()
            os.replace(temporary, target)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            raise


@contextlib.contextmanager
def _special(target: str) -> Iterator[IO[bytes]]:
    with open(target, "wb") as file:
        yield file


def sha256(path: str | os.PathLike[str]) -> str:
    """Hexadecimal digest of a file of any size. Raises OSError if it cannot be read."""
    digest = hashlib.sha256()
    with open(path, "rb") as stream:
        while chunk := stream.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def reason(error: BaseException) -> str:
    """What went wrong in one line: the system's words for an `OSError`, else the first line of the message."""
    if isinstance(error, FileNotFoundError) and (target := _missing_target(error.filename)):
        return f"it is a link to {target!r}, which is not there"
    words = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return str(words).strip().splitlines()[0]


def _missing_target(path: object) -> str:
    """What a link points to; empty if a path is none."""
    try:
        return os.readlink(path) if isinstance(path, str) else ""
    except OSError:
        return ""
