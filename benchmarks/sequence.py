"""Frames of a scene, one by one and as a sequence: time, flicker (dtSSD) and error of alpha.

A synthetic subject stands before a still background under a camera's noise; its upper part sways, or the whole of it
moves. Each way goes from photo to alpha with the embedded network. They take turns frame by frame, so that what else
the machine does meets both alike; times are medians over the frames.

    python benchmarks/sequence.py [--frames 12] [--side 480]
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Sequence

import numpy as np
from common import RESULTS, heading

import trimatte
from trimatte.synthetic import scene

SCENES = [("hair", 4), ("fur", 7), ("feather", 3)]
WAYS = ["one by one", "sequence"]
NOISE = 1.5 / 255


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=12)
    parser.add_argument("--side", type=int, default=480)
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    alone, following = (trimatte.Cutter(foreground="keep", sequence=sequence) for sequence in (False, True))
    lines = ["| scene | motion | way | ms alpha a frame | unknown pixels a frame | dtSSD | MAD x 1000 |"]
    lines.append("| --- | --- | --- |" + " ---: |" * 4)
    for kind, seed in SCENES:
        for motion in ("still", "sways", "moves"):
            images, truths = frames(kind, seed, motion, given.frames, given.side)
            turns = zip(map(alone, images), following.map(images), strict=True)
            for way, results in zip(WAYS, zip(*turns, strict=True), strict=True):
                lines.append(f"| {kind} | {motion} | {way} | {judged(results, truths)} |")
                print(lines[-1], flush=True)
    head = [*heading("Sequences"), f"{given.frames} frames of {given.side} x {given.side}.", ""]
    text = "\n".join([*head, *lines]) + "\n"
    print(text)
    if (given.frames, given.side) == (12, 480):
        (RESULTS / "sequence.md").write_text(text)


def frames(kind: str, seed: int, motion: str, count: int, side: int) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Images (side, side, 3) uint8 and true alphas of a subject before a still background."""
    painted = scene(kind, (side, side), seed=seed)
    rng = np.random.default_rng(seed)
    rows = np.arange(side)
    images, truths = [], []
    for i in range(count):
        shift = {"still": 0 * rows, "moves": 0 * rows + 2 * i}.get(motion)
        if shift is None:  # more towards the top, none in the lower half
            shift = np.round(np.clip(1 - 2 * rows / side, 0, 1) * 12 * np.sin(i / 2)).astype(int)
        columns = (np.arange(side)[None] - shift[:, None]) % side
        alpha = painted.alpha[rows[:, None], columns] / np.float32(255)
        colours = painted.foreground[rows[:, None], columns] / np.float32(255)
        image = alpha[..., None] * colours + (1 - alpha[..., None]) * (painted.background / np.float32(255))
        noisy = image + rng.normal(0, NOISE, image.shape)
        images.append(np.round(np.clip(noisy, 0, 1) * 255).astype(np.uint8))
        truths.append(alpha)
    return images, truths


def judged(results: Sequence[trimatte.Cutout], truths: Sequence[np.ndarray]) -> str:
    alphas = [result.alpha for result in results]
    seconds = np.median([result.report.seconds.get("alpha", 0.0) for result in results[1:]])
    unknown = np.mean([result.report.alpha.unknown for result in results[1:]])
    error = np.mean([trimatte.metrics.mad(a, t) for a, t in zip(alphas, truths, strict=True)])
    flicker = trimatte.metrics.dtssd(alphas, truths)
    return f"{1000 * seconds:.0f} | {unknown:.0f} | {flicker:.2f} | {1000 * error:.1f}"


if __name__ == "__main__":
    main()
