"""`trimatte cutout FOLDER -o DIR`: options of a batch, and what is told of it."""

from __future__ import annotations

import json
import re
import signal
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TextIO

import click

from trimatte.batch.plan import shown
from trimatte.cli._common import Events
from trimatte.files.addresses import join

if TYPE_CHECKING:
    from trimatte.batch.summary import BatchSummary
    from trimatte.batch.tasks import Outcome

EVERY = 30.0
"""Seconds between two lines of progress where there is no terminal."""
_MOST = 20
_STATES = {
    "again": "to do",
    "unchanged": "done before",
    "kept": "changed since, kept",
    "failed before": "failed before",
    "failed": "cannot be read",
    "taken": "there, not made by trimatte",
}


def _bytes(ctx: click.Context, parameter: click.Parameter, text: str | None) -> int | None:
    """Bytes, given as 800M or 1.5G."""
    if text is None:
        return None
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([KMGT]?)", text.strip().upper())
    if match is None:
        raise click.BadParameter(f"got {text!r}, wanted a number of bytes such as 800M or 1.5G")
    return int(float(match[1]) * 1024 ** " KMGT".index(match[2] or " "))


def options(command: Any) -> Any:
    """Add the options that only a batch has."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


_OPTIONS = [
    click.option("--workers", type=click.IntRange(1), metavar="N", help="Of a folder: processes at work."),
    click.option(
        "--max-memory", callback=_bytes, metavar="SIZE", help="Of a folder: what all processes may take, such as 8G."
    ),
    click.option(
        "--prompts", metavar="FILE", help="Of a folder: points and boxes by picture, as JSON lines or in a .csv."
    ),
    click.option("--shard", metavar="I/N", help="Of a folder: only the I-th of N parts, for several machines."),
    click.option("--cluster", metavar="ADDRESS", help="Of a folder: have the workers of this Dask scheduler do it."),
    click.option("--retry-failed", is_flag=True, help="Of a folder: try again what failed before."),
    click.option("--dry-run", is_flag=True, help="Of a folder: say what would be done, and do nothing."),
    click.option("--review", is_flag=True, help="Of a folder: also a page of the results, the doubtful first."),
    click.option("--watch", is_flag=True, help="Of a folder: go on waiting for new pictures."),
]
NAMES = ["workers", "max_memory", "prompts", "shard", "cluster", "retry_failed", "dry_run", "review", "watch"]


def run(
    source: str, out: str, *, as_json: bool, verbose: bool, dry_run: bool, json_lines: bool = False, **options: Any
) -> None:
    """Do a batch, tell of each picture, and list the failures at the end; exit with 1 if there are any."""
    from trimatte.batch import run_batch

    if dry_run:
        _rehearse(source, out, as_json, **options)
        return
    teller = _Teller(source, out, as_json, verbose, json_lines)
    try:
        with _termination_as_interrupt(), warnings.catch_warnings():
            warnings.showwarning = teller.warn
            teller.summary = run_batch(source, out, begun=teller.begin, progress=teller, **options)
    except KeyboardInterrupt:
        click.echo("Interrupted. What is done stays; the same command goes on.", err=True)
        sys.exit(130)
    finally:
        teller.end()
    if teller.summary.failed:
        sys.exit(1)


@contextmanager
def _termination_as_interrupt() -> Iterator[None]:
    """End in order also on SIGTERM, which service managers send, and which the first process of a container ignores."""

    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _rehearse(source: str, out: str, as_json: bool, **options: Any) -> None:
    from trimatte.batch.run import plan_batch

    for name in ("workers", "max_memory", "cluster", "review", "watch"):
        options.pop(name, None)
    counts: dict[str, int] = {}
    for task, state in plan_batch(source, out, **options):
        counts[state] = counts.get(state, 0) + 1
        if as_json:
            click.echo(json.dumps({"input": task.source, "output": task.target, "state": _STATES[state]}))
        else:
            target = f" -> {shown(task.target)}" if task.target else ""
            click.echo(f"{_STATES[state]}: {shown(task.source)}{target}")
    click.echo(", ".join(f"{count} {_STATES[state]}" for state, count in counts.items()), err=True)


class _Teller:
    """Tells of each picture as it is done: on a terminal with a bar, else with a line now and then."""

    def __init__(self, source: str, out: str, as_json: bool, verbose: bool, json_lines: bool = False) -> None:
        from trimatte.batch import BatchSummary

        self.source, self.out, self.as_json, self.verbose = source, out, as_json, verbose
        self.summary = BatchSummary()
        self._json_lines = json_lines
        self._events: Events | None = None
        self._bar: Any = None
        self._last = time.monotonic()

    def begin(self, summary: BatchSummary) -> None:
        """Tell how many pictures there are, if that is known."""
        if self._json_lines:
            self._events = Events(summary.total)

    def __call__(self, outcome: Outcome, summary: BatchSummary) -> None:
        self.summary = summary
        task = outcome.task
        if self._events is not None:
            self._events.picture(_as_json(outcome))
        elif self.as_json:
            self._say(json.dumps(_as_json(outcome), allow_nan=False))
        elif outcome.state == "done" or (outcome.state == "unchanged" and self.verbose):
            self._say(shown(task.target))
        for text in outcome.told:
            self._say(f"{shown(task.source)}: warning: {text}", err=True)
        if self.verbose and "trace" in outcome.record:
            self._say(outcome.record["trace"], err=True)
        self._advance()

    def warn(
        self,
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        """Tell what is to be said of the run rather than of a picture."""
        self._say(f"warning: {message}", err=True)

    def _advance(self) -> None:
        summary = self.summary
        if sys.stderr.isatty():
            from tqdm import tqdm

            if self._bar is None:
                self._bar = tqdm(total=summary.total, unit="picture", leave=False)
            self._bar.update(summary.count - self._bar.n)
            if summary.failed:
                self._bar.set_postfix_str(f"{len(summary.failed)} failed")
        elif time.monotonic() - self._last >= EVERY:
            self._last = time.monotonic()
            click.echo(_progress(summary), err=True)

    def _say(self, line: str, err: bool = False) -> None:
        if self._bar is not None:
            self._bar.write(line, file=sys.stderr if err else sys.stdout)
        else:
            click.echo(line, err=err)

    def end(self) -> None:
        """List what failed, and say what was not done because it was there."""
        if self._bar is not None:
            self._bar.close()
        summary = self.summary
        if self._events is not None:
            self._events.end()
        for link in summary.links:
            click.echo(f"{shown(link)}: warning: a linked folder, which is not searched", err=True)
        if summary.unchanged or summary.kept:
            kept = f", {summary.kept} changed since and kept" if summary.kept else ""
            click.echo(f"{summary.done} made, {summary.unchanged} done before{kept}", err=True)
        if summary.failed:
            click.echo(f"Error: {len(summary.failed)} of {summary.total or summary.count} pictures failed:", err=True)
            for name in sorted(summary.failed)[:_MOST]:
                path = join(self.source, name)
                click.echo(f"  {shown(path)}: {shown(summary.failed[name])}", err=True)
            if len(summary.failed) > _MOST:
                click.echo(f"  and {len(summary.failed) - _MOST} more, in {self.out}/quarantine.jsonl", err=True)
        if summary.untried:
            click.echo(f"{len(summary.untried)} of them failed before; --retry-failed tries them again", err=True)


def _as_json(outcome: Outcome) -> dict[str, Any]:
    done = outcome.state in ("done", "unchanged", "kept")
    line: dict[str, Any] = {"input": outcome.task.source, "output": outcome.task.target, "done": done}
    if outcome.state == "done":
        return {**line, "report": outcome.record["report"]}
    return {**line, "state": outcome.state} if done else {**line, "error": outcome.error}


def _progress(summary: BatchSummary) -> str:
    """Such as "120 of 2000 pictures, 1.9 a second, 16 min left, 3 failed"."""
    parts = [f"{summary.count} of {summary.total} pictures" if summary.total else f"{summary.count} pictures"]
    if summary.making:
        rate = summary.done / summary.making
        parts.append(f"{_figure(rate)} a second" if rate >= 1 else f"{_figure(1 / rate)} seconds each")
        if summary.total:
            left = (summary.total - summary.count) / rate
            parts.append(f"{left / 60:.0f} min left" if left >= 60 else f"{left:.0f} s left")
    if summary.failed:
        parts.append(f"{len(summary.failed)} failed")
    return ", ".join(parts)


def _figure(value: float) -> str:
    return f"{value:.2g}" if value < 10 else f"{value:.0f}"
