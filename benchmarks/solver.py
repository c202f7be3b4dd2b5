"""How the solver on the unknown band scales, and what threads, the foreground and small edits cost.

    python benchmarks/solver.py [--parts growth threads foreground edit large] [--megapixels 0.5 1 ...] [--out FILE]

Prints Markdown with date, machine and commit. The photos are painted by code, seeded; their trimap's unknown pixels
are the 10 % that lie nearest to the subject's edge, whatever the size. Run it on a machine that does nothing else:
each figure is the least of some repetitions after a first run that compiles the kernels. The largest photos take
some GB of memory to paint.
"""

from __future__ import annotations

import argparse
import multiprocessing
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from common import heading

SHARE = 0.1
MEGAPIXELS = [0.5, 1, 2, 4, 8, 12, 24]
Photo = tuple[np.ndarray, np.ndarray, np.ndarray]


def photo(megapixels: float, seed: int = 0) -> Photo:
    """Image (H, W, 3) float32, trimap (H, W) uint8 and true alpha (H, W) float32 of a furry subject, 4:3."""
    from scipy.ndimage import distance_transform_edt

    from trimatte.synthetic.scenes import scene

    height = round((megapixels * 1e6 * 3 / 4) ** 0.5)
    painted = scene("fur", (height, round(height * 4 / 3)), seed=seed, noise=0.01)
    inside = painted.alpha > 127
    distance = distance_transform_edt(inside) + distance_transform_edt(~inside)
    unknown = distance <= np.quantile(distance, SHARE)
    trimap = np.where(unknown, 128, np.where(inside, 255, 0)).astype(np.uint8)
    return painted.image / np.float32(255), trimap, painted.alpha / np.float32(255)


def least(function: Callable[[], Any], repeats: int) -> tuple[float, Any]:
    """Seconds of the quickest of some runs, and the last result."""
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        result = function()
        seconds.append(time.perf_counter() - start)
    return min(seconds), result


def growth(sizes: list[float], repeats: int) -> Iterator[str]:
    """Seconds of closed-form matting against unknown pixels."""
    from trimatte import estimate_alpha

    yield from ("## Growth: closed-form", "", f"{SHARE:.0%} of the pixels are unknown.", "")
    yield "| MP | unknown | seconds | µs a pixel | assemble | coarse | solve | iterations | residual |"
    yield "| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"
    unknown, taken = [], []
    for size in sizes:
        image, trimap, _ = photo(size)
        seconds, matte = least(lambda image=image, trimap=trimap: estimate_alpha(image, trimap), repeats)
        report = matte.report
        unknown.append(report.unknown)
        taken.append(seconds)
        stages = " | ".join(f"{report.seconds[stage]:.2f}" for stage in ("assemble", "coarse", "solve"))
        yield (
            f"| {size:g} | {report.unknown} | {seconds:.2f} | {1e6 * seconds / report.unknown:.2f} | {stages} "
            f"| {report.iterations} | {report.residual:.1e}{'' if report.converged else ' (not converged)'} |"
        )
    if len(sizes) > 1:
        exponent = np.polyfit(np.log(unknown), np.log(taken), 1)[0]
        yield from ("", f"Seconds grow as unknown pixels to the power {exponent:.2f} (least squares of logarithms).")


def threads(sizes: list[float], repeats: int) -> Iterator[str]:
    """One thread against all."""
    import numba

    from trimatte import estimate_alpha

    most = numba.get_num_threads()
    yield from ("## Threads: closed-form", "", f"| MP | one thread, s | {most} threads, s | times | same bits |")
    yield "| ---: | ---: | ---: | ---: | --- |"
    for size in sizes:
        image, trimap, _ = photo(size)
        found = []
        for count in (1, most):
            numba.set_num_threads(count)
            found.append(least(lambda image=image, trimap=trimap: estimate_alpha(image, trimap), repeats))
        (one, alone), (all_, together) = found
        same = "yes" if np.array_equal(alone.alpha, together.alpha) else "no"
        yield f"| {size:g} | {one:.2f} | {all_:.2f} | {one / all_:.2f} | {same} |"


def foreground(sizes: list[float], repeats: int) -> Iterator[str]:
    """Multi-level foreground against pymatting's."""
    from pymatting import estimate_foreground_ml

    from trimatte import estimate_foreground

    yield from ("## Foreground: multilevel", "")
    yield from (
        "The difference is over 0 < alpha < 1: where alpha is 1 ours is the photo, where it is 0 unseen.",
        "",
    )
    yield "| MP | trimatte, s | pymatting, s | times | largest difference |"
    yield "| ---: | ---: | ---: | ---: | ---: |"
    for size in sizes:
        image, _, alpha = photo(size)
        ours, colours = least(lambda image=image, alpha=alpha: estimate_foreground(image, alpha), repeats)
        theirs, expected = least(lambda image=image, alpha=alpha: estimate_foreground_ml(image, alpha), repeats)
        difference = np.abs(colours - expected)[(alpha > 0) & (alpha < 1)].max()
        yield f"| {size:g} | {ours:.2f} | {theirs:.2f} | {theirs / ours:.2f} | {difference:.1e} |"


