"""One method on one picture: load, run, measure, record. Also what a worker process does."""

from __future__ import annotations

import hashlib
import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trimatte.errors import ArgumentError, ImageWriteError, message_of
from trimatte.evaluation import mask_metrics
from trimatte.evaluation.alpha_metrics import measure, sad_by_region
from trimatte.evaluation.cost import metered, surroundings
from trimatte.evaluation.datasets import Sample
from trimatte.evaluation.methods import Given, Method, Outcome
from trimatte.evaluation.pictures import Trial, load_trial, save_grey
from trimatte.evaluation.records import Record
from trimatte.evaluation.stages import judge_stages
from trimatte.files.atomic import reason
from trimatte.files.jsonl import finite
from trimatte.images.arrays import UNKNOWN
from trimatte.runtime.report import plain

_WARM: set[str] = set()


@dataclass(frozen=True)
class Task:
    """One record to be made: which method on which picture with which trimap, and over which region it is measured."""

    dataset: str
    sample: Sample
    trimap: str | None
    method: Method
    region: str
    run: str | None  # the folder that alpha mattes are kept in, if they are
    jobs: int = 1  # how many tasks run at the same time, which their seconds depend on
    isolated: bool = False  # whether its process runs no other method
    variants: tuple[str, ...] = ()  # figures of published ports to be taken, too

    @property
    def given(self) -> Given | None:
        """What the method is given here; None of another program's results."""
        if self.method.given or not self.method.measured:
            return self.method.given
        return "photo" if self.trimap is None else "trimap"

    def empty_record(self) -> Record:
        return {
            "dataset": self.dataset,
            "picture": self.sample.name,
            "trimap": self.trimap,
            "method": self.method.name,
            "region": self.region,
            "category": self.sample.category,
            "given": self.given,
            "status": "failed",
            "error": None,
            "metrics": {},
            "stages": {},
            "report": {},
            "inputs": {},
            "trimap_rule": None,
            "size": None,
            "unknown": None,
            "alpha": None,
            "cost": {},
            **surroundings(),
        }


def run_task(task: Task) -> Record:
    """Make one record. Whatever goes wrong with the picture or the method is recorded; a full disk is raised."""
    record = task.empty_record()
    codes = None
    with warnings.catch_warnings():
        # What a method has to say is in its report.
        warnings.simplefilter("ignore")
        try:
            codes = _fill(record, task)
            record["status"] = "ok"
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # also of sys.exit, which would end the run
            record["error"] = f"{type(error).__name__}: {message_of(error)}"
    if codes is not None and task.run is not None:
        save_alpha(task, codes)
    return record


def failed_record(task: Task, error: str) -> Record:
    """The record of a task that took its process with it."""
    return task.empty_record() | {"error": error}


def alpha_path(run: str | Path, trimap: str | None, method: str, picture: str) -> Path:
    """Where a run keeps an estimated alpha: RUN/alpha/TRIMAP/METHOD/PICTURE.png."""
    return Path(run, "alpha", _slug(trimap or "no trimap"), _slug(method), _slug(picture) + ".png")


def save_alpha(task: Task, codes: NDArray[np.uint8]) -> None:
    assert task.run is not None
    path = alpha_path(task.run, task.trimap, task.method.name, task.sample.name)
    make_folder(path.parent)
    save_grey(path, codes)


