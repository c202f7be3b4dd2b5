"""Writing TOML."""

from __future__ import annotations

import json
import re


def toml_key(name: str) -> str:
    """A name as a key, bare if it can be."""
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else toml_value(name)


def toml_value(value: str | float | list[float]) -> str:
    """A text, a number or a list of numbers."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
