"""`trimatte train segmenter`: train the light network to find the subject, on multi-class segmentation sets."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from trimatte.cli._train import needing
from trimatte.errors import ArgumentError


@click.command()
@click.option(
    "--data",
    multiple=True,
    required=True,
    metavar="DIR[:WEIGHT]",
    help="A set, or COCO's json; several are mixed. A photo of weight 2 is drawn twice as often as one of weight 1.",
)
@click.option(
    "--classes",
    type=click.Path(dir_okay=False, exists=True, path_type=Path),
    required=True,
    help="The table of verdicts, from `trimatte train classes`.",
)
@click.option("--validation", metavar="DIR", help="A set to measure on; of one that is split, its validation part.")
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), required=True, help="Folder of the run.")
@click.option("--name", help="Of the segmenter; by default that of the folder.")
@click.option(
    "--start",
    default="imagenet",
    show_default=True,
    metavar="imagenet|embedded|FILE",
    help="Weights to begin with: of the encoder, of the embedded network, or another run's weights.pt.",
)
@click.option(
    "--keep",
    type=click.FloatRange(0, 1, max_open=True),
    default=0.0,
    show_default=True,
    help="With --start embedded: the share of those weights that the network written in the end keeps.",
)
@click.option("--steps", type=click.IntRange(1), default=2400, show_default=True)
@click.option("--batch", type=click.IntRange(2), default=16, show_default=True, help="Photos a step.")
@click.option("--long-side", type=click.IntRange(32), default=320, show_default=True, help="Pixels the network sees.")
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--validate-every", type=click.IntRange(1), default=200, show_default=True, help="Steps; also saves.")
@click.option("--resume", is_flag=True, help="Go on with the run in OUT.")
@click.option("--json", "as_json", is_flag=True, help="Print the card's path and the last figures as JSON.")
def command(
    data: tuple[str, ...],
    classes: Path,
    validation: str | None,
    out: Path,
    name: str | None,
    validate_every: int,
    resume: bool,
    as_json: bool,
    **decided: Any,
) -> None:
    """Train the light network to find the subject of photos, whatever it is.

    OUT gets log.csv, checkpoint.pt to resume from, weights.pt, and in the end NAME.onnx with its card NAME.toml, whose
    path is printed: `trimatte models add` takes both.
    """
    from tqdm import tqdm

    with needing("train"):
        from trimatte.training.own import check_run, train_own, variant_for
        from trimatte.training.segmenter import Recipe
    from trimatte.training.classes import gather, read_table

    name = name or out.resolve().name
    check_run(name, out, resume)
    variant = variant_for(decided["start"])
    quiet = True if as_json else None
    with tqdm(desc="labels", unit="photo", disable=quiet) as bar:
        sources, kept = gather(
            dict(map(_weighted, data)),
            read_table(classes),
            validation=validation,
            long_side=2 * decided["long_side"],
            check=not resume,
            watch=bar.update,
        )
    recipe = Recipe(sources=sources, variant=variant, **decided)
    with tqdm(total=recipe.steps, unit="step", disable=quiet) as bar:

        def watch(step: int, loss: float) -> None:
            bar.set_postfix(loss=f"{loss:.4f}", refresh=False)
            bar.update(step - bar.n)

        card, figures = train_own(
            recipe,
            out,
            name=name,
            validation=kept,
            resume=resume,
            every=validate_every,
            watch=watch,
        )
    click.echo(json.dumps({"card": str(card), "figures": figures}) if as_json else str(card))


def _weighted(given: str) -> tuple[str, float]:
    """A set and its weight, of DIR or DIR:WEIGHT."""
    name, colon, weight = given.rpartition(":")
    if not colon or Path(given).exists():
        return given, 1.0
    try:
        number = float(weight)
    except ValueError:
        return given, 1.0
    if not 0 < number < float("inf"):
        raise ArgumentError(f"data: got the weight {weight} for {name}, wanted a number above 0")
    return name, number
