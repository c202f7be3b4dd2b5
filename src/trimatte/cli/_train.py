"""What the verbs of `trimatte train` share: what they need, a run's folder, progress."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from trimatte.errors import ArgumentError, MissingExtraError

FOLDER = click.Path(file_okay=False, exists=True, path_type=Path)


def run_options(*, steps: int) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """The options of a run of training: its folder, how many steps, from which weights, and the seed."""
    options = (
        click.option(
            "--out", type=click.Path(file_okay=False, path_type=Path), required=True, help="Folder of the run."
        ),
        click.option(
            "--steps",
            type=click.IntRange(1),
            default=steps,
            show_default=True,
            help="To train.",
        ),
        click.option(
            "--initial",
            type=click.Path(dir_okay=False, exists=True, path_type=Path),
            help="Weights to begin with.",
        ),
        click.option("--seed", type=click.IntRange(0), default=0, show_default=True),
    )

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


@contextmanager
def needing(extra: str) -> Iterator[None]:
    """Imports that PyTorch or ONNX may be missing for. Raises `MissingExtraError`, which names the extra."""
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] not in ("torch", "onnx"):
            raise
        needed = f'training needs {error.name}: pip install "trimatte[{extra}]"'
        raise MissingExtraError(needed, name=error.name) from None


def check_new(out: Path) -> None:
    """Raises `ArgumentError` if a folder holds a run."""
    if (out / "best.pt").exists():
        raise ArgumentError(f"out: {out} holds a run already; take another folder")


@contextmanager
def counted(unit: str, total: int | None = None) -> Iterator[Callable[[int], None]]:
    """A progress bar; call what it gives once for each."""
    from tqdm import tqdm

    with tqdm(total=total, unit=unit, disable=None) as bar:

        def done(_: int) -> None:
            bar.update()

        yield done


@contextmanager
def stepped() -> Iterator[Callable[[int, float], None]]:
    """A progress bar of steps; call what it gives with each step and its loss."""
    from tqdm import tqdm

    with tqdm(unit="step", disable=None) as bar:

        def watch(_: int, loss: float) -> None:
            bar.set_postfix(loss=f"{loss:.3f}", refresh=False)
            bar.update()

        yield watch


def weighted(given: str) -> tuple[str, float]:
    """A set and its weight, of DIR or DIR:WEIGHT. Raises `ArgumentError` for a weight that is not above 0."""
    name, colon, weight = given.rpartition(":")
    if not colon or Path(given).exists():
        return given, 1.0
    try:
        number = float(weight)
    except ValueError:
        return given, 1.0
    if not 0 < number < float("inf"):
        raise ArgumentError(f"data: got the weight {weight} for {name}, wanted a number above 0")
    return name, number
