"""The whole way from photo to alpha, over the whole picture: what each quality gives, beside the segmenter's own map.

    python benchmarks/whole_way.py --alphamatting FOLDER --composition FOLDER --cutouts FOLDER ...
        --backgrounds FOLDER ... --u2netp u2netp.onnx [--count 200] [--limit N] [--rows fast balanced]

alphamatting and Composition-1k are folders of photos and alpha, `input` and `gt` or `image` and `alpha`. Composites are
of cut-outs (RGBA, or `image` and `alpha`) over backgrounds, of which always the same are kept aside by their names, as
training keeps them aside; synthetic scenes need nothing. Beside ours U2NetP as rembg uses it: its map as it is, and
with pymatting's closed-form matting from the map's trimap as `rembg -a` makes it. Other rows know a part of the truth,
and so tell which stage loses what: what is left of the error when all behind the trimap is right, when the mask it was
made from is, too, and when the trimap is. A subject is found where the intersection over union of alpha and truth, both
above 0.5, is at least 0.8. The results go to benchmarks/results/whole-way.md, or with --limit to runs/.
"""

from __future__ import annotations

import argparse
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
from common import RESULTS, RUNS, heading
from PIL import Image
from scipy import ndimage

import trimatte
from trimatte import metrics
from trimatte.images import load_image
from trimatte.quality import WAYS
from trimatte.segmentation import segment
from trimatte.segmentation.decide import decided
from trimatte.synthetic import KINDS, scene
from trimatte.training.held_out import split
from trimatte.trimap import BACKGROUND, FOREGROUND, UNKNOWN, make_trimap

FOUND, WORSE = 0.8, 1.05
SIDE = 480
"""Long side of the composites."""
KINDS_OF_FILE = (".png", ".jpg", ".jpeg", ".webp")

MEANING = """Means over the whole picture, alpha in 8 bits: SAD, Grad and Conn divided by 1000, MSE times 1000. Found:
an IoU of 0.8 and more. Interior: 1 - alpha where the true alpha is 1, of the found. Worse: the share of the found whose
MSE is more than 5 % above that of the segmenter's own map."""

STAGES = """By stage, what is wrong if the rest is right: of the rows that know a part of the truth the first has its
alpha in the unknown pixels of the trimap of balanced (the segmenter's share and the trimap's); the second that, too,
and the trimap is made of the true mask (the trimap's share); the others the set's narrow trimap, or one of 8 pixels
about what is mixed (the method's share)."""
METHODS = ("closed-form", "light", "light-closed-form", "hybrid")
MARGIN = 8
"""Half the width of the true trimap's band in pixels, for sets that have none."""

Planes = np.ndarray


@dataclass(frozen=True)
class Picture:
    """A photo (H, W, 3) and its alpha (H, W), float32 in [0, 1]; the subject's own colours, if they are known; and the
    true trimap (H, W), if the set has one."""

    image: Planes
    truth: Planes
    colours: Planes = field(default_factory=lambda: np.zeros((0, 0, 3), np.float32))
    drawn: Planes | None = None


Row = Callable[[Picture], Planes]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--alphamatting", type=Path)
    parser.add_argument("--composition", type=Path)
    parser.add_argument("--cutouts", type=Path, nargs="+", default=[])
    parser.add_argument("--backgrounds", type=Path, nargs="+", default=[])
    parser.add_argument("--u2netp", type=Path)
    parser.add_argument("--count", type=int, default=200, help="composites")
    parser.add_argument("--limit", type=int, help="only so many pictures of each set, to try the script")
    parser.add_argument("--rows", nargs="+", help="instead of all")
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    rows = {name: row for name, row in ways(given.u2netp).items() if not given.rows or name in given.rows}
    lines = [*heading("From photo to alpha: the whole way")]
    lines += ["", MEANING, "", STAGES]
    folder = RESULTS if given.limit is None else RUNS
    folder.mkdir(exist_ok=True)
    for title, pictures in sets(given).items():
        print(title, flush=True)
        lines += ["", *table(title, pictures, rows, given.limit)]
        (folder / "whole-way.md").write_text("\n".join(lines) + "\n")
    print(folder / "whole-way.md")


def ways(u2netp: Path | None) -> dict[str, Row]:
    """All rows by name, the segmenter's own map first."""
    rows: dict[str, Row] = {
        "the segmenter's map": lambda picture: segment(picture.image),
        "the map, decided by colour": lambda picture: decided(picture.image, segment(picture.image)),
        **{
            word: (lambda picture, word=word: trimatte.cutout(picture.image, quality=word, foreground="keep").alpha)
            for word in WAYS
        },
        "its trimap, then the truth": lambda picture: filled(picture, cut_trimap(picture.image)),
        "the true mask's trimap, then the truth": lambda picture: filled(picture, make_trimap(picture.truth >= 0.5)),
        **{f"the true trimap, {method}": partial(from_true_trimap, method) for method in METHODS},
    }
    if u2netp is not None:
        see = theirs(u2netp)
        rows |= {
            "U2NetP's map": lambda picture: see(picture.image),
            "U2NetP's map, as rembg -a": lambda picture: rembg_matting(picture.image, see(picture.image)),
        }
    return rows


