"""Folders of photos, and plug-ins that worker processes find, too."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from toy_batch import QUICK, write_photo

PlugIn = Callable[[str, str], str]


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder of four photos, two of them in inner folders."""
    folder = tmp_path / "photos"
    for seed, name in enumerate(["a.jpg", "a.png", "in/b.jpg", "in/deep/c.jpg"]):
        write_photo(folder / name, seed)
    return folder


@pytest.fixture
def quick(plug_in: PlugIn) -> str:
    """The name of a segmenter and an alpha method that take no time."""
    return plug_in("quick", QUICK)


@pytest.fixture
def with_plug_ins(monkeypatch: pytest.MonkeyPatch, quick: str) -> str:
    """The plug-ins of this process, for a command as well."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(path for path in sys.path if "segmenter" in path))
    return quick
