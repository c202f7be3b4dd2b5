"""`trimatte composite`: cut-outs over a colour or a picture."""

from __future__ import annotations

import os
from typing import Any

import click

from trimatte.batch.jobs import Job, plan, with_partners
from trimatte.batch.one import format_of, opened, writable
from trimatte.cli import _common as common
from trimatte.cli import _output
from trimatte.output.options import Output


@click.command("composite")
@common.inputs
@click.option("--background", required=True, metavar="COLOUR|FILE", help="What the cut-outs are laid over.")
@click.option(
    "--alpha",
    metavar="FILE|FOLDER",
    help="Matte of the photo, which is no cut-out yet; or a folder.",
)
@common.out
@common.format
@common.force
@common.quality
@_output.metadata
@common.max_pixels
@common.as_json
@common.verbose
def command(
    inputs: tuple[str, ...],
    background: str,
    alpha: str | None,
    out: str | None,
    format: str | None,
    force: bool,
    quality: int | None,
    metadata: str | None,
    max_pixels: int,
    as_json: bool,
    verbose: bool,
) -> None:
    """Lay cut-outs over a colour ("white", "#1e90ff") or a picture, which is scaled to cover them.

    With --alpha, INPUT is the photo that the matte belongs to, and the subject's own colours are estimated. Both may be
    folders: pictures of one name, whatever their suffixes, belong together.
    Without --out a result lands beside its cut-out as NAME-composite.png.
    """
    from trimatte.errors import ArgumentError
    from trimatte.foreground import estimate_foreground
    from trimatte.images import as_alpha, load_picture, restore_colours, save_image
    from trimatte.images.background import check_background

    check_background(background)
    jobs = plan(
        inputs,
        out,
        suffix=common.suffix(format),
        tag="-composite",
        always_tag=True,
        also_read=[path for path in (background, alpha) if path and os.path.isfile(path)],
        format=format,
        force=force,
    )
    mattes = {job.source: alpha for job in jobs}
    if alpha is not None and os.path.isdir(alpha):
        if len(inputs) != 1 or not os.path.isdir(inputs[0]):
            raise ArgumentError("alpha: got a folder; wanted one folder of photos beside it")
        pairs = with_partners(jobs, inputs[0], alpha, "alpha")
        jobs, mattes = [job for job, _ in pairs], {job.source: partner for job, partner in pairs}
    elif alpha is not None and len(jobs) > 1:
        raise ArgumentError(f"alpha: got one for {len(jobs)} pictures; it goes with one, or is a folder")

    def work(job: Job) -> dict[str, Any]:
        target = writable(job)
        picture = load_picture(opened(job.source), max_pixels=max_pixels)
        given = mattes[job.source]
        matte = picture.alpha if given is None else as_alpha(given, shape=picture)
        if matte is None:
            raise ArgumentError("alpha: the picture has none; give --alpha, or cut it out first")
        colours = picture.pixels
        if alpha is not None:
            colours = restore_colours(estimate_foreground(picture.image, matte), picture, matte)
        save_image(
            target,
            colours,
            alpha=matte,
            icc_profile=picture.icc_profile,
            background=background,
            format=format_of(job, format),
            quality=quality,
            metadata=picture.metadata.kept(metadata or Output.metadata),
        )
        return {}

    common.run(jobs, work, as_json=as_json, verbose=verbose)
