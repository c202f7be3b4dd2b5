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
    """What a word stands for.

    Attributes
    ----------
    segmenter, method : str
        Names of a segmenter and of an alpha method.
    pixels : int or None
        With more unknown pixels alpha is estimated on a smaller picture (see `trimatte.alpha.reduced`).
    drawn : str or None
        The method for a trimap that somebody has drawn, if it is another.
    """

    segmenter: str
    method: str
    pixels: int | None = None
    drawn: str | None = None


WAYS = {
    "fast": Way("lite", "closed-form", 30_000),
    "balanced": Way("lite", "light", 60_000),
    "best": Way("lite", "light-closed-form", 450_000, drawn="hybrid"),
}
"""From the quickest to the most exact."""
USUAL = "balanced"
DRAWN = 4
"""A trimap that somebody has drawn may have this many times as many unknown pixels: its band is narrow, and meant."""


def chosen(quality: str, *, segmenter: str | None = None, method: str | None = None, drawn: bool = False) -> Way:
    """The way of a word, for a `drawn` trimap or none; names given replace its own.

    Raises `ArgumentError` for an unknown word.
    """
    if not isinstance(quality, str) or quality not in WAYS:
        raise ArgumentError(f"quality: got {quality!r}, wanted one of {', '.join(WAYS)}")
    way = WAYS[quality]
    own = way.drawn if drawn and way.drawn is not None else way.method
    pixels = way.pixels if method is None else None
    return Way(way.segmenter if segmenter is None else segmenter, own if method is None else method, pixels)


def apart(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options of a cut-out and of its file: a `quality` that is a word becomes `way`, a number stays the file's.

    Raises `ArgumentError` for two words.
    """
    quality = options.get("quality")
    if not isinstance(quality, str):
        return dict(options)
    if options.get("way", quality) not in (None, quality):
        raise ArgumentError(f"way: got {options['way']!r}, but the quality is {quality!r}; wanted one of them")
    return {**{name: value for name, value in options.items() if name != "quality"}, "way": quality}
