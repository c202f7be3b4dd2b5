"""What can be evaluated, under one form: a function from a trial to an outcome.

- "closed-form", "pymatting:sm", ...: an alpha method that is given the trimap (or none, if it needs none)
- "modnet:weights=FILE", "closed-form:epsilon=1e-5;rtol=1e-6": one with options
- "cutout", "cutout:SEGMENTER", "cutout:SEGMENTER+METHOD": the whole pipeline from the photo alone
- "segment", "segment:SEGMENTER": a segmenter whose probability is taken for alpha
- a folder of another program's results, DIR/PICTURE.png; DIR/cost.json may tell what they took
- any function (image, trimap) -> alpha
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trimatte.errors import ArgumentError
from trimatte.evaluation.folders import File, Folder, open_folder
from trimatte.evaluation.layouts import PICTURE
from trimatte.evaluation.pictures import Trial
from trimatte.files.atomic import sha256
from trimatte.images import as_alpha
from trimatte.runtime.options import parse_options


@dataclass(frozen=True)
class Outcome:
    """What a method gave: alpha (H, W) in [0, 1], what it reports, and, of a pipeline, its stages."""

    alpha: NDArray[np.float32]
    report: dict[str, Any] = field(default_factory=dict)
    probability: NDArray[np.float32] | None = None
    trimap: NDArray[np.uint8] | None = None
    foreground: NDArray[np.float32] | None = None
    cost: dict[str, Any] | None = None  # of another program, as it says itself


def _no_inputs(picture: str, trimap: str | None) -> dict[str, str]:
    return {}


PHOTO, PHOTO_AND_TRIMAP, RESULTS = "photo", "photo and trimap", "results of another program"


@dataclass(frozen=True)
class Method:
    """Something to evaluate.

    run : Trial -> Outcome.
    needs_trimap : whether it cannot do without one.
    measured : whether its time and memory say anything (results read from files have none).
    alpha_method : of a pipeline, the alpha method in it.
    inputs : (picture, trimap) -> hashes of what it reads besides the trial.
    given : what it gets to see, in words.
    """

    name: str
    run: Callable[[Trial], Outcome]
    needs_trimap: bool = False
    measured: bool = True
    alpha_method: str | None = None
    inputs: Callable[[str, str | None], dict[str, str]] = _no_inputs
    given: str = PHOTO_AND_TRIMAP


Function = Callable[[NDArray[np.float32], NDArray[np.uint8] | None], Any]


def resolve_methods(
    methods: Sequence[str] | Mapping[str, str | Function],
    predictions: Mapping[str, str | os.PathLike[str]] | None = None,
) -> list[Method]:
    """Methods by name, a mapping of names to functions or method names, and folders of predictions.

    Raises ArgumentError for an unknown name, or one given twice.
    """
    named = methods if isinstance(methods, Mapping) else {name: name for name in methods}
    if not isinstance(methods, Mapping) and len(named) < len(methods):
        raise ArgumentError(f"methods: got {', '.join(methods)}, wanted each once")
    resolved = [
        _by_name(name, what) if isinstance(what, str) else Method(name, partial(_run_function, what))
        for name, what in named.items()
    ]
    for name, folder in (predictions or {}).items():
        if name in named:
            raise ArgumentError(f"predictions: {name!r} is also the name of a method")
        results = _Predictions(open_folder(folder))
        resolved.append(Method(name, results.read, measured=False, inputs=results.inputs, given=RESULTS))
    if not resolved:
        raise ArgumentError("methods: got none, wanted at least one method or folder of predictions")
    return resolved


def _by_name(name: str, method: str) -> Method:
    from trimatte.alpha import find_method
    from trimatte.segmentation import registry

    kind, _, detail = method.partition(":")
    if kind == "cutout":
        segmenter, _, alpha_method = (detail or "lite").partition("+")
        alpha_method = alpha_method or "closed-form"
        _check(segmenter, alpha_method)
        return Method(name, partial(_run_cutout, segmenter, alpha_method), alpha_method=alpha_method, given=PHOTO)
    if kind == "segment":
        _check(detail or "lite")
        return Method(name, partial(_run_segmenter, detail or "lite"), given=PHOTO)
    method, options = _with_options(method)
    _check(method=method)
    inputs = _no_inputs
    if "weights" in options:
        inputs = partial(_weights, str(options["weights"]))
    elif method in registry.added():
        inputs = partial(_added_weights, method)
    needs = find_method(method).needs_trimap
    run, given = partial(_run_alpha, method, options), PHOTO_AND_TRIMAP if needs else PHOTO
    return Method(name, run, needs_trimap=needs, inputs=inputs, given=given)


def _weights(file: str, picture: str, trimap: str | None) -> dict[str, str]:
    """So that a run that goes on does not mix results of a network before and after more training."""
    try:
        return {"weights": _digest(file, os.stat(file).st_mtime_ns)}
    except OSError:
        return {}  # the method will say that it cannot read them


def _added_weights(name: str, picture: str, trimap: str | None) -> dict[str, str]:
    """So that a run that goes on sees that another file was added under the name."""
    from trimatte.segmentation import registry

    return {"weights": registry.recorded_digest(name)}


@lru_cache(maxsize=8)
def _digest(file: str, changed: int) -> str:
    return sha256(file)


def _with_options(method: str) -> tuple[str, dict[str, Any]]:
    """The method's name, and its options."""
    name, colon, given = method.rpartition(":")
    if not colon or "=" not in given:
        return method, {}
    return name, parse_options(filter(None, given.split(";")))


