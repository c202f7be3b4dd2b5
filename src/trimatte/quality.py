"""Quality in one word: who finds the subject and how alpha is estimated, chosen by measurement.

benchmarks/whole_way.py measures them, and benchmarks/results/whole-way.md holds the figures.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from trimatte.errors import ArgumentError


@dataclass(frozen=True)
class Way:
    """What a word stands for: names of a segmenter and of an alpha method."""

    segmenter: str
    method: str


WAYS = {
    "fast": Way("lite", "closed-form"),
    "balanced": Way("lite", "light"),
    "best": Way("lite", "hybrid"),
}
"""From the quickest to the most exact."""
USUAL = "balanced"
LARGE = 250_000
"""Unknown pixels from which on "balanced" solves as "fast" does: twelve megapixels would take half a minute."""


def chosen(quality: str, *, segmenter: str | None = None, method: str | None = None) -> Way:
    """The way of a word, but for what was asked for by name. Raises `ArgumentError` for a word that there is not."""
    if not isinstance(quality, str) or quality not in WAYS:
        raise ArgumentError(f"quality: got {quality!r}, wanted one of {', '.join(WAYS)}")
    way = WAYS[quality]
    return Way(way.segmenter if segmenter is None else segmenter, way.method if method is None else method)


def method_for(quality: str, unknown: int) -> str:
    """The alpha method of a word for a picture with so many unknown pixels."""
    return WAYS["fast" if quality == USUAL and unknown >= LARGE else quality].method


def apart(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options of a cut-out and its file in one mapping, whose `quality` is the file's, a number, and a word is `way`.

    Raises `ArgumentError` for two words.
    """
    quality = options.get("quality")
    if not isinstance(quality, str):
        return dict(options)
    if options.get("way", quality) not in (None, quality):
        raise ArgumentError(f"way: got {options['way']!r}, but the quality is {quality!r}; wanted one of them")
    return {**{name: value for name, value in options.items() if name != "quality"}, "way": quality}
