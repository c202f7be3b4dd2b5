"""A worker: the process that does one request after the other, and its handle in the process that talks HTTP.

What comes from a worker is JSON and bytes, never a pickle: a worker decodes pictures of strangers, and one that was
taken over must not take over its parent.
"""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import signal
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from multiprocessing.connection import Connection
from typing import Any

from trimatte.errors import message_of
from trimatte.runtime.measure import give_back_memory, resident_bytes
from trimatte.runtime.processes import offer_to_the_system
from trimatte.runtime.report import plain

LONGEST_HEAD = 1 << 20
LONGEST_BODY = 1 << 31
READY = b"ready"
_ERRORS = "trimatte.errors"
_NOTHING = {"media_type": "", "report": {}, "headers": {}, "error": "", "message": "", "trace": []}


@dataclass(frozen=True)
class Reply:
    """A worker's answer to a request.

    Attributes
    ----------
    body, media_type, report, headers : bytes, str, dict, dict
        Of what was made; empty if nothing was.
    error : str
        Name of the error's type, the nearest of `trimatte.errors` if it is one of those; empty if there is none.
    message : str
        Of the error.
    trace : list of str
        Where a defect arose, without values.
    resident : int
        Bytes of memory that the worker holds now, 0 where the system does not tell.
    """

    body: bytes
    media_type: str
    report: dict[str, Any]
    headers: dict[str, str]
    error: str
    message: str
    trace: list[str]
    resident: int


class StartError(OSError):
    """A worker could not warm up; `fields` say for the log what error kept it from that."""

    def __init__(self, head: dict[str, Any]) -> None:
        super().__init__("a worker cannot warm up")
        self.fields = {"error": head["error"], "why": head["message"], "trace": head["trace"]}


class Worker:
    """A worker process and the pipe to it. All but `alive`, `kill` and `resident` block, and belong into a thread.

    Parameters
    ----------
    module : str
        The name of a module with `run` and `warm_up`, such as `trimatte.server.work`.
    threads : int
        The most that its numerical libraries use.
    """

    def __init__(self, module: str, threads: int) -> None:
        spawn = multiprocessing.get_context("spawn")
        self.connection, other = spawn.Pipe()
        self.process = spawn.Process(target=_main, args=(other, module, threads), daemon=True, name="trimatte-worker")
        self.process.start()
        other.close()

    @property
    def alive(self) -> bool:
        return self.process.is_alive()

    def wait_ready(self, seconds: float) -> None:
        """Wait until it has warmed up. Raises `EOFError` or `OSError` if it dies before, takes longer, or cannot."""
        if not self.connection.poll(seconds):
            raise OSError("a worker did not get ready in time")
        message = self.connection.recv_bytes(LONGEST_HEAD)
        if message != READY:
            raise StartError(json.loads(message))

    def exchange(self, task: str, files: Mapping[str, bytes | bytearray], values: Mapping[str, Any]) -> Reply:
        """Let it do a request. Raises `EOFError` or `OSError` if it dies, `ValueError` and the like if it babbles."""
        self.connection.send_bytes(json.dumps({"task": task, "files": list(files), "values": values}).encode())
        for content in files.values():
            self.connection.send_bytes(content)
        head = json.loads(self.connection.recv_bytes(LONGEST_HEAD))
        return Reply(body=self.connection.recv_bytes(LONGEST_BODY), **head)

    def exit_code(self) -> int | None:
        """The code that the process ended with, -9 if it was killed by signal 9; None if it has not ended."""
        self.process.join(1)
        return self.process.exitcode

    def kill(self) -> None:
        """End the process at once; whoever waits for its answer gets `EOFError`."""
        self.process.kill()

    def close(self) -> None:
        """Wait for the killed process, and close the pipe."""
        self.process.join()
        self.connection.close()

    @property
    def resident(self) -> int:
        """Bytes of memory that the process holds, 0 where the system does not tell."""
        return resident_bytes(self.process.pid or 0)


def _main(connection: Connection, module: str, threads: int) -> None:
    """The worker process: warm up, then do requests until the pipe closes."""
    # The parent gets these signals too, finishes what runs, and then closes the pipe.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    offer_to_the_system()
    from trimatte.runtime.threads import limit_threads

    limit_threads(threads)
    with contextlib.suppress(EOFError, OSError):  # the parent has closed the pipe, or is gone
        try:
            work = import_module(module)
            work.warm_up()
        except Exception as error:
            connection.send_bytes(json.dumps(_of_error(error)).encode())
            return
        connection.send_bytes(READY)
        while True:
            request = json.loads(connection.recv_bytes())
            files = {name: connection.recv_bytes() for name in request["files"]}
            head, body = _answer(work, request["task"], files, request["values"])
            del files
            give_back_memory()
            connection.send_bytes(json.dumps({**_NOTHING, **head, "resident": resident_bytes()}).encode())
            connection.send_bytes(body)
            del body


def _answer(
    work: Any, task: str, files: Mapping[str, bytes], values: Mapping[str, Any]
) -> tuple[dict[str, Any], bytes]:
    """The head of an answer, which JSON can hold, and its body; an error of any kind is told in the head."""
    try:
        product = work.run(task, files, values)
        body, report = bytes(product.body), vars(product.report)
        head = plain({"media_type": product.media_type, "report": report, "headers": product.headers})
        size = len(json.dumps(head))
        if size > LONGEST_HEAD // 2 or len(body) > LONGEST_BODY:
            raise OverflowError(f"an answer of {size} and {len(body)} bytes is too long")
    except BaseException as error:  # also of sys.exit: the worker lives on, whatever a picture does
        return _of_error(error), b""
    return head, body


def _of_error(error: BaseException) -> dict[str, Any]:
    """An error for an answer's head: its name, what it says, and where it arose, without values."""
    known = (base.__name__ for base in type(error).__mro__ if base is MemoryError or base.__module__ == _ERRORS)
    frames = [f"{f.filename}:{f.lineno} {f.name}" for f in traceback.extract_tb(error.__traceback__)]
    name, message = next(known, type(error).__name__), message_of(error)[:2000]
    return {"error": name, "message": message, "trace": frames[-40:]}
