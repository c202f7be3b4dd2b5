"""`trimatte train pack`: a training set of the segmenter as a few files, for a machine that has nothing else."""

from __future__ import annotations

from pathlib import Path

import click

from trimatte.cli._train import FOLDER, counted, needing, weighted


@click.command()
@click.option(
    "--photos",
    multiple=True,
    metavar="DIR[:WEIGHT]",
    help="A folder with image/ and mask/; several are mixed. A photo of weight 2 is drawn twice as often.",
)
@click.option("--partly", multiple=True, metavar="DIR[:WEIGHT]", help="The same; the grey 128 in masks is not known.")
@click.option("--aside", type=click.IntRange(0), default=0, show_default=True, help="Photos of each to measure on.")
@click.option("--validation", type=FOLDER, multiple=True, help="A folder with image/ and mask/ to measure on.")
@click.option("--cutouts", type=FOLDER, multiple=True, help="RGBA pictures to put scenes together from.")
@click.option("--backgrounds", type=FOLDER, multiple=True, help="Photos without a subject.")
@click.option("--cut/--no-cut", "cutting", default=True, help="Cut subjects out of the photos, too.")
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), required=True, help="Folder of the shards.")
@click.option("--long-side", type=click.IntRange(32), default=448, show_default=True, help="Of all pictures, at most.")
@click.option(
    "--quality",
    type=click.IntRange(1, 100),
    default=92,
    show_default=True,
    help="Of the photos, which WebP compresses.",
)
@click.option(
    "--megabytes", type=click.FloatRange(0, min_open=True), default=40, show_default=True, help="A shard, at most."
)
def command(
    photos: tuple[str, ...],
    partly: tuple[str, ...],
    aside: int,
    validation: tuple[Path, ...],
    cutouts: tuple[Path, ...],
    backgrounds: tuple[Path, ...],
    cutting: bool,
    out: Path,
    long_side: int,
    quality: int,
    megabytes: float,
) -> None:
    """Pack photos with masks, cut-outs and backgrounds into shards that `train segmenter --pack` trains on.

    Prints the paths of the shards.
    """
    with needing("train"):
        from trimatte.training.packing import Folder, packed
    from trimatte.errors import ArgumentError
    from trimatte.training.packs import pack

    given = [(*weighted(each), False) for each in photos] + [(*weighted(each), True) for each in partly]
    if not given:
        raise ArgumentError("photos: got no folder of photos; wanted one by --photos or --partly at least")
    sets = [Folder(Path(path), weight, doubtful, aside) for path, weight, doubtful in given]
    measured = [Folder(path) for path in validation]
    pictures = packed(sets, validation=measured, cutouts=cutouts, backgrounds=backgrounds, cutting=cutting)
    with counted("picture") as made:
        shards = pack(pictures, out, long_side=long_side, megabytes=megabytes, quality=quality, watch=made)
    for shard in shards:
        click.echo(str(shard))
