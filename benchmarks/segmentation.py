"""The light segmenters on labelled photos: error, overlap, time, calibration, and the worst pictures.

    python benchmarks/segmentation.py FOLDER [--u2netp u2netp.onnx] [--sheets DIR]

FOLDER holds image/*.jpg and mask/*.png. U2NetP, if its file is given, sees the same photos in the same process, as its
own demo does. What the network says of the worst ten and the best five is drawn as docs/images/lite-worst.webp, how
often what has a probability is so as docs/images/lite-reliability.svg. With --sheets, sheets of the same pictures are
written, to look at; most sets' photos may not be shown, so they are no part of the results.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from common import RESULTS, ROOT, heading
from PIL import Image

import trimatte
from trimatte import metrics
from trimatte.segmentation import registry
from trimatte.segmentation.contract import Contract
from trimatte.segmentation.onnx import segmenter
from trimatte.sheet import make_sheet

U2NETP = registry.card("u2netp").contract
SIDES = (320, 352, 384, 416, 448)
SHARES = (0.0, 0.1, 0.2, 0.3, 0.5)
TEMPERATURES = (1.0, 1.2, 1.4, 1.6, 2.0)
BINS = 10
TILE = 200


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--u2netp", type=Path)
    parser.add_argument("--sheets", type=Path)
    given = parser.parse_args()
    names, photos, masks = read(given.folder)
    text = "\n".join(report(given.u2netp, names, photos, masks, given.sheets)) + "\n"
    print(text)
    (RESULTS / "segmentation.md").write_text(text)


def read(folder: Path) -> tuple[list[str], list[np.ndarray], list[np.ndarray]]:
    """Names, photos (H, W, 3) float32 and masks (H, W) bool."""
    paths = sorted((folder / "image").iterdir())
    photos = [np.asarray(Image.open(path).convert("RGB"), np.float32) / 255 for path in paths]
    masks = [np.asarray(Image.open(folder / "mask" / f"{path.stem}.png").convert("L")) >= 128 for path in paths]
    return [path.stem for path in paths], photos, masks


def report(
    u2netp: Path | None, names: list[str], photos: list[np.ndarray], masks: list[np.ndarray], sheets: Path | None
) -> Iterator[str]:
    yield from heading("Segmentation")
    sources = sorted({name.split("_")[0] for name in names})
    yield f"{len(photos)} photos ({', '.join(sources)}). Milliseconds a photo are from array to full-size probability."
    yield from ("", "| network | MAE | IoU at 0.5 | max F (beta² = 0.3) | ms |", "| --- | --- | --- | --- | --- |")
    lite = registry.card("lite").contract
    found: list[np.ndarray] = []
    for name in registry.EMBEDDED:
        answers, ms = answered(registry.builder(name)(), photos)
        found = found or answers
        yield f"| `{name}` | {told(score(answers, masks))} | {ms:.1f} |"
    if u2netp:
        answers, ms = answered(segmenter(u2netp, U2NETP), photos)
        yield f"| U2NetP, 320x320, stretched | {told(score([stretched(p) for p in answers], masks))} | {ms:.1f} |"
    yield from ("", "## Sweep of `lite`", "", "| long side | second look up to | MAE | IoU | max F |")
    yield "| --- | --- | --- | --- | --- |"
    for side, share in [(side, lite.second_look) for side in SIDES] + [(lite.long_side, share) for share in SHARES]:
        answers, _ = answered(segmenter(network(), replace(lite, long_side=side, second_look=share)), photos)
        yield f"| {side} | {share:g} | {told(score(answers, masks))} |"
    yield from calibration(photos, masks, lite)
    yield from by_picture(names, photos, masks, found, sheets)


def network() -> Path:
    with registry.network_file(registry.card("lite")) as path:
        return path


def answered(run: Callable[[np.ndarray], np.ndarray], photos: list[np.ndarray]) -> tuple[list[np.ndarray], float]:
    """Probabilities, and milliseconds a photo."""
    run(photos[0])
    start = time.perf_counter()
    answers = [run(photo) for photo in photos]
    return answers, 1000 * (time.perf_counter() - start) / len(photos)


def stretched(p: np.ndarray) -> np.ndarray:
    low, high = float(p.min()), float(p.max())
    return (p - low) / max(high - low, 1e-6)


def score(answers: list[np.ndarray], masks: list[np.ndarray]) -> tuple[float, float, float]:
    """Mean absolute error, mean IoU at 0.5, and the maximal mean F-measure over all levels."""
    mae, iou = (
        float(np.mean([measure(p, mask) for p, mask in zip(answers, masks, strict=True)]))
        for measure in (metrics.mae, metrics.iou)
    )
    return mae, iou, metrics.max_f_measure(answers, masks)


def told(figures: tuple[float, float, float]) -> str:
    return " | ".join(f"{figure:.4f}" for figure in figures)


def calibration(photos: list[np.ndarray], masks: list[np.ndarray], contract: Contract) -> Iterator[str]:
    """How often what has a probability is so, and what a temperature would change."""
    yield from ("", "## Calibration of `lite`", "")
    truth = np.concatenate([mask.ravel() for mask in masks])
    rows = []
    for temperature in TEMPERATURES:
        answers, _ = answered(segmenter(network(), replace(contract, temperature=temperature)), photos)
        p = np.concatenate([answer.ravel() for answer in answers]).clip(1e-6, 1 - 1e-6)
        if temperature == contract.temperature:
            yield from reliability(p, truth)
        likelihood = -np.where(truth, np.log(p), np.log(1 - p)).mean()
        rows.append(f"| {temperature:g} | {likelihood:.4f} | {np.abs(p - truth).mean():.4f} |")
    yield from (
        "",
        "| temperature | negative log-likelihood a pixel | MAE over all pixels |",
        "| --- | --- | --- |",
        *rows,
    )


def reliability(p: np.ndarray, truth: np.ndarray) -> Iterator[str]:
    yield from ("| probability | share of pixels | its mean | truly subject |", "| --- | --- | --- | --- |")
    which = np.minimum((p * BINS).astype(int), BINS - 1)
    bins = [which == i for i in range(BINS)]
    share = np.array([chosen.mean() for chosen in bins])
    mean, right = (np.array([values[chosen].mean() for chosen in bins]) for values in (p, truth))
    for i, row in enumerate(zip(share, mean, right, strict=True)):
        yield f"| {i / BINS:.1f} to {(i + 1) / BINS:.1f} | {row[0]:.3%} | {row[1]:.3f} | {row[2]:.3f} |"
    yield from ("", f"Expected calibration error {(share * np.abs(mean - right)).sum():.4f}.")
    draw(share, mean, right, ROOT / "docs" / "images" / "lite-reliability.svg")


def draw(share: np.ndarray, mean: np.ndarray, right: np.ndarray, path: Path) -> None:
    """The reliability plot, and below it how many pixels each point stands for."""
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot

    figure, (above, below) = pyplot.subplots(2, sharex=True, figsize=(4.5, 5.5), height_ratios=(3, 1))
    above.plot([0, 1], [0, 1], color="0.6", linestyle="--", label="perfectly calibrated")
    above.plot(mean, right, marker="o", color="tab:blue", label="lite")
    above.set(ylabel="share that is truly subject", ylim=(0, 1))
    above.legend(frameon=False)
    below.bar(mean, share, width=0.08, color="tab:blue")
    below.set(xlabel="probability", ylabel="share of pixels", yscale="log", xlim=(0, 1))
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)


def by_picture(
    names: list[str],
    photos: list[np.ndarray],
    masks: list[np.ndarray],
    answers: list[np.ndarray],
    sheets: Path | None,
) -> Iterator[str]:
    overlaps = np.array([metrics.iou(p, mask) for p, mask in zip(answers, masks, strict=True)])
    order = np.argsort(overlaps)
    quantiles = ", ".join(f"{q:.0%}: {np.quantile(overlaps, q):.3f}" for q in (0.05, 0.25, 0.5, 0.75))
    yield from ("", "## Picture by picture", "", f"Quantiles of IoU: {quantiles}. The worst ten:", "")
    yield from ("| photo | IoU | subject's share of the photo |", "| --- | --- | --- |")
    for i in order[:10]:
        yield f"| {names[i]} | {overlaps[i]:.3f} | {masks[i].mean():.1%} |"
    shown = [*order[:10], *order[:-6:-1]]
    Image.fromarray(tiled([answers[i] for i in shown])).save(ROOT / "docs/images/lite-worst.webp", quality=80)
    yield from ("", "What `lite` says of these ten and, in the last row, of the best five, the best first; white is")
    yield from ("foreground. The photos themselves may not be shown.", "", "![](../../docs/images/lite-worst.webp)")
    if sheets:
        sheets.mkdir(parents=True, exist_ok=True)
        for i in shown:
            sheet = make_sheet(trimatte.cutout(photos[i]), side=320)
            Image.fromarray(sheet).save(sheets / f"{overlaps[i]:.3f}-{names[i]}.png")


def tiled(planes: list[np.ndarray]) -> np.ndarray:
    """Probabilities as a picture (H, W) uint8, five in a row, each in the middle of a grey square."""
    canvas = Image.new("L", (5 * TILE, -(-len(planes) // 5) * TILE), 90)
    for i, plane in enumerate(planes):
        tile = Image.fromarray(np.rint(255 * plane).astype(np.uint8))
        tile.thumbnail((TILE - 8, TILE - 8))
        canvas.paste(tile, (i % 5 * TILE + (TILE - tile.width) // 2, i // 5 * TILE + (TILE - tile.height) // 2))
    return np.asarray(canvas)


if __name__ == "__main__":
    main()
