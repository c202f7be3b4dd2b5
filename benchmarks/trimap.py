"""What tells where soft pixels are: rules for a trimap's band, at equal area.

    python benchmarks/trimap.py FOLDER [FOLDER ...]

Each rule gives every pixel a score, 0 on the boundary of the segmenter's mask, decided by colour as a cut-out's is; the
band is what scores below a level. For each rule the level is chosen so that the bands take the same share of the
pictures in the mean, and the table says which share of the truly soft pixels (alpha from 0.02 to 0.98) they miss,
beside what plain distance misses (erosion and dilation by a disk). Rules work on copies of 400 pixels. Pictures of
whose subject the segmenter finds less than 80 % (IoU) are left out of the second table.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from common import RESULTS, heading
from PIL import Image
from scipy import ndimage

import trimatte
from trimatte import metrics
from trimatte.alpha.adaptive_band import adaptive_trimap
from trimatte.alpha.glance import mixed_pixels
from trimatte.evaluation.datasets import open_dataset
from trimatte.evaluation.pictures import load_trial
from trimatte.segmentation.decide import decided
from trimatte.trimap import RISE, SPECK, UNKNOWN, distances

SIDE = 400
AREAS = (0.10, 0.15, 0.20, 0.25)
LEVELS = np.linspace(0, 90, 181)
BANDS = (0.03, 0.05, 0.08, 0.12)


@dataclass
class Case:
    """A picture at `SIDE`: image (H, W, 3); probability of foreground and, as "glance" says, of a mixed pixel, share of
    soft pixels and distance to the boundary (H, W)."""

    image: np.ndarray
    probability: np.ndarray
    mixed: np.ndarray
    soft: np.ndarray
    distance: np.ndarray
    iou: float


Rule = Callable[[Case], np.ndarray]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("datasets", nargs="+", metavar="FOLDER")
    given = parser.parse_args()
    cases = [case for folder in given.datasets for case in read(folder)]
    text = "\n".join(report(cases)) + "\n"
    print(text)
    (RESULTS / "trimap.md").write_text(text)


def read(folder: str) -> Iterator[Case]:
    for sample in open_dataset(folder).samples:
        trial = load_trial(sample)
        probability = decided(trial.image, trimatte.segment(trial.image))
        mask = probability > 0.5
        if not 0 < np.count_nonzero(mask) < mask.size:
            continue
        overlap = metrics.iou(probability, trial.alpha)
        soft = ((trial.alpha > 0.02) & (trial.alpha < 0.98)).astype(np.float32)
        mixed = mixed_pixels(trial.image, probability)
        image, probability, mixed, soft = (small(plane) for plane in (trial.image, probability, mixed, soft))
        yield Case(image, probability, mixed, soft, np.maximum(*distances(probability > 0.5, 2 * SIDE)), overlap)


def small(picture: np.ndarray) -> np.ndarray:
    scale = min(1.0, SIDE / max(picture.shape[:2]))
    size = tuple(max(1, round(n * scale)) for n in picture.shape[1::-1])
    planes = np.atleast_3d(picture).astype(np.float32)
    channels = (Image.fromarray(planes[..., c]) for c in range(planes.shape[2]))
    shrunk = [np.asarray(channel.resize(size, Image.Resampling.BOX)) for channel in channels]
    return np.stack(shrunk, -1).reshape(*shrunk[0].shape, *picture.shape[2:])


def unsure_zone(case: Case, low: float) -> np.ndarray:
    """Distance to where the probability is neither below `low` nor above 1 - `low`."""
    unsure = (case.probability > low) & (case.probability < 1 - low)
    return np.asarray(ndimage.distance_transform_edt(~(unsure | (case.distance <= 1))))


def united(case: Case, low: float) -> np.ndarray:
    """The distance, and 0 where the network is unsure."""
    unsure = (case.probability > low) & (case.probability < 1 - low)
    return np.where(unsure, 0, case.distance)


def slope(case: Case, power: float) -> np.ndarray:
    """The distance, shortened where the probability falls slowly across the boundary."""
    mask = case.probability > 0.5
    edge = (mask ^ ndimage.binary_dilation(mask)).astype(np.float32)
    sigma = 0.06 * np.sqrt(np.count_nonzero(mask))
    doubt = 4 * case.probability * (1 - case.probability)
    width = ndimage.gaussian_filter(doubt, sigma) / np.maximum(ndimage.gaussian_filter(edge, sigma), 1e-4)
    return np.asarray(case.distance / (1 + width / 8) ** power)


def texture(case: Case, power: float) -> np.ndarray:
    """The distance, shortened where the picture is rough, lengthened where it is smooth: hair is never smooth."""
    channels = range(case.image.shape[2])
    rough = sum(ndimage.gaussian_gradient_magnitude(case.image[..., c], 0.7) for c in channels)
    rough = ndimage.gaussian_filter(rough, 1.5)
    near = case.distance < SIDE / 40
    usual = float(np.median(rough[near])) if near.any() else float(np.median(rough))
    return np.asarray(case.distance * np.minimum(4, (usual / np.maximum(rough, 0.05 * usual + 1e-6)) ** power))


def colours(case: Case) -> np.ndarray:
    """The distance, shortened where the colour is nearer to the other side's around there than to its own."""
    sigma = 0.1 * np.sqrt(np.count_nonzero(case.probability > 0.5))
    far = []
    for side in (case.probability > 0.9, case.probability < 0.1):
        weight = ndimage.gaussian_filter(side.astype(np.float32), sigma) + 1e-6
        planes = [case.image[..., c] for c in range(case.image.shape[2])]
        means = [ndimage.gaussian_filter(plane * side, sigma) / weight for plane in planes]
        far.append(sum((plane - mean) ** 2 for plane, mean in zip(planes, means, strict=True)))
    own = np.where(case.probability > 0.5, far[0], far[1])
    other = np.where(case.probability > 0.5, far[1], far[0])
    return np.asarray(case.distance * (1 - 0.6 * own / (own + other + 1e-3)))


