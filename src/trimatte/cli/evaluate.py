"""`trimatte evaluate`: score methods on a benchmark, into a folder of records."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

from trimatte.cli import _common as common
from trimatte.cli._batch import EVERY

if TYPE_CHECKING:
    from trimatte.evaluation.records import Record
    from trimatte.evaluation.runs import Region


@click.command()
@click.argument("dataset")
@click.option("--methods", default="", help="Separated by commas: closed-form, pymatting:sm, cutout:lite+knn, ...")
@click.option("--predictions", multiple=True, metavar="NAME=DIR", help="Results of another program: DIR/PICTURE.png.")
@click.option("--trimap", "trimaps", multiple=True, help="One of the set's, or made[:LOW-HIGH[@SEED]]; repeatable.")
@click.option("--out", required=True, type=click.Path(file_okay=False, path_type=Path), help="Folder of the run.")
@click.option("--region", type=click.Choice(["auto", "unknown", "whole"]), default="auto", show_default=True)
@click.option("--variants", default="", help="Figures of published ports, too: gradient:gaussian-filter, ...")
@click.option("--jobs", default=1, show_default=True, help="Pictures at the same time; times only compare with 1.")
@click.option(
    "--isolate/--one-process",
    default=True,
    show_default=True,
    help="Each method in processes of its own, so that its memory does not depend on what ran before.",
)
@click.option("--limit", type=click.IntRange(1), help="Only the first pictures.")
@click.option("--retry-failed", is_flag=True, help="Try again what is recorded as failed.")
@click.option("--layout", help="Take the data set for this layout instead of guessing.")
@click.option("--backgrounds", help="Folder of backgrounds, for sets whose foregrounds are to be composed.")
@click.option("--csv", is_flag=True, help="Write OUT/records.csv too.")
@click.option("--parquet", is_flag=True, help="Write OUT/records.parquet too.")
@common.device
@click.option("--json", "as_json", is_flag=True, help="Print the means as JSON.")
def command(
    dataset: str,
    methods: str,
    predictions: tuple[str, ...],
    trimaps: tuple[str, ...],
    out: Path,
    region: str,
    variants: str,
    jobs: int,
    isolate: bool,
    limit: int | None,
    retry_failed: bool,
    layout: str | None,
    backgrounds: str | None,
    csv: bool,
    parquet: bool,
    as_json: bool,
) -> None:
    """Score methods on the benchmark in the folder DATASET.

    One record a picture, method and trimap goes to OUT/records.jsonl. A run that was interrupted, say by Ctrl-C, goes
    on where it stopped if the same command is given. A picture that a method cannot do is recorded as failed, and the
    exit code is then 1.
    """
    from trimatte.evaluation.records import export
    from trimatte.evaluation.runs import evaluate
    from trimatte.evaluation.summary import summarize
    from trimatte.evaluation.tables import markdown

    with _Teller() as teller, _interruptible(out):
        evaluation = evaluate(
            dataset,
            _listed(methods),
            predictions=_named_folders(predictions),
            trimaps=trimaps or None,
            out=out,
            region=cast("Region", region),
            variants=_listed(variants),
            jobs=jobs,
            isolate=isolate,
            limit=limit,
            retry_failed=retry_failed,
            layout=layout,
            backgrounds=backgrounds,
            progress=teller.done,
            started=teller.started,
        )
    for wanted, suffix in ((csv, "csv"), (parquet, "parquet")):
        if wanted:
            export(evaluation.records, out / f"records.{suffix}")
    rows = summarize(evaluation.records)
    click.echo(json.dumps([row.as_dict() for row in rows], indent=1) if as_json else markdown(rows))
    for record in evaluation.failures:
        click.echo(f"failed: {record['method']} on {record['picture']}: {record['error']}", err=True)
    raise SystemExit(len(evaluation.failures) > 0)


class _Teller:
    """Tells what is at work: on a terminal with a bar, else with a line at the start and now and then."""

    def __enter__(self) -> _Teller:
        from tqdm import tqdm

        self._bar = tqdm(unit="picture", disable=None)
        self._next_line = 0.0
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    def started(self, at_work: Sequence[tuple[str, str]], done: int, total: int) -> None:
        names = ", ".join(f"{method} on {picture}" for method, picture in at_work)
        self._bar.total, self._bar.n = total, done
        self._bar.set_postfix_str(names)
        if self._bar.disable and time.monotonic() >= self._next_line:
            self._next_line = time.monotonic() + EVERY
            click.echo(f"{done} of {total} done, at work: {names}", err=True)

    def done(self, record: Record, done: int, total: int) -> None:
        self._bar.n = done
        self._bar.refresh()


def _listed(names: str) -> list[str]:
    return [name.strip() for name in names.split(",") if name.strip()]


@contextmanager
def _interruptible(out: Path) -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        click.echo(f"Interrupted. What is recorded in {out} stays; the same command goes on.", err=True)
        raise SystemExit(130) from None


def _named_folders(pairs: tuple[str, ...]) -> dict[str, Any]:
    folders: dict[str, Any] = {}
    for pair in pairs:
        name, equals, folder = pair.partition("=")
        if not (equals and name and folder) or name in folders:
            raise click.BadParameter(f"got {pair!r}, wanted NAME=DIR, each name once", param_hint="--predictions")
        folders[name] = folder
    return folders
