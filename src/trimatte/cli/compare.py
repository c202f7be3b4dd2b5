"""`trimatte compare`: recorded runs side by side, as a page, as tables, or as a gate."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from trimatte.errors import ArgumentError

if TYPE_CHECKING:
    from trimatte.evaluation.summary import Row


@click.command()
@click.argument("runs", nargs=-1, required=True, type=click.Path(exists=True))
@click.option("--methods", default="", help="Only these, separated by commas.")
@click.option("-o", "--out", type=click.Path(dir_okay=False, path_type=Path), help="A .html, .md or .tex file.")
@click.option(
    "--metric",
    default="mse",
    show_default=True,
    help="What is ranked by: sad, mse, mad, gradient, connectivity, iou, sad_transition, gradient:gaussian-filter, ...",
)
@click.option(
    "--categories",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Figures by category: a CSV file of PICTURE,CATEGORY lines, or JSON. Else by the set's own, if it has them.",
)
@click.option("--title", help="Heading of the page.")
@click.option("--fail-if", "conditions", multiple=True, metavar="CONDITION", help='Such as "closed-form.mse > 0.022".')
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON.")
def command(
    runs: tuple[str, ...],
    methods: str,
    out: Path | None,
    metric: str,
    categories: Path | None,
    title: str | None,
    conditions: tuple[str, ...],
    as_json: bool,
) -> None:
    """Compare the evaluations in the folders RUNS, or in files of records.

    Without --out the tables are printed. With --fail-if the exit code is 1 if a condition holds.
    """
    from trimatte.evaluation.categories import read_categories
    from trimatte.evaluation.report import load_runs
    from trimatte.evaluation.summary import check_conditions, summarize
    from trimatte.evaluation.tables import markdown
    from trimatte.files.atomic import atomic_write

    chosen = [name.strip() for name in methods.split(",") if name.strip()]
    kinds = None if categories is None else read_categories(categories)
    rows = summarize(load_runs(runs, chosen, kinds), metric)
    held = check_conditions(rows, conditions)
    if out is not None:
        text = _page_or_table(out, runs, chosen, rows, metric, title, kinds)
        with atomic_write(out) as file:
            file.write(text.encode())
    if as_json:
        click.echo(json.dumps([row.as_dict() for row in rows], indent=1))
    elif out is None:
        click.echo(markdown(rows, metric))
    else:
        click.echo(str(out))
    for words in held:
        click.echo(f"--fail-if: {words}", err=True)
    raise SystemExit(len(held) > 0)


def _page_or_table(
    out: Path,
    runs: tuple[str, ...],
    methods: list[str],
    rows: list[Row],
    metric: str,
    title: str | None,
    categories: dict[str, str] | None,
) -> str:
    from trimatte.evaluation.report import html_report
    from trimatte.evaluation.tables import latex, markdown

    if out.suffix in (".html", ".htm"):
        return html_report(runs, metric=metric, heading=title, methods=methods, categories=categories)
    if out.suffix not in (".md", ".tex"):
        raise ArgumentError(f"out: got {str(out)!r}, wanted a name that ends in .html, .md or .tex")
    table = markdown if out.suffix == ".md" else latex
    return table(rows, metric) + "\n"
