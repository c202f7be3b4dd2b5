"""`trimatte train light`: train the network of the method "light" on one's own pictures."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import click

from trimatte.cli._train import FOLDER, check_new, counted, needing, run_options, stepped
from trimatte.errors import ArgumentError


@click.command()
@click.option("--photos", type=FOLDER, multiple=True, required=True, help="Pictures to crop; may be repeated.")
@click.option(
    "--cutouts", type=FOLDER, multiple=True, help="RGBA pictures, or the folders image/ and alpha/; may be repeated."
)
@click.option(
    "--masks",
    type=FOLDER,
    multiple=True,
    help="The folders image/ and mask/, to learn from the hybrid on; may be repeated.",
)
@click.option(
    "--taught",
    type=FOLDER,
    multiple=True,
    help="Photos, without alpha or mask: what all networks say together of them, and of the other samples, teaches. "
    "May be repeated.",
)
@click.option(
    "--derived",
    type=click.IntRange(0),
    default=0,
    show_default=True,
    help="So many scenes of the cut-outs that are RGBA, and with --masks as many of those photos, in the bands that a "
    "cut-out derives for them, with the map of foreground that it derives them from.",
)
@click.option("--samples", type=click.IntRange(20), default=6000, show_default=True, help="Composites to make.")
@run_options(steps=2700)
def command(
    photos: tuple[Path, ...],
    cutouts: tuple[Path, ...],
    masks: tuple[Path, ...],
    taught: tuple[Path, ...],
    derived: int,
    out: Path,
    samples: int,
    steps: int,
    initial: Path | None,
    seed: int,
) -> None:
    """Train the network of the method "light".

    Samples are made once and kept in OUT/samples, from where a run that was cut off goes on: composites, about ten a
    second, photos of cut-outs as they are, and photos with masks, about one a second; with --taught each takes two
    seconds, and of --derived there are about two a second. OUT gets best.pt, log.csv and light.onnx.
    """
    with needing("train"):
        from trimatte.alpha.light import CHANNELS
        from trimatte.networks.light import Light
        from trimatte.training.alpha_data import find_cutouts, find_pictures
        from trimatte.training.derived_samples import derived_photo, derived_scene
        from trimatte.training.export import OUTPUTS, export
        from trimatte.training.fit import Recipe
        from trimatte.training.hybrid_data import PATTERN, Sources, make_sample, write_samples
        from trimatte.training.light import CROP, RATE, SHARES, SIZE, train
        from trimatte.training.photo_samples import VARIANTS, find_photos, photo_sample, with_alpha
        from trimatte.training.scenes import Things
        from trimatte.training.taught_samples import taught_photo, taught_sample
    check_new(out)
    found = [cutout for folder in cutouts for cutout in find_cutouts(folder)]
    sources = Sources([path for folder in photos for path in find_pictures(folder, "photos")], found)
    whole = with_alpha(found)
    masked = [photo for folder in masks for photo in find_photos(folder)]
    kinds = {
        "composites": (partial(make_sample, sources, SIZE, seed, solved=False), samples),
        "photos": (partial(photo_sample, whole, seed), VARIANTS * len(whole)),
        "masked": (partial(photo_sample, masked, seed), len(masked)),
    }
    if taught:
        kinds = {kind: (partial(taught_sample, make, seed), count) for kind, (make, count) in kinds.items()}
        any_photos = [path for folder in taught for path in find_pictures(folder, "taught")]
        kinds["taught"] = partial(taught_photo, any_photos, seed), len(any_photos)
    if derived:
        if not (plain := [cutout.colours for cutout in found if cutout.alpha is None]):
            raise ArgumentError("derived: no cut-out is RGBA, of which scenes are put together")
        kinds["scenes"] = partial(derived_scene, Things([plain], sources.photos), seed), derived
        if masked:
            kinds["derived"] = partial(derived_photo, masked, seed), derived
    with counted("sample", sum(count for _, count in kinds.values())) as made:
        for kind, (make, count) in kinds.items():
            write_samples(make, out / "samples" / kind, range(count), watch=made)
    sets = [(sorted((out / "samples" / kind).glob(PATTERN)), SHARES[kind]) for kind in kinds]
    recipe = Recipe(steps=steps, seed=seed, size=CROP, rate=RATE, average=0.998)
    with stepped() as watch:
        train(recipe, [part for part in sets if part[0]], out, initial=initial, watch=watch)
    export(
        Light(CHANNELS),
        out / "best.pt",
        out / "light.onnx",
        inputs={"features": (CHANNELS, 1)},
        outputs=OUTPUTS,
        bits=8,
    )
    click.echo(str(out / "light.onnx"))
