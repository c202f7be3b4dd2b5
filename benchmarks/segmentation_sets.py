"""Make the sets that choose a segmenter's weights, of pictures that training never sees.

    python benchmarks/segmentation_sets.py --animals DIR --flowers DIR --cutouts DIR... --backgrounds DIR... --out SETS

ANIMALS and FLOWERS hold image/ and mask/, in whose masks the grey 128 is not known. SETS gets a folder with image/ and
mask/ for each: 150 of the animals and 60 of the flowers, 100 `scenes` with bystanders and 100 `empty` ones. Each is put
together from what is kept aside of every folder: cut-outs (the same animals and flowers, and an eighth of each folder
of RGBA pictures, 80 at most) and three tenths of each folder of backgrounds. Which files are kept aside is decided by
their names alone, see `trimatte.training.held_out`.

With --stamps DIR, the folder of stamps of the drawing program Tux Paint (GPL-2, Debian's `tuxpaint-stamps-default`),
two sets more: 100 `stamps`, one cut-out of a photo before a photo, and 100 `crowds`, scenes of such cut-outs. Nothing
was ever trained on these cut-outs, nor chosen by them, and nothing may be: they say what other pictures get.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from trimatte.synthetic import backdrop
from trimatte.training.cuttings import cut
from trimatte.training.held_out import in_order, split
from trimatte.training.scenes import Things, fitted, page

ANIMALS, FLOWERS, SCENES, EMPTY = 150, 60, 100, 100
SIZES = ((448, 320), (320, 448), (384, 384))
UNKNOWN = 128
DRAWN = {"cartoon", "symbols", "clothes", "seasonal", "town", "naturalforces", "space"}
"""Folders of stamps that are drawings for the most part."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--animals", type=Path, required=True)
    parser.add_argument("--flowers", type=Path, required=True)
    parser.add_argument("--cutouts", type=Path, nargs="+", default=[])
    parser.add_argument("--backgrounds", type=Path, nargs="+", required=True)
    parser.add_argument("--stamps", type=Path, help="photographed cut-outs for two sets that choose nothing")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    groups = [kept_aside(folder, 1 / 8) for folder in args.cutouts]
    backgrounds = [path for folder in args.backgrounds for path in kept_aside(folder, 0.3)]
    with tempfile.TemporaryDirectory() as folder:
        for name, source, count in (("animals", args.animals, ANIMALS), ("flowers", args.flowers, FLOWERS)):
            photos, _ = split((source / "image").iterdir(), count)
            groups.append(copied(photos, source / "mask", args.out / name, Path(folder) / name))
        things = Things(groups, backgrounds)
        rng = np.random.default_rng(1)
        for number in range(SCENES):
            photo, mask = subject_of(things, SIZES[number % 3], rng)
            save(args.out / "scenes", f"scene_{number:03}", photo, mask)
    for number in range(EMPTY):
        size = SIZES[number % 3]
        save(args.out / "empty", f"empty_{number:03}", without_subject(things, number, size, rng), Image.new("L", size))
    if args.stamps:
        stamps = Things([photographed(args.stamps)], backgrounds)
        rng = np.random.default_rng(2)
        for number in range(SCENES):
            size = SIZES[number % 3]
            save(args.out / "stamps", f"stamp_{number:03}", *alone(stamps, number, size, rng))
            save(args.out / "crowds", f"crowd_{number:03}", *subject_of(stamps, size, rng))


def photographed(folder: Path) -> list[Path]:
    """Cut-outs of photos in a folder of stamps, in an order that has nothing to do with them."""
    return in_order(path for path in folder.rglob("*.png") if DRAWN.isdisjoint(path.relative_to(folder).parts))


def alone(
    things: Things, number: int, size: tuple[int, int], rng: np.random.Generator
) -> tuple[Image.Image, Image.Image]:
    """One cut-out, as it is, before a photo."""
    thing = fitted(Image.open(things.groups[0][number]).convert("RGBA"), size, rng.uniform(0.4, 0.9))
    at = [int(rng.integers(0, have - wanted + 1)) for have, wanted in zip(size, thing.size, strict=True)]
    photo, mask = things.photo(size, rng), Image.new("L", size)
    photo.paste(thing.convert("RGB"), at, thing.getchannel("A"))
    mask.paste(thing.getchannel("A"), at)
    return photo, mask


def kept_aside(folder: Path, share: float) -> list[Path]:
    """Files of a folder that training leaves alone: a share of them, at most 80."""
    files = [path for path in folder.iterdir() if path.suffix.lower() in (".jpg", ".jpeg", ".png", ".webp")]
    return split(files, min(80, int(share * len(files))))[0]


def copied(photos: list[Path], masks: Path, out: Path, cutouts: Path) -> list[Path]:
    """Copy photos and masks; the cut-outs that can be made of them."""
    cutouts.mkdir()
    made = []
    for path in photos:
        photo, mask = Image.open(path).convert("RGB"), Image.open(masks / f"{path.stem}.png").convert("L")
        save(out, path.stem, photo, mask)
        cutout = cut(photo, np.asarray(mask), unknown=UNKNOWN)
        if cutout is not None:
            made.append(cutouts / f"{path.stem}.png")
            cutout.save(made[-1])
    return made


def subject_of(things: Things, size: tuple[int, int], rng: np.random.Generator) -> tuple[Image.Image, Image.Image]:
    """A scene with a subject."""
    while True:
        photo, mask = things.scene(size, rng)
        found = mask.getchannel("L")
        if np.asarray(found).mean() > 0.01 * 255:
            return photo, found


def without_subject(things: Things, number: int, size: tuple[int, int], rng: np.random.Generator) -> Image.Image:
    """A fifth each pages of text and procedural grounds, the rest photos."""
    if number % 5 == 0:
        return page(rng, size)
    if number % 5 == 1:
        return Image.fromarray(np.rint(255 * backdrop(size[::-1], rng)).astype(np.uint8))
    return things.photo(size, rng)


def save(folder: Path, stem: str, photo: Image.Image, mask: Image.Image) -> None:
    for kind, picture in (("image", photo), ("mask", mask)):
        (folder / kind).mkdir(parents=True, exist_ok=True)
        picture.save(folder / kind / f"{stem}.png")


if __name__ == "__main__":
    main()
