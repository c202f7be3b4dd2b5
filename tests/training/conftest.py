from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from tiny_sets import MAKERS


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Torch on one thread, so that runs repeat."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(autouse=True)
def small_checks(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is exported is checked on small pictures, of three shapes as well."""
    if find_spec("torch") and find_spec("onnx"):
        monkeypatch.setattr("trimatte.training.export.CHECKED", ((160, 96), (96, 160), (64, 128)))


@pytest.fixture
def one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches are made by the process that trains: to start another takes longer than a tiny run."""
    monkeypatch.setattr("trimatte.training.fit.PROCESSES", 0)


@pytest.fixture
def make_set(tmp_path: Path) -> Callable[[str], Path]:
    """A function that makes the set of that name of `MAKERS`, and tells its folder."""

    def make(name: str) -> Path:
        root = tmp_path / name.replace(" ", "-")
        root.mkdir()
        MAKERS[name](root)
        return root

    return make
