"""Train the embedded network on a machine that has PyTorch and ONNX, but neither a wheel of trimatte nor a network.

    python benchmarks/train_alone.py --pack SHARDS --out FOLDER [--minutes 7]

SHARDS is a folder from `trimatte train pack`. How many steps fit into the minutes is measured first; then the run is
one of `trimatte train segmenter`. FOLDER gets NAME.onnx and its card, `log.csv`, `weights.pt` and `checkpoint.pt`. The
code is that beside this script; it needs torch, onnx, NumPy and Pillow.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))

import numpy as np
import torch

from trimatte.training.own import train_own, variant_for
from trimatte.training.packs import HeldOut
from trimatte.training.resident import Resident
from trimatte.training.segmenter import PackedPictures, Recipe, Run, batches, load
from trimatte.training.views import shape_of

TIMED = 12
"""Steps by which the clock is read, after one of each shape, for which a GPU prepares itself."""
SPARE = 0.85
"""The share of the minutes that steps may take; the rest is for measuring, saving and the export."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pack", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=7)
    parser.add_argument("--steps", type=int, help="so many, whatever time they take")
    parser.add_argument("--start", default="embedded", help="imagenet, embedded or a file of weights")
    parser.add_argument("--name", default="lite-own")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--long-side", type=int, default=416)
    parser.add_argument("--rate", type=float, default=8e-4)
    parser.add_argument("--composed", type=float, default=0.3)
    parser.add_argument("--crowded", type=float, default=0.15, help="share of photos with one more thing behind")
    parser.add_argument("--keep", type=float, default=0.3)
    parser.add_argument("--frozen", type=int, default=0, help="blocks of the encoder that stay; 7 feed glance")
    parser.add_argument("--resume", action="store_true")
    args = parser.parse_args()
    begun = time.monotonic()
    recipe = Recipe(
        [],
        pack=args.pack,
        composed=args.composed,
        crowded=args.crowded,
        batch=args.batch,
        long_side=args.long_side,
        variant=variant_for(args.start),
        start=args.start,
        rate=args.rate,
        cooling=0.5,
        frozen=args.frozen,
        keep=args.keep if args.start == "embedded" else 0.0,
    )
    resident = load(recipe, torch.device(args.device))
    loaded = time.monotonic() - begun
    steps = args.steps or steps_within(recipe, resident, 60 * args.minutes)
    print(f"{loaded:.0f} s to load {len(resident.photos)} photos; {steps} steps", flush=True)

    def watch(step: int, loss: float) -> None:
        if step % 50 == 0:
            print(f"step {step}: loss {loss:.4f}, {time.monotonic() - begun:.0f} s", flush=True)

    validation = HeldOut(args.pack)
    card, figures = train_own(
        replace(recipe, steps=steps),
        args.out,
        name=args.name,
        validation=validation if validation.describe()["photos"] else None,
        resume=args.resume,
        every=max(1, steps // 4),
        watch=watch,
        device=args.device,
        resident=resident,
    )
    print(card, figures, f"{time.monotonic() - begun:.0f} s", flush=True)


def steps_within(recipe: Recipe, resident: Resident, seconds: float) -> int:
    """How many steps of a recipe fit into a time on this device."""
    pictures = PackedPictures(replace(recipe, steps=TIMED), resident)
    with tempfile.TemporaryDirectory() as folder:
        run = Run(pictures.recipe, Path(folder), pictures, resident.device)
    rng = np.random.default_rng(recipe.seed)
    for kind, photos in enumerate(resident.kinds):
        if len(photos):
            size = shape_of(kind, recipe.long_side)
            run.learn(0, resident.batch(kind, size, recipe.batch, recipe.composed, rng, crowded=recipe.crowded))
    started = time.monotonic()
    for step, batch in enumerate(batches(pictures, 0, resident.device)):
        run.learn(step, batch)
    return max(1, int(SPARE * seconds * TIMED / (time.monotonic() - started)))


if __name__ == "__main__":
    main()