def seen_mixed(case: Case, near: float) -> np.ndarray:
    """Where the method "glance" sees no mixed colours, from 0 to 90; so much less where the boundary is near."""
    rare = -np.log(np.clip(case.mixed, 1e-4, 1)) * RISE
    return np.asarray(60 * (rare + near * np.minimum(case.distance / size_of(case), 0.7)))


def size_of(case: Case) -> float:
    return float(np.sqrt(max(1, np.count_nonzero(case.probability > 0.5))))


RULES: dict[str, Rule] = {
    "plain distance": lambda case: case.distance,
    "and all from 0.1 to 0.9 (`make_trimap`)": lambda case: united(case, 0.1),
    "from where it is 0.02 to 0.98": lambda case: unsure_zone(case, 0.02),
    "from where it is 0.05 to 0.95": lambda case: unsure_zone(case, 0.05),
    "by the probability's slope": lambda case: slope(case, 1),
    "by colour": colours,
    "by texture, root": lambda case: texture(case, 0.5),
    "by texture": lambda case: texture(case, 1),
    "by texture, and from 0.02 to 0.98": lambda case: (
        texture(case, 0.5) * (0.5 + 0.5 * unsure_zone(case, 0.02) / np.maximum(case.distance, 1))
    ),
    "by what `glance` sees as mixed": lambda case: seen_mixed(case, 0),
    "by that and the distance": lambda case: seen_mixed(case, 1),
}


def report(cases: list[Case]) -> Iterator[str]:
    yield from heading("Where the trimap's band should be")
    for title, chosen in (
        ("All pictures", cases),
        ("Whose subject is found (IoU of 0.8 and more)", [case for case in cases if case.iou >= 0.8]),
    ):
        yield from ("", f"## {title}: {len(chosen)}", "")
        yield "Share of soft pixels that plain distance misses, and of that what each rule misses, by the band's share."
        yield ""
        yield "| rule | " + " | ".join(f"{area:.0%}" for area in AREAS) + " |"
        yield "| --- |" + " --- |" * len(AREAS)
        plain = missed(RULES["plain distance"], chosen)
        for name, rule in RULES.items():
            figures = plain if name == "plain distance" else missed(rule, chosen) / plain
            yield f"| {name} | " + " | ".join(f"{figure:.2f}" for figure in figures) + " |"
        yield from whole(chosen)


def whole(cases: list[Case]) -> Iterator[str]:
    """The trimaps themselves, and what plain distance misses with bands of the same mean area."""
    yield from ("", "Trimaps as they are made, at their own areas; the ratio is to plain distance there.", "")
    yield "| `band` | " + " | ".join(f"{name}: area | missed | ratio" for name in MADE) + " |"
    yield "| --- |" + " --- |" * 3 * len(MADE)
    for band in BANDS:
        row = [f"{band:g}"]
        for make in MADE.values():
            area, miss = np.mean([_judged(make(case, band), case) for case in cases], axis=0)
            (plain,) = missed(RULES["plain distance"], cases, (area,))
            row += [f"{area:.1%}", f"{miss:.3f}", f"{miss / plain:.2f}"]
        yield "| " + " | ".join(row) + " |"


MADE: dict[str, Callable[[Case, float], np.ndarray]] = {
    "plain": lambda case, band: trimatte.make_trimap(case.probability, band=band, speck=SPECK),
    "`mixed`": lambda case, band: trimatte.make_trimap(case.probability, band=band, mixed=case.mixed, speck=SPECK),
    "`adaptive_band`": lambda case, band: adaptive_trimap(case.image, case.probability, band=band, speck=SPECK),
}


def _judged(trimap: np.ndarray, case: Case) -> tuple[float, float]:
    """Area of the band, and the share of soft pixels that it misses."""
    known = trimap != UNKNOWN
    return 1 - known.mean(), float(case.soft[known].sum()) / max(float(case.soft.sum()), 1e-6)


def missed(rule: Rule, cases: list[Case], wanted: tuple[float, ...] = AREAS) -> np.ndarray:
    """Mean share of soft pixels outside the bands whose mean share of the picture is each of `wanted`."""
    areas, shares = np.zeros(len(LEVELS)), np.zeros(len(LEVELS))
    for case in cases:
        score = rule(case)
        total = max(float(case.soft.sum()), 1e-6)
        areas += [np.mean(score <= level) for level in LEVELS]
        shares += [float(case.soft[score > level].sum()) / total for level in LEVELS]
    return np.interp(wanted, areas / len(cases), shares / len(cases))


if __name__ == "__main__":
    main()
