"""One picture of a batch: whether it is done already, what it will take, and the doing.

A task is plain data and `perform` needs nothing but it, so that it does not matter which process runs it, on which
machine, or how often.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import io
import json
import os
import time
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from trimatte.batch.jobs import companions_of, stranger
from trimatte.batch.manifest import Known, Record
from trimatte.errors import ImageReadError, ImageTooLargeError, ImageWriteError, TrimatteError, failure, for_users
from trimatte.files import store
from trimatte.files.addresses import is_remote
from trimatte.files.jsonl import finite
from trimatte.runtime.measure import KEPT_BYTES, give_back_memory

State = Literal["done", "unchanged", "kept", "failed", "failed before", "again", "taken", "stop", "unfinished"]
Ask = Callable[[int], None]
"""Called with the bytes that a picture will take; returns when they may be taken."""

BASE_BYTES = 300_000_000
"""What a worker process takes without a picture: libraries, network and compiled kernels. Measured: 240 MB."""
BYTES_PER_PIXEL = 400
"""Of a cut-out from reading to encoding. Measured: up to 350 where half of the picture is unknown."""
BYTES_PER_PIXEL_OF_FRAMES = 8
"""Of each frame of an animation more: its colours, and those with alpha that are written."""
_NAMES = {"way", "method", "segmenter", "foreground", "refine", "output", "frames"}
_UNWRITTEN = bytes(64)
"""How a file ends that was given its length before its content."""
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EROFS}


@dataclass(frozen=True)
class Settings:
    """What is asked of every picture.

    Attributes
    ----------
    options : mapping
        Of `trimatte.cutout` and of what is written: sheet, output and those of its table.
    record : mapping
        The same as the manifest has them, with the digests of files that they name.
    digest : str
        SHA-256 of `record`.
    retry_failed : bool
        Try again what failed before on the same content and options.
    force : bool
        Replace also what trimatte did not make.
    """

    options: Mapping[str, Any]
    record: Mapping[str, Any]
    digest: str
    retry_failed: bool = False
    force: bool = False

    @staticmethod
    def of(options: Mapping[str, Any], retry_failed: bool = False, force: bool = False) -> Settings:
        """Settings for options of JSON's types. Raises `ImageReadError` if a file that they name cannot be read."""
        files = {name: store.digest(path) for name, path in _files_of(options)}
        text = json.dumps({**options, "files": files} if files else dict(options), sort_keys=True)
        return Settings(options, json.loads(text), hashlib.sha256(text.encode()).hexdigest(), retry_failed, force)

    def with_prompts(self, prompts: Mapping[str, Any]) -> Settings:
        """The same for a picture in which somebody has pointed at something."""
        if not prompts:
            return self
        text = json.dumps({**self.record, **prompts}, sort_keys=True)
        digest = hashlib.sha256(text.encode()).hexdigest()
        return replace(self, options={**self.options, **prompts}, record=json.loads(text), digest=digest)


