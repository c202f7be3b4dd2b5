"""How well signs of doubt rank the true error of cut-outs: Spearman's correlation, by picture and by pixel.

Photos go the whole way from segmentation to alpha; the trimaps of the benchmark are not used. For each sign the tables
say how its order agrees with that of the true error: over pictures (its mean against the mean absolute error), and over
the unknown pixels of each picture (median of the pictures).

    python benchmarks/confidence.py FOLDER [FOLDER ...] [--side 480] [--limit 2]
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from common import RESULTS, heading
from PIL import Image
from scipy.stats import spearmanr

import trimatte
from trimatte.evaluation.datasets import Sample, open_dataset
from trimatte.evaluation.pictures import load_trial

Signs = dict[str, np.ndarray]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("datasets", nargs="+", metavar="FOLDER")
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
    text = report(rows, given.side)
    print(text)
    if given.limit is None:
        (RESULTS / "confidence.md").write_text(text)


def judged(sample: Sample, side: int) -> dict[str, Any]:
    """The true error of a picture's cut-out, the mean of each sign, and how each follows the error among pixels."""
    trial = load_trial(sample)
    scale = min(1.0, side / max(trial.alpha.shape))
    size = tuple(max(16, round(n * scale)) for n in trial.alpha.shape[::-1])
    image = np.asarray(Image.fromarray(np.round(trial.image * 255).astype(np.uint8)).resize(size, Image.Resampling.BOX))
    truth = np.asarray(Image.fromarray(trial.alpha).resize(size, Image.Resampling.BOX))
    result = trimatte.cutout(image, foreground="keep")
    seconds: dict[str, float] = {}
    maps = signs(result, seconds)
    error = np.abs(result.alpha - truth)
    unknown = result.trimap == 128
    area = max(1.0, float(result.alpha.sum()))
    row: dict[str, Any] = {"picture": sample.name, "error": float(error.mean()), "subject": result.report.subject}
    row["error over area"] = float(error.sum() / max(1.0, float(truth.sum())))
    row["mean"] = {name: float(sign.mean()) for name, sign in maps.items()}
    row["over area"] = {name: float(sign.sum() / area) for name, sign in maps.items()}
    row["pixels"] = {name: rank(sign[unknown], error[unknown]) for name, sign in maps.items()}
    row["seconds"] = {**seconds, "alpha itself": result.report.seconds.get("alpha", 0.0)}
    return row


def signs(result: trimatte.Cutout, seconds: dict[str, float]) -> Signs:
    """Maps (H, W) of doubt, and the time of those that take some."""
    alpha, p = result.alpha, result.probability
    assert p is not None

    def again(name: str, **options: Any) -> np.ndarray:
        start = time.perf_counter()
        other = trimatte.estimate_alpha(result.image, result.trimap, **options).alpha
        seconds[name] = time.perf_counter() - start
        return np.abs(other - alpha)

    return {
        "network: 4p(1-p)": 4 * p * (1 - p),
        "network against alpha": np.abs(p - alpha),
        "alpha: 4a(1-a)": 4 * alpha * (1 - alpha),
        "unknown": (result.trimap == 128).astype(np.float32),
        "solver: epsilon 1e-5": again("solver: epsilon 1e-5", epsilon=1e-5),
        "method: shared": again("method: shared", method="shared"),
        "method: knn": again("method: knn", method="knn"),
        "taken: `Cutout.doubt`": result.doubt(),
    }


def rank(a: Any, b: Any) -> float:
    """Spearman's rank correlation, 0 where one of the two does not vary."""
    if len(a) < 3 or np.ptp(a) == 0 or np.ptp(b) == 0:
        return 0.0
    return float(spearmanr(a, b).statistic)


def report(rows: list[dict[str, Any]], side: int) -> str:
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
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
