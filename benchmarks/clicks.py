"""Clicks that it takes to select a subject, beside GrabCut, the random walker and closed-form matting.

    python benchmarks/clicks.py FOLDER[:UNKNOWN] ... [--limit N] [--rivals N] [--clicks 5]

FOLDER holds image/* and mask/*.png, of which greys equal to UNKNOWN are not judged. The protocol is the usual one:
each click goes to the middle of the largest region of error, the first one on nothing, so that each method gets the
clicks that its own errors ask for. The rivals see photos at `SIDE` pixels at most. What they need beside clicks they
are given: GrabCut (Rother et al., SIGGRAPH 2004) gets the true subject's box; the random walker (Grady, PAMI 2006) and
closed-form matting (Levin et al., PAMI 2008) take the photo's border for background. GrabCut is run if the package
opencv-python-headless is there.

Each photo's figures go to runs/clicks.jsonl as they are made; the tables go to benchmarks/results after each folder, or
to runs with a limit. A run that was interrupted goes on where it stopped; delete the first file to begin anew.
"""

from __future__ import annotations

import argparse
import json
import os
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from common import RESULTS, RUNS, heading
from PIL import Image
from scipy.ndimage import distance_transform_edt, label

import trimatte

SIDE = 256
DISC = 4
"""Radius of what a click makes known to the rivals, in pixels at `SIDE`."""
LEVELS = 0.85, 0.9
MOST = 20
MADE = RUNS / "clicks.jsonl"
Click = tuple[int, int, bool]
Answer = Callable[[Sequence[Click]], np.ndarray]
"""Clicks (x, y, whether it is the subject) to a mask (H, W)."""
Figures = dict[tuple[str, str, int], dict[str, list[float]]]
"""Set, way and number of clicks to each photo's IoU before the first click and after each."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+")
    parser.add_argument("--limit", type=int, help="Photos of each folder.")
    parser.add_argument("--rivals", type=int, default=12, help="Photos of each folder that the rivals get, too.")
    parser.add_argument("--clicks", type=int, default=5)
    given = parser.parse_args()
    place = (RUNS if given.limit else RESULTS) / "clicks.md"
    place.parent.mkdir(exist_ok=True)
    MADE.parent.mkdir(exist_ok=True)
    made = earlier()
    for count, folder in enumerate(given.folders, 1):
        measure(folder, made, given.limit, given.rivals, given.clicks)
        tables = [*heading("Clicks"), "", *report(given.folders[:count], made, given.limit, given.rivals, given.clicks)]
        place.write_text("\n".join(tables) + "\n")
        print(*tables, sep="\n", flush=True)
    place.write_text("\n".join([*tables, "", *timed()]) + "\n")


def earlier() -> Figures:
    """What was measured before, by a run that was interrupted."""
    made: Figures = {}
    for line in MADE.read_text().splitlines() if MADE.exists() else ():
        row = json.loads(line)
        made.setdefault((row["set"], row["way"], len(row["ious"]) - 1), {})[row["photo"]] = row["ious"]
    return made


def measure(folder: str, made: Figures, limit: int | None, rivals: int, clicks: int) -> None:
    """Fill in what is missing of one set: our ways on all photos, the rivals on a few."""
    every, some = photos(folder, limit), photos(folder, min(rivals, limit or rivals))
    jobs = [(way, path) for way in OURS for path in dict.fromkeys([*every, *some])]
    jobs += [(way, path) for way in RIVALS if way != "GrabCut" or find_spec("cv2") for path in some]
    for way, path in jobs:
        found = made.setdefault((name_of(folder), way, clicks), {})
        if path.name not in found:
            photo, mask, judged = opened(path, folder.partition(":")[2])
            with warnings.catch_warnings():  # a few clicks leave much that nothing determines
                warnings.simplefilter("ignore")
                ious = run((OURS | RIVALS)[way](photo, mask), mask, judged, clicks, way == "automatic")
            found[path.name] = [round(value, 4) for value in ious]
            with MADE.open("a") as file:
                row = {"set": name_of(folder), "way": way, "photo": path.name, "ious": found[path.name]}
                file.write(json.dumps(row) + "\n")


def report(folders: Sequence[str], made: Figures, limit: int | None, rivals: int, clicks: int) -> Iterator[str]:
    """The tables of sets that are done."""

    def figures(way: str, limit: int | None, *places: str) -> np.ndarray:
        return np.array(
            [made[name_of(place), way, clicks][path.name] for place in places for path in photos(place, limit)]
        )

    columns = "".join(f" {n} |" for n in range(1, clicks + 1))
    yield f"Mean IoU after so many clicks; clicks to 85 and 90 % IoU, where failures within {clicks} count as {MOST}."
    yield from ("", f"| set | photos |{columns} NoC@85 | NoC@90 |", "| --- |" + " --- |" * (clicks + 3))
    yield from (row(name_of(folder), figures("trimatte", limit, folder)) for folder in folders)
    yield from ("", "From the automatic answer, and photos whose automatic IoU is below 0.5 that are then at 0.8:", "")
    yield "| set | photos | 0 |" + columns + " below 0.5 | one click | two clicks |"
    yield "| --- |" + " --- |" * (clicks + 5)
    yield from (rescued(name_of(folder), figures("automatic", limit, folder)) for folder in folders)
    yield from ("", f"{rivals} photos of each set, by each method; the rivals' at {SIDE} pixels:", "")
    yield from (f"| method | photos |{columns} NoC@85 | NoC@90 |", "| --- |" + " --- |" * (clicks + 3))
    for way in ("trimatte", *RIVALS):
        if (name_of(folders[-1]), way, clicks) in made:
            yield row(way, figures(way, min(rivals, limit or rivals), *folders))


def timed() -> Iterator[str]:
    """Milliseconds on a photo of 1 megapixel."""
    photo = np.random.default_rng(0).integers(0, 255, (866, 1154, 3)).astype(np.uint8)
    opening, clicking = [], []
    for _ in range(9):
        start = time.perf_counter()
        selection = trimatte.Selection(photo, automatic=False)
        opening.append(time.perf_counter() - start)
        for x in (300, 500, 700):
            start = time.perf_counter()
            _ = selection.add(x, 400).probability
            clicking.append(time.perf_counter() - start)
    opened, clicked = (1000 * np.array([np.median(seconds), np.min(seconds)]) for seconds in (opening, clicking))
    yield f"A photo of 1 megapixel is opened in {opened[0]:.0f} ms ({opened[1]:.0f} at best of 9); a click is answered"
    yield f"in {clicked[0]:.0f} ms ({clicked[1]:.0f} at best of 27), its probability at the photo's size included;"
    yield f"{os.getloadavg()[0]:.1f} processes wanted the {os.cpu_count()} processors meanwhile."


def row(name: str, table: np.ndarray) -> str:
    reached = [np.where((table >= level).any(1), (table >= level).argmax(1), MOST).mean() for level in LEVELS]
    means = " | ".join(f"{value:.3f}" for value in table[:, 1:].mean(0))
    return f"| {name} | {len(table)} | {means} | {reached[0]:.2f} | {reached[1]:.2f} |"


def rescued(name: str, table: np.ndarray) -> str:
    lost = table[table[:, 0] < 0.5]
    after = [f"{(lost[:, 1 : n + 1].max(1) >= 0.8).mean():.0%}" if len(lost) else "-" for n in (1, 2)]
    means = " | ".join(f"{value:.3f}" for value in table.mean(0))
    return f"| {name} | {len(table)} | {means} | {len(lost)} | {after[0]} | {after[1]} |"


def name_of(folder: str) -> str:
    return Path(folder.partition(":")[0]).name


def photos(folder: str, limit: int | None) -> list[Path]:
    """The photos of a set, spread over it if limited."""
    paths = sorted((Path(folder.partition(":")[0]) / "image").iterdir())
    step = 1 if limit is None else max(1, len(paths) // limit)
    return paths[::step][:limit]


def opened(path: Path, unknown: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Photo (H, W, 3) uint8, mask and what of it is judged (H, W) bool."""
    grey = np.asarray(Image.open(path.parents[1] / "mask" / f"{path.stem}.png").convert("L"))
    judged = grey != int(unknown) if unknown else np.ones(grey.shape, bool)
    return np.asarray(Image.open(path).convert("RGB")), (grey >= 128) & judged, judged