def make_folder(path: Path) -> None:
    """Raises ImageWriteError where no folder can be made."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ImageWriteError(f"cannot make the folder {str(path)!r}: {reason(error)}") from error


def _fill(record: Record, task: Task) -> NDArray[np.uint8]:
    """Complete a record; the alpha matte in 8 bits, as results are published and as the figures are taken."""
    trial = load_trial(task.sample, task.trimap)
    record["inputs"] = trial.hashes | task.method.inputs(trial.name, task.trimap)
    record["trimap_rule"] = trial.trimap_rule
    record["size"] = list(trial.alpha.shape)
    unknown = None if trial.trimap is None else int((trial.trimap == UNKNOWN).sum())
    record["unknown"] = unknown
    if task.method.needs_trimap and trial.trimap is None:
        raise ArgumentError(f"method {task.method.name!r} needs a trimap")
    if task.method.measured:
        _warm_up(task.method)
    outcome, cost = metered(lambda: task.method.run(trial))
    if outcome.cost is not None:
        record["cost"] = outcome.cost
    report = dict(outcome.report)
    if task.method.measured:
        # Times and memory differ between runs; all else in a record does not.
        stages = report.pop("seconds", {}) | _take(report, "alpha", "seconds")
        record["cost"] = {
            **cost,
            "jobs": task.jobs,
            "isolated": task.isolated,
            "stages": {name: round(s, 4) for name, s in stages.items()},
        }
    for inner in (report, report.get("alpha", {})):
        inner.pop("peak_bytes", None)
    record["report"] = finite(plain(report))
    if not np.isfinite(outcome.alpha).all():
        raise ArgumentError("the method's alpha holds values that are not numbers")
    codes = np.rint(np.clip(outcome.alpha, 0, 1) * 255).astype(np.uint8)
    record["alpha"] = hashlib.sha256(codes.tobytes()).hexdigest()
    record["metrics"] = _figures(trial, outcome, codes, task)
    record["stages"] = _stages(task.method, trial, outcome)
    return codes


def _figures(trial: Trial, outcome: Outcome, codes: NDArray[np.uint8], task: Task) -> dict[str, float]:
    region = task.region
    if region == "unknown" and trial.trimap is None:
        raise ArgumentError("there is no trimap whose unknown pixels could be measured")
    where = trial.trimap if region == "unknown" else None
    figures = measure(codes, trial.alpha, trimap=where, variants=task.variants)
    figures |= sad_by_region(codes, trial.alpha, trimap=trial.trimap)
    figures["iou"] = mask_metrics.iou(codes, trial.alpha)
    if outcome.foreground is not None and trial.foreground is not None:
        errors = mask_metrics.foreground_error(outcome.foreground, trial.foreground, alpha=trial.alpha)
        figures |= {f"foreground_{name}": value for name, value in errors.items()}
    return figures


def _stages(method: Method, trial: Trial, outcome: Outcome) -> dict[str, Any]:
    matting = None
    if outcome.trimap is not None and method.alpha_method is not None:
        matting = _matting(method.alpha_method, trial)
    probability = outcome.probability
    if probability is None and trial.trimap is None:
        probability = np.clip(outcome.alpha, 0, 1)  # found without help, as what segmenters find
    return judge_stages(trial.alpha, outcome.alpha, probability, outcome.trimap, matting)


def _matting(method: str, trial: Trial) -> Callable[[NDArray[np.uint8]], NDArray[np.float32]]:
    from trimatte.alpha import estimate_alpha

    return lambda trimap: estimate_alpha(trial.image, trimap, method=method).alpha


def _warm_up(method: Method) -> None:
    """Compile kernels and load weights before anything is timed, once a process."""
    if method.name in _WARM:
        return
    _WARM.add(method.name)
    rows, columns = np.indices((96, 96), np.float32)
    alpha = np.clip((36 - np.hypot(rows - 48, columns - 48)) / 16 + np.float32(0.5), 0, 1).astype(np.float32)
    image = np.dstack([0.3 + 0.5 * alpha, 0.7 - 0.4 * alpha, 0.2 + rows / 200]).astype(np.float32)
    trimap = np.where(alpha == 1, np.uint8(255), np.where(alpha == 0, np.uint8(0), np.uint8(UNKNOWN)))
    try:
        method.run(Trial("warm-up", image, alpha, trimap, None, {}))
    except Exception:
        return  # if it fails on the picture too, that will be recorded


def _take(report: dict[str, Any], *path: str) -> dict[str, Any]:
    inner = report.get(path[0])
    return inner.pop(path[1], {}) if isinstance(inner, dict) else {}


def _slug(name: str) -> str:
    """A name that is safe as a file's, and different for different names."""
    slug = re.sub(r"[^\w.+-]", "_", name)
    return slug if slug == name else f"{slug}-{hashlib.sha256(name.encode()).hexdigest()[:6]}"
