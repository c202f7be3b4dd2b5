"""What the verbs share: options, and the doing and telling of many pictures."""

from __future__ import annotations

import json
import os
import sys
import time
import traceback
import warnings
from codecs import BOM_UTF8
from collections.abc import Callable, Sequence
from typing import Any

import click

from trimatte.batch.jobs import STREAM, Job
from trimatte.cli._compiling import shown_compiling
from trimatte.errors import ArgumentError, TrimatteError, failure, for_users
from trimatte.files.addresses import is_remote
from trimatte.files.atomic import reason
from trimatte.files.jsonl import finite
from trimatte.images.formats import MAX_PIXELS, WRITTEN
from trimatte.runtime.device import DEVICES
from trimatte.runtime.report import plain

inputs = click.argument("inputs", nargs=-1, required=True, metavar="INPUT...")
out = click.option(
    "-o", "--out", metavar="PATH", help="File for one picture, folder for several; - is standard output."
)
method = click.option(
    "--method", default="closed-form", show_default=True, metavar="NAME", help="How alpha is estimated."
)
chosen_method = click.option("--method", metavar="NAME", help="How alpha is estimated, instead of as --quality says.")
method_options = click.option(
    "--option", "method_options", multiple=True, metavar="NAME=VALUE", help="Of the method, such as epsilon=1e-5."
)
segmenter = click.option(
    "--segmenter",
    default="lite",
    show_default=True,
    metavar="NAME",
    help="Who finds the subject, see `trimatte models list`.",
)
chosen_segmenter = click.option(
    "--segmenter",
    metavar="NAME",
    help="Who finds the subject, instead of as --quality says; see `trimatte models list`.",
)


def _prompt(ctx: click.Context, parameter: click.Parameter, given: Any) -> Any:
    """Points, or a box, from text; None for none."""
    if not given:
        return None
    from trimatte.segmentation.prompts import parse_box, parse_point

    try:
        return [parse_point(text) for text in given] if parameter.multiple else parse_box(given)
    except ArgumentError as error:
        raise click.BadParameter(str(error)) from error


def prompts(command: Any) -> Any:
    """Add the options that say where the subject is."""
    for option in reversed(_PROMPTS):
        command = option(command)
    return command


_PROMPTS = [
    click.option(
        "--point",
        "points",
        multiple=True,
        metavar="X,Y",
        callback=_prompt,
        help="A pixel of what is to be cut out, or 30%,40% of width and height; may be repeated.",
    ),
    click.option(
        "--not-point",
        "not_points",
        multiple=True,
        metavar="X,Y",
        callback=_prompt,
        help="A pixel of what is not; may be repeated.",
    ),
    click.option("--box", metavar="X0,Y0,X1,Y1", callback=_prompt, help="A box about what is to be cut out."),
]
backdrop = click.option(
    "--backdrop",
    metavar="auto|COLOUR|off",
    default="off",
    show_default=True,
    help="That the background is of one colour, such as white, green or #00b140; auto: where the border says so.",
)
shadow = click.option(
    "--shadow",
    type=click.Choice(["drop", "keep"]),
    default="drop",
    show_default=True,
    help="Of shadows on a --backdrop: whether they go, or stay as transparent black.",
)
band = click.option("--band", type=float, metavar="X", help="Half width of the unknown band, relative to the subject.")
band_pixels = click.option("--band-pixels", type=float, metavar="N", help="Half width of the unknown band in pixels.")
speck = click.option(
    "--speck",
    type=click.FloatRange(0),
    metavar="X",
    help="Islands and holes of less than this share of the subject follow what surrounds them.  "
    "[default: 0.002 of a network's, 0 of a given mask's]",
)
adaptive_band = click.option(
    "--adaptive-band",
    is_flag=True,
    help="Let the band be wide at hair and narrow at hard edges, as two methods see them on a small picture: half a "
    "second and more.",
)
format = click.option(
    "--format",
    type=click.Choice([*WRITTEN], case_sensitive=False),
    help="Of the result; by default as --out says, or PNG.",
)


class _Quality(click.ParamType[Any]):
    """A word for the way to a cut-out, or a number for its file."""

    name = "WORD|N"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        from trimatte.quality import WAYS

        if value in WAYS:
            return value
        try:
            return click.IntRange(1, 100).convert(value, param, ctx)
        except click.BadParameter:
            self.fail(f"got {value!r}, wanted {', '.join(WAYS)}, or a number of 1 to 100", param, ctx)


def _qualities(ctx: click.Context, parameter: click.Parameter, given: tuple[Any, ...]) -> dict[str, Any]:
    """The way's word and the file's number; None for what is not given."""
    words, numbers = ([v for v in given if isinstance(v, str) is word] for word in (True, False))
    if max(len(words), len(numbers)) > 1:
        raise click.BadParameter("wanted a word, a number, or one of each")
    return {"way": next(iter(words), None), "quality": next(iter(numbers), None)}


