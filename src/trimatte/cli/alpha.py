"""`trimatte alpha`: a photo and its trimap to an alpha matte."""

from __future__ import annotations

import os
import warnings
from typing import Any

import click

from trimatte.batch.jobs import Job, plan, with_partners
from trimatte.batch.one import format_of, opened, writable
from trimatte.cli import _common as common
from trimatte.errors import ArgumentError
from trimatte.runtime.options import check_options, parse_options


@click.command("alpha")
@click.argument("photo")
@click.argument("trimap", required=False)
@common.out
@common.method
@common.method_options
@common.format
@common.force
@common.quality
@common.max_pixels
@common.threads
@common.device
@common.strict
@common.as_json
@common.verbose
def command(
    photo: str,
    trimap: str | None,
    out: str | None,
    method: str,
    method_options: tuple[str, ...],
    format: str | None,
    force: bool,
    quality: int | None,
    max_pixels: int,
    strict: bool,
    as_json: bool,
    verbose: bool,
) -> None:
    """Estimate the alpha matte of PHOTO by a TRIMAP of the same size: white is foreground, black background.

    Both may be folders: pictures of one name, whatever their suffixes, belong together. A method that needs no trimap
    takes none. Without --out the matte lands beside the photo as NAME-alpha.png.
    """
    from trimatte.alpha import estimate_alpha, find_method
    from trimatte.images import load_picture, read_trimap, save_image
    from trimatte.images.hidden import without_hidden

    common.check(method=method)
    options = parse_options(method_options)
    if options:
        check_options(method, find_method(method).load(), options)
    folders = [bool(name and os.path.isdir(name)) for name in (photo, trimap)]
    if trimap is not None and folders[0] != folders[1]:
        raise ArgumentError("trimap: got a folder and a file; wanted two folders, or two files")
    if photo == trimap == "-":
        raise ArgumentError("trimap: got standard input, which is the photo already")
    read = [trimap] if trimap and not folders[1] else []
    jobs = plan(
        [photo],
        out,
        suffix=common.suffix(format),
        tag="-alpha",
        always_tag=True,
        also_read=read,
        format=format,
        force=force,
    )
    trimaps = {job.source: trimap for job in jobs}
    if trimap and folders[1]:
        pairs = with_partners(jobs, photo, trimap, "trimap")
        jobs, trimaps = [job for job, _ in pairs], {job.source: partner for job, partner in pairs}

    def work(job: Job) -> dict[str, Any]:
        target = writable(job)
        picture = without_hidden(load_picture(opened(job.source), max_pixels=max_pixels))
        given = trimaps[job.source]
        known = None if given is None else read_trimap(opened(given), shape=picture)
        matte = estimate_alpha(picture.image, known, method=method, strict=strict, **options)
        for fallback in matte.report.fallbacks:
            warnings.warn(fallback, UserWarning, stacklevel=1)
        said = picture.metadata.kept("none")
        save_image(target, matte.alpha, format=format_of(job, format), quality=quality, metadata=said)
        return matte.report.as_dict()

    common.run(jobs, work, as_json=as_json, verbose=verbose)
