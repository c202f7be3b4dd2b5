"""What the verbs of `trimatte train` share: what they need, a run's folder, progress."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from trimatte.errors import ArgumentError, MissingExtraError


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