qualities = click.option(
    "--quality",
    "qualities",
    type=_Quality(),
    multiple=True,
    callback=_qualities,
    help="fast, balanced or best: how the subject is found and alpha estimated. 1 to 100: of JPEG, WebP and AVIF. "
    "May be given twice.  [default: balanced]",
)
quality = click.option("--quality", type=click.IntRange(1, 100), help="Of JPEG, WebP and AVIF.")
force = click.option(
    "--force", is_flag=True, help="Replace what bears a result's name, also if trimatte did not make it."
)
strict = click.option("--strict", is_flag=True, help="Fail if no subject is found or a solver does not converge.")
stdin_list = click.option(
    "--stdin-list", is_flag=True, help="Read the paths of further inputs from standard input, one a line."
)
json_lines = click.option(
    "--json-lines",
    is_flag=True,
    help="Print lines of JSON: the start, each picture as it is done, the end.",
)
as_json = click.option("--json", "as_json", is_flag=True, help="Print one line of JSON a picture.")
verbose = click.option("-v", "--verbose", is_flag=True, help="Tell what was done and how long it took.")
max_pixels = click.option(
    "--max-pixels",
    type=click.IntRange(1),
    default=MAX_PIXELS,
    show_default=True,
    help="Refuse larger pictures before they are decoded.",
)


def _limit(ctx: click.Context, parameter: click.Parameter, count: int | None) -> None:
    if count is not None:
        from trimatte.runtime.threads import limit_threads

        limit_threads(count)


threads = click.option(
    "--threads",
    type=click.IntRange(1),
    callback=_limit,
    expose_value=False,
    is_eager=True,
    help="The most threads to use; by default all processors.",
)


def _choose(ctx: click.Context, parameter: click.Parameter, device: str | None) -> None:
    if device is not None:
        from trimatte.runtime.device import VARIABLE, check_device

        check_device(device)
        before = os.environ.get(VARIABLE, "")
        os.environ[VARIABLE] = device
        ctx.call_on_close(lambda: os.environ.update({VARIABLE: before}))


device = click.option(
    "--device",
    type=click.Choice(DEVICES),
    callback=_choose,
    expose_value=False,
    is_eager=True,
    help="Where added and PyTorch networks run; auto takes a GPU if one works.  [default: $TRIMATTE_DEVICE or auto]",
)


def suffix(format: str | None) -> str:
    """The suffix of results in a format, by default PNG."""
    return WRITTEN[format or "png"].suffix


def check(
    *,
    quality: str | None = None,
    segmenter: str | None = None,
    method: str | None = None,
    foreground: str = "keep",
    refine: str | None = None,
) -> None:
    """Raise `ArgumentError` for a name there is none of, once for all pictures; those of a quality are there."""
    from trimatte.quality import USUAL, WAYS, chosen

    way = chosen(quality or USUAL, segmenter=segmenter, method=method)
    there = [
        {each.segmenter for each in WAYS.values()},
        {each.method for each in WAYS.values()},
        {"keep", "multilevel"},
    ]
    if refine is None and all(a in b for a, b in zip((way.segmenter, way.method, foreground), there, strict=True)):
        return
    from trimatte.stages import check_names

    check_names(segmenter=way.segmenter, method=way.method, foreground=foreground, refine=refine)


def listed_inputs(inputs: Sequence[str], stdin_list: bool) -> tuple[str, ...]:
    """The inputs, and those that standard input names one a line, if any.

    Raises `UsageError` for no inputs where nobody lists them.
    """
    if stdin_list and STREAM in inputs:
        raise click.UsageError("--stdin-list and a picture on standard input do not go together.")
    lines = sys.stdin.buffer.read().removeprefix(BOM_UTF8).splitlines() if stdin_list else []
    if not (inputs or stdin_list):
        raise click.UsageError("There is no input: name files or folders, or list them with --stdin-list.")
    return (*inputs, *(os.fsdecode(line) for line in lines if line.strip()))


class Events:
    """Lines of JSON for programs: how many pictures there are, each as it is done, and how it ended."""

    def __init__(self, count: int | None) -> None:
        self.done = self.failed = 0
        self._start = time.monotonic()
        self._print({"event": "start", "pictures": count})

    def picture(self, record: dict[str, Any]) -> None:
        """Print what became of a picture, a record as of --json."""
        self.done, self.failed = self.done + record["done"], self.failed + (not record["done"])
        self._print({"event": "picture", "number": self.done + self.failed, **record})

    def end(self) -> None:
        seconds = round(time.monotonic() - self._start, 3)
        self._print({"event": "end", "done": self.done, "failed": self.failed, "seconds": seconds})

    def _print(self, event: dict[str, Any]) -> None:
        click.echo(json.dumps(event, allow_nan=False))
        sys.stdout.flush()


