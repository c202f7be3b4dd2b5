"""`trimatte segment`: photos to the probability of foreground."""

from __future__ import annotations

from typing import Any

import click

from trimatte.batch.jobs import Job, plan
from trimatte.batch.one import format_of, opened, writable
from trimatte.cli import _common as common


@click.command("segment")
@common.inputs
@common.out
@common.segmenter
@common.prompts
@common.format
@common.force
@common.quality
@common.max_pixels
@common.threads
@common.device
@common.as_json
@common.verbose
def command(
    inputs: tuple[str, ...],
    out: str | None,
    segmenter: str,
    points: Any,
    not_points: Any,
    box: Any,
    format: str | None,
    force: bool,
    quality: int | None,
    max_pixels: int,
    as_json: bool,
    verbose: bool,
) -> None:
    """Find the subject of photos: grey pictures, the brighter the likelier foreground.

    Without --out a result lands beside its photo as NAME-probability.png.
    """
    from trimatte.confidence import LEAST_TRUST, subject_trust
    from trimatte.images import load_picture, save_image
    from trimatte.images.hidden import without_hidden
    from trimatte.segmentation import segment
    from trimatte.segmentation.prompts import read_prompts
    from trimatte.trimap import has_subject

    common.check(segmenter=segmenter)
    suffix = common.suffix(format)
    jobs = plan(inputs, out, suffix=suffix, tag="-probability", always_tag=True, format=format, force=force)

    def work(job: Job) -> dict[str, Any]:
        target = writable(job)
        picture = without_hidden(load_picture(opened(job.source), max_pixels=max_pixels))
        probability = segment(picture.image, segmenter=segmenter, points=points, not_points=not_points, box=box)
        said = picture.metadata.kept("none")
        save_image(target, probability, format=format_of(job, format), quality=quality, metadata=said)
        pointed = bool(read_prompts(points, not_points, box))
        subject = has_subject(probability) and (pointed or subject_trust(probability) >= LEAST_TRUST)
        return {"segmenter": segmenter, "subject": subject}

    common.run(jobs, work, as_json=as_json, verbose=verbose)