def _files_of(options: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The options, also of a refiner, whose value is the path of a file."""
    from trimatte.output.options import NAMES

    names = _NAMES | (set(NAMES) - {"background"})
    for name, value in options.items():
        if isinstance(value, Mapping):
            yield from ((f"{name}.{inner}", path) for inner, path in _files_of(value))
        elif isinstance(value, str) and name not in names and os.path.isfile(value):
            yield name, value


@dataclass(frozen=True)
class Task:
    """One picture.

    Attributes
    ----------
    name, output : str
        Paths of picture and result inside the input and the output folder, with forward slashes.
    source, target : str
        Their addresses.
    staged : str
        Where the result is written first, to be put in place at `target`.
    known : Known or None
        What the manifest says of the picture.
    attempt : int
        1 for the first; from 2 on the picture wants all the memory for itself.
    arriving : bool
        Whether the picture may not be there as a whole yet.
    prompts : mapping
        Options `points`, `not_points` and `box` of this picture alone.
    """

    name: str
    output: str
    source: str
    target: str
    staged: str
    known: Known | None = None
    attempt: int = 1
    arriving: bool = False
    prompts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Outcome:
    """What became of a task.

    Attributes
    ----------
    state : State
        "done", "unchanged" since it was done, "kept" because somebody has changed the result, "failed", "failed
        before", "again" if it is worth another attempt, "stop" if no other picture would fare better, "unfinished" if
        an arriving picture cannot be read yet.
    record : Record
        For the manifest, if the state is "done" or "failed".
    staged : dict of str to str
        Files that were written, and where each is to be put.
    error, told : str, tuple of str
        Why it failed, and what else there is to say.
    took : float
        Seconds that it took to make.
    """

    task: Task
    state: State
    record: Record = field(default_factory=dict)
    staged: dict[str, str] = field(default_factory=dict)
    error: str = ""
    told: tuple[str, ...] = ()
    took: float = 0.0


def perform(task: Task, settings: Settings, ask: Ask) -> Outcome:
    """Do one picture if need be; whatever is wrong with it is in the outcome."""
    settings = settings.with_prompts(task.prompts)
    record = _begun(task, settings)
    try:
        content = store.read(task.source)
        record["sha256"] = hashlib.sha256(content).hexdigest()
        state = standing(task, settings, record["sha256"])
        if state == "kept":
            told = (f"{task.target} was changed since it was made, and is kept; delete it to have it made anew",)
            return Outcome(task, "kept", told=told)
        if state == "taken":
            return Outcome(task, "failed", error=stranger(task.target))
        if state != "again":
            return Outcome(task, state, error=task.known.error if task.known else "")
        if task.arriving and content.endswith(_UNWRITTEN):
            return Outcome(task, "unfinished", error="it ends in zeros, as a file that was made longer in advance")
        ask(estimated_bytes(content, animated=settings.options.get("frames") == "all"))
        return _made(task, settings, content, record)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a defect, or a plug-in that calls sys.exit, must not lose the other pictures
        if task.arriving and isinstance(error, ImageReadError) and not isinstance(error, ImageTooLargeError):
            return Outcome(task, "unfinished", error=str(error))
        if not isinstance(error, (TrimatteError, MemoryError)):
            record["trace"] = traceback.format_exc()
        return _failed(task, record, failure(error), error)
    finally:
        give_back_memory(above=KEPT_BYTES)


def lost(task: Task, settings: Settings, why: str) -> Outcome:
    """The outcome of a task that has taken each of its workers along."""
    record = _begun(task, settings.with_prompts(task.prompts))
    with contextlib.suppress(TrimatteError):
        record["sha256"] = store.digest(task.source)
    return _failed(task, record, why, RuntimeError(why))


def _begun(task: Task, settings: Settings) -> Record:
    """What a record says before anything is known of the picture."""
    return {
        "input": task.name,
        "output": task.output,
        "sha256": None,
        "options": dict(settings.record),
        "options_sha256": settings.digest,
        "attempt": task.attempt,
    }


def standing(task: Task, settings: Settings, sha256: str) -> State:
    """Whether a picture is done, or given up, or to be done ("again"), by its content, the options and its result.

    It is "taken" if trimatte did not make the file in the result's place, and may not replace it.
    """
    known = task.known
    if known is None or known.output != task.output or not known.results:
        targets = [task.target, *_companions(task, settings).values()]
        if not settings.force and any(map(_is_strangers, targets)):
            return "taken"
    if known is None or known.output != task.output:
        return "again"
    same = (known.sha256, known.options) == (sha256, settings.digest)
    if same and known.error and not settings.retry_failed:
        return "failed before"
    present = store.digest(task.target)
    if same and not known.error and present == known.results[-1] and _has_companions(task, settings):
        return "unchanged"
    if present is not None and known.results and present not in known.results and _is_picture(task.target):
        return "kept"
    return "again"


def estimated_bytes(content: bytes, *, animated: bool = False) -> int:
    """Memory that a picture takes above `BASE_BYTES`, by its header; `animated`: all its frames are cut out."""
    from trimatte.images import header_size
    from trimatte.images.animation import frame_count

    width, height = header_size(content) or (len(content), 1)
    more = frame_count(content) - 1 if animated else 0
    return len(content) + (BYTES_PER_PIXEL + more * BYTES_PER_PIXEL_OF_FRAMES) * width * height


def _made(task: Task, settings: Settings, content: bytes, record: Record) -> Outcome:
    from trimatte import __version__
    from trimatte.batch.one import cut_out

    start = time.monotonic()
    options = {name: value for name, value in settings.options.items() if name != "sheet"}
    beside = {tag: io.BytesIO() for tag in _companions(task, settings)}
    encoded = io.BytesIO()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        result = cut_out(content, encoded, companions=beside, **options)
    told = tuple(for_users(caught))
    result.report.warnings = for_users(caught, result.report.warnings)
    report = finite(result.report.as_dict())
    store.write(task.staged, encoded.getbuffer())
    staged = {task.staged: task.target}
    for tag, target in _companions(task, settings).items():
        staged[task.staged + tag] = target
        store.write(task.staged + tag, beside[tag].getbuffer())
    digest = hashlib.sha256(encoded.getbuffer()).hexdigest()
    record |= {"done": True, "output_sha256": digest, "report": report, "error": None}
    record |= {"warnings": list(told), "trimatte": __version__}
    return Outcome(task, "done", record, staged, told=told, took=time.monotonic() - start)


def _failed(task: Task, record: Record, message: str, error: BaseException) -> Outcome:
    causes = list(_causes(error))
    no_room = any(isinstance(cause, OSError) and cause.errno in _NO_ROOM for cause in causes)
    if no_room and isinstance(error, ImageWriteError):  # a plug-in's own files are its own matter
        return Outcome(task, "stop", error=message)
    record |= {"done": False, "output_sha256": None, "report": None, "error": message}
    again = any(isinstance(cause, MemoryError) for cause in causes)
    again |= isinstance(error, ImageWriteError) and is_remote(task.staged)  # no fault of the picture
    return Outcome(task, "again" if again else "failed", record, error=message)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _is_strangers(address: str) -> bool:
    """Whether trimatte did not make a file that is there."""
    from trimatte.images import is_marked

    return store.exists(address) and not is_marked(store.read(address))


def _companions(task: Task, settings: Settings) -> dict[str, str]:
    """Ends of the further files of a picture, and where each goes."""
    stem = os.path.splitext(task.target)[0]
    return {tag: stem + tag for tag in companions_of(settings.options)}


def _has_companions(task: Task, settings: Settings) -> bool:
    return all(store.exists(path) for path in _companions(task, settings).values())


def _is_picture(address: str) -> bool:
    """Whether a file is a whole picture, rather than torn."""
    from PIL import Image

    from trimatte.images import load_picture

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            content = store.read(address)
            load_picture(content)
            with Image.open(io.BytesIO(content)) as image:
                image.verify()  # Pillow shows a PNG whose end is missing
        except Exception:  # damaged files make Pillow's plug-ins raise nearly anything
            return False
    return True
