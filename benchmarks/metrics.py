"""Seconds that the five error figures take on a pair of two megapixels.

    python benchmarks/metrics.py [--megapixels 2]

The pair is a painted head of hair and the same with noise on its unknown pixels. Median of seven; the first call, which
loads SciPy, is not counted. Writes benchmarks/results/metrics.md.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np
from common import RESULTS, heading

from trimatte import metrics
from trimatte.evaluation.alpha_metrics import measure
from trimatte.evaluation.pictures import made_trimap
from trimatte.synthetic import scene

FIGURES: dict[str, Callable[..., object]] = {
    "sad": metrics.sad,
    "mse": metrics.mse,
    "mad": metrics.mad,
    "gradient_error": metrics.gradient_error,
    "connectivity_error": metrics.connectivity_error,
    "all five": measure,
}


def median_seconds(work: Callable[[], object]) -> float:
    times = []
    for _ in range(8):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return statistics.median(times[1:])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megapixels", type=float, default=2)
    height = round((parser.parse_args().megapixels * 1e6 / 1.5) ** 0.5)
    target = scene("hair", (height, round(height * 1.5)), seed=0).alpha
    truth = target.astype(np.float32) / 255
    trimap, _ = made_trimap(truth, "hair", 10, 20, 0)
    noise = np.random.default_rng(0).normal(0, 0.1, target.shape) * (trimap == 128)
    alpha = np.rint(255 * np.clip(truth + noise, 0, 1)).astype(np.uint8)
    lines = [*heading("Error figures of a pair of mattes"), ""]
    lines.append(
        f"{target.shape[1]} x {target.shape[0]} pixels, 8 bits, {np.mean(trimap == 128):.0%} unknown. "
        "Seconds, median of seven."
    )
    lines += ["", "| figure | whole picture | unknown pixels |", "| --- | ---: | ---: |"]
    for name, function in FIGURES.items():
        cells = [
            f"{median_seconds(lambda f=function, t=known: f(alpha, target, trimap=t)):.3f}"  # type: ignore[misc]
            for known in (None, trimap)
        ]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    RESULTS.joinpath("metrics.md").write_text("\n".join(lines) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