def edit(sizes: list[float], repeats: int) -> Iterator[str]:
    """A change of 64x64 pixels of a prepared picture against a fresh solve."""
    from trimatte import estimate_alpha, prepare_alpha

    yield from ("## Edit of 64x64 pixels: closed-form", "")
    yield "| MP | fresh, s | edit, s | times | settled | difference of the two alphas: largest | mean over unknown |"
    yield "| ---: | ---: | ---: | ---: | --- | ---: | ---: |"
    for size in sizes:
        image, trimap, alpha = photo(size)
        edited = _edited(trimap, alpha)
        fresh, expected = least(lambda image=image, edited=edited: estimate_alpha(image, edited), repeats)
        seconds = []
        for _ in range(repeats):
            prepared = prepare_alpha(image, trimap)
            taken, _ = least(lambda prepared=prepared, edited=edited: prepared.update(edited), 1)
            seconds.append(taken)
        difference = np.abs(prepared.alpha - expected.alpha)[edited == 128]
        yield (
            f"| {size:g} | {fresh:.2f} | {min(seconds):.3f} | {fresh / min(seconds):.1f} "
            f"| {'yes' if prepared.settled else 'no'} | {difference.max():.1e} | {difference.mean():.1e} |"
        )


def large(sizes: list[float], repeats: int) -> Iterator[str]:
    """Seconds and the process's peak memory of one run on a very large picture, in a process of its own."""
    yield from ("## Very large pictures: closed-form", "")
    yield "3 % of the pixels are unknown, two colours with noise. The peak is the whole process's, photo included."
    yield from ("", "| MP | unknown | seconds | iterations | photo, MB | peak, MB |")
    yield "| ---: | ---: | ---: | ---: | ---: | ---: |"
    for size in sizes:
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            yield pool.apply(_large, (size,))


def _large(megapixels: float) -> str:
    from trimatte import estimate_alpha

    height = round((megapixels * 1e6 * 3 / 4) ** 0.5)
    width = round(height * 4 / 3)
    rng = np.random.default_rng(0)
    image, trimap = np.empty((height, width, 3), np.float32), np.empty((height, width), np.uint8)
    subject, ground = np.float32([0.8, 0.5, 0.3]), np.float32([0.2, 0.3, 0.5])
    radius, band = 0.3 * height, 0.03 * height * width / (2 * np.pi * 0.3 * height)
    x = np.arange(width, dtype=np.float32)
    for y in range(height):  # row by row, since nothing else may take memory here
        inside = radius - np.hypot(y - height / 2, x - width / 2)
        alpha = np.clip(0.5 + inside / (0.6 * band), 0, 1)[:, None].astype(np.float32)
        image[y] = alpha * subject + (1 - alpha) * ground + rng.standard_normal((width, 3), np.float32) * 0.01
        trimap[y] = np.where(np.abs(inside) <= band / 2, 128, np.where(inside > 0, 255, 0))
    np.clip(image, 0, 1, out=image)
    start = time.perf_counter()
    report = estimate_alpha(image, trimap).report
    seconds = time.perf_counter() - start
    return (
        f"| {megapixels:g} | {report.unknown} | {seconds:.1f} | {report.iterations} | {image.nbytes / 1e6:.0f} "
        f"| {report.peak_bytes / 1e6:.0f} |"
    )


def _edited(trimap: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """A square of 64x64 pixels about the band pixel nearest to the middle, as a user would mark it: by the truth."""
    ys, xs = np.nonzero(trimap == 128)
    middle = np.argmin(np.hypot(ys - trimap.shape[0] / 2, xs - trimap.shape[1] / 2))
    part = slice(ys[middle] - 32, ys[middle] + 32), slice(xs[middle] - 32, xs[middle] + 32)
    edited = trimap.copy()
    edited[part] = np.where(alpha[part] > 0.99, 255, np.where(alpha[part] < 0.01, 0, 128))
    return edited


PARTS = {
    "growth": (growth, MEGAPIXELS),
    "threads": (threads, [4]),
    "foreground": (foreground, [5]),
    "edit": (edit, [4]),
    "large": (large, [100]),
}


def warm_up() -> None:
    """Compile the kernels, so that no figure holds that."""
    for part, _ in PARTS.values():
        for _ in part([0.05], 1):
            pass


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--megapixels", nargs="+", type=float, help="sizes of the photos, instead of each part's own")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--out", type=Path, help="also write the tables to this file")
    given = parser.parse_args()
    warm_up()
    lines = []
    for line in heading("The solver on the unknown band"):
        lines.append(line)
        print(line, flush=True)
    for name in given.parts:
        part, sizes = PARTS[name]
        for line in ("", *part(given.megapixels or sizes, given.repeats)):
            lines.append(line)
            print(line, flush=True)
    if given.out:
        given.out.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
