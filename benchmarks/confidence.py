"""How well signs of doubt rank the true error of cut-outs: Spearman's correlation, by picture and by pixel.

Photos go the whole way from segmentation to alpha; the trimaps of the benchmark are not used. For each sign the tables
say how its order agrees with that of the true error: over pictures (its mean against the mean absolute error), and over
the unknown pixels of each picture (median of the pictures). With --masks, photos of which only masks are known are
ranked as well, by the signs that cost nothing: many more of them, of every kind.

    python benchmarks/confidence.py FOLDER [FOLDER ...] --masks FOLDER [--side 320] [--limit 2]
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from common import RESULTS, heading
from PIL import Image
from scipy.stats import spearmanr

import trimatte
from segmentation import read
from trimatte.evaluation.datasets import Sample, open_dataset
from trimatte.evaluation.pictures import load_trial

Signs = dict[str, np.ndarray]
TAKEN = "taken: `confidence`, `Cutout.doubt`"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("datasets", nargs="+", metavar="FOLDER")
    parser.add_argument("--masks", type=Path, metavar="FOLDER", help="of image/*.jpg and mask/*.png")
    parser.add_argument("--side", type=int, default=320, help="long side that pictures are reduced to")
    parser.add_argument("--limit", type=int, help="the first pictures only, to try the script")
    parser.add_argument("--save", metavar="FILE", help="keep each picture's figures, one JSON object a line")
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    rows = []
    for folder in given.datasets:
        for sample in open_dataset(folder).first(given.limit).samples:
            rows.append(judged(sample, given.side))
            print(json.dumps(rows[-1]), flush=True)
            if given.save:
                with open(given.save, "a") as file:
                    file.write(json.dumps(rows[-1]) + "\n")
    lines = report(rows, given.side)
    if given.masks:
        _, photos, masks = read(given.masks)
        pairs = list(zip(photos, masks, strict=True))[: given.limit]
        lines += report_of_masks([judged_by_mask(*pair, given.side) for pair in pairs])
    text = "\n".join(lines) + "\n"
    print(text)
    if given.limit is None:
        (RESULTS / "confidence.md").write_text(text)


def judged(sample: Sample, side: int) -> dict[str, Any]:
    """The true error of a picture's cut-out, the mean of each sign, and how each follows the error among pixels."""
    trial = load_trial(sample)
    result, truth = cut_out(trial.image, trial.alpha, side)
    seconds: dict[str, float] = {}
    maps = signs(result, seconds)
    error = np.abs(result.alpha - truth)
    unknown = result.trimap == 128
    row = {"picture": sample.name, "subject": result.report.subject, **errors(result, truth), **figures(maps, result)}
    row["pixels"] = {name: rank(sign[unknown], error[unknown]) for name, sign in maps.items()}
    row["seconds"] = {**seconds, "alpha itself": result.report.seconds.get("alpha", 0.0)}
    return row


def judged_by_mask(image: np.ndarray, mask: np.ndarray, side: int) -> dict[str, Any]:
    """As `judged`, by the signs that cost nothing alone."""
    result, truth = cut_out(image, mask.astype(np.float32), side)
    return {**errors(result, truth), **figures(free_signs(result), result)}


def cut_out(image: np.ndarray, truth: np.ndarray, side: int) -> tuple[trimatte.Cutout, np.ndarray]:
    """The cut-out of a reduced photo (H, W, 3), and its true alpha (H, W), reduced alike."""
    scale = min(1.0, side / max(truth.shape))
    size = tuple(max(16, round(n * scale)) for n in truth.shape[::-1])
    small = Image.fromarray(np.round(image * 255).astype(np.uint8)).resize(size, Image.Resampling.BOX)
    reduced = np.asarray(Image.fromarray(truth).resize(size, Image.Resampling.BOX))
    return trimatte.cutout(np.asarray(small), foreground="keep"), reduced


def errors(result: trimatte.Cutout, truth: np.ndarray) -> dict[str, float]:
    """Mean absolute error, and the sum of errors over the subject's area."""
    error = np.abs(result.alpha - truth)
    return {"error": float(error.mean()), "error over area": float(error.sum() / max(1.0, float(truth.sum())))}


