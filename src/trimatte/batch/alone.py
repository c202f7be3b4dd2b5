"""A picture that may take its process along gets one of its own, whose death is then its doing alone."""

from __future__ import annotations

import contextlib
import os
import pickle
import subprocess
import sys
import threading
from typing import Any

from trimatte.batch.tasks import Outcome, Settings, Task, perform
from trimatte.batch.workers import READY, Died
from trimatte.runtime.processes import offer_to_the_system
from trimatte.runtime.threads import limit_threads

_CODE = "import pickle, sys; sys.path[:] = pickle.load(sys.stdin.buffer); import trimatte.batch.alone as a; a.main()"


def perform_alone(task: Task, settings: Settings, threads: int) -> Outcome | Died:
    """`perform` in a new process; not by `multiprocessing`, of which the workers of Dask may have no children."""
    child = subprocess.Popen([sys.executable, "-c", _CODE], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert child.stdin is not None
    assert child.stdout is not None
    ready, outcome = False, None
    try:
        with contextlib.suppress(OSError, EOFError, pickle.UnpicklingError):
            child.stdin.write(pickle.dumps(sys.path) + pickle.dumps((task, settings, threads)))
            child.stdin.flush()  # it stays open: its end tells the child that this process is no more
            ready = pickle.load(child.stdout) == READY
            outcome = pickle.load(child.stdout)
        with contextlib.suppress(OSError):
            child.stdin.close()
        code = child.wait()
    finally:
        child.kill()
    return outcome if isinstance(outcome, Outcome) else Died(task, ready, code)


def main() -> None:
    """What the new process does; whatever else is printed there goes to standard error."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    offer_to_the_system()
    task, settings, threads = pickle.load(sys.stdin.buffer)
    threading.Thread(target=_end_with_input, daemon=True).start()
    limit_threads(threads)

    def say(message: Any) -> None:
        answers.write(pickle.dumps(message))
        answers.flush()

    say(READY)
    say(perform(task, settings, lambda size: None))
    os._exit(0)  # whatever threads a plug-in has left


def _end_with_input() -> None:
    while sys.stdin.buffer.read(1):
        pass
    os._exit(1)
