"""`trimatte datasets`: what benchmark sets there are, whether one is whole, and one that needs no download."""

from __future__ import annotations

import json
from pathlib import Path

import click

from trimatte.evaluation.layouts import LAYOUTS
from trimatte.synthetic.subjects import KINDS


@click.group(invoke_without_command=True)
@click.pass_context
def command(ctx: click.Context) -> None:
    """Benchmark sets: what there is, how to get it, whether a folder is whole; and a synthetic one.

    Alone it lists them.
    """
    if ctx.invoked_subcommand is None:
        ctx.invoke(list_command, as_json=False)


@command.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_command(as_json: bool) -> None:
    """List the benchmark sets: address, licence, size and checksums where known, and the folders looked for."""
    from trimatte.evaluation.recipes import recipes

    sets = recipes()
    if as_json:
        click.echo(json.dumps(sets, indent=1))
        return
    layouts = {layout.name: layout for layout in LAYOUTS}
    for name, recipe in sets.items():
        click.secho(f"{name}: {recipe['title']}", bold=True)
        for field in ("address", "licence", "size", "note"):
            if recipe.get(field):
                click.echo(f"  {field}: {recipe[field]}")
        for file, digest in recipe.get("sha256", {}).items():
            click.echo(f"  sha256 {digest}  {file}")
        if name in layouts:
            click.echo(f"  recognised by: {layouts[name].describe().partition(': ')[2]}")


@command.command("verify")
@click.argument("folder")
@click.option("--layout", help="Take it for this layout instead of guessing.")
@click.option("--backgrounds", help="Folder of backgrounds, for sets whose foregrounds are to be composed.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def verify_command(folder: str, layout: str | None, backgrounds: str | None, as_json: bool) -> None:
    """Look into every file of FOLDER: pairs, sizes, value ranges, duplicates. Exit code 1 if a picture is unusable."""
    from trimatte.evaluation.datasets import open_dataset
    from trimatte.evaluation.verify import verify

    dataset = open_dataset(folder, layout=layout, backgrounds=backgrounds)
    findings = verify(dataset)
    errors = sum(finding.severity == "error" for finding in findings)
    if as_json:
        found = [{"severity": f.severity, "picture": f.picture, "message": f.message} for f in findings]
        summary = {"layout": dataset.layout.name, "pictures": len(dataset.samples), "trimaps": dataset.trimaps}
        click.echo(json.dumps({**summary, "findings": found}, indent=1))
    else:
        for finding in findings:
            click.echo(str(finding))
        trimaps = f", {', '.join(dataset.trimaps)}" if dataset.trimaps else ", no trimaps"
        click.echo(f"{dataset.layout.title}: {len(dataset.samples)} pictures{trimaps}; {errors} errors")
    raise SystemExit(errors > 0)


@command.command("synthesize")
@click.argument("out", type=click.Path(file_okay=False, path_type=Path))
@click.option("--count", default=22, show_default=True, help="How many scenes; the kinds take turns.")
@click.option("--size", default="512x512", show_default=True, help="WIDTHxHEIGHT in pixels.")
@click.option("--seed", default=0, show_default=True, help="The same seed gives the same bytes.")
@click.option("--kinds", default=",".join(KINDS), show_default=True, help="Which kinds, separated by commas.")
@click.option("--overlap", default=0.0, show_default=True, help="0..1: how alike the colours of both layers are.")
@click.option("--noise", default=0.0, show_default=True, help="0..1: standard deviation of Gaussian noise.")
@click.option("--jpeg", type=click.IntRange(1, 100), help="Quality of a JPEG compression of the image.")
@click.option("--trimap", help="made:LOW-HIGH: half width of the unknown band; by default short side / 128 to / 64.")
@click.option("--quiet", is_flag=True, help="No progress bar.")
def synthesize_command(
    out: Path,
    count: int,
    size: str,
    seed: int,
    kinds: str,
    overlap: float,
    noise: float,
    jpeg: int | None,
    trimap: str | None,
    quiet: bool,
) -> None:
    """Paint a benchmark with exact alpha, foreground and background into the folder OUT."""
    from tqdm import tqdm

    from trimatte.evaluation.synthetic import synthesize

    with tqdm(total=count, unit="scene", disable=None if not quiet else True) as bar:

        def progress(name: str) -> None:
            bar.set_postfix_str(name)
            bar.update()

        synthesize(
            out,
            count=count,
            size=_size(size),
            seed=seed,
            kinds=[kind.strip() for kind in kinds.split(",")],
            overlap=overlap,
            noise=noise,
            jpeg=jpeg,
            trimap=trimap,
            progress=progress,
        )
    click.echo(str(out))


def _size(text: str) -> tuple[int, int]:
    width, cross, height = text.lower().partition("x")
    if not (cross and width.isdigit() and height.isdigit()):
        raise click.BadParameter(f"got {text!r}, wanted WIDTHxHEIGHT, such as 512x512", param_hint="--size")
    return int(height), int(width)
