"""`trimatte trimap`: photos, or probabilities, to trimaps."""

from __future__ import annotations

import warnings
from dataclasses import asdict
from typing import Any

import click

from trimatte.batch.jobs import Job, plan
from trimatte.batch.one import format_of, opened, writable
from trimatte.cli import _common as common


@click.command("trimap")
@common.inputs
@common.out
@common.force
@common.segmenter
@common.prompts
@click.option("--from-probability", is_flag=True, help="INPUT is a probability or a mask rather than a photo.")
@common.band
@common.band_pixels
@common.adaptive_band
@common.speck
@common.max_pixels
@common.threads
@common.device
@click.option("--strict", is_flag=True, help="Fail if no subject is found.")
@common.as_json
@common.verbose
def command(
    inputs: tuple[str, ...],
    out: str | None,
    force: bool,
    segmenter: str,
    points: Any,
    not_points: Any,
    box: Any,
    from_probability: bool,
    band: float | None,
    band_pixels: float | None,
    adaptive_band: bool,
    speck: float | None,
    max_pixels: int,
    strict: bool,
    as_json: bool,
    verbose: bool,
) -> None:
    """Derive trimaps: white is foreground, black background, grey between them is unknown.

    Without --out a result lands beside its photo as NAME-trimap.png.
    """
    from trimatte.cutout import find_trimap
    from trimatte.errors import ArgumentError, SubjectNotFoundError
    from trimatte.images import FORMATS, as_alpha, load_picture, output_format, save_image
    from trimatte.images.hidden import without_hidden
    from trimatte.stages import Stages
    from trimatte.trimap import TrimapReport, check_widths, make_trimap

    common.check(segmenter=segmenter)
    if from_probability and adaptive_band:
        raise click.UsageError("--adaptive-band needs the photo, which --from-probability does not take.")
    if from_probability and (points or not_points or box):
        raise click.UsageError("--point, --not-point and --box need the photo, which --from-probability does not take.")
    check_widths(band=band, band_pixels=band_pixels, speck=speck)
    stages = Stages(
        segmenter=segmenter,
        points=points,
        not_points=not_points,
        box=box,
        band=band,
        band_pixels=band_pixels,
        adaptive_band=adaptive_band,
        speck=speck,
    )
    jobs = plan(inputs, out, suffix=".png", tag="-trimap", always_tag=True, force=force)
    if any(FORMATS[output_format(job.target, format_of(job, None))].quality for job in jobs if not job.problem):
        raise ArgumentError("out: got a format that changes the values of a trimap; wanted PNG or TIFF")

    def work(job: Job) -> dict[str, Any]:
        target = writable(job)
        source, report, said = opened(job.source), TrimapReport(), None
        if from_probability:
            mask = as_alpha(source, name="probability")
            trimap = make_trimap(mask, band=band, band_pixels=band_pixels, speck=speck or 0.0, report=report)
        else:
            picture = without_hidden(load_picture(source, max_pixels=max_pixels))
            _, trimap = find_trimap(picture, stages, report=report)
            said = picture.metadata.kept("none")
        if strict and not report.subject:
            raise SubjectNotFoundError("no subject found")
        if from_probability and report.specks:
            report.notes.append(f"removed {report.islands} islands and {report.holes} holes below --speck {speck}")
        for note in report.notes:
            warnings.warn(note, UserWarning, stacklevel=1)
        save_image(target, trimap, format=format_of(job, None), metadata=said)
        return asdict(report)

    common.run(jobs, work, as_json=as_json, verbose=verbose)
