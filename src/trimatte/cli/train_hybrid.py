"""`trimatte train hybrid`: train the network inside the method "hybrid" on composites of one's own pictures."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import click

from trimatte.cli._train import FOLDER, check_new, counted, needing, run_options, stepped


@click.command()
@click.option("--photos", type=FOLDER, multiple=True, required=True, help="Pictures to crop; may be repeated.")
@click.option(
    "--cutouts", type=FOLDER, multiple=True, help="RGBA pictures, or the folders image/ and alpha/; may be repeated."
)
@click.option("--samples", type=click.IntRange(20), default=2000, show_default=True, help="Composites to make.")
@run_options(steps=2500)
def command(
    photos: tuple[Path, ...],
    cutouts: tuple[Path, ...],
    out: Path,
    samples: int,
    steps: int,
    initial: Path | None,
    seed: int,
) -> None:
    """Train the network inside the method "hybrid".

    Composites and their classical solutions are made once, about one a second, and kept in OUT/samples, from where a
    run that was cut off goes on. OUT gets best.pt, log.csv and hybrid.onnx.
    """
    with needing("train"):
        from trimatte.alpha.hybrid import ALPHAS, CHANNELS
        from trimatte.networks.hybrid import Hybrid
        from trimatte.training.alpha_data import find_cutouts, find_pictures
        from trimatte.training.export import OUTPUTS, export
        from trimatte.training.fit import Recipe
        from trimatte.training.hybrid import train
        from trimatte.training.hybrid_data import PATTERN, SIZE, Sources, make_sample, write_samples
    check_new(out)
    sources = Sources(
        photos=[path for folder in photos for path in find_pictures(folder, "photos")],
        cutouts=[cutout for folder in cutouts for cutout in find_cutouts(folder)],
    )
    with counted("sample", samples) as made:
        write_samples(partial(make_sample, sources, SIZE, seed), out / "samples", range(samples), watch=made)
    with stepped() as watch:
        files = sorted((out / "samples").glob(PATTERN))
        train(Recipe(steps=steps, seed=seed), files, out, initial=initial, watch=watch)
    network = Hybrid(CHANNELS, ALPHAS)
    export(
        network,
        out / "best.pt",
        out / "hybrid.onnx",
        inputs={"features": (CHANNELS, 1)},
        outputs=OUTPUTS,
        bits=8,
    )
    click.echo(str(out / "hybrid.onnx"))
