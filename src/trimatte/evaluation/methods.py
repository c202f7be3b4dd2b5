"""What can be evaluated, under one form: a function from a trial to an outcome.

- "closed-form", "pymatting:sm", ...: an alpha method that is given the trimap (or none, if it needs none)
- "modnet:weights=FILE", "closed-form:epsilon=1e-5;rtol=1e-6": one with options
- "cutout", "cutout:QUALITY", "cutout:SEGMENTER", "cutout:SEGMENTER+METHOD": the whole pipeline from the photo alone
- "segment", "segment:SEGMENTER": a segmenter whose probability is taken for alpha
- a folder of another program's results, DIR/PICTURE.png; DIR/cost.json may say what they took (see `read_costs`)
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
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from trimatte.errors import ArgumentError
from trimatte.evaluation.folders import File, Folder, open_folder
from trimatte.evaluation.layouts import PICTURE
from trimatte.evaluation.pictures import Trial
from trimatte.files.atomic import sha256
from trimatte.images import as_alpha
from trimatte.quality import USUAL, WAYS, chosen
from trimatte.runtime.options import check_options, parse_options

Given = Literal["photo", "trimap"]


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


@dataclass(frozen=True)
class Method:
    """Something to evaluate.

    run : Trial -> Outcome.
    needs_trimap : whether it cannot do without one.
    measured : whether its time and memory say anything (results read from files have none).
    alpha_method : of a pipeline, the alpha method in it.
    given : what it is given, "photo" or "trimap" (and the photo); None where that depends on the set, or is not known.
    inputs : (picture, trimap) -> hashes of what it reads besides the trial.
    """

    name: str
    run: Callable[[Trial], Outcome]
    needs_trimap: bool = False
    measured: bool = True
    alpha_method: str | None = None
    given: Given | None = None
    inputs: Callable[[str, str | None], dict[str, str]] = _no_inputs


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
        opened = open_folder(folder)
        results = _Predictions(opened, read_costs(opened))
        resolved.append(Method(name, results.read, measured=False, inputs=results.inputs))
    if not resolved:
        raise ArgumentError("methods: got none, wanted at least one method or folder of predictions")
    return resolved


def _by_name(name: str, method: str) -> Method:
    from trimatte.alpha import find_method
    from trimatte.segmentation import registry

    kind, _, detail = method.partition(":")
    if kind == "cutout":
        word, named = (detail, "") if detail in WAYS else (USUAL, detail)
        segmenter, _, alpha_method = named.partition("+")
        way = chosen(word, segmenter=segmenter or None, method=alpha_method or None)
        _check(way.segmenter, way.method)
        run = partial(_run_cutout, word, segmenter or None, alpha_method or None)
        return Method(name, run, alpha_method=way.method, given="photo")
    if kind == "segment":
        _check(detail or "lite")
        return Method(name, partial(_run_segmenter, detail or "lite"), given="photo")
    method, options = _with_options(method)
    _check(method=method)
    check_options(method, find_method(method).load(), options)
    inputs = _no_inputs
    if "weights" in options:
        inputs = partial(_weights, str(options["weights"]))
    elif method in registry.added():
        inputs = partial(_added_weights, method)
    run, needs_trimap = partial(_run_alpha, method, options), find_method(method).needs_trimap
    return Method(name, run, needs_trimap, given="trimap" if needs_trimap else "photo", inputs=inputs)


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
    from trimatte.stages import check_names

    peer, _, name = method.partition(":")
    if peer == "pymatting" and name not in NAMES:
        raise ArgumentError(f"methods: pymatting has no {name!r}, it has {', '.join(NAMES)}")
    check_names(segmenter=segmenter, method=method, foreground="multilevel")


def _run_alpha(method: str, options: dict[str, Any], trial: Trial) -> Outcome:
    from trimatte.alpha import estimate_alpha, find_method

    trimap = trial.trimap if find_method(method).needs_trimap else None
    matte = estimate_alpha(trial.image, trimap, method=method, **options)
    return Outcome(matte.alpha, matte.report.as_dict())


def _run_cutout(word: str, segmenter: str | None, method: str | None, trial: Trial) -> Outcome:
    from trimatte.cutout import cutout

    cut = cutout(trial.image, quality=word, segmenter=segmenter, method=method)
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


COST_FILE = "cost.json"
COSTS = ("seconds", "peak_bytes", "base_bytes")
"""What a cost file may say of a picture."""


def read_costs(folder: Folder) -> dict[str, dict[str, Any]]:
    """What DIR/cost.json says of each picture of another program's results; nothing without such a file.

    The file is {PICTURE: {"seconds": 1.5, "peak_bytes": 300000000, "base_bytes": 200000000}}; PICTURE is the name of
    a result without its suffix, or TRIMAP/PICTURE. Each of the three figures may be left out; `base_bytes` is the
    process's memory before it began.

    Raises ArgumentError for a file of any other form, or a name without a result.
    """
    if COST_FILE not in folder.names:
        return {}
    file = File(folder.root, COST_FILE)
    wanted = 'wanted {"PICTURE": {"seconds": 1.5, "peak_bytes": 300000000}, ...}'
    try:
        costs = json.loads(file.read())
    except ValueError as error:
        raise ArgumentError(f"predictions: {COST_FILE} in {folder.root!r} is no JSON ({error}); {wanted}") from error
    if not isinstance(costs, dict):
        raise ArgumentError(f"predictions: {COST_FILE} in {folder.root!r} holds a {_kind(costs)}; {wanted}")
    results = {os.path.splitext(name)[0] for name in folder.names if _is_picture(name)}
    for picture, cost in costs.items():
        if fault := _fault(cost):
            raise ArgumentError(f"predictions: {COST_FILE} in {folder.root!r}: {picture} has {fault}; {wanted}")
        if not {picture, picture.partition("/")[2]} & results:
            message = f"{picture!r} names no result, such as {min(results, default='PICTURE')!r}"
            raise ArgumentError(f"predictions: {COST_FILE} in {folder.root!r}: {message}; {wanted}")
    blank: dict[str, Any] = {"seconds": None, "peak_bytes": None, "base_bytes": None, "isolated": None}
    blank |= {"jobs": 1, "stages": {}}
    return {picture: blank | cost for picture, cost in costs.items()}


def _fault(cost: Any) -> str:
    """What is wrong with a picture's entry in a cost file, if anything."""
    if not isinstance(cost, dict):
        return f"a {_kind(cost)}"
    if strange := [name for name in cost if name not in COSTS]:
        return f"the entry {strange[0]!r}"
    for name, value in cost.items():
        number = isinstance(value, (int, float) if name == "seconds" else int) and not isinstance(value, bool)
        if not (number and 0 <= value < float("inf")):
            return f"{name} {value!r}"
    if cost.get("base_bytes", 0) > cost.get("peak_bytes", float("inf")):
        return f"base_bytes {cost['base_bytes']}, more than its peak_bytes {cost['peak_bytes']}"
    return ""


