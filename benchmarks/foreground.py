"""Foreground colours where alpha is neither 0 nor 1, on pictures whose own colours are known, beside pymatting's.

    python benchmarks/foreground.py [--cutouts FOLDER ... --backgrounds FOLDER ...] [--count 60] [--limit N]

Painted scenes of every kind, and composites as `whole_way.py` makes them, of cut-outs and backgrounds that training
keeps aside. Colours are estimated from the true alpha, and from that which `hybrid` finds from a trimap about it. The
results go to benchmarks/results/foreground.md, or with --limit to runs/.
"""

from __future__ import annotations

import argparse
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from common import RESULTS, RUNS, heading
from pymatting import estimate_foreground_cf, estimate_foreground_ml
from whole_way import Picture, composites

import trimatte
from trimatte.evaluation.pictures import made_trimap
from trimatte.synthetic import KINDS, scene

SIZE, SEED = (384, 512), 700
BAND = 9
"""A trimap leaves so many pixels unknown about what is mixed."""
GROUNDS = {"white": (1.0, 1.0, 1.0), "black": (0.0, 0.0, 0.0), "red": (1.0, 0.0, 0.0)}
MEANING = """MSE times 1000 over pixels whose true alpha is from 0.01 to 0.99: of the colours themselves, weighted by
alpha, and of the subject over white, black and red, in place of its true colours and alpha: what is seen
of fringes and spill."""

Planes = np.ndarray
Method = Callable[[Planes, Planes], Planes]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cutouts", type=Path, nargs="+", default=[])
    parser.add_argument("--backgrounds", type=Path, nargs="+", default=[])
    parser.add_argument("--count", type=int, default=60, help="composites")
    parser.add_argument("--limit", type=int, help="only so many pictures of each set, to try the script")
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    sets = {"Painted scenes": scenes()}
    if given.cutouts and given.backgrounds:
        sets["Composites of cut-outs and backgrounds kept aside"] = composites(given)
    lines = [*heading("Foreground colours"), "", MEANING]
    for title, pictures in sets.items():
        for rows in table(title, pictures, given.limit):
            lines += ["", *rows]
    folder = RESULTS if given.limit is None else RUNS
    folder.mkdir(exist_ok=True)
    (folder / "foreground.md").write_text("\n".join(lines) + "\n")
    print("\n".join(lines))


def methods() -> dict[str, Method]:
    """Ours and pymatting's, and the photo's colours as they are."""
    return {
        "the photo's own": lambda image, alpha: image,
        "multilevel": lambda image, alpha: trimatte.estimate_foreground(image, alpha),
        "closed-form": lambda image, alpha: trimatte.estimate_foreground(image, alpha, method="closed-form"),
        "pymatting, multilevel": estimate_foreground_ml,
        "pymatting, closed-form": lambda image, alpha: estimate_foreground_cf(
            image.astype(np.float64), alpha.astype(np.float64)
        ),
    }


def scenes() -> Iterator[Picture]:
    """One of each kind."""
    for number, kind in enumerate(KINDS):
        painted = scene(kind, SIZE, seed=SEED + number)
        image, alpha, colours = (
            plane.astype(np.float32) / 255 for plane in (painted.image, painted.alpha, painted.foreground)
        )
        yield Picture(image, alpha, colours)


def table(title: str, pictures: Iterator[Picture], limit: int | None) -> Iterator[list[str]]:
    """A set's two tables: colours from the true alpha, and from an estimated one."""
    rows = methods()
    results: dict[str, dict[str, list[list[float]]]] = {}
    count = 0
    for count, picture in enumerate(pictures, 1):
        for source, alpha in (("the true alpha", picture.truth), ("alpha by hybrid", estimated(picture))):
            for name, method in rows.items():
                start = time.perf_counter()
                colours = np.clip(np.asarray(method(picture.image, alpha), np.float32), 0, 1)
                seconds = time.perf_counter() - start
                found = [*errors(picture, colours, alpha), seconds]
                results.setdefault(source, {}).setdefault(name, []).append(found)
        if count == limit:
            break
    for source, found_by in results.items():
        lines = [f"## {title}, from {source}: {count}", ""]
        lines += [f"| | colours | {' | '.join(GROUNDS)} | seconds |", "| --- |" + " ---: |" * (len(GROUNDS) + 2)]
        for name, each in found_by.items():
            *mse, _ = np.nanmean(each, axis=0)
            seconds = np.median([found[-1] for found in each])
            lines.append(f"| {name} | " + " | ".join(f"{value:.2f}" for value in mse) + f" | {seconds:.3f} |")
        yield lines


def estimated(picture: Picture) -> Planes:
    """What `hybrid` finds from a trimap about the true alpha."""
    trimap, _ = made_trimap(picture.truth, "", BAND, BAND, 0)
    if not (trimap == 255).any() or not (trimap == 0).any():  # glass and smoke are nowhere opaque
        return picture.truth
    return trimatte.estimate_alpha(picture.image, trimap, method="hybrid").alpha


def errors(picture: Picture, colours: Planes, alpha: Planes) -> list[float]:
    """The figures of one picture; not a number where nothing is mixed."""
    mixed = (picture.truth > 0.01) & (picture.truth < 0.99)
    if not mixed.any():
        return [np.nan] * (1 + len(GROUNDS))
    truth, a = picture.truth[mixed][:, None], alpha[mixed][:, None]
    f, t = colours[mixed], picture.colours[mixed]
    own = 1000 * float((truth * (f - t) ** 2).sum() / (3 * truth.sum()))
    over = (
        1000 * float(((a * f - truth * t + (truth - a) * np.array(ground)) ** 2).mean()) for ground in GROUNDS.values()
    )
    return [own, *over]


if __name__ == "__main__":
    sys.exit(main())
