"""Pictures for a report: the worst crops side by side, error heat-maps, and how far methods disagree."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from trimatte.errors import ArgumentError, TrimatteError
from trimatte.evaluation.datasets import Dataset, Sample, open_dataset
from trimatte.evaluation.pictures import load_trial
from trimatte.evaluation.records import Record
from trimatte.evaluation.tables import figure_text
from trimatte.evaluation.trials import alpha_path
from trimatte.planes.resize import resized

CROP = 192  # side of a crop in pixels
OVERVIEW = 288  # longer side of a whole picture's heat-map
WORST = 4  # how many pictures are shown

Alpha = NDArray[np.float32]


@dataclass(frozen=True)
class Panel:
    """One crop: what it shows, and its pictures as data addresses."""

    label: str
    figure: str
    picture: str
    error: str | None = None
    whole: str | None = None


@dataclass(frozen=True)
class Exhibit:
    """A picture that went badly: the crop where it did, what was given and what each method made of it."""

    picture: str
    where: str
    given: list[Panel]
    results: list[Panel]


def worst_pictures(records: Sequence[Record], metric: str, count: int = WORST) -> list[str]:
    """Pictures that every method did, with the largest mean error, or the least IoU."""
    errors: dict[str, list[float]] = {}
    for record in records:
        if record["status"] == "ok":
            errors.setdefault(record["picture"], []).append(record["metrics"][metric])
    methods = len({record["method"] for record in records})
    whole = {picture: float(np.mean(e)) for picture, e in errors.items() if len(e) == methods}
    sign = 1 if metric == "iou" else -1
    return sorted(whole, key=lambda picture: (sign * whole[picture], picture))[:count]


def exhibits(records: Sequence[Record], metric: str) -> tuple[list[Exhibit], list[str]]:
    """The worst pictures of a group, and what could not be shown. Records as `report.load_runs` gives them."""
    first = records[0]
    try:
        dataset = _dataset(first["run"], first["set"])
    except (OSError, KeyError, TrimatteError, ValueError) as error:
        return [], [f"no pictures of {first['dataset']}: {error}"]
    samples = {sample.name: sample for sample in dataset.samples}
    shown, missing = [], []
    for picture in worst_pictures(records, metric):
        try:
            shown.append(_exhibit(samples[picture], [r for r in records if r["picture"] == picture], metric))
        except (KeyError, ValueError, OSError, TrimatteError) as error:
            missing.append(f"{picture}: {error}")
    return shown, missing


def disagreement(records: Sequence[Record]) -> tuple[list[str], NDArray[np.float64]]:
    """Methods, and the mean absolute difference between each two of them over the unknown pixels' region, in percent.

    Gathered over whole pictures and divided by the number of unknown pixels (all, if there is no trimap).
    """
    methods = list(dict.fromkeys(record["method"] for record in records))
    totals, pixels = np.zeros((len(methods), len(methods))), np.zeros((len(methods), len(methods)))
    by_picture: dict[str, dict[str, Record]] = {}
    for record in records:
        if record["status"] == "ok":
            by_picture.setdefault(record["picture"], {})[record["method"]] = record
    for chosen in by_picture.values():
        alphas = {m: a for m, record in chosen.items() if (a := _alpha(record)) is not None}
        for i, a in enumerate(methods):
            for j, b in enumerate(methods):
                if a in alphas and b in alphas and a != b:
                    totals[i, j] += float(np.abs(alphas[a] - alphas[b]).sum(dtype=np.float64))
                    pixels[i, j] += chosen[a]["unknown"] or alphas[a].size
    return methods, 100 * totals / np.maximum(pixels, 1)


def _dataset(run: str, name: str) -> Dataset:
    if Path(run).is_file():
        raise ArgumentError("records alone are given, without the mattes beside them")
    described = json.loads((Path(run) / "datasets.json").read_text())[name]
    return open_dataset(described["root"], layout=described["layout"], backgrounds=described.get("backgrounds"))


def _exhibit(sample: Sample, records: Sequence[Record], metric: str) -> Exhibit:
    trial = load_trial(sample, records[0]["trimap"])
    alphas = {record["method"]: alpha for record in records if (alpha := _alpha(record)) is not None}
    errors = {method: np.abs(alpha - trial.alpha) for method, alpha in alphas.items()}
    window = _worst_window(np.mean(list(errors.values()), axis=0, dtype=np.float32))
    colours = trial.image[window]
    truth = trial.foreground[window] if trial.foreground is not None else colours
    given = [Panel("photo", "", _picture(colours))]
    if trial.trimap is not None:
        given.append(Panel("trimap", "", _picture(np.repeat(trial.trimap[window][..., None] / 255, 3, axis=2))))
    given.append(Panel("true alpha", "", _picture(_on_checkerboard(truth, trial.alpha[window]))))
    results = []
    for record in records:
        method = record["method"]
        if method in alphas:
            figure = figure_text(metric, record["metrics"][metric])
            cut = _picture(_on_checkerboard(colours, alphas[method][window]))
            error = _picture(_heat(errors[method][window]))
            results.append(Panel(method, figure, cut, error, _picture(_heat(_shrunk(errors[method])))))
    rows, columns = window
    where = f"rows {rows.start} to {rows.stop}, columns {columns.start} to {columns.stop}"
    return Exhibit(sample.name, where, given, results)


def _alpha(record: Record) -> Alpha | None:
    """The matte that its run has kept."""
    path = alpha_path(record["run"], record["trimap"], record["kept"], record["picture"])
    if not path.exists():
        return None
    return np.asarray(Image.open(path), np.float32) / np.float32(255)


def _worst_window(error: Alpha) -> tuple[slice, slice]:
    """The CROP x CROP window with the largest sum of errors."""
    from scipy.ndimage import uniform_filter

    height, width = error.shape
    h, w = min(CROP, height), min(CROP, width)
    sums = uniform_filter(error, (h, w), mode="constant")
    inner = sums[h // 2 : height - h + h // 2 + 1, w // 2 : width - w + w // 2 + 1]
    top, left = np.unravel_index(int(inner.argmax()), inner.shape)
    return slice(int(top), int(top) + h), slice(int(left), int(left) + w)


def _on_checkerboard(colours: NDArray[np.float32], alpha: Alpha) -> NDArray[np.float32]:
    rows, columns = np.indices(alpha.shape)
    board = np.where((rows // 12 + columns // 12) % 2, np.float32(0.86), np.float32(0.62))[..., None]
    laid: NDArray[np.float32] = alpha[..., None] * colours + (1 - alpha[..., None]) * board
    return laid


def _heat(error: Alpha) -> NDArray[np.float32]:
    """Black over red and yellow to white, for errors 0 to 1; the square root shows small ones."""
    s = np.sqrt(np.clip(error, 0, 1))[..., None] * 3
    heat: NDArray[np.float32] = np.clip(s - np.array([0, 1, 2], np.float32), 0, 1).astype(np.float32)
    return heat


def _shrunk(error: Alpha) -> Alpha:
    scale = OVERVIEW / max(error.shape)
    if scale >= 1:
        return error
    height, width = (max(1, round(side * scale)) for side in error.shape)
    return resized(error, (height, width), "box")


def _picture(colours: NDArray[np.floating]) -> str:
    stream = io.BytesIO()
    codes = np.rint(np.clip(colours, 0, 1) * 255).astype(np.uint8)
    Image.fromarray(codes).save(stream, "WEBP", quality=88)
    return "data:image/webp;base64," + base64.b64encode(stream.getvalue()).decode()
