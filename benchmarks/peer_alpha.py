"""Our classical methods beside pymatting's: seconds, error against the truth, and the growth of resident memory.

    python benchmarks/peer_alpha.py FOLDER [--methods knn] [--trimaps trimap1 trimap2] [--scale 3 --only GT05]

FOLDER holds input/, gt/ and the trimaps' folders, with files of equal names. `--scale` enlarges the photos and adds the
noise of a sensor, so that large pictures can be timed; errors mean nothing there and are left out. Times are the better
of two runs in a warm process, ours and pymatting's taking turns; pymatting runs once where that takes over 5 seconds.
With `--memory` each method runs in a process of its own, warmed by a small picture first. Run it on a machine that
does nothing else.
"""

from __future__ import annotations

import argparse
import multiprocessing
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from common import heading
from PIL import Image

PEERS = {"closed-form": "cf", "knn": "knn", "learning-based": "lbdm", "large-kernel": "lkm", "random-walk": "rw"}
Triple = tuple[np.ndarray, np.ndarray, np.ndarray]


def triple(folder: Path, trimap: str, name: str, scale: float) -> Triple:
    """Photo (H, W, 3) uint8, trimap (H, W) uint8 and true alpha (H, W) in [0, 1]."""
    photo = Image.open(folder / "input" / name).convert("RGB")
    known = Image.open(folder / trimap / name).convert("L")
    truth = Image.open(folder / "gt" / name).convert("L")
    if scale != 1:
        size = round(photo.width * scale), round(photo.height * scale)
        photo, truth = photo.resize(size, Image.Resampling.LANCZOS), truth.resize(size, Image.Resampling.BICUBIC)
        known = known.resize(size, Image.Resampling.NEAREST)
        noise = np.random.default_rng(0).normal(0, 2, (size[1], size[0], 3))
        photo = Image.fromarray(np.clip(np.asarray(photo) + noise, 0, 255).round().astype(np.uint8))
    return np.asarray(photo), np.asarray(known), np.asarray(truth) / 255


def alpha(method: str, photo: np.ndarray, trimap: np.ndarray) -> np.ndarray:
    from trimatte import estimate_alpha

    return estimate_alpha(photo, trimap, method=method).alpha


def seconds(function: Callable[[], np.ndarray]) -> tuple[float, np.ndarray]:
    start = time.perf_counter()
    value = function()
    return time.perf_counter() - start, value


def growth(method: str, small: Triple, large: Triple) -> float:
    """MB by which the resident memory's peak grows, in a fresh process."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_growth, (method, small, large))


def _growth(method: str, small: Triple, large: Triple) -> float:
    def resident(key: str) -> float:
        lines = Path("/proc/self/status").read_text().splitlines()
        return int(next(line for line in lines if line.startswith(key)).split()[1]) / 1024

    alpha(method, *small[:2])
    Path("/proc/self/clear_refs").write_text("5")  # the peak so far is forgotten
    before = resident("VmRSS")
    alpha(method, *large[:2])
    return resident("VmHWM") - before


def row(method: str, folder: Path, trimap: str, name: str, scale: float, memory: bool) -> list[float]:
    """Seconds, MSE and MB, ours before pymatting's."""
    names = method, f"pymatting:{PEERS[method]}"
    small, large = triple(folder, trimap, name, 0.12), triple(folder, trimap, name, scale)
    took, alphas = [np.inf, np.inf], [large[2], large[2]]
    for _ in range(2):
        for i, each in enumerate(names):
            if i == 0 or not 5 <= took[i] < np.inf:
                clock, alphas[i] = seconds(lambda each=each: alpha(each, *large[:2]))
                took[i] = min(took[i], clock)
    unknown = (large[1] > 0) & (large[1] < 255)
    errors = [float(np.mean((found - large[2])[unknown] ** 2)) if scale == 1 else np.nan for found in alphas]
    peaks = [growth(each, small, large) if memory else np.nan for each in names]
    return [float(unknown.sum()), *took, *errors, *peaks]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--methods", nargs="+", choices=PEERS, default=["closed-form", "knn"])
    parser.add_argument("--trimaps", nargs="+", default=["trimap1"])
    parser.add_argument("--only", nargs="+", help="names of pictures, without suffix")
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--memory", action="store_true")
    given = parser.parse_args()
    files = sorted(
        path.name for path in (given.folder / "input").iterdir() if not given.only or path.stem in given.only
    )
    for line in heading("Classical alpha beside pymatting"):
        print(line)
    for method in given.methods:
        for trimap in given.trimaps:
            first = triple(given.folder, trimap, files[0], 0.12)
            for name in (method, f"pymatting:{PEERS[method]}"):
                alpha(name, *first[:2])
            print(f"\n## {method}, {trimap}, scale {given.scale:g}\n")
            print("| picture | unknown | seconds, ours / theirs | times | MSE, ours / theirs | MB, ours / theirs |")
            print("| --- | ---: | ---: | ---: | ---: | ---: |")
            rows = []
            for file in files:
                rows.append(row(method, given.folder, trimap, file, given.scale, given.memory))
                print(_line(Path(file).stem, rows[-1]), flush=True)
            print(_line("mean", list(np.mean(rows, axis=0))))


def _line(name: str, values: list[float]) -> str:
    unknown, ours, theirs, error, their_error, peak, their_peak = values
    return (
        f"| {name} | {unknown:.0f} | {ours:.3f} / {theirs:.2f} | {theirs / ours:.1f} "
        f"| {error:.5f} / {their_error:.5f} | {peak:.0f} / {their_peak:.0f} |"
    )


if __name__ == "__main__":
    main()
