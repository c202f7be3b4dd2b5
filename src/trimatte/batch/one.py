"""One photo's whole way, file to file."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Mapping
from dataclasses import fields
from typing import IO, TYPE_CHECKING, Any

from trimatte.batch.jobs import MATTE, STREAM, Job, companions_of
from trimatte.errors import ArgumentError, ImageWriteError
from trimatte.runtime.options import check_flag

if TYPE_CHECKING:
    from trimatte.cutout import Cutout, CutoutReport


def opened(source: str) -> str | IO[bytes]:
    """What to read a source from: itself, or standard input."""
    return sys.stdin.buffer if source == STREAM else source


def writable(job: Job) -> str | IO[bytes]:
    """What to write a job's target to: itself, if that is possible, or standard output.

    Raises `ImageWriteError` before any work is spent on a result that has nowhere to go.
    """
    target = job.target
    if target == STREAM:
        return sys.stdout.buffer
    folder = os.path.dirname(target) or "."
    if job.make_folder:
        try:
            os.makedirs(folder, exist_ok=True)
        except OSError as error:
            raise ImageWriteError(f"cannot make the folder {folder!r}: {error.strerror}") from error
    if os.path.isdir(target):
        raise ImageWriteError(f"cannot write {target!r}: it is a folder")
    if not os.path.isdir(folder):
        raise ImageWriteError(f"cannot write {target!r}: there is no folder {folder!r}")
    if not os.access(folder, os.W_OK):
        raise ImageWriteError(f"cannot write {target!r}: its folder is read-only")
    return target


def format_of(job: Job, format: str | None) -> str | None:
    """The format to write a result in: the one asked for, PNG on standard output, else None: by the suffix."""
    return format or ("PNG" if job.target == STREAM else None)


def checked_options(format: str | None, options: Mapping[str, Any]) -> dict[str, Any]:
    """Options of `cut_out` that say something, defaults included, and the format, by default PNG.

    Raises `ArgumentError` for what no picture could be done with.
    """
    from trimatte.images.background import check_background
    from trimatte.output.finish import check_format
    from trimatte.output.options import FRAMES, NAMES, OUTPUTS, output_of
    from trimatte.quality import USUAL, apart
    from trimatte.stages import Stages

    defaults = {field.name: field.default for field in fields(Stages)}
    asked = {**apart(defaults), **apart(options), "format": format or "png"}
    asked["way"] = USUAL if asked["way"] is None else asked["way"]
    of_file = ("sheet", "output", "frames", "way", *NAMES)
    stages = Stages(quality=asked["way"], **{name: asked[name] for name in defaults if name != "quality"})
    stages.check(**{name: asked[name] for name in asked if name not in (*defaults, *of_file)})
    check_flag("sheet", asked.get("sheet", False))
    kind = asked.get("output", "cutout")
    if kind not in OUTPUTS:
        raise ArgumentError(f"output: got {kind!r}; wanted one of {', '.join(OUTPUTS)}")
    output = output_of(**{name: asked[name] for name in NAMES if name in asked})
    check_format(output, io.BytesIO(), kind)
    check_background(output.background)
    given = {name: value for name, value in asked.items() if not (value is None or value is False or value == {})}
    if asked.get("frames", "first") not in FRAMES:
        raise ArgumentError(f"frames: got {asked['frames']!r}; wanted one of {', '.join(FRAMES)}")
    if asked.get("frames") == "all":
        from trimatte.batch.animation import check_animated

        check_animated(output, io.BytesIO(), kind, sheet=asked.get("sheet", False))
    for name, usual in (("output", "cutout"), ("frames", "first")):
        if given.get(name) == usual:
            del given[name]
    return given


def cut_out_file(job: Job, *, sheet: bool = False, format: str | None = None, **options: Any) -> CutoutReport:
    """Cut out one photo, file to file.

    Parameters
    ----------
    job : Job
        Where from and where to.
    sheet : bool, default False
        Also write the sheet of all stages, beside the target as `NAME-sheet.png`.
    format, **options : optional
        Of `cut_out`.

    Raises
    ------
    TrimatteError
        Whatever is wrong; no half-written file is left.
    """
    beside = {tag: job.companion(tag) for tag in companions_of({**options, "sheet": sheet})}
    made = cut_out(opened(job.source), writable(job), beside, format=format_of(job, format), **options)
    return made.report


def cut_out(
    source: str | bytes | IO[bytes],
    target: str | IO[bytes],
    companions: Mapping[str, str | IO[bytes]] | None = None,
    **options: Any,
) -> Cutout:
    """Cut out one photo and write the result.

    Parameters
    ----------
    source, target : str, bytes or binary file object
        Of `trimatte.cutout` and `trimatte.save_image`.
    companions : mapping of str to str or binary file object, optional
        Where further results go, by the ends of their names.
    **options : Any
        Of `trimatte.output.options.Output`, `output` and `frames` of the command line, and of `trimatte.cutout`, whose
        quality is `way` here, or a word.
    """
    from trimatte.cutout import cutout
    from trimatte.images import save_image
    from trimatte.output.finish import check_format
    from trimatte.output.options import NAMES, output_of
    from trimatte.quality import USUAL, apart
    from trimatte.sheet import make_sheet

    options = apart(options)
    way = options.pop("way", None) or USUAL
    of_file = {name: options.pop(name) for name in NAMES if name in options}
    kind, frames = options.pop("output", "cutout"), options.pop("frames", "first")
    if frames == "all":
        from trimatte.batch.animation import cut_out_animation

        alone = {"kind": kind, "sheet": bool(companions)}
        return cut_out_animation(source, target, of_file=of_file, quality=way, **alone, **options)
    check_format(output_of(**of_file), target, kind)
    result = cutout(source, quality=way, **options)
    result.save(target, output="matte" if kind == "matte" else "cutout", **of_file)
    for tag, place in (companions or {}).items():
        if tag == MATTE:
            result.save(place, output="matte", **{**of_file, "format": "png"})
        else:
            save_image(place, make_sheet(result), format="PNG")
    return result