def figures(maps: Signs, result: trimatte.Cutout) -> dict[str, dict[str, float]]:
    """Each sign's mean over the picture, and its sum over the subject's area; of the one taken, what it comes to."""
    mean = {name: float(sign.mean()) for name, sign in maps.items()}
    mean[TAKEN] = (mean[TAKEN] + mean["network: 4p(1-p)"]) / 2
    area = max(1.0, float(result.alpha.sum())) / result.alpha.size
    over = {name: value / area for name, value in mean.items()}
    over[TAKEN] = 1 / max(1e-6, result.report.confidence) - 1  # the same, but for photos without a subject
    return {"mean": mean, "over area": over}


def free_signs(result: trimatte.Cutout) -> Signs:
    """Maps (H, W) of doubt that the way to a cut-out leaves behind."""
    alpha, p = result.alpha, result.probability
    assert p is not None
    return {
        "network: 4p(1-p)": 4 * p * (1 - p),
        "network against alpha": np.abs(p - alpha),
        "alpha: 4a(1-a)": 4 * alpha * (1 - alpha),
        "unknown": (result.trimap == 128).astype(np.float32),
        TAKEN: result.doubt(),
    }


def signs(result: trimatte.Cutout, seconds: dict[str, float]) -> Signs:
    """Maps (H, W) of doubt, and the time of those that take some."""

    def again(name: str, **options: Any) -> np.ndarray:
        start = time.perf_counter()
        other = trimatte.estimate_alpha(result.image, result.trimap, **options).alpha
        seconds[name] = time.perf_counter() - start
        return np.abs(other - result.alpha)

    return {
        **free_signs(result),
        "solver: epsilon 1e-5": again("solver: epsilon 1e-5", epsilon=1e-5),
        "method: shared": again("method: shared", method="shared"),
        "method: knn": again("method: knn", method="knn"),
    }


def rank(a: Any, b: Any) -> float:
    """Spearman's rank correlation, 0 where one of the two does not vary."""
    if len(a) < 3 or np.ptp(a) == 0 or np.ptp(b) == 0:
        return 0.0
    return float(spearmanr(a, b).statistic)


def report(rows: list[dict[str, Any]], side: int) -> list[str]:
    columns: dict[str, Callable[[str], float]] = {
        "pictures, mean": lambda name: rank([r["mean"][name] for r in rows], [r["error"] for r in rows]),
        "pictures, over area": lambda name: rank([r["over area"][name] for r in rows], [r["error"] for r in rows]),
        "relative error, over area": lambda name: rank(
            [r["over area"][name] for r in rows], [r["error over area"] for r in rows]
        ),
        "pixels": lambda name: float(np.median([r["pixels"][name] for r in rows])),
        "seconds": lambda name: float(np.median([r["seconds"].get(name, 0.0) for r in rows])),
    }
    lines = [
        *heading("Signs of doubt against true error"),
        f"{len(rows)} pictures of {side} pixels; median error {np.median([r['error'] for r in rows]):.3f}.",
        "",
        "| sign | " + " | ".join(columns) + " |",
        "| --- |" + " ---: |" * len(columns),
    ]
    for name in rows[0]["mean"]:
        lines.append(f"| {name} | " + " | ".join(f"{column(name):.2f}" for column in columns.values()) + " |")
    return lines


def report_of_masks(rows: list[dict[str, Any]]) -> list[str]:
    """The second table, of pictures with masks."""
    error, relative = ([row[kind] for row in rows] for kind in ("error", "error over area"))
    worst = set(np.argsort(relative)[::-1][: len(rows) // 10])
    lines = [
        "",
        f"{len(rows)} other photos, against masks; median error {np.median(error):.3f}. Signs are over the area.",
        f"The last columns say how many of the {len(worst)} worst, by relative error, are among the most doubtful.",
        "",
        "| sign | error | relative error | first tenth | fifth | third |",
        "| --- |" + " ---: |" * 5,
    ]
    for name in rows[0]["over area"]:
        sign = [row["over area"][name] for row in rows]
        found = (len(worst & set(first)) for first in _most_doubtful(sign))
        lines.append(
            f"| {name} | {rank(sign, error):.2f} | {rank(sign, relative):.2f} | {' | '.join(map(str, found))} |"
        )
    return lines


def _most_doubtful(sign: list[float]) -> Iterator[np.ndarray]:
    """The pictures with the highest tenth, fifth and third of a sign."""
    order = np.argsort(sign)[::-1]
    for part in (10, 5, 3):
        yield order[: len(sign) // part]


if __name__ == "__main__":
    main()
