"""How to get the benchmark sets; the facts lie in `benchmarks.json` beside this file."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any


def recipes() -> dict[str, dict[str, Any]]:
    """By name: title, address, licence, size, sha256 by file (where known) and a note on its layout or its use."""
    text = files("trimatte.evaluation").joinpath("benchmarks.json").read_text(encoding="utf-8")
    sets: dict[str, dict[str, Any]] = json.loads(text)
    return sets