def run(answer: Answer, mask: np.ndarray, judged: np.ndarray, clicks: int, automatic: bool = False) -> list[float]:
    """IoU before the first click and after each."""
    found = answer([]) if automatic else np.zeros(mask.shape, bool)
    made: list[Click] = []
    ious = [iou(found, mask, judged)]
    while len(ious) <= clicks:
        click = next_click(found, mask, judged)
        if click is None:
            return ious + [1.0] * (clicks + 1 - len(ious))
        made.append(click)
        found = answer(made)
        ious.append(iou(found, mask, judged))
    return ious


def iou(found: np.ndarray, mask: np.ndarray, judged: np.ndarray) -> float:
    return float((found & mask & judged).sum() / max(((found | mask) & judged).sum(), 1))


def next_click(found: np.ndarray, mask: np.ndarray, judged: np.ndarray) -> Click | None:
    """The pixel of the largest region of error that lies farthest from its border, and whether it is the subject."""
    best: tuple[int, np.ndarray, bool] = 0, mask, True
    for wrong, positive in (((mask & ~found) & judged, True), ((found & ~mask) & judged, False)):
        parts, _ = label(wrong)
        sizes = np.bincount(parts.ravel())
        sizes[0] = 0
        if sizes.max() > best[0]:
            best = int(sizes.max()), parts == sizes.argmax(), positive
    if not best[0]:
        return None
    depth = distance_transform_edt(np.pad(best[1], 1))[1:-1, 1:-1]
    y, x = np.unravel_index(int(depth.argmax()), depth.shape)
    return int(x), int(y), best[2]


