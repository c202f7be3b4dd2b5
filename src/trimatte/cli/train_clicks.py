"""`trimatte train clicks`: train the decoder of clicks on one's own pictures."""

from __future__ import annotations

from pathlib import Path

import click

from trimatte.cli._train import FOLDER, needing, run_options, stepped
from trimatte.errors import ArgumentError


@click.command()
@click.option(
    "--masks", type=FOLDER, multiple=True, required=True, help="The folders image/ and mask/; may be repeated."
)
@click.option("--cutouts", type=FOLDER, multiple=True, help="RGBA pictures of things, to mix; may be repeated.")
@click.option("--backgrounds", type=FOLDER, multiple=True, help="Photos to lay them over; may be repeated.")
@click.option("--batch", type=click.IntRange(2), default=8, show_default=True, help="Photos a step.")
@click.option("--long-side", type=click.IntRange(64), default=320, show_default=True, help="Pixels the network sees.")
@run_options(steps=1600)
def command(
    masks: tuple[Path, ...],
    cutouts: tuple[Path, ...],
    backgrounds: tuple[Path, ...],
    batch: int,
    long_side: int,
    out: Path,
    steps: int,
    initial: Path | None,
    seed: int,
) -> None:
    """Train the decoder of clicks, behind the embedded segmenter.

    A mask is subject from the grey 128 on; where it has an alpha channel of 0 it is not judged. OUT gets best.pt,
    checkpoint.pt, log.csv and clicks.onnx; a run there that was broken off is gone on with.
    """
    with needing("train"):
        from trimatte.training.alpha_data import find_pictures
        from trimatte.training.clicks import Recipe, export_clicks, train
        from trimatte.training.photo_samples import find_photos
        from trimatte.training.scenes import Things
        from trimatte.training.segmenter import Source
    for folder in masks:
        if not find_photos(folder):
            raise ArgumentError(f"masks: {folder}/image holds no picture that has a mask in {folder}/mask")
    things = Things(
        [find_pictures(folder, "cutouts") for folder in cutouts],
        [path for folder in backgrounds for path in find_pictures(folder, "backgrounds")],
    )
    recipe = Recipe(
        [Source(folder / "image", folder / "mask", level=128) for folder in masks],
        things,
        steps=steps,
        batch=batch,
        long_side=long_side,
        seed=seed,
    )
    with stepped() as watch:
        train(recipe, out, initial=initial, watch=watch)
    export_clicks(out / "best.pt", out / "clicks.onnx")
    click.echo(str(out / "clicks.onnx"))