def _check(segmenter: str = "lite", method: str = "closed-form") -> None:
    """Better to fail before the first picture than at each of them."""
    from trimatte.alpha.peer import NAMES
    from trimatte.cutout import check_names

    peer, _, name = method.partition(":")
    if peer == "pymatting" and name not in NAMES:
        raise ArgumentError(f"methods: pymatting has no {name!r}, it has {', '.join(NAMES)}")
    check_names(segmenter=segmenter, method=method, foreground="multilevel")


def _run_alpha(method: str, options: dict[str, Any], trial: Trial) -> Outcome:
    from trimatte.alpha import estimate_alpha, find_method

    trimap = trial.trimap if find_method(method).needs_trimap else None
    matte = estimate_alpha(trial.image, trimap, method=method, **options)
    return Outcome(matte.alpha, matte.report.as_dict())


def _run_cutout(segmenter: str, method: str, trial: Trial) -> Outcome:
    from trimatte.cutout import cutout

    cut = cutout(trial.image, segmenter=segmenter, method=method)
    return Outcome(cut.alpha, cut.report.as_dict(), cut.probability, cut.trimap, cut.foreground)


def _run_segmenter(segmenter: str, trial: Trial) -> Outcome:
    from trimatte.segmentation import segment

    probability = segment(trial.image, segmenter=segmenter)
    return Outcome(probability, probability=probability)


def _run_function(function: Function, trial: Trial) -> Outcome:
    result = function(trial.image, trial.trimap)
    alpha: Any = getattr(result, "alpha", result)
    return Outcome(as_alpha(alpha, name="alpha", shape=_size(trial)))


def _function(name: str, function: Function) -> Method:
    return Method(name, partial(_run_function, function))


@dataclass(frozen=True)
class _Predictions:
    """Another program's results, by picture."""

    folder: Folder

    def find(self, picture: str, trimap: str | None) -> File:
        """The result for this trimap (DIR/TRIMAP/PICTURE.png) or else the one for all (DIR/PICTURE.png)."""
        wanted = [f"{trimap}/{picture}", picture] if trimap else [picture]
        stems = {os.path.splitext(name)[0]: name for name in self.folder.names if _is_picture(name)}
        for stem in wanted:
            if stem in stems:
                return File(self.folder.root, stems[stem])
        raise ArgumentError(f"{self.folder.root!r} holds no result for {picture}")

    def read(self, trial: Trial) -> Outcome:
        alpha = as_alpha(self.find(trial.name, trial.trimap_name).read(), name="alpha", shape=_size(trial))
        return Outcome(alpha, cost=self._costs().get(trial.name))

    def _costs(self) -> dict[str, dict[str, Any]]:
        """What DIR/cost.json says of each picture, if there is one: {PICTURE: {"seconds": s, "peak_bytes": n}}."""
        if "cost.json" not in self.folder.names:
            return {}
        told = json.loads(File(self.folder.root, "cost.json").read())
        blank: dict[str, Any] = {"seconds": None, "peak_bytes": None, "base_bytes": None, "jobs": 1, "stages": {}}
        return {picture: blank | cost for picture, cost in told.items()}

    def inputs(self, picture: str, trimap: str | None) -> dict[str, str]:
        return {"prediction": hashlib.sha256(self.find(picture, trimap).read()).hexdigest()}


def _is_picture(name: str) -> bool:
    return re.search(PICTURE + "$", name, re.IGNORECASE) is not None


def _size(trial: Trial) -> tuple[int, int]:
    return (trial.alpha.shape[0], trial.alpha.shape[1])
