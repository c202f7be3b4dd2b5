"""`trimatte train alpha`: train Deep Image Matting, MODNet or GFM on composites of one's own pictures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from trimatte.cli._train import needing
from trimatte.errors import ArgumentError

if TYPE_CHECKING:
    from trimatte.training.alpha import Progress

_FOLDER = click.Path(file_okay=False, exists=True, path_type=Path)


@click.command()
@click.option(
    "--network", type=click.Choice(["deep-image-matting", "modnet", "gfm"]), required=True, help="What is trained."
)
@click.option("--variant", metavar="NAME", help="Of the network: paper, mmagic, r34, tiny, ...; by default its first.")
@click.option("--scheme", type=click.Choice(["TT", "FT", "BT"]), default="TT", show_default=True, help="Of GFM.")
@click.option("--foregrounds", type=_FOLDER, help="Cut-outs: RGBA pictures, or the folders fg/ and alpha/.")
@click.option("--backgrounds", type=_FOLDER, help="Pictures to put behind; painted ones if left out.")
@click.option(
    "--painted", type=click.FloatRange(0, 1), default=0.2, show_default=True, help="Share of painted subjects."
)
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), required=True, help="Folder of the run.")
@click.option("--steps", type=click.IntRange(1), default=10_000, show_default=True, help="Of each phase.")
@click.option("--batch", type=click.IntRange(1), default=4, show_default=True, help="Composites a step.")
@click.option("--rate", type=float, help="Learning rate; by default the authors'.")
@click.option("--size", type=int, default=320, show_default=True, help="Side of the composites, a multiple of 32.")
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--validation", type=click.IntRange(1), default=16, show_default=True, help="Held-out composites.")
@click.option("--validate-every", type=click.IntRange(1), default=500, show_default=True, help="Steps; also saves.")
@click.option(
    "--initial",
    type=click.Path(dir_okay=False, exists=True, path_type=Path),
    help="Weights to begin with: the same network's, or VGG16's for Deep Image Matting.",
)
@click.option("--resume", is_flag=True, help="Go on from OUT/last.pt.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or mps.")
@click.option("--workers", type=click.IntRange(0), default=0, show_default=True, help="Processes that make composites.")
@click.option("--json", "as_json", is_flag=True, help="Print the last figures as JSON.")
def command(
    network: str,
    variant: str | None,
    scheme: str,
    foregrounds: Path | None,
    backgrounds: Path | None,
    painted: float,
    out: Path,
    initial: Path | None,
    resume: bool,
    device: str,
    workers: int,
    as_json: bool,
    size: int,
    **decided: Any,
) -> None:
    """Train a network that estimates alpha, on composites that are made anew for every step.

    Without --foregrounds all subjects are painted. OUT gets log.csv, last.pt to resume from, and best.pt, whose path is
    printed at the end: give it as weights to the alpha method. Deep Image Matting goes through three phases.
    """
    from tqdm import tqdm

    with needing("torch"):
        from trimatte.training.alpha import Recipe, train
        from trimatte.training.alpha_data import Augmentation, Sources, find_cutouts, find_pictures
    if not resume and (out / "last.pt").exists():
        raise ArgumentError(f"out: {out} holds a run already; say --resume to go on, or take another folder")
    recipe = Recipe(
        network=network,  # type: ignore[arg-type]
        variant=variant,
        scheme=scheme,  # type: ignore[arg-type]
        augmentation=Augmentation(size=size),
        **decided,
    )
    sources = Sources(
        cutouts=find_cutouts(foregrounds) if foregrounds else [],
        backgrounds=find_pictures(backgrounds, "backgrounds") if backgrounds else [],
        painted=painted,
    )
    figures: dict[str, float] = {}
    with tqdm(unit="step", disable=True if as_json else None) as bar:

        def watch(progress: Progress) -> None:
            figures.update(progress.figures)
            told = {"loss": progress.loss} | figures
            bar.set_description(progress.phase, refresh=False)
            bar.set_postfix({name: f"{value:.4f}" for name, value in told.items()}, refresh=False)
            bar.total = progress.steps
            bar.update(progress.step - bar.n)

        best = train(recipe, sources, out, initial=initial, resume=resume, device=device, workers=workers, watch=watch)
    click.echo(json.dumps({"weights": str(best), **figures}) if as_json else str(best))
