"""Worker processes: not left behind, and the first to go when memory runs out."""

from __future__ import annotations

import os
import threading
from multiprocessing import parent_process
from pathlib import Path


def end_with_parent() -> None:
    """Let this worker end when its parent does; else it would wait for work for ever if the parent were killed."""

    def watch() -> None:
        if (parent := parent_process()) is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def offer_to_the_system() -> None:
    """Ask Linux to end this process first if memory runs out, not the one that started it."""
    try:
        Path("/proc/self/oom_score_adj").write_text("1000")
    except OSError:
        return
