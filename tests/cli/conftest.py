"""The command line, called in this process."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from click.testing import CliRunner, Result

Trimatte = Callable[..., Result]


@pytest.fixture(autouse=True)
def threads_as_before(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What --threads does to this process ends with the test."""
    import numba

    before = numba.get_num_threads()
    monkeypatch.setattr("trimatte.runtime.threads._limit", None)
    for library in ("OMP", "OPENBLAS", "MKL", "VECLIB", "NUMBA"):
        monkeypatch.setenv(f"{library}_NUM_THREADS", "")
        monkeypatch.delenv(f"{library}_NUM_THREADS")
    yield
    numba.set_num_threads(before)


@pytest.fixture
def trimatte(monkeypatch: pytest.MonkeyPatch) -> Trimatte:
    """`trimatte("cutout", path, ...)`: run it, and give exit code, output and what went to standard error."""
    from trimatte.cli import main

    def call(*arguments: object, input: bytes | None = None) -> Result:
        options: dict[str, Any] = {"input": input}
        with warnings.catch_warnings():
            warnings.simplefilter("default")  # as in a process of its own
            return CliRunner().invoke(
                main, [os.fspath(a) if isinstance(a, os.PathLike) else str(a) for a in arguments], **options
            )

    return call
