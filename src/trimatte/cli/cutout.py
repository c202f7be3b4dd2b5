"""`trimatte cutout`: photos to cut-outs."""

from __future__ import annotations

import os
from contextlib import nullcontext
from typing import Any

import click

from trimatte.batch.jobs import STREAM, Job, companions_of, plan
from trimatte.batch.one import checked_options, cut_out_file
from trimatte.cli import _batch as batch
from trimatte.cli import _common as common
from trimatte.cli import _output as output
from trimatte.cli._ahead import loaded_ahead
from trimatte.errors import ArgumentError
from trimatte.files.addresses import is_remote
from trimatte.images.formats import format_of
from trimatte.quality import USUAL
from trimatte.runtime.options import parse_options


@click.command("cutout")
@click.argument("inputs", nargs=-1, metavar="INPUT...")
@common.stdin_list
@common.out
@common.qualities
@common.chosen_method
@common.chosen_segmenter
@click.option("--trimap", metavar="FILE", help="Your own trimap of the one picture, instead of the segmenter's.")
@common.prompts
@common.backdrop
@common.shadow
@common.band
@common.band_pixels
@common.adaptive_band
@common.speck
@common.format
@common.force
@click.option("--background", metavar="COLOUR|FILE", help="Lay the subject over it instead of keeping alpha.")
@output.options
@click.option(
    "--decontaminate/--keep-colours",
    default=True,
    help="Whether the subject's colours are freed of the background's. With --keep-colours the photo's background "
    "stays in the file, hidden under transparency.  [default: decontaminate]",
)
@click.option(
    "--foreground",
    metavar="NAME",
    help="By which method: multilevel, closed-form (slower), or keep, as --keep-colours.  [default: multilevel]",
)
@common.method_options
@click.option(
    "--refine",
    metavar="NAME",
    help="Redo alpha where it is unsure, by light, hybrid, deep-image-matting or a network added.",
)
@click.option("--refine-option", multiple=True, metavar="NAME=VALUE", help="Of the refiner, such as weights=FILE.")
@click.option("--sheet", is_flag=True, help="Also write NAME-sheet.png, which shows every stage.")
@batch.options
@common.max_pixels
@common.threads
@common.device
@common.strict
@common.as_json
@common.json_lines
@common.verbose
def command(
    inputs: tuple[str, ...],
    stdin_list: bool,
    out: str | None,
    trimap: str | None,
    force: bool,
    decontaminate: bool,
    foreground: str | None,
    method_options: tuple[str, ...],
    refine: str | None,
    refine_option: tuple[str, ...],
    sheet: bool,
    as_json: bool,
    json_lines: bool,
    verbose: bool,
    **options: Any,
) -> None:
    """Cut the subject out of photos.

    INPUT is a file, a folder (searched for pictures, and mirrored in --out) or - for standard input. Without --out
    a cut-out lands beside its photo as NAME.png, or NAME-cutout.png if the photo is a PNG itself. A file of that name
    that trimatte did not make is left alone, unless with --force.

    A folder with --out is done by several processes, and manifest.jsonl there tells what was done: started again, the
    same command goes on where it was stopped. Both may be addresses such as s3://bucket/photos.
    """
    inputs = common.listed_inputs(inputs, stdin_list)
    options |= options.pop("qualities")
    of_output = output.taken_from(options, out)
    background, format = of_output.get("background"), of_output.pop("format", None)
    asked = {**options, **of_output}
    if asked.get("frames") == "all" and (sheet or asked.get("output", "cutout") != "cutout"):
        raise click.UsageError("--frames all goes with none of --sheet, --output matte and --output both.")
    if foreground not in (None, "keep") and not decontaminate:
        raise click.UsageError("--keep-colours goes without --foreground.")
    if foreground is None:
        foreground = "multilevel" if decontaminate else "keep"
    names = {name: options[name] for name in ("segmenter", "method")}
    common.check(quality=options["way"], **names, foreground=foreground, refine=refine)
    of_batch = {name: options.pop(name) for name in batch.NAMES}
    options |= {"refine": refine, "refine_options": parse_options(refine_option), **parse_options(method_options)}
    options |= {"format": format, "trimap": trimap, "foreground": foreground, "sheet": sheet, **of_output}
    if len(inputs) == 1 and out not in (None, STREAM) and (os.path.isdir(inputs[0]) or is_remote(inputs[0])):
        if trimap is not None:
            raise ArgumentError("trimap: got one for a folder of pictures; it goes with one")
        if "max_memory" in options:
            raise ArgumentError("max_memory: a method's goes with single pictures; a folder has --max-memory")
        batch.run(
            inputs[0], out, as_json=as_json, json_lines=json_lines, verbose=verbose, force=force, **of_batch, **options
        )
        return
    for name, value in of_batch.items():
        if value:
            raise click.UsageError(f"--{name.replace('_', '-')} goes with one folder and --out.")
    jobs = plan(
        inputs,
        out,
        suffix=common.suffix(format),
        tag="-cutout",
        companions=companions_of(options),
        also_read=[path for path in (trimap, background) if path],
        format=format,
        force=force,
        listed=stdin_list,
    )
    if trimap is not None and len(jobs) > 1:
        raise ArgumentError(f"trimap: got one for {len(jobs)} pictures; it goes with one")
    possible = [job for job in jobs if not common.hindrance(job)]
    if possible:
        named = format_of(possible[0].target)
        checked_options(format or (named.name if named else None), options)

    def work(job: Job) -> dict[str, Any]:
        return cut_out_file(job, **options).as_dict()

    usual = options["method"] is None and options["way"] in (None, USUAL)
    whole = possible and options["method"] is None and trimap is None
    with loaded_ahead(possible[0].source, options["way"] or USUAL) if whole else nullcontext():
        common.run(jobs, work, as_json=as_json, json_lines=json_lines, verbose=verbose, usual=usual)
