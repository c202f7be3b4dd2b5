"""Downloads that go on where they stopped. Nothing here runs unless a user asks for it."""

from __future__ import annotations

import http.client
import urllib.error
import urllib.request
from collections.abc import Callable
from email.message import Message
from pathlib import Path

from trimatte.errors import ModelError
from trimatte.files.atomic import reason

Progress = Callable[[int, int | None], None]
"""Called with the bytes that are there, and with those that there will be, if known."""

_CHUNK = 1 << 18
_TIMEOUT = 30.0
_ATTEMPTS = 3


def download(address: str, part: Path, *, checked: bool, progress: Progress | None = None) -> None:
    """Load a file over HTTP into `part`; what that holds already is kept, and stays when the line breaks.

    Parameters
    ----------
    address : str
        The file's, http://... or https://...
    part : path
        The file to fill. `NAME.tag` beside it keeps the server's version of the file until it is whole.
    checked : bool
        Whether the caller will hold the file against a checksum. If not, what is there is only built upon when the
        server says that its file is still the same.
    progress : Progress, optional
        Told now and then.

    Raises
    ------
    ModelError
        If the file cannot be had whole. After a broken line the next call goes on.
    """
    why = "the line broke"
    for _ in range(_ATTEMPTS):
        try:
            if _advance(address, part, checked, progress or (lambda done, total: None)):
                _tag(part).unlink(missing_ok=True)
                return
        except urllib.error.HTTPError as error:
            error.close()
            raise ModelError(f"cannot fetch {address}: HTTP {error.code} {error.reason}") from error
        except urllib.error.URLError as error:
            why = reason(error.reason) if isinstance(error.reason, BaseException) else str(error.reason)
        except (OSError, http.client.HTTPException) as error:
            why = reason(error)
    have = part.stat().st_size if part.exists() else 0
    raise ModelError(f"cannot fetch {address}: {why}; {have} bytes are there, and the next fetch goes on from them")


def discard(part: Path) -> None:
    """Forget what was loaded into `part`."""
    part.unlink(missing_ok=True)
    _tag(part).unlink(missing_ok=True)


def _advance(address: str, part: Path, checked: bool, progress: Progress) -> bool:
    """Ask for what is missing, once. Whether the file is whole now."""
    version = _tag(part).read_text("latin-1") if _tag(part).exists() else ""
    start = part.stat().st_size if part.exists() and (checked or version) else 0
    request = urllib.request.Request(address, headers={"User-Agent": "trimatte", "Accept-Encoding": "identity"})
    if start:
        request.add_header("Range", f"bytes={start}-")
        if version:
            request.add_header("If-Range", version)
    try:
        response = urllib.request.urlopen(request, timeout=_TIMEOUT)
    except urllib.error.HTTPError as error:
        if error.code != http.client.REQUESTED_RANGE_NOT_SATISFIABLE or not start:
            raise
        with error:
            return _beyond(error.headers, part, start)
    with response:
        # All of it instead of a part: the file has changed, or the server knows no ranges.
        start = _begin(response.headers) if response.status == http.client.PARTIAL_CONTENT else 0
        length = response.headers.get("Content-Length", "")
        total = start + int(length) if length.isdigit() else None
        with part.open("r+b" if start else "wb") as file:
            _tag(part).write_text(_version(response.headers), "latin-1")
            done = file.seek(start)
            file.truncate()
            progress(done, total)
            while chunk := response.read(_CHUNK):
                done += file.write(chunk)
                progress(done, total)
    return total is None or done == total


def _beyond(headers: Message, part: Path, have: int) -> bool:
    """The server has nothing after what is there: it is whole, or else not the server's file."""
    if headers.get("Content-Range", "") == f"bytes */{have}":
        return True
    discard(part)
    return False


def _begin(headers: Message) -> int:
    """The first byte of a part, of `bytes 100-199/200`."""
    first = headers.get("Content-Range", "").removeprefix("bytes ").partition("-")[0]
    if not first.isdigit():
        raise http.client.HTTPException("the server does not say which part it sends")
    return int(first)


def _version(headers: Message) -> str:
    """What the server calls this state of its file, if it can be asked for by that."""
    tag = headers.get("ETag", "")
    return tag if tag and not tag.startswith("W/") else headers.get("Last-Modified", "")


def _tag(part: Path) -> Path:
    return part.with_suffix(".tag")