def cut_trimap(image: Planes) -> Planes:
    """The trimap of an ordinary cut-out."""
    trimap = trimatte.cutout(image, foreground="keep").trimap
    assert trimap is not None
    return trimap


def from_true_trimap(method: str, picture: Picture) -> Planes:
    return trimatte.estimate_alpha(picture.image, true_trimap(picture), method=method).alpha


def filled(picture: Picture, trimap: Planes) -> Planes:
    """What a trimap says, and the truth where it says nothing."""
    return np.where(trimap == UNKNOWN, picture.truth, trimap / np.float32(255))


def true_trimap(picture: Picture) -> Planes:
    """The set's, or a band about what is mixed, and about hard edges."""
    if picture.drawn is not None:
        return picture.drawn
    solid = picture.truth >= 0.5
    mixed = (picture.truth > 0) & (picture.truth < 1)
    edge = solid != ndimage.minimum_filter(solid, 3)
    unknown = ndimage.distance_transform_edt(~(mixed | edge)) <= MARGIN
    return np.where(unknown, UNKNOWN, np.where(solid, FOREGROUND, BACKGROUND)).astype(np.uint8)


def theirs(file: Path) -> Callable[[Planes], Planes]:
    """U2NetP as rembg uses it."""
    from trimatte.runtime.onnx import open_session

    session = open_session(file)
    mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])

    def see(image: Planes) -> Planes:
        photo = Image.fromarray(np.rint(image * 255).astype(np.uint8))
        x = np.asarray(photo.resize((320, 320), Image.Resampling.LANCZOS)) / 255.0
        x = (x / max(x.max(), 1e-6) - mean) / std
        answer = session.run(None, {"input.1": x.transpose(2, 0, 1)[None].astype(np.float32)})[0][0, 0]
        answer = (answer - answer.min()) / max(float(np.ptp(answer)), 1e-6)
        mask = Image.fromarray((answer * 255).astype(np.uint8)).resize(photo.size, Image.Resampling.LANCZOS)
        return np.asarray(mask, np.float32) / 255

    return see


def rembg_matting(image: Planes, mask: Planes) -> Planes:
    """pymatting's closed-form matting from rembg's trimap of a mask."""
    from pymatting import estimate_alpha_cf

    sure, structure = np.rint(mask * 255), np.ones((10, 10))
    foreground = ndimage.binary_erosion(sure > 240, structure)
    background = ndimage.binary_erosion(sure < 10, structure, border_value=1)
    trimap = np.where(foreground, 1.0, np.where(background, 0.0, 0.5))
    try:
        return np.asarray(estimate_alpha_cf(image.astype(np.float64), trimap), np.float32)
    except (ValueError, ZeroDivisionError):  # no known foreground, or exactly flat colours: rembg then takes the map
        return mask


def sets(given: argparse.Namespace) -> dict[str, Iterator[Picture]]:
    """The pictures by the name of their set."""
    found: dict[str, Iterator[Picture]] = {}
    for name, folder in (("alphamatting.com", given.alphamatting), ("Composition-1k", given.composition)):
        if folder is not None:
            found[name] = pairs(folder)
    found["Synthetic scenes"] = (
        Picture(s.image / np.float32(255), s.alpha / np.float32(255))
        for s in (scene(kind, (384, 512), seed=900 + i) for i, kind in enumerate(KINDS))
    )
    if given.cutouts and given.backgrounds:
        found["Composites of cut-outs and backgrounds kept aside"] = composites(given)
    return found


def pairs(folder: Path) -> Iterator[Picture]:
    """Photos, alpha and narrow trimaps of equal names."""
    image, alpha, trimap = ("input", "gt", "trimap1") if (folder / "input").is_dir() else ("image", "alpha", "trimap")
    for file in sorted((folder / image).iterdir()):
        truth, drawn = (
            np.asarray(Image.open(next((folder / name).glob(f"{file.stem}.*"))).convert("L"))
            for name in (alpha, trimap)
        )
        yield Picture(load_image(file), truth / np.float32(255), drawn=drawn)


