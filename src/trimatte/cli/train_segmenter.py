"""`trimatte train segmenter`: train the light network to find the subject, on multi-class segmentation sets."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from trimatte.cli._train import FOLDER, needing, weighted
from trimatte.errors import ArgumentError


@click.command()
@click.option(
    "--data",
    multiple=True,
    metavar="DIR[:WEIGHT]",
    help="A set, or COCO's json; several are mixed. A photo of weight 2 is drawn twice as often as one of weight 1.",
)
@click.option(
    "--classes",
    type=click.Path(dir_okay=False, exists=True, path_type=Path),
    help="The table of verdicts, from `trimatte train classes`; goes with --data.",
)
@click.option("--pack", type=FOLDER, help="In place of both: a folder of shards, from `trimatte train pack`.")
@click.option(
    "--composed",
    type=click.FloatRange(0, 1),
    default=0.25,
    show_default=True,
    help="With --pack: the share of samples that are put together from its cut-outs and backgrounds.",
)
@click.option(
    "--device", default="cpu", show_default=True, metavar="cpu|cuda", help="What computes; cuda needs --pack."
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
    classes: Path | None,
    pack: Path | None,
    composed: float,
    device: str,
    validation: str | None,
    out: Path,
    name: str | None,
    validate_every: int,
    resume: bool,
    as_json: bool,
    **decided: Any,
) -> None:
    """Train the light network to find the subject of photos, whatever it is.

    OUT gets recipe.json, log.csv, checkpoint.pt to resume from, weights.pt, and in the end NAME.onnx with its card
    NAME.toml, whose path is printed: `trimatte models add` takes both. NAME.float32.onnx is the same with weights that
    are not rounded.
    """
    from tqdm import tqdm

    with needing("train"):
        from trimatte.training.items import Labelled
        from trimatte.training.own import check_run, train_own, variant_for
        from trimatte.training.packs import HeldOut
        from trimatte.training.segmenter import Recipe
    from trimatte.training.classes import gather, read_table

    check_given(data, classes, pack, validation, device)
    name = name or out.resolve().name
    check_run(name, out, resume)
    variant = variant_for(decided["start"])
    quiet = True if as_json else None
    kept: Labelled | None
    if pack is None and classes is not None:
        with tqdm(desc="labels", unit="photo", disable=quiet) as bar:
            sources, kept = gather(
                dict(map(weighted, data)),
                read_table(classes),
                validation=validation,
                long_side=2 * decided["long_side"],
                check=not resume,
                watch=bar.update,
            )
        recipe = Recipe(sources=sources, variant=variant, **decided)
    elif pack is not None:
        kept = held if (held := HeldOut(pack)).describe()["photos"] else None
        recipe = Recipe(sources=[], pack=pack, composed=composed, variant=variant, **decided)
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
            device=device,
        )
    click.echo(json.dumps({"card": str(card), "figures": figures}) if as_json else str(card))


def check_given(
    data: tuple[str, ...], classes: Path | None, pack: Path | None, validation: str | None, device: str
) -> None:
    """Raise `ArgumentError` unless either sets with their classes or a pack is given, and for a device that is none."""
    if pack is None and not (data and classes):
        raise ArgumentError("data: wanted --data with --classes, or --pack")
    if pack is not None and (data or classes or validation):
        raise ArgumentError("pack: goes without --data, --classes and --validation; a pack holds what to measure on")
    if device not in ("cpu", "cuda"):
        raise ArgumentError(f"device: got {device!r}, wanted cpu or cuda")
    if device == "cuda":
        import torch

        if pack is None:
            raise ArgumentError("device: cuda goes with --pack")
        if not torch.cuda.is_available():
            raise ArgumentError("device: cuda is not available; PyTorch sees no GPU")