def _kind(value: Any) -> str:
    return {dict: "table", list: "list", str: "text", type(None): "null"}.get(type(value), "number")


@dataclass(frozen=True)
class _Predictions:
    """Another program's results and what they took, by picture."""

    folder: Folder
    costs: Mapping[str, dict[str, Any]]

    def find(self, picture: str, trimap: str | None) -> File:
        """The result for this trimap (DIR/TRIMAP/PICTURE.png) or else the one for all (DIR/PICTURE.png)."""
        stems = {os.path.splitext(name)[0]: name for name in self.folder.names if _is_picture(name)}
        for stem in _stems(picture, trimap):
            if stem in stems:
                return File(self.folder.root, stems[stem])
        raise ArgumentError(f"{self.folder.root!r} holds no result for {picture}")

    def read(self, trial: Trial) -> Outcome:
        alpha = as_alpha(self.find(trial.name, trial.trimap_name).read(), name="alpha", shape=_size(trial))
        stems = _stems(trial.name, trial.trimap_name)
        return Outcome(alpha, cost=next((self.costs[stem] for stem in stems if stem in self.costs), None))

    def inputs(self, picture: str, trimap: str | None) -> dict[str, str]:
        return {"prediction": hashlib.sha256(self.find(picture, trimap).read()).hexdigest()}


def _stems(picture: str, trimap: str | None) -> list[str]:
    """What a picture may be called among results, the closest first."""
    return [f"{trimap}/{picture}", picture] if trimap else [picture]


def _is_picture(name: str) -> bool:
    return re.search(PICTURE + "$", name, re.IGNORECASE) is not None


def _size(trial: Trial) -> tuple[int, int]:
    return (trial.alpha.shape[0], trial.alpha.shape[1])