def composites(given: argparse.Namespace) -> Iterator[Picture]:
    """Cut-outs over backgrounds, each cut-out in its turn, of the files that are kept aside."""
    sources = [folder / "image" if (folder / "image").is_dir() else folder for folder in given.cutouts]
    things = [split(files(folder), max(1, given.count // len(sources)))[0] for folder in sources]
    grounds = [file for folder in given.backgrounds for file in split(files(folder), len(files(folder)) // 4 or 1)[0]]
    rng = np.random.default_rng(0)
    for group in things:
        for number, file in enumerate(group):
            thing = cut_out(file)
            ground = Image.open(grounds[(7 * number) % len(grounds)]).convert("RGB")
            size = (SIDE, SIDE * 3 // 4) if rng.random() < 0.5 else (SIDE * 3 // 4, SIDE)
            scale = rng.uniform(0.5, 0.95) * min(size[0] / thing.width, size[1] / thing.height)
            thing = thing.resize((max(1, round(thing.width * scale)), max(1, round(thing.height * scale))))
            place = [round(rng.uniform(0.3, 0.7) * (a - b)) for a, b in zip(size, thing.size, strict=True)]
            layer = Image.new("RGBA", size)
            layer.paste(thing, (place[0], place[1]))
            planes = np.asarray(layer, np.float32) / 255
            below = np.asarray(ground.resize(size), np.float32) / 255
            alpha = planes[..., 3]
            image = alpha[..., None] * planes[..., :3] + (1 - alpha[..., None]) * below
            yield Picture(image, alpha, planes[..., :3])


def cut_out(file: Path) -> Image.Image:
    """A cut-out (RGBA): a file with alpha, or a photo in `image` whose matte is in the folder `alpha` beside it."""
    picture = Image.open(file)
    if picture.mode == "RGBA":
        return picture
    matte = next((file.parent.parent / "alpha").glob(f"{file.stem}.*"), None)
    if matte is None:
        raise SystemExit(f"{file} has no alpha, and {file.parent.parent / 'alpha'} none for it")
    picture = picture.convert("RGB")
    picture.putalpha(Image.open(matte).convert("L").resize(picture.size))
    return picture


def files(folder: Path) -> list[Path]:
    """The pictures of a folder."""
    return [file for file in folder.rglob("*.*") if file.suffix.lower() in KINDS_OF_FILE]


def table(title: str, pictures: Iterator[Picture], rows: dict[str, Row], limit: int | None) -> list[str]:
    """A set's table, one line a row."""
    results: dict[str, list[dict[str, float]]] = {name: [] for name in rows}
    count = 0
    for count, picture in enumerate(pictures, 1):
        for name, row in rows.items():
            start = time.perf_counter()
            alpha = row(picture)
            seconds = time.perf_counter() - start
            results[name].append({**judged(alpha, picture.truth), "seconds": seconds})
        if count == limit:
            break
    own = next(iter(results.values()))
    head = "| | found | SAD | MSE | Grad | Conn | MSE of the found | interior | worse | seconds |"
    lines = [f"## {title}: {count}", "", head, "| --- |" + " ---: |" * 9]
    return lines + [line(name, judged_all, own) for name, judged_all in results.items()]


def judged(alpha: Planes, truth: Planes) -> dict[str, float]:
    """The figures of one picture."""
    alpha = np.round(np.asarray(alpha, np.float32) * 255) / np.float32(255)
    both, either = (alpha > 0.5) & (truth > 0.5), (alpha > 0.5) | (truth > 0.5)
    solid = truth >= 1
    return {
        "iou": both.sum() / max(1, either.sum()),
        "sad": metrics.sad(alpha, truth),
        "mse": 1000 * metrics.mse(alpha, truth),
        "grad": metrics.gradient_error(alpha, truth),
        "conn": metrics.connectivity_error(alpha, truth),
        "interior": 1 - float(alpha[solid].mean()) if solid.any() else 0.0,
    }


def line(name: str, results: Sequence[dict[str, float]], own: Sequence[dict[str, float]]) -> str:
    """One line of a table."""
    pairs_found = [(r, o) for r, o in zip(results, own, strict=True) if r["iou"] >= FOUND]

    def mean(key: str) -> float:
        return float(np.mean([r[key] for r in results]))

    cells = [str(len(pairs_found)), *(f"{mean(key):.2f}" for key in ("sad", "mse", "grad", "conn"))]
    if pairs_found:
        worse = np.mean([r["mse"] > WORSE * o["mse"] for r, o in pairs_found])
        cells += [f"{np.mean([r['mse'] for r, _ in pairs_found]):.2f}"]
        cells += [f"{100 * np.mean([r['interior'] for r, _ in pairs_found]):.2f} %", f"{100 * worse:.0f} %"]
    else:
        cells += ["-"] * 3
    return f"| {name} | " + " | ".join([*cells, f"{np.median([r['seconds'] for r in results]):.2f}"]) + " |"


if __name__ == "__main__":
    sys.exit(main())
