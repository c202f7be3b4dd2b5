"""Looking into every file of a benchmark: sizes, value ranges, duplicates, trimaps that contradict their alpha."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trimatte.errors import ArgumentError, TrimatteError
from trimatte.evaluation.datasets import Dataset, Sample
from trimatte.evaluation.layouts import Layout
from trimatte.evaluation.orientation import fits_turned
from trimatte.images import Decoded, decode_source
from trimatte.images.arrays import BACKGROUND, FOREGROUND, UNKNOWN
from trimatte.images.codes import greys_of, trimap_of

Codes = NDArray[Any]


@dataclass(frozen=True)
class Finding:
    """Something wrong ("error": it cannot be scored rightly) or odd ("warning") with a picture or with the set."""

    severity: str
    picture: str | None
    message: str

    def __str__(self) -> str:
        return f"{self.severity}: {self.picture + ': ' if self.picture else ''}{self.message}"


def verify(dataset: Dataset) -> list[Finding]:
    """Check a benchmark's completeness and the content of all its files."""
    findings = [Finding("warning", None, problem) for problem in dataset.problems]
    seen: dict[str, str] = {}
    for sample in dataset.samples:
        if sample.problem:
            findings.append(Finding("error", sample.name, sample.problem))
            continue
        findings += [Finding(severity, sample.name, message) for severity, message in _look(sample, dataset, seen)]
    return findings


def _look(sample: Sample, dataset: Dataset, seen: dict[str, str]) -> Iterator[tuple[str, str]]:
    planes: dict[str, Codes] = {}
    turned: dict[str, int] = {}
    composed = "background" in sample.files and "image" not in sample.files
    for role, files in sample.files.items():
        for file in files:
            if role in ("usr", "mask", "scene"):
                continue
            try:
                data = file.read()
                decoded = decode_source(data)
            except (OSError, TrimatteError) as error:
                yield "error", f"{file.name} cannot be read: {error}"
                continue
            if role in ("image", "cutout"):
                digest = hashlib.sha256(data).hexdigest()
                if digest in seen:
                    yield "warning", f"{file.name} is the same picture as {seen[digest]}"
                seen[digest] = file.name
            try:
                planes[role] = _plane(role, decoded)
            except ArgumentError as error:
                yield "error", f"{file.name}: {error}"
                continue
            turned[role] = decoded.orientation
            if role in ("alpha", "cutout"):
                yield from _alpha_range(file.name, planes[role], dataset.layout)
            elif role.startswith("trimap"):
                yield from _trimap_range(file.name, planes[role])
    # A background may have any size where it is fitted to the foreground.
    sizes = {role: p.shape[:2] for role, p in planes.items() if not (composed and role == "background")}
    if len(set(sizes.values())) > 1:
        yield "error", "sizes differ: " + ", ".join(f"{role} {w}x{h}" for role, (h, w) in sorted(sizes.items()))
    yield from _orientation(planes, turned)
    if len(set(sizes.values())) == 1 and "alpha" in planes and planes["alpha"].ndim == 2:
        for role, plane in planes.items():
            if role.startswith("trimap") and plane.ndim == 2:
                yield from _contradictions(role, plane, planes["alpha"])


def _plane(role: str, decoded: Decoded) -> Codes:
    """A file's values as `load_trial` takes them: of a matte its alpha channel, if it has one that says anything."""
    alpha, codes = decoded.alpha, decoded.codes
    if role in ("alpha", "cutout") and alpha is not None and alpha.min() < np.iinfo(alpha.dtype).max:
        return alpha
    if role.startswith("trimap") and (codes.ndim == 2 or _grey(codes)):
        return greys_of(decoded, role)
    return codes[..., 0] if codes.ndim == 3 and _grey(codes) else codes


def _orientation(planes: dict[str, Codes], turned: dict[str, int]) -> Iterator[tuple[str, str]]:
    """What is to say of masks without an EXIF orientation beside a photo that has one."""
    orientation = turned.get("image", 1)
    if orientation == 1:
        return
    photo = f"the photo is turned by its EXIF orientation {orientation}"
    for role, plane in planes.items():
        if (role == "alpha" or role.startswith("trimap")) and turned[role] == 1 and plane.ndim == 2:
            fits = fits_turned(planes["image"], plane, orientation)
            if fits:
                yield "error", f"{photo}, but {role} fits its pixels as they are stored"
            elif fits is None:
                yield "warning", f"{photo}, and {role} is not; which way it was drawn cannot be told"


def _alpha_range(name: str, codes: Codes, layout: Layout) -> Iterator[tuple[str, str]]:
    if codes.ndim == 3:
        yield "error", f"{name} has three channels that differ: a colour picture, not an alpha"
        return
    white = np.iinfo(codes.dtype).max
    values = np.unique(codes)
    if len(values) == 1 and layout.alphas == "one":
        yield "warning", f"{name} is {values[0]} everywhere"
    elif values[-1] == 1:
        yield "error", f"{name} holds only 0 and 1: a mask, not an alpha in 0..{white}"
    elif len(values) == 2 and layout.name != "masks":
        yield "warning", f"{name} holds only {values[0]} and {values[1]}: a mask, not an alpha"
    elif values[-1] < white // 2:
        yield "warning", f"{name} reaches only {values[-1]} of {white}"


def _trimap_range(name: str, codes: Codes) -> Iterator[tuple[str, str]]:
    if codes.ndim == 3:
        yield "error", f"{name} has three channels that differ: a colour picture, not a trimap"
        return
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            trimap = trimap_of(codes, name)
    except ArgumentError as error:
        yield "error", str(error)
        return
    yield from (("warning", str(warning.message)) for warning in caught)
    kinds = set(np.unique(trimap).tolist())
    white = np.iinfo(codes.dtype).max
    greys = len(set(np.unique(codes[trimap == UNKNOWN]).tolist()))
    if not greys:
        yield "error", f"{name} has no unknown pixel"
    elif greys > 1:
        yield "warning", f"{name} has {greys} greys besides 0 and {white}, all taken for unknown"
    if not {BACKGROUND, FOREGROUND} <= kinds:
        yield "warning", f"{name} has no known {'background' if BACKGROUND not in kinds else 'foreground'}"


def _contradictions(role: str, trimap: Codes, alpha: Codes) -> Iterator[tuple[str, str]]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            known = trimap_of(trimap, role)
    except ArgumentError:  # which is told already
        return
    a = alpha / np.iinfo(alpha.dtype).max
    wrong = int(((known == BACKGROUND) & (a > 0.02)).sum() + ((known == FOREGROUND) & (a < 0.98)).sum())
    if wrong:
        yield "warning", f"{role} calls {wrong} pixels known that its alpha does not"


def _grey(codes: Codes) -> bool:
    return bool((codes[..., 0] == codes[..., 1]).all() and (codes[..., 0] == codes[..., 2]).all())
