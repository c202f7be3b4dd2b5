"""Which files are kept aside: always the same ones, whatever else lies in their folder."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path


def in_order(files: Iterable[Path]) -> list[Path]:
    """Files in an order that only their names decide, and that has nothing to do with them."""
    return sorted(files, key=lambda file: hashlib.sha256(file.stem.encode()).digest())


def split(files: Iterable[Path], count: int) -> tuple[list[Path], list[Path]]:
    """The `count` files to keep aside, and the others."""
    ordered = in_order(files)
    return ordered[:count], ordered[count:]
