"""What comes of a batch's tasks is written down and put in place, by the one process that holds the lock."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from trimatte.batch.folders import Folders
from trimatte.batch.manifest import Manifest
from trimatte.batch.tasks import Outcome
from trimatte.errors import ImageWriteError
from trimatte.files import store
from trimatte.files.addresses import is_remote
from trimatte.files.atomic import reason

_MOVERS = 16
"""Results that are put in place at the same time where each takes a request."""


def published(outcomes: Sequence[Outcome], manifest: Manifest, folders: Folders) -> list[Outcome]:
    """The outcomes after their records are written and their results are in place, in this order.

    Only this process, which holds the lock, does so: what a worker of a killed run still finishes is never seen.
    """
    going = [outcome for outcome in outcomes if outcome.state != "stop"]
    manifest.append([outcome.record for outcome in going if outcome.record])
    if is_remote(folders.out) and len(going) > 1:
        with ThreadPoolExecutor(_MOVERS) as pool:
            placed = list(pool.map(lambda outcome: _placed(outcome, folders.out), going))
    else:
        placed = [_placed(outcome, folders.out) for outcome in going]
    manifest.append([after.record for before, after in zip(going, placed, strict=True) if after is not before])
    for outcome in outcomes:
        if outcome.state == "stop":
            raise ImageWriteError(f"{outcome.error}; what is done stays, the same command goes on")
    return placed


def _placed(outcome: Outcome, out: str) -> Outcome:
    """The outcome after its files were moved to where they belong, or what it is if they cannot be."""
    target = outcome.task.target
    try:
        if outcome.staged and not is_remote(out):
            _make_folder(os.path.dirname(target), out)
        for staged, final in outcome.staged.items():
            store.move(staged, final)
    except OSError as error:
        why = str(error) if isinstance(error, ImageWriteError) else f"cannot write {target!r}: {reason(error)}"
        failed = {**outcome.record, "done": False, "output_sha256": None, "report": None, "error": why}
        return replace(outcome, state="failed", record=failed, error=why, staged={})
    return outcome


def _make_folder(folder: str, out: str) -> None:
    """Make the folder of a result; refuse one that a link leads out of the output folder."""
    os.makedirs(folder, exist_ok=True)
    inside, root = os.path.realpath(folder), os.path.realpath(out)
    if inside != root and not inside.startswith(os.path.join(root, "")):
        raise OSError(f"its folder is a link out of {out!r}")
