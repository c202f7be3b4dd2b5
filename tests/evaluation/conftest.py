from __future__ import annotations

import sys
from pathlib import Path

import pytest

from trimatte.evaluation.synthetic import synthesize

# Worker processes import the methods that they run by name.
sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(scope="session")
def benchmark(tmp_path_factory):
    """Three small scenes with trimaps; not to be written to."""
    root = tmp_path_factory.mktemp("benchmark") / "scenes"
    return synthesize(root, count=3, size=(64, 80), kinds=("hair", "hard", "glass"))
