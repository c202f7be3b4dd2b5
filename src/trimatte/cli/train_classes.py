"""`trimatte train classes`: list the classes of segmentation sets, with a verdict on each, to be edited."""

from __future__ import annotations

import json
from pathlib import Path

import click

from trimatte.errors import ArgumentError


@click.command()
@click.option(
    "--data", multiple=True, required=True, metavar="DIR", help="A set, or COCO's json; more than one may be given."
)
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path("classes.toml"),
    show_default=True,
    help="The table to write.",
)
@click.option("--json", "as_json", is_flag=True, help="Print what was found as JSON.")
def command(data: tuple[str, ...], out: Path, as_json: bool) -> None:
    """List the classes of segmentation sets, with a verdict on each: foreground, background or ignore.

    Fill in the verdicts that are empty, change those that do not suit you, and give the table to `train segmenter`.
    """
    from tqdm import tqdm

    from trimatte.training.class_layouts import find_set
    from trimatte.training.classes import survey, write_table

    if out.exists():
        raise ArgumentError(f"out: {out} is there already; it may have been edited, so give another name")
    tables = {}
    for name in data:
        found = find_set(name)
        with tqdm(total=len(found.photos), desc=name, unit="photo", disable=True if as_json else None) as bar:
            tables[name] = survey(found, bar.update)
        if not as_json:
            click.echo(f"{name}: {found.title}, {len(found.photos)} photos, {len(tables[name].rows)} classes")
    write_table(out, tables)
    empty = {name: [key for key, verdict in table.verdicts.items() if not verdict] for name, table in tables.items()}
    if as_json:
        click.echo(json.dumps({"classes": str(out), "without_verdict": empty}))
        return
    for name, keys in empty.items():
        if keys:
            click.echo(f"{name}: {len(keys)} classes wait for your verdict")
    click.echo(str(out))