def run(
    jobs: Sequence[Job],
    work: Callable[[Job], dict[str, Any]],
    *,
    as_json: bool,
    verbose: bool,
    json_lines: bool = False,
    usual: bool = False,
) -> None:
    """Do every job, tell of each, and list the failures at the end.

    `work` does one job and returns its report; `usual`, it is a cut-out by the default way. The process exits with 1
    unless every job was done.
    """
    if (as_json or json_lines) and any(job.target == STREAM for job in jobs):
        lines = "--json" if as_json else "--json-lines"
        raise click.UsageError(f"{lines} and a picture on standard output do not go together: give --out a file.")
    failures: list[tuple[Job, str]] = []
    events = Events(len(jobs)) if json_lines else None
    try:
        for job in _progress(jobs):
            with shown_compiling(usual=usual):
                record, told, failed = _done(job, work, verbose)
            if failed:
                failures.append((job, failed))
            line: dict[str, Any] = {"input": job.source, "output": job.target, **record}
            if events is not None:
                events.picture(line)
            elif as_json:
                _say(json.dumps(line, allow_nan=False))
            elif not failed and job.target != STREAM:
                _say(job.target)
            for remark in told:
                _say(f"{job.source}: {remark}", err=True)
    finally:
        if events is not None:
            events.end()
        _list(failures, len(jobs))
    if failures:
        sys.exit(1)


def _done(job: Job, work: Callable[[Job], dict[str, Any]], verbose: bool) -> tuple[dict[str, Any], list[str], str]:
    """One job's record for JSON, what there is to tell of it, and why it failed."""
    start = time.perf_counter()
    failed, report, trace = hindrance(job), {}, ""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            if not failed:
                report = plain(work(job))
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # a defect, or a plug-in that calls sys.exit, must not lose the other pictures
            failed = failure(error)
            if not isinstance(error, (TrimatteError, MemoryError)):
                trace = traceback.format_exc()
                failed += "" if verbose else " (a defect; -v shows where)"
    if failed:
        return {"done": False, "error": failed}, [trace] if trace and verbose else [], failed
    if "warnings" in report:
        report["warnings"] = for_users(caught, report["warnings"])
    told = [f"warning: {text}" for text in for_users(caught)]
    if verbose:
        told.extend(_summary(report, time.perf_counter() - start))
    return {"done": True, "report": finite(report)}, told, ""


def hindrance(job: Job) -> str:
    """Why a job cannot be done, as far as that is found out before anything heavy is imported."""
    if job.problem or job.source == STREAM or is_remote(job.source):
        return job.problem
    try:
        os.stat(job.source)
    except (OSError, ValueError) as error:
        return f"cannot read {job.source!r}: {reason(error)}"
    return ""


def _summary(report: dict[str, Any], total: float) -> list[str]:
    solve = report.get("alpha", report)
    lines = []
    if solve.get("solver"):
        lines.append(
            f"{solve['method']}: {solve['unknown']} unknown pixels, {solve['solver']}{_place(solve)}, "
            f"{solve['iterations']} iterations, residual {solve['residual']:.1e}"
        )
    refine = report.get("refine", {})
    if refine.get("method"):
        lines.append(f"{refine['method']}: {refine['unknown']} pixels redone{_place(refine)}")
    if report.get("specks"):
        lines.append(f"{report['specks']} islands and holes were too small to count, see --speck")
    stages = ", ".join(f"{stage} {seconds:.2f} s" for stage, seconds in report.get("seconds", {}).items())
    return [*lines, f"{stages}{', ' if stages else ''}in all {total:.2f} s"]


def _place(report: dict[str, Any]) -> str:
    return f" on {report['device']}" if report.get("device") else ""


def _progress(jobs: Sequence[Job]) -> Any:
    """The jobs, with a progress bar on a terminal if they are several."""
    if len(jobs) < 2 or not sys.stderr.isatty():
        return jobs
    from tqdm import tqdm

    return tqdm(jobs, unit="picture", leave=False)


def _say(line: str, err: bool = False) -> None:
    if sys.stderr.isatty():
        from tqdm import tqdm

        tqdm.write(line, file=sys.stderr if err else sys.stdout)
    else:
        click.echo(line, err=err)


def _list(failures: Sequence[tuple[Job, str]], count: int) -> None:
    if count == 1 and failures:
        click.echo(f"Error: {failures[0][1]}", err=True)
    elif failures:
        click.echo(f"Error: {len(failures)} of {count} pictures failed:", err=True)
        for job, why in failures:
            click.echo(f"  {job.source}: {why}", err=True)