def ours(photo: np.ndarray, automatic: bool) -> Answer:
    selection = trimatte.Selection(photo, automatic=automatic)

    def answer(clicks: Sequence[Click]) -> np.ndarray:
        for x, y, positive in clicks[-1:]:
            (selection.add if positive else selection.remove)(x, y)
        return np.asarray(selection.probability > 0.5)

    return answer


def seeds(clicks: Sequence[Click], shape: tuple[int, int], size: tuple[int, int], *, border: bool = True) -> np.ndarray:
    """1 where clicks say subject, 2 where they say background, and on the border; else 0; at `size` (h, w)."""
    known = np.zeros(size, np.int32)
    if border:
        known[[0, -1]] = known[:, [0, -1]] = 2
    y, x = np.mgrid[: size[0], : size[1]]
    for px, py, positive in clicks:
        middle = (px + 0.5) * size[1] / shape[1], (py + 0.5) * size[0] / shape[0]
        known[np.hypot(x + 0.5 - middle[0], y + 0.5 - middle[1]) <= DISC] = 1 if positive else 2
    return known


def shrunk(photo: np.ndarray) -> np.ndarray:
    picture = Image.fromarray(photo)
    picture.thumbnail((SIDE, SIDE))
    return np.asarray(picture)


def grown(mask: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """A mask or probability at the photo's size, as a mask."""
    plane = Image.fromarray(mask.astype(np.float32)).resize((shape[1], shape[0]), Image.Resampling.BILINEAR)
    return np.asarray(plane) > 0.5


def walker(photo: np.ndarray, mask: np.ndarray) -> Answer:
    from skimage.segmentation import random_walker

    small = shrunk(photo) / 255.0

    def answer(clicks: Sequence[Click]) -> np.ndarray:
        known = seeds(clicks, photo.shape[:2], small.shape[:2])
        share = random_walker(small, known, beta=130, mode="bf", channel_axis=-1, return_full_prob=True)
        return grown(share[0], photo.shape)

    return answer


def closed_form(photo: np.ndarray, mask: np.ndarray) -> Answer:
    small = shrunk(photo)

    def answer(clicks: Sequence[Click]) -> np.ndarray:
        known = seeds(clicks, photo.shape[:2], small.shape[:2])
        trimap = np.array([128, 255, 0], np.uint8)[known]
        return grown(trimatte.estimate_alpha(small, trimap, method="closed-form").alpha, photo.shape)

    return answer


def grabcut(photo: np.ndarray, mask: np.ndarray) -> Answer:
    import cv2

    small = np.ascontiguousarray(shrunk(photo)[..., ::-1])
    box = grown_box(mask, small.shape[:2])

    def answer(clicks: Sequence[Click]) -> np.ndarray:
        labels = np.full(small.shape[:2], cv2.GC_BGD, np.uint8)
        labels[box] = cv2.GC_PR_FGD
        known = seeds(clicks, photo.shape[:2], small.shape[:2], border=False)
        labels[known == 1], labels[known == 2] = cv2.GC_FGD, cv2.GC_BGD
        models = np.zeros((1, 65)), np.zeros((1, 65))
        try:
            cv2.grabCut(small, labels, None, *models, 5, cv2.GC_INIT_WITH_MASK)
        except cv2.error:  # all of the photo is in the box
            return np.ones(mask.shape, bool)
        return grown((labels == cv2.GC_FGD) | (labels == cv2.GC_PR_FGD), mask.shape)

    return answer


def grown_box(mask: np.ndarray, size: tuple[int, int]) -> tuple[slice, slice]:
    """The rows and columns of a mask, at another size."""
    spans = []
    for axis, length in enumerate(size):
        where = np.flatnonzero(mask.any(1 - axis))
        scale = length / mask.shape[axis]
        spans.append(slice(int(where[0] * scale), int(np.ceil((where[-1] + 1) * scale))))
    return spans[0], spans[1]


OURS = {"trimatte": lambda photo, mask: ours(photo, False), "automatic": lambda photo, mask: ours(photo, True)}
RIVALS = {"random walker": walker, "closed-form": closed_form, "GrabCut": grabcut}


if __name__ == "__main__":
    main()
