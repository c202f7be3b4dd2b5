"""The command line, called in this process."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest
from click.testing import CliRunner, Result

Trimatte = Callable[..., Result]


@pytest.fixture
def trimatte(monkeypatch: pytest.MonkeyPatch) -> Trimatte:
    """`trimatte("cutout", path, ...)`: run it, and give exit code, output and what went to standard error."""
    from trimatte.cli import main

    def call(*arguments: object, input: bytes | None = None) -> Result:
        options: dict[str, Any] = {"input": input}
        return CliRunner().invoke(
            main, [os.fspath(a) if isinstance(a, os.PathLike) else str(a) for a in arguments], **options
        )

    return call
