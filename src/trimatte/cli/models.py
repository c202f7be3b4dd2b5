"""`trimatte models`: networks that find the subject or its alpha; what there is, on what terms, and adding them."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from trimatte.segmentation.cards import Card
    from trimatte.segmentation.fetch import Progress
    from trimatte.segmentation.registry import Verdict

TASKS = ("segmentation", "matting")
USES = ("permissive", "permissive-weights", "copyleft", "non-commercial", "unstated")
as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
own_card = click.option(
    "--card", "card_file", type=click.Path(dir_okay=False, path_type=Path), help="Your own card, instead of a NAME."
)


@click.group(invoke_without_command=True)
@click.pass_context
def command(ctx: click.Context) -> None:
    """Networks that find the subject, for --segmenter, or its alpha, for --method and --refine.

    What there is, on what terms, and adding them. Alone it lists them. Two are part of trimatte. For others there are
    cards, but their files are yours to add; nothing is downloaded unless `models fetch` is called.
    """
    if ctx.invoked_subcommand is None:
        ctx.invoke(list_command, uses=(), task=None, as_json=False)


@command.command("list")
@click.option("--licence", "uses", multiple=True, type=click.Choice(USES), help="Only these; see the guide on models.")
@click.option("--task", type=click.Choice(TASKS), help="Only those for it.")
@as_json
def list_command(uses: tuple[str, ...], task: str | None, as_json: bool) -> None:
    """List the networks: whether they can be used now, what may be done with them, what they are for."""
    from trimatte.segmentation import registry

    every = [card for card in registry.models() if task in (None, card.task)]
    cards = [card for card in every if not uses or card.use in uses]
    if as_json:
        click.echo(json.dumps([_record(card) for card in cards], indent=1))
        return
    if not cards:
        held = ", ".join(f"{use} {count}" for use in USES if (count := sum(card.use == use for card in every)))
        click.echo(f"No network's licence is read as {' or '.join(uses)}; there are: {held}.", err=True)
    rows = [(card.name, card.task, _state(card.name), card.use, _megabytes(card), card.purpose) for card in cards]
    widths = [max((len(row[column]) for row in rows), default=0) for column in range(5)]
    for row in rows:
        click.echo("  ".join([*(f"{text:<{width}}" for text, width in zip(row, widths, strict=False)), row[5]]))


@command.command("show")
@click.argument("name")
@as_json
def show_command(name: str, as_json: bool) -> None:
    """Print a network's card: TOML, and a start for a card of your own."""
    from trimatte.segmentation import registry

    card = registry.card(name)
    if as_json:
        click.echo(json.dumps({**card.data, **_record(card)}, indent=1))
        return
    click.echo(f"# {_state(name)}")
    click.echo(card.text, nl=False)


@command.command("add")
@click.argument("arguments", nargs=-1, required=True, metavar="[NAME] FILE")
@own_card
def add_command(arguments: tuple[str, ...], card_file: Path | None) -> None:
    """Verify an ONNX file and copy it to your data folder.

    NAME is one of `models list`; FILE is held against its card. With --card, any ONNX file becomes a network of the
    name that the card gives.
    """
    from trimatte.segmentation import registry

    if len(arguments) != (1 if card_file else 2):
        raise click.UsageError("Give NAME and FILE, or FILE and --card.")
    card = _read(card_file) if card_file else registry.card(arguments[0])
    _check_name(card)
    _tell(card, registry.add(arguments[-1], card))


@command.command("fetch")
@click.argument("name", required=False)
@own_card
def fetch_command(name: str | None, card_file: Path | None) -> None:
    """Download a network from the address in its card, verify it and add it.

    A download that stopped goes on where it did. This is the only command that downloads anything.
    """
    from trimatte.segmentation import registry

    if (name is None) == (card_file is None):
        raise click.UsageError("Give a NAME or --card.")
    card = _read(card_file) if card_file else registry.card(name or "")
    _check_name(card)
    for part in ("weights", "data"):
        if part in card.licence:
            click.echo(f"{part}: {card.licence[part]}", err=True)
    if card.address:
        click.echo(f"{card.address} ({_megabytes(card)})", err=True)
    with _bar() as progress:
        verdict = registry.fetch(card, progress)
    _tell(card, verdict)


@command.command("remove")
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
def remove_command(names: tuple[str, ...]) -> None:
    """Delete networks that were added."""
    from trimatte.segmentation import registry

    for name in names:
        registry.remove(name)
        click.echo(f"{name}: removed")


@command.command("verify")
@click.argument("names", nargs=-1, metavar="[NAME...]")
def verify_command(names: tuple[str, ...]) -> None:
    """Read the files of networks again, all by default: checksums, and what they take and give.

    The exit code is 1 if one is damaged or does not fit its card.
    """
    from trimatte.errors import TrimatteError
    from trimatte.segmentation import registry

    failed = False
    for name in names or registry.usable():
        try:
            _tell(registry.card(name), registry.verify(name))
        except TrimatteError as error:
            click.echo(f"{name}: {error}", err=True)
            failed = True
    sys.exit(failed)


def _read(file: Path) -> Card:
    from trimatte.errors import ModelError
    from trimatte.files.atomic import reason
    from trimatte.segmentation.cards import read_card

    try:
        return read_card(file.read_text("utf-8-sig"), str(file))
    except (OSError, UnicodeDecodeError) as error:
        raise ModelError(f"cannot read the card {str(file)!r}: {reason(error)}") from error


def _check_name(card: Card) -> None:
    """Raise `ModelError` for a matting network of the name that an alpha method of ours has: nobody could reach it."""
    from trimatte.alpha.methods import METHODS
    from trimatte.errors import ModelError

    if card.task == "matting" and card.name in METHODS:
        raise ModelError(f"{card.name!r} is the name of an alpha method; give the card another one")


def _tell(card: Card, verdict: Verdict) -> None:
    """Say what a file was found to be."""
    if verdict.published:
        second = f"; the second network's {verdict.second}" if verdict.second else ""
        click.echo(f"{card.name}: verified, SHA-256 {verdict.sha256}{second}")
    else:
        click.echo(
            f"{card.name}: fits its card; unverified, for the card has no SHA-256. The file's is {verdict.sha256}"
        )
    for remark in verdict.remarks:
        click.echo(f"warning: {card.name}: {remark}", err=True)


def _state(name: str) -> str:
    from trimatte.segmentation import registry

    if name in registry.EMBEDDED:
        return "embedded"
    return "added" if name in registry.added() else "not added"


def _record(card: Card) -> dict[str, Any]:
    from trimatte.segmentation import registry

    return {
        "name": card.name,
        "task": card.task,
        "state": _state(card.name),
        "use": card.use,
        "purpose": card.purpose,
        "licence": dict(card.licence),
        "bytes": registry.size(card),
        "sha256": card.sha256 or None,
        "address": card.address or None,
    }


def _megabytes(card: Card) -> str:
    from trimatte.segmentation import registry

    size = registry.size(card)
    return f"{size / 1e6:.1f} MB" if size else "? MB"


@contextmanager
def _bar() -> Iterator[Progress]:
    """A progress bar on a terminal."""
    from tqdm import tqdm

    with tqdm(unit="B", unit_scale=True, disable=None, leave=False) as bar:

        def progress(done: int, total: int | None) -> None:
            bar.total = total
            bar.update(done - bar.n)

        yield progress
