"""`trimatte train glance`: train the second decoder of the method "glance" on one's own pictures."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import click

from trimatte.cli._train import FOLDER, check_new, counted, needing, run_options, stepped


@click.command()
@click.option(
    "--masks", type=FOLDER, multiple=True, required=True, help="The folders image/ and mask/; may be repeated."
)
@click.option("--cutouts", type=FOLDER, multiple=True, help="The folders image/ and alpha/; may be repeated.")
@click.option("--pasted", type=FOLDER, multiple=True, help="RGBA pictures to paste; may be repeated.")
@click.option("--backgrounds", type=FOLDER, multiple=True, help="Photos to paste them on; may be repeated.")
@run_options(steps=2400)
def command(
    masks: tuple[Path, ...],
    cutouts: tuple[Path, ...],
    pasted: tuple[Path, ...],
    backgrounds: tuple[Path, ...],
    out: Path,
    steps: int,
    initial: Path | None,
    seed: int,
) -> None:
    """Train the second decoder of the method "glance", behind the embedded segmenter.

    The alpha of photos with masks is what the method "hybrid" makes of them, about one a second; it is kept in
    OUT/samples, from where a run that was cut off goes on. OUT gets best.pt, log.csv and glance.onnx.
    """
    with needing("train"):
        from trimatte.training import segmenter
        from trimatte.training.alpha_data import find_cutouts, find_pictures
        from trimatte.training.fit import Recipe
        from trimatte.training.glance import LONG_SIDE, RATE, Kept, export_focus, train
        from trimatte.training.hybrid_data import PATTERN, write_samples
        from trimatte.training.photo_samples import VARIANTS, find_photos, photo_sample, with_alpha
    check_new(out)
    whole = with_alpha([cutout for folder in cutouts for cutout in find_cutouts(folder)])
    masked = [photo for folder in masks for photo in find_photos(folder)]
    kinds = {"photos": (whole, VARIANTS * len(whole)), "masked": (masked, len(masked))}
    with counted("sample", sum(count for _, count in kinds.values())) as made:
        for kind, (photos, count) in kinds.items():
            write_samples(partial(photo_sample, photos, seed), out / "samples" / kind, range(count), watch=made)
    pictures = segmenter.Recipe(
        [Kept(sorted((out / "samples" / kind).glob(PATTERN))) for kind in kinds],
        cutouts=[path for folder in pasted for path in find_pictures(folder, "pasted")],
        backgrounds=[path for folder in backgrounds for path in find_pictures(folder, "backgrounds")],
        pasted=0.25,
        batch=8,
        steps=steps,
        long_side=LONG_SIDE,
        seed=seed,
    )
    with stepped() as watch:
        network = train(Recipe(steps=steps, seed=seed, rate=RATE), pictures, out, initial=initial, watch=watch)
    export_focus(network, out / "glance.onnx")
    click.echo(str(out / "glance.onnx"))
